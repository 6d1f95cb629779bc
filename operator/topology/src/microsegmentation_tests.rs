//! Tables of what is compiled, and a model of NSX that must come to the verdict that the declaration means.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::plan::nsx_plan;
use crate::schema_tests::{faults_of, owner, ports, read_back};

fn spec() -> MicrosegSpec {
    MicrosegSpec {
        owner: owner("web"),
        display_name: "containers-web".into(),
        priority: 500,
        subject: machines(&["vm-a"]),
        rules: Vec::new(),
        isolate: true,
    }
}

fn machines(ids: &[&str]) -> Members {
    Members {
        machines: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..Members::default()
    }
}

fn addresses(nets: &[&str]) -> Members {
    Members {
        addresses: nets.iter().map(|net| net.parse().unwrap()).collect(),
        ..Members::default()
    }
}

fn these(members: Members) -> Peers {
    Peers::These {
        members,
        subject: false,
    }
}

fn rule(name: &str, direction: Direction, peers: Peers) -> MicrosegRule {
    MicrosegRule {
        name: name.into(),
        direction,
        peers,
        ports: Vec::new(),
        action: FirewallAction::Allow,
        logging: false,
    }
}

fn body<'a>(intents: &'a [Intent], end: &str) -> &'a serde_json::Map<String, Value> {
    let found = intents.iter().find(|intent| intent.path.ends_with(end));
    &found
        .unwrap_or_else(|| panic!("no {end} among {intents:#?}"))
        .body
}

#[test]
fn an_isolated_container_is_a_group_a_policy_for_it_alone_and_two_drops() {
    let spec = spec();
    let intents = spec.intents();
    let kinds: Vec<&str> = intents.iter().map(|intent| intent.resource_type).collect();
    assert_eq!(
        kinds,
        ["Group", "SecurityPolicy", "Rule", "Rule"],
        "what is referred to comes first"
    );
    let group = intents[0].path.clone();
    assert_eq!(
        intents[0].body["expression"],
        json!([{"resource_type": "ExternalIDExpression", "member_type": "VirtualMachine", "external_ids": ["vm-a"]}])
    );
    let policy = &intents[1].body;
    assert_eq!(
        (&policy["scope"], &policy["category"]),
        (&json!([group]), &json!("Application"))
    );
    let inward = body(&intents, "/rules/in-default.isolate");
    assert_eq!(inward["source_groups"], json!(["ANY"]));
    assert_eq!(inward["destination_groups"], json!([group]));
    assert_eq!(
        (&inward["action"], &inward["direction"]),
        (&json!("DROP"), &json!("IN"))
    );
    let outward = body(&intents, "/rules/out-default.isolate");
    assert_eq!(outward["source_groups"], json!([group]));
    assert_eq!(outward["destination_groups"], json!(["ANY"]));
    assert_eq!(spec.rule_paths().len(), 2);
}

