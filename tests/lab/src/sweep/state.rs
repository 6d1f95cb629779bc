//! What a scenario made, told without names and numbers that differ from one run to the next.

use crate::kinds::{Key, told};
use crate::watch::Objects;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Scope of the tag that every object of the operator in NSX carries.
const INSTANCE: &str = "vic-operator/instance";
/// Scopes of the tags that say whose an object in NSX is.
const OWNER: [&str; 3] = ["vic-operator/kind", "vic-operator/namespace", "vic-operator/name"];
/// Scope of the tag that differs with every object.
const UID: &str = "vic-operator/uid";
/// Fields of NSX that say when, how often or under which number something was made.
const NUMBERED: [&str; 8] = [
    "unique_id",
    "realization_id",
    "rule_id",
    "internal_id",
    "marked_for_delete",
    "overridden",
    "status",
    "owner_id",
];
/// What of vCenter's objects is compared, by list of the dump: places of fields in the object.
const SHOWN: [(&str, &[&str]); 4] = [
    ("port_groups", &["/name", "/description", "/vlan", "/num_ports"]),
    (
        "vms",
        &["/name", "/vm_path", "/power", "/num_cpus", "/memory_mb", "/guest"],
    ),
    (
        "pools",
        &[
            "/name",
            "/path",
            "/config/cpuAllocation",
            "/config/memoryAllocation",
        ],
    ),
    ("folders", &["/name", "/path"]),
];

/// The state, a line for each object.
pub type State = BTreeSet<String>;

/// What exists of a scenario whose names end in `suffix`: in NSX and vCenter as the dumps have it, and the conditions of
/// its objects.
#[must_use]
pub fn of(nsx: &Value, vcenter: &Value, objects: &Objects, keys: &[Key], suffix: &str) -> State {
    let mut known: Vec<(String, String)> = keys
        .iter()
        .filter_map(|key| objects.get(key)?.object.metadata.uid.clone())
        .map(|uid| (uid, "(uid)".to_owned()))
        .collect();
    let own: Vec<&Map<String, Value>> = nsx
        .get("intents")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::values)
        .filter_map(Value::as_object)
        // What NSX is taking away is in its dump until it is gone.
        .filter(|object| object.get("marked_for_delete") != Some(&Value::Bool(true)))
        .filter(|object| tag(object, INSTANCE).is_some())
        .collect();
    // Ids come from names, and other objects refer to them.
    known.extend(own.iter().filter_map(|object| {
        let owner: Option<Vec<&str>> = OWNER.iter().map(|scope| tag(object, scope)).collect();
        let id = object.get("id").and_then(Value::as_str)?;
        Some((id.to_owned(), owner?.join("/")))
    }));
    known.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    known.push((suffix.to_owned(), String::new()));
    let told = |text: String| {
        known
            .iter()
            .fold(text, |text, (from, to)| text.replace(from.as_str(), to))
    };
    let in_nsx = own
        .iter()
        .map(|object| format!("nsx {}", Value::Object(declared(object))));
    let in_vcenter = SHOWN
        .iter()
        .flat_map(|(list, fields)| in_vcenter(vcenter, list, fields, suffix));
    let files = members(vcenter, "files")
        .filter_map(|file| file.get("path")?.as_str())
        .filter(|path| path.contains(suffix) && !is_incidental(path))
        .map(|path| format!("vcenter file {path}"));
    let declared = keys.iter().filter_map(|key| {
        let seen = objects.get(key)?;
        Some(format!("{key} {}", conditions(&seen.object)))
    });
    count(
        in_nsx
            .chain(in_vcenter)
            .chain(files)
            .chain(declared)
            .map(told)
            .collect(),
    )
}

/// Of equal lines all but the first get a number: what is doubled shows.
fn count(lines: Vec<String>) -> State {
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    let mut numbered = |line: String| {
        let times = times.entry(line.clone()).or_default();
        *times += 1;
        match *times {
            1 => line,
            n => format!("{line} #{n}"),
        }
    };
    lines.into_iter().map(&mut numbered).collect()
}

/// A line for each difference, `+` for what `got` has more than `expected`.
#[must_use]
pub fn differences(expected: &State, got: &State) -> Vec<String> {
    let more = got.difference(expected).map(|line| format!("+ {line}"));
    let less = expected.difference(got).map(|line| format!("- {line}"));
    more.chain(less).collect()
}

/// Logs and what a running machine writes: there or not as it happens.
fn is_incidental(path: &str) -> bool {
    [".log", ".nvram", ".vswp", ".lck"]
        .iter()
        .any(|end| path.ends_with(end))
}

