//! Virtual machines and their devices.

use crate::objects::escape_name;
use crate::xml::{Node, Writer};

/// What a network adapter is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NicBacking {
    /// A distributed port group.
    PortGroup {
        /// The port group's key.
        key: String,
        /// The switch's UUID.
        switch_uuid: String,
    },
    /// A network that NSX keeps.
    Opaque {
        /// Its id.
        id: String,
        /// Its type, such as `nsx.LogicalSwitch`.
        kind: String,
    },
    /// A standard port group.
    Standard {
        /// Its name.
        name: String,
    },
}

/// A device, as far as VIC's appliance has them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// IDE controller, for the CD-ROM drive.
    IdeController {
        /// Device key, negative for one that is yet to be made.
        key: i32,
        /// Bus number.
        bus: i32,
    },
    /// Paravirtual SCSI controller.
    ParaVirtualScsi {
        /// Device key.
        key: i32,
        /// Bus number.
        bus: i32,
        /// The controller's own unit number.
        unit: i32,
    },
    /// Network adapter.
    Vmxnet3 {
        /// Device key.
        key: i32,
        /// PCI slot number.
        slot: i32,
        /// What it is connected to.
        backing: NicBacking,
    },
    /// CD-ROM drive with an ISO image.
    CdromIso {
        /// Device key.
        key: i32,
        /// Key of the IDE controller.
        controller_key: i32,
        /// Unit number on the controller.
        unit: i32,
        /// Datastore path of the image.
        path: String,
    },
    /// A disk that exists, to be removed from its VM; its file stays.
    Disk {
        /// Device key.
        key: i32,
    },
    /// Serial port that writes to a file.
    SerialFile {
        /// Device key.
        key: i32,
        /// Key of the SIO controller (400).
        controller_key: i32,
        /// Datastore path of the file.
        path: String,
    },
}

/// What happens to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceOp {
    /// It is made.
    Add,
    /// It is changed.
    Edit,
    /// It is removed; files behind it stay.
    Remove,
}

/// One change of a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceChange {
    /// What happens.
    pub op: DeviceOp,
    /// The device.
    pub device: Device,
}

/// A VM's configuration, or a change of it: what is `None` or empty stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmSpec {
    /// Name, unescaped.
    pub name: Option<String>,
    /// Guest operating system, such as `otherGuest64`.
    pub guest_id: Option<String>,
    /// Full guest name.
    pub alternate_guest_name: Option<String>,
    /// Datastore path of the VM's files; `[datastore]` alone lets vSphere choose the directory.
    pub vm_path_name: Option<String>,
    /// Number of virtual CPUs.
    pub num_cpus: Option<i32>,
    /// Memory in MB.
    pub memory_mb: Option<i64>,
    /// Changes of devices.
    pub devices: Vec<DeviceChange>,
    /// Keys to set; an empty value removes the key.
    pub extra_config: Vec<(String, String)>,
}

impl VmSpec {
    /// A `VirtualMachineConfigSpec`.
    pub(crate) fn write(&self, w: &mut Writer, name: &str) {
        w.element(name, |w| {
            w.optional("name", self.name.as_deref().map(escape_name));
            w.optional("guestId", self.guest_id.as_ref());
            w.optional("alternateGuestName", self.alternate_guest_name.as_ref());
            if let Some(path) = &self.vm_path_name {
                w.element("files", |w| w.value("vmPathName", path));
            }
            w.optional("numCPUs", self.num_cpus);
            w.optional("memoryMB", self.memory_mb);
            for change in &self.devices {
                change.write(w);
            }
            for (key, value) in &self.extra_config {
                w.typed("extraConfig", "OptionValue", |w| {
                    w.value("key", key);
                    w.any_string("value", value);
                });
            }
        });
    }
}

impl DeviceChange {
    fn write(&self, w: &mut Writer) {
        w.typed("deviceChange", "VirtualDeviceConfigSpec", |w| {
            w.value(
                "operation",
                match self.op {
                    DeviceOp::Add => "add",
                    DeviceOp::Edit => "edit",
                    DeviceOp::Remove => "remove",
                },
            );
            self.device.write(w);
        });
    }
}

