//! What is sent, element by element: the schema's `sequence` order is what vCenter insists on.

use super::*;
use crate::moref::Moref;
use crate::soap::Call;
use crate::xml::Writer;

/// One element per line.
fn pretty(arguments: impl FnOnce(&mut Writer)) -> String {
    let call = Call::write("Method", &Moref::new("Folder", "group-v3"), arguments);
    indent(call.body())
}

fn indent(xml: &str) -> String {
    let mut lines = String::new();
    let mut depth = 0;
    let mut rest = xml;
    while let Some(end) = rest.find('>') {
        let (tag, tail) = rest.split_at(end + 1);
        let closing = tag.contains("</");
        if closing {
            depth -= 1;
        }
        if !closing || !lines.ends_with(|c: char| c != '\n') {
            lines.push_str(&"  ".repeat(depth));
        }
        lines.push_str(tag);
        let leaf = !closing && tail.find("</").is_some_and(|close| tail.find('<') == Some(close));
        if !leaf {
            lines.push('\n');
        }
        if !closing {
            depth += 1;
        }
        rest = tail;
    }
    lines
}

#[test]
fn the_filter_of_the_mirror() {
    let datacenter = Moref::new("Datacenter", "datacenter-1");
    let fields = Moref::new("CustomFieldsManager", "CustomFieldsManager");
    insta::assert_snapshot!(pretty(|w| filter::inventory(w, &datacenter, &fields)));
}

#[test]
fn the_filter_of_the_task_hub() {
    insta::assert_snapshot!(pretty(|w| filter::tasks(w, &Moref::new("ListView", "tasks"))));
}

#[test]
fn single_reads() {
    insta::assert_snapshot!(pretty(|w| {
        filter::datacenters(w, &Moref::new("Folder", "group-d1"));
        filter::task(w, &Moref::new("Task", "task-1"));
        filter::one(w, &Moref::new("VirtualApp", "resgroup-v1"));
        filter::one(w, &Moref::new("VmwareDistributedVirtualSwitch", "dvs-1"));
        filter::one(w, &Moref::new("StoragePod", "group-p1"));
    }));
}

#[test]
fn a_port_group() {
    let spec = PortGroupSpec {
        name: "a/b%2f".to_owned(),
        description: "<mark>".to_owned(),
        vlan_id: 101,
        num_ports: 8,
        binding: Binding::Early,
    };
    insta::assert_snapshot!(pretty(|w| {
        spec.write(w, "spec", None);
        spec.write(w, "spec", Some("7"));
        spec.write(w, "spec", Some(""));
    }));
}

#[test]
fn a_pool() {
    let memory = Allocation {
        reservation: 1024,
        limit: 8192,
        expandable: false,
        shares: Shares::Custom(5),
    };
    insta::assert_snapshot!(pretty(|w| PoolConfig {
        memory,
        ..PoolConfig::default()
    }
    .write(w, "spec")));
}

#[test]
fn a_virtual_machine() {
    let add = |device| DeviceChange {
        op: DeviceOp::Add,
        device,
    };
    let nic = |key, slot, backing| add(Device::Vmxnet3 { key, slot, backing });
    let text = |text: &str| text.to_owned();
    let spec = VmSpec {
        name: Some(text("vch1")),
        guest_id: Some(text("otherGuest64")),
        alternate_guest_name: Some(text("Photon - VCH")),
        vm_path_name: Some(text("[ds]")),
        num_cpus: Some(2),
        memory_mb: Some(4096),
        devices: vec![
            add(Device::IdeController { key: -201, bus: 0 }),
            add(Device::ParaVirtualScsi {
                key: -202,
                bus: 0,
                unit: 7,
            }),
            nic(
                -1,
                1184,
                NicBacking::PortGroup {
                    key: text("dvportgroup-1"),
                    switch_uuid: text("50 0f"),
                },
            ),
            nic(
                -1,
                1216,
                NicBacking::Opaque {
                    id: text("id"),
                    kind: text("nsx.LogicalSwitch"),
                },
            ),
            nic(
                -1,
                1248,
                NicBacking::Standard {
                    name: text("VM Network"),
                },
            ),
            add(Device::CdromIso {
                key: -1,
                controller_key: 200,
                unit: 0,
                path: text("[ds] a.iso"),
            }),
            DeviceChange {
                op: DeviceOp::Edit,
                device: Device::SerialFile {
                    key: 9000,
                    controller_key: 400,
                    path: text("[ds] log"),
                },
            },
            DeviceChange {
                op: DeviceOp::Remove,
                device: Device::IdeController { key: 200, bus: 0 },
            },
        ],
        extra_config: vec![(text("key"), text("a|<b>")), (text("gone"), String::new())],
    };
    insta::assert_snapshot!(pretty(|w| spec.write(w, "config")));
}

#[test]
fn a_change_that_says_nothing_sends_nothing() {
    let mut writer = Writer::default();
    VmSpec::default().write(&mut writer, "spec");
    assert_eq!(writer.finish().as_deref(), Some("<spec></spec>"));
}
