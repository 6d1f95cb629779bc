//! The topology as a drawing of letters and lines.

use crate::kinds::{condition, told};
use crate::poc::probes;
use crate::poc::report::ProbeReport;
use crate::watch::Objects;
use kube::api::DynamicObject;
use serde_json::Value;
use std::fmt::Write;

/// What a network is drawn with.
struct Network {
    name: String,
    backing: String,
    subnet: String,
}

/// Draws the reference topology as its objects describe it.
#[must_use]
pub fn topology(objects: &Objects) -> String {
    let network = |name: &str| network(find(objects, "ContainerNetwork", name));
    let (consumers, published) = (network("external-consumer"), network("vic-container-network"));
    let (bridge, public) = (network("vic-bridge"), network("docker-public"));
    let vch = find(objects, "VirtualContainerHost", "vch1");
    let rules = objects.iter().filter(|(key, _)| key.kind.name == "EdgeNatRule");
    let rules: Vec<String> = rules.map(|(key, seen)| rule(&key.name, &seen.object)).collect();

    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&format!(
        "                consumers      {} ({})",
        consumers.name, consumers.backing
    ));
    line("                    │");
    line("        ┌───────────┴───────────┐");
    line("        │ edge gateway vic-edge │");
    for rule in &rules {
        line(&format!("        │  NAT and firewall     │  {rule}"));
    }
    line("        └───────────┬───────────┘");
    line(&format!(
        "                    │          {} ({}) {}",
        published.name, published.backing, published.subnet
    ));
    line("      ┌─────────────┼─────────────┐");
    line("  [ web .11 ]  [ next .12 ]  [ vch1 ]");
    line(&format!(
        "                            │   │  {}",
        vch.map(endpoint).unwrap_or_default()
    ));
    line(&format!(
        "                            │   └─ {} ({}) {}",
        public.name, public.backing, public.subnet
    ));
    line(&format!(
        "                            └───── {} ({})",
        bridge.name, bridge.backing
    ));
    out
}

/// The probes, one a line.
#[must_use]
pub fn probes(probes: &[ProbeReport]) -> String {
    probes.iter().fold(String::new(), |mut out, probe| {
        let _ = writeln!(out, "  {}", probes::told(probe));
        out
    })
}

fn find<'a>(objects: &'a Objects, kind: &str, name: &str) -> Option<&'a DynamicObject> {
    objects
        .iter()
        .find(|(key, _)| key.kind.name == kind && key.name == name)
        .map(|(_, seen)| seen.object.as_ref())
}

fn network(object: Option<&DynamicObject>) -> Network {
    let text = |path: &str| {
        object
            .and_then(|object| object.data.pointer(path))
            .map(shown)
            .unwrap_or_default()
    };
    let backing = match text("/spec/backing/type").as_str() {
        "PortGroup" => format!("VLAN {}", text("/spec/backing/portGroup/vlanID")),
        "Segment" => "segment".to_owned(),
        other => other.to_lowercase(),
    };
    Network {
        name: text("/spec/displayName"),
        backing,
        subnet: text("/spec/subnets/0/gatewayAddress"),
    }
}

fn rule(name: &str, object: &DynamicObject) -> String {
    let text = |path: &str| object.data.pointer(path).map(shown).unwrap_or_default();
    let external = format!(
        "{}:{}",
        text("/spec/external/address"),
        text("/spec/external/port")
    );
    let internal = format!(
        "{}:{}",
        text("/spec/internal/address"),
        text("/spec/internal/port")
    );
    let reason = condition(object, "Ready").map_or("", |ready| told(ready, "reason"));
    format!("{external} ─▶ {internal}  {name} {reason}")
}

fn endpoint(object: &DynamicObject) -> String {
    let host = object
        .data
        .pointer("/status/dockerHost")
        .map(shown)
        .unwrap_or_default();
    format!("DOCKER_HOST={host}")
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Key, Kind};
    use crate::watch::Seen;
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Instant;

    fn objects(list: &[Value]) -> Objects {
        let seen = |value: &Value| {
            let object: DynamicObject = serde_json::from_value(value.clone()).unwrap();
            let kind = Kind::named(value["kind"].as_str().unwrap()).unwrap();
            let key = Key::of(kind, &object);
            (
                key,
                Seen {
                    object: Arc::new(object),
                    born: Instant::now(),
                    ready: None,
                },
            )
        };
        list.iter().map(seen).collect()
    }

    #[test]
    fn the_drawing_shows_what_the_objects_say() {
        let api = "vic-operator.io/v1alpha1";
        let drawn = topology(&objects(&[
            json!({"apiVersion": api, "kind": "ContainerNetwork", "metadata": {"name": "docker-public"},
                "spec": {"displayName": "Docker-Public", "backing": {"type": "PortGroup", "portGroup": {"vlanID": 120}},
                    "subnets": [{"gatewayAddress": "127.64.1.1/24"}]}}),
            json!({"apiVersion": api, "kind": "EdgeNatRule", "metadata": {"name": "nginx"},
                "spec": {"external": {"address": "203.0.113.10", "port": 80}, "internal": {"address": "10.30.0.11", "port": 80}},
                "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Dormant"}]}}),
            json!({"apiVersion": api, "kind": "VirtualContainerHost", "metadata": {"name": "vch1"},
                "status": {"dockerHost": "tcp://127.64.1.10:2376"}}),
        ]));
        assert!(
            drawn.contains("Docker-Public (VLAN 120) 127.64.1.1/24"),
            "{drawn}"
        );
        assert!(
            drawn.contains("203.0.113.10:80 ─▶ 10.30.0.11:80  nginx Dormant"),
            "{drawn}"
        );
        assert!(drawn.contains("DOCKER_HOST=tcp://127.64.1.10:2376"), "{drawn}");
    }
}
