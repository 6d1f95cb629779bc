//! `MicrosegmentationPolicy`: the distributed firewall for containers.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::common::{DeletionPolicy, ManagementPolicy, ObjectRef, SharedRef, conditions_schema, named_list};
use crate::gateway::{FirewallAction, TrafficPort};
use crate::nat::Logging;
use crate::site::NamespaceMatch;
use crate::text::{AddressOrCidr, ContainerName, ItemName, OutsideName, TagScope, TagValue};

/// Who may talk to whom: rules of the distributed firewall, in force at the vNICs of what it selects.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "vic-operator.io",
    version = "v1alpha1",
    kind = "MicrosegmentationPolicy",
    plural = "microsegmentationpolicies",
    namespaced,
    shortname = "mseg",
    category = "vic",
    status = "MicrosegmentationPolicyStatus",
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
    printcolumn(name = "Posture", type_ = "string", json_path = ".spec.defaultPosture"),
    printcolumn(name = "Subject", type_ = "string", json_path = ".status.subject"),
    printcolumn(name = "Rules", type_ = "string", json_path = ".status.rules"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Priority",
        type_ = "integer",
        json_path = ".spec.priority",
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
pub struct MicrosegmentationPolicySpec {
    /// The Site it lies on.
    #[x_kube(validation = Rule::new("self == oldSelf").message("siteRef is immutable"))]
    pub site_ref: ObjectRef,
    /// Whose traffic it governs: all that any of these selects. Rules are in force at the vNICs of these and nowhere else.
    #[schemars(length(min = 1, max = 8))]
    pub subject: Vec<SubjectSelection>,
    /// Traffic to the subject, rule by rule; the first that fits decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "ingress_schema")]
    pub ingress: Vec<IngressRule>,
    /// Traffic from the subject, rule by rule; the first that fits decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "egress_schema")]
    pub egress: Vec<EgressRule>,
    /// What becomes of the subject's traffic that no rule fits.
    pub default_posture: Posture,
    /// Evaluation order among policies: lower comes first, and the first rule that fits decides. Absent: 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub priority: Option<i32>,
    /// Namespaces whose policies may name this one's subject in `from` and `to`. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_with: Option<NamespaceMatch>,
    /// Whether the operator changes anything. Absent: `Enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// What becomes of the policy in NSX when this object is deleted. Absent: `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

fn ingress_schema(generator: &mut SchemaGenerator) -> Schema {
    named_list::<IngressRule>(generator, 32)
}

fn egress_schema(generator: &mut SchemaGenerator) -> Schema {
    named_list::<EgressRule>(generator, 32)
}

/// What becomes of traffic that no rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Posture {
    /// It is dropped, both ways, also between members of the subject.
    Isolate,
    /// It goes on to later policies, and to NSX's own default rule.
    Allow,
}

/// One rule about traffic to the subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IngressRule {
    /// The rule's name.
    pub name: ItemName,
    /// Where the traffic comes from: any of these. Absent: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub from: Vec<PeerSelection>,
    /// What it is. Absent: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub ports: Vec<TrafficPort>,
    /// What becomes of it. Absent: `Allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<FirewallAction>,
    /// Whether matches are logged. Absent: `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
}

/// One rule about traffic from the subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EgressRule {
    /// The rule's name.
    pub name: ItemName,
    /// Where the traffic goes to: any of these. Absent: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub to: Vec<PeerSelection>,
    /// What it is. Absent: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub ports: Vec<TrafficPort>,
    /// What becomes of it. Absent: `Allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<FirewallAction>,
    /// Whether matches are logged. Absent: `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
}

/// Whose traffic a policy governs; `type` says which body applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.type == 'Containers') == has(self.containers)").message("containers must be set with type Containers, and only then"),
    validation = Rule::new("(self.type == 'Network') == has(self.network)").message("network must be set with type Network, and only then"),
    validation = Rule::new("(self.type == 'VirtualMachines') == has(self.virtualMachines)").message("virtualMachines must be set with type VirtualMachines, and only then"),
    validation = Rule::new("(self.type == 'Group') == has(self.group)").message("group must be set with type Group, and only then")
)]
pub struct SubjectSelection {
    /// What kind of selection.
    #[serde(rename = "type")]
    pub kind: SubjectType,
    /// Containers of a VCH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<ContainerSelection>,
    /// Everything on a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkSelection>,
    /// VMs that no VCH made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_machines: Option<MachineSelection>,
    /// A group that exists in NSX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupSelection>,
}