impl Device {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::IdeController { key, bus } => w.typed("device", "VirtualIDEController", |w| {
                w.value("key", key);
                w.value("busNumber", bus);
            }),
            Self::ParaVirtualScsi { key, bus, unit } => w.typed("device", "ParaVirtualSCSIController", |w| {
                w.value("key", key);
                w.value("busNumber", bus);
                w.value("sharedBus", "noSharing");
                w.value("scsiCtlrUnitNumber", unit);
            }),
            Self::Vmxnet3 { key, slot, backing } => w.typed("device", "VirtualVmxnet3", |w| {
                w.value("key", key);
                backing.write(w);
                w.typed("slotInfo", "VirtualDevicePciBusSlotInfo", |w| {
                    w.value("pciSlotNumber", slot);
                });
            }),
            Self::CdromIso {
                key,
                controller_key,
                unit,
                path,
            } => w.typed("device", "VirtualCdrom", |w| {
                w.value("key", key);
                w.typed("backing", "VirtualCdromIsoBackingInfo", |w| {
                    w.value("fileName", path);
                });
                connectable(w, true);
                w.value("controllerKey", controller_key);
                w.value("unitNumber", unit);
            }),
            Self::Disk { key } => w.typed("device", "VirtualDisk", |w| {
                w.value("key", key);
                // Required by the schema, and without a meaning for a disk that goes.
                w.value("capacityInKB", 0);
            }),
            Self::SerialFile {
                key,
                controller_key,
                path,
            } => w.typed("device", "VirtualSerialPort", |w| {
                w.value("key", key);
                w.typed("backing", "VirtualSerialPortFileBackingInfo", |w| {
                    w.value("fileName", path);
                });
                connectable(w, false);
                w.value("controllerKey", controller_key);
                w.value("unitNumber", 0);
                w.value("yieldOnPoll", true);
            }),
        }
    }
}

/// `by_guest`: whether the guest may connect and disconnect it, as it may its CD-ROM drive.
fn connectable(w: &mut Writer, by_guest: bool) {
    w.element("connectable", |w| {
        w.value("startConnected", true);
        w.value("allowGuestControl", by_guest);
        w.value("connected", by_guest);
    });
}

impl NicBacking {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::PortGroup { key, switch_uuid } => {
                w.typed(
                    "backing",
                    "VirtualEthernetCardDistributedVirtualPortBackingInfo",
                    |w| {
                        w.element("port", |w| {
                            w.value("switchUuid", switch_uuid);
                            w.value("portgroupKey", key);
                        });
                    },
                );
            }
            Self::Opaque { id, kind } => {
                w.typed("backing", "VirtualEthernetCardOpaqueNetworkBackingInfo", |w| {
                    w.value("opaqueNetworkId", id);
                    w.value("opaqueNetworkType", kind);
                });
            }
            Self::Standard { name } => {
                w.typed("backing", "VirtualEthernetCardNetworkBackingInfo", |w| {
                    w.value("deviceName", name);
                });
            }
        }
    }

    pub(crate) fn from_node(node: &Node) -> Option<Self> {
        match node.kind.as_deref()? {
            "VirtualEthernetCardDistributedVirtualPortBackingInfo" => {
                let port = node.child("port")?;
                let key = port.string("portgroupKey")?;
                Some(Self::PortGroup {
                    key,
                    switch_uuid: port.string("switchUuid")?,
                })
            }
            "VirtualEthernetCardOpaqueNetworkBackingInfo" => Some(Self::Opaque {
                id: node.string("opaqueNetworkId")?,
                kind: node.string("opaqueNetworkType").unwrap_or_default(),
            }),
            "VirtualEthernetCardNetworkBackingInfo" => Some(Self::Standard {
                name: node.string("deviceName")?,
            }),
            _ => None,
        }
    }
}
