//! `VirtualContainerHost`: a pool and an endpoint VM that speaks the Docker API.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

mod maintenance;
mod options;

pub use maintenance::*;
pub use options::*;

use crate::common::{
    DeletionPolicy, ManagementPolicy, ObjectRef, Resolved, SharedRef, Switch, conditions_schema, named_list,
};
use crate::text::{
    Address, AddressRange, Cidr, FolderPath, HostName, Label, Memory, OutsideName, Period, VchName, Version,
};

/// A virtual container host: a pool and an endpoint VM that speaks the Docker API.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "vic-operator.io",
    version = "v1alpha1",
    kind = "VirtualContainerHost",
    namespaced,
    shortname = "vch",
    category = "vic",
    status = "VirtualContainerHostStatus",
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
    printcolumn(name = "Docker-Host", type_ = "string", json_path = ".status.dockerHost"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Containers", type_ = "string", json_path = ".status.containers"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Cert-Expires",
        type_ = "string",
        json_path = ".status.certificateExpires",
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
pub struct VirtualContainerHostSpec {
    /// The Site it lies on.
    #[x_kube(validation = Rule::new("self == oldSelf").message("siteRef is immutable"))]
    pub site_ref: ObjectRef,
    /// Name of the endpoint VM, its pool and its folder; default `<namespace>-<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<VchName>,
    /// One of the Site's releases.
    pub version: Version,
    /// The endpoint VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Its pool and what that may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<Compute>,
    /// Where images and volumes lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Its networks.
    pub networks: VchNetworks,
    /// What holds for all its containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<ContainerSettings>,
    /// Registries that images are pulled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registries: Option<Registries>,
    /// Proxies on the way there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<Proxies>,
    /// How its Docker API is secured.
    pub tls: Tls,
    /// The Secret the operator writes for Docker clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_secret_ref: Option<ObjectRef>,
    /// What becomes of containers and volumes when this object is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<OnDelete>,
    /// What Ready depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// When the endpoint VM may be restarted for a change. Absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Whether the operator changes anything. Absent: `Enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// What becomes of the VCH when this object is deleted. Absent: `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// The endpoint VM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Virtual CPUs. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub cpus: Option<i32>,
    /// Memory. Absent: `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// VIC's debug level. Absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3))]
    pub debug_level: Option<i32>,
    /// Where its logs are sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Syslog>,
}

/// The pool and what it may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compute {
    /// Parent of the VCH's own pool; default the Site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_pool: Option<OutsideName>,
    /// CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuLimits>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryLimits>,
}

/// CPU of the pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.shares) && self.shares == 'Custom') == has(self.customShares)").message("customShares must be set with shares Custom, and only then"))]
pub struct CpuLimits {
    /// At most this much; absent, unlimited.
    #[serde(rename = "limitMHz", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub limit_mhz: Option<i64>,
    /// At least this much. Absent: 0.
    #[serde(rename = "reservationMHz", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub reservation_mhz: Option<i64>,
    /// Weight against siblings. Absent: `Normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// The weight itself, with `shares: Custom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub custom_shares: Option<i32>,
}

/// Memory of the pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.shares) && self.shares == 'Custom') == has(self.customShares)").message("customShares must be set with shares Custom, and only then"))]
pub struct MemoryLimits {
    /// At most this much; absent, unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Memory>,
    /// At least this much. Absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<Memory>,
    /// Weight against siblings. Absent: `Normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<Shares>,
    /// The weight itself, with `shares: Custom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub custom_shares: Option<i32>,
}

/// Weight of a pool against its siblings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Shares {
    /// Half of normal.
    Low,
    /// vSphere's default.
    #[default]
    Normal,
    /// Twice normal.
    High,
    /// A number of one's own.
    Custom,
}

/// Where images and volumes lie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Datastore of the endpoint VM and of container images; default the Site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datastore: Option<OutsideName>,
    /// Folder of container images on it; default the endpoint VM's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_path: Option<FolderPath>,
    /// Size of a container's own disk. Absent: `8G`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch_size: Option<Memory>,
    /// What images and containers may take up together; absent, unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Memory>,
    /// Places for volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "volume_stores_schema")]
    pub volume_stores: Vec<VolumeStore>,
}

fn volume_stores_schema(generator: &mut SchemaGenerator) -> Schema {
    named_list::<VolumeStore>(generator, 16)
}

/// A place for volumes, on a datastore or an NFS server; `default` is where a volume goes that names none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.nfs) ? !has(self.datastore) && !has(self.path) : has(self.datastore) && has(self.path)").message("either datastore and path must be set, or nfs"))]
pub struct VolumeStore {
    /// Its label in Docker.
    pub name: Label,
    /// The datastore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datastore: Option<OutsideName>,
    /// The folder on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<FolderPath>,
    /// An NFS export, which is never deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nfs: Option<NfsExport>,
}

