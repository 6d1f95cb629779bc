//! metav1 conditions: which there are, and how a set of them follows from one summary.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Condition types, as api.md names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The spec is valid and allowed.
    Accepted,
    /// Everything it refers to is there.
    ResolvedRefs,
    /// In effect, as vSphere and NSX tell.
    Programmed,
    /// The summary.
    Ready,
    /// Will pass by itself.
    Reconciling,
    /// Only the user can act.
    Stalled,
    /// The world outside differs and is left so.
    Drifted,
    /// Someone else holds what this object wants.
    Conflict,
    /// The operator leaves the object alone.
    Paused,
    /// What a rule points at is there.
    TargetResolved,
    /// The VCH's Docker API answers.
    DockerApiReachable,
}

impl ConditionType {
    /// The type as it stands in a status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Drifted => "Drifted",
            Self::Conflict => "Conflict",
            Self::Paused => "Paused",
            Self::TargetResolved => "TargetResolved",
            Self::DockerApiReachable => "DockerAPIReachable",
        }
    }
}

/// Three-valued truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

impl Truth {
    fn name(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

/// What a status says, in one place; [`Summary::conditions`] derives the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// `Ready`.
    pub ready: Truth,
    /// The reason in one PascalCase word.
    pub reason: &'static str,
    /// One plain sentence; stands in `Ready` only.
    pub message: String,
    /// The stage that did not pass, one of `Accepted`, `ResolvedRefs`, `Programmed`.
    pub failed: Option<ConditionType>,
    /// Why the spec as it stands is not taken over, while what was before stays in effect.
    pub declined: Option<&'static str>,
    /// Whether it will pass by itself.
    pub reconciling: bool,
    /// Whether only the user can act.
    pub stalled: bool,
    /// Conditions that stand only where they apply.
    pub extra: Vec<(ConditionType, Truth, &'static str)>,
}

impl Summary {
    /// Everything is as declared.
    #[must_use]
    pub fn ready(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            ready: Truth::True,
            reason,
            message: message.into(),
            failed: None,
            declined: None,
            reconciling: false,
            stalled: false,
            extra: Vec::new(),
        }
    }

    /// The conditions of this summary; those that did not change their status keep their time.
    #[must_use]
    pub fn conditions(
        &self,
        generation: Option<i64>,
        previous: &[Condition],
        now: Timestamp,
    ) -> Vec<Condition> {
        let stages = [
            ConditionType::Accepted,
            ConditionType::ResolvedRefs,
            ConditionType::Programmed,
        ];
        let failed_at = self
            .failed
            .and_then(|failed| stages.iter().position(|stage| *stage == failed));
        let mut set: Vec<(ConditionType, Truth, &'static str, &str)> = Vec::new();
        for (position, stage) in stages.into_iter().enumerate() {
            let truth = match failed_at {
                Some(failed) if position == failed => Truth::False,
                Some(failed) if position > failed => Truth::Unknown,
                _ => Truth::True,
            };
            let reason = if truth == Truth::True {
                stage.name()
            } else {
                self.reason
            };
            match self.declined {
                Some(reason) if stage == ConditionType::Accepted => {
                    set.push((stage, Truth::False, reason, ""));
                }
                _ => set.push((stage, truth, reason, "")),
            }
        }
        set.push((ConditionType::Ready, self.ready, self.reason, &self.message));
        set.push((
            ConditionType::Reconciling,
            self.reconciling.into(),
            self.reason,
            "",
        ));
        set.push((ConditionType::Stalled, self.stalled.into(), self.reason, ""));
        set.extend(
            self.extra
                .iter()
                .map(|(kind, truth, reason)| (*kind, *truth, *reason, "")),
        );
        set.into_iter()
            .map(|(kind, truth, reason, message)| {
                let before = previous.iter().find(|known| known.type_ == kind.name());
                let unchanged = before.filter(|known| known.status == truth.name());
                Condition {
                    type_: kind.name().to_owned(),
                    status: truth.name().to_owned(),
                    reason: reason.to_owned(),
                    message: message.to_owned(),
                    observed_generation: generation,
                    last_transition_time: unchanged
                        .map_or(Time(now), |known| known.last_transition_time.clone()),
                }
            })
            .collect()
    }
}

/// The reason in `Ready`, as a status has it now.
#[must_use]
pub fn ready_reason(conditions: &[Condition]) -> Option<&str> {
    conditions
        .iter()
        .find(|known| known.type_ == ConditionType::Ready.name())
        .map(|known| known.reason.as_str())
}

/// The status of `Ready`; `Unknown` where there is none.
#[must_use]
pub fn ready_status(conditions: &[Condition]) -> &'static str {
    let ready = conditions
        .iter()
        .find(|known| known.type_ == ConditionType::Ready.name());
    let truths = [Truth::True, Truth::False];
    truths
        .into_iter()
        .find(|truth| ready.is_some_and(|ready| ready.status == truth.name()))
        .unwrap_or(Truth::Unknown)
        .name()
}

/// Whether a status says `Ready=True`.
#[must_use]
pub fn is_ready(conditions: &[Condition]) -> bool {
    conditions
        .iter()
        .any(|known| known.type_ == ConditionType::Ready.name() && known.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status<'a>(conditions: &'a [Condition], kind: &str) -> &'a str {
        conditions
            .iter()
            .find(|known| known.type_ == kind)
            .map_or("absent", |known| known.status.as_str())
    }

