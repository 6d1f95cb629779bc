//! Virtual machines: what VIC's appliance needs.

use vsphere::{Class, Device, DeviceChange, DeviceOp, Engine, Error, Moref, NicBacking, PowerState, VmSpec};

use crate::lab::{Lab, eventually, pool, vm_folder};

fn add(device: Device) -> DeviceChange {
    DeviceChange {
        op: DeviceOp::Add,
        device,
    }
}

/// An appliance as vic-machine makes it, with an adapter on the port group that is there.
pub fn appliance(engine: &Engine, name: &str) -> VmSpec {
    let backing = engine.read(|inventory| NicBacking::PortGroup {
        key: inventory.find_port_group("DC0_DVPG0").unwrap().key.clone(),
        switch_uuid: inventory.find_switch("DVS0").unwrap().uuid.clone(),
    });
    VmSpec {
        name: Some(name.to_owned()),
        guest_id: Some("otherGuest64".to_owned()),
        alternate_guest_name: Some("Photon - VCH v1.5.8, 21000, 2c978fe".to_owned()),
        vm_path_name: Some("[LocalDS_0]".to_owned()),
        num_cpus: Some(2),
        memory_mb: Some(4096),
        devices: vec![
            add(Device::IdeController { key: -201, bus: 0 }),
            add(Device::ParaVirtualScsi {
                key: -202,
                bus: 0,
                unit: 7,
            }),
            add(Device::Vmxnet3 {
                key: -1,
                slot: 1184,
                backing,
            }),
        ],
        extra_config: vec![
            (
                "guestinfo.vice./init/common/id".to_owned(),
                "CreatingVCH".to_owned(),
            ),
            ("markup".to_owned(), "<a>&\"'|\n\ttab\r\nü".to_owned()),
        ],
    }
}

async fn create(engine: &Engine, name: &str) -> Moref {
    engine
        .create_vm(&vm_folder(engine), &pool(engine), &appliance(engine, name))
        .await
        .unwrap()
}

#[tokio::test]
async fn an_appliance_is_in_the_mirror_when_it_is_made() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let moref = create(&engine, "vch1").await;
    engine.read(|inventory| {
        let vm = &inventory.vms[&moref];
        assert_eq!((vm.name.as_str(), vm.num_cpus, vm.memory_mb), ("vch1", 2, 4096));
        assert_eq!(vm.alternate_guest_name, "Photon - VCH v1.5.8, 21000, 2c978fe");
        assert_eq!(vm.power, PowerState::Off);
        assert_eq!(vm.parent, Some(vm_folder(&engine)));
        assert_eq!(vm.pool, Some(pool(&engine)));
        assert!(vm.vm_path.starts_with("[LocalDS_0] vch1/"), "{}", vm.vm_path);
        assert!(!vm.instance_uuid.is_empty() && !vm.uuid.is_empty());
        assert_eq!(vm.datastores.len(), 1);
        assert_eq!(vm.nics.len(), 1);
        assert!(!vm.nics[0].mac.is_empty());
        assert_eq!(
            vm.extra_config["markup"], "<a>&\"'|\n\ttab\r\nü",
            "values must survive the way"
        );
        assert!(vm.device_key("VirtualIDEController").is_some());
        assert!(vm.device_key("ParaVirtualSCSIController").is_some());
    });
}

