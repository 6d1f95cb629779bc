//! Hands a rule's plan to NSX, as one unit.

use std::sync::PoisonError;

use topology::{Change, Plan};

use super::validate::Wanted;
use crate::controllers::common::{Ground, engine_change, submit};
use crate::failure::Failure;

pub(super) async fn apply(ground: &Ground, wanted: &Wanted, plan: Plan<Change>) -> Result<(), Failure> {
    for step in &plan.steps {
        tracing::info!(what = step.what, reason = step.reason, verb = ?step.verb, "rule");
    }
    {
        let mut sharing = ground.connected.sharing.lock().unwrap_or_else(PoisonError::into_inner);
        for (shared, user) in wanted.spec.shared_uses() {
            sharing.acquire(&shared, &user);
        }
    }
    submit(&ground.connected, plan.steps.into_iter().map(|step| engine_change(step.action)).collect()).await
}
