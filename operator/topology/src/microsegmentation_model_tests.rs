//! What NSX makes of any policy is what was declared: a model of its distributed firewall, and properties.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::spec;
use super::*;
use crate::plan::nsx_plan;
use crate::schema_tests::{faults_of, ports, read_back};

/// A VM of the model.
#[derive(Clone, Debug)]
struct Machine {
    id: String,
    name: String,
    tag: (String, String),
    segment: String,
    address: std::net::Ipv4Addr,
}

fn fleet() -> Vec<Machine> {
    (0_u8..6)
        .map(|n| Machine {
            id: format!("vm-{n}"),
            name: format!("{}-{n}", if n % 2 == 0 { "web" } else { "db" }),
            tag: ("role".into(), if n < 3 { "front" } else { "back" }.into()),
            segment: format!("/infra/segments/s{}", n / 3),
            address: [10, 0, n / 3, n].into(),
        })
        .collect()
}

const FOREIGN: &str = "/infra/domains/default/groups/foreign";

/// NSX, as its documents describe it, for the objects of one policy.
struct Nsx<'a> {
    intents: &'a [Intent],
}

impl Nsx<'_> {
    fn texts(body: &serde_json::Map<String, Value>, field: &str) -> Vec<String> {
        let list = body.get(field).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .map(|item| item.as_str().unwrap().to_owned())
            .collect()
    }

    /// An empty list is anyone.
    fn named(&self, list: &[String], machine: &Machine) -> bool {
        list.is_empty()
            || list.iter().any(|member| match member.as_str() {
                "ANY" => true,
                FOREIGN => machine.id == "vm-5",
                path if path.starts_with('/') => {
                    let group = self
                        .intents
                        .iter()
                        .find(|intent| intent.path == path)
                        .expect("it exists");
                    holds(group.body["expression"].as_array().unwrap(), machine)
                }
                net => net
                    .parse::<Ipv4Net>()
                    .unwrap_or_else(|_| Ipv4Net::from(net.parse::<std::net::Ipv4Addr>().unwrap()))
                    .contains(&machine.address),
            })
    }

    fn passes(
        &self,
        at: &Machine,
        from: &Machine,
        to: &Machine,
        way: &str,
        packet: (NatProtocol, u16),
    ) -> bool {
        let policy = self
            .intents
            .iter()
            .find(|intent| intent.resource_type == "SecurityPolicy")
            .unwrap();
        if !self.named(&Self::texts(&policy.body, "scope"), at) {
            return true;
        }
        let mut rules: BTreeMap<u64, &Intent> = BTreeMap::new();
        for rule in self
            .intents
            .iter()
            .filter(|intent| intent.resource_type == "Rule")
        {
            let before = rules.insert(rule.body["sequence_number"].as_u64().unwrap(), rule);
            assert!(before.is_none(), "equal numbers would leave the order to NSX");
        }
        let fits = |rule: &&Intent| {
            rule.body["direction"] == way
                && self.named(&Self::texts(&rule.body, "source_groups"), from)
                && self.named(&Self::texts(&rule.body, "destination_groups"), to)
                && serves(&rule.body, packet)
        };
        rules
            .into_values()
            .find(fits)
            .is_none_or(|rule| rule.body["action"] == "ALLOW")
    }
}

/// AND binds closer than OR; ours join by OR alone, and by AND inside a nested expression.
fn holds(expressions: &[Value], machine: &Machine) -> bool {
    let terms = expressions
        .iter()
        .filter(|e| e["resource_type"] != "ConjunctionOperator");
    let holds_one = |e: &Value| {
        let lists = |field: &str, text: &str| e[field].as_array().unwrap().iter().any(|item| item == text);
        match e["resource_type"].as_str().unwrap() {
            "ExternalIDExpression" => lists("external_ids", &machine.id),
            "PathExpression" => lists("paths", &machine.segment),
            "Condition" => {
                let value = e["value"].as_str().unwrap();
                match (e["key"].as_str().unwrap(), e["operator"].as_str().unwrap()) {
                    ("Name", "EQUALS") => machine.name == value,
                    ("Name", "STARTSWITH") => machine.name.starts_with(value),
                    ("Tag", "EQUALS") => match value.split_once('|') {
                        Some((scope, tag)) => machine.tag == (scope.to_owned(), tag.to_owned()),
                        None => machine.tag.1 == value,
                    },
                    other => panic!("{other:?}"),
                }
            }
            "NestedExpression" => {
                let inner = e["expressions"].as_array().unwrap();
                inner
                    .iter()
                    .filter(|e| e["resource_type"] != "ConjunctionOperator")
                    .all(|e| holds(std::slice::from_ref(e), machine))
            }
            other => panic!("{other}"),
        }
    };
    terms.into_iter().any(holds_one)
}

