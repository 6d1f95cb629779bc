//! A packet's way through the gateways, told step by step.
//!
//! Only what is realized counts: an update that is not realized yet leaves the earlier state in effect, a deleted
//! object works until it is gone. What the walk knows and what it leaves out:
//! * From outside a packet meets the Tier-0, then the Tier-1 that advertises the destination (`TIER1_CONNECTED`
//!   for its segments, `TIER1_NAT` for external addresses of its NAT rules).
//! * Each gateway: destination NAT, then its firewall, then the route. NAT and gateway firewall work on the way
//!   from and to the uplink only; between segments of one gateway routing is distributed and meets neither.
//! * `translated_ports` of a DNAT rule is the port that is matched, the service's destination port is the one
//!   that is translated to. Without a service `translated_ports` is ignored.
//! * The answer's way back is not walked.

mod address;
pub mod effect;
mod firewall;
pub mod group;
#[cfg(test)]
mod group_tests;
mod nat;
mod service;
#[cfg(test)]
mod tests;
mod topology;
mod walk;

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
    /// Destination port; none for ICMP.
    #[serde(default)]
    pub port: Option<u16>,
    /// `TCP`, `UDP` or `ICMP`.
    #[serde(default = "tcp")]
    pub protocol: String,
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
    /// NAT rule that translated last, or exempted.
    pub nat_rule: Option<String>,
    /// The way, in words.
    pub steps: Vec<String>,
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
    pub source: std::net::IpAddr,
    /// Destination address.
    pub destination: std::net::IpAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// Destination port; none for ICMP.
    pub port: Option<u16>,
}

/// Protocols that probes speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP for IPv4.
    Icmp,
}

impl Protocol {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "ICMP" => Some(Self::Icmp),
            _ => None,
        }
    }

    /// Its name in an `l4_protocol` field.
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
        }
    }

    /// Its number in an IP header.
    fn number(self) -> i64 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp => 1,
        }
    }
}

impl std::fmt::Display for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let to = address::join(self.destination, self.port);
        write!(f, "{} {} -> {to}", self.protocol.name(), self.source)
    }
}
