//! What *plan* can meet.

use super::{Class, Verdict, verdict};
use crate::conditions::ConditionType;

/// What *plan* can meet.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Someone else holds it.
    #[error("{0}")]
    Conflict(String),
    /// It is still used.
    #[error("{0}")]
    InUse(String),
    /// A change restarts the endpoint VM, which is not to be yet.
    #[error(
        "a change restarts the endpoint VM {vm}, which {until}; until then it runs as before, and status.plan says what is done"
    )]
    RestartWaits {
        /// The VM's name.
        vm: String,
        /// What the restart waits for.
        until: String,
    },
    /// Containers run in a VCH that is to be deleted.
    #[error(
        "{count} containers still run in {vch}; stop them, or set spec.onDelete.runningContainers: Remove to delete them with it"
    )]
    ContainersRunning {
        /// How many.
        count: usize,
        /// The VCH's name.
        vch: String,
    },
}

pub(super) fn verdict_of(error: &PlanError) -> Verdict {
    use ConditionType::Programmed;
    match error {
        PlanError::Conflict(_) => verdict("Conflict", Programmed, Class::Blocked),
        PlanError::InUse(_) => verdict("InUse", Programmed, Class::Blocked),
        PlanError::RestartWaits { .. } => verdict("RestartPending", Programmed, Class::Blocked),
        PlanError::ContainersRunning { .. } => verdict("ContainersRunning", Programmed, Class::Blocked),
    }
}
