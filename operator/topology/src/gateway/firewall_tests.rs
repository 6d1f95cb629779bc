use serde_json::{Value, json};

use super::tier1_tests::owner;
use crate::gateway::{Direction, FirewallAction, FirewallRuleSpec, GatewayFirewallSpec, PortSpec, Posture};
use crate::intent::Intent;
use crate::nat::{NatProtocol, Ports};

const EDGE: &str = "/infra/tier-1s/edge";

fn rule(name: &str) -> FirewallRuleSpec {
    FirewallRuleSpec {
        name: name.into(),
        action: FirewallAction::Allow,
        direction: Direction::In,
        from: vec!["198.51.100.0/24".parse().unwrap()],
        to: vec!["10.30.0.11/32".parse().unwrap()],
        ports: vec![tcp(443, 443)],
        logging: false,
    }
}

fn tcp(first: u16, last: u16) -> PortSpec {
    PortSpec {
        protocol: NatProtocol::Tcp,
        ports: Some(Ports { first, last }),
    }
}

fn firewall(rules: Vec<FirewallRuleSpec>, posture: Option<FirewallAction>) -> Vec<Intent> {
    GatewayFirewallSpec {
        owner: owner(),
        gateway_path: EDGE.into(),
        posture: posture.map(|action| Posture {
            action,
            logging: true,
        }),
        rules,
    }
    .intents()
}

#[test]
fn nothing_declared_makes_nothing() {
    assert_eq!(firewall(Vec::new(), None), Vec::new());
}

#[test]
fn the_posture_comes_behind_every_rule_and_all_behind_the_rules_of_nat() {
    let intents = firewall(vec![rule("b"), rule("a")], Some(FirewallAction::Drop));
    let kinds: Vec<&str> = intents.iter().map(|intent| intent.resource_type).collect();
    assert_eq!(kinds, ["GatewayPolicy", "Rule", "Rule", "Rule"]);
    assert!(intents[0].body["sequence_number"].as_u64() > Some(0));
    let order: Vec<u64> = intents[1..]
        .iter()
        .map(|intent| intent.body["sequence_number"].as_u64().unwrap())
        .collect();
    assert!(
        order.windows(2).all(|pair| pair[1] - pair[0] > 1),
        "spaced: {order:?}"
    );
    let last = &intents[3].body;
    assert_eq!((&last["action"], &last["logged"]), (&json!("DROP"), &json!(true)));
    assert_eq!(last["direction"], json!("IN_OUT"));
    assert!(
        intents[1].path.ends_with("/rules/b"),
        "the order is the declaration's"
    );
}

#[test]
fn a_rule_says_what_was_declared_and_nothing_else() {
    let none = FirewallRuleSpec {
        from: Vec::new(),
        to: vec!["0.0.0.0/0".parse().unwrap()],
        ports: Vec::new(),
        direction: Direction::Out,
        action: FirewallAction::Reject,
        ..rule("none")
    };
    let cases: [(FirewallRuleSpec, Value); 2] = [
        (
            rule("some"),
            json!({"action": "ALLOW", "direction": "IN", "source_groups": ["198.51.100.0/24"],
                "destination_groups": ["10.30.0.11"], "scope": [EDGE]}),
        ),
        (
            none,
            json!({"action": "REJECT", "direction": "OUT", "source_groups": ["ANY"],
                "destination_groups": ["ANY"], "services": ["ANY"]}),
        ),
    ];
    for (spec, expected) in cases {
        let intents = firewall(vec![spec], None);
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&intents[1].body[field], value, "{field}");
        }
    }
}

#[test]
fn ports_become_entries_of_their_own_id_and_any_becomes_every_service() {
    let mixed = FirewallRuleSpec {
        ports: vec![
            tcp(80, 80),
            tcp(8000, 8010),
            PortSpec {
                protocol: NatProtocol::Icmp,
                ports: None,
            },
        ],
        ..rule("mixed")
    };
    let intents = firewall(vec![mixed.clone()], None);
    let entries = intents[1].body["service_entries"].as_array().unwrap();
    let ids: Vec<&str> = entries
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["tcp-1", "tcp-2", "icmp-3"]);
    assert_eq!(entries[1]["destination_ports"], json!(["8000-8010"]));
    assert!(intents[1].body.get("services").is_none());
    let mut any = mixed;
    any.ports.push(PortSpec {
        protocol: NatProtocol::Any,
        ports: None,
    });
    let intents = firewall(vec![any], None);
    assert_eq!(intents[1].body["services"], json!(["ANY"]));
    assert!(intents[1].body.get("service_entries").is_none());
}
