//! NAT rules and the firewall rules that belong to them, as NSX shall have them.
//!
//! In NSX a DNAT rule's `service` names the port *after* translation and `translated_ports` the port that is
//! *matched*; `firewall_match` and `sequence_number` are always written, because their defaults mislead.

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use crate::addresses::address_text;
use crate::claims::Claim;
use crate::identity::{Owner, shared_id, shared_tags};
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

/// The kind of what a NAT rule names for protocol and ports.
pub(crate) const SERVICE: &str = "Service";

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

/// Ports from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Ports {
    /// As NSX writes them.
    #[must_use]
    pub fn text(self) -> String {
        if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        }
    }

    /// Reads `80` or `80-90`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    }

    /// A range of the same size that begins elsewhere; `None` where it would end beyond 65535.
    #[must_use]
    pub fn moved_to(self, first: u16) -> Option<Self> {
        Some(Self {
            first,
            last: first.checked_add(self.last.checked_sub(self.first)?)?,
        })
    }
}

/// The north-south firewall for what a rule publishes; `internal` matches the address after translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatFirewall {
    /// These sources and no others.
    Exclusive {
        /// The sources.
        sources: Vec<Ipv4Net>,
        /// Whether the translated address is matched.
        internal: bool,
    },
    /// These sources, beside what else allows.
    Additive {
        /// The sources.
        sources: Vec<Ipv4Net>,
        /// Whether the translated address is matched.
        internal: bool,
    },
    /// No firewall rule.
    Unmanaged,
    /// The traffic skips the firewall.
    Bypass,
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
    /// Its ports.
    pub external_ports: Option<Ports>,
    /// The containers' side.
    pub internal: Option<Ipv4Net>,
    /// Base of its ports; absent, the external ones.
    pub internal_port: Option<u16>,
    /// The peer the rule is limited to.
    pub remote: Option<Ipv4Net>,
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
    /// The rule's policy path.
    #[must_use]
    pub fn rule_path(&self) -> String {
        format!(
            "{}/nat/USER/nat-rules/{}",
            self.gateway_path,
            self.owner.external_id()
        )
    }

    /// Policy paths of the firewall rules.
    #[must_use]
    pub fn firewall_paths(&self) -> Vec<String> {
        self.firewall_rules()
            .into_iter()
            .map(|intent| intent.path)
            .collect()
    }

    /// Everything NSX shall have, what is referred to first.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        let mut intents: Vec<Intent> = self.service().into_iter().collect();
        intents.push(self.rule());
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
            remote: self.remote,
            priority: self.priority,
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
        let entry = service_entry(self.protocol, ports)?;
        let id = shared_id(
            &self.owner.instance,
            SERVICE,
            &service_content(self.protocol, ports),
        );
        let fields = json!({
            "display_name": service_name(self.protocol, ports),
            "tags": shared_tags(&self.owner.instance, SERVICE),
            "service_entries": [entry],
        });
        Some(Intent::new(format!("/infra/services/{id}"), SERVICE, fields))
    }

    fn rule(&self) -> Intent {
        let (source, destination, translated) = match self.action {
            NatAction::Dnat => (self.remote, self.external, self.internal),
            NatAction::Snat => (self.internal, self.remote, self.external),
            NatAction::Reflexive => (self.internal, None, self.external),
            NatAction::NoDnat => (self.remote, self.external, None),
            NatAction::NoSnat => (self.internal, self.remote, None),
        };
        let text = |net: Option<Ipv4Net>| net.map(address_text);
        let ports = self.external_ports.filter(|_| self.action == NatAction::Dnat);
        let fields = json!({
            "display_name": format!("{}/{}", self.owner.namespace, self.owner.name),
            "tags": self.owner.tags(),
            "action": self.action.name(),
            "source_network": text(source),
            "destination_network": text(destination),
            "translated_network": text(translated),
            "translated_ports": ports.map(Ports::text),
            "service": self.service().map(|service| service.path),
            "firewall_match": self.firewall_match(),
            "sequence_number": self.priority,
            "logging": self.logging,
            "enabled": true,
        });
        Intent::new(self.rule_path(), "PolicyNatRule", fields)
    }

    fn firewall_match(&self) -> Option<&'static str> {
        let internal = match &self.firewall {
            NatFirewall::Exclusive { internal, .. } | NatFirewall::Additive { internal, .. } => *internal,
            // No firewall belongs to a rule for outbound traffic: NSX's own default, so that the gateway's
            // rules go on meaning the sources they name.
            NatFirewall::Unmanaged | NatFirewall::Bypass => self.action == NatAction::Snat,
        };
        match (self.action, &self.firewall) {
            (NatAction::NoDnat | NatAction::NoSnat, _) => None,
            (_, NatFirewall::Bypass) => Some("BYPASS"),
            _ if internal => Some("MATCH_INTERNAL_ADDRESS"),
            _ => Some("MATCH_EXTERNAL_ADDRESS"),
        }
    }

    /// The container of this instance's rules on the gateway.
    fn policy(&self) -> Intent {
        const KIND: &str = "GatewayPolicy";
        let id = shared_id(&self.owner.instance, KIND, &self.gateway_path);
        let fields = json!({
            "display_name": id,
            "tags": shared_tags(&self.owner.instance, KIND),
            "category": "LocalGatewayRules",
        });
        Intent::new(
            format!("/infra/domains/default/gateway-policies/{id}"),
            KIND,
            fields,
        )
    }

    /// Allow, then drop: a gateway's own default rule allows. A rule's two stand side by side, in the order
    /// of the NAT rules they belong to.
    fn firewall_rules(&self) -> Vec<Intent> {
        let (sources, internal, exclusive) = match &self.firewall {
            NatFirewall::Exclusive { sources, internal } => (sources, *internal, true),
            NatFirewall::Additive { sources, internal } => (sources, *internal, false),
            NatFirewall::Unmanaged | NatFirewall::Bypass => return Vec::new(),
        };
        let remote = self.remote.map(address_text);
        let sources: Vec<String> = sources.iter().copied().map(source_text).collect();
        let sources = if sources.iter().any(|source| source == "ANY") {
            vec!["ANY".to_owned()]
        } else {
            sources
        };
        let mut rules = Vec::new();
        if !sources.is_empty() {
            rules.push(self.firewall_rule("allow", "ALLOW", &sources, internal, self.priority * 4));
        }
        if exclusive {
            let everyone = vec![remote.unwrap_or_else(|| "ANY".to_owned())];
            rules.push(self.firewall_rule("drop", "DROP", &everyone, internal, self.priority * 4 + 1));
        }
        rules
    }

    fn firewall_rule(
        &self,
        part: &str,
        action: &str,
        sources: &[String],
        internal: bool,
        sequence: u32,
    ) -> Intent {
        let (address, ports) = if internal {
            (self.internal, self.internal_ports())
        } else {
            (self.external, self.external_ports)
        };
        let entry = service_entry(self.protocol, ports);
        let fields = json!({
            "display_name": format!("{}/{} {part}", self.owner.namespace, self.owner.name),
            "tags": self.owner.tags(),
            "action": action,
            "source_groups": sources,
            "destination_groups": [address.map_or_else(|| "ANY".to_owned(), address_text)],
            // Beside entries of its own "ANY" would still mean every service.
            "services": entry.is_none().then_some(["ANY"]),
            "service_entries": entry.map(|entry| vec![entry]),
            "scope": [self.gateway_path],
            "direction": "IN_OUT",
            "ip_protocol": "IPV4",
            "sequence_number": sequence,
            "logged": self.logging,
            "disabled": false,
        });
        let path = format!("{}/rules/{}-{part}", self.policy().path, self.owner.external_id());
        Intent::new(path, "Rule", fields)
    }
}

fn source_text(net: Ipv4Net) -> String {
    if net.prefix_len() == 0 {
        "ANY".to_owned()
    } else {
        address_text(net)
    }
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

#[cfg(test)]
#[path = "nat_tests.rs"]
mod tests;
