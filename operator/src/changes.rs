//! What a change of each field of a `VirtualContainerHost` does to one that runs. The plan follows from what differs;
//! this table tells it to people, and tests hold the two together.

/// What a change of a field does to a VCH that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It takes effect at once.
    Live,
    /// It takes effect with a restart of the endpoint VM, one for all such changes; containers run on.
    Restart,
    /// It is refused, for this reason.
    Impossible(&'static str),
    /// It is about the operator or about Kubernetes, and changes nothing in vCenter.
    Inside,
}

use Effect::{Impossible, Inside, Live, Restart};

/// Every field of the spec, references as wholes.
pub const FIELDS: &[(&str, Effect)] = &[
    (
        "siteRef",
        Impossible("A VCH is not moved; the API server refuses it."),
    ),
    ("displayName", Restart),
    ("version", Restart),
    ("endpoint.cpus", Restart),
    ("endpoint.memory", Restart),
    ("endpoint.debugLevel", Restart),
    ("endpoint.syslog.protocol", Restart),
    ("endpoint.syslog.host", Restart),
    ("endpoint.syslog.port", Restart),
    (
        "compute.resourcePool",
        Impossible("A VCH is not moved: its containers would stay behind."),
    ),
    ("compute.cpu.limitMHz", Live),
    ("compute.cpu.reservationMHz", Live),
    ("compute.cpu.shares", Live),
    ("compute.cpu.customShares", Live),
    ("compute.memory.limit", Live),
    ("compute.memory.reservation", Live),
    ("compute.memory.shares", Live),
    ("compute.memory.customShares", Live),
    (
        "storage.datastore",
        Impossible("A VCH is not moved: its images would stay behind."),
    ),
    ("storage.imagePath", Restart),
    ("storage.scratchSize", Restart),
    ("storage.quota", Restart),
    ("storage.volumeStores[].name", Restart),
    ("storage.volumeStores[].datastore", Restart),
    ("storage.volumeStores[].path", Restart),
    ("storage.volumeStores[].nfs.server", Restart),
    ("storage.volumeStores[].nfs.path", Restart),
    ("storage.volumeStores[].nfs.uid", Restart),
    ("storage.volumeStores[].nfs.gid", Restart),
    ("networks.bridge.networkRef", Restart),
    ("networks.bridge.range", Restart),
    ("networks.bridge.width", Restart),
    ("networks.public.networkRef", Restart),
    ("networks.public.static.address", Restart),
    (
        "networks.public.static.routes",
        Impossible("The public network has the default route."),
    ),
    ("networks.client.networkRef", Restart),
    ("networks.client.static.address", Restart),
    ("networks.client.static.routes", Restart),
    ("networks.management.networkRef", Restart),
    ("networks.management.static.address", Restart),
    ("networks.management.static.routes", Restart),
    ("networks.containers[].name", Restart),
    ("networks.containers[].networkRef", Restart),
    ("networks.containers[].trustLevel", Restart),
    ("networks.containers[].addressRanges", Restart),
    ("networks.containers[].dnsServers", Restart),
    ("networks.dnsServers", Restart),
    ("networks.asymmetricRouting", Restart),
    ("containers.limit", Restart),
    ("containers.nameConvention", Restart),
    ("registries.insecure", Restart),
    ("registries.allowed", Restart),
    ("proxies.http", Restart),
    ("proxies.https", Restart),
    ("proxies.noProxy", Restart),
    ("tls.mode", Restart),
    ("tls.generated.commonName", Restart),
    // What holds goes on holding; the next certificates have the new length.
    ("tls.generated.validity", Inside),
    ("connectionSecretRef", Inside),
    ("onDelete.runningContainers", Inside),
    ("onDelete.volumes", Inside),
    ("readiness.dockerAPI", Inside),
    ("maintenance.policy", Inside),
    ("maintenance.windows[].schedule", Inside),
    ("maintenance.windows[].duration", Inside),
    ("maintenance.windows[].timeZone", Inside),
    ("maintenance.approvedPlan", Inside),
    ("managementPolicy", Inside),
    ("deletionPolicy", Inside),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write;

    use serde_json::Value;

    use super::*;

    /// Every field of a schema that has none below it; references are wholes.
    fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        let is_reference = path.ends_with("Ref");
        if let Some(items) = schema
            .get("items")
            .filter(|items| items.get("properties").is_some())
        {
            leaves(items, &format!("{path}[]"), found);
            return;
        }
        match schema.get("properties").and_then(Value::as_object) {
            Some(fields) if !is_reference => {
                for (name, schema) in fields {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    leaves(schema, &path, found);
                }
            }
            _ => drop(found.insert(path.to_owned())),
        }
    }

    fn schema() -> Value {
        let kinds = vic_crds::generate::all();
        let crd = kinds
            .iter()
            .find(|crd| crd.spec.names.kind == "VirtualContainerHost")
            .unwrap();
        let crd = serde_json::to_value(crd).unwrap();
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
            .unwrap()
            .clone()
    }

    #[test]
    fn every_field_of_the_schema_stands_in_the_table_once() {
        let mut expected = BTreeSet::new();
        leaves(&schema(), "", &mut expected);
        let told: BTreeSet<String> = FIELDS.iter().map(|(field, _)| (*field).to_owned()).collect();
        assert_eq!(told, expected);
        assert_eq!(told.len(), FIELDS.len(), "a field stands there twice");
    }

    #[test]
    fn what_is_impossible_says_why_in_a_sentence() {
        for (field, effect) in FIELDS {
            if let Impossible(why) = effect {
                assert!(why.ends_with('.') && why.contains(' '), "{field}: {why}");
            }
        }
    }

    fn reference() -> String {
        let mut text = "| field | a change | remark |\n|---|---|---|\n".to_owned();
        for (field, effect) in FIELDS {
            let (word, remark) = match effect {
                Live => ("live", ""),
                Restart => ("restart", ""),
                Impossible(why) => ("impossible", *why),
                Inside => ("inside", ""),
            };
            writeln!(text, "| `spec.{field}` | {word} | {remark} |").unwrap();
        }
        text
    }

    #[test]
    fn the_page_has_this_table() {
        crate::testing::page_has("vch-changes.md", "changes", &reference());
    }
}
