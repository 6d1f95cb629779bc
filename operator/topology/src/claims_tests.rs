use proptest::prelude::*;
use serde_json::json;

use super::*;

fn claim(address: &str, ports: Option<(u16, u16)>) -> Claim {
    Claim {
        gateway: "/infra/tier-1s/edge".into(),
        inbound: true,
        address: Some(address.parse().unwrap()),
        protocol: NatProtocol::Tcp,
        ports: ports.map(|(first, last)| Ports { first, last }),
        remotes: Vec::new(),
        place: Place::Priority(500),
    }
}

#[test]
fn claims_clash_where_traffic_falls_under_both() {
    let base = claim("203.0.113.10/32", Some((80, 80)));
    let cases = [
        ("the same", base.clone(), true),
        ("another port", claim("203.0.113.10/32", Some((81, 81))), false),
        (
            "a range around it",
            claim("203.0.113.10/32", Some((70, 90))),
            true,
        ),
        ("every port", claim("203.0.113.10/32", None), true),
        ("another address", claim("203.0.113.11/32", Some((80, 80))), false),
        (
            "a network around it",
            claim("203.0.113.0/24", Some((80, 80))),
            true,
        ),
        (
            "another protocol",
            Claim {
                protocol: NatProtocol::Udp,
                ..base.clone()
            },
            false,
        ),
        (
            "every protocol",
            Claim {
                protocol: NatProtocol::Any,
                ..base.clone()
            },
            true,
        ),
        (
            "another priority",
            Claim {
                place: Place::Priority(400),
                ..base.clone()
            },
            false,
        ),
        (
            "one peer of all",
            Claim {
                remotes: vec!["198.51.100.0/24".parse().unwrap()],
                ..base.clone()
            },
            true,
        ),
        (
            "the other direction",
            Claim {
                inbound: false,
                ..base.clone()
            },
            false,
        ),
        (
            "another gateway",
            Claim {
                gateway: "/infra/tier-1s/other".into(),
                ..base.clone()
            },
            false,
        ),
    ];
    for (name, other, expected) in cases {
        assert_eq!(base.overlaps(&other), expected, "{name}");
    }
    let peer = |text: &str| Claim {
        remotes: vec![text.parse().unwrap()],
        ..base.clone()
    };
    assert!(!peer("198.51.100.0/24").overlaps(&peer("192.0.2.0/24")));
}

#[test]
fn a_foreign_rule_is_read_as_what_it_publishes() {
    let service = |_: &str| {
        Some(
            json!({"service_entries": [{"resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP", "destination_ports": ["80"]}]}),
        )
    };
    let rule = json!({"action": "DNAT", "destination_network": "203.0.113.10", "translated_network": "10.0.0.1",
        "service": "/infra/services/x", "translated_ports": "8080", "sequence_number": 500_000});
    let read = Claim::from_nat_rule("/infra/tier-1s/edge", &rule, service).unwrap();
    assert_eq!(read, claim("203.0.113.10/32", Some((8080, 8080))));
    assert_eq!(read.to_string(), "203.0.113.10:8080/TCP");
    let unknown = Claim::from_nat_rule("/infra/tier-1s/edge", &rule, |_| None).unwrap();
    assert_eq!(unknown.protocol, NatProtocol::Any);
    let disabled = json!({"action": "DNAT", "destination_network": "203.0.113.10", "enabled": false});
    assert_eq!(Claim::from_nat_rule("/g", &disabled, |_| None), None);
}

