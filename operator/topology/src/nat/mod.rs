//! NAT rules and the firewall rules that belong to them, as NSX shall have them.

mod allocation;
mod firewall;
mod ports;
mod rule;
mod sequence;
mod service;

pub use allocation::AllocationSpec;
pub use firewall::NatFirewall;
pub use ports::Ports;
pub use sequence::{Place, SPACING, sequence};
pub(crate) use service::{SERVICE, read_service_name, service_content, service_entry};

use ipnet::Ipv4Net;

use crate::claims::Claim;
use crate::identity::Owner;
use crate::intent::Intent;

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NatAction {
    /// External to internal.
    Dnat,
    /// Internal to external.
    Snat,
    /// Both ways, stateless.
    Reflexive,
    /// Traffic to the external address stays as it is.
    NoDnat,
    /// Traffic from inside stays as it is.
    NoSnat,
}

impl NatAction {
    /// As NSX writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dnat => "DNAT",
            Self::Snat => "SNAT",
            Self::Reflexive => "REFLEXIVE",
            Self::NoDnat => "NO_DNAT",
            Self::NoSnat => "NO_SNAT",
        }
    }
}

/// The protocol a rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NatProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, version 4.
    Icmp,
    /// All of them.
    Any,
}

impl NatProtocol {
    /// As people write it; nothing for all of them.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Tcp => "/TCP",
            Self::Udp => "/UDP",
            Self::Icmp => "/ICMP",
            Self::Any => "",
        }
    }
}

/// A valid rule.
#[derive(Clone, Debug, PartialEq)]
pub struct NatSpec {
    /// Whose it is.
    pub owner: Owner,
    /// The gateway's policy path.
    pub gateway_path: String,
    /// What it does.
    pub action: NatAction,
    /// The protocol it speaks of.
    pub protocol: NatProtocol,
    /// The consumers' side.
    pub external: Option<Ipv4Net>,
    /// Where the external address was taken from.
    pub allocation: Option<AllocationSpec>,
    /// Its ports.
    pub external_ports: Option<Ports>,
    /// The containers' side.
    pub internal: Option<Ipv4Net>,
    /// Base of its ports; absent, the external ones.
    pub internal_port: Option<u16>,
    /// The peers the rule is limited to; none, any.
    pub remotes: Vec<Ipv4Net>,
    /// Interfaces of the gateway that the rule is limited to, as policy paths; none, all.
    pub scope: Vec<String>,
    /// Lower comes first.
    pub priority: u32,
    /// Whether the gateway logs matches.
    pub logging: bool,
    /// Its firewall.
    pub firewall: NatFirewall,
}

/// Whether the internal ports fit.
///
/// # Errors
/// The rule that is broken.
pub fn check_ports(spec: &NatSpec) -> Result<(), String> {
    match (spec.external_ports, spec.internal_port) {
        (Some(ports), Some(first)) if ports.moved_to(first).is_none() => {
            Err("a range of the external ports' size that begins here ends beyond 65535".to_owned())
        }
        _ => Ok(()),
    }
}

impl NatSpec {
    /// Policy paths of the firewall rules.
    #[must_use]
    pub fn firewall_paths(&self) -> Vec<String> {
        self.firewall_rules()
            .into_iter()
            .map(|intent| intent.path)
            .collect()
    }

    /// Everything NSX shall have, what is referred to first. The address of a pool is not among it: the rule is
    /// written once that is known.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        let mut intents: Vec<Intent> = self.service().into_iter().collect();
        intents.extend(self.rules());
        let rules = self.firewall_rules();
        if !rules.is_empty() {
            intents.push(self.policy());
        }
        intents.extend(rules);
        intents
    }

    /// Shared objects this rule uses: policy path and NSX type.
    #[must_use]
    pub fn shared_uses(&self) -> Vec<(String, String)> {
        let policy = (!self.firewall_rules().is_empty()).then(|| self.policy());
        let shared = self.service().into_iter().chain(policy);
        shared
            .map(|intent| (intent.path, intent.resource_type.to_owned()))
            .chain(self.allocation.as_ref().map(AllocationSpec::shared))
            .collect()
    }

    /// What the rule claims.
    #[must_use]
    pub fn claim(&self) -> Claim {
        let inbound = matches!(
            self.action,
            NatAction::Dnat | NatAction::NoDnat | NatAction::Reflexive
        );
        Claim {
            gateway: self.gateway_path.clone(),
            inbound,
            address: if inbound { self.external } else { self.internal },
            protocol: self.protocol,
            ports: self.external_ports,
            remotes: self.remotes.clone(),
            place: Place::Priority(self.priority),
        }
    }

    fn internal_ports(&self) -> Option<Ports> {
        let ports = self.external_ports?;
        self.internal_port
            .map_or(Some(ports), |first| ports.moved_to(first))
    }

    /// The service of the ports after translation; none where every protocol is meant.
    fn service(&self) -> Option<Intent> {
        let ports = if self.action == NatAction::Dnat {
            self.internal_ports()
        } else {
            self.external_ports
        };
        service::service(&self.owner.instance, self.protocol, ports)
    }
}

#[cfg(test)]
mod tests;
