//! Hands a rule's plan to NSX, as one unit.

use topology::{Change, Plan};

use crate::controllers::common::{Ground, engine_change, submit_as};
use crate::failure::Failure;
use crate::metrics::Repairs;

pub(super) async fn apply(
    ground: &Ground,
    uid: &str,
    plan: Plan<Change>,
    repairs: &Repairs,
) -> Result<(), Failure> {
    let steps = repairs.steps(&plan);
    for step in &plan.steps {
        tracing::info!(what = step.what, reason = step.reason, verb = %step.verb, "rule");
    }
    let changes = plan
        .steps
        .into_iter()
        .map(|step| engine_change(step.action))
        .collect();
    submit_as(&ground.connected, uid, changes).await?;
    steps.done();
    Ok(())
}
