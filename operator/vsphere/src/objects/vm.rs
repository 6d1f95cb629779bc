//! Virtual machines.

use std::collections::BTreeMap;
use std::fmt;

use super::{Mirrored, entity, moref_from, morefs_from, name_from, number_from, optional_text, text_from};
use crate::moref::Moref;
use crate::spec::NicBacking;
use crate::xml::Node;

/// Power state of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerState {
    /// Off.
    Off,
    /// On.
    On,
    /// Suspended.
    Suspended,
}

impl PowerState {
    pub(crate) fn from_wire(text: &str) -> Option<Self> {
        match text {
            "poweredOn" => Some(Self::On),
            "poweredOff" => Some(Self::Off),
            "suspended" => Some(Self::Suspended),
            _ => None,
        }
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "powered off",
            Self::On => "powered on",
            Self::Suspended => "suspended",
        })
    }
}

/// Whether vCenter can manage a VM at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Yes.
    Connected,
    /// Its host is disconnected.
    Disconnected,
    /// Its files are not accessible.
    Inaccessible,
    /// Its configuration is not valid.
    Invalid,
    /// It is no longer registered on its host.
    Orphaned,
}

/// A network adapter of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Device key.
    pub key: i32,
    /// PCI slot number, by which VIC tells its adapters apart.
    pub slot: Option<i32>,
    /// MAC address.
    pub mac: String,
    /// What it is connected to, if that is of a kind we know.
    pub backing: Option<NicBacking>,
}

/// Any device of a VM, as far as another change must name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Device key.
    pub key: i32,
    /// Type, such as `VirtualIDEController`.
    pub kind: String,
    /// Key of its controller.
    pub controller_key: Option<i32>,
    /// Its unit number on the controller.
    pub unit: Option<i32>,
    /// The file behind it (ISO image, disk or serial port log), as a datastore path.
    pub file: Option<String>,
}

/// A virtual machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Vm {
    /// Reference.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The folder above; none for a VM in a vApp.
    pub parent: Option<Moref>,
    /// Its resource pool.
    pub pool: Option<Moref>,
    /// The host it is registered on.
    pub host: Option<Moref>,
    /// Power state.
    pub power: PowerState,
    /// Whether vCenter can manage it.
    pub connection_state: ConnectionState,
    /// The extraConfig map. vCenter hides some keys, such as `guestinfo.ovfEnv`.
    pub extra_config: BTreeMap<String, String>,
    /// Address the guest tools report.
    pub guest_ip: Option<String>,
    /// Every address that the guest tools report, of all network adapters, IPv6 included.
    pub guest_addresses: Vec<String>,
    /// Whether the guest tools run.
    pub tools_running: bool,
    /// vCenter's own UUID of the VM.
    pub instance_uuid: String,
    /// SMBIOS UUID.
    pub uuid: String,
    /// Datastore path of the `.vmx` file.
    pub vm_path: String,
    /// Number of virtual CPUs.
    pub num_cpus: i32,
    /// Memory in MB.
    pub memory_mb: i64,
    /// Full guest name, by which VIC marks its VMs for people.
    pub alternate_guest_name: String,
    /// Network adapters.
    pub nics: Vec<Nic>,
    /// ISO image in the first CD-ROM drive, as a datastore path.
    pub cdrom: Option<String>,
    /// All devices.
    pub devices: Vec<DeviceInfo>,
    /// Networks it is connected to.
    pub networks: Vec<Moref>,
    /// Datastores its files lie on.
    pub datastores: Vec<Moref>,
}

entity!(Vm);

