//! `ContainerNetwork`: a VLAN port group, an NSX segment, or an existing network.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::common::{
    DeletionPolicy, GatewayRef, ManagementPolicy, ObjectRef, Resolved, conditions_schema, named_list,
};
use crate::site::NamespaceMatch;
use crate::text::{
    Address, AddressOrCidr, AddressRange, InterfaceAddress, ItemName, MacAddress, NetworkName, OutsideName,
    Period, VlanRange,
};

/// A network that virtual container hosts and containers attach to.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "vic-operator.io",
    version = "v1alpha1",
    kind = "ContainerNetwork",
    namespaced,
    shortname = "cnet",
    category = "vic",
    status = "ContainerNetworkStatus",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Backing", type_ = "string", json_path = ".status.backing"),
    printcolumn(name = "Subnets", type_ = "string", json_path = ".status.subnets"),
    printcolumn(name = "Used-By", type_ = "string", json_path = ".status.usedBy"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Gateway",
        type_ = "string",
        json_path = ".status.resolved.gateway",
        priority = 1
    ),
    printcolumn(
        name = "Port-Group",
        type_ = "string",
        json_path = ".status.portGroup.name",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ContainerNetworkSpec {
    /// The Site it lies on.
    #[x_kube(validation = Rule::new("self == oldSelf").message("siteRef is immutable"))]
    pub site_ref: ObjectRef,
    /// Name in vSphere or NSX; default `<namespace>-<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<NetworkName>,
    /// What carries it.
    pub backing: Backing,
    /// Its subnets: true of a VLAN or an existing network, programmed on a segment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1))]
    pub subnets: Vec<Subnet>,
    /// What becomes of the network when the spec changes what NSX cannot change. Absent: `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_policy: Option<ReplacePolicy>,
    /// Namespaces that may use the network: their VCHs, rules and policies name it with its namespace. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_with: Option<NamespaceMatch>,
    /// Whether the operator changes anything. Absent: `Enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// What becomes of the network when this object is deleted. Absent: `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// What carries a network; `type` says which body applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == oldSelf.type").message("backing.type is immutable"),
    validation = Rule::new("(self.type == 'PortGroup') == has(self.portGroup)").message("portGroup must be set with type PortGroup, and only then"),
    validation = Rule::new("self.type == 'Segment' || !has(self.segment)").message("segment may be set with type Segment only"),
    validation = Rule::new("(self.type == 'Existing') == has(self.existing)").message("existing must be set with type Existing, and only then")
)]
pub struct Backing {
    /// Which kind of network.
    #[serde(rename = "type")]
    pub kind: BackingType,
    /// A VLAN port group on a distributed switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_group: Option<PortGroupBacking>,
    /// An NSX segment; may be absent, then an isolated overlay segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentBacking>,
    /// A network that someone else made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<ExistingBacking>,
}

/// Kinds of backing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackingType {
    /// A VLAN port group that the operator makes.
    PortGroup,
    /// An NSX segment that the operator makes.
    Segment,
    /// A network that is only observed.
    Existing,
}

/// A VLAN port group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortGroupBacking {
    /// The VLAN, 0 for untagged.
    #[serde(rename = "vlanID")]
    #[schemars(range(min = 0, max = 4094))]
    pub vlan_id: i32,
    /// The switch; default the Site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distributed_switch: Option<OutsideName>,
}

/// An NSX segment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentBacking {
    /// The transport zone, by id or unique display name; default the Site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport_zone: Option<OutsideName>,
    /// The gateway it is connected to; absent, it is connected to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayRef>,
    /// VLANs or ranges of them, for a segment in a VLAN transport zone; it is connected to no gateway.
    #[serde(default, rename = "vlanIDs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub vlan_ids: Vec<VlanRange>,
    /// How an overlay segment replicates broadcasts. Absent: `MTEP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_mode: Option<ReplicationMode>,
    /// Whether its ports forward. Absent: `Up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_state: Option<AdminState>,
}

/// How an overlay segment replicates broadcasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReplicationMode {
    /// Hosts of each subnet pass them on.
    #[default]
    #[serde(rename = "MTEP")]
    Mtep,
    /// The sender's host sends each copy.
    Source,
}

