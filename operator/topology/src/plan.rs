//! Plans: what would be done, why, and in which order.

use std::fmt;

use serde_json::Value;

use crate::diff::{Difference, differences};
use crate::intent::{Change, Intent};

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Makes something new.
    Create,
    /// Changes what is there.
    Update,
    /// Takes it away.
    Delete,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        })
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<A> {
    /// What it does.
    pub verb: Verb,
    /// To what, such as `Segment VIC-Bridge`.
    pub what: String,
    /// Why, such as `vlan_ids: want 120, have 999`.
    pub reason: String,
    /// The change itself.
    pub action: A,
}

/// Steps in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<A> {
    /// The steps.
    pub steps: Vec<Step<A>>,
}

impl<A> Default for Plan<A> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<A> Plan<A> {
    /// Whether nothing is to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The plan as lines for a person.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.steps
            .iter()
            .map(|step| format!("{} {}: {}", step.verb, step.what, step.reason))
            .collect()
    }
}

impl<A> fmt::Display for Plan<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

/// What makes NSX match: creates and updates in the order of `desired`, then deletes.
#[must_use]
pub fn nsx_plan(
    desired: &[Intent],
    observe: impl Fn(&str) -> Option<Value>,
    obsolete: &[(String, String)],
) -> Plan<Change> {
    let mut steps = Vec::new();
    for intent in desired {
        let (verb, reason) = match observe(&intent.path) {
            None => (Verb::Create, "it does not exist".to_owned()),
            Some(observed) => {
                let differ = differences(intent.resource_type, &intent.body, &observed);
                if differ.is_empty() {
                    continue;
                }
                (
                    Verb::Update,
                    differ
                        .iter()
                        .map(Difference::to_string)
                        .collect::<Vec<_>>()
                        .join("; "),
                )
            }
        };
        steps.push(Step {
            verb,
            what: intent.what(),
            reason,
            action: Change::Put(intent.clone()),
        });
    }
    for (path, resource_type) in obsolete {
        steps.push(Step {
            verb: Verb::Delete,
            what: format!("{resource_type} {path}"),
            reason: "nothing asks for it any more".to_owned(),
            action: Change::Delete {
                path: path.clone(),
                resource_type: resource_type.clone(),
            },
        });
    }
    Plan { steps }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn intent(name: u8, value: u8) -> Intent {
        Intent::new(
            format!("/infra/x/{name}"),
            "X",
            json!({"display_name": format!("x{name}"), "v": value}),
        )
    }

    #[test]
    fn a_plan_is_printed_with_its_reasons() {
        let world: HashMap<String, Value> =
            [("/infra/x/2".to_owned(), json!({"display_name": "x2", "v": 1}))].into();
        let plan = nsx_plan(
            &[intent(1, 5), intent(2, 5)],
            |path| world.get(path).cloned(),
            &[("/infra/x/3".into(), "X".into())],
        );
        assert_eq!(
            plan.to_string(),
            "create X x1: it does not exist\nupdate X x2: v: want 5, have 1\ndelete X /infra/x/3: nothing asks for it any more"
        );
    }

    proptest! {
        #[test]
        fn after_a_plan_nothing_is_left_to_do(wanted in prop::collection::btree_map(0_u8..8, 0_u8..4, 0..8), there in prop::collection::btree_map(0_u8..8, 0_u8..4, 0..8)) {
            let mut world: HashMap<String, Value> = there.iter().map(|(n, v)| (intent(*n, *v).path, Value::Object(intent(*n, *v).body))).collect();
            let desired: Vec<Intent> = wanted.iter().map(|(n, v)| intent(*n, *v)).collect();
            let plan = nsx_plan(&desired, |path| world.get(path).cloned(), &[]);
            for step in plan.steps {
                if let Change::Put(intent) = step.action {
                    world.insert(intent.path, Value::Object(intent.body));
                }
            }
            prop_assert!(nsx_plan(&desired, |path| world.get(path).cloned(), &[]).is_empty());
        }
    }
}
