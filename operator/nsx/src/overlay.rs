//! Own writes as they will read back, and whether a read shows them. Pure.

use serde_json::{Map, Value, json};

use crate::body::Body;
use crate::{Intent, path};

/// Read-only fields that count and survive a replacement of the object.
const LASTING: &[&str] = &["unique_id", "realization_id", "_system_owned", "_protection"];
/// Lists that a PATCH merges by id; all others it replaces. [vendor documentation on PATCH]
const MERGED: &[&str] = &["rules", "service_entries"];

/// The object as NSX will have it after `intent`, as far as that is known: declared fields over what lasts.
pub(crate) fn overlay(intent: &Intent, held: Option<&Body>) -> Body {
    let held = held.map(Body::fields).unwrap_or_default();
    let mut object = Map::new();
    for key in LASTING {
        if let Some(value) = held.get(*key) {
            object.insert((*key).to_owned(), value.clone());
        }
    }
    for (key, value) in &intent.body {
        let merged = if MERGED.contains(&key.as_str()) {
            merge(held.get(key), value)
        } else {
            value.clone()
        };
        object.insert(key.clone(), merged);
    }
    object
        .entry("display_name")
        .or_insert_with(|| json!(path::id(&intent.path)));
    Body::of(&Value::Object(object))
}

fn merge(held: Option<&Value>, declared: &Value) -> Value {
    let (Some(Value::Array(held)), Value::Array(declared)) = (held, declared) else {
        return declared.clone();
    };
    let same = |one: &Value, two: &Value| one.get("id").is_some() && one.get("id") == two.get("id");
    let kept = held
        .iter()
        .filter(|old| !declared.iter().any(|new| same(old, new)));
    Value::Array(kept.chain(declared).cloned().collect())
}

/// Whether a read of an object shows all that was declared.
pub(crate) fn shows(read: &Value, declared: &Map<String, Value>) -> bool {
    declared
        .iter()
        .all(|(key, wanted)| field_shows(key, read.get(key), wanted))
}

fn field_shows(key: &str, read: Option<&Value>, wanted: &Value) -> bool {
    match (read, wanted) {
        // What is empty may be left out of an answer, and the merged lists are only there in direct reads.
        (None, Value::Null) => true,
        (None, Value::Array(wanted)) => wanted.is_empty() || MERGED.contains(&key),
        (None, Value::Object(wanted)) => wanted.is_empty(),
        (None, _) => false,
        (Some(Value::Array(read)), Value::Array(wanted)) if MERGED.contains(&key) => wanted
            .iter()
            .all(|new| read.iter().any(|old| value_shows(old, new))),
        (Some(Value::Array(read)), Value::Array(wanted)) if key == "tags" => {
            read.len() == wanted.len()
                && wanted
                    .iter()
                    .all(|new| read.iter().any(|old| value_shows(old, new)))
        }
        (Some(read), wanted) => value_shows(read, wanted),
    }
}

fn value_shows(read: &Value, wanted: &Value) -> bool {
    match (read, wanted) {
        (Value::Object(_), Value::Object(wanted)) => shows(read, wanted),
        (Value::Array(read), Value::Array(wanted)) => {
            read.len() == wanted.len()
                && read
                    .iter()
                    .zip(wanted)
                    .all(|(read, wanted)| value_shows(read, wanted))
        }
        (Value::Number(read), Value::Number(wanted)) => read.as_f64() == wanted.as_f64(),
        (read, wanted) => read == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(body: Value) -> Intent {
        let Value::Object(body) = body else { panic!() };
        Intent {
            path: "/infra/segments/web".into(),
            resource_type: "Segment".into(),
            body,
        }
    }

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!() };
        map
    }

    #[test]
    fn an_overlay_keeps_what_lasts_and_drops_what_was_not_declared() {
        let held = json!({"realization_id": "r", "unique_id": "u", "vlan_ids": ["1"], "description": "old", "_revision": 4,
            "rules": [{"id": "a", "v": 1}, {"id": "b", "v": 1}]});
        let body = overlay(
            &intent(json!({"vlan_ids": ["2"], "rules": [{"id": "b", "v": 2}, {"id": "c"}]})),
            Some(&Body::of(&held)),
        );
        assert_eq!(
            Value::Object(body.fields()),
            json!({"realization_id": "r", "unique_id": "u", "vlan_ids": ["2"], "display_name": "web",
                "rules": [{"id": "a", "v": 1}, {"id": "b", "v": 2}, {"id": "c"}]})
        );
        assert_eq!(
            overlay(&intent(json!({"display_name": "Web"})), None).fields()["display_name"],
            "Web"
        );
    }

    #[test]
    fn a_read_shows_a_write_if_every_declared_field_is_there() {
        let cases = [
            (json!({"a": 1, "more": 2}), json!({"a": 1}), true),
            (json!({"a": 1.0}), json!({"a": 1}), true),
            (json!({"a": 1}), json!({"a": 2}), false),
            (json!({}), json!({"a": false}), false),
            (json!({}), json!({"a": null, "b": [], "c": {}}), true),
            (
                json!({"s": [{"g": 1, "extra": 1}]}),
                json!({"s": [{"g": 1}]}),
                true,
            ),
            (
                json!({"s": [{"g": 1}, {"g": 2}]}),
                json!({"s": [{"g": 1}]}),
                false,
            ),
            (json!({"s": [2, 1]}), json!({"s": [1, 2]}), false),
            (
                json!({"tags": [{"scope": "b", "tag": "2"}, {"scope": "a", "tag": "1"}]}),
                json!({"tags": [{"scope": "a", "tag": "1"}, {"scope": "b", "tag": "2"}]}),
                true,
            ),
            (
                json!({"tags": [{"scope": "a", "tag": "1"}]}),
                json!({"tags": []}),
                false,
            ),
            (
                json!({"rules": [{"id": "x"}, {"id": "y", "n": 1}]}),
                json!({"rules": [{"id": "y"}]}),
                true,
            ),
            (
                json!({"rules": [{"id": "x"}]}),
                json!({"rules": [{"id": "y"}]}),
                false,
            ),
            (json!({}), json!({"rules": [{"id": "y"}]}), true),
        ];
        for (read, declared, expected) in cases {
            assert_eq!(
                shows(&read, &map(declared.clone())),
                expected,
                "{read} / {declared}"
            );
        }
    }

    #[test]
    fn an_overlay_shows_its_own_intent() {
        let intent =
            intent(json!({"vlan_ids": ["2"], "tags": [{"scope": "a", "tag": "b"}], "rules": [{"id": "b"}]}));
        assert!(overlay(&intent, None).shows(&Body::of(&Value::Object(intent.body.clone()))));
    }
}
