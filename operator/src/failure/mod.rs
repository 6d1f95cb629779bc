//! Why a reconcile did not reach Ready: one error enum per step, and one exhaustive mapping from each
//! error to the reason users read, the condition it falsifies and how it is retried.

mod apply;
#[cfg(test)]
mod checks_doc;
mod dereference;
mod engines;
mod findings;
mod plan;
mod validate;

pub use apply::ApplyError;
pub use dereference::DereferenceError;
pub use findings::Findings;
pub use plan::PlanError;
pub use validate::ValidateError;

use crate::conditions::{ConditionType, Summary, Truth};

/// Any of the four.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// From *dereference*.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// From *validate*.
    #[error(transparent)]
    Validate(#[from] ValidateError),
    /// From *plan*.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// From *apply*.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// How a failure is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Under way: an event will tell.
    Progress,
    /// Passes by itself: with growing back-off.
    Transient,
    /// Waits for something else to change, which will tell; looked at again now and then.
    Blocked,
    /// Only the user can act.
    Terminal,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The reason in conditions, events and metrics.
    pub reason: &'static str,
    /// The condition that is False.
    pub condition: ConditionType,
    /// How it is retried.
    pub class: Class,
}

const fn verdict(reason: &'static str, condition: ConditionType, class: Class) -> Verdict {
    Verdict {
        reason,
        condition,
        class,
    }
}

impl Failure {
    /// The one mapping.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Dereference(error) => dereference::verdict_of(error),
            Self::Validate(error) => validate::verdict_of(error),
            Self::Plan(error) => plan::verdict_of(error),
            Self::Apply(error) => apply::verdict_of(error),
        }
    }

    /// What a status says of it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let verdict = self.verdict();
        let mut extra = Vec::new();
        if verdict.reason == "Conflict" {
            extra.push((ConditionType::Conflict, Truth::True, verdict.reason));
        }
        if let Self::Apply(ApplyError::DockerApi { .. }) = self {
            extra.push((ConditionType::DockerApiReachable, Truth::False, verdict.reason));
        }
        Summary {
            ready: Truth::False,
            reason: verdict.reason,
            message: sentences(&self.to_string()),
            failed: Some(verdict.condition),
            declined: None,
            reconciling: verdict.class != Class::Terminal,
            stalled: verdict.class == Class::Terminal,
            extra,
        }
    }
}

/// Each line as one sentence.
fn sentences(text: &str) -> String {
    text.lines().map(sentence).collect::<Vec<_>>().join("\n")
}

/// The text as one sentence: a capital at its head, unless a name stands there that has none, and a full stop at its end.
fn sentence(text: &str) -> String {
    if ["vCenter", "vSphere", "spec."]
        .iter()
        .any(|name| text.starts_with(name))
    {
        return format!("{}.", text.trim_end_matches('.'));
    }
    let mut chars = text.trim_end_matches('.').chars();
    let head = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{head}{}.", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_falsifies_its_own_condition() {
        let cases: [(Failure, &str, ConditionType, Class); 5] = [
            (
                DereferenceError::SiteMissing("poc".into()).into(),
                "SiteNotFound",
                ConditionType::ResolvedRefs,
                Class::Blocked,
            ),
            (
                ValidateError::NotAllowed {
                    what: "VLAN 9".into(),
                    namespace: "a".into(),
                    site: "poc".into(),
                }
                .into(),
                "NotAllowed",
                ConditionType::Accepted,
                Class::Terminal,
            ),
            (
                PlanError::Conflict("taken".into()).into(),
                "Conflict",
                ConditionType::Programmed,
                Class::Blocked,
            ),
            (
                ApplyError::Realizing("it is there".into()).into(),
                "Realizing",
                ConditionType::Programmed,
                Class::Progress,
            ),
            (
                ApplyError::VSphere(vsphere::Error::InvalidLogin).into(),
                "InvalidCredentials",
                ConditionType::Programmed,
                Class::Blocked,
            ),
        ];
        for (failure, reason, condition, class) in cases {
            assert_eq!(
                failure.verdict(),
                Verdict {
                    reason,
                    condition,
                    class
                },
                "{failure}"
            );
        }
    }

    #[test]
    fn a_summary_is_one_plain_sentence() {
        let summary = Failure::from(PlanError::Conflict("port group Docker-Public exists".into())).summary();
        assert_eq!(summary.message, "Port group Docker-Public exists.");
        assert!(summary.reconciling && !summary.stalled);
        assert_eq!(summary.extra.len(), 1, "a conflict has a condition of its own");
    }
}