/// Kinds of subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubjectType {
    /// Containers of a VCH.
    Containers,
    /// Everything on a network.
    Network,
    /// VMs that no VCH made, as NSX knows them.
    VirtualMachines,
    /// A group that exists in NSX.
    Group,
}

/// The other side of a rule; `type` says which body applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.type == 'Containers') == has(self.containers)").message("containers must be set with type Containers, and only then"),
    validation = Rule::new("(self.type == 'Network') == has(self.network)").message("network must be set with type Network, and only then"),
    validation = Rule::new("(self.type == 'VirtualMachines') == has(self.virtualMachines)").message("virtualMachines must be set with type VirtualMachines, and only then"),
    validation = Rule::new("(self.type == 'Group') == has(self.group)").message("group must be set with type Group, and only then"),
    validation = Rule::new("(self.type == 'Addresses') == has(self.addresses)").message("addresses must be set with type Addresses, and only then"),
    validation = Rule::new("(self.type == 'Policy') == has(self.policy)").message("policy must be set with type Policy, and only then")
)]
pub struct PeerSelection {
    /// What kind of selection.
    #[serde(rename = "type")]
    pub kind: PeerType,
    /// Containers of a VCH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<ContainerSelection>,
    /// Everything on a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkSelection>,
    /// VMs that no VCH made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_machines: Option<MachineSelection>,
    /// A group that exists in NSX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupSelection>,
    /// Addresses and networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<AddressSelection>,
    /// The subject of another policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicySelection>,
}

/// Kinds of peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PeerType {
    /// Containers of a VCH.
    Containers,
    /// Everything on a network.
    Network,
    /// VMs that no VCH made, as NSX knows them.
    VirtualMachines,
    /// A group that exists in NSX.
    Group,
    /// Addresses and networks.
    Addresses,
    /// The subject of another policy, of this namespace or of one that consents.
    Policy,
    /// This policy's own subject.
    Subject,
}

/// Containers of a VCH of this namespace: those that meet all that is set; with nothing set, all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSelection {
    /// The VCH.
    pub vch_ref: ObjectRef,
    /// Their names, as Docker knows them: any of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub names: Vec<ContainerName>,
    /// What their names begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_prefix: Option<ContainerName>,
    /// Labels that they were run with (`docker run --label`): all of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub labels: BTreeMap<String, String>,
}

/// Everything on a network: containers and VMs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSelection {
    /// The network; it must be a segment.
    pub network_ref: SharedRef,
}

/// Addresses and networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AddressSelection {
    /// Each an address or a network; `0.0.0.0/0` is everyone.
    #[schemars(length(min = 1, max = 15))]
    pub cidrs: Vec<AddressOrCidr>,
}

/// VMs that no VCH made: those that meet all that is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.name) || has(self.namePrefix) || has(self.tag)").message("name, namePrefix or tag must be set"),
    validation = Rule::new("!has(self.name) || !has(self.namePrefix)").message("name and namePrefix may not both be set")
)]
pub struct MachineSelection {
    /// The VM's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<OutsideName>,
    /// What its name begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_prefix: Option<OutsideName>,
    /// A tag that it has in NSX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<MachineTag>,
}

/// A tag of a VM in NSX.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineTag {
    /// Its scope; absent, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<TagScope>,
    /// Its value.
    pub value: TagValue,
}

/// A group that exists in NSX; the Site must grant it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupSelection {
    /// Its id, policy path or unique display name.
    pub name: OutsideName,
}

/// The subject of another policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySelection {
    /// The policy.
    pub policy_ref: SharedRef,
}

/// What the operator knows of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MicrosegmentationPolicyStatus {
    /// The generation this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Ready`, `Reconciling`, `Stalled`; `Drifted`, `Paused`, `TargetResolved` where they apply.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The subject in a few words, such as `vch1/web-*, network db`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The rules in a few words, such as `2 in, 1 out`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// The security policy's path in NSX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_path: Option<String>,
    /// What would be done, with `Observe` or while something blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
}
