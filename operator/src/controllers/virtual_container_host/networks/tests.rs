//! Networks of a spec, as tables.

use std::sync::Arc;

use vic_crds::{BridgeNetwork, SharedRef, StaticAddress};

use super::*;
use crate::endpoint::fixture::attachment;
use crate::facts::NetworkFacts;

fn reference(name: &str) -> SharedRef {
    SharedRef {
        name: name.into(),
        namespace: None,
    }
}

fn network(name: &str, net: Option<&str>, dhcp: &[(&str, &str)]) -> (String, NetworkUse) {
    let subnet = net.map(|net| {
        let (gateway, net) = topology::interface(net).unwrap();
        let dhcp = dhcp
            .iter()
            .map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap()))
            .collect();
        SubnetFacts {
            net,
            gateway,
            dns_servers: vec![[10, 20, 0, 53].into()],
            dhcp,
        }
    });
    let facts = NetworkFacts {
        site: "poc".to_owned(),
        ready: true,
        name: name.to_owned(),
        moref: Some(attachment(name).moref),
        segment_path: None,
        gateway_path: None,
        subnet,
    };
    (
        name.to_owned(),
        NetworkUse {
            facts: Arc::new(facts),
            attachment: attachment(name),
        },
    )
}

fn known() -> BTreeMap<String, NetworkUse> {
    BTreeMap::from([
        network("bridge", None, &[]),
        network("public", Some("10.20.0.1/24"), &[("10.20.0.100", "10.20.0.199")]),
        network("client", Some("10.21.0.1/24"), &[]),
        network("bare", None, &[]),
        network("app", Some("10.30.0.1/24"), &[("10.30.0.11", "10.30.0.199")]),
    ])
}

fn on(name: &str, address: Option<&str>) -> RoleNetwork {
    let fixed = address.map(|address| StaticAddress {
        address: address.into(),
        routes: Vec::new(),
    });
    RoleNetwork {
        network_ref: reference(name),
        fixed,
    }
}

fn attached(name: &str, network: &str, ranges: &[&str]) -> AttachedNetwork {
    AttachedNetwork {
        name: name.into(),
        network_ref: reference(network),
        trust_level: None,
        address_ranges: ranges.iter().map(|range| (*range).into()).collect(),
        dns_servers: Vec::new(),
    }
}

fn spec() -> VchNetworks {
    VchNetworks {
        bridge: BridgeNetwork {
            network_ref: reference("bridge"),
            range: None,
            width: None,
        },
        public: on("public", Some("10.20.0.10")),
        client: None,
        management: None,
        containers: vec![attached("web", "app", &[])],
        dns_servers: Vec::new(),
        asymmetric_routing: None,
    }
}

/// A role with a fixed address and routes.
fn routed(name: &str, address: &str, routes: &[&str]) -> RoleNetwork {
    RoleNetwork {
        network_ref: reference(name),
        fixed: Some(StaticAddress {
            address: address.into(),
            routes: routes.iter().map(|route| (*route).into()).collect(),
        }),
    }
}

#[test]
fn routes_lead_through_a_networks_gateway_and_belong_to_all_roles_on_it() {
    let nets = |networks: &[Ipv4Net]| networks.iter().map(ToString::to_string).collect::<Vec<_>>();
    let alone = VchNetworks {
        client: Some(routed("client", "10.21.0.10", &["10.0.0.0/8"])),
        ..spec()
    };
    let found = resolve(&alone, &known()).unwrap();
    assert_eq!(nets(&found.client.routes), ["10.0.0.0/8"]);
    assert_eq!(found.client.fixed.unwrap().gateway, Some([10, 21, 0, 1].into()));
    assert_eq!(
        nets(&found.management.routes),
        ["10.0.0.0/8"],
        "it follows the client's"
    );
    assert!(found.public.routes.is_empty());
    let shared = VchNetworks {
        management: Some(routed("client", "10.21.0.10", &["172.16.0.0/12", "10.0.0.0/8"])),
        ..alone
    };
    let found = resolve(&shared, &known()).unwrap();
    for role in [&found.client, &found.management] {
        assert_eq!(nets(&role.routes), ["10.0.0.0/8", "172.16.0.0/12"]);
    }
}

