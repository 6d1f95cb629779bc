//! A packet's way through the gateways, told step by step.
//!
//! Only what is realized counts: an update that is not realized yet leaves the earlier state in effect, a deleted
//! object works until it is gone. What the walk knows and what it leaves out:
//! * From outside a packet meets the interface in whose subnet its source is, else the Tier-0, then the Tier-1 that
//!   advertises the destination (`TIER1_CONNECTED` for its segments and interfaces, `TIER1_NAT` for external addresses
//!   of its NAT rules, `TIER1_STATIC_ROUTES`; advertisement rules come first).
//! * A gateway's NAT and firewall work at its doors only, its uplink and its interfaces, and only where it has an edge
//!   cluster: destination NAT, then the firewall, then the route. Between segments of one gateway routing is
//!   distributed and meets neither.
//! * A packet from inside to an external address of its own gateway goes out through the door and comes back in: source
//!   NAT on the way out, destination NAT on the way back (hairpin).
//! * `translated_ports` of a DNAT rule is the port that is matched, the service's destination port is the one
//!   that is translated to. Without a service `translated_ports` is ignored.
//! * A delivered packet counts only if its answer finds the way back through the gateways that translated it: a VM that
//!   answers its neighbour directly answers with an address that the neighbour never asked.

mod address;
mod answer;
#[cfg(test)]
mod distributed_tests;
mod door;
#[cfg(test)]
mod door_tests;
pub mod effect;
mod firewall;
pub mod group;
#[cfg(test)]
mod group_tests;
mod nat;
mod service;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod topology;
mod walk;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use walk::walk;

/// What is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packet {
    /// Source address.
    pub from: String,
    /// Destination address.
    pub to: String,
    /// Destination port, for TCP and UDP.
    #[serde(default)]
    pub port: Option<u16>,
    /// Source port, for TCP and UDP; absent = none that a service names.
    #[serde(default)]
    pub source_port: Option<u16>,
    /// `TCP`, `UDP`, `ICMP`, `ICMPv6` or the number of an IP protocol.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Type of an ICMP message; absent = an echo request.
    #[serde(default)]
    pub icmp_type: Option<u8>,
    /// Code of an ICMP message; absent = 0.
    #[serde(default)]
    pub icmp_code: Option<u8>,
}

fn tcp() -> String {
    "TCP".into()
}

/// What became of it.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Told {
    /// Destination after NAT, `ip:port`; `null` if it was not translated.
    pub translated: Option<String>,
    /// Source after NAT; `null` if it was not translated.
    pub source: Option<String>,
    /// Name of the VM that got it.
    pub vm: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// Firewall rule that decided last.
    pub rule: Option<String>,
    /// Action of that rule: `ALLOW`, `DROP` or `REJECT`.
    pub action: Option<String>,
    /// NAT rule that translated last, or exempted.
    pub nat_rule: Option<String>,
    /// Why the answer does not come back, where it does not.
    pub answer: Option<String>,
    /// Every place where something decided, in order.
    pub hops: Vec<Hop>,
    /// The way, in words.
    pub steps: Vec<String>,
}

/// A place where NAT or a firewall decided.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct Hop {
    /// Gateway, or `vNIC of <address>`.
    pub at: String,
    /// Interface of the gateway; `null` for its uplink and for vNICs.
    pub interface: Option<String>,
    /// `in` or `out`.
    pub way: &'static str,
    /// NAT rule that translated or exempted.
    pub nat_rule: Option<String>,
    /// Its action.
    pub nat_action: Option<String>,
    /// Firewall rule that decided.
    pub rule: Option<String>,
    /// Its action.
    pub action: Option<String>,
    /// Does the NAT rule or the firewall rule log?
    pub logged: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A powered-on VM got it, or it left for an outside address.
    Delivered,
    /// A firewall rule dropped it.
    Dropped,
    /// Nothing leads to the address, or nobody has it.
    NoRoute,
}

/// A packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// Destination port, for TCP and UDP.
    pub port: Option<u16>,
    /// Source port, where it is told.
    pub source_port: Option<u16>,
    /// ICMP type.
    pub icmp_type: Option<u8>,
    /// ICMP code.
    pub icmp_code: Option<u8>,
}

/// IP protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP for IPv4.
    Icmp,
    /// ICMP for IPv6.
    Icmp6,
    /// Any other, by its number.
    Other(u8),
}

impl Protocol {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "ICMP" | "ICMPV4" => Some(Self::Icmp),
            "ICMPV6" => Some(Self::Icmp6),
            number => number.parse().ok().map(Self::of),
        }
    }

    /// The protocol of a number in an IP header.
    fn of(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            1 => Self::Icmp,
            58 => Self::Icmp6,
            other => Self::Other(other),
        }
    }

    fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp => f.write_str("TCP"),
            Self::Udp => f.write_str("UDP"),
            Self::Icmp => f.write_str("ICMP"),
            Self::Icmp6 => f.write_str("ICMPv6"),
            Self::Other(number) => write!(f, "IP protocol {number}"),
        }
    }
}

impl std::fmt::Display for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let to = address::join(self.destination, self.port);
        write!(f, "{} {} -> {to}", self.protocol, self.source)
    }
}
