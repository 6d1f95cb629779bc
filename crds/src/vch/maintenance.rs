//! When a VCH may restart.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{Period, PlanId, Schedule, TimeZone};

/// When the endpoint VM may be restarted for a change. What is changed without a restart is changed at once; containers
/// run on in any case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.policy) && self.policy == 'Windows') == has(self.windows)").message("windows must be set with policy Windows, and only then"))]
pub struct Maintenance {
    /// What a restart waits for. Absent: `Immediate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<MaintenancePolicy>,
    /// When restarts may begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub windows: Vec<MaintenanceWindow>,
    /// The plan that may be executed at once, as `status.planID` names it. Any other waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_plan: Option<PlanId>,
}

/// What a restart waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MaintenancePolicy {
    /// Nothing.
    #[default]
    Immediate,
    /// One of the windows, or `approvedPlan`.
    Windows,
    /// `approvedPlan`.
    Approval,
}

/// A time in which restarts may begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceWindow {
    /// When it opens: minute, hour, day of the month, month, day of the week, as cron has them.
    pub schedule: Schedule,
    /// How long it is open, at least `1m`.
    pub duration: Period,
    /// The time zone of the schedule, such as `Europe/Berlin`. Absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
}
