use serde_json::{Value, json};

use super::*;
use crate::claims::Claim;

fn net(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

fn rule(action: NatAction) -> NatSpec {
    let inbound = matches!(action, NatAction::Dnat | NatAction::Reflexive);
    NatSpec {
        owner: Owner {
            instance: "i".into(),
            kind: "EdgeNatRule".into(),
            namespace: "containers".into(),
            name: "nginx".into(),
            uid: "u".into(),
        },
        gateway_path: "/infra/tier-1s/edge".into(),
        action,
        protocol: NatProtocol::Tcp,
        external: (action != NatAction::NoSnat).then(|| net("203.0.113.10/32")),
        external_ports: (action == NatAction::Dnat).then_some(Ports {
            first: 8080,
            last: 8080,
        }),
        internal: (action != NatAction::NoDnat).then(|| net("10.30.0.12/32")),
        internal_port: (action == NatAction::Dnat).then_some(80),
        allocation: None,
        remotes: Vec::new(),
        scope: Vec::new(),
        priority: 500,
        logging: false,
        firewall: if inbound {
            NatFirewall::Exclusive {
                sources: vec![net("0.0.0.0/0")],
                internal: false,
            }
        } else {
            NatFirewall::Unmanaged
        },
    }
}

fn body(spec: &NatSpec, kind: &str) -> Vec<Value> {
    spec.intents()
        .into_iter()
        .filter(|intent| intent.resource_type == kind)
        .map(|intent| Value::Object(intent.body))
        .collect()
}

const ACTIONS: [NatAction; 5] = [
    NatAction::Dnat,
    NatAction::Snat,
    NatAction::Reflexive,
    NatAction::NoDnat,
    NatAction::NoSnat,
];

#[test]
fn the_service_names_the_translated_port_and_translated_ports_the_matched_one() {
    let spec = rule(NatAction::Dnat);
    let [nat] = body(&spec, "PolicyNatRule").try_into().unwrap();
    assert_eq!(nat["translated_ports"], json!("8080"));
    let [service] = body(&spec, "Service").try_into().unwrap();
    assert_eq!(service["service_entries"][0]["destination_ports"], json!(["80"]));
    assert_eq!(
        nat["service"],
        json!(spec.intents()[0].path),
        "what is referred to comes first"
    );
}

/// Mandatory and forbidden networks of each action, as NSX's table has them.
#[test]
fn each_action_names_the_networks_nsx_demands() {
    let table = [
        (NatAction::Dnat, [false, true, true]),
        (NatAction::Snat, [true, false, true]),
        (NatAction::Reflexive, [true, false, true]),
        (NatAction::NoDnat, [false, true, false]),
        (NatAction::NoSnat, [true, false, false]),
    ];
    for (action, expected) in table {
        let [nat] = body(&rule(action), "PolicyNatRule").try_into().unwrap();
        let there = ["source_network", "destination_network", "translated_network"]
            .map(|field| nat.get(field).is_some());
        assert_eq!(there, expected, "{action:?}");
        let matched = nat.get("firewall_match").is_some();
        assert_eq!(
            matched,
            !matches!(action, NatAction::NoDnat | NatAction::NoSnat),
            "{action:?}"
        );
        assert_eq!(nat["sequence_number"], json!(500_000));
        if action == NatAction::Snat {
            assert_eq!(nat["firewall_match"], json!("MATCH_INTERNAL_ADDRESS"));
        }
    }
}

#[test]
fn a_remote_peer_limits_the_side_it_stands_on() {
    let remotes = vec![net("198.51.100.0/24")];
    let [dnat] = body(
        &NatSpec {
            remotes: remotes.clone(),
            ..rule(NatAction::Dnat)
        },
        "PolicyNatRule",
    )
    .try_into()
    .unwrap();
    assert_eq!(dnat["source_network"], json!("198.51.100.0/24"));
    let [snat] = body(
        &NatSpec {
            remotes,
            ..rule(NatAction::Snat)
        },
        "PolicyNatRule",
    )
    .try_into()
    .unwrap();
    assert_eq!(snat["destination_network"], json!("198.51.100.0/24"));
}

#[test]
fn firewall_modes_make_the_rules_they_promise() {
    let with = |firewall: NatFirewall| NatSpec {
        firewall,
        ..rule(NatAction::Dnat)
    };
    let sources = vec![net("198.51.100.0/24")];
    let cases = [
        (
            NatFirewall::Exclusive {
                sources: sources.clone(),
                internal: false,
            },
            vec!["ALLOW", "DROP"],
            "MATCH_EXTERNAL_ADDRESS",
        ),
        (
            NatFirewall::Additive {
                sources: sources.clone(),
                internal: true,
            },
            vec!["ALLOW"],
            "MATCH_INTERNAL_ADDRESS",
        ),
        (
            NatFirewall::Exclusive {
                sources: vec![],
                internal: false,
            },
            vec!["DROP"],
            "MATCH_EXTERNAL_ADDRESS",
        ),
        (NatFirewall::Unmanaged, vec![], "MATCH_EXTERNAL_ADDRESS"),
        (NatFirewall::Bypass, vec![], "BYPASS"),
    ];
    for (firewall, actions, matched) in cases {
        let spec = with(firewall.clone());
        let rules = body(&spec, "Rule");
        let found: Vec<&str> = rules
            .iter()
            .map(|rule| rule["action"].as_str().unwrap())
            .collect();
        assert_eq!(found, actions, "{firewall:?}");
        assert_eq!(
            body(&spec, "GatewayPolicy").len(),
            usize::from(!actions.is_empty())
        );
        let [nat] = body(&spec, "PolicyNatRule").try_into().unwrap();
        assert_eq!(nat["firewall_match"], json!(matched), "{firewall:?}");
        assert!(
            rules
                .windows(2)
                .all(|pair| pair[0]["sequence_number"].as_u64() < pair[1]["sequence_number"].as_u64())
        );
        assert!(
            rules
                .iter()
                .all(|rule| rule["scope"] == json!(["/infra/tier-1s/edge"]))
        );
    }
}

#[test]
fn firewall_rules_match_the_address_and_port_of_their_side() {
    let spec = |internal| NatSpec {
        firewall: NatFirewall::Additive {
            sources: vec![net("0.0.0.0/0")],
            internal,
        },
        ..rule(NatAction::Dnat)
    };
    for (internal, address, port) in [(false, "203.0.113.10", "8080"), (true, "10.30.0.12", "80")] {
        let [allow] = body(&spec(internal), "Rule").try_into().unwrap();
        assert_eq!(allow["destination_groups"], json!([address]));
        assert_eq!(allow["service_entries"][0]["destination_ports"], json!([port]));
        assert_eq!(allow["source_groups"], json!(["ANY"]), "0.0.0.0/0 is everyone");
    }
}

#[test]
fn an_exclusive_rule_drops_only_those_whom_it_could_have_let_in() {
    let exclusive = |remote: Option<&str>| NatSpec {
        remotes: remote.map(net).into_iter().collect(),
        firewall: NatFirewall::Exclusive {
            sources: vec![net("198.51.100.7/32"), net("198.51.100.64/26")],
            internal: false,
        },
        ..rule(NatAction::Dnat)
    };
    for (remote, dropped) in [(None, "ANY"), (Some("198.51.100.0/24"), "198.51.100.0/24")] {
        let [allow, drop] = body(&exclusive(remote), "Rule").try_into().unwrap();
        assert_eq!(
            allow["source_groups"],
            json!(["198.51.100.7", "198.51.100.64/26"])
        );
        assert_eq!(drop["source_groups"], json!([dropped]));
        assert_eq!(drop["destination_groups"], allow["destination_groups"]);
        assert_eq!(drop["service_entries"], allow["service_entries"]);
    }
}

#[test]
fn ports_move_as_a_range() {
    let ports = Ports {
        first: 8000,
        last: 8010,
    };
    assert_eq!(ports.moved_to(80).unwrap().text(), "80-90");
    assert_eq!(ports.moved_to(65_530), None);
    let spec = NatSpec {
        external_ports: Some(ports),
        internal_port: Some(65_530),
        ..rule(NatAction::Dnat)
    };
    assert!(check_ports(&spec).is_err());
}

#[test]
fn what_we_write_is_read_back_as_what_we_claim() {
    for action in ACTIONS {
        let spec = rule(action);
        let services: Vec<Intent> = spec
            .intents()
            .into_iter()
            .filter(|intent| intent.resource_type == "Service")
            .collect();
        let [nat] = body(&spec, "PolicyNatRule").try_into().unwrap();
        let lookup = |path: &str| {
            services
                .iter()
                .find(|service| service.path == path)
                .map(|service| Value::Object(service.body.clone()))
        };
        let read = Claim::from_nat_rule(&spec.gateway_path, &nat, lookup).unwrap();
        assert_eq!(read, spec.claim(), "{action:?}");
    }
}

#[test]
fn shared_objects_are_those_without_an_owner() {
    let spec = rule(NatAction::Dnat);
    let shared: Vec<String> = spec.shared_uses().into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(shared, ["Service", "GatewayPolicy"]);
    assert!(
        NatSpec {
            protocol: NatProtocol::Any,
            external_ports: None,
            internal_port: None,
            firewall: NatFirewall::Unmanaged,
            ..spec
        }
        .shared_uses()
        .is_empty()
    );
}

#[test]
fn what_a_rule_of_ours_claims_is_read_back_although_a_search_hides_the_entries_of_its_service() {
    let range = |first, last| Some(Ports { first, last });
    for (protocol, ports) in [
        (NatProtocol::Tcp, range(8080, 8080)),
        (NatProtocol::Udp, range(5000, 5009)),
        (NatProtocol::Icmp, None),
        (NatProtocol::Any, None),
    ] {
        let spec = NatSpec {
            protocol,
            external_ports: ports,
            internal_port: None,
            ..rule(NatAction::Dnat)
        };
        let intents = spec.intents();
        let found = |name: &str| {
            let service = intents.iter().find(|intent| intent.resource_type == "Service")?;
            let mut body = Value::Object(service.body.clone());
            body["id"] = json!(service.path.rsplit('/').next()?);
            body["display_name"] = json!(body["display_name"].as_str()?.replace("vic-operator", name));
            body.as_object_mut()?.remove("service_entries");
            Some(body)
        };
        let body = intents
            .iter()
            .find(|intent| intent.resource_type == "PolicyNatRule")
            .unwrap();
        let body = Value::Object(body.body.clone());
        let read = crate::Claim::from_nat_rule(&spec.gateway_path, &body, |_| found("vic-operator")).unwrap();
        assert_eq!(read, spec.claim());
        // A name that the id does not bear out is believed by nobody.
        let foreign = crate::Claim::from_nat_rule(&spec.gateway_path, &body, |_| found("by-hand")).unwrap();
        assert_eq!(foreign.protocol, NatProtocol::Any);
    }
}

#[test]
fn each_of_several_peers_has_a_rule_of_its_own_and_leaves_the_others_alone() {
    let with = |peers: &[&str]| NatSpec {
        remotes: peers.iter().copied().map(net).collect(),
        ..rule(NatAction::Dnat)
    };
    let two = with(&["198.51.100.0/24", "192.0.2.7/32"]);
    let rules = body(&two, "PolicyNatRule");
    let sources: Vec<&str> = rules
        .iter()
        .map(|rule| rule["source_network"].as_str().unwrap())
        .collect();
    assert_eq!(sources, ["198.51.100.0/24", "192.0.2.7"]);
    assert!(two.rule_paths()[0].ends_with("-198.51.100.0_24"));
    let three = with(&["203.0.113.64/26", "192.0.2.7/32", "198.51.100.0/24"]);
    let unchanged = |path: &String| {
        let find = |spec: &NatSpec| spec.intents().into_iter().find(|intent| intent.path == *path);
        find(&two) == find(&three)
    };
    assert!(two.rule_paths().iter().all(unchanged));
    assert_eq!(with(&[]).rule_paths(), with(&["192.0.2.7/32"]).rule_paths());
    assert_eq!(with(&[]).rule_paths().len(), 1);
}

#[test]
fn an_exclusive_rule_for_several_peers_drops_the_rest_of_all_of_them() {
    let spec = NatSpec {
        remotes: vec![net("198.51.100.0/24"), net("192.0.2.0/24")],
        firewall: NatFirewall::Exclusive {
            sources: vec![net("198.51.100.7/32")],
            internal: false,
        },
        ..rule(NatAction::Dnat)
    };
    let [_, drop] = body(&spec, "Rule").try_into().unwrap();
    assert_eq!(drop["source_groups"], json!(["198.51.100.0/24", "192.0.2.0/24"]));
}

#[test]
fn a_rule_limited_to_interfaces_takes_its_firewall_along() {
    let interface = "/infra/tier-1s/edge/locale-services/default/interfaces/consumers";
    let spec = NatSpec {
        scope: vec![interface.into()],
        ..rule(NatAction::Dnat)
    };
    let [nat] = body(&spec, "PolicyNatRule").try_into().unwrap();
    assert_eq!(nat["scope"], json!([interface]));
    for rule in body(&spec, "Rule") {
        assert_eq!(rule["scope"], json!([interface]));
    }
    let [everywhere] = body(&rule(NatAction::Dnat), "PolicyNatRule").try_into().unwrap();
    assert!(everywhere.get("scope").is_none());
}

#[test]
fn a_rule_on_a_pool_address_says_which_and_uses_it() {
    let allocation = AllocationSpec {
        instance: "i".into(),
        namespace: "containers".into(),
        pool_path: "/infra/ip-pools/public".into(),
        name: "web".into(),
    };
    let spec = NatSpec {
        allocation: Some(allocation.clone()),
        ..rule(NatAction::Dnat)
    };
    assert!(spec.shared_uses().contains(&allocation.shared()));
    let [nat] = body(&spec, "PolicyNatRule").try_into().unwrap();
    let tag = json!({"scope": crate::identity::ALLOCATION_SCOPE, "tag": allocation.path()});
    assert!(nat["tags"].as_array().unwrap().contains(&tag));
    assert_eq!(
        crate::identity::allocation_of(&nat),
        Some(allocation.path().as_str())
    );
    assert!(
        crate::identity::owner_of(&nat).is_some(),
        "it is still the rule's own"
    );
}

#[test]
fn a_rule_that_comes_between_two_others_moves_neither() {
    let at = |name: &str, priority| {
        let mut spec = rule(NatAction::Dnat);
        spec.owner.name = name.into();
        spec.priority = priority;
        let numbers: Vec<u64> = spec
            .intents()
            .iter()
            .filter_map(|intent| intent.body.get("sequence_number")?.as_u64())
            .collect();
        (numbers[0], numbers[1], numbers[2])
    };
    let (first, between, last) = (at("a", 500), at("m", 501), at("z", 502));
    assert!(first.0 < between.0 && between.0 < last.0);
    assert!(
        first.2 < between.1 && between.2 < last.1,
        "allow and drop of one rule stay together"
    );
    assert!(
        between.0 - first.0 > 1 && last.0 - between.0 > 1,
        "a hand finds room"
    );
    assert_eq!(first, at("a", 500), "by its own priority alone");
}
