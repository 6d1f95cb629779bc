//! Looking up by reference, name and path.

use super::*;
use crate::objects::{Datacenter, Mirrored};
use crate::xml::Node;

fn set<T: Mirrored>(mut object: T, name: &str, parent: Option<&Moref>) -> (Moref, T) {
    let name = Node {
        text: name.to_owned(),
        ..Node::default()
    };
    let parent = parent.map(|parent| Node {
        reference: Some(parent.kind.clone()),
        text: parent.value.clone(),
        ..Node::default()
    });
    object.set("name", Some(&name));
    object.set("parent", parent.as_ref());
    (object.moref().clone(), object)
}

fn folder(id: &str, name: &str, parent: &Moref) -> (Moref, Folder) {
    set(Folder::empty(Moref::new("Folder", id)), name, Some(parent))
}

fn vm(id: &str, name: &str, parent: &Moref) -> (Moref, Vm) {
    set(Vm::empty(Moref::new("VirtualMachine", id)), name, Some(parent))
}

/// `DC0/vm/{web, team%2f1/{web, vm-2}}` and a network of each kind.
fn inventory() -> Inventory {
    let datacenter = Moref::new("Datacenter", "datacenter-1");
    let root = Moref::new("Folder", "group-v1");
    let team = Moref::new("Folder", "group-v2");
    let networks = Moref::new("Folder", "group-n1");
    let above = Moref::new("Folder", "group-d1");
    let group = |id, name| {
        set(
            PortGroup::empty(Moref::new("DistributedVirtualPortgroup", id)),
            name,
            Some(&networks),
        )
    };
    let network = |id, name| set(Network::empty(Moref::new("Network", id)), name, Some(&networks));
    Inventory {
        datacenters: [set(Datacenter::empty(datacenter.clone()), "DC0", Some(&above))].into(),
        folders: [
            folder("group-v1", "vm", &datacenter),
            folder("group-v2", "team%2f1", &root),
            folder("group-n1", "network", &datacenter),
        ]
        .into(),
        vms: [
            vm("vm-1", "web", &root),
            vm("vm-2", "web", &team),
            vm("vm-3", "vm-2", &team),
        ]
        .into(),
        port_groups: [group("dvportgroup-1", "public"), group("dvportgroup-2", "both")].into(),
        networks: [network("network-1", "VM Network"), network("network-2", "both")].into(),
        ..Inventory::default()
    }
}

#[test]
fn a_reference_goes_before_a_name_and_a_name_before_a_path() {
    let inventory = inventory();
    for (text, expected) in [
        ("vm-1", Ok("vm-1")),
        ("VirtualMachine:vm-1", Ok("vm-1")),
        // The name of vm-3 is the reference of another.
        ("vm-2", Ok("vm-2")),
        ("web", Err(Lookup::Ambiguous(2))),
        ("vm/web", Ok("vm-1")),
        ("DC0/vm/web", Ok("vm-1")),
        ("/DC0/vm/web", Ok("vm-1")),
        ("team%2f1/web", Ok("vm-2")),
        ("vm/team%2F1/web", Ok("vm-2")),
        ("team/1/web", Err(Lookup::Missing)),
        ("Folder:vm-1", Err(Lookup::Missing)),
        ("DC1/vm/web", Err(Lookup::Missing)),
        ("", Err(Lookup::Missing)),
    ] {
        let found = inventory.find_vm(text).map(|vm| vm.moref.value.as_str());
        assert_eq!(found, expected, "{text}");
    }
    let team = inventory.find_folder("team/1").unwrap();
    assert_eq!(inventory.path(&team.moref).as_deref(), Some("DC0/vm/team/1"));
}

#[test]
fn networks_are_found_among_both_kinds() {
    let inventory = inventory();
    assert!(matches!(
        inventory.find_network("public"),
        Ok(AnyNetwork::PortGroup(_))
    ));
    assert!(matches!(
        inventory.find_network("VM Network"),
        Ok(AnyNetwork::Network(_))
    ));
    assert!(matches!(
        inventory.find_network("network-2"),
        Ok(AnyNetwork::Network(_))
    ));
    assert_eq!(inventory.find_network("both"), Err(Lookup::Ambiguous(2)));
    assert_eq!(inventory.find_network("none"), Err(Lookup::Missing));
    assert_eq!(Lookup::Ambiguous(2).to_string(), "is not unique: 2 objects fit");
}

#[test]
fn a_loop_in_what_was_reported_ends() {
    let a = Moref::new("Folder", "a");
    let b = Moref::new("Folder", "b");
    let inventory = Inventory {
        folders: [folder("a", "x", &b), folder("b", "y", &a)].into(),
        ..Inventory::default()
    };
    assert_eq!(
        inventory.find_folder("y/x").map(|folder| &folder.moref),
        Err(Lookup::Missing)
    );
}
