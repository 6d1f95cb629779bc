//! `EdgeNatRule`: a NAT rule on an edge gateway, and the firewall rules that belong to it.

mod allocation;
mod apply;
mod claim;
mod dereference;
mod plan;
mod removal;
mod status;
mod target;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use vic_crds::{EdgeNatRule, EdgeNatRuleStatus, ManagementPolicy};

use crate::conditions::Summary;
use crate::context::Context;
use crate::controllers::common::take_use;
use crate::failure::Failure;
use crate::kind::Kind;
use crate::runner::{Declared, key_of, repairs_of};

impl Declared for EdgeNatRule {
    type Status = EdgeNatRuleStatus;
    const KIND: Kind = Kind::EdgeNatRule;
    /// NSX and vCenter tell of all that a rule waits for. Ten thousand that wait for their turn are not asked meanwhile.
    const RECHECK: Duration = Duration::from_secs(30);

    fn current(&self) -> Option<&EdgeNatRuleStatus> {
        self.status.as_ref()
    }
    fn conditions(status: &EdgeNatRuleStatus) -> &[Condition] {
        &status.conditions
    }
    fn conclude(status: &mut EdgeNatRuleStatus, generation: Option<i64>, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    async fn reconcile(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut EdgeNatRuleStatus,
    ) -> Result<Summary, Failure> {
        let key = key_of(&*self);
        status::sides(&self, details);
        let references = dereference::dereference(&self, &ctx, &key).await?;
        let grants = validate::granted(&self, &ctx, &key, &references)?;
        let observing = self.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe;
        let published = match &references.allocation {
            None => None,
            Some(allocation) if observing => match allocation::observe(&self, &references, allocation)? {
                Ok(address) => Some(address),
                Err(plan) => {
                    details.plan = plan.lines();
                    return Ok(status::observed(&plan));
                }
            },
            Some(allocation) => Some(allocation::take(&self, &ctx, &key, &references, allocation).await?),
        };
        let wanted = validate::validate(&self, &ctx, &key, &references, &grants, published)?;
        status::describe(&wanted, details);
        if observing {
            claim::forgo(&key, &references.ground.connected);
            let plan = plan::plan(&references, &wanted, Vec::new())?;
            details.plan = plan.lines();
            return Ok(status::observed(&plan));
        }
        claim::hold(&ctx, &key, &references, &wanted)?;
        details.plan = Vec::new();
        let uid = &wanted.owner.uid;
        let unused = take_use(&references.ground.connected, uid, &plan::uses(&wanted))?;
        let plan = plan::plan(&references, &wanted, unused)?;
        let repairs = repairs_of(&*self, &ctx, &key);
        apply::apply(&references.ground, uid, plan, &repairs).await?;
        status::effect(&ctx, &key, &references, &wanted)
    }

    async fn finalize(self: Arc<Self>, ctx: Arc<Context>, _: &mut EdgeNatRuleStatus) -> Result<(), Failure> {
        let key = key_of(&*self);
        removal::remove(&self, &ctx, &key).await
    }
}