#[test]
fn the_public_network_has_no_routes() {
    let route = |address| routed("public", address, &["10.0.0.0/8"]);
    let public = VchNetworks {
        public: route("10.20.0.10"),
        ..spec()
    };
    let client = VchNetworks {
        client: Some(route("10.20.0.10")),
        ..spec()
    };
    for (networks, field) in [(public, "public.static.routes"), (client, "client.static.routes")] {
        let refused = resolve(&networks, &known()).err().unwrap().to_string();
        assert!(refused.contains(field), "{refused}");
    }
}

#[test]
fn a_bridge_range_keeps_clear_of_other_networks() {
    for (range, overlapped) in [
        ("10.20.0.0/16", Some("public")),
        ("10.0.0.0/8", Some("public")),
        ("10.30.0.128/25", Some("app")),
        ("10.21.0.0/16", None),
        ("192.168.0.0/16", None),
    ] {
        let spec = VchNetworks {
            bridge: BridgeNetwork {
                range: Some(range.into()),
                width: Some(30),
                ..spec().bridge
            },
            ..spec()
        };
        let refused = resolve(&spec, &known()).err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), overlapped.is_some(), "{range}: {refused:?}");
        if let (Some(refused), Some(network)) = (refused, overlapped) {
            assert!(
                refused.contains("bridge.range") && refused.contains(network),
                "{refused}"
            );
        }
    }
}

#[test]
fn containers_need_networks_that_all_hosts_have() {
    let standard = |name: &str| {
        let mut known = known();
        let backing = NicBacking::Standard {
            name: name.to_owned(),
        };
        known.get_mut(name).unwrap().attachment.backing = backing;
        resolve(&spec(), &known).err().map(|error| error.to_string())
    };
    for (name, field) in [
        ("bridge", "bridge.networkRef"),
        ("app", "containers[0].networkRef"),
    ] {
        let refused = standard(name).unwrap();
        assert!(
            refused.contains(field) && refused.contains("standard port group"),
            "{refused}"
        );
    }
    assert_eq!(standard("public"), None, "the endpoint VM itself may be anywhere");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let spec = VchNetworks {
        public: on("public", Some("10.99.0.1")),
        containers: vec![
            attached("bridge", "app", &[]),
            attached("web", "app", &["10.30.0.1-10.30.0.5"]),
        ],
        ..spec()
    };
    let refused = resolve(&spec, &known()).err().unwrap().to_string();
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(lines.len(), 3, "{refused}");
    for (line, part) in lines.iter().zip(["10.99.0.1", "containers[0].name", "gateway"]) {
        assert!(line.contains(part), "{refused}");
    }
}

#[test]
fn roles_that_are_not_named_follow_the_one_before() {
    let networks = resolve(&spec(), &known()).unwrap();
    let expected = Fixed {
        address: [10, 20, 0, 10].into(),
        prefix: 24,
        gateway: Some([10, 20, 0, 1].into()),
    };
    for role in [&networks.public, &networks.client, &networks.management] {
        assert_eq!(role.attachment, attachment("public"));
        assert_eq!(role.fixed, Some(expected));
        assert_eq!(role.dns, [Ipv4Addr::new(10, 20, 0, 53)]);
    }
    assert_eq!(
        (networks.bridge.range.to_string().as_str(), networks.bridge.width),
        ("172.16.0.0/12", 16)
    );
    let web = &networks.containers[0];
    assert_eq!(
        (web.gateway, web.pools.len(), web.trust),
        (None, 0, TrustLevel::Unspecified),
        "DHCP gives the addresses, and nobody said how far containers are trusted"
    );
}

