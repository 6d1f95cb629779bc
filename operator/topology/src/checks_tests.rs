use proptest::prelude::*;

use super::*;
use crate::nat::Ports;
use crate::schema_tests::{faults_of, nat_specs, owner};
use crate::segment::DhcpSpec;

fn dnat() -> NatSpec {
    NatSpec {
        owner: owner("nginx"),
        gateway_path: "/infra/tier-1s/edge".into(),
        action: NatAction::Dnat,
        protocol: NatProtocol::Tcp,
        external: Some("203.0.113.10/32".parse().unwrap()),
        external_ports: Some(Ports {
            first: 8000,
            last: 8010,
        }),
        internal: Some("10.30.0.11/32".parse().unwrap()),
        internal_port: Some(80),
        allocation: None,
        remotes: Vec::new(),
        scope: Vec::new(),
        priority: 500,
        logging: false,
        firewall: NatFirewall::Exclusive {
            sources: vec!["0.0.0.0/0".parse().unwrap()],
            internal: false,
        },
    }
}

fn altered(alter: impl FnOnce(&mut NatSpec)) -> NatSpec {
    let mut spec = dnat();
    alter(&mut spec);
    spec
}

#[test]
fn what_nsx_would_refuse_names_its_field() {
    let plain = |action| {
        move |spec: &mut NatSpec| {
            spec.action = action;
            spec.firewall = NatFirewall::Unmanaged;
            spec.internal_port = None;
        }
    };
    let cases = [
        (dnat(), None),
        (altered(|spec| spec.external = None), Some("spec.external")),
        (altered(|spec| spec.internal = None), Some("spec.internal")),
        (
            altered(|spec| spec.protocol = NatProtocol::Any),
            Some("spec.external.port"),
        ),
        (
            altered(|spec| spec.protocol = NatProtocol::Icmp),
            Some("spec.external.port"),
        ),
        (
            altered(|spec| spec.external_ports = Some(Ports { first: 9, last: 8 })),
            Some("spec.external.port"),
        ),
        (
            altered(|spec| spec.external_ports = Some(Ports { first: 0, last: 8 })),
            Some("spec.external.port"),
        ),
        (
            altered(|spec| spec.external_ports = None),
            Some("spec.internal.port"),
        ),
        (
            altered(|spec| spec.internal_port = Some(0)),
            Some("spec.internal.port"),
        ),
        (
            altered(|spec| spec.internal_port = Some(65_530)),
            Some("spec.internal.port"),
        ),
        (altered(|spec| spec.internal_port = Some(65_525)), None),
        (altered(|spec| spec.priority = 1001), Some("spec.priority")),
        (altered(plain(NatAction::Snat)), Some("spec.external.port")),
        (altered(plain(NatAction::Reflexive)), Some("spec.external.port")),
        (altered(plain(NatAction::NoDnat)), Some("spec.internal")),
        (altered(|spec| spec.owner.name = "n".repeat(238)), None),
        (
            altered(|spec| spec.owner.name = "n".repeat(239)),
            Some("metadata.name"),
        ),
    ];
    for (spec, field) in cases {
        assert_eq!(
            check_nat(&spec).err().map(|broken| broken.field),
            field,
            "{spec:?}"
        );
    }
    let reflexive = altered(|spec| {
        plain(NatAction::Reflexive)(spec);
        spec.external_ports = None;
        spec.protocol = NatProtocol::Any;
    });
    assert_eq!(check_nat(&reflexive), Ok(()));
    let remote = NatSpec {
        remotes: vec!["198.51.100.0/24".parse().unwrap()],
        ..reflexive.clone()
    };
    assert_eq!(check_nat(&remote).unwrap_err().field, "spec.remote");
    let larger = NatSpec {
        external: Some("203.0.113.0/28".parse().unwrap()),
        ..reflexive
    };
    assert_eq!(check_nat(&larger).unwrap_err().field, "spec.internal.address");
    let outbound = altered(|spec| {
        plain(NatAction::Snat)(spec);
        spec.external_ports = None;
        spec.firewall = NatFirewall::Bypass;
    });
    assert_eq!(check_nat(&outbound).unwrap_err().field, "spec.firewall");
    let crowded = altered(|spec| {
        spec.firewall = NatFirewall::Additive {
            sources: vec!["10.0.0.0/8".parse().unwrap(); 129],
            internal: false,
        };
    });
    assert_eq!(check_nat(&crowded).unwrap_err().field, "spec.firewall.allowFrom");
}

