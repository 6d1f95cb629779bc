//! The hardware of an endpoint VM: what it is born with, and what brings one that exists back to it.

use vsphere::{Device, DeviceChange, DeviceOp, Vm, VmSpec};

use super::{Attachment, BootImages, EndpointSpec};

/// What vSphere is told the guest is.
const GUEST_ID: &str = "otherGuest64";
/// Key of the SIO controller, which every VM has.
const SIO_CONTROLLER: i32 = 400;
/// Key of the first IDE controller, which every VM has.
const FIRST_IDE: i32 = 200;
/// The file in the VM's directory that its serial port writes to.
const SERIAL_FILE: &str = "tether.debug";
/// What vSphere answers when the guest opens the serial port and the file exists: no question to a human.
const SERIAL_ANSWER: (&str, &str) = ("answer.msg.serial.file.open", "Append");

/// What marks the VM as a VCH for people.
#[must_use]
pub fn guest_name(boot: &BootImages) -> String {
    let publisher = &boot.appliance.publisher;
    format!(
        "Photon - VCH {}, {}, {}",
        publisher.version().to_lowercase(),
        publisher.build_number(),
        publisher.git_commit().to_lowercase()
    )
}

/// A VM that is yet to be made. CD-ROM drive and serial port follow in [`change`], when vSphere has made
/// their controllers and chosen the directory.
#[must_use]
pub fn birth(spec: &EndpointSpec, boot: &BootImages, extra_config: Vec<(String, String)>) -> VmSpec {
    let mut devices = vec![
        Device::IdeController { key: -201, bus: 0 },
        Device::ParaVirtualScsi {
            key: -202,
            bus: 0,
            unit: 7,
        },
    ];
    devices.extend(
        (-300..)
            .zip(spec.nics())
            .map(|(key, (slot, attachment))| nic(key, slot, attachment)),
    );
    let mut extra_config = extra_config;
    extra_config.push((SERIAL_ANSWER.0.to_owned(), SERIAL_ANSWER.1.to_owned()));
    VmSpec {
        name: Some(spec.name.clone()),
        guest_id: Some(GUEST_ID.to_owned()),
        alternate_guest_name: Some(guest_name(boot)),
        vm_path_name: Some(format!("[{}]", spec.placement.image_datastore)),
        num_cpus: Some(spec.cpus),
        memory_mb: Some(spec.memory_mb),
        devices: devices
            .into_iter()
            .map(|device| DeviceChange {
                op: DeviceOp::Add,
                device,
            })
            .collect(),
        extra_config,
    }
}

/// What is amiss with a VM's hardware, in plain words; empty if nothing is.
#[must_use]
pub fn differences(spec: &EndpointSpec, boot: &BootImages, vm: &Vm) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |field: &str, want: &str, have: &str| {
        if want != have {
            found.push(format!("{field}: want {want}, have {have}"));
        }
    };
    differ("cpus", &spec.cpus.to_string(), &vm.num_cpus.to_string());
    differ(
        "memory",
        &format!("{} MB", spec.memory_mb),
        &format!("{} MB", vm.memory_mb),
    );
    differ("guest", &guest_name(boot), &vm.alternate_guest_name);
    differ(
        "CD-ROM",
        &boot.appliance.path.to_string(),
        vm.cdrom.as_deref().unwrap_or("none"),
    );
    if !nic_changes(spec, vm).is_empty() {
        found.push("network adapters differ".to_owned());
    }
    if serial_port(vm).is_some() {
        found.push("serial port: it is missing".to_owned());
    }
    found
}

/// What brings a VM that is off to its specification; only what differs is changed.
#[must_use]
pub fn change(
    spec: &EndpointSpec,
    boot: &BootImages,
    vm: &Vm,
    extra_config: Vec<(String, String)>,
) -> VmSpec {
    let guest_name = guest_name(boot);
    let mut devices = nic_changes(spec, vm);
    devices.extend(cdrom(boot, vm));
    devices.extend(serial_port(vm));
    VmSpec {
        name: (vm.name != spec.name).then(|| spec.name.clone()),
        alternate_guest_name: (vm.alternate_guest_name != guest_name).then_some(guest_name),
        num_cpus: (vm.num_cpus != spec.cpus).then_some(spec.cpus),
        memory_mb: (vm.memory_mb != spec.memory_mb).then_some(spec.memory_mb),
        devices,
        extra_config,
        ..VmSpec::default()
    }
}

fn nic(key: i32, slot: i32, attachment: &Attachment) -> Device {
    Device::Vmxnet3 {
        key,
        slot,
        backing: attachment.backing.clone(),
    }
}

