//! `Site`: one vCenter and, optionally, its NSX manager, with what each tenant may use of them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::common::{ObjectRef, OutsideGateway, Trust, conditions_schema, keyed_list, named_list};
use crate::text::{
    AddressOrCidr, Cidr, DownloadUrl, EndpointUrl, Host, ItemName, ObjectName, OutsideName, Sha256, Version,
    VlanRange,
};

/// One vCenter and, optionally, its NSX manager: endpoints, credentials, trust, defaults, bootable
/// releases, and what each tenant may use.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "vic-operator.io",
    version = "v1alpha1",
    kind = "Site",
    shortname = "vsite",
    status = "SiteStatus",
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
    printcolumn(name = "vCenter", type_ = "string", json_path = ".status.vcenter.version"),
    printcolumn(name = "NSX", type_ = "string", json_path = ".status.nsx.version"),
    printcolumn(name = "Used-By", type_ = "string", json_path = ".status.usedBy"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SiteSpec {
    /// The vCenter.
    pub vcenter: VCenter,
    /// The NSX manager; without it only port groups and existing networks can be declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nsx: Option<NsxManager>,
    /// Read when an object is first realized, then pinned in its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<SiteDefaults>,
    /// The only images an endpoint VM boots from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "releases_schema")]
    pub releases: Vec<Release>,
    /// What each namespace may use; a namespace that no entry names can use nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tenants_schema")]
    pub tenants: Vec<Tenant>,
}

fn releases_schema(generator: &mut SchemaGenerator) -> Schema {
    keyed_list::<Release>(generator, "version", 32)
}

fn tenants_schema(generator: &mut SchemaGenerator) -> Schema {
    named_list::<Tenant>(generator, 256)
}

/// The vCenter of a Site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VCenter {
    /// Its address.
    pub url: EndpointUrl,
    /// The datacenter, by name or inventory path.
    pub datacenter: OutsideName,
    /// Secret in the operator's namespace with `username` and `password`: the operator's own account.
    pub credentials_ref: ObjectRef,
    /// Secret in the operator's namespace with `username` and `password`: what an endpoint VM logs in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_credentials_ref: Option<ObjectRef>,
    /// How its certificate is trusted.
    pub trust: Trust,
}

/// The NSX manager of a Site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NsxManager {
    /// A virtual address, or each manager node.
    #[schemars(length(min = 1, max = 8))]
    pub urls: Vec<EndpointUrl>,
    /// Secret in the operator's namespace with `username` and `password`.
    pub credentials_ref: ObjectRef,
    /// How its certificate is trusted.
    pub trust: Trust,
}

/// What an object uses where its own spec is silent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteDefaults {
    /// Parent of each VCH's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_pool: Option<OutsideName>,
    /// Datastore of endpoint VMs and images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datastore: Option<OutsideName>,
    /// Switch of VLAN port groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distributed_switch: Option<OutsideName>,
    /// Transport zone of segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay_transport_zone: Option<OutsideName>,
}

/// One release of VIC that may be booted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// Its version; must be the version in the image's publisher id.
    pub version: Version,
    /// The endpoint VM's image.
    #[serde(rename = "applianceISO")]
    pub appliance_iso: Image,
    /// The container VMs' image.
    #[serde(rename = "bootstrapISO")]
    pub bootstrap_iso: Image,
}

/// An image to fetch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// Where it is fetched from.
    pub url: DownloadUrl,
    /// Its checksum; an image that differs is never used.
    pub sha256: Sha256,
}

/// What some namespaces may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Name of the entry.
    pub name: ItemName,
    /// Which namespaces it speaks of; a namespace may match at most one entry.
    pub namespaces: NamespaceMatch,
    /// What they may use.
    pub allow: Grants,
    /// What becomes of what a narrowed grant no longer covers. Absent: `Report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_revoke: Option<OnRevoke>,
}

/// Namespaces by name or by label: at least one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.names) || has(self.selector)").message("names or selector must be set"))]
pub struct NamespaceMatch {
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub names: Vec<ObjectName>,
    /// By label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// What a narrowed grant does to what it no longer covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRevoke {
    /// A condition says so; traffic is left alone.
    Report,
    /// What is no longer granted is taken away.
    Withdraw,
}

/// What a tenant may use; what is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grants {
    /// Parents of VCH pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub resource_pools: Vec<OutsideName>,
    /// Datastores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub datastores: Vec<OutsideName>,
    /// NFS servers of volume stores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub nfs_servers: Vec<Host>,
    /// VLANs of port groups.
    #[serde(default, rename = "vlanIDs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub vlan_ids: Vec<VlanRange>,
    /// Networks that subnets must lie in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub subnets: Vec<Cidr>,
    /// Gateways for segments and NAT rules, and Tier-0 gateways for Tier-1s of one's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub gateways: Vec<OutsideGateway>,
    /// Edge clusters that gateways of one's own may run on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub edge_clusters: Vec<OutsideName>,
    /// External addresses of NAT rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub external_addresses: Vec<AddressOrCidr>,
    /// Existing networks that may be observed and attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub existing_networks: Vec<OutsideName>,
    /// Whether a NAT rule may bypass the gateway firewall. Absent: `Denied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_bypass: Option<BypassGrant>,
    /// Existing NSX groups that policies may name, by id or display name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub groups: Vec<OutsideName>,
    /// Whose traffic policies may govern. Absent: `Own`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_subjects: Option<SubjectGrant>,
}

/// Whose traffic a namespace's policies may govern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubjectGrant {
    /// That of the namespace's own containers, and of its own networks as far as no other namespace uses them.
    Own,
    /// That of others too: networks that are shared, classic VMs, and the groups granted.
    Others,
}

/// Whether a NAT rule may bypass the gateway firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BypassGrant {
    /// It may.
    Allowed,
    /// It may not.
    Denied,
}

/// What the operator knows of a Site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatus {
    /// The generation this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Ready`, `Reconciling`, `Stalled`.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The vCenter as it introduced itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcenter: Option<ServerStatus>,
    /// The NSX manager as it introduced itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nsx: Option<ServerStatus>,
    /// Who still refers to this Site, while it is being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<String>,
}

/// A server as it introduced itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStatus {
    /// Its version.
    pub version: String,
    /// Its instance UUID or cluster id: two Sites with the same one share a connection's facts.
    pub id: String,
}
