//! Deletion takes time.

use serde_json::json;

use crate::rules::testing::{NOW, delete, patch, settle, web_segment, world};
use crate::world::World;
use crate::world::inventory::{Inventory, Vif, Vm};

const WEB: &str = "/infra/segments/web";

#[test]
fn a_deleted_object_is_hidden_but_its_path_is_taken_until_it_is_gone() {
    let mut world = world();
    web_segment(&mut world);
    world.advance(NOW + 2_000);
    let list = |world: &World| world.store.collection("/infra", "Segment", false).count();
    assert_eq!(list(&world), 1);
    delete(&mut world, WEB).unwrap();
    assert_eq!(list(&world), 0);
    assert_eq!(world.read(WEB).unwrap_err().status, 404);
    assert_eq!(delete(&mut world, WEB).unwrap_err().status, 404);
    let again = patch(&mut world, WEB, json!({})).unwrap_err();
    assert_eq!((again.status, again.code), (400, json!(500_045)));
    settle(&mut world);
    patch(&mut world, WEB, json!({})).unwrap();
}

#[test]
fn search_shows_the_mark_before_the_object_goes() {
    let mut world = world();
    world.tuning.search_delay_ms = 10;
    web_segment(&mut world);
    world.advance(NOW + 500);
    let mark = |world: &World| {
        let found = world
            .index
            .documents()
            .find(|d| d.get("path") == Some(&json!(WEB)))?;
        found.get("marked_for_delete")?.as_bool()
    };
    assert_eq!(mark(&world), Some(false));
    delete(&mut world, WEB).unwrap();
    world.advance(NOW + 500);
    assert_eq!(mark(&world), Some(true));
    settle(&mut world);
    assert_eq!(mark(&world), None);
}

fn on_web(world: &World) -> Inventory {
    let segment = world.read(WEB).unwrap()["realization_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let vif = Vif {
        external_id: "vif-1".into(),
        mac: String::new(),
        segment: Some(segment),
        ips: Vec::new(),
    };
    let vm = Vm {
        external_id: "vm-1".into(),
        display_name: "nginx".into(),
        moref: "vm-12".into(),
        power_state: "VM_RUNNING".into(),
        computer_name: None,
        os_name: None,
        tags: Vec::new(),
        vifs: vec![vif],
    };
    Inventory { vms: vec![vm] }
}

#[test]
fn a_segment_with_ports_stays_until_they_have_gone() {
    let mut world = world();
    web_segment(&mut world);
    world.advance(NOW + 1_000);
    let inventory = on_web(&world);
    world.replace_inventory(inventory, NOW + 1_000);
    assert_eq!(
        world.store.of_kind("SegmentPort").count(),
        0,
        "ports follow later"
    );
    world.advance(NOW + 2_000);
    let port = format!("{WEB}/ports/default:vif-1");
    assert_eq!(world.read(&port).unwrap()["attachment"]["id"], "vif-1");
    let refused = delete(&mut world, WEB).unwrap_err();
    assert_eq!(refused.code, json!(503_040));
    world.replace_inventory(Inventory::default(), NOW + 2_000);
    assert!(delete(&mut world, WEB).is_err(), "the port is still there");
    world.advance(NOW + 3_000);
    delete(&mut world, WEB).unwrap();
}

#[test]
fn a_forced_delete_takes_the_ports_along() {
    let mut world = world();
    web_segment(&mut world);
    world.advance(NOW + 1_000);
    let inventory = on_web(&world);
    world.replace_inventory(inventory, NOW + 1_000);
    world.advance(NOW + 2_000);
    world.detach_ports(WEB, NOW + 2_000);
    delete(&mut world, WEB).unwrap();
}

#[test]
fn tags_stay_with_their_vm_over_snapshots() {
    let mut world = world();
    web_segment(&mut world);
    settle(&mut world);
    let inventory = on_web(&world);
    world.replace_inventory(inventory.clone(), NOW);
    assert!(world.tag_vm("vm-1", vec![json!({"scope": "a", "tag": "b"})], NOW));
    assert!(!world.tag_vm("vm-2", Vec::new(), NOW));
    world.replace_inventory(inventory, NOW);
    assert_eq!(world.inventory.vms[0].tags.len(), 1);
}