#[test]
fn a_client_network_of_its_own_has_no_default_route() {
    let spec = VchNetworks {
        client: Some(on("client", Some("10.21.0.10"))),
        dns_servers: vec!["10.9.9.9".into()],
        ..spec()
    };
    let networks = resolve(&spec, &known()).unwrap();
    assert_eq!(networks.client.fixed.unwrap().gateway, None);
    assert_eq!(networks.management.attachment, attachment("client"));
    assert_eq!(
        networks.client.dns,
        [Ipv4Addr::new(10, 9, 9, 9)],
        "those of the spec go before the network's"
    );
    let dhcp = VchNetworks {
        public: on("public", None),
        ..spec
    };
    assert!(resolve(&dhcp, &known()).unwrap().public.fixed.is_none());
}

#[test]
fn addresses_given_to_containers_come_with_the_gateway() {
    let spec = VchNetworks {
        containers: vec![attached("web", "app", &["10.30.0.200-10.30.0.220"])],
        ..spec()
    };
    let web = resolve(&spec, &known()).unwrap().containers.remove(0);
    assert_eq!(web.gateway, Some(([10, 30, 0, 1].into(), 24)));
    assert_eq!(web.pools, [([10, 30, 0, 200].into(), [10, 30, 0, 220].into())]);
}

#[test]
fn what_cannot_be_names_its_field_and_why() {
    let bridge = |range: &str, width| BridgeNetwork {
        network_ref: reference("bridge"),
        range: Some(range.into()),
        width,
    };
    let public = |address: &str| VchNetworks {
        public: on("public", Some(address)),
        ..spec()
    };
    let containers = |attached| VchNetworks {
        containers: vec![attached],
        ..spec()
    };
    let cases: Vec<(VchNetworks, &str)> = vec![
        (
            public("10.21.0.10"),
            "10.21.0.10 does not lie in the subnets of ContainerNetwork public (10.20.0.0/24)",
        ),
        (public("10.20.0.1"), "gateway's address"),
        (public("10.20.0.0"), "broadcast"),
        (public("10.20.0.255"), "broadcast"),
        (public("10.20.0.150"), "DHCP range 10.20.0.100-10.20.0.199"),
        (
            VchNetworks {
                public: on("bare", Some("10.20.0.10")),
                ..spec()
            },
            "(it has none)",
        ),
        (
            VchNetworks {
                client: Some(on("public", Some("10.20.0.11"))),
                ..spec()
            },
            "share one address",
        ),
        (
            VchNetworks {
                client: Some(on("bridge", None)),
                ..spec()
            },
            "must be dedicated",
        ),
        (
            VchNetworks {
                bridge: bridge("172.16.0.0/12", Some(8)),
                ..spec()
            },
            "spec.networks.bridge.width",
        ),
        (
            VchNetworks {
                bridge: bridge("172.16.0.0/20", None),
                ..spec()
            },
            "spec.networks.bridge.width",
        ),
        (containers(attached("bridge", "app", &[])), "kept for the bridge"),
        (containers(attached("web", "bridge", &[])), "must be dedicated"),
        (
            containers(attached("web", "app", &["10.31.0.1-10.31.0.9"])),
            "does not lie in the subnets",
        ),
        (
            containers(attached("web", "app", &["10.30.0.1-10.30.0.9"])),
            "gateway's address",
        ),
        (
            containers(attached("web", "app", &["10.30.0.190-10.30.0.220"])),
            "overlaps 10.30.0.11-10.30.0.199",
        ),
        (
            containers(attached(
                "web",
                "app",
                &["10.30.0.200-10.30.0.220", "10.30.0.220-10.30.0.230"],
            )),
            "overlaps",
        ),
        (
            containers(attached("web", "app", &["10.30.0.220-10.30.0.200"])),
            "ends before it begins",
        ),
    ];
    for (spec, text) in cases {
        let error = resolve(&spec, &known())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(text), "want {text}, have {error}");
    }
}