fn serves(rule: &serde_json::Map<String, Value>, (protocol, port): (NatProtocol, u16)) -> bool {
    let Some(entries) = rule.get("service_entries").and_then(Value::as_array) else {
        assert_eq!(rule["services"], json!(["ANY"]));
        return true;
    };
    entries.iter().any(|entry| {
        let word = entry
            .get("l4_protocol")
            .or(entry.get("protocol"))
            .unwrap()
            .as_str()
            .unwrap();
        let same = word == protocol.suffix().trim_start_matches('/')
            || (word == "ICMPv4" && protocol == NatProtocol::Icmp);
        let ports = entry.get("destination_ports").and_then(Value::as_array);
        same && ports.is_none_or(|ports| {
            ports.iter().any(|range| {
                let range = Ports::parse(range.as_str().unwrap()).unwrap();
                (range.first..=range.last).contains(&port)
            })
        })
    })
}

/// What the declaration says, read directly.
fn meant(spec: &MicrosegSpec, from: &Machine, to: &Machine, packet: (NatProtocol, u16)) -> bool {
    let side = |direction: Direction, own: &Machine, peer: &Machine| {
        if !is_member(&spec.subject, own) {
            return true;
        }
        let fits = |rule: &&MicrosegRule| {
            let peers = match &rule.peers {
                Peers::Anyone => true,
                Peers::These { members, subject } => {
                    is_member(members, peer) || (*subject && is_member(&spec.subject, peer))
                }
            };
            let service = rule.ports.is_empty()
                || rule.ports.iter().any(|(protocol, ports)| {
                    (*protocol == NatProtocol::Any || *protocol == packet.0)
                        && ports.is_none_or(|ports| (ports.first..=ports.last).contains(&packet.1))
                });
            rule.direction == direction && peers && service
        };
        spec.rules
            .iter()
            .find(fits)
            .map_or(!spec.isolate, |rule| rule.action == FirewallAction::Allow)
    };
    side(Direction::Out, from, to) && side(Direction::In, to, from)
}

fn is_member(members: &Members, machine: &Machine) -> bool {
    let matched = |wanted: &MachineMatch| {
        let name = wanted.name.as_ref().is_none_or(|name| match name {
            NameMatch::Is(text) => machine.name == *text,
            NameMatch::Begins(text) => machine.name.starts_with(text),
        });
        let tag = wanted.tag.as_ref().is_none_or(|(scope, value)| {
            machine.tag.1 == *value && (scope.is_empty() || machine.tag.0 == *scope)
        });
        name && tag
    };
    members.machines.contains(&machine.id)
        || members.segments.contains(&machine.segment)
        || members.addresses.iter().any(|net| net.contains(&machine.address))
        || members.matches.iter().any(matched)
        || (members.groups.contains(FOREIGN) && machine.id == "vm-5")
}

fn some_members(with_addresses: bool) -> impl Strategy<Value = Members> {
    let ids = prop::collection::btree_set((0_u8..6).prop_map(|n| format!("vm-{n}")), 0..3);
    let segments = prop::collection::btree_set((0_u8..2).prop_map(|n| format!("/infra/segments/s{n}")), 0..2);
    let nets = prop::sample::select(vec![
        "10.0.0.0/30",
        "10.0.1.4/32",
        "10.0.0.0/16",
        "0.0.0.0/0",
        "192.0.2.0/24",
    ]);
    let nets = prop::collection::btree_set(nets.prop_map(|net| net.parse().unwrap()), 0..3);
    let name = prop_oneof![
        Just(NameMatch::Is("web-0".into())),
        Just(NameMatch::Begins("db".into())),
        Just(NameMatch::Is("none".into())),
    ];
    let tag = prop_oneof![
        Just(("role".to_owned(), "front".to_owned())),
        Just((String::new(), "back".to_owned())),
        Just(("role".to_owned(), "none".to_owned())),
    ];
    let matches = (prop::option::of(name), prop::option::of(tag))
        .prop_filter_map("one of them", |(name, tag)| {
            (name.is_some() || tag.is_some()).then_some(MachineMatch { name, tag })
        });
    let matches = prop::collection::btree_set(matches, 0..8);
    (ids, segments, nets, matches, any::<bool>()).prop_map(
        move |(machines, segments, addresses, matches, foreign)| Members {
            machines,
            segments,
            addresses: if with_addresses {
                addresses
            } else {
                BTreeSet::new()
            },
            matches,
            groups: foreign.then(|| FOREIGN.to_owned()).into_iter().collect(),
        },
    )
}

