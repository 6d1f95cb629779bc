//! `MicrosegmentationPolicy`: groups and one security policy of the distributed firewall.

mod apply;
mod dereference;
mod plan;
mod removal;
mod selection;
mod status;
mod validate;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use vic_crds::{ManagementPolicy, MicrosegmentationPolicy, MicrosegmentationPolicyStatus};

use crate::conditions::Summary;
use crate::context::Context;
use crate::failure::Failure;
use crate::kind::Kind;
use crate::runner::{Declared, key_of, repairs_of};
use crate::wake::Topic;

impl Declared for MicrosegmentationPolicy {
    type Status = MicrosegmentationPolicyStatus;
    const KIND: Kind = Kind::MicrosegmentationPolicy;

    fn current(&self) -> Option<&MicrosegmentationPolicyStatus> {
        self.status.as_ref()
    }
    fn conditions(status: &MicrosegmentationPolicyStatus) -> &[Condition] {
        &status.conditions
    }
    fn conclude(
        status: &mut MicrosegmentationPolicyStatus,
        generation: Option<i64>,
        conditions: Vec<Condition>,
    ) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    async fn reconcile(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut MicrosegmentationPolicyStatus,
    ) -> Result<Summary, Failure> {
        let key = key_of(&*self);
        status::sides(&self, details);
        let references = dereference::dereference(&self, &ctx, &key).await?;
        let wanted = validate::validate(&self, &ctx, &key, &references)?;
        status::describe(&wanted, details);
        // Policies that name this one's subject follow it, whether its own rules are in effect or not.
        if ctx.facts.publish_subject(&key, &wanted.spec.subject) {
            ctx.wake.changed(&Topic::Object(key.clone()));
        }
        let plan = plan::plan(&references.ground, &wanted)?;
        if self.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe {
            details.plan = plan.lines();
            return Ok(status::observed(&plan));
        }
        details.plan = Vec::new();
        let repairs = repairs_of(&*self, &ctx, &key);
        apply::apply(&references.ground, &wanted.owner.uid, plan, &repairs).await?;
        status::effect(&ctx, &key, &references, &wanted)
    }

    async fn finalize(
        self: Arc<Self>,
        ctx: Arc<Context>,
        _: &mut MicrosegmentationPolicyStatus,
    ) -> Result<(), Failure> {
        let key = key_of(&*self);
        removal::remove(&self, &ctx, &key).await?;
        ctx.facts.forget_subject(&key);
        Ok(())
    }
}
