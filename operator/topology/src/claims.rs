//! What a NAT rule claims on a gateway, and whether two claims clash.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::Value;

use crate::addresses::{address_text, overlap};
use crate::identity::{INSTANCE_SCOPE, shared_id};
use crate::nat::{NatProtocol, Place, Ports, SERVICE, read_service_name, service_content};

/// A claim: traffic in one direction, by address, protocol, ports and peer, at one priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The gateway's policy path.
    pub gateway: String,
    /// Traffic from outside (by its destination), or from inside (by its source).
    pub inbound: bool,
    /// The address; absent, every address.
    pub address: Option<Ipv4Net>,
    /// The protocol.
    pub protocol: NatProtocol,
    /// The ports; absent, every port.
    pub ports: Option<Ports>,
    /// The peers; none, every peer.
    pub remotes: Vec<Ipv4Net>,
    /// Where the rule stands; rules of different priority stand side by side, in order.
    pub place: Place,
}

impl Claim {
    /// Whether some traffic falls under both, with nothing to say which rule comes first.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.gateway == other.gateway
            && self.inbound == other.inbound
            && self.place.meets(other.place)
            && meet(self.address, other.address, overlap)
            && meet_any(&self.remotes, &other.remotes)
            && (self.protocol == other.protocol
                || self.protocol == NatProtocol::Any
                || other.protocol == NatProtocol::Any)
            && meet(self.ports, other.ports, Ports::overlaps)
    }

    /// Whether rules in NSX that claim `written` are all that this claim becomes there: one for each peer.
    #[must_use]
    pub fn is_made_of(&self, written: &[&Self]) -> bool {
        let is_there = |part: &Self| written.contains(&part);
        let mut peers = self.remotes.iter();
        if self.remotes.is_empty() {
            return is_there(self);
        }
        peers.all(|peer| {
            is_there(&Self {
                remotes: vec![*peer],
                ..self.clone()
            })
        })
    }

    /// What a rule in NSX claims, whoever made it; `service` looks a Service up by its path. A service that
    /// is not known is read as every protocol and port: better a conflict too many than one too few.
    #[must_use]
    pub fn from_nat_rule(
        gateway: &str,
        body: &Value,
        service: impl Fn(&str) -> Option<Value>,
    ) -> Option<Self> {
        let text = |field: &str| body.get(field).and_then(Value::as_str);
        if body.get("enabled").and_then(Value::as_bool) == Some(false) {
            return None;
        }
        let (inbound, address, remote) = match text("action")? {
            "DNAT" | "NO_DNAT" => (true, text("destination_network"), text("source_network")),
            "REFLEXIVE" => (true, text("translated_network"), None),
            "SNAT" | "NO_SNAT" => (false, text("source_network"), text("destination_network")),
            _ => return None,
        };
        if address.is_some_and(is_other_family) {
            return None;
        }
        // NSX ignores `translated_ports` where the rule has no service.
        let (protocol, ports) = match text("service") {
            None => (NatProtocol::Any, None),
            Some(path) => {
                let (protocol, ports) =
                    service(path).map_or((NatProtocol::Any, None), |body| read_service(&body));
                (
                    protocol,
                    text("translated_ports").and_then(Ports::parse).or(ports),
                )
            }
        };
        Some(Self {
            gateway: gateway.to_owned(),
            inbound,
            address: address.and_then(network),
            protocol,
            ports,
            remotes: remote.and_then(network).into_iter().collect(),
            place: Place::of_sequence(
                body.get("sequence_number")
                    .and_then(Value::as_u64)
                    .and_then(|n| n.try_into().ok())
                    .unwrap_or(0),
            ),
        })
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self
            .address
            .map_or_else(|| "any address".to_owned(), address_text);
        let ports = self
            .ports
            .map(|ports| format!(":{}", ports.text()))
            .unwrap_or_default();
        write!(f, "{address}{ports}{}", self.protocol.suffix())
    }
}

/// Two limits meet where either is absent, or both have something in common.
fn meet<T>(one: Option<T>, other: Option<T>, common: impl Fn(T, T) -> bool) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => common(one, other),
        _ => true,
    }
}

/// The same of two lists, where an empty one is no limit.
fn meet_any(some: &[Ipv4Net], others: &[Ipv4Net]) -> bool {
    some.is_empty()
        || others.is_empty()
        || some
            .iter()
            .any(|one| others.iter().any(|other| overlap(*one, *other)))
}

/// NSX allows lists of addresses: they are read as the smallest network around them, and what cannot be read
/// as every address.
fn network(text: &str) -> Option<Ipv4Net> {
    let mut nets = text.split(',').map(|item| {
        let item = item.trim();
        item.parse::<Ipv4Net>()
            .ok()
            .or_else(|| item.parse::<Ipv4Addr>().ok().map(Ipv4Net::from))
    });
    let first = nets.next()??;
    nets.try_fold(first, |around, net| around_both(around, net?))
}

fn around_both(one: Ipv4Net, other: Ipv4Net) -> Option<Ipv4Net> {
    std::iter::successors(Some(one), Ipv4Net::supernet).find(|net| net.contains(&other))
}

/// Whether all of it is IPv6, which no claim of ours can meet.
fn is_other_family(text: &str) -> bool {
    text.split(',').all(|item| item.contains(':'))
}

/// The smallest protocol and range of ports around all entries of a service: predefined ones have several.
fn read_service(body: &Value) -> (NatProtocol, Option<Ports>) {
    let entries = body.get("service_entries").and_then(Value::as_array);
    let mut entries = entries.into_iter().flatten().map(read_entry);
    let Some(first) = entries.next() else {
        return own_service(body).unwrap_or((NatProtocol::Any, None));
    };
    entries.fold(first, |(protocol, ports), (other, more)| {
        if protocol == other {
            (protocol, ports.zip(more).map(|(one, two)| one.around(two)))
        } else {
            (NatProtocol::Any, None)
        }
    })
}

fn read_entry(entry: &Value) -> (NatProtocol, Option<Ports>) {
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
    let protocol = match (text("resource_type"), text("l4_protocol")) {
        ("L4PortSetServiceEntry", "TCP") => NatProtocol::Tcp,
        ("L4PortSetServiceEntry", "UDP") => NatProtocol::Udp,
        ("ICMPTypeServiceEntry", _) => NatProtocol::Icmp,
        _ => return (NatProtocol::Any, None),
    };
    let listed = entry.get("destination_ports").and_then(Value::as_array);
    let ranges: Option<Vec<Ports>> = listed
        .into_iter()
        .flatten()
        .map(|port| port.as_str().and_then(Ports::parse))
        .collect();
    let ports = ranges.and_then(|ranges| ranges.into_iter().reduce(Ports::around));
    (protocol, ports)
}

/// What a service of ours is for, where a search did not show its entries: its name says it, and its id, which
/// is made of its content, proves it.
fn own_service(body: &Value) -> Option<(NatProtocol, Option<Ports>)> {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let tags = body.get("tags")?.as_array()?;
    let of_instance = tags
        .iter()
        .find(|tag| text(tag, "scope").as_deref() == Some(INSTANCE_SCOPE))?;
    let (id, name) = (text(body, "id")?, text(body, "display_name")?);
    [NatProtocol::Tcp, NatProtocol::Udp, NatProtocol::Icmp]
        .into_iter()
        .find_map(|protocol| {
            let (_, ports) = read_service_name(&name, protocol)?;
            let content = service_content(protocol, ports);
            (shared_id(&text(of_instance, "tag")?, SERVICE, &content) == id).then_some((protocol, ports))
        })
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
