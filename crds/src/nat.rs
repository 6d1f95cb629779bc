//! `EdgeNatRule`: one NAT rule on an edge gateway, with its north-south firewall rule.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::{
    DeletionPolicy, GatewayRef, ManagementPolicy, ObjectRef, Resolved, SharedRef, conditions_schema,
};
use crate::text::{AddressOrCidr, Cidr, ContainerName, InterfacePath, ItemName, OutsideName};

/// One NAT rule on an edge gateway, with its north-south firewall rule.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "vic-operator.io",
    version = "v1alpha1",
    kind = "EdgeNatRule",
    namespaced,
    shortname = "enat",
    category = "vic",
    status = "EdgeNatRuleStatus",
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
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action"),
    printcolumn(name = "External", type_ = "string", json_path = ".status.external"),
    printcolumn(name = "Internal", type_ = "string", json_path = ".status.internal"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Gateway",
        type_ = "string",
        json_path = ".status.resolved.gateway",
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
#[x_kube(
    validation = Rule::new("self.action == 'NoSNAT' ? !has(self.external) : has(self.external)").message("external is required, except for NoSNAT, which has none"),
    validation = Rule::new("self.action == 'NoDNAT' ? !has(self.internal) : has(self.internal)").message("internal is required, except for NoDNAT, which has none"),
    validation = Rule::new("(self.action == 'NoDNAT') == has(self.gateway)").message("gateway must be set for NoDNAT, and only then: elsewhere the internal network's gateway holds"),
    validation = Rule::new("self.action != 'Reflexive' || !has(self.remote)").message("remote may not be set for Reflexive"),
    validation = Rule::new("(self.action == 'DNAT' || self.action == 'Reflexive') == has(self.firewall)").message("firewall must be set for DNAT and Reflexive, and only for them"),
    validation = Rule::new("!has(self.external) || !has(self.external.port) || (has(self.protocol) && (self.protocol == 'TCP' || self.protocol == 'UDP'))").message("external.port needs protocol TCP or UDP"),
    validation = Rule::new("!has(self.internal) || !has(self.internal.port) || (self.action == 'DNAT' && has(self.external) && has(self.external.port))").message("internal.port needs action DNAT and external.port"),
    validation = Rule::new("self.action != 'Reflexive' || !has(self.external) || !has(self.external.port)").message("external.port may not be set for Reflexive"),
    validation = Rule::new("self.action != 'DNAT' || !has(self.internal) || has(self.internal.address) || has(self.internal.container)").message("internal.address or internal.container is required for DNAT"),
    validation = Rule::new("self.action == 'DNAT' || !has(self.internal) || !has(self.internal.container)").message("internal.container may be set for DNAT only"),
    validation = Rule::new("self.action != 'Reflexive' || !has(self.internal) || has(self.internal.address)").message("internal.address is required for Reflexive")
)]
pub struct EdgeNatRuleSpec {
    /// The Site it lies on.
    #[x_kube(validation = Rule::new("self == oldSelf").message("siteRef is immutable"))]
    pub site_ref: ObjectRef,
    /// What the rule does.
    pub action: NatAction,
    /// The protocol it speaks of. Absent: `Any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// The consumers' side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// The containers' side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<Internal>,
    /// The peers the rule is limited to; absent, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
    /// Interfaces of the gateway that the rule is limited to; absent, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub scope: Vec<InterfaceRef>,
    /// The gateway, where no internal network tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayRef>,
    /// The north-south firewall for what the rule publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Firewall>,
    /// Lower comes first. Absent: 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub priority: Option<i32>,
    /// Whether the gateway logs what the rule matches. Absent: `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Whether the operator changes anything. Absent: `Enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// What becomes of the rule in NSX when this object is deleted. Absent: `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// What a NAT rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NatAction {
    /// Traffic to the external address goes to the internal one.
    #[serde(rename = "DNAT")]
    Dnat,
    /// Traffic from inside leaves with the external address.
    #[serde(rename = "SNAT")]
    Snat,
    /// One to one, both ways, stateless.
    Reflexive,
    /// Traffic to the external address is left as it is.
    #[serde(rename = "NoDNAT")]
    NoDnat,
    /// Traffic from inside leaves as it is.
    #[serde(rename = "NoSNAT")]
    NoSnat,
}

