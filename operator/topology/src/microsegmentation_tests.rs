//! Tables of what is compiled.

use super::*;
use crate::schema_tests::owner;

pub(super) fn spec() -> MicrosegSpec {
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
