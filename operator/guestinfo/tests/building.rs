//! Configurations made with this crate's own constructors.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use guestinfo::{
    Certificates, Command, Connection, ContainerNetworking, Containers, DOCKER_PORT_PLAIN, DOCKER_PORT_TLS,
    Diagnostics, Executor, ExecutorCommon, Ip, IpRange, Mask, MorefValue, NetAddress, Network,
    NetworkEndpoint, PLUGIN_VERSION, Placement, Proxy, Role, Session, Storage, TrustLevel, Url, VCH_ID_KEY,
    VchConfig, Version, decode, encode, pci_slot,
};
use support::{golden, secret_key, wire};

fn placement() -> Placement {
    Placement {
        target: "https://10.66.0.10".to_owned(),
        datacenter: "DC0".to_owned(),
        cluster: "/DC0/host/DC0_C0".to_owned(),
        pool: "/DC0/host/DC0_C0/Resources".to_owned(),
        image_datastore: "LocalDS_0".to_owned(),
    }
}

fn portgroup(number: u8) -> String {
    format!("DistributedVirtualPortgroup:dvportgroup-{number}")
}

fn executor() -> Executor {
    let mut init = Executor {
        common: ExecutorCommon {
            id: "VirtualMachine:vm-63".to_owned(),
            name: "vch1".to_owned(),
            ..ExecutorCommon::default()
        },
        diagnostics: Diagnostics {
            debug: 1,
            ..Diagnostics::default()
        },
        version: Version {
            version: "v1.5.8".to_owned(),
            git_commit: "2c978fe".to_owned(),
            build_date: "2021/06/15@03:07:29".to_owned(),
            build_number: "21000".to_owned(),
            state: String::new(),
            plugin_version: PLUGIN_VERSION,
        },
        ..Executor::default()
    };
    assert_eq!(init.version.short(), "v1.5.8-21000-2c978fe");
    init.add_network(NetworkEndpoint::bridge(&portgroup(49)).with_slot(pci_slot(0)));
    for role in [Role::Client, Role::Management, Role::Public] {
        let ip = NetAddress::host([10, 66, 1, 50].into(), 24);
        let endpoint = NetworkEndpoint::fixed(role, &portgroup(51), ip, Some([10, 66, 1, 1].into()));
        init.add_network(endpoint.with_dns([[10, 66, 0, 53].into()]).with_slot(pci_slot(1)));
    }
    init.add_session(Session::docker_personality(DOCKER_PORT_TLS, &Proxy::default()));
    init.add_session(Session::port_layer(&placement()));
    init.add_session(Session::vicadmin(&placement(), &Proxy::default()));
    init
}

fn container_networks() -> ContainerNetworking {
    let mut network = ContainerNetworking {
        bridge_network: "bridge".to_owned(),
        bridge_ip_range: NetAddress::network(Ipv4Addr::new(172, 16, 0, 0), 12),
        bridge_network_width: Some(Mask::v4(16)),
        ..ContainerNetworking::default()
    };
    network.add(Network::bridge(&portgroup(49)));
    network.add(Network {
        gateway: NetAddress::host([192, 168, 30, 1].into(), 24),
        dns: vec![Ip::from(IpAddr::from([10, 66, 0, 53]))],
        pools: vec![IpRange::between(
            [192, 168, 30, 10].into(),
            [192, 168, 30, 99].into(),
        )],
        trust_level: TrustLevel::Open,
        ..Network::external("app", &portgroup(53))
    });
    network
}

/// The configuration that `vic-machine` made, built from what its options say. The certificate and the
/// texts of the options are taken from it.
#[test]
fn the_same_vch_as_vic_machine_makes() {
    let original = decode(&golden().complete).unwrap();
    let built = VchConfig {
        init: executor(),
        connect: Connection {
            target: placement().target,
            username: "administrator@vsphere.local".to_owned(),
            token: "Passw0rd!".to_owned().into(),
            target_thumbprint: original.connect.target_thumbprint.clone(),
            keepalive: 0,
        },
        cert: Certificates {
            host_certificate: original.cert.host_certificate.clone(),
            ..Certificates::default()
        },
        storage: Storage {
            image_stores: vec![Url::image_store("LocalDS_0", "vch1-images")],
            volume_locations: BTreeMap::from([(
                "default".to_owned(),
                Url::volume_store("LocalDS_0", "vch1-volumes"),
            )]),
            scratch_size: 8_000_000,
            storage_quota: 0,
        },
        network: container_networks(),
        container: Containers {
            compute_resources: vec![MorefValue {
                kind: "ResourcePool".to_owned(),
                value: "resgroup-60".to_owned(),
            }],
            bootstrap_image_path: "[LocalDS_0] vch1/V1.5.8-21000-2C978FE-bootstrap.iso".to_owned(),
            ..Containers::default()
        },
        vic_machine_create_options: original.vic_machine_create_options.clone(),
        ..VchConfig::default()
    };
    assert_eq!(built, original);
    assert_eq!(
        encode(&built, &secret_key()).unwrap()[VCH_ID_KEY],
        "VirtualMachine:vm-63"
    );
}