#[test]
fn whoever_selects_nobody_names_an_empty_group_and_never_anyone() {
    let mut spec = MicrosegSpec {
        subject: Members::default(),
        ..spec()
    };
    spec.rules = vec![rule("nobody", Direction::In, these(Members::default()))];
    let intents = spec.intents();
    let (subject, peers) = (intents[0].path.clone(), intents[1].path.clone());
    assert_eq!(
        (&intents[0].body["expression"], &intents[1].body["expression"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(
        body(&intents, "/rules/in-nobody")["source_groups"],
        json!([peers])
    );
    assert_eq!(
        body(&intents, "/rules/in-nobody")["destination_groups"],
        json!([subject])
    );
}

#[test]
fn what_a_rule_can_name_itself_needs_no_group() {
    let existing = "/infra/domains/default/groups/ops";
    let cases: [(Peers, Value, usize); 6] = [
        (Peers::Anyone, json!(["ANY"]), 0),
        (
            these(addresses(&["10.0.0.0/8", "10.9.0.1/32"])),
            json!(["10.0.0.0/8", "10.9.0.1"]),
            0,
        ),
        (these(addresses(&["10.0.0.0/8", "0.0.0.0/0"])), json!(["ANY"]), 0),
        (
            these(Members {
                groups: [existing.to_owned()].into(),
                ..Members::default()
            }),
            json!([existing]),
            0,
        ),
        (
            Peers::These {
                members: Members::default(),
                subject: true,
            },
            json!(["SUBJECT"]),
            0,
        ),
        (
            Peers::These {
                members: machines(&["vm-b"]),
                subject: true,
            },
            json!(["OWN", "SUBJECT"]),
            1,
        ),
    ];
    for (peers, expected, groups) in cases {
        let spec = MicrosegSpec {
            rules: vec![rule("r", Direction::Out, peers.clone())],
            ..spec()
        };
        let intents = spec.intents();
        let id = spec.owner.external_id();
        let place = |list: &Value| -> Value {
            let text = list.to_string();
            let subject = format!("{DOMAIN}/groups/{id}-subject");
            text.replace("SUBJECT", &subject)
                .replace("OWN", &format!("{DOMAIN}/groups/{id}-out-r"))
                .parse()
                .unwrap()
        };
        assert_eq!(
            body(&intents, "/rules/out-r")["destination_groups"],
            place(&expected),
            "{peers:?}"
        );
        let made = intents
            .iter()
            .filter(|intent| intent.resource_type == "Group")
            .count();
        assert_eq!(made, groups + 1, "{peers:?}");
    }
}

#[test]
fn more_vm_matches_than_a_group_takes_make_more_groups() {
    let matches = (0..12).map(|n| MachineMatch {
        name: Some(NameMatch::Is(format!("vm-{n:02}"))),
        tag: None,
    });
    let peers = these(Members {
        matches: matches.collect(),
        ..machines(&["vm-b"])
    });
    let spec = MicrosegSpec {
        rules: vec![rule("many", Direction::In, peers)],
        ..spec()
    };
    let intents = spec.intents();
    let list = body(&intents, "/rules/in-many")["source_groups"]
        .as_array()
        .unwrap()
        .clone();
    let ends: Vec<&str> = list
        .iter()
        .map(|path| path.as_str().unwrap().split_once("-in-").unwrap().1)
        .collect();
    assert_eq!(ends, ["many", "many.2", "many.3"]);
    let conditions = |end: &str| body(&intents, end)["expression"].as_array().unwrap().len();
    assert_eq!(
        (
            conditions("-in-many"),
            conditions("-in-many.2"),
            conditions("-in-many.3")
        ),
        (11, 9, 3)
    );
}

#[test]
fn a_vm_is_matched_by_name_by_tag_or_by_both() {
    let name = |name: NameMatch| MachineMatch {
        name: Some(name),
        tag: None,
    };
    let tag = |scope: &str| MachineMatch {
        name: None,
        tag: Some((scope.into(), "db".into())),
    };
    let simple = |key: &str, operator: &str, value: &str| json!({"resource_type": "Condition", "member_type": "VirtualMachine", "key": key, "operator": operator, "value": value});
    let both = MachineMatch {
        tag: Some(("role".into(), "db".into())),
        ..name(NameMatch::Begins("db-".into()))
    };
    let cases = [
        (
            name(NameMatch::Is("db-1".into())),
            simple("Name", "EQUALS", "db-1"),
        ),
        (
            name(NameMatch::Begins("db-".into())),
            simple("Name", "STARTSWITH", "db-"),
        ),
        (tag("role"), simple("Tag", "EQUALS", "role|db")),
        (tag(""), simple("Tag", "EQUALS", "db")),
        (
            both,
            json!({"resource_type": "NestedExpression", "expressions": [
                simple("Name", "STARTSWITH", "db-"), conjunction("AND"), simple("Tag", "EQUALS", "role|db")]}),
        ),
    ];
    for (given, expected) in cases {
        assert_eq!(given.expression(), expected);
    }
}

#[test]
fn ports_become_as_few_entries_as_nsx_allows() {
    let tcp = |first: u16, last: u16| (NatProtocol::Tcp, Some(Ports { first, last }));
    let all = |protocol: NatProtocol| (protocol, None);
    let entry = |id: &str, protocol: &str, ports: &[&str]| {
        let mut entry = json!({"resource_type": "L4PortSetServiceEntry", "id": id, "display_name": id, "l4_protocol": protocol});
        if !ports.is_empty() {
            entry["destination_ports"] = json!(ports);
        }
        entry
    };
    let many: Vec<_> = (0..9).map(|n| tcp(100 * n + 1, 100 * n + 9)).collect();
    let cases = [
        (vec![], None),
        (vec![tcp(80, 80), all(NatProtocol::Any)], None),
        (
            vec![tcp(443, 443), tcp(80, 80), tcp(80, 80)],
            Some(vec![entry("tcp", "TCP", &["80", "443"])]),
        ),
        (
            vec![tcp(80, 80), all(NatProtocol::Tcp)],
            Some(vec![entry("tcp", "TCP", &[])]),
        ),
        (
            vec![all(NatProtocol::Udp), tcp(22, 22)],
            Some(vec![entry("tcp", "TCP", &["22"]), entry("udp", "UDP", &[])]),
        ),
        (
            many,
            Some(vec![
                entry(
                    "tcp",
                    "TCP",
                    &[
                        "1-9", "101-109", "201-209", "301-309", "401-409", "501-509", "601-609",
                    ],
                ),
                entry("tcp-2", "TCP", &["701-709", "801-809"]),
            ]),
        ),
    ];
    for (ports, expected) in cases {
        assert_eq!(service_entries(&ports), expected, "{ports:?}");
    }
    let icmp = service_entries(&[all(NatProtocol::Icmp)]).unwrap();
    assert_eq!(icmp[0]["protocol"], "ICMPv4");
}

#[test]
fn rules_keep_their_order_and_the_posture_comes_last() {
    let names = ["z", "a", "m"];
    let rules = names
        .iter()
        .map(|name| rule(name, Direction::In, Peers::Anyone))
        .collect();
    let spec = MicrosegSpec { rules, ..spec() };
    let intents = spec.intents();
    let sequence = |end: &str| body(&intents, end)["sequence_number"].as_u64().unwrap();
    let order = [
        sequence("/in-z"),
        sequence("/in-a"),
        sequence("/in-m"),
        sequence("/in-default.isolate"),
    ];
    assert!(order.is_sorted_by(|one, other| one < other), "{order:?}");
}

#[test]
fn a_lower_priority_stands_first_whatever_the_ids_are() {
    let number = |name: &str, priority: u32| {
        MicrosegSpec {
            owner: owner(name),
            priority,
            ..spec()
        }
        .intents()[1]
            .body["sequence_number"]
            .as_u64()
            .unwrap()
    };
    for (one, other) in [("a", "b"), ("b", "a"), ("web", "db")] {
        assert!(number(one, 499) < number(other, 500) && number(one, 0) < number(other, 1000));
    }
    assert_ne!(number("a", 500), number("b", 500));
    assert_eq!(number("a", 500), number("a", 500));
}

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
