//! Policies of the distributed firewall, compiled to groups and one security policy.
//!
//! Two things in NSX mislead: an empty list of sources, destinations or scopes means *anyone*, so that whoever
//! selects nobody must name an empty group; and a rule is enforced everywhere unless its policy has a scope, so
//! that the subject's groups are the scope and nobody else's traffic is touched.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use crate::addresses::address_text;
use crate::gateway::{Direction, FirewallAction};
use crate::identity::Owner;
use crate::intent::Intent;
use crate::nat::{NatProtocol, Ports, service_entry};

/// Where groups and policies lie on a local manager.
const DOMAIN: &str = "/infra/domains/default";
/// Conditions that one group takes. [NSX limit]
const CONDITIONS: usize = 5;
/// Ports of one service entry, a range counting as two. [NSX limit]
const ENTRY_PORTS: usize = 15;
/// Policies of neighbouring priorities are so far apart in NSX.
const SPACING: u32 = 1000;
/// Where the rules of each direction and the posture begin; rules are [`STEP`] apart.
const INGRESS: u32 = 1000;
const EGRESS: u32 = 2000;
const POSTURE: u32 = 10_000;
const STEP: usize = 10;

/// A policy as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct MicrosegSpec {
    /// Whose it is.
    pub owner: Owner,
    /// Its name.
    pub display_name: String,
    /// Lower comes first; at most 1000.
    pub priority: u32,
    /// Whose traffic it governs.
    pub subject: Members,
    /// Its rules, in their order.
    pub rules: Vec<MicrosegRule>,
    /// Whether what no rule fits is dropped.
    pub isolate: bool,
}

/// Who is meant, resolved to what NSX can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// VMs by vCenter's instance UUID, which is NSX's external id.
    pub machines: BTreeSet<String>,
    /// Segments by policy path.
    pub segments: BTreeSet<String>,
    /// Addresses and networks.
    pub addresses: BTreeSet<Ipv4Net>,
    /// VMs that NSX finds itself.
    pub matches: BTreeSet<MachineMatch>,
    /// Groups that exist, by policy path.
    pub groups: BTreeSet<String>,
}

/// VMs that NSX finds by name, by tag, or by both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MachineMatch {
    /// Their name.
    pub name: Option<NameMatch>,
    /// A tag: its scope, empty for any, and its value.
    pub tag: Option<(String, String)>,
}

/// How a VM's name is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameMatch {
    /// It is this.
    Is(String),
    /// It begins so.
    Begins(String),
}

/// The other side of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Anyone.
    Anyone,
    /// These, and the subject's own members if so said.
    These {
        /// Who.
        members: Members,
        /// Whether the subject itself belongs to them.
        subject: bool,
    },
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct MicrosegRule {
    /// Its name, unique in its direction.
    pub name: String,
    /// Which traffic, as the subject sees it.
    pub direction: Direction,
    /// The other side.
    pub peers: Peers,
    /// Protocols with their destination ports; none, everything.
    pub ports: Vec<(NatProtocol, Option<Ports>)>,
    /// What becomes of it.
    pub action: FirewallAction,
    /// Whether matches are logged.
    pub logging: bool,
}

fn prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

impl Members {
    /// Whether nobody can be meant: what NSX finds itself counts as somebody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
            && self.segments.is_empty()
            && self.addresses.is_empty()
            && self.matches.is_empty()
            && self.groups.is_empty()
    }

    /// Those of `other` too.
    pub fn extend(&mut self, other: &Self) {
        self.machines.extend(other.machines.iter().cloned());
        self.segments.extend(other.segments.iter().cloned());
        self.addresses.extend(other.addresses.iter().copied());
        self.matches.extend(other.matches.iter().cloned());
        self.groups.extend(other.groups.iter().cloned());
    }

    fn is_everyone(&self) -> bool {
        self.addresses.iter().any(|net| net.prefix_len() == 0)
    }

    /// What a group's expression joins, without the addresses, which a rule names itself: at most
    /// [`CONDITIONS`] conditions in each part, the first part perhaps empty.
    fn parts(&self) -> Vec<Vec<Value>> {
        let mut first = Vec::new();
        if !self.machines.is_empty() {
            first.push(json!({
                "resource_type": "ExternalIDExpression", "member_type": "VirtualMachine", "external_ids": self.machines,
            }));
        }
        if !self.segments.is_empty() {
            first.push(json!({"resource_type": "PathExpression", "paths": self.segments}));
        }
        let matches: Vec<Value> = self.matches.iter().map(MachineMatch::expression).collect();
        let mut chunks = matches.chunks(CONDITIONS);
        first.extend(chunks.next().into_iter().flatten().cloned());
        let mut parts = vec![first];
        parts.extend(chunks.map(<[Value]>::to_vec));
        parts
    }
}

