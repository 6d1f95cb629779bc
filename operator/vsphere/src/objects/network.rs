//! Distributed switches, their port groups, and the networks that are neither.

use super::{Mirrored, entity, moref_from, morefs_from, name_from, text_from};
use crate::moref::Moref;
use crate::spec::Binding;
use crate::xml::Node;

/// A distributed switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Reference: `VmwareDistributedVirtualSwitch` or `DistributedVirtualSwitch`.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The network folder above.
    pub parent: Option<Moref>,
    /// Its UUID, as NIC backings name it.
    pub uuid: String,
    /// Its port groups, the uplink group included.
    pub port_groups: Vec<Moref>,
    /// Hosts that are members.
    pub hosts: Vec<Moref>,
}

entity!(Switch);

impl Mirrored for Switch {
    fn empty(moref: Moref) -> Self {
        Self {
            moref,
            name: String::new(),
            parent: None,
            uuid: String::new(),
            port_groups: Vec::new(),
            hosts: Vec::new(),
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match path {
            "name" => self.name = name_from(value),
            "parent" => self.parent = moref_from(value),
            "uuid" => self.uuid = text_from(value),
            "portgroup" => self.port_groups = morefs_from(value),
            "summary.hostMember" => self.hosts = morefs_from(value),
            _ => {}
        }
    }
}

/// The VLAN setting of a port group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vlan {
    /// One VLAN; 0 is none.
    Id(u16),
    /// A trunk of ranges, both ends included.
    Trunk(Vec<(u16, u16)>),
    /// A private VLAN.
    Private(u16),
    /// None of these, or not readable.
    Unknown,
}

/// Who keeps a port group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortGroupBacking {
    /// vCenter.
    Standard,
    /// NSX: it is only ever observed here.
    Nsx,
}

/// A distributed port group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortGroup {
    /// Reference.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The network folder above.
    pub parent: Option<Moref>,
    /// Its key, as NIC backings name it.
    pub key: String,
    /// The switch it belongs to.
    pub switch: Option<Moref>,
    /// VLAN.
    pub vlan: Vlan,
    /// Description: the ownership mark of port groups.
    pub description: String,
    /// Version of the configuration, to be sent with a change.
    pub config_version: String,
    /// Who keeps it.
    pub backing: PortGroupBacking,
    /// The NSX logical switch behind it.
    pub logical_switch_uuid: Option<String>,
    /// The NSX segment behind it.
    pub segment_id: Option<String>,
    /// Whether it is the switch's uplink group.
    pub uplink: bool,
    /// VMs connected to it.
    pub vms: Vec<Moref>,
    /// Number of ports.
    pub num_ports: i32,
    /// How ports are bound to VMs.
    pub binding: Binding,
}

entity!(PortGroup);

impl Mirrored for PortGroup {
    fn empty(moref: Moref) -> Self {
        Self {
            moref,
            name: String::new(),
            parent: None,
            key: String::new(),
            switch: None,
            vlan: Vlan::Unknown,
            description: String::new(),
            config_version: String::new(),
            backing: PortGroupBacking::Standard,
            logical_switch_uuid: None,
            segment_id: None,
            uplink: false,
            vms: Vec::new(),
            num_ports: 0,
            binding: Binding::Other,
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match path {
            "name" => self.name = name_from(value),
            "parent" => self.parent = moref_from(value),
            "key" => self.key = text_from(value),
            "vm" => self.vms = morefs_from(value),
            "config" => self.set_config(value.unwrap_or(&Node::default())),
            _ => {}
        }
    }
}

impl PortGroup {
    /// `config` is taken whole: the NSX fields exist since vSphere 7.0, and a filter that names a
    /// path which a server does not know is refused.
    fn set_config(&mut self, config: &Node) {
        self.switch = config.moref_of("distributedVirtualSwitch");
        self.vlan = config
            .child("defaultPortConfig")
            .and_then(|setting| setting.child("vlan"))
            .map_or(Vlan::Unknown, vlan_from);
        self.description = config.string("description").unwrap_or_default();
        self.config_version = config.string("configVersion").unwrap_or_default();
        self.backing = match config.text_of("backingType") {
            Some("nsx") => PortGroupBacking::Nsx,
            _ => PortGroupBacking::Standard,
        };
        self.logical_switch_uuid = config.string("logicalSwitchUuid");
        self.segment_id = config.string("segmentId");
        self.uplink = config.flag("uplink").unwrap_or_default();
        self.num_ports = config.value("numPorts").unwrap_or_default();
        self.binding = Binding::from_wire(config.text_of("type").unwrap_or_default());
    }
}

fn vlan_from(vlan: &Node) -> Vlan {
    match vlan.kind.as_deref() {
        Some("VmwareDistributedVirtualSwitchVlanIdSpec") => vlan.value("vlanId").map(Vlan::Id),
        Some("VmwareDistributedVirtualSwitchPvlanSpec") => vlan.value("pvlanId").map(Vlan::Private),
        Some("VmwareDistributedVirtualSwitchTrunkVlanSpec") => vlan
            .all("vlanId")
            .map(|range| Some((range.value("start")?, range.value("end")?)))
            .collect::<Option<Vec<_>>>()
            .map(Vlan::Trunk),
        _ => None,
    }
    .unwrap_or(Vlan::Unknown)
}

/// What a [`Network`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    /// A standard port group of the hosts.
    Standard,
    /// A network that another manager (NSX) keeps.
    Opaque {
        /// Its id with that manager.
        id: String,
        /// Its type, such as `nsx.LogicalSwitch`.
        kind: String,
    },
}

/// A network that is not a distributed port group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Reference: `Network` or `OpaqueNetwork`.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The network folder above.
    pub parent: Option<Moref>,
    /// What it is.
    pub kind: NetworkKind,
    /// VMs connected to it.
    pub vms: Vec<Moref>,
}

entity!(Network);

impl Mirrored for Network {
    fn empty(moref: Moref) -> Self {
        let kind = match moref.kind.as_str() {
            "OpaqueNetwork" => NetworkKind::Opaque {
                id: String::new(),
                kind: String::new(),
            },
            _ => NetworkKind::Standard,
        };
        Self {
            moref,
            name: String::new(),
            parent: None,
            kind,
            vms: Vec::new(),
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match (path, &mut self.kind) {
            ("name", _) => self.name = name_from(value),
            ("parent", _) => self.parent = moref_from(value),
            ("vm", _) => self.vms = morefs_from(value),
            ("summary", NetworkKind::Opaque { id, kind }) => {
                let of = |name| value.and_then(|node| node.string(name)).unwrap_or_default();
                *id = of("opaqueNetworkId");
                *kind = of("opaqueNetworkType");
            }
            _ => {}
        }
    }
}
