//! Services of a protocol and its ports. Rules that need the same share one: its id is made of its content.

use serde_json::{Value, json};

use super::{NatProtocol, Ports};
use crate::identity::{shared_id, shared_tags};
use crate::intent::Intent;

/// The kind of what a NAT rule names for protocol and ports.
pub(crate) const SERVICE: &str = "Service";

/// The service of a protocol and its ports; none where every protocol is meant.
pub(super) fn service(instance: &str, protocol: NatProtocol, ports: Option<Ports>) -> Option<Intent> {
    let entry = service_entry(protocol, ports)?;
    let id = shared_id(instance, SERVICE, &service_content(protocol, ports));
    let fields = json!({
        "display_name": service_name(protocol, ports),
        "tags": shared_tags(instance, SERVICE),
        "service_entries": [entry],
    });
    Some(Intent::new(format!("/infra/services/{id}"), SERVICE, fields))
}

/// What the id of a service is made of.
pub(crate) fn service_content(protocol: NatProtocol, ports: Option<Ports>) -> String {
    format!(
        "{}{}",
        ports.map(Ports::text).unwrap_or_default(),
        protocol.suffix()
    )
}

/// A service's name, which says what it is for.
fn service_name(protocol: NatProtocol, ports: Option<Ports>) -> String {
    let content = service_content(protocol, ports);
    format!("vic-operator {}", content.trim_start_matches('/'))
}

/// Reads [`service_name`] as one of that protocol.
pub(crate) fn read_service_name(name: &str, protocol: NatProtocol) -> Option<(NatProtocol, Option<Ports>)> {
    let ports = name
        .strip_prefix("vic-operator ")?
        .strip_suffix(protocol.suffix().trim_start_matches('/'))?;
    match ports.trim_end_matches('/') {
        "" => Some((protocol, None)),
        text => Some((protocol, Some(Ports::parse(text)?))),
    }
}

/// The inline or child entry of a protocol and its ports; none where every protocol is meant.
pub(crate) fn service_entry(protocol: NatProtocol, ports: Option<Ports>) -> Option<Value> {
    let named = |kind: &str, id: &str| json!({"resource_type": kind, "id": id, "display_name": id});
    let mut entry = match protocol {
        NatProtocol::Any => return None,
        NatProtocol::Icmp => named("ICMPTypeServiceEntry", "icmp"),
        NatProtocol::Tcp => named("L4PortSetServiceEntry", "tcp"),
        NatProtocol::Udp => named("L4PortSetServiceEntry", "udp"),
    };
    let fields = entry.as_object_mut()?;
    match protocol {
        NatProtocol::Icmp => drop(fields.insert("protocol".into(), json!("ICMPv4"))),
        NatProtocol::Tcp => drop(fields.insert("l4_protocol".into(), json!("TCP"))),
        NatProtocol::Udp => drop(fields.insert("l4_protocol".into(), json!("UDP"))),
        NatProtocol::Any => {}
    }
    if let Some(ports) = ports.filter(|_| protocol != NatProtocol::Icmp) {
        fields.insert("destination_ports".into(), json!([ports.text()]));
    }
    Some(entry)
}
