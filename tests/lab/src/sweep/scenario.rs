//! What a sweep does again and again: parts of the reference topology under fresh names, created, changed and deleted.

use crate::error::{Error, Result};
use crate::kinds::{Key, Kind};
use serde_json::{Value, json};
use std::fmt;

/// A stretch of a scenario's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// From nothing to ready.
    Create,
    /// From ready to ready as changed.
    Change,
    /// From ready to nothing.
    Delete,
}

impl Phase {
    /// All, in order.
    pub const ALL: [Self; 3] = [Self::Create, Self::Change, Self::Delete];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Delete => "delete",
        })
    }
}

/// What is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A VLAN port group, a routed segment with DHCP, and two NAT rules with their firewall rules.
    Networks,
    /// A virtual container host with its bridge and public network.
    Vch,
}

/// Objects of the reference topology that a scenario uses, by kind and name, and how each is changed.
type Part = (&'static str, &'static str, fn() -> Value);

fn unchanged() -> Value {
    Value::Null
}

const NETWORKS: [Part; 4] = [
    (
        "ContainerNetwork",
        "docker-public",
        || json!({"spec": {"backing": {"portGroup": {"vlanID": 130}}}}),
    ),
    ("ContainerNetwork", "vic-container-network", || {
        json!({"spec": {"subnets": [{
            "gatewayAddress": "10.30.0.1/24", "dnsServers": ["10.20.0.54"],
            "dhcp": {"mode": "Server", "serverAddress": "10.30.0.2", "ranges": ["10.30.0.11-10.30.0.210"], "leaseTime": "1h"},
        }]}})
    }),
    // Narrowed, and moved to another port: one firewall rule changes its service.
    (
        "EdgeNatRule",
        "nginx",
        || json!({"spec": {"external": {"port": 81}, "firewall": {"allowFrom": [{"cidr": "198.51.100.0/24"}]}}}),
    ),
    // The firewall rules go.
    (
        "EdgeNatRule",
        "nginx-next",
        || json!({"spec": {"firewall": {"mode": "Unmanaged", "allowFrom": null}}}),
    ),
];

const VCH: [Part; 3] = [
    ("ContainerNetwork", "docker-public", unchanged),
    ("ContainerNetwork", "vic-bridge", unchanged),
    (
        "VirtualContainerHost",
        "vch1",
        || json!({"spec": {"compute": {"cpu": {"limitMHz": 6000}, "memory": {"limit": "16Gi"}}}}),
    ),
];

impl Scenario {
    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Networks => "networks",
            Self::Vch => "vch",
        }
    }

    fn parts(self) -> &'static [Part] {
        match self {
            Self::Networks => &NETWORKS,
            Self::Vch => &VCH,
        }
    }

    /// The scenario's objects under names that end in `suffix`, from the manifests of the reference topology.
    ///
    /// # Errors
    /// The topology lacks one.
    pub fn manifests(self, topology: &[Value], suffix: &str) -> Result<Vec<Value>> {
        let of = |(kind, name, _): &Part| {
            let found = topology.iter().find(|manifest| {
                text(manifest, "/kind") == *kind && text(manifest, "/metadata/name") == *name
            });
            let found = found.ok_or_else(|| Error::Other(format!("examples/poc has no {kind} {name}")))?;
            Ok(self.fresh(found, suffix))
        };
        self.parts().iter().map(of).collect()
    }

    fn fresh(self, manifest: &Value, suffix: &str) -> Value {
        let mut manifest = manifest.clone();
        rename(&mut manifest, suffix);
        if self == Self::Vch
            && let Some(networks) = manifest
                .pointer_mut("/spec/networks")
                .and_then(Value::as_object_mut)
        {
            networks.remove("containers");
        }
        for pointer in ["/metadata/name", "/spec/displayName"] {
            if let Some(Value::String(name)) = manifest.pointer_mut(pointer) {
                name.push_str(suffix);
            }
        }
        manifest
    }

    /// How the objects are changed, in the order of [`Self::manifests`]; null is not at all.
    #[must_use]
    pub fn changes(self) -> Vec<Value> {
        self.parts().iter().map(|(_, _, change)| change()).collect()
    }
}

/// Makes references to other objects of the scenario, and to what they write, fresh.
fn rename(value: &mut Value, suffix: &str) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                if let ("networkRef" | "connectionSecretRef", Some(Value::String(name))) =
                    (field.as_str(), value.pointer_mut("/name"))
                {
                    name.push_str(suffix);
                } else {
                    rename(value, suffix);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename(value, suffix)),
        _ => {}
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The key of a manifest.
#[must_use]
pub fn key_of(manifest: &Value) -> Option<Key> {
    let namespace = text(manifest, "/metadata/namespace");
    Some(Key {
        kind: Kind::named(text(manifest, "/kind"))?,
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: text(manifest, "/metadata/name").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Vec<Value> {
        let file = crate::overlay::example().join("topology/topology.yaml");
        let text = std::fs::read_to_string(file).unwrap();
        let documents = serde_yaml_ng::Deserializer::from_str(&text);
        documents
            .map(|document| serde::Deserialize::deserialize(document).unwrap())
            .collect()
    }

    #[test]
    fn every_scenario_is_part_of_the_reference_topology_and_refers_to_its_own_objects() {
        for scenario in [Scenario::Networks, Scenario::Vch] {
            let manifests = scenario.manifests(&topology(), "-x0001").unwrap();
            assert_eq!(manifests.len(), scenario.changes().len());
            let keys: Vec<Key> = manifests.iter().filter_map(key_of).collect();
            assert!(keys.iter().all(|key| key.name.ends_with("-x0001")), "{keys:?}");
            let text = json!(manifests).to_string();
            for reference in text.split("\"networkRef\":{\"name\":\"").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(keys.iter().any(|key| key.name == name), "{name}: {text}");
            }
        }
    }

    #[test]
    fn an_object_that_the_topology_lacks_is_told() {
        let error = Scenario::Networks.manifests(&[], "-x").unwrap_err();
        assert_eq!(
            error.to_string(),
            "examples/poc has no ContainerNetwork docker-public"
        );
    }
}
