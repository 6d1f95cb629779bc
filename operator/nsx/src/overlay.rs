//! Own writes as they will read back, and whether a read shows them. Pure.

use serde_json::{Map, Value, json};

use crate::Intent;
use crate::path;

/// Read-only fields that survive a replacement of the object.
const LASTING: &[&str] = &[
    "unique_id",
    "realization_id",
    "owner_id",
    "origin_site_id",
    "remote_path",
    "parent_path",
    "relative_path",
    "_create_user",
    "_create_time",
    "_system_owned",
    "_protection",
    "overridden",
];
/// Fields that change without a change of content.
const VOLATILE: &[&str] = &[
    "_revision",
    "_last_modified_time",
    "_last_modified_user",
    "_create_time",
    "_create_user",
    "status",
];
/// Lists that a PATCH merges by id; all others it replaces. [vendor documentation on PATCH]
const MERGED: &[&str] = &["rules", "service_entries"];

/// The object as NSX will have it after `intent`, as far as that is known: declared fields over what lasts.
pub(crate) fn overlay(intent: &Intent, held: Option<&Value>) -> Value {
    let mut object = Map::new();
    for key in LASTING {
        if let Some(value) = held.and_then(|held| held.get(*key)) {
            object.insert((*key).to_owned(), value.clone());
        }
    }
    for (key, value) in &intent.body {
        let merged = if MERGED.contains(&key.as_str()) {
            merge(held.and_then(|held| held.get(key)), value)
        } else {
            value.clone()
        };
        object.insert(key.clone(), merged);
    }
    let id = path::id(&intent.path);
    object.insert("id".to_owned(), json!(id));
    object.insert("path".to_owned(), json!(intent.path));
    object.insert("resource_type".to_owned(), json!(intent.resource_type));
    object.entry("display_name").or_insert_with(|| json!(id));
    Value::Object(object)
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

/// Whether two reads differ in nothing that counts.
pub(crate) fn same_content(one: &Value, two: &Value) -> bool {
    let (Value::Object(one), Value::Object(two)) = (one, two) else {
        return one == two;
    };
    let counts = |key: &str| !VOLATILE.contains(&key);
    let kept = |map: &Map<String, Value>| map.keys().filter(|key| counts(key)).count();
    kept(one) == kept(two)
        && one
            .iter()
            .filter(|(key, _)| counts(key))
            .all(|(key, value)| two.get(key) == Some(value))
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
            Some(&held),
        );
        assert_eq!(
            body,
            json!({"realization_id": "r", "unique_id": "u", "vlan_ids": ["2"], "id": "web", "display_name": "web",
                "path": "/infra/segments/web", "resource_type": "Segment",
                "rules": [{"id": "a", "v": 1}, {"id": "b", "v": 2}, {"id": "c"}]})
        );
        assert_eq!(
            overlay(&intent(json!({"display_name": "Web"})), None)["display_name"],
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
        assert!(shows(&overlay(&intent, None), &intent.body));
    }

    #[test]
    fn revisions_and_times_are_no_content() {
        let one = json!({"a": 1, "_revision": 1, "status": {"x": 1}});
        assert!(same_content(
            &one,
            &json!({"a": 1, "_revision": 2, "_last_modified_time": 9})
        ));
        assert!(!same_content(&one, &json!({"a": 2, "_revision": 1})));
        assert!(!same_content(&one, &json!({"a": 1, "b": 1})));
        assert!(!same_content(&one, &json!({"_revision": 1})));
    }
}
