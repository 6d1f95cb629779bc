//! What is there after a topology's life that was not there before, and the other way round.

use crate::error::{Context, Result};
use crate::poc::report::Kept;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{Discovery, verbs};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Fields by which an element of a list is known, the first that it has.
const IDENTITIES: [&str; 7] = ["path", "moref", "external_id", "id", "key", "name", "user"];

/// Fields that change by being looked at or by time alone.
const VOLATILE: [&str; 6] = [
    "_revision",
    "_last_modified_time",
    "_last_modified_user",
    "config_version",
    "changeVersion",
    "login",
];

/// What is left on purpose: where, how its place in the dump is recognized, and why.
const KEPT: [(&str, &str, &str); 3] = [
    (
        "vcenter",
        "/files/[LocalDS_0] vic-operator/",
        "images of this instance, by checksum: the next VCH boots from them without an upload",
    ),
    (
        "vcenter",
        "/files/[LocalDS_0] vch1-volumes/",
        "a volume store: onDelete.volumes is Retain",
    ),
    (
        "vcenter",
        "/custom_fields/vic-operator",
        "the definition of the ownership mark: a setting of the vCenter as a whole that other instances use too",
    ),
];

/// Whether a difference came by time, by being looked at, or from a simulator's own work, whatever the operator did.
#[must_use]
pub fn is_own_doing(difference: &str) -> bool {
    // Sessions of an operator that was killed end by themselves when they have been idle for long enough.
    difference.contains("/sessions/")
        || difference.contains("/publish_time: ")
        // Ports follow from what vCenter tells NSX of its VMs, when it tells; the inventory of VMs is vCenter's.
        || difference.contains("/ports/")
        || difference.contains("/realizedlogicalport/")
        || difference.contains("/inventory/")
        || difference.contains("/config/lastModified: ")
        // How far NSX has come with what was written before.
        || difference.contains("/status/consolidated_status/")
        || difference.contains("/status/publish_status: ")
        || difference.contains("/realized/")
}

/// Sorts what differs into what is kept, with its reason, and what was left behind.
#[must_use]
pub fn sorted(system: &str, differences: Vec<String>) -> (Vec<String>, Vec<Kept>) {
    let mut kept = Vec::new();
    let mut left = Vec::new();
    for difference in differences {
        let known = KEPT
            .iter()
            .find(|(place, mark, _)| *place == system && came(&difference).starts_with(mark));
        match known {
            // A kept folder speaks for what lies in it.
            Some(_)
                if kept
                    .iter()
                    .any(|folder: &Kept| is_within(&difference, &folder.what)) => {}
            Some((_, _, reason)) => {
                kept.push(Kept {
                    system: system.to_owned(),
                    what: difference,
                    reason: (*reason).to_owned(),
                });
            }
            None => left.push(difference),
        }
    }
    (left, kept)
}

fn is_within(place: &str, folder: &str) -> bool {
    folder.ends_with('/') && place.starts_with(folder)
}

/// The place of something that came; what went or is another is never kept on purpose.
fn came(difference: &str) -> &str {
    difference.strip_prefix("+ ").unwrap_or_default()
}

/// The differences of two dumps, each told by its place: `+ place` came, `- place` went, `~ place` is another.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

fn compare(place: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let before = before.iter().filter(|(key, _)| !VOLATILE.contains(&key.as_str()));
            let after = after.iter().filter(|(key, _)| !VOLATILE.contains(&key.as_str()));
            let member = |(key, value): (&String, _)| (format!("{place}/{key}"), value);
            compare_all(before.map(member).collect(), &after.map(member).collect(), found);
        }
        (Value::Array(before), Value::Array(after)) => {
            compare_all(named(place, before), &named(place, after), found);
        }
        _ if before == after => {}
        _ => found.push(format!("~ {place}: {before} became {after}")),
    }
}