    #[test]
    fn stages_before_the_failed_one_hold_and_later_ones_are_unknown() {
        let summary = Summary {
            ready: Truth::False,
            failed: Some(ConditionType::ResolvedRefs),
            reconciling: true,
            ..Summary::ready("NetworkNotReady", "waits")
        };
        let conditions = summary.conditions(Some(3), &[], Timestamp::UNIX_EPOCH);
        let expected = [
            ("Accepted", "True"),
            ("ResolvedRefs", "False"),
            ("Programmed", "Unknown"),
            ("Ready", "False"),
            ("Reconciling", "True"),
            ("Stalled", "False"),
            ("Conflict", "absent"),
        ];
        for (kind, truth) in expected {
            assert_eq!(status(&conditions, kind), truth, "{kind}");
        }
        assert!(
            conditions
                .iter()
                .all(|known| known.observed_generation == Some(3))
        );
        let told: Vec<_> = conditions
            .iter()
            .filter(|known| !known.message.is_empty())
            .collect();
        assert_eq!(told.len(), 1, "the sentence stands in Ready only");
    }

    #[test]
    fn what_is_declined_leaves_what_was_in_effect() {
        let summary = Summary {
            declined: Some("RangesGrowOnly"),
            ..Summary::ready("Ready", "")
        };
        let conditions = summary.conditions(None, &[], Timestamp::UNIX_EPOCH);
        for (kind, truth) in [
            ("Accepted", "False"),
            ("ResolvedRefs", "True"),
            ("Programmed", "True"),
            ("Ready", "True"),
        ] {
            assert_eq!(status(&conditions, kind), truth, "{kind}");
        }
    }

    #[test]
    fn a_condition_that_holds_on_keeps_its_time() {
        let first = Summary::ready("Ready", "").conditions(Some(1), &[], Timestamp::UNIX_EPOCH);
        let later = Timestamp::from_second(1_000).unwrap();
        let second = Summary {
            ready: Truth::False,
            ..Summary::ready("Conflict", "taken")
        }
        .conditions(Some(2), &first, later);
        let time = |kind: &str| {
            second
                .iter()
                .find(|known| known.type_ == kind)
                .unwrap()
                .last_transition_time
                .0
        };
        assert_eq!(time("Accepted"), Timestamp::UNIX_EPOCH);
        assert_eq!(time("Ready"), later);
    }
}