#[test]
fn endpoints_of_every_kind() {
    let config = decode(&wire(include_str!("fixtures/every-field.txt"))).unwrap();
    let public = NetworkEndpoint::fixed(
        Role::Public,
        &portgroup(7),
        NetAddress::host([10, 0, 0, 2].into(), 24),
        Some([10, 0, 0, 1].into()),
    );
    let public = public
        .with_dns([[8, 8, 8, 8].into(), [8, 8, 4, 4].into()])
        .with_slot(1184);
    assert_eq!(config.endpoint(Role::Public), Some(&public));
    // The text has this route in 16 bytes; vic-machine, which parses a CIDR, writes 4.
    let route = NetAddress {
        ip: Some(IpAddr::from([10, 1, 0, 0]).into()),
        mask: Some(Mask::v4(16)),
    };
    let management = NetworkEndpoint::dhcp(Role::Management, "x")
        .with_destinations([route])
        .with_slot(1184);
    assert_eq!(config.endpoint(Role::Management), Some(&management));
    assert_eq!(config.endpoint(Role::Client), None);
    assert_eq!(management.assigned.address(), None);
}

#[test]
fn slots_count_from_1184() {
    assert_eq!([0, 1, 2, 3].map(pci_slot), [1184, 1216, 1248, 1280]);
    let endpoint = NetworkEndpoint::bridge(&portgroup(8));
    assert_eq!(
        (endpoint.common.id.as_str(), endpoint.slot()),
        (portgroup(8).as_str(), None)
    );
    assert_eq!(endpoint.with_slot(1248).slot(), Some(1248));
}

#[test]
fn proxies_reach_the_services_that_use_them() {
    let proxy = Proxy {
        http: Some("http://p:1".to_owned()),
        https: Some("http://p:2".to_owned()),
        no_proxy: Some("a,b".to_owned()),
    };
    let Command { args, env, .. } = Session::docker_personality(DOCKER_PORT_PLAIN, &proxy).command;
    assert_eq!(args[1], "-port=2375");
    assert_eq!(
        env[2..],
        ["HTTP_PROXY=http://p:1", "HTTPS_PROXY=http://p:2", "NO_PROXY=a,b"]
    );
    let env = Session::vicadmin(&placement(), &proxy).command.env;
    let expected = [
        "VICADMIN_HTTP_PROXY=http://p:1",
        "VICADMIN_HTTPS_PROXY=http://p:2",
        "NO_PROXY=a,b",
    ];
    assert_eq!(env[2..], expected);
    let only_https = Proxy {
        https: proxy.https,
        ..Proxy::default()
    };
    assert_eq!(
        Session::vicadmin(&placement(), &only_https).command.env[2..],
        expected[1..2]
    );
}

#[test]
fn trust_levels_have_vics_numbers() {
    let numbers = [
        (TrustLevel::Unspecified, "0"),
        (TrustLevel::Published, "1"),
        (TrustLevel::Open, "2"),
        (TrustLevel::Closed, "3"),
        (TrustLevel::Outbound, "4"),
        (TrustLevel::Peers, "5"),
    ];
    for (trust_level, number) in numbers {
        let mut config = VchConfig::default();
        config.network.add(Network {
            trust_level,
            ..Network::external("a", "Network:network-1")
        });
        let map = encode(&config, &secret_key()).unwrap();
        assert_eq!(
            map["guestinfo.vice./network/container_networks|a/TrustLevel"],
            number
        );
    }
}

#[test]
fn volume_stores_of_both_kinds() {
    let nfs = Url::nfs("10.0.0.9", "/exp/a", "uid=1&gid=2");
    let config = decode(&wire(include_str!("fixtures/every-field.txt"))).unwrap();
    assert_eq!(config.storage.volume_locations["nfs1"], nfs);
    assert_eq!(
        config.storage.volume_locations["default"],
        Url::volume_store("ds1", "volumes")
    );
}