#[test]
fn what_cannot_be_served_names_its_field() {
    let subnet = |servers: usize, ranges: usize, lease_seconds: u64| SubnetSpec {
        gateway: "10.30.0.1".parse().unwrap(),
        net: "10.30.0.0/24".parse().unwrap(),
        dns: vec!["10.20.0.53".parse().unwrap(); servers],
        dhcp: Some(DhcpSpec {
            server_address: "10.30.0.2".parse().unwrap(),
            ranges: vec!["10.30.0.11-10.30.0.99".parse().unwrap(); ranges],
            lease_seconds,
            profile_path: "/infra/dhcp-server-configs/p".into(),
            routes: Vec::new(),
            options: Vec::new(),
            bindings: Vec::new(),
        }),
        relay_path: None,
    };
    let cases = [
        (subnet(2, 99, 60), None),
        (subnet(3, 1, 3600), Some("spec.subnets[0].dnsServers")),
        (subnet(1, 100, 3600), Some("spec.subnets[0].dhcp.ranges")),
        (subnet(1, 1, 59), Some("spec.subnets[0].dhcp.leaseTime")),
        (
            subnet(1, 1, 4_294_967_296),
            Some("spec.subnets[0].dhcp.leaseTime"),
        ),
        (
            SubnetSpec {
                dhcp: None,
                ..subnet(3, 1, 1)
            },
            None,
        ),
    ];
    for (subnet, field) in cases {
        assert_eq!(
            check_subnet(&subnet).err().map(|broken| broken.field),
            field,
            "{subnet:?}"
        );
    }
}

proptest! {
    /// What the API admits passes, and whatever passes is a body that NSX takes, however it came about.
    #[test]
    fn what_passes_is_taken(
        spec in nat_specs(),
        action in prop::sample::select(vec![NatAction::Dnat, NatAction::Snat, NatAction::Reflexive, NatAction::NoDnat, NatAction::NoSnat]),
        ports in prop::option::of((any::<u16>(), any::<u16>())),
        port in prop::option::of(any::<u16>()),
        priority in 0_u32..1100,
    ) {
        prop_assert_eq!(check_nat(&spec), Ok(()));
        let external_ports = ports.map(|(first, last)| Ports { first, last });
        let bent = NatSpec { action, external_ports, internal_port: port, priority, ..spec };
        if check_nat(&bent).is_ok() {
            prop_assert_eq!(faults_of(&bent.intents()), Vec::<String>::new());
        }
    }
}

#[test]
fn a_side_of_a_rule_names_no_more_than_nsx_takes() {
    let net = |n: usize| format!("10.{}.{}.0/24", n / 200, n % 200).parse().unwrap();
    let spec = |count: usize| crate::MicrosegSpec {
        owner: crate::schema_tests::owner("web"),
        display_name: "containers-web".into(),
        priority: 500,
        subject: crate::Members::default(),
        rules: vec![crate::MicrosegRule {
            name: "many".into(),
            direction: crate::Direction::In,
            peers: crate::Peers::These {
                members: crate::Members {
                    addresses: (0..count).map(net).collect(),
                    ..crate::Members::default()
                },
                subject: false,
            },
            ports: Vec::new(),
            action: crate::FirewallAction::Allow,
            logging: false,
        }],
        isolate: true,
    };
    assert_eq!(check_microseg(&spec(128)), Ok(()));
    assert_eq!(
        check_microseg(&spec(129)).unwrap_err().field,
        "spec.subject, from and to"
    );
    let low = crate::MicrosegSpec {
        priority: 1001,
        ..spec(1)
    };
    assert_eq!(check_microseg(&low).unwrap_err().field, "spec.priority");
}
