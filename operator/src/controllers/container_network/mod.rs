//! `ContainerNetwork`: a VLAN port group, an NSX segment with the port group vCenter shows for it, or an
//! existing network that is only observed.

mod apply;
mod dereference;
mod plan;
mod removal;
mod status;
mod validate;

pub(in crate::controllers) use dereference::outside;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use vic_crds::{ContainerNetwork, ContainerNetworkStatus, ManagementPolicy};

use crate::conditions::Summary;
use crate::context::Context;
use crate::controllers::common::take_use;
use crate::failure::Failure;
use crate::kind::Kind;
use crate::runner::{Declared, key_of, repairs_of};
use crate::wake::Topic;

impl Declared for ContainerNetwork {
    type Status = ContainerNetworkStatus;
    const KIND: Kind = Kind::ContainerNetwork;

    fn current(&self) -> Option<&ContainerNetworkStatus> {
        self.status.as_ref()
    }
    fn conditions(status: &ContainerNetworkStatus) -> &[Condition] {
        &status.conditions
    }
    fn conclude(status: &mut ContainerNetworkStatus, generation: Option<i64>, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    async fn reconcile(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut ContainerNetworkStatus,
    ) -> Result<Summary, Failure> {
        let key = key_of(&*self);
        let references = dereference::dereference(&self, &ctx, &key).await?;
        let mut wanted = validate::validate(&self, &ctx, &key, &references)?;
        let declined = plan::keep_ranges(&references, &mut wanted);
        let zone = plan::keep_zone(&references, &mut wanted);
        validate::check_served(&wanted)?;
        status::describe(&wanted, details);
        let outcome = realize(&self, &ctx, &references, &wanted, details).await;
        // Others go by what is known of the network, whether it is whole or not.
        let facts = status::facts(&references.ground, &wanted, details, outcome.is_ok());
        if ctx.facts.publish_network(&key, facts) {
            ctx.wake.changed(&Topic::Object(key));
        }
        outcome
            .map(|summary| status::with_kept_zone(status::with_declined(summary, &declined), zone.as_deref()))
    }

    async fn finalize(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut ContainerNetworkStatus,
    ) -> Result<(), Failure> {
        let key = key_of(&*self);
        removal::remove(&self, &ctx, &key, details).await?;
        ctx.facts.forget_network(&key);
        Ok(())
    }
}

async fn realize(
    network: &ContainerNetwork,
    ctx: &Context,
    references: &dereference::References,
    wanted: &validate::Wanted,
    details: &mut ContainerNetworkStatus,
) -> Result<Summary, Failure> {
    let observing = network.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe;
    let uid = &wanted.owner.uid;
    if !observing && plan::is_misplaced(references, wanted) {
        return removal::make_room(ctx, references, wanted).await;
    }
    let unused = if observing {
        Vec::new()
    } else {
        take_use(&references.ground.connected, uid, &plan::uses(wanted))?
    };
    let plan = plan::plan(references, wanted, &unused)?;
    details.plan = if observing { plan.lines() } else { Vec::new() };
    if observing && !plan.is_empty() {
        return Ok(status::drifted());
    }
    let repairs = repairs_of(network, ctx, &key_of(network));
    apply::apply(&references.ground, uid, plan, &repairs).await?;
    status::effect(ctx, &references.ground, wanted, details)
}
