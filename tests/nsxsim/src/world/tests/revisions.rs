//! PUT, PATCH and `_revision`.

use serde_json::{Value, json};

use crate::rules::testing::{patch, world, write};
use crate::world::World;
use crate::world::write::Mode;

const GROUP: &str = "/infra/domains/default/groups/g";

fn revision(world: &World) -> i64 {
    world.read(GROUP).unwrap()["_revision"].as_i64().unwrap()
}

#[test]
fn put_creates_without_and_updates_only_with_the_present_revision() {
    let mut world = world();
    write(&mut world, GROUP, json!({"description": "a"}), Mode::Put).unwrap();
    assert_eq!(revision(&world), 0);
    let again = write(&mut world, GROUP, json!({"description": "b"}), Mode::Put).unwrap_err();
    assert_eq!((again.status, again.code), (400, json!(500_127)));
    write(
        &mut world,
        GROUP,
        json!({"description": "b", "_revision": 0}),
        Mode::Put,
    )
    .unwrap();
    assert_eq!(revision(&world), 1);
    let stale = write(
        &mut world,
        GROUP,
        json!({"description": "c", "_revision": 0}),
        Mode::Put,
    )
    .unwrap_err();
    assert_eq!((stale.status, stale.code), (412, json!(604)));
    assert_eq!(world.read(GROUP).unwrap()["description"], "b");
}

#[test]
fn what_was_read_can_be_put_back() {
    let mut world = world();
    patch(&mut world, GROUP, json!({"tags": [{"scope": "a", "tag": "b"}]})).unwrap();
    let read = world.read(GROUP).unwrap();
    write(&mut world, GROUP, read, Mode::Put).unwrap();
    for path in [
        "/infra/tier-1s/vic-edge",
        "/infra/tier-0s/vic-t0",
        "/infra/domains/default/security-policies/default-layer3-section",
    ] {
        let read = world.read(path).unwrap();
        write(&mut world, path, read, Mode::Put).unwrap_or_else(|e| panic!("{path}: {}", e.message()));
    }
}

#[test]
fn patch_ignores_revisions_and_replaces_what_it_leaves_out() {
    let mut world = world();
    patch(
        &mut world,
        GROUP,
        json!({"description": "a", "display_name": "A"}),
    )
    .unwrap();
    patch(&mut world, GROUP, json!({"description": "b", "_revision": 77})).unwrap();
    let read = world.read(GROUP).unwrap();
    assert_eq!(
        (&read["description"], &read["display_name"]),
        (&json!("b"), &json!("g"))
    );
    patch(&mut world, GROUP, json!({})).unwrap();
    assert_eq!(world.read(GROUP).unwrap().get("description"), None);
}

#[test]
fn partial_patch_merges_objects_and_replaces_lists() {
    let mut world = world();
    let segment = "/infra/segments/s";
    let body = json!({"description": "d", "advanced_config": {"connectivity": "OFF", "urpf_mode": "NONE"},
        "tags": [{"scope": "a", "tag": "1"}, {"scope": "b", "tag": "2"}]});
    patch(&mut world, segment, body).unwrap();
    let part = json!({"advanced_config": {"connectivity": "ON"}, "tags": [{"scope": "c", "tag": "3"}]});
    write(&mut world, segment, part, Mode::Merge).unwrap();
    let read = world.read(segment).unwrap();
    assert_eq!(read["description"], "d");
    assert_eq!(read["advanced_config"]["connectivity"], "ON");
    assert_eq!(read["advanced_config"]["urpf_mode"], "NONE");
    assert_eq!(read["tags"].as_array().unwrap().len(), 1);
    let rule = "/infra/tier-1s/vic-edge/nat/USER/nat-rules/r";
    let missing = write(&mut world, rule, json!({"logging": true}), Mode::Merge).unwrap_err();
    assert!(missing.message().contains("action"), "{}", missing.message());
}

#[test]
fn a_patch_that_changes_nothing_raises_the_revision_unless_tuned() {
    let mut world = world();
    let same = json!({"description": "a"});
    patch(&mut world, GROUP, same.clone()).unwrap();
    patch(&mut world, GROUP, same.clone()).unwrap();
    assert_eq!(revision(&world), 1);
    world.tuning.noop_patch_raises_revision = false;
    patch(&mut world, GROUP, same).unwrap();
    assert_eq!(revision(&world), 1);
    patch(&mut world, GROUP, json!({"description": "b"})).unwrap();
    assert_eq!(revision(&world), 2);
}

#[test]
fn the_server_keeps_identity_and_creation_over_updates() {
    let mut world = world();
    patch(&mut world, GROUP, json!({})).unwrap();
    let first = world.read(GROUP).unwrap();
    patch(&mut world, GROUP, json!({"description": "x"})).unwrap();
    let second = world.read(GROUP).unwrap();
    for field in [
        "unique_id",
        "realization_id",
        "_create_time",
        "path",
        "parent_path",
        "relative_path",
    ] {
        assert_eq!(first[field], second[field], "{field}");
        assert_ne!(first[field], Value::Null, "{field}");
    }
    assert_ne!(
        first["unique_id"], first["realization_id"],
        "not promised to be the same"
    );
}

#[test]
fn ids_and_children_have_their_place() {
    let mut world = world();
    let cases = [
        (GROUP, json!({"id": "other"}), "id does not match"),
        (
            GROUP,
            json!({"children": [{"resource_type": "ChildGroup", "Group": {}}]}),
            "hierarchical API only",
        ),
        (
            GROUP,
            json!({"tags": [{"scope": "s", "tag": "t".repeat(257)}]}),
            "maximum length 256",
        ),
        ("/infra/domains/default/groups/a b", json!({}), "URI is invalid"),
        ("/infra/domains/none/groups/g", json!({}), "/infra/domains/none"),
    ];
    for (path, body, text) in cases {
        let error = patch(&mut world, path, body).unwrap_err();
        assert!(error.message().contains(text), "{path}: {}", error.message());
    }
}
