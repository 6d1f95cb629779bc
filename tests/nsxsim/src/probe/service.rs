//! Services: which packets they mean, and the ports they name.

use serde_json::{Map, Value};

use super::effect::{number, one};
use super::{Flow, Protocol};
use crate::net::Ports;
use crate::world::World;
use crate::world::object::{text, texts};

/// Nested services go this deep.
const DEPTH: u8 = 5;

/// An entry: a protocol, and for TCP and UDP its destination ports (none = all).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Protocol; `None` = any.
    pub protocol: Option<Protocol>,
    /// Destination ports; empty = all.
    pub ports: Vec<Ports>,
}

impl Entry {
    /// Does the entry mean the flow? Its ports are left aside where `ports` is false.
    pub fn means(&self, flow: &Flow, ports: bool) -> bool {
        let protocol = self.protocol.is_none_or(|p| p == flow.protocol);
        let port = !ports
            || self.ports.is_empty()
            || flow
                .port
                .is_some_and(|port| self.ports.iter().any(|p| p.contains(port)));
        protocol && port
    }
}

/// Entries of a service in effect; nested ones are followed.
pub fn entries(world: &World, path: &str) -> Vec<Entry> {
    gather(world, path, DEPTH)
}

fn gather(world: &World, path: &str, depth: u8) -> Vec<Entry> {
    let Some(depth) = depth.checked_sub(1) else {
        return Vec::new();
    };
    let Some(service) = one(world, path) else {
        return Vec::new();
    };
    let parts = world.store.collection(service.path(), "ServiceEntry", true);
    let mut found = Vec::new();
    for part in parts.filter_map(|p| p.realization.effective.as_deref()) {
        match text(part, "nested_service_path") {
            Some(nested) => found.extend(gather(world, nested, depth)),
            None => found.extend(entry(part)),
        }
    }
    found
}

/// Reads one entry; types that mean no packet of a probe (ether types, IGMP) are left out.
pub fn entry(body: &Map<String, Value>) -> Option<Entry> {
    let ports = || {
        texts(body, "destination_ports")
            .into_iter()
            .filter_map(Ports::parse)
            .collect()
    };
    match text(body, "resource_type")? {
        "L4PortSetServiceEntry" => Some(Entry {
            protocol: Protocol::parse(text(body, "l4_protocol")?),
            ports: ports(),
        }),
        "ALGTypeServiceEntry" => {
            let udp = matches!(text(body, "alg"), Some("TFTP" | "SUN_RPC_UDP" | "MS_RPC_UDP"));
            Some(Entry {
                protocol: Some(if udp { Protocol::Udp } else { Protocol::Tcp }),
                ports: ports(),
            })
        }
        "ICMPTypeServiceEntry" if text(body, "protocol") == Some("ICMPv4") => Some(Entry {
            protocol: Some(Protocol::Icmp),
            ports: Vec::new(),
        }),
        "IPProtocolServiceEntry" => {
            let wanted = number(body, "protocol_number");
            let known = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp]
                .into_iter()
                .find(|p| p.number() == wanted);
            known.map(|protocol| Entry {
                protocol: Some(protocol),
                ports: Vec::new(),
            })
        }
        _ => None,
    }
}

/// Does a firewall rule's choice of services mean the flow? Named services, inline entries, or ANY.
pub fn rule_means(world: &World, rule: &Map<String, Value>, flow: &Flow) -> bool {
    let services = texts(rule, "services");
    let inline = crate::rules::expressions(rule, "service_entries").filter_map(entry);
    services.contains(&"ANY")
        || inline.into_iter().any(|e| e.means(flow, true))
        || services
            .iter()
            .any(|s| entries(world, s).iter().any(|e| e.means(flow, true)))
}
