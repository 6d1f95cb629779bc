//! Distributed port groups.

use crate::objects::{PortGroup, Vlan, escape_name};
use crate::xml::Writer;

/// When a VM's adapter gets its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Binding {
    /// With the adapter: vSphere's "static".
    #[default]
    Early,
    /// At power-on; deprecated by vSphere.
    Late,
    /// At power-on, without vCenter.
    Ephemeral,
    /// Not one of these.
    Other,
}

impl Binding {
    pub(crate) fn from_wire(text: &str) -> Self {
        match text {
            "earlyBinding" => Self::Early,
            "lateBinding" => Self::Late,
            "ephemeral" => Self::Ephemeral,
            _ => Self::Other,
        }
    }

    fn wire(self) -> &'static str {
        match self {
            Self::Early | Self::Other => "earlyBinding",
            Self::Late => "lateBinding",
            Self::Ephemeral => "ephemeral",
        }
    }
}

/// A port group as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortGroupSpec {
    /// Name, unescaped.
    pub name: String,
    /// Description: carries the ownership mark, written with the object.
    pub description: String,
    /// VLAN, 0 for none.
    pub vlan_id: u16,
    /// Number of ports.
    pub num_ports: i32,
    /// When ports are bound.
    pub binding: Binding,
}

impl PortGroupSpec {
    /// A `DVPortgroupConfigSpec`, always with every value that we know: right whether the server
    /// merges the specification or replaces the configuration by it.
    pub(crate) fn write(&self, w: &mut Writer, name: &str, config_version: Option<&str>) {
        w.element(name, |w| {
            w.optional(
                "configVersion",
                config_version.filter(|version| !version.is_empty()),
            );
            w.value("name", escape_name(&self.name));
            w.value("numPorts", self.num_ports);
            w.typed("defaultPortConfig", "VMwareDVSPortSetting", |w| {
                w.typed("vlan", "VmwareDistributedVirtualSwitchVlanIdSpec", |w| {
                    w.value("inherited", false);
                    w.value("vlanId", self.vlan_id);
                });
            });
            w.value("description", &self.description);
            w.value("type", self.binding.wire());
        });
    }

    /// Whether a port group is as this says.
    #[must_use]
    pub fn matches(&self, group: &PortGroup) -> bool {
        group.name == self.name
            && group.description == self.description
            && group.vlan == Vlan::Id(self.vlan_id)
            && group.binding == self.binding
            && group.num_ports == self.num_ports
    }
}