/// Whether a segment's ports forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdminState {
    /// They do.
    #[default]
    Up,
    /// They do not.
    Down,
}

/// What becomes of a network whose spec changed where NSX cannot change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReplacePolicy {
    /// It stays as it was, and says so.
    #[default]
    Never,
    /// It is deleted and made anew, once no port is attached.
    Recreate,
}

/// A network that someone else made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExistingBacking {
    /// Its moref, unique name, or inventory path below the datacenter.
    pub network: OutsideName,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subnet {
    /// The gateway's own address with the subnet's prefix, such as `10.30.0.1/24`.
    pub gateway_address: InterfaceAddress,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub dns_servers: Vec<Address>,
    /// DHCP on this subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<Dhcp>,
}

/// DHCP on a subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode != 'Server' || (has(self.serverAddress) && has(self.ranges))").message("mode Server needs serverAddress and ranges"),
    validation = Rule::new("(self.mode == 'Relay') == has(self.relayServers)").message("relayServers must be set with mode Relay, and only then"),
    validation = Rule::new("self.mode == 'Server' || (!has(self.options) && !has(self.staticBindings))").message("options and staticBindings need mode Server")
)]
pub struct Dhcp {
    /// Who answers.
    pub mode: DhcpMode,
    /// The server's address on the subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_address: Option<Address>,
    /// Addresses to hand out; may grow, never shrink, while the network exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub ranges: Vec<AddressRange>,
    /// How long a lease holds, at least `60s`. Absent: `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_time: Option<Period>,
    /// Servers elsewhere that requests are passed on to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub relay_servers: Vec<Address>,
    /// What the server tells beside address, gateway and name servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<DhcpOptions>,
    /// Addresses kept for MAC addresses; outside of the ranges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "bindings_schema")]
    pub static_bindings: Vec<StaticBinding>,
}

fn bindings_schema(generator: &mut SchemaGenerator) -> Schema {
    named_list::<StaticBinding>(generator, 64)
}

/// What a DHCP server tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DhcpOptions {
    /// Routes (option 121).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 27))]
    pub routes: Vec<DhcpRoute>,
    /// Any other option, by its number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub others: Vec<DhcpOption>,
}

/// A route that DHCP tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DhcpRoute {
    /// Where to.
    pub network: AddressOrCidr,
    /// By way of.
    pub next_hop: Address,
}

/// A DHCP option by its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DhcpOption {
    /// Its number.
    #[schemars(range(min = 0, max = 255))]
    pub code: i32,
    /// Its values.
    #[schemars(length(min = 1, max = 10))]
    pub values: Vec<OutsideName>,
}

/// An address kept for a MAC address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaticBinding {
    /// The binding's name.
    pub name: ItemName,
    /// For whom.
    pub mac_address: MacAddress,
    /// The address; in the subnet and outside of the ranges.
    pub address: Address,
    /// The host name that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_name: Option<ItemName>,
}

/// Who answers DHCP on a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DhcpMode {
    /// A server that the operator declares on the segment.
    Server,
    /// Servers elsewhere, to which the gateway passes requests on.
    Relay,
    /// A server that someone else runs there.
    External,
}

/// What the operator knows of a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerNetworkStatus {
    /// The generation this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Ready`, `Reconciling`, `Stalled`; `Drifted`, `Conflict`, `Paused` where they apply.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The backing in a few words, such as `VLAN 120` or `Segment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing: Option<String>,
    /// The subnets in effect, such as `10.30.0.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnets: Option<String>,
    /// DHCP ranges in effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dhcp_ranges: Vec<String>,
    /// Who uses the network, while it is being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
    /// The port group in vCenter: nobody has to type its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_group: Option<PortGroupStatus>,
    /// The segment's policy path in NSX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_path: Option<String>,
    /// What outside names were resolved to when the network was first realized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// What would be done, with `Observe` or while something blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
}

/// A network in vCenter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortGroupStatus {
    /// Its name.
    pub name: String,
    /// Its managed object reference, such as `DistributedVirtualPortgroup:dvportgroup-12`.
    pub moref: String,
}