impl MachineMatch {
    fn expression(&self) -> Value {
        let condition = |key: &str, operator: &str, value: &str| {
            json!({
                "resource_type": "Condition", "member_type": "VirtualMachine",
                "key": key, "operator": operator, "value": value,
            })
        };
        let name = self.name.as_ref().map(|name| match name {
            NameMatch::Is(text) => condition("Name", "EQUALS", text),
            NameMatch::Begins(text) => condition("Name", "STARTSWITH", text),
        });
        let tag = self.tag.as_ref().map(|(scope, value)| {
            let value = if scope.is_empty() {
                value.clone()
            } else {
                format!("{scope}|{value}")
            };
            condition("Tag", "EQUALS", &value)
        });
        match (name, tag) {
            (Some(name), Some(tag)) => json!({
                "resource_type": "NestedExpression", "expressions": [name, conjunction("AND"), tag],
            }),
            (name, tag) => name.or(tag).unwrap_or_default(),
        }
    }
}

fn conjunction(operator: &str) -> Value {
    json!({"resource_type": "ConjunctionOperator", "conjunction_operator": operator})
}

fn any_of(expressions: Vec<Value>) -> Vec<Value> {
    let mut joined = Vec::new();
    for expression in expressions {
        if !joined.is_empty() {
            joined.push(conjunction("OR"));
        }
        joined.push(expression);
    }
    joined
}

/// A side of a rule: the groups made for it, and what the rule lists.
struct Side {
    groups: Vec<Intent>,
    list: Vec<String>,
}

fn anyone() -> Vec<String> {
    vec!["ANY".to_owned()]
}

impl MicrosegSpec {
    /// The security policy's path.
    #[must_use]
    pub fn policy_path(&self) -> String {
        format!("{DOMAIN}/security-policies/{}", self.owner.external_id())
    }

    /// Everything NSX shall have, what is referred to first.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        let subject = self.side("subject", &self.subject, &[]);
        let mut groups = subject.groups;
        let mut rules = Vec::new();
        for (direction, base) in [(Direction::In, INGRESS), (Direction::Out, EGRESS)] {
            let of_direction = self.rules.iter().filter(|rule| rule.direction == direction);
            for (rule, sequence) in of_direction.zip((base..).step_by(STEP)) {
                let peers = self.peers(rule, &subject.list);
                groups.extend(peers.groups);
                rules.push(self.rule(rule, &peers.list, &subject.list, sequence));
            }
        }
        if self.isolate {
            for (direction, sequence) in [(Direction::In, POSTURE), (Direction::Out, POSTURE + 1)] {
                rules.push(self.rule(&posture(direction), &anyone(), &subject.list, sequence));
            }
        }
        groups.push(self.policy(&subject.list));
        groups.extend(rules);
        groups
    }

    /// Paths of the rules.
    #[must_use]
    pub fn rule_paths(&self) -> Vec<String> {
        let rules = self
            .intents()
            .into_iter()
            .filter(|intent| intent.resource_type == "Rule");
        rules.map(|intent| intent.path).collect()
    }

    fn peers(&self, rule: &MicrosegRule, subject: &[String]) -> Side {
        match &rule.peers {
            Peers::Anyone => Side {
                groups: Vec::new(),
                list: anyone(),
            },
            Peers::These { members, .. } if members.is_everyone() => Side {
                groups: Vec::new(),
                list: anyone(),
            },
            Peers::These {
                members,
                subject: itself,
            } => {
                let name = format!("{}-{}", prefix(rule.direction), rule.name);
                self.side(&name, members, if *itself { subject } else { &[] })
            }
        }
    }

    /// Groups are made for what a rule cannot name itself, and where it would else name nobody.
    fn side(&self, name: &str, members: &Members, more: &[String]) -> Side {
        let mut list: BTreeSet<String> = members.addresses.iter().copied().map(address_text).collect();
        list.extend(members.groups.iter().cloned());
        list.extend(more.iter().cloned());
        let mut parts = members.parts();
        if parts == [Vec::<Value>::new()] && !list.is_empty() {
            parts.clear();
        }
        let groups: Vec<Intent> = parts
            .into_iter()
            .enumerate()
            .map(|(position, part)| self.group(name, position, part))
            .collect();
        let list = groups
            .iter()
            .map(|group| group.path.clone())
            .chain(list)
            .collect();
        Side { groups, list }
    }

    fn group(&self, name: &str, position: usize, part: Vec<Value>) -> Intent {
        let suffix = if position == 0 {
            String::new()
        } else {
            format!(".{}", position + 1)
        };
        let id = format!("{}-{name}{suffix}", self.owner.external_id());
        let fields = json!({
            "display_name": format!("{} {name}{suffix}", self.display_name),
            "tags": self.owner.tags(),
            "expression": any_of(part),
        });
        Intent::new(format!("{DOMAIN}/groups/{id}"), "Group", fields)
    }

    fn policy(&self, subject: &[String]) -> Intent {
        let fields = json!({
            "display_name": self.display_name,
            "tags": self.owner.tags(),
            "category": "Application",
            "sequence_number": self.sequence(),
            "stateful": true,
            "scope": subject,
        });
        Intent::new(self.policy_path(), "SecurityPolicy", fields)
    }

    /// Equal numbers would leave the order to NSX; policies of one priority stand in the order of their ids.
    fn sequence(&self) -> u32 {
        let id = self.owner.external_id();
        let digits: String = id.chars().rev().take(6).collect();
        self.priority * SPACING + u32::from_str_radix(&digits, 16).unwrap_or_default() % SPACING
    }

    fn rule(&self, rule: &MicrosegRule, peers: &[String], subject: &[String], sequence: u32) -> Intent {
        let (sources, destinations) = match rule.direction {
            Direction::In => (peers, subject),
            Direction::Out => (subject, peers),
        };
        let entries = service_entries(&rule.ports);
        let fields = json!({
            "display_name": format!("{} {} {}", self.display_name, prefix(rule.direction), rule.name),
            "tags": self.owner.tags(),
            "action": rule.action.name(),
            "source_groups": sources,
            "destination_groups": destinations,
            // Beside entries of its own "ANY" would still mean every service.
            "services": entries.is_none().then_some(["ANY"]),
            "service_entries": entries,
            // The policy's scope holds.
            "scope": ["ANY"],
            "direction": if rule.direction == Direction::In { "IN" } else { "OUT" },
            "ip_protocol": "IPV4_IPV6",
            "sequence_number": sequence,
            "logged": rule.logging,
            "disabled": false,
        });
        let path = format!(
            "{}/rules/{}-{}",
            self.policy_path(),
            prefix(rule.direction),
            rule.name
        );
        Intent::new(path, "Rule", fields)
    }
}

