//! Clients of NSX that no one here wrote hold nsxsim to account, and so do bodies that are spoilt.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use lab::Result;
use outside::Stage;
use serde_json::Value;

/// The table of object types in use.
fn table() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/objects.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What was done with the object at a path.
fn verbs<'a>(report: &'a Value, path: &str) -> BTreeSet<&'a str> {
    let done = report["done"][path].as_array().into_iter().flatten();
    done.filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn the_typed_client_does_all_there_is_to_do_with_each_object_in_use() -> Result<()> {
    let Some(stage) = Stage::set("outside-typed").await? else {
        return Ok(());
    };
    let report = stage.told("typed.py")?;
    for row in table() {
        let path = row["path"].as_str().unwrap();
        assert_eq!(
            verbs(&report, path),
            BTreeSet::from([
                "create",
                "read",
                "list",
                "search",
                "update",
                "delete",
                "read-tree"
            ]),
            "{path}"
        );
    }
    assert_eq!(
        verbs(&report, "/infra"),
        BTreeSet::from(["create-tree", "delete-tree", "leave nothing"])
    );
    // Its own bodies pass the check that the operator's bodies are held to.
    let sent = stage
        .clients
        .check_bodies(&[stage.run.join(lab::simulators::BODIES)], "")?;
    assert_eq!(sent.complaint(), None);
    assert!(sent.bodies > 20, "{} bodies", sent.bodies);
    Ok(())
}

#[tokio::test]
async fn the_library_of_nsxs_plugins_does_what_it_can_with_each_object_in_use() -> Result<()> {
    let Some(stage) = Stage::set("outside-nsxlib").await? else {
        return Ok(());
    };
    let report = stage.told("nsxlib.py")?;
    let done = report["done"].as_object().unwrap();
    let objects: Vec<&String> = done.keys().filter(|path| path.starts_with("/infra/")).collect();
    assert!(objects.len() >= 17, "{objects:?}");
    for path in objects {
        let done = verbs(&report, path);
        let least = BTreeSet::from(["create", "read", "search", "delete"]);
        assert!(done.is_superset(&least), "{path}: {done:?}");
    }
    let updated = done.keys().filter(|path| verbs(&report, path).contains("update"));
    assert!(updated.count() >= 12, "most of them are updated too");
    Ok(())
}

#[tokio::test]
async fn spoilt_bodies_are_refused_by_the_check_and_by_the_manager() -> Result<()> {
    let Some(stage) = Stage::set("outside-mutants").await? else {
        return Ok(());
    };
    let report = stage.told("mutants.py")?;
    let mutants: BTreeMap<String, u64> = serde_json::from_value(report["mutants"].clone()).unwrap();
    for what in [
        "an unknown field",
        "a value that is not of the enumeration",
        "another kind of value",
        "a required field gone",
        "a text too long",
        "a text of another format",
        "a number too large",
        "a list too long",
        "a wrapper with another type in it",
        "a child of another parent",
    ] {
        assert!(mutants.get(what).is_some_and(|count| *count > 0), "{what}");
    }
    // Each of the two readings finds much by itself.
    let total: u64 = mutants.values().sum();
    for reader in ["types", "schema"] {
        let found = report["by"][reader].as_u64().unwrap();
        assert!(found * 3 > total, "{reader} found {found} of {total}");
    }
    Ok(())
}

/// The check says what is wrong where; the same from a file as the laboratory's own runs leave it.
#[tokio::test]
async fn what_a_file_of_recorded_calls_says_wrong_is_named_with_its_place() -> Result<()> {
    let Some(stage) = Stage::set("outside-bodies").await? else {
        return Ok(());
    };
    let call = |client: &str, body: Value| {
        serde_json::json!({"client": client, "method": "PATCH", "path": "/policy/api/v1/infra", "body": body})
            .to_string()
    };
    let segment = |field: &str, value: Value| {
        serde_json::json!({"resource_type": "Infra", "children": [{"resource_type": "ChildSegment",
            "Segment": {"resource_type": "Segment", "id": "web", field: value}}]})
    };
    let lines = [
        call("vic-operator/1", segment("admin_state", "UP".into())),
        call("vic-operator/1", segment("admin_state", "up".into())),
        call("vic-operator/1", segment("vlan", 7.into())),
        call("a-hand", segment("overlay_id", "7".into())),
    ];
    let file = stage.run.write("calls.jsonl", lines.join("\n"))?;
    let report = stage
        .clients
        .check_bodies(std::slice::from_ref(&file), "vic-operator/")?;
    assert_eq!((report.calls, report.types["Segment"]), (3, 3));
    let complaint = report.complaint().unwrap();
    for told in [
        "(schema): .children[0].Segment.admin_state: \"up\" is none of UP, DOWN",
        "(types): .children[0].Segment.vlan: Segment has no such field",
        "(schema): .children[0].Segment.vlan: Segment has no such field",
    ] {
        assert!(complaint.contains(told), "{told}\n{complaint}");
    }
    assert!(!complaint.contains("overlay_id"), "another client's\n{complaint}");
    let all = stage.clients.check_bodies(&[file, "none.jsonl".into()], "")?;
    assert!(
        all.complaint()
            .unwrap()
            .contains("overlay_id: \"7\" is no integer")
    );
    Ok(())
}
