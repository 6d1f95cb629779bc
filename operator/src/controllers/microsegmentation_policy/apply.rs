//! Hands a policy's plan to NSX, as one unit: groups, rules and the policy change together or not at all.

use topology::{Change, Plan};

use crate::controllers::common::{Ground, engine_change, submit_as};
use crate::failure::Failure;

pub(super) async fn apply(ground: &Ground, uid: &str, plan: Plan<Change>) -> Result<(), Failure> {
    for step in &plan.steps {
        tracing::info!(what = step.what, reason = step.reason, verb = %step.verb, "policy");
    }
    let changes = plan
        .steps
        .into_iter()
        .map(|step| engine_change(step.action))
        .collect();
    submit_as(&ground.connected, uid, changes).await
}
