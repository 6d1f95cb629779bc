//! When a VCH may restart: at once, in a window, or when its plan was approved.

use std::time::Duration;

use cronexpr::Crontab;
use k8s_openapi::jiff::Timestamp;
use vic_crds::{Maintenance as Spec, MaintenancePolicy, MaintenanceWindow};

use crate::failure::{Findings, ValidateError};

/// The shortest window: schedules count in minutes.
const SHORTEST: u64 = 60;

/// When restarts may begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Maintenance {
    policy: MaintenancePolicy,
    windows: Vec<Window>,
    approved: Option<String>,
}

#[derive(Clone, Debug)]
struct Window {
    opens: Crontab,
    length: Duration,
}

/// Whether a restart may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may.
    Open,
    /// Not before then.
    ClosedUntil(Timestamp),
    /// Not before its plan is approved.
    NotApproved,
}

impl Maintenance {
    /// Whether a restart for that plan may begin.
    pub(super) fn gate(&self, plan: &str, now: Timestamp) -> Gate {
        if self.policy == MaintenancePolicy::Immediate || self.approved.as_deref() == Some(plan) {
            return Gate::Open;
        }
        if self.windows.iter().any(|window| window.is_open(now)) {
            return Gate::Open;
        }
        // Windows that never open again leave the approval.
        let next = self.windows.iter().filter_map(|window| window.next(now)).min();
        next.map_or(Gate::NotApproved, Gate::ClosedUntil)
    }
}

impl Window {
    /// The first time it opens after `after`.
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.opens.find_next(after).ok().map(|next| next.timestamp())
    }

    /// It is open if it opened within its length before now.
    fn is_open(&self, now: Timestamp) -> bool {
        now.checked_sub(self.length)
            .ok()
            .and_then(|since| self.next(since))
            .is_some_and(|opened| opened <= now)
    }
}

/// What a restart for that plan waits for, in words; `None` if it may begin.
pub(super) fn waits_for(maintenance: &Maintenance, plan: &str, now: Timestamp) -> Option<String> {
    match maintenance.gate(plan, now) {
        Gate::Open => None,
        Gate::ClosedUntil(time) => Some(format!(
            "waits for the maintenance window that opens at {time} or for spec.maintenance.approvedPlan: {plan}"
        )),
        Gate::NotApproved => Some(format!("waits for spec.maintenance.approvedPlan: {plan}")),
    }
}

/// Reads the spec.
///
/// # Errors
/// A schedule, a length or a time zone that means nothing.
pub(super) fn resolve(spec: Option<&Spec>) -> Result<Maintenance, ValidateError> {
    let spec = spec.cloned().unwrap_or_default();
    let mut findings = Findings::default();
    let windows: Vec<Window> = spec
        .windows
        .iter()
        .enumerate()
        .filter_map(|(number, spec)| findings.take(window(number, spec)))
        .collect();
    findings.conclude(Some(Maintenance {
        policy: spec.policy.unwrap_or_default(),
        windows,
        approved: spec.approved_plan.map(|plan| plan.to_string()),
    }))
}

fn window(number: usize, spec: &MaintenanceWindow) -> Result<Window, ValidateError> {
    let invalid = |field: &str, rule: String| ValidateError::Invalid {
        field: format!("spec.maintenance.windows[{number}].{field}"),
        rule,
    };
    let seconds = spec.duration.seconds().filter(|seconds| *seconds >= SHORTEST);
    let seconds =
        seconds.ok_or_else(|| invalid("duration", "must be a length of time of at least 1m".to_owned()))?;
    let zone = spec.time_zone.as_ref().map_or("UTC", |zone| zone);
    let opens = cronexpr::parse_crontab(&format!("{} {zone}", spec.schedule)).map_err(|_| {
        let rule = format!("{} in time zone {zone} is no schedule of cron", spec.schedule);
        invalid("schedule", rule)
    })?;
    Ok(Window {
        opens,
        length: Duration::from_secs(seconds),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(spec: Value) -> Result<Maintenance, String> {
        resolve(Some(&serde_json::from_value(spec).unwrap())).map_err(|error| error.to_string())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn without_a_word_restarts_are_immediate() {
        assert_eq!(
            resolve(None).unwrap().gate("a", at("2026-01-01T00:00:00Z")),
            Gate::Open
        );
    }

    #[test]
    fn a_window_is_open_from_its_opening_for_its_length() {
        // Saturdays from two to six in the morning in Berlin: an hour earlier in UTC, two in summer.
        let maintenance = of(json!({"policy": "Windows", "windows": [
            {"schedule": "0 2 * * SAT", "duration": "4h", "timeZone": "Europe/Berlin"},
        ]}))
        .unwrap();
        let cases = [
            (
                "2026-01-03T00:59:59Z",
                Gate::ClosedUntil(at("2026-01-03T01:00:00Z")),
            ),
            ("2026-01-03T01:00:00Z", Gate::Open),
            ("2026-01-03T04:59:59Z", Gate::Open),
            (
                "2026-01-03T05:00:00Z",
                Gate::ClosedUntil(at("2026-01-10T01:00:00Z")),
            ),
            ("2026-07-04T00:00:00Z", Gate::Open),
        ];
        for (now, gate) in cases {
            assert_eq!(maintenance.gate("a", at(now)), gate, "{now}");
        }
    }

    #[test]
    fn the_next_of_several_windows_is_told() {
        let maintenance = of(json!({"policy": "Windows", "windows": [
            {"schedule": "0 2 1 * *", "duration": "1h"}, {"schedule": "30 3 * * *", "duration": "10m"},
        ]}))
        .unwrap();
        assert_eq!(
            maintenance.gate("a", at("2026-01-03T04:00:00Z")),
            Gate::ClosedUntil(at("2026-01-04T03:30:00Z"))
        );
        assert_eq!(maintenance.gate("a", at("2026-01-04T03:39:00Z")), Gate::Open);
    }

    #[test]
    fn an_approved_plan_goes_ahead_and_no_other() {
        let now = at("2026-01-03T12:00:00Z");
        for spec in [
            json!({"policy": "Approval", "approvedPlan": "0123456789ab"}),
            json!({"policy": "Windows", "approvedPlan": "0123456789ab",
                   "windows": [{"schedule": "0 2 * * *", "duration": "1h"}]}),
        ] {
            let maintenance = of(spec.clone()).unwrap();
            assert_eq!(maintenance.gate("0123456789ab", now), Gate::Open, "{spec}");
            assert_ne!(maintenance.gate("ba9876543210", now), Gate::Open, "{spec}");
        }
        let nobody = of(json!({"policy": "Approval"})).unwrap();
        assert_eq!(nobody.gate("0123456789ab", now), Gate::NotApproved);
    }

    #[test]
    fn what_means_nothing_is_refused_by_its_field_all_of_it() {
        let refused = of(json!({"policy": "Windows", "windows": [
            {"schedule": "0 25 * * *", "duration": "1h"},
            {"schedule": "0 2 * * *", "duration": "59s"},
            {"schedule": "0 2 * * *", "duration": "1h", "timeZone": "Europe/Atlantis"},
        ]}))
        .unwrap_err();
        for field in [
            "windows[0].schedule",
            "windows[1].duration",
            "windows[2].schedule",
        ] {
            assert!(refused.contains(field), "{refused}");
        }
    }
}