#[tokio::test]
async fn a_change_sets_and_removes_keys_and_mounts_the_image() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let moref = create(&engine, "vch1").await;
    let (ide, serial) = engine.read(|inventory| {
        let vm = &inventory.vms[&moref];
        (
            vm.device_key("VirtualIDEController").unwrap(),
            vm.device_key("VirtualSerialPort"),
        )
    });
    assert_eq!(serial, None);
    let iso = |version: &str| format!("[LocalDS_0] images/{version}-appliance.iso");
    let cdrom = |key, version: &str| Device::CdromIso {
        key,
        controller_key: ide,
        unit: 0,
        path: iso(version),
    };
    let spec = VmSpec {
        devices: vec![
            add(cdrom(-1, "V1")),
            add(Device::SerialFile {
                key: -2,
                controller_key: 400,
                path: "[LocalDS_0] vch1/tether.debug".to_owned(),
            }),
        ],
        extra_config: vec![
            ("guestinfo.vice./init/common/id".to_owned(), moref.to_string()),
            ("markup".to_owned(), String::new()),
        ],
        ..VmSpec::default()
    };
    engine.reconfigure_vm(&moref, &spec).await.unwrap();
    let drive = engine.read(|inventory| {
        let vm = &inventory.vms[&moref];
        assert_eq!(vm.cdrom, Some(iso("V1")));
        assert_eq!(
            vm.extra_config["guestinfo.vice./init/common/id"],
            moref.to_string()
        );
        assert!(!vm.extra_config.contains_key("markup"));
        assert_eq!(
            (vm.name.as_str(), vm.num_cpus),
            ("vch1", 2),
            "what is not said stays"
        );
        let log = vm
            .devices
            .iter()
            .find(|device| device.kind == "VirtualSerialPort")
            .unwrap();
        assert_eq!(log.file.as_deref(), Some("[LocalDS_0] vch1/tether.debug"));
        vm.device_key("VirtualCdrom").unwrap()
    });
    let edit = DeviceChange {
        op: DeviceOp::Edit,
        device: cdrom(drive, "V2"),
    };
    engine
        .reconfigure_vm(
            &moref,
            &VmSpec {
                devices: vec![edit],
                ..VmSpec::default()
            },
        )
        .await
        .unwrap();
    engine.read(|inventory| assert_eq!(inventory.vms[&moref].cdrom, Some(iso("V2"))));

    let nic = engine.read(|inventory| inventory.vms[&moref].nics[0].clone());
    let remove = DeviceChange {
        op: DeviceOp::Remove,
        device: Device::Vmxnet3 {
            key: nic.key,
            slot: 1184,
            backing: nic.backing.unwrap(),
        },
    };
    engine
        .reconfigure_vm(
            &moref,
            &VmSpec {
                devices: vec![remove],
                ..VmSpec::default()
            },
        )
        .await
        .unwrap();
    eventually(&engine, "no adapter", |inventory| {
        inventory.vms[&moref].nics.is_empty()
    })
    .await;
}

#[tokio::test]
async fn power_is_switched_once_and_guards_against_destruction() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let moref = create(&engine, "vch1").await;
    engine.power_on(&moref).await.unwrap();
    assert_eq!(
        engine.read(|inventory| inventory.vms[&moref].power),
        PowerState::On
    );
    engine.power_on(&moref).await.expect("on already is fine");
    let error = engine.destroy(&moref).await.unwrap_err();
    assert_eq!(
        error,
        Error::InvalidPowerState {
            existing: Some(PowerState::On)
        }
    );
    assert_eq!(error.class(), Class::Transient);
    assert!(error.to_string().contains("powered on"), "{error}");
    engine.power_off(&moref).await.unwrap();
    assert_eq!(
        engine.read(|inventory| inventory.vms[&moref].power),
        PowerState::Off
    );
    engine.power_off(&moref).await.expect("off already is fine");
    engine.destroy(&moref).await.unwrap();
    assert!(engine.read(|inventory| inventory.vms.is_empty()));
    let error = engine.power_on(&moref).await.unwrap_err();
    assert_eq!(error, Error::ManagedObjectNotFound { object: Some(moref) });
}

#[tokio::test]
async fn many_tasks_at_once_share_their_calls() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    lab.forget_calls().await;
    let names: Vec<String> = (0..40).map(|number| format!("vm{number}")).collect();
    let made = futures::future::join_all(names.iter().map(|name| create(&engine, name))).await;
    engine.read(|inventory| {
        for (moref, name) in made.iter().zip(&names) {
            assert_eq!(inventory.vms[moref].name, *name);
        }
    });
    let calls = lab.calls().await;
    let count = |method: &str| calls.iter().filter(|call| *call == method).count();
    assert_eq!(count("CreateVM_Task"), 40);
    assert!(count("ModifyListView") <= 40, "{}", count("ModifyListView"));
    assert_eq!(calls.len(), 40 + count("ModifyListView"), "{calls:?}");
}

#[tokio::test]
async fn a_protected_vm_is_destroyed_by_nobody_until_it_is_freed() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let vm = create(&engine, "protected").await;
    engine.protect(&vm).await.unwrap();
    engine.protect(&vm).await.unwrap();
    let refused = engine.destroy(&vm).await.unwrap_err();
    assert!(refused.to_string().contains("MethodDisabled"), "{refused}");
    engine.unprotect(std::slice::from_ref(&vm)).await.unwrap();
    engine.destroy(&vm).await.unwrap();
    assert!(matches!(
        engine.unprotect(&[vm]).await,
        Err(Error::ManagedObjectNotFound { .. })
    ));
}