#[test]
fn a_foreign_rule_holds_at_least_what_it_translates() {
    let service = |path: &str| {
        let entry = |ports: Value| json!({"resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP", "destination_ports": ports});
        match path {
            "one" => Some(json!({"service_entries": [entry(json!(["80"]))]})),
            "two ports" => Some(json!({"service_entries": [entry(json!(["80", "443"]))]})),
            "two entries" => Some(json!({"service_entries": [entry(json!(["80"])), entry(json!(["81"]))]})),
            "both" => Some(json!({"service_entries": [entry(json!(["53"])),
                {"resource_type": "L4PortSetServiceEntry", "l4_protocol": "UDP", "destination_ports": ["53"]}]})),
            "icmp" => Some(
                json!({"service_entries": [{"resource_type": "ICMPTypeServiceEntry", "protocol": "ICMPv4"}]}),
            ),
            _ => None,
        }
    };
    let rule = |more: Value| {
        let mut rule = json!({"action": "DNAT", "destination_network": "203.0.113.10", "translated_network": "10.0.0.1"});
        rule.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        rule
    };
    let cases = [
        (json!({"service": "one"}), "203.0.113.10:80/TCP"),
        (
            json!({"service": "one", "translated_ports": "8080-8081"}),
            "203.0.113.10:8080-8081/TCP",
        ),
        (json!({"translated_ports": "8080"}), "203.0.113.10"),
        (json!({"service": "two ports"}), "203.0.113.10:80-443/TCP"),
        (json!({"service": "two entries"}), "203.0.113.10:80-81/TCP"),
        (json!({"service": "both"}), "203.0.113.10"),
        (json!({"service": "icmp"}), "203.0.113.10/ICMP"),
        (json!({"service": "unknown"}), "203.0.113.10"),
        (
            json!({"service": "unknown", "translated_ports": "8080"}),
            "203.0.113.10:8080",
        ),
        (
            json!({"destination_network": "203.0.113.8, 203.0.113.11"}),
            "203.0.113.8/30",
        ),
        (json!({"destination_network": "203.0.113.0/28"}), "203.0.113.0/28"),
        (json!({"destination_network": "ANY"}), "any address"),
    ];
    for (more, expected) in cases {
        let read = Claim::from_nat_rule("/g", &rule(more.clone()), service).unwrap();
        assert_eq!(read.to_string(), expected, "{more}");
    }
    assert_eq!(
        Claim::from_nat_rule(
            "/g",
            &rule(json!({"destination_network": "2001:db8::1"})),
            service
        ),
        None
    );
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let protocol = prop::sample::select(vec![NatProtocol::Tcp, NatProtocol::Udp, NatProtocol::Any]);
    (
        0_u8..3,
        protocol,
        prop::option::of((0_u16..6, 0_u16..3)),
        any::<bool>(),
        0_u32..2,
    )
        .prop_map(|(host, protocol, ports, inbound, number)| Claim {
            gateway: "/g".into(),
            inbound,
            address: (host > 0).then(|| format!("203.0.113.{host}/32").parse().unwrap()),
            protocol,
            ports: ports.map(|(first, more)| Ports {
                first,
                last: first + more,
            }),
            remotes: Vec::new(),
            place: Place::of_sequence(number),
        })
}

proptest! {
    #[test]
    fn clashing_is_mutual(one in any_claim(), other in any_claim()) {
        prop_assert_eq!(one.overlaps(&other), other.overlaps(&one));
        prop_assert!(one.overlaps(&one));
    }
}

#[test]
fn a_claim_for_several_peers_clashes_by_any_of_them_and_is_written_peer_by_peer() {
    let peers = |texts: &[&str]| Claim {
        remotes: texts.iter().map(|text| text.parse().unwrap()).collect(),
        ..claim("203.0.113.10/32", Some((80, 80)))
    };
    let both = peers(&["198.51.100.0/24", "192.0.2.0/24"]);
    assert!(both.overlaps(&peers(&["192.0.2.7/32"])));
    assert!(both.overlaps(&peers(&[])));
    assert!(!both.overlaps(&peers(&["203.0.113.0/24"])));
    let (one, other) = (peers(&["198.51.100.0/24"]), peers(&["192.0.2.0/24"]));
    assert!(both.is_made_of(&[&other, &one]));
    assert!(!both.is_made_of(&[&one]), "a peer is missing");
    assert!(!both.is_made_of(&[&peers(&[])]));
    assert!(peers(&[]).is_made_of(&[&peers(&[])]));
    assert!(!peers(&[]).is_made_of(&[&one]));
}
