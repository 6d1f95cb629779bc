//! `EdgeGateway`: a Tier-1 gateway that the operator makes, or one that someone else made.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::common::{
    DeletionPolicy, ManagementPolicy, ObjectRef, OutsideGateway, Resolved, SharedRef, conditions_schema,
    named_list,
};
use crate::nat::{Logging, Protocol, Source};
use crate::text::{InterfaceAddress, ItemName, NetworkName, OutsideName, Period};

/// An edge gateway: a Tier-1 with its services, uplinks and north-south firewall, or an existing one that is checked.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "vic-operator.io",
    version = "v1alpha1",
    kind = "EdgeGateway",
    namespaced,
    shortname = "egw",
    category = "vic",
    status = "EdgeGatewayStatus",
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
    printcolumn(name = "Backing", type_ = "string", json_path = ".spec.backing.type"),
    printcolumn(name = "Uplinks", type_ = "string", json_path = ".status.uplinks"),
    printcolumn(name = "Used-By", type_ = "string", json_path = ".status.usedBy"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Gateway",
        type_ = "string",
        json_path = ".status.gatewayPath",
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
    validation = Rule::new("self.backing.type == 'Tier1' || !has(self.uplinks)").message("uplinks may be set with backing.type Tier1 only"),
    validation = Rule::new("self.backing.type == 'Tier1' || !has(self.firewall) || !has(self.firewall.defaultPosture)").message("firewall.defaultPosture may be set with backing.type Tier1 only")
)]
pub struct EdgeGatewaySpec {
    /// The Site it lies on.
    #[x_kube(validation = Rule::new("self == oldSelf").message("siteRef is immutable"))]
    pub site_ref: ObjectRef,
    /// Name in NSX; default `<namespace>-<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<NetworkName>,
    /// What the gateway is.
    pub backing: GatewayBacking,
    /// Networks that it is attached to with addresses of its own, such as the consumers' side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub uplinks: Vec<Uplink>,
    /// The north-south firewall for what needs no NAT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<GatewayFirewall>,
    /// Whether the operator changes anything. Absent: `Enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// What becomes of the gateway in NSX when this object is deleted. Absent: `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// What a gateway is; `type` says which body applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == oldSelf.type").message("backing.type is immutable"),
    validation = Rule::new("self.type == 'Tier1' || !has(self.tier1)").message("tier1 may be set with type Tier1 only"),
    validation = Rule::new("(self.type == 'Existing') == has(self.existing)").message("existing must be set with type Existing, and only then")
)]
pub struct GatewayBacking {
    /// Which kind of gateway.
    #[serde(rename = "type")]
    pub kind: GatewayType,
    /// A Tier-1 gateway; may be absent, then one without uplink that only routes between its segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier1: Option<Tier1Backing>,
    /// A gateway that someone else made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<OutsideGateway>,
}

/// Kinds of gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GatewayType {
    /// A Tier-1 gateway that the operator makes.
    Tier1,
    /// A gateway that is only referred to, and checked.
    Existing,
}

/// A Tier-1 gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tier1Backing {
    /// The Tier-0 gateway it is linked to, by id or unique display name; absent, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier0: Option<OutsideName>,
    /// The edge cluster its services run on, by id or unique display name. Absent: that of its Tier-0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_cluster: Option<OutsideName>,
    /// Whether the preferred edge takes over again. Absent: `NonPreemptive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover_mode: Option<FailoverMode>,
    /// What the Tier-0 learns of it. Absent: `Connected` and `NAT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 7))]
    pub route_advertisement: Option<Vec<RouteAdvertisement>>,
    /// A DHCP profile of its own, for networks behind it that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<GatewayDhcp>,
}

/// Whether the preferred edge takes over again once it is back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailoverMode {
    /// It does.
    Preemptive,
    /// It does not.
    #[default]
    NonPreemptive,
}

/// Routes that a Tier-0 learns of its Tier-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum RouteAdvertisement {
    /// Connected segments, interfaces included.
    Connected,
    /// External addresses of NAT rules.
    #[serde(rename = "NAT")]
    Nat,
    /// Static routes.
    StaticRoutes,
    /// Virtual addresses of load balancers.
    #[serde(rename = "LBVIP")]
    LbVip,
    /// Source addresses of load balancers.
    #[serde(rename = "LBSNAT")]
    LbSnat,
    /// Addresses of DNS forwarders.
    #[serde(rename = "DNSForwarder")]
    DnsForwarder,
    /// Local endpoints of `IPsec` tunnels.
    #[serde(rename = "IPsecLocalEndpoint")]
    IpsecLocalEndpoint,
}

/// A gateway's DHCP profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayDhcp {
    /// The server's address with its prefix, of a network that nothing else uses. Absent: NSX's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_address: Option<InterfaceAddress>,
    /// How long a lease holds, at least `60s`. Absent: `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_time: Option<Period>,
}

/// An attachment of the gateway to a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uplink {
    /// The network: a segment that no gateway serves.
    pub network_ref: SharedRef,
    /// The gateway's own addresses there, with their prefix, such as `203.0.113.2/24`.
    #[schemars(length(min = 1, max = 8))]
    pub addresses: Vec<InterfaceAddress>,
}

/// A gateway's north-south firewall. NAT rules bring their own rules, which come before these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayFirewall {
    /// What becomes of traffic that no rule speaks of. Absent: NSX's own default rule decides, which allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_posture: Option<FirewallAction>,
    /// Whether the gateway logs what the default posture decides. Absent: `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// The rules, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "rules_schema")]
    pub rules: Vec<GatewayFirewallRule>,
}

fn rules_schema(generator: &mut SchemaGenerator) -> Schema {
    named_list::<GatewayFirewallRule>(generator, 64)
}

/// A rule of the north-south firewall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct GatewayFirewallRule {
    /// Its name.
    pub name: ItemName,
    /// What becomes of the traffic.
    pub action: FirewallAction,
    /// Which way the traffic goes.
    pub direction: TrafficDirection,
    /// Where it comes from; absent, anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub from: Vec<Source>,
    /// Where it goes; absent, anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub to: Vec<Source>,
    /// What it is; absent, everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 15))]
    pub ports: Vec<TrafficPort>,
    /// Whether the gateway logs what the rule matches. Absent: `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
}

/// What a firewall does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FirewallAction {
    /// Lets it pass.
    Allow,
    /// Loses it without a word.
    Drop,
    /// Refuses it.
    Reject,
}

/// Which way traffic goes through a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrafficDirection {
    /// From outside in.
    In,
    /// From inside out.
    Out,
}

/// A protocol and its ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.port) || self.protocol == 'TCP' || self.protocol == 'UDP'").message("port needs protocol TCP or UDP"),
    validation = Rule::new("!has(self.endPort) || (has(self.port) && self.endPort >= self.port)").message("endPort needs port and must not be lower")
)]
pub struct TrafficPort {
    /// The protocol.
    pub protocol: Protocol,
    /// First port; absent, all ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Last port; absent, the first is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub end_port: Option<i32>,
}

/// What the operator knows of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeGatewayStatus {
    /// The generation this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Ready`, `Reconciling`, `Stalled`; `Drifted`, `Conflict`, `Paused` where they apply.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The gateway's policy path in NSX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_path: Option<String>,
    /// Its own addresses on its uplinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplinks: Option<String>,
    /// Who uses the gateway, while it is being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
    /// What outside names were resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// What would be done, with `Observe` or while something blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
}
