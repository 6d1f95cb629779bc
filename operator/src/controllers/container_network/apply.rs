//! Executes a network's plan.

use topology::Plan;

use super::plan::Action;
use crate::controllers::common::{Ground, engine_change, submit_as};
use crate::failure::{ApplyError, Failure};
use crate::metrics::Repairs;

pub(super) async fn apply(
    ground: &Ground,
    uid: &str,
    plan: Plan<Action>,
    repairs: &Repairs,
) -> Result<(), Failure> {
    let steps = repairs.steps(&plan);
    let engine = &ground.connected.vsphere;
    let mut changes = Vec::new();
    for step in plan.steps {
        tracing::info!(what = step.what, reason = step.reason, verb = %step.verb, "network");
        match step.action {
            Action::AddPortGroup { switch, spec } => {
                ground.connected.may_write()?;
                engine
                    .add_port_group(&switch, &spec)
                    .await
                    .map_err(ApplyError::VSphere)?;
            }
            Action::ReconfigurePortGroup {
                moref,
                config_version,
                spec,
            } => {
                ground.connected.may_write()?;
                engine
                    .reconfigure_port_group(&moref, &config_version, &spec)
                    .await
                    .map_err(ApplyError::VSphere)?;
            }
            Action::Nsx(change) => changes.push(engine_change(change)),
        }
    }
    submit_as(&ground.connected, uid, changes).await?;
    steps.done();
    Ok(())
}
