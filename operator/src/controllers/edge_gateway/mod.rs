//! `EdgeGateway`: a Tier-1 gateway with its services, uplinks and firewall, or an existing one that is checked.

mod apply;
mod dereference;
mod plan;
mod removal;
mod status;
mod validate;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use vic_crds::{EdgeGateway, EdgeGatewayStatus, ManagementPolicy};

use crate::conditions::Summary;
use crate::context::Context;
use crate::failure::Failure;
use crate::kind::Kind;
use crate::runner::{Declared, key_of, repairs_of};
use crate::wake::Topic;

impl Declared for EdgeGateway {
    type Status = EdgeGatewayStatus;
    const KIND: Kind = Kind::EdgeGateway;

    fn current(&self) -> Option<&EdgeGatewayStatus> {
        self.status.as_ref()
    }
    fn conditions(status: &EdgeGatewayStatus) -> &[Condition] {
        &status.conditions
    }
    fn conclude(status: &mut EdgeGatewayStatus, generation: Option<i64>, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    async fn reconcile(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut EdgeGatewayStatus,
    ) -> Result<Summary, Failure> {
        let key = key_of(&*self);
        let references = dereference::dereference(&self, &ctx, &key).await?;
        let wanted = validate::validate(&self, &ctx, &key, &references)?;
        status::describe(&wanted, details);
        let outcome = realize(&self, &ctx, &references, &wanted, details).await;
        // Others go by what is known of the gateway, whether it is whole or not.
        let facts = status::facts(&ctx, &key, &references, &wanted, outcome.is_ok());
        if ctx.facts.publish_gateway(&key, facts) {
            ctx.wake.changed(&Topic::Object(key));
        }
        outcome
    }

    async fn finalize(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut EdgeGatewayStatus,
    ) -> Result<(), Failure> {
        let key = key_of(&*self);
        removal::remove(&self, &ctx, &key, details).await?;
        ctx.facts.forget_gateway(&key);
        Ok(())
    }
}

async fn realize(
    gateway: &EdgeGateway,
    ctx: &Context,
    references: &dereference::References,
    wanted: &validate::Wanted,
    details: &mut EdgeGatewayStatus,
) -> Result<Summary, Failure> {
    let observing = gateway.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe;
    let plan = plan::plan(references, wanted)?;
    details.plan = if observing { plan.lines() } else { Vec::new() };
    if observing && !plan.is_empty() {
        return Ok(status::drifted());
    }
    let repairs = repairs_of(gateway, ctx, &key_of(gateway));
    apply::apply(&references.ground, &wanted.owner.uid, plan, &repairs).await?;
    status::effect(ctx, references, wanted)
}
