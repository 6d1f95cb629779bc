//! Plans: what would be done, why, and in which order.

use std::fmt;

use serde_json::Value;

use crate::diff::{Difference, differences};
use crate::intent::{Change, Intent, word};

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
    /// To what, such as `segment VIC-Bridge`.
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

/// What makes NSX match: creates and updates in the order of `desired`, then deletes of what is there and is
/// named by `obsolete` (policy path and NSX type).
///
/// A write keeps other people's tags, which NSX would else drop with every other field that is not written.
#[must_use]
pub fn nsx_plan(
    desired: &[Intent],
    observe: impl Fn(&str) -> Option<Value>,
    obsolete: &[(String, String)],
) -> Plan<Change> {
    let mut steps = Vec::new();
    for intent in desired {
        let Some(observed) = observe(&intent.path) else {
            steps.push(put(Verb::Create, "it does not exist".to_owned(), intent.clone()));
            continue;
        };
        let differ = differences(intent.resource_type, &intent.body, &observed);
        if !differ.is_empty() {
            let reasons: Vec<String> = differ.iter().map(Difference::to_string).collect();
            steps.push(put(
                Verb::Update,
                reasons.join("; "),
                intent.keeping_tags_of(&observed),
            ));
            steps.extend(surplus_entries(intent, &observed));
        }
    }
    for (path, resource_type) in obsolete {
        if let Some(observed) = observe(path) {
            steps.push(delete(
                path,
                resource_type,
                name_of(&observed).unwrap_or(path),
                "nothing asks for it any more",
            ));
        }
    }
    Plan { steps }
}

fn put(verb: Verb, reason: String, intent: Intent) -> Step<Change> {
    Step {
        verb,
        what: intent.what(),
        reason,
        action: Change::Put(intent),
    }
}

fn delete(path: &str, resource_type: &str, name: &str, reason: &str) -> Step<Change> {
    Step {
        verb: Verb::Delete,
        what: format!("{} {name}", word(resource_type)),
        reason: reason.to_owned(),
        action: Change::Delete {
            path: path.to_owned(),
            resource_type: resource_type.to_owned(),
        },
    }
}

fn name_of(observed: &Value) -> Option<&str> {
    observed.get("display_name").and_then(Value::as_str)
}

/// Entries of a Service that nobody declared. A PATCH merges entries into the set, so that each has to be
/// taken away by itself.
fn surplus_entries(intent: &Intent, observed: &Value) -> Vec<Step<Change>> {
    fn entries(service: Option<&Value>) -> impl Iterator<Item = &Value> {
        service.and_then(Value::as_array).into_iter().flatten()
    }
    let field = "service_entries";
    let id = |entry: &Value| entry.get("id").and_then(Value::as_str).map(str::to_owned);
    let declared: Vec<_> = entries(intent.body.get(field)).map(id).collect();
    let surplus = entries(observed.get(field)).filter(|_| intent.resource_type == "Service");
    surplus
        .filter(|entry| !declared.contains(&id(entry)))
        .filter_map(|entry| {
            let id = id(entry)?;
            let kind = entry
                .get("resource_type")
                .and_then(Value::as_str)
                .unwrap_or("ServiceEntry");
            Some(delete(
                &format!("{}/service-entries/{id}", intent.path),
                kind,
                &id,
                "nobody declared it",
            ))
        })
        .collect()
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
        let world: HashMap<String, Value> = [
            ("/infra/x/2".to_owned(), json!({"display_name": "x2", "v": 1})),
            (
                "/infra/segments/3".to_owned(),
                json!({"display_name": "VIC-Bridge"}),
            ),
        ]
        .into();
        let obsolete = [
            ("/infra/segments/3".into(), "Segment".into()),
            ("/infra/x/4".into(), "X".into()),
        ];
        let plan = nsx_plan(
            &[intent(1, 5), intent(2, 5)],
            |path| world.get(path).cloned(),
            &obsolete,
        );
        assert_eq!(
            plan.to_string(),
            "create X x1: it does not exist\nupdate X x2: v: want 5, have 1\ndelete segment VIC-Bridge: nothing asks for it any more",
            "what is gone already is not deleted"
        );
    }

    #[test]
    fn a_write_keeps_the_tags_of_other_people() {
        let own = |uid: &str| json!({"scope": "vic-operator/uid", "tag": uid});
        let team = json!({"scope": "team", "tag": "a"});
        let wanted = Intent::new("/infra/x/1".into(), "X", json!({"tags": [own("new")]}));
        let plan = nsx_plan(&[wanted], |_| Some(json!({"tags": [team, own("old")]})), &[]);
        let [
            Step {
                action: Change::Put(put),
                ..
            },
        ] = plan.steps.as_slice()
        else {
            panic!("{plan}")
        };
        assert_eq!(put.body["tags"], json!([own("new"), team]));
    }

    #[test]
    fn an_entry_that_nobody_declared_is_taken_out_of_a_service() {
        let entry =
            |id: &str| json!({"id": id, "resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP"});
        let wanted = Intent::new(
            "/infra/services/s".into(),
            "Service",
            json!({"service_entries": [entry("tcp")]}),
        );
        let there = json!({"service_entries": [entry("tcp"), entry("more")]});
        let plan = nsx_plan(&[wanted], |_| Some(there.clone()), &[]);
        let gone = Change::Delete {
            path: "/infra/services/s/service-entries/more".into(),
            resource_type: "L4PortSetServiceEntry".into(),
        };
        assert_eq!(
            plan.steps.iter().filter(|step| step.verb == Verb::Delete).count(),
            1
        );
        assert_eq!(plan.steps.last().unwrap().action, gone);
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