/// The networks of a VCH.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VchNetworks {
    /// The containers' private network, dedicated to this VCH.
    pub bridge: BridgeNetwork,
    /// Where published ports and image pulls go.
    pub public: RoleNetwork,
    /// Where Docker clients connect; default the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<RoleNetwork>,
    /// Towards vCenter and the hosts; default the client one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<RoleNetwork>,
    /// Networks that containers attach to directly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "container_networks_schema")]
    pub containers: Vec<AttachedNetwork>,
    /// Name servers of the endpoint VM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub dns_servers: Vec<Address>,
    /// Whether the endpoint VM takes packets that come in another way than its answers go out. Absent: `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asymmetric_routing: Option<Switch>,
}

fn container_networks_schema(generator: &mut SchemaGenerator) -> Schema {
    named_list::<AttachedNetwork>(generator, 32)
}

/// The bridge network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BridgeNetwork {
    /// The network; no other VCH may use it as its bridge.
    pub network_ref: SharedRef,
    /// Where Docker networks take their subnets from. Absent: `172.16.0.0/12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Cidr>,
    /// Prefix of each Docker network. Absent: 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 30))]
    pub width: Option<i32>,
}

/// A network of the endpoint VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleNetwork {
    /// The network.
    pub network_ref: SharedRef,
    /// A fixed address on it; absent, DHCP.
    #[serde(rename = "static", default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<StaticAddress>,
}

/// A fixed address; prefix and gateway are the network's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StaticAddress {
    /// The address.
    pub address: Address,
    /// Networks that are reached through this network's gateway. Of the client and management networks only: all
    /// else goes through the public one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub routes: Vec<Cidr>,
}

/// A network that containers attach to directly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachedNetwork {
    /// Its name in Docker.
    pub name: Label,
    /// The network.
    pub network_ref: SharedRef,
    /// What the VCH lets through. Absent: not said, which VIC treats as `Published`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_level: Option<TrustLevel>,
    /// Addresses the VCH may give to containers, disjoint from DHCP's; absent, DHCP gives them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub address_ranges: Vec<AddressRange>,
    /// Name servers of its containers; default those of the network's subnet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub dns_servers: Vec<Address>,
}

/// What a VCH lets through on a container network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrustLevel {
    /// Nothing.
    Closed,
    /// From containers only.
    Outbound,
    /// Among the network's containers.
    Peers,
    /// Published ports.
    #[default]
    Published,
    /// Everything.
    Open,
}

/// How the Docker API is secured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.mode != 'Disabled' || !has(self.generated)").message("generated may not be set with mode Disabled"))]
pub struct Tls {
    /// Who must show a certificate.
    pub mode: TlsMode,
    /// How the certificates are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<GeneratedCertificates>,
}

/// Who must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// Server and client.
    Verify,
    /// The server.
    NoVerify,
    /// Nobody: plain HTTP.
    Disabled,
}

/// How certificates are made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneratedCertificates {
    /// A DNS name of the endpoint beside its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<HostName>,
    /// How long certificates hold. Absent: one year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Period>,
}

/// What becomes of containers and volumes on deletion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnDelete {
    /// Running containers. Absent: `Block`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_containers: Option<RunningContainers>,
    /// Volumes. Absent: `Retain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Volumes>,
}

/// What running containers do to a deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunningContainers {
    /// They hold it up.
    #[default]
    Block,
    /// They go with the VCH.
    Remove,
}

/// What becomes of volumes on deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Volumes {
    /// They stay.
    #[default]
    Retain,
    /// They go with the VCH.
    Delete,
}

/// What Ready depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Readiness {
    /// The Docker API. Absent: `Require`.
    #[serde(rename = "dockerAPI", default, skip_serializing_if = "Option::is_none")]
    pub docker_api: Option<DockerApiReadiness>,
}

/// What the Docker API's answer means for Ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DockerApiReadiness {
    /// Ready needs it.
    #[default]
    Require,
    /// It is only reported: from the operator's pod the VCH may be unreachable.
    Report,
}

/// What the operator knows of a VCH.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualContainerHostStatus {
    /// The generation this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Ready`, `Reconciling`, `Stalled`; `DockerAPIReachable`, `Drifted`, `Conflict`, `Paused` where they apply.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Docker's address, such as `tcp://10.20.0.10:2376`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_host: Option<String>,
    /// The admin portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_portal: Option<String>,
    /// The version that runs, from the image's publisher id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Containers, such as `2 running`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<String>,
    /// Expiry of the server's certificate, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires: Option<String>,
    /// Addresses by role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<RoleAddresses>,
    /// The parts that run in the endpoint VM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    /// Managed object references in vCenter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub morefs: Option<Morefs>,
    /// What outside names were resolved to when the VCH was first realized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// What would be done, with `Observe` or while something blocks; what is being done, while the VM restarts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
    /// The name of the plan, if it restarts the endpoint VM: `maintenance.approvedPlan` takes it.
    #[serde(rename = "planID", default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<String>,
}

/// Addresses of the endpoint VM by role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoleAddresses {
    /// On the public network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// On the client network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// On the management network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management: Option<String>,
}

/// One part that runs in the endpoint VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Component {
    /// `docker-personality`, `port-layer` or `vicadmin`.
    pub name: String,
    /// `Running`, `Starting`, or the error it started with.
    pub state: String,
}

/// Managed object references of a VCH.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Morefs {
    /// The endpoint VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// The pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}
