//! The kinds of `vic-operator.io`, as a client that knows nothing but the API's names sees them.

use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;
use std::fmt;

/// The API group.
pub const GROUP: &str = "vic-operator.io";

/// A kind and how the API server calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// `EdgeNatRule`.
    pub name: &'static str,
    /// `edgenatrules`.
    pub plural: &'static str,
}

/// All kinds.
pub const KINDS: [Kind; 6] = [
    Kind {
        name: "Site",
        plural: "sites",
    },
    Kind {
        name: "ContainerNetwork",
        plural: "containernetworks",
    },
    Kind {
        name: "VirtualContainerHost",
        plural: "virtualcontainerhosts",
    },
    Kind {
        name: "EdgeNatRule",
        plural: "edgenatrules",
    },
    Kind {
        name: "EdgeGateway",
        plural: "edgegateways",
    },
    Kind {
        name: "MicrosegmentationPolicy",
        plural: "microsegmentationpolicies",
    },
];

impl Kind {
    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// What the dynamic client needs to know.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1alpha1", self.name), self.plural)
    }

    /// A client of all objects of the kind.
    #[must_use]
    pub fn all(self, client: &kube::Client) -> Api<DynamicObject> {
        Api::all_with(client.clone(), &self.resource())
    }

    /// A client of the kind in a namespace.
    #[must_use]
    pub fn within(self, client: &kube::Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }
}

/// An object's kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, unless the kind has none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    #[must_use]
    pub fn of(kind: Kind, object: &DynamicObject) -> Self {
        let meta = &object.metadata;
        Self {
            kind,
            namespace: meta.namespace.clone(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.name)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}", self.name)
    }
}

/// A condition of an object's status.
#[must_use]
pub fn condition<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a Value> {
    let conditions = object.data.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some(name))
}

/// A text field of a condition, empty where it is absent.
#[must_use]
pub fn told<'a>(condition: &'a Value, field: &str) -> &'a str {
    condition.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the object is ready as it is written now: `Ready=True`, observed at the generation of the spec.
#[must_use]
pub fn is_ready(object: &DynamicObject) -> bool {
    condition(object, "Ready").is_some_and(|ready| {
        told(ready, "status") == "True"
            && ready.get("observedGeneration").and_then(Value::as_i64) == object.metadata.generation
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(observed: i64, status: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "vic-operator.io/v1alpha1", "kind": "EdgeNatRule",
            "metadata": {"name": "nginx", "namespace": "containers", "generation": 2},
            "status": {"conditions": [
                {"type": "Accepted", "status": "True", "observedGeneration": 2},
                {"type": "Ready", "status": status, "observedGeneration": observed},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn ready_means_the_present_generation() {
        assert!(is_ready(&rule(2, "True")));
        assert!(!is_ready(&rule(1, "True")), "that was true of the spec before");
        assert!(!is_ready(&rule(2, "Unknown")));
    }

    #[test]
    fn keys_read_as_people_write_them() {
        let key = Key::of(Kind::named("EdgeNatRule").unwrap(), &rule(2, "True"));
        assert_eq!(key.to_string(), "EdgeNatRule containers/nginx");
    }
}