/// NICs are told apart by slot: one on another network is moved, one too few is added, one too many goes.
fn nic_changes(spec: &EndpointSpec, vm: &Vm) -> Vec<DeviceChange> {
    let wanted = spec.nics();
    let mut changes = Vec::new();
    for (new_key, (slot, attachment)) in (-300..).zip(&wanted) {
        match vm.nics.iter().find(|nic| nic.slot == Some(*slot)) {
            None => changes.push(DeviceChange {
                op: DeviceOp::Add,
                device: nic(new_key, *slot, attachment),
            }),
            Some(known) if known.backing.as_ref() != Some(&attachment.backing) => {
                changes.push(DeviceChange {
                    op: DeviceOp::Edit,
                    device: nic(known.key, *slot, attachment),
                });
            }
            Some(_) => {}
        }
    }
    for known in &vm.nics {
        let slot = known.slot.unwrap_or_default();
        if wanted.iter().all(|(wanted, _)| *wanted != slot)
            && let Some(backing) = known.backing.clone()
        {
            let device = Device::Vmxnet3 {
                key: known.key,
                slot,
                backing,
            };
            changes.push(DeviceChange {
                op: DeviceOp::Remove,
                device,
            });
        }
    }
    changes
}

fn cdrom(boot: &BootImages, vm: &Vm) -> Option<DeviceChange> {
    let path = boot.appliance.path.to_string();
    if vm.cdrom.as_deref() == Some(&path) {
        return None;
    }
    let drive = vm.devices.iter().find(|device| device.kind == "VirtualCdrom");
    let (op, key) = drive.map_or((DeviceOp::Add, -400), |drive| (DeviceOp::Edit, drive.key));
    let controller_key = drive
        .and_then(|drive| drive.controller_key)
        .or_else(|| vm.device_key("VirtualIDEController"))
        .unwrap_or(FIRST_IDE);
    let unit = drive.and_then(|drive| drive.unit).unwrap_or_default();
    Some(DeviceChange {
        op,
        device: Device::CdromIso {
            key,
            controller_key,
            unit,
            path,
        },
    })
}

fn serial_port(vm: &Vm) -> Option<DeviceChange> {
    if vm.devices.iter().any(|device| device.kind == "VirtualSerialPort") {
        return None;
    }
    let directory = directory(vm)?;
    let controller_key = vm.device_key("VirtualSIOController").unwrap_or(SIO_CONTROLLER);
    let path = directory.join(SERIAL_FILE).to_string();
    Some(DeviceChange {
        op: DeviceOp::Add,
        device: Device::SerialFile {
            key: -401,
            controller_key,
            path,
        },
    })
}

/// The directory of a VM's files; none while vSphere has not told, and never a datastore's root.
#[must_use]
pub fn directory(vm: &Vm) -> Option<vsphere::DatastorePath> {
    let file: vsphere::DatastorePath = vm.vm_path.parse().ok()?;
    file.parent().filter(|directory| !directory.path.is_empty())
}

#[cfg(test)]
pub(crate) mod tests {
    use vsphere::{DeviceInfo, Nic, NicBacking};

    use super::super::fixture::{attachment, boot, spec, vm as test_vm};
    use super::*;

    /// The VM as it is when all that `spec` asks for was done.
    pub(crate) fn built(spec: &EndpointSpec, boot: &BootImages, mut vm: Vm) -> Vm {
        vm.name.clone_from(&spec.name);
        vm.num_cpus = spec.cpus;
        vm.memory_mb = spec.memory_mb;
        vm.alternate_guest_name = guest_name(boot);
        vm.cdrom = Some(boot.appliance.path.to_string());
        let nic = |(key, (slot, attachment)): (i32, (i32, &Attachment))| Nic {
            key,
            slot: Some(slot),
            mac: "00:50:56:00:00:01".to_owned(),
            backing: Some(attachment.backing.clone()),
        };
        vm.nics = (4000..).zip(spec.nics()).map(nic).collect();
        let device = |key, kind: &str, controller_key| DeviceInfo {
            key,
            kind: kind.to_owned(),
            controller_key,
            unit: Some(0),
            file: None,
        };
        vm.devices = vec![
            device(201, "VirtualIDEController", None),
            device(400, "VirtualSIOController", None),
            device(3000, "VirtualCdrom", Some(201)),
            device(9000, "VirtualSerialPort", Some(400)),
        ];
        vm
    }

    fn devices(spec: &VmSpec) -> Vec<(DeviceOp, Device)> {
        spec.devices
            .iter()
            .map(|change| (change.op, change.device.clone()))
            .collect()
    }

    fn vmxnet3(key: i32, slot: i32, group: &str) -> Device {
        Device::Vmxnet3 {
            key,
            slot,
            backing: attachment(group).backing,
        }
    }

