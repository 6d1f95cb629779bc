//! The firewall rules that belong to a NAT rule, side by side in one policy for each gateway.

use ipnet::Ipv4Net;
use serde_json::json;

use super::service::service_entry;
use super::{NatAction, NatSpec, sequence};
use crate::addresses::address_text;
use crate::identity::{shared_id, shared_tags};
use crate::intent::Intent;

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

impl NatSpec {
    /// What the gateway's firewall looks at in traffic that the rule means.
    pub(super) fn firewall_match(&self) -> Option<&'static str> {
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
    pub(super) fn policy(&self) -> Intent {
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
    pub(super) fn firewall_rules(&self) -> Vec<Intent> {
        let (sources, internal, exclusive) = match &self.firewall {
            NatFirewall::Exclusive { sources, internal } => (sources, *internal, true),
            NatFirewall::Additive { sources, internal } => (sources, *internal, false),
            NatFirewall::Unmanaged | NatFirewall::Bypass => return Vec::new(),
        };
        let first = sequence(self.priority);
        let mut rules = Vec::new();
        if !sources.is_empty() {
            rules.push(self.firewall_rule("allow", "ALLOW", &members(sources), internal, first));
        }
        if exclusive {
            let everyone = members_or_any(&self.remotes);
            rules.push(self.firewall_rule("drop", "DROP", &everyone, internal, first.saturating_add(1)));
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
            "scope": self.firewall_scope(),
            "direction": "IN_OUT",
            "ip_protocol": "IPV4",
            "sequence_number": sequence,
            "logged": self.logging,
            "disabled": false,
        });
        let path = format!("{}/rules/{}-{part}", self.policy().path, self.owner.external_id());
        Intent::new(path, "Rule", fields)
    }

    /// The gateway, or those of its interfaces that the NAT rule is limited to.
    fn firewall_scope(&self) -> Vec<String> {
        if self.scope.is_empty() {
            vec![self.gateway_path.clone()]
        } else {
            self.scope.clone()
        }
    }
}

/// Sources as NSX writes them; one that is everyone makes the others needless.
fn members(nets: &[Ipv4Net]) -> Vec<String> {
    if nets.iter().any(|net| net.prefix_len() == 0) {
        vec!["ANY".to_owned()]
    } else {
        nets.iter().copied().map(address_text).collect()
    }
}

/// The same, where none means everyone.
fn members_or_any(nets: &[Ipv4Net]) -> Vec<String> {
    if nets.is_empty() {
        vec!["ANY".to_owned()]
    } else {
        members(nets)
    }
}