fn compare_all(before: BTreeMap<String, &Value>, after: &BTreeMap<String, &Value>, found: &mut Vec<String>) {
    for (place, value) in after {
        match before.get(place) {
            Some(was) => compare(place, was, value, found),
            None => found.push(format!("+ {place}")),
        }
    }
    found.extend(
        before
            .into_keys()
            .filter(|place| !after.contains_key(place))
            .map(|place| format!("- {place}")),
    );
}

/// The elements of a list by what they are known by, the second of a name with a number.
fn named<'a>(place: &str, list: &'a [Value]) -> BTreeMap<String, &'a Value> {
    let mut elements = BTreeMap::new();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for value in list {
        let name = format!("{place}/{}", identity(value));
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        elements.insert(
            if *times == 1 {
                name
            } else {
                format!("{name}#{times}")
            },
            value,
        );
    }
    elements
}

/// What an element of a list is known by; a plain value by itself.
fn identity(value: &Value) -> String {
    let known = IDENTITIES
        .iter()
        .find_map(|field| value.get(field)?.as_str().map(str::to_owned));
    known.unwrap_or_else(|| value.to_string())
}

/// Every object of the cluster that can be listed, but Events.
///
/// # Errors
/// The API server does not list them.
pub async fn inventory(client: &kube::Client) -> Result<BTreeSet<String>> {
    let what = || "list every object of the cluster".to_owned();
    let discovery = Discovery::new(client.clone())
        .run_aggregated()
        .await
        .context(what)?;
    let mut found = BTreeSet::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if resource.kind == "Event" || !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            for object in api.list_metadata(&ListParams::default()).await.context(what)? {
                let namespace = object.metadata.namespace.unwrap_or_default();
                let name = object.metadata.name.unwrap_or_default();
                found.insert(format!("{}.{} {namespace}/{name}", resource.kind, resource.group));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_came_what_went_and_what_is_another_are_told_by_place() {
        let before = json!({
            "objects": [{"path": "/infra/a", "x": 1, "_revision": 1}, {"path": "/infra/b"}],
            "sessions": [], "settings": {"quota": 1},
        });
        let after = json!({
            "objects": [{"path": "/infra/c"}, {"path": "/infra/a", "x": 2, "_revision": 7}],
            "sessions": [{"id": "s1", "user": "admin"}], "settings": {"quota": 1, "fields": ["vic-operator"]},
        });
        assert_eq!(
            differences(&before, &after),
            [
                "~ /objects//infra/a/x: 1 became 2",
                "+ /objects//infra/c",
                "- /objects//infra/b",
                "+ /sessions/s1",
                "+ /settings/fields",
            ]
        );
        assert!(differences(&after, &after).is_empty());
    }

    #[test]
    fn a_second_session_of_the_same_user_is_not_overlooked() {
        let sessions = |logins: &[u32]| {
            let list: Vec<Value> = logins
                .iter()
                .map(|login| json!({"user": "admin", "login": login}))
                .collect();
            json!({ "sessions": list })
        };
        assert_eq!(
            differences(&sessions(&[1]), &sessions(&[1, 5])),
            ["+ /sessions/admin#2"]
        );
        assert!(differences(&sessions(&[1]), &sessions(&[5])).is_empty());
    }

    #[test]
    fn only_what_has_a_reason_is_kept() {
        let found = vec![
            "+ /files/[LocalDS_0] vch1-volumes/".to_owned(),
            "+ /files/[LocalDS_0] vch1-volumes/x".to_owned(),
            "+ /vms/vm-77".to_owned(),
        ];
        let (left, kept) = sorted("vcenter", found.clone());
        assert_eq!(left, ["+ /vms/vm-77"]);
        assert_eq!(kept.len(), 1);
        assert!(kept[0].reason.contains("Retain"));
        let gone = vec!["- /files/[LocalDS_0] vch1-volumes/x".to_owned()];
        assert_eq!(sorted("vcenter", gone.clone()).0, gone, "what stays does not go");
        assert_eq!(
            sorted("nsx", found.clone()).0,
            found,
            "the reason is one of vCenter"
        );
    }
}