fn in_vcenter(dump: &Value, list: &str, fields: &[&str], suffix: &str) -> Vec<String> {
    let named = |object: &&Value| {
        let name = object.get("name").and_then(Value::as_str);
        name.is_some_and(|name| name.contains(suffix))
    };
    members(dump, list)
        .filter(named)
        .map(|object| {
            let shown: Map<String, Value> = fields
                .iter()
                .filter_map(|field| Some(((*field).to_owned(), object.pointer(field)?.clone())))
                .collect();
            format!("vcenter {list} {}", Value::Object(shown))
        })
        .collect()
}

fn declared(object: &Map<String, Value>) -> Map<String, Value> {
    let kept = object
        .iter()
        .filter(|(field, _)| !field.starts_with('_') && !NUMBERED.contains(&field.as_str()));
    let mut declared: Map<String, Value> = kept
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    if let Some(Value::Array(tags)) = declared.get_mut("tags") {
        tags.retain(|tag| tag.get("scope").and_then(Value::as_str) != Some(UID));
        tags.sort_by_key(ToString::to_string);
    }
    declared
}

fn tag<'a>(object: &'a Map<String, Value>, scope: &str) -> Option<&'a str> {
    let tags = object.get("tags")?.as_array()?;
    let tag = tags
        .iter()
        .find(|tag| tag.get("scope").and_then(Value::as_str) == Some(scope))?;
    tag.get("tag")?.as_str()
}

/// Type, status and reason of an object's conditions.
fn conditions(object: &DynamicObject) -> Value {
    let list = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let told: BTreeMap<&str, String> = list
        .into_iter()
        .flatten()
        .map(|condition| {
            let value = format!("{} {}", told(condition, "status"), told(condition, "reason"));
            (told(condition, "type"), value)
        })
        .collect();
    json!(told)
}

fn members<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{KINDS, Kind};
    use crate::watch::Seen;
    use std::sync::Arc;
    use std::time::Instant;

    const NETWORK: Kind = KINDS[1];

    fn world(id: &str, uid: &str, suffix: &str, vlan: &str, copies: usize) -> State {
        let name = format!("web{suffix}");
        let tags = json!([
            {"scope": "vic-operator/uid", "tag": uid}, {"scope": INSTANCE, "tag": "i"},
            {"scope": "vic-operator/kind", "tag": "ContainerNetwork"},
            {"scope": "vic-operator/namespace", "tag": "a"}, {"scope": "vic-operator/name", "tag": name},
        ]);
        let nsx = json!({"intents": {
            "/infra/x": {"id": id, "path": format!("/infra/{id}"), "tags": tags, "_revision": uid, "unique_id": uid},
            "/infra/default": {"id": "default"},
        }});
        let group = json!({"moref": uid, "name": format!("Web{suffix}"), "vlan": vlan, "description": format!("of {uid}")});
        let vcenter = json!({
            "port_groups": vec![group; copies], "vms": [{"name": "another"}],
            "files": [{"path": format!("[ds] web{suffix}/web.vmx")}, {"path": format!("[ds] web{suffix}/vmware.log")}],
        });
        let object = json!({
            "apiVersion": "vic-operator.io/v1alpha1", "kind": "ContainerNetwork",
            "metadata": {"name": name, "namespace": "a", "uid": uid},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": uid}]},
        });
        let object = Arc::new(serde_json::from_value(object).unwrap());
        let key = Key::of(NETWORK, &object);
        let seen = Seen {
            object,
            born: Instant::now(),
            ready: None,
        };
        of(
            &nsx,
            &vcenter,
            &Objects::from([(key.clone(), seen)]),
            &[key],
            suffix,
        )
    }

    #[test]
    fn two_runs_that_made_the_same_are_told_the_same() {
        let one = world("3f2a", "uid-1", "-x0001", "120", 1);
        assert_eq!(one.len(), 4, "{one:?}");
        assert_eq!(one, world("99bc", "uid-2", "-x0002", "120", 1));
    }

    #[test]
    fn another_value_and_a_double_are_told() {
        let one = world("3f2a", "uid-1", "-x0001", "120", 1);
        let edited = differences(&one, &world("99bc", "uid-2", "-x0002", "130", 1));
        assert_eq!(edited.len(), 2, "{edited:?}");
        let doubled = differences(&one, &world("99bc", "uid-2", "-x0002", "120", 2));
        assert_eq!(doubled.len(), 1, "{doubled:?}");
        assert!(doubled[0].starts_with("+ vcenter port_groups") && doubled[0].ends_with("#2"));
    }
}
