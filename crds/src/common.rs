//! What every kind shares: references, policies, gateways, conditions.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::text::{ItemName, ObjectName, OutsideName, Thumbprint};

/// Names another object: of the same namespace, or cluster-wide for a Site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    /// The object's name.
    pub name: ObjectName,
}

/// Names an object of this namespace, or of one that shares it with this namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SharedRef {
    /// The object's name.
    pub name: ObjectName,
    /// Its namespace; absent, this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<ItemName>,
}

impl fmt::Display for SharedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// Whether the operator changes anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementPolicy {
    /// The world outside is made to match the spec.
    #[default]
    Enforce,
    /// Nothing is written outside; differences show in `status.plan` and the condition `Drifted`.
    Observe,
}

/// What becomes of things outside when the object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They are deleted with it.
    #[default]
    Delete,
    /// They stay, without the operator's marks.
    Retain,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Switch {
    /// It is.
    Enabled,
    /// It is not.
    Disabled,
}

/// An edge gateway that someone else made: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.tier1) != has(self.tier0)").message("exactly one of tier1 and tier0 must be set"))]
pub struct OutsideGateway {
    /// A Tier-1 gateway, by id or unique display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier1: Option<OutsideName>,
    /// A Tier-0 gateway, by id or unique display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier0: Option<OutsideName>,
}

/// An edge gateway: exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.tier1), has(self.tier0), has(self.ref)].filter(set, set).size() == 1").message("exactly one of tier1, tier0 and ref must be set"))]
pub struct GatewayRef {
    /// A Tier-1 gateway, by id or unique display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier1: Option<OutsideName>,
    /// A Tier-0 gateway, by id or unique display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier0: Option<OutsideName>,
    /// An `EdgeGateway` of the same namespace.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ObjectRef>,
}

/// How a server's certificate is trusted: exactly one of the two, never neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.caBundleRef) != has(self.sha256)").message("exactly one of caBundleRef and sha256 must be set"))]
pub struct Trust {
    /// A ConfigMap in the operator's namespace with the authorities' certificates at key `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<ObjectRef>,
    /// The SHA-256 thumbprint of the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Thumbprint>,
}

/// `status.conditions` as a list map keyed by `type`, so that a server-side apply owns each condition by itself.
pub(crate) fn conditions_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".into(), serde_json::json!(["type"]));
    schema
}

/// A list map keyed by `name`: several people may each own items of it.
pub(crate) fn named_list<T: JsonSchema>(generator: &mut SchemaGenerator, max: u32) -> Schema {
    keyed_list::<T>(generator, "name", max)
}

/// A list map keyed by `key`, with at most `max` items.
pub(crate) fn keyed_list<T: JsonSchema>(generator: &mut SchemaGenerator, key: &str, max: u32) -> Schema {
    let mut schema = generator.subschema_for::<Vec<T>>();
    schema.insert("maxItems".into(), max.into());
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".into(), serde_json::json!([key]));
    schema
}

/// What outside names were resolved to when the object was first realized.
pub type Resolved = BTreeMap<String, String>;
