//! The mirror sees what others do, and costs nothing while nothing happens.

use serde_json::json;
use vsphere::{Binding, PoolConfig, PortGroupSpec, PowerState, Vlan, VmSpec};

use crate::lab::{Lab, eventually, pool, switch, vm_folder};

#[tokio::test]
async fn edits_by_a_human_arrive_by_themselves() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let spec = PortGroupSpec {
        name: "bridge".to_owned(),
        description: "mark".to_owned(),
        vlan_id: 101,
        num_ports: 8,
        binding: Binding::Early,
    };
    let group = engine.add_port_group(&switch(&engine), &spec).await.unwrap();
    let version = engine.read(|inventory| inventory.port_groups[&group].config_version.clone());
    lab.edit(json!({"what": "vlan", "portgroup": "bridge", "vlan": 999}))
        .await;
    eventually(&engine, "the VLAN", |inventory| {
        inventory.port_groups[&group].vlan == Vlan::Id(999)
    })
    .await;
    let newer = engine.read(|inventory| inventory.port_groups[&group].config_version.clone());
    assert_ne!(version, newer, "the version must move with the configuration");
    lab.edit(
        json!({"what": "rename", "type": "DistributedVirtualPortgroup", "name": "bridge", "to": "a/b%"}),
    )
    .await;
    eventually(&engine, "the name", |inventory| {
        inventory.port_groups[&group].name == "a/b%"
    })
    .await;
    lab.edit(json!({"what": "destroy", "type": "DistributedVirtualPortgroup", "name": "a%2fb%25"}))
        .await;
    eventually(&engine, "the end", |inventory| {
        !inventory.port_groups.contains_key(&group)
    })
    .await;
}

#[tokio::test]
async fn pools_folders_and_vms_are_followed_too() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let parent = pool(&engine);
    let child = engine
        .create_pool(&parent, "vch1", &PoolConfig::default())
        .await
        .unwrap();
    let folder = engine.create_folder(&vm_folder(&engine), "vch1").await.unwrap();
    let spec = VmSpec {
        name: Some("vch1".to_owned()),
        guest_id: Some("otherGuest64".to_owned()),
        vm_path_name: Some("[LocalDS_0]".to_owned()),
        num_cpus: Some(1),
        memory_mb: Some(256),
        ..VmSpec::default()
    };
    let vm = engine.create_vm(&folder, &child, &spec).await.unwrap();

    lab.edit(json!({"what": "pool-limits", "name": "vch1", "cpuMHz": 4000, "memoryMB": 8192}))
        .await;
    eventually(&engine, "the limits", |inventory| {
        let config = inventory.pools[&child].config;
        (config.cpu.limit, config.memory.limit) == (4000, 8192)
    })
    .await;
    lab.edit(json!({"what": "extra-config", "vm": "vch1", "key": "guestinfo.x", "value": "<1>"}))
        .await;
    eventually(&engine, "the key", |inventory| {
        inventory.vms[&vm]
            .extra_config
            .get("guestinfo.x")
            .is_some_and(|value| value == "<1>")
    })
    .await;
    lab.edit(json!({"what": "power-on", "vm": "vch1"})).await;
    eventually(&engine, "power", |inventory| {
        inventory.vms[&vm].power == PowerState::On
    })
    .await;
    lab.edit(json!({"what": "power-off", "vm": "vch1"})).await;
    eventually(&engine, "no power", |inventory| {
        inventory.vms[&vm].power == PowerState::Off
    })
    .await;
    lab.edit(json!({"what": "rename", "type": "Folder", "name": "vch1", "to": "other"}))
        .await;
    eventually(&engine, "the folder's name", |inventory| {
        inventory.folders[&folder].name == "other"
    })
    .await;
    lab.edit(json!({"what": "destroy", "type": "VirtualMachine", "name": "vch1"}))
        .await;
    eventually(&engine, "the VM's end", |inventory| {
        !inventory.vms.contains_key(&vm)
    })
    .await;
    eventually(&engine, "an empty pool", |inventory| {
        inventory.pools[&child].vms.is_empty()
    })
    .await;
}

#[tokio::test]
async fn at_rest_nothing_is_called() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    lab.forget_calls().await;
    for _ in 0..1000 {
        engine.read(|inventory| assert!(!inventory.hosts.is_empty()));
    }
    // A change by somebody else comes as an answer to the wait, not by a call of ours.
    lab.edit(json!({"what": "rename", "type": "ResourcePool", "name": "Containers", "to": "Renamed"}))
        .await;
    eventually(&engine, "the name", |inventory| {
        inventory.find_pool("Renamed").is_ok()
    })
    .await;
    assert_eq!(lab.calls().await, Vec::<String>::new());
}

#[tokio::test]
async fn notices_name_what_changed() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let mut changes = engine.changes();
    let folder = engine.create_folder(&vm_folder(&engine), "vch1").await.unwrap();
    let mut seen = Vec::new();
    while !seen.contains(&folder) {
        seen.extend_from_slice(&changes.recv().await.unwrap());
    }
}