/// What drops the rest. A declared rule's name has no dot.
fn posture(direction: Direction) -> MicrosegRule {
    MicrosegRule {
        name: "default.isolate".to_owned(),
        direction,
        peers: Peers::Anyone,
        ports: Vec::new(),
        action: FirewallAction::Drop,
        logging: false,
    }
}

/// Entries for all ports, as few as NSX's limit allows; nothing where everything is meant.
fn service_entries(ports: &[(NatProtocol, Option<Ports>)]) -> Option<Vec<Value>> {
    if ports.is_empty() || ports.iter().any(|(protocol, _)| *protocol == NatProtocol::Any) {
        return None;
    }
    let mut entries = Vec::new();
    for protocol in [NatProtocol::Tcp, NatProtocol::Udp, NatProtocol::Icmp] {
        let of_protocol: BTreeSet<Option<Ports>> = ports
            .iter()
            .filter(|(other, _)| *other == protocol)
            .map(|(_, ports)| *ports)
            .collect();
        if of_protocol.contains(&None) {
            // Every port of it.
            entries.extend(service_entry(protocol, None));
        } else {
            entries.extend(chunked(protocol, &of_protocol));
        }
    }
    Some(entries)
}

fn chunked(protocol: NatProtocol, ports: &BTreeSet<Option<Ports>>) -> Vec<Value> {
    let mut chunks: Vec<(usize, Vec<String>)> = Vec::new();
    for ports in ports.iter().flatten() {
        let weight = if ports.first == ports.last { 1 } else { 2 };
        match chunks.last_mut().filter(|(used, _)| used + weight <= ENTRY_PORTS) {
            Some((used, texts)) => {
                *used += weight;
                texts.push(ports.text());
            }
            None => chunks.push((weight, vec![ports.text()])),
        }
    }
    let entry = |(position, (_, texts)): (usize, (usize, Vec<String>))| {
        let mut entry = service_entry(protocol, None)?;
        let fields = entry.as_object_mut()?;
        if position > 0 {
            let id = format!("{}-{}", fields.get("id")?.as_str()?, position + 1);
            fields.insert("id".into(), json!(id));
            fields.insert("display_name".into(), json!(id));
        }
        fields.insert("destination_ports".into(), json!(texts));
        Some(entry)
    };
    chunks.into_iter().enumerate().filter_map(entry).collect()
}

#[cfg(test)]
#[path = "microsegmentation_model_tests.rs"]
mod model_tests;
#[cfg(test)]
#[path = "microsegmentation_tests.rs"]
mod tests;
