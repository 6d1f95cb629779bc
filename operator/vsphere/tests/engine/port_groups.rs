//! Port groups: made, changed, guarded against others, removed.

use serde_json::json;
use vsphere::{
    Binding, Class, Device, DeviceChange, DeviceOp, Engine, Error, Moref, NicBacking, PortGroupSpec, Vlan,
    VmSpec,
};

use crate::lab::{Lab, eventually, pool, switch, vm_folder};

fn spec(name: &str, vlan_id: u16) -> PortGroupSpec {
    PortGroupSpec {
        name: name.to_owned(),
        description: "vic-operator: 1234".to_owned(),
        vlan_id,
        num_ports: 16,
        binding: Binding::Early,
    }
}

fn version(engine: &Engine, group: &Moref) -> String {
    engine.read(|inventory| inventory.port_groups[group].config_version.clone())
}

/// vCenter goes on with a task when the process that started it is killed: the next one finds what it made.
#[tokio::test]
async fn what_an_earlier_process_began_is_waited_for() {
    let Some(lab) = Lab::start().await else { return };
    let first = lab.engine().await;
    lab.control("/tune", json!({"task_ms": 1500})).await;
    let (switch, wanted) = (switch(&first), spec("late", 103));
    let begun = tokio::spawn(async move { first.add_port_group(&switch, &wanted).await });
    while !lab.calls().await.contains(&"AddDVPortgroup_Task".to_owned()) {
        tokio::task::yield_now().await;
    }
    begun.abort();
    let second = lab.engine().await;
    second.read(|inventory| {
        let groups = inventory.port_groups.values();
        assert!(groups.filter(|group| group.name == "late").count() == 1);
    });
}

#[tokio::test]
async fn a_port_group_is_in_the_mirror_when_it_is_made() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let switch = switch(&engine);
    let wanted = spec("vch 1/bridge", 101);
    let group = engine.add_port_group(&switch, &wanted).await.unwrap();
    engine.read(|inventory| {
        let group = &inventory.port_groups[&group];
        assert!(wanted.matches(group), "{group:?}");
        assert_eq!(group.switch.as_ref(), Some(&switch));
        assert!(!group.key.is_empty() && !group.uplink);
    });
    let taken = engine.add_port_group(&switch, &wanted).await.unwrap_err();
    assert!(
        matches!(&taken, Error::DuplicateName { name, .. } if name == "vch 1/bridge"),
        "{taken:?}"
    );
    assert_eq!(taken.class(), Class::Blocked);
}

#[tokio::test]
async fn a_change_needs_the_version_that_was_read() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let group = engine
        .add_port_group(&switch(&engine), &spec("bridge", 101))
        .await
        .unwrap();
    let stale = version(&engine, &group);
    engine
        .reconfigure_port_group(&group, &stale, &spec("bridge", 102))
        .await
        .unwrap();
    engine.read(|inventory| assert_eq!(inventory.port_groups[&group].vlan, Vlan::Id(102)));

    let error = engine
        .reconfigure_port_group(&group, &stale, &spec("bridge", 103))
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), &error),
        (Class::Transient, &Error::ConcurrentAccess)
    );
    engine.read(|inventory| assert_eq!(inventory.port_groups[&group].vlan, Vlan::Id(102)));

    let renamed = spec("renamed", 103);
    engine
        .reconfigure_port_group(&group, &version(&engine, &group), &renamed)
        .await
        .unwrap();
    engine.read(|inventory| assert!(renamed.matches(&inventory.port_groups[&group])));
}

#[tokio::test]
async fn a_port_group_in_use_stays_until_the_last_vm_has_gone() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let group = engine
        .add_port_group(&switch(&engine), &spec("bridge", 101))
        .await
        .unwrap();
    let backing = engine.read(|inventory| NicBacking::PortGroup {
        key: inventory.port_groups[&group].key.clone(),
        switch_uuid: inventory.find_switch("DVS0").unwrap().uuid.clone(),
    });
    let nic = Device::Vmxnet3 {
        key: -1,
        slot: 1184,
        backing: backing.clone(),
    };
    let vm_spec = VmSpec {
        name: Some("user".to_owned()),
        guest_id: Some("otherGuest64".to_owned()),
        vm_path_name: Some("[LocalDS_0]".to_owned()),
        devices: vec![DeviceChange {
            op: DeviceOp::Add,
            device: nic,
        }],
        ..VmSpec::default()
    };
    let vm = engine
        .create_vm(&vm_folder(&engine), &pool(&engine), &vm_spec)
        .await
        .unwrap();
    eventually(&engine, "the group's VM", |inventory| {
        inventory.port_groups[&group].vms == [vm.clone()]
    })
    .await;
    engine.read(|inventory| {
        let nic = &inventory.vms[&vm].nics[0];
        assert_eq!(nic.backing.as_ref(), Some(&backing));
        assert_eq!(nic.slot, Some(1184));
        assert_eq!(inventory.vms[&vm].networks, std::slice::from_ref(&group));
    });

    let error = engine.destroy(&group).await.unwrap_err();
    assert!(matches!(error, Error::ResourceInUse { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Blocked);
    assert!(engine.read(|inventory| inventory.port_groups.contains_key(&group)));

    engine.destroy(&vm).await.unwrap();
    engine.destroy(&group).await.unwrap();
    assert!(engine.read(|inventory| !inventory.port_groups.contains_key(&group)));
    engine
        .destroy(&group)
        .await
        .expect("what is gone counts as destroyed");
}
