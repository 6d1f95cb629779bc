//! A gateway's north-south firewall for what needs no NAT.

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use crate::addresses::address_text;
use crate::identity::Owner;
use crate::intent::Intent;
use crate::nat::{NatProtocol, Ports, service_entry};

/// Place of the policy among those of its category: the rules of NAT rules come before, at 0.
const POLICY_SEQUENCE: u32 = 1000;
/// Distance between the sequence numbers of two rules, so that a hand finds room between them.
const SPACING: u32 = 100;
/// Sequence number of the default posture, behind every rule.
const LAST: u32 = 1_000_000;

/// What a firewall does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirewallAction {
    /// Lets it pass.
    Allow,
    /// Loses it.
    Drop,
    /// Refuses it.
    Reject,
}

impl FirewallAction {
    /// As NSX writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Drop => "DROP",
            Self::Reject => "REJECT",
        }
    }
}

/// Which way traffic goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From outside in.
    In,
    /// From inside out.
    Out,
}

/// A protocol and its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// The protocol.
    pub protocol: NatProtocol,
    /// The ports; absent, all.
    pub ports: Option<Ports>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct FirewallRuleSpec {
    /// Its name in the declaration.
    pub name: String,
    /// What becomes of the traffic.
    pub action: FirewallAction,
    /// Which way it goes.
    pub direction: Direction,
    /// Where it comes from; empty, anywhere.
    pub from: Vec<Ipv4Net>,
    /// Where it goes; empty, anywhere.
    pub to: Vec<Ipv4Net>,
    /// What it is; empty, everything.
    pub ports: Vec<PortSpec>,
    /// Whether the gateway logs it.
    pub logging: bool,
}

/// What becomes of traffic that no rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posture {
    /// What becomes of it.
    pub action: FirewallAction,
    /// Whether the gateway logs it.
    pub logging: bool,
}

/// A gateway's firewall as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayFirewallSpec {
    /// Whose it is.
    pub owner: Owner,
    /// The gateway's policy path.
    pub gateway_path: String,
    /// What is left when no rule matches; absent, NSX's own default.
    pub posture: Option<Posture>,
    /// The rules in their order.
    pub rules: Vec<FirewallRuleSpec>,
}

impl GatewayFirewallSpec {
    /// Everything NSX shall have; nothing where nothing is declared.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        let declared = (1_u32..).zip(&self.rules);
        let mut rules: Vec<Intent> = declared
            .map(|(place, rule)| self.rule(rule, place.saturating_mul(SPACING)))
            .collect();
        rules.extend(self.posture.map(|posture| self.last(posture)));
        if rules.is_empty() {
            return rules;
        }
        let mut intents = vec![self.policy()];
        intents.extend(rules);
        intents
    }

    fn policy_path(&self) -> String {
        format!(
            "/infra/domains/default/gateway-policies/{}",
            self.owner.external_id()
        )
    }

    fn policy(&self) -> Intent {
        let fields = json!({
            "display_name": format!("{}/{}", self.owner.namespace, self.owner.name),
            "tags": self.owner.tags(),
            "category": "LocalGatewayRules",
            "sequence_number": POLICY_SEQUENCE,
        });
        Intent::new(self.policy_path(), "GatewayPolicy", fields)
    }

    fn rule(&self, rule: &FirewallRuleSpec, sequence: u32) -> Intent {
        let everything =
            rule.ports.is_empty() || rule.ports.iter().any(|port| port.protocol == NatProtocol::Any);
        let entries: Vec<Value> = if everything {
            Vec::new()
        } else {
            (1..).zip(&rule.ports).filter_map(entry).collect()
        };
        let direction = match rule.direction {
            Direction::In => "IN",
            Direction::Out => "OUT",
        };
        let fields = json!({
            "display_name": format!("{}/{} {}", self.owner.namespace, self.owner.name, rule.name),
            "tags": self.owner.tags(),
            "action": rule.action.name(),
            "source_groups": members(&rule.from),
            "destination_groups": members(&rule.to),
            // Beside entries of its own "ANY" would still mean every service.
            "services": entries.is_empty().then_some(["ANY"]),
            "service_entries": (!entries.is_empty()).then_some(entries),
            "scope": [self.gateway_path],
            "direction": direction,
            "ip_protocol": "IPV4",
            "sequence_number": sequence,
            "logged": rule.logging,
            "disabled": false,
        });
        Intent::new(
            format!("{}/rules/{}", self.policy_path(), rule.name),
            "Rule",
            fields,
        )
    }

    fn last(&self, posture: Posture) -> Intent {
        let fields = json!({
            "display_name": format!("{}/{} default posture", self.owner.namespace, self.owner.name),
            "tags": self.owner.tags(),
            "action": posture.action.name(),
            "source_groups": ["ANY"],
            "destination_groups": ["ANY"],
            "services": ["ANY"],
            "scope": [self.gateway_path],
            "direction": "IN_OUT",
            "ip_protocol": "IPV4_IPV6",
            "sequence_number": LAST,
            "logged": posture.logging,
            "disabled": false,
        });
        // No rule of the declaration has an underscore in its name.
        Intent::new(
            format!("{}/rules/default_posture", self.policy_path()),
            "Rule",
            fields,
        )
    }
}

/// An entry of its own id: NSX tells them apart by it.
fn entry((place, port): (usize, &PortSpec)) -> Option<Value> {
    let mut entry = service_entry(port.protocol, port.ports)?;
    let id = format!("{}-{place}", entry.get("id")?.as_str()?);
    let fields = entry.as_object_mut()?;
    fields.insert("id".into(), json!(id));
    fields.insert("display_name".into(), json!(id));
    Some(entry)
}

fn members(nets: &[Ipv4Net]) -> Vec<String> {
    if nets.is_empty() || nets.iter().any(|net| net.prefix_len() == 0) {
        vec!["ANY".to_owned()]
    } else {
        nets.iter().copied().map(address_text).collect()
    }
}