fn some_rule() -> impl Strategy<Value = MicrosegRule> {
    let peers = prop_oneof![
        1 => Just(Peers::Anyone),
        4 => (some_members(true), any::<bool>()).prop_map(|(members, subject)| Peers::These { members, subject }),
    ];
    let protocol = prop::sample::select(vec![
        NatProtocol::Tcp,
        NatProtocol::Udp,
        NatProtocol::Icmp,
        NatProtocol::Any,
    ]);
    let port = (protocol, prop::option::of(ports())).prop_map(|(protocol, ports)| {
        let ported = matches!(protocol, NatProtocol::Tcp | NatProtocol::Udp);
        (protocol, ports.filter(|_| ported))
    });
    let ports = prop::collection::vec(port, 0..20);
    let action = prop::sample::select(vec![
        FirewallAction::Allow,
        FirewallAction::Drop,
        FirewallAction::Reject,
    ]);
    let direction = prop::sample::select(vec![Direction::In, Direction::Out]);
    (peers, ports, action, direction, any::<bool>()).prop_map(|(peers, ports, action, direction, logging)| {
        MicrosegRule {
            name: String::new(),
            direction,
            peers,
            ports,
            action,
            logging,
        }
    })
}

fn some_spec() -> impl Strategy<Value = MicrosegSpec> {
    let rules = prop::collection::vec(some_rule(), 0..6);
    (some_members(false), rules, any::<bool>(), 0_u32..=1000).prop_map(
        |(subject, mut rules, isolate, priority)| {
            for (position, rule) in rules.iter_mut().enumerate() {
                rule.name = format!("r{position}");
            }
            MicrosegSpec {
                priority,
                subject,
                rules,
                isolate,
                ..spec()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nsx_comes_to_the_verdict_that_is_declared(spec in some_spec(), port in prop::sample::select(vec![1_u16, 80, 1000, 40_000, 65_535])) {
        let intents = spec.intents();
        let nsx = Nsx { intents: &intents };
        for from in fleet() {
            for to in fleet().into_iter().filter(|to| to.id != from.id) {
                for protocol in [NatProtocol::Tcp, NatProtocol::Icmp] {
                    let packet = (protocol, port);
                    let delivered = nsx.passes(&from, &from, &to, "OUT", packet) && nsx.passes(&to, &from, &to, "IN", packet);
                    prop_assert_eq!(delivered, meant(&spec, &from, &to, packet), "{} to {} {:?}", from.id, to.id, packet);
                }
            }
        }
    }

    #[test]
    fn nsx_takes_every_policy(spec in some_spec()) {
        let intents = spec.intents();
        prop_assert_eq!(faults_of(&intents), Vec::<String>::new());
        for intent in &intents {
            for list in ["source_groups", "destination_groups", "scope"] {
                let members = intent.body.get(list).and_then(Value::as_array);
                prop_assert!(members.is_none_or(|members| !members.is_empty()), "an empty {} is anyone", list);
                prop_assert!(members.is_none_or(|members| members.len() == 1 || !members.contains(&json!("ANY"))));
            }
            let expression = intent.body.get("expression").and_then(Value::as_array);
            prop_assert!(expression.is_none_or(|list| list.is_empty() || list.len() % 2 == 1));
        }
        let paths: BTreeSet<&String> = intents.iter().map(|intent| &intent.path).collect();
        prop_assert_eq!(paths.len(), intents.len());
    }

    #[test]
    fn a_written_policy_leaves_nothing_to_do(spec in some_spec()) {
        let intents = spec.intents();
        let observe = |path: &str| intents.iter().find(|intent| intent.path == path).map(read_back);
        let plan = nsx_plan(&intents, observe, &[]);
        prop_assert!(plan.is_empty(), "{}", plan);
    }

    #[test]
    fn one_container_more_changes_one_group_and_no_rule(mut spec in some_spec()) {
        spec.subject.machines.insert("vm-first".into());
        let before = spec.intents();
        spec.subject.machines.insert("vm-next".into());
        let observe = |path: &str| before.iter().find(|intent| intent.path == path).map(read_back);
        let plan = nsx_plan(&spec.intents(), observe, &[]);
        prop_assert_eq!(plan.steps.len(), 1, "{}", plan);
        prop_assert!(plan.steps[0].what.starts_with("group "));
    }
}
