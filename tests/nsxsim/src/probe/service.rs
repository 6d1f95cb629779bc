//! Services: which packets they mean, and the ports they name.

use serde_json::{Map, Value};

use super::effect::{number, one};
use super::{Flow, Protocol};
use crate::net::Ports;
use crate::world::World;
use crate::world::object::{text, texts};

/// Nested services go this deep.
const DEPTH: u8 = 5;

/// An entry: a protocol, and what it says about ports or messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Protocol; `None` = any.
    pub protocol: Option<Protocol>,
    /// Destination ports; empty = all.
    pub ports: Vec<Ports>,
    /// Source ports; empty = all.
    pub source_ports: Vec<Ports>,
    /// ICMP type; `None` = all.
    pub icmp_type: Option<i64>,
    /// ICMP code; `None` = all.
    pub icmp_code: Option<i64>,
}

impl Entry {
    /// Does the entry mean the flow? Its destination ports are left aside where `ports` is false.
    pub fn means(&self, flow: &Flow, ports: bool) -> bool {
        let protocol = self.protocol.is_none_or(|p| p == flow.protocol);
        let within = |list: &[Ports], port: Option<u16>| {
            list.is_empty() || port.is_some_and(|port| list.iter().any(|p| p.contains(port)))
        };
        let message = |wanted: Option<i64>, sent: Option<u8>| {
            wanted.is_none_or(|wanted| sent.is_some_and(|sent| i64::from(sent) == wanted))
        };
        protocol
            && (!ports || within(&self.ports, flow.port))
            && within(&self.source_ports, flow.source_port)
            && message(self.icmp_type, flow.icmp_type)
            && message(self.icmp_code, flow.icmp_code)
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
    let ports = |field: &str| texts(body, field).into_iter().filter_map(Ports::parse).collect();
    let given = |field: &str| body.get(field).and_then(Value::as_i64);
    match text(body, "resource_type")? {
        "L4PortSetServiceEntry" => Some(Entry {
            protocol: Some(Protocol::parse(text(body, "l4_protocol")?)?),
            ports: ports("destination_ports"),
            source_ports: ports("source_ports"),
            ..Entry::default()
        }),
        "ALGTypeServiceEntry" => {
            let udp = matches!(text(body, "alg"), Some("TFTP" | "SUN_RPC_UDP" | "MS_RPC_UDP"));
            Some(Entry {
                protocol: Some(if udp { Protocol::Udp } else { Protocol::Tcp }),
                ports: ports("destination_ports"),
                source_ports: ports("source_ports"),
                ..Entry::default()
            })
        }
        "ICMPTypeServiceEntry" => {
            let v6 = text(body, "protocol") == Some("ICMPv6");
            Some(Entry {
                protocol: Some(if v6 { Protocol::Icmp6 } else { Protocol::Icmp }),
                icmp_type: given("icmp_type"),
                icmp_code: given("icmp_code"),
                ..Entry::default()
            })
        }
        "IPProtocolServiceEntry" => Some(Entry {
            protocol: Some(Protocol::of(u8::try_from(number(body, "protocol_number")).ok()?)),
            ..Entry::default()
        }),
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