impl Mirrored for Vm {
    fn empty(moref: Moref) -> Self {
        Self {
            moref,
            name: String::new(),
            parent: None,
            pool: None,
            host: None,
            power: PowerState::Off,
            connection_state: ConnectionState::Disconnected,
            extra_config: BTreeMap::new(),
            guest_ip: None,
            guest_addresses: Vec::new(),
            tools_running: false,
            instance_uuid: String::new(),
            uuid: String::new(),
            vm_path: String::new(),
            num_cpus: 0,
            memory_mb: 0,
            alternate_guest_name: String::new(),
            nics: Vec::new(),
            cdrom: None,
            devices: Vec::new(),
            networks: Vec::new(),
            datastores: Vec::new(),
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match path {
            "name" => self.name = name_from(value),
            "parent" => self.parent = moref_from(value),
            "resourcePool" => self.pool = moref_from(value),
            "runtime.host" => self.host = moref_from(value),
            "runtime.powerState" => self.power = power_from(value),
            "runtime.connectionState" => self.connection_state = connection_from(value),
            "config.extraConfig" => self.extra_config = options_from(value),
            "guest.ipAddress" => self.guest_ip = optional_text(value),
            "guest.net" => self.guest_addresses = guest_addresses_from(value),
            "guest.toolsRunningStatus" => self.tools_running = text_from(value) == "guestToolsRunning",
            "config.instanceUuid" => self.instance_uuid = text_from(value),
            "config.uuid" => self.uuid = text_from(value),
            "config.files.vmPathName" => self.vm_path = text_from(value),
            "config.hardware.numCPU" => self.num_cpus = number_from(value),
            "config.hardware.memoryMB" => self.memory_mb = number_from(value),
            "config.alternateGuestName" => self.alternate_guest_name = text_from(value),
            "config.hardware.device" => self.set_devices(value),
            "network" => self.networks = morefs_from(value),
            "datastore" => self.datastores = morefs_from(value),
            _ => {}
        }
    }
}

impl Vm {
    fn set_devices(&mut self, value: Option<&Node>) {
        let devices = value.map(|node| node.children.as_slice()).unwrap_or_default();
        self.devices = devices.iter().filter_map(device_from).collect();
        self.nics = devices.iter().filter_map(nic_from).collect();
        self.cdrom = devices
            .iter()
            .filter(|device| device.kind.as_deref() == Some("VirtualCdrom"))
            .filter_map(|drive| drive.child("backing"))
            .filter(|backing| backing.kind.as_deref() == Some("VirtualCdromIsoBackingInfo"))
            .find_map(|backing| backing.string("fileName"));
    }

    /// The key of the first device of that type, such as `VirtualIDEController`.
    #[must_use]
    pub fn device_key(&self, kind: &str) -> Option<i32> {
        self.devices
            .iter()
            .find(|device| device.kind == kind)
            .map(|device| device.key)
    }
}

fn power_from(value: Option<&Node>) -> PowerState {
    value
        .and_then(|node| PowerState::from_wire(&node.text))
        .unwrap_or(PowerState::Off)
}

fn connection_from(value: Option<&Node>) -> ConnectionState {
    match value.map(|node| node.text.as_str()) {
        Some("connected") => ConnectionState::Connected,
        Some("inaccessible") => ConnectionState::Inaccessible,
        Some("invalid") => ConnectionState::Invalid,
        Some("orphaned") => ConnectionState::Orphaned,
        _ => ConnectionState::Disconnected,
    }
}

fn options_from(value: Option<&Node>) -> BTreeMap<String, String> {
    let options = value.map(|node| node.children.as_slice()).unwrap_or_default();
    options
        .iter()
        .filter_map(|option| {
            let value = option.text_of("value").unwrap_or_default();
            Some((option.string("key")?, value.to_owned()))
        })
        .collect()
}

fn device_from(device: &Node) -> Option<DeviceInfo> {
    Some(DeviceInfo {
        key: device.value("key")?,
        kind: device.kind.clone()?,
        controller_key: device.value("controllerKey"),
        unit: device.value("unitNumber"),
        file: device
            .child("backing")
            .and_then(|backing| backing.string("fileName")),
    })
}

/// The addresses of all of a guest's network adapters.
fn guest_addresses_from(value: Option<&Node>) -> Vec<String> {
    let adapters = value.map(|node| node.children.as_slice()).unwrap_or_default();
    adapters
        .iter()
        .flat_map(|adapter| adapter.all("ipAddress"))
        .map(|address| address.text.clone())
        .collect()
}

/// Every type of adapter has a `macAddress`, and no other device does.
fn nic_from(device: &Node) -> Option<Nic> {
    let mac = device.string("macAddress")?;
    Some(Nic {
        key: device.value("key")?,
        slot: device
            .child("slotInfo")
            .and_then(|slot| slot.value("pciSlotNumber")),
        mac,
        backing: device.child("backing").and_then(NicBacking::from_node),
    })
}