    #[test]
    fn it_is_born_as_vic_machine_makes_it() {
        let born = birth(&spec(), &boot(), vec![("key".to_owned(), "value".to_owned())]);
        assert_eq!(born.name.as_deref(), Some("vch1"));
        assert_eq!(born.guest_id.as_deref(), Some("otherGuest64"));
        assert_eq!(
            born.alternate_guest_name.as_deref(),
            Some("Photon - VCH v1.5.8, 21000, 2c978fe")
        );
        assert_eq!(born.vm_path_name.as_deref(), Some("[LocalDS_0]"));
        assert_eq!((born.num_cpus, born.memory_mb), (Some(2), Some(4096)));
        let expected = [
            Device::IdeController { key: -201, bus: 0 },
            Device::ParaVirtualScsi {
                key: -202,
                bus: 0,
                unit: 7,
            },
            vmxnet3(-300, 1184, "dvportgroup-49"),
            vmxnet3(-299, 1216, "dvportgroup-51"),
        ];
        assert_eq!(devices(&born), expected.map(|device| (DeviceOp::Add, device)));
        assert!(
            born.extra_config
                .contains(&("answer.msg.serial.file.open".to_owned(), "Append".to_owned()))
        );
        assert!(
            born.extra_config
                .contains(&("key".to_owned(), "value".to_owned()))
        );
    }

    #[test]
    fn drive_and_serial_port_follow_once_their_controllers_are_there() {
        let mut vm = built(&spec(), &boot(), test_vm("vm-63", &[]));
        vm.cdrom = None;
        vm.devices.truncate(2);
        let expected = [
            (
                DeviceOp::Add,
                Device::CdromIso {
                    key: -400,
                    controller_key: 201,
                    unit: 0,
                    path: "[LocalDS_0] vch1/V1.5.8-21000-2C978FE-appliance.iso".to_owned(),
                },
            ),
            (
                DeviceOp::Add,
                Device::SerialFile {
                    key: -401,
                    controller_key: 400,
                    path: "[LocalDS_0] vch1/tether.debug".to_owned(),
                },
            ),
        ];
        assert_eq!(devices(&change(&spec(), &boot(), &vm, Vec::new())), expected);
    }

    #[test]
    fn only_what_differs_is_changed() {
        let vm = || built(&spec(), &boot(), test_vm("vm-63", &[]));
        assert!(differences(&spec(), &boot(), &vm()).is_empty());
        assert_eq!(change(&spec(), &boot(), &vm(), Vec::new()), VmSpec::default());

        let moved = NicBacking::Standard {
            name: "VM Network".to_owned(),
        };
        let mut edited = vm();
        edited.nics[1].backing = Some(moved.clone());
        edited.nics.push(Nic {
            key: 4007,
            slot: Some(160),
            mac: String::new(),
            backing: Some(moved.clone()),
        });
        let expected = [
            (DeviceOp::Edit, vmxnet3(4001, 1216, "dvportgroup-51")),
            (
                DeviceOp::Remove,
                Device::Vmxnet3 {
                    key: 4007,
                    slot: 160,
                    backing: moved,
                },
            ),
        ];
        assert_eq!(devices(&change(&spec(), &boot(), &edited, Vec::new())), expected);
        assert_eq!(
            differences(&spec(), &boot(), &edited),
            ["network adapters differ"]
        );

        let mut wanted = spec();
        wanted.client.attachment = attachment("dvportgroup-57");
        wanted.cpus = 4;
        let changed = change(&wanted, &boot(), &vm(), Vec::new());
        assert_eq!(
            devices(&changed),
            [(DeviceOp::Add, vmxnet3(-298, 1248, "dvportgroup-57"))]
        );
        assert_eq!(
            (changed.num_cpus, changed.memory_mb, changed.name),
            (Some(4), None, None)
        );

        let mut other_image = vm();
        other_image.cdrom = Some("[LocalDS_0] vch1/other.iso".to_owned());
        let changed = devices(&change(&spec(), &boot(), &other_image, Vec::new()));
        assert!(matches!(
            changed.as_slice(),
            [(
                DeviceOp::Edit,
                Device::CdromIso {
                    key: 3000,
                    controller_key: 201,
                    ..
                }
            )]
        ));
    }

    #[test]
    fn a_datastores_root_is_no_vms_directory() {
        let directory = |path: &str| {
            directory(&Vm {
                vm_path: path.to_owned(),
                ..test_vm("vm-1", &[])
            })
        };
        assert_eq!(directory("[ds] vch1/vch1.vmx").unwrap().to_string(), "[ds] vch1");
        assert_eq!(directory("[ds] vch1.vmx"), None);
        assert_eq!(directory(""), None);
    }
}