/// Protocols of a NAT rule.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Protocol {
    /// TCP.
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
    /// ICMP, version 4.
    #[serde(rename = "ICMP")]
    Icmp,
    /// Every protocol.
    #[default]
    Any,
}

/// The consumers' side of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.address) != has(self.allocation)").message("exactly one of address and allocation must be set"),
    validation = Rule::new("!has(self.endPort) || (has(self.port) && self.endPort >= self.port)").message("endPort needs port and must not be lower")
)]
pub struct External {
    /// An address, or a network where the action allows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressOrCidr>,
    /// An address that NSX takes from a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Allocation>,
    /// First port; absent, all ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Last port; absent, the first is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub end_port: Option<i32>,
}

/// An address of a pool. Rules of a namespace that give it the same name share it; it is released with the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Allocation {
    /// The pool in NSX, by id or unique display name.
    pub pool: OutsideName,
    /// What the rules call the address.
    pub name: ItemName,
}

/// An interface of the rule's gateway: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.networkRef) != has(self.path)").message("exactly one of networkRef and path must be set"))]
pub struct InterfaceRef {
    /// The network of an uplink of the `EdgeGateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_ref: Option<ObjectRef>,
    /// The interface's policy path in NSX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<InterfacePath>,
}

/// The containers' side of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.address) || !has(self.container)").message("address and container may not both be set"))]
pub struct Internal {
    /// The network the address lies on: the rule's gateway is this network's.
    pub network_ref: SharedRef,
    /// An address or a network on it; absent (`SNAT` and `NoSNAT`), the network's whole subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressOrCidr>,
    /// A container: the rule follows the address that vCenter reports for it on the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerRef>,
    /// First port, base of a range as long as the external one; absent, the same ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// A container of a virtual container host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerRef {
    /// The `VirtualContainerHost`.
    pub vch_ref: ObjectRef,
    /// The container's name in it.
    pub name: ContainerName,
}

/// The peers a rule is limited to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.cidr) != has(self.cidrs)").message("exactly one of cidr and cidrs must be set"))]
pub struct Remote {
    /// One address or network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<AddressOrCidr>,
    /// Several; each becomes a rule of its own in NSX.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub cidrs: Vec<AddressOrCidr>,
}

/// The north-south firewall for what a rule publishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.mode == 'Exclusive' || self.mode == 'Additive') == has(self.allowFrom)").message("allowFrom must be set for modes Exclusive and Additive, and only for them"))]
pub struct Firewall {
    /// How the sources are treated.
    pub mode: FirewallMode,
    /// Sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub allow_from: Vec<Source>,
    /// Which address the firewall rules match. Absent: `ExternalAddress`.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<FirewallMatch>,
}

/// How a rule's sources are treated by the gateway firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FirewallMode {
    /// These sources and no others.
    Exclusive,
    /// These sources, beside what else allows.
    Additive,
    /// No firewall rule of ours.
    Unmanaged,
    /// The rule's traffic skips the firewall; needs a grant of the Site.
    Bypass,
}

/// A source of traffic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Its network; `0.0.0.0/0` is everyone.
    pub cidr: Cidr,
}

/// Which address firewall rules match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FirewallMatch {
    /// The address before translation.
    #[default]
    ExternalAddress,
    /// The address after translation.
    InternalAddress,
}

/// Whether a gateway logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Logging {
    /// It does.
    Enabled,
    /// It does not.
    #[default]
    Disabled,
}

/// What the operator knows of a NAT rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeNatRuleStatus {
    /// The generation this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Ready`, `Reconciling`, `Stalled`; `Drifted`, `Conflict`, `Paused`, `TargetResolved` where they apply.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The external side, such as `203.0.113.10:80/TCP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
    /// The internal side, such as `10.30.0.11:80`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<String>,
    /// The rule's policy path in NSX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_path: Option<String>,
    /// What outside names were resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// What would be done, with `Observe` or while something blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
}
