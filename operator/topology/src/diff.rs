//! Differences between what is wanted and what is, on the declared fields only.

use std::fmt;

use serde_json::{Map, Value};

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field's path, such as `subnets[0].gateway_address`.
    pub field: String,
    /// What is wanted, as JSON; empty where the field should be absent.
    pub want: String,
    /// What is there, as JSON; empty where it is absent.
    pub have: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: want {}, have {}",
            self.field,
            self.want,
            if self.have.is_empty() {
                "nothing"
            } else {
                &self.have
            }
        )
    }
}

/// Fields that someone may have set and that we leave undeclared: with a full replacing PATCH they would go
/// back to their defaults, so their presence is a difference. By type, because NSX fills in many others.
const UNDECLARED: [(&str, &[&str]); 2] = [
    (
        "Segment",
        &["connectivity_path", "subnets", "dhcp_config_path", "vlan_ids"],
    ),
    (
        "PolicyNatRule",
        &[
            "source_network",
            "destination_network",
            "translated_network",
            "translated_ports",
            "service",
            "scope",
        ],
    ),
];

/// The declared fields that differ.
#[must_use]
pub fn differences(resource_type: &str, desired: &Map<String, Value>, observed: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    for (field, want) in desired {
        compare(field, want, observed.get(field), &mut found);
    }
    let undeclared = UNDECLARED
        .iter()
        .filter(|(kind, _)| *kind == resource_type)
        .flat_map(|(_, fields)| fields.iter());
    for field in undeclared.filter(|field| !desired.contains_key(**field)) {
        if let Some(have) = observed.get(*field).filter(|have| !is_empty(have)) {
            found.push(Difference {
                field: (*field).to_owned(),
                want: String::new(),
                have: have.to_string(),
            });
        }
    }
    found
}

fn compare(field: &str, want: &Value, have: Option<&Value>, found: &mut Vec<Difference>) {
    let equal = match (want, have) {
        (Value::Object(want), Some(have)) if have.is_object() => {
            for (name, value) in want {
                compare(&format!("{field}.{name}"), value, have.get(name), found);
            }
            return;
        }
        (Value::Array(want), Some(Value::Array(have))) if is_set(field) => same_set(want, have),
        (Value::Array(want), Some(Value::Array(have))) if want.len() == have.len() => {
            for (position, (want, have)) in want.iter().zip(have).enumerate() {
                compare(&format!("{field}[{position}]"), want, Some(have), found);
            }
            return;
        }
        (want, Some(have)) => want == have,
        (want, None) => is_empty(want),
    };
    if !equal {
        let have = have.map(ToString::to_string).unwrap_or_default();
        found.push(Difference {
            field: field.to_owned(),
            want: want.to_string(),
            have,
        });
    }
}

/// Lists whose order means nothing.
fn is_set(field: &str) -> bool {
    ["tags", "source_groups", "destination_groups", "scope"].contains(&field)
}

fn same_set(want: &[Value], have: &[Value]) -> bool {
    want.len() == have.len() && want.iter().all(|item| have.contains(item))
}

/// What NSX leaves out, or fills in for what was left out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(kind: &str, want: Value, have: &Value) -> Vec<String> {
        let Value::Object(want) = want else {
            panic!("an object")
        };
        differences(kind, &want, have)
            .into_iter()
            .map(|difference| difference.field)
            .collect()
    }

    #[test]
    fn only_what_is_declared_counts() {
        let cases = [
            (json!({"a": 1}), json!({"a": 1, "b": 2, "_revision": 7}), vec![]),
            (json!({"a": 1}), json!({"a": 2}), vec!["a"]),
            (json!({"a": false, "b": "", "c": 0, "d": []}), json!({}), vec![]),
            (json!({"a": true}), json!({}), vec!["a"]),
            (
                json!({"s": [{"g": "x"}]}),
                json!({"s": [{"g": "x", "network": "n"}]}),
                vec![],
            ),
            (
                json!({"s": [{"g": "x"}]}),
                json!({"s": [{"g": "y"}]}),
                vec!["s[0].g"],
            ),
            (json!({"s": [{"g": "x"}]}), json!({"s": []}), vec!["s"]),
            (
                json!({"tags": [{"scope": "a"}, {"scope": "b"}]}),
                json!({"tags": [{"scope": "b"}, {"scope": "a"}]}),
                vec![],
            ),
            (
                json!({"tags": [{"scope": "a"}]}),
                json!({"tags": [{"scope": "a"}, {"scope": "b"}]}),
                vec!["tags"],
            ),
        ];
        for (want, have, expected) in cases {
            assert_eq!(fields("X", want.clone(), &have), expected, "{want} {have}");
        }
    }

    #[test]
    fn a_foreign_connection_of_an_isolated_segment_is_a_difference() {
        let want = json!({"display_name": "a"});
        assert!(
            fields(
                "Segment",
                want.clone(),
                &json!({"display_name": "a", "subnets": []})
            )
            .is_empty()
        );
        let have = json!({"display_name": "a", "connectivity_path": "/infra/tier-1s/x"});
        assert_eq!(fields("Segment", want, &have), ["connectivity_path"]);
    }
}
