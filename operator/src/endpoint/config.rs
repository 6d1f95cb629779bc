//! The configuration that an endpoint VM carries, built from its specification.

use std::net::{IpAddr, Ipv4Addr};

use guestinfo::extraconfig::Bytes;
use guestinfo::{
    CREATING, Certificates, Connection, ContainerNetworking, Containers, DOCKER_PORT_PLAIN, DOCKER_PORT_TLS,
    Diagnostics, Executor, ExecutorCommon, HostCertificate, IpRange, Map, Mask, MorefValue, NetAddress,
    Network, NetworkEndpoint, PLUGIN_VERSION, Registries, Role, SecretKey, Session, Storage, Url, VchConfig,
    Version, decode, drift, encode,
};

use super::{BootImages, ContainerSpec, EndpointSpec, RoleSpec, ServerKeys, VmPlace, VolumePlace};

/// All that the guest is told.
#[must_use]
pub fn config(
    spec: &EndpointSpec,
    place: &VmPlace<'_>,
    boot: &BootImages,
    keys: Option<ServerKeys<'_>>,
) -> VchConfig {
    VchConfig {
        init: executor(spec, place, boot, keys.is_some()),
        connect: Connection {
            target: spec.placement.target.clone(),
            username: spec.login.username.clone(),
            token: spec.login.password.clone().into(),
            target_thumbprint: spec.login.thumbprint.clone(),
            keepalive: 0,
        },
        cert: keys.map(certificates).unwrap_or_default(),
        storage: storage(spec, place),
        network: networking(spec),
        container: Containers {
            compute_resources: vec![MorefValue {
                kind: place.pool.kind.clone(),
                value: place.pool.value.clone(),
            }],
            bootstrap_image_path: boot.bootstrap.path.to_string(),
            name_convention: spec.options.name_convention.clone(),
            container_count: spec.options.container_limit,
            ..Containers::default()
        },
        registry: Registries {
            insecure: spec.options.insecure_registries.clone(),
            whitelist: spec.options.allowed_registries.clone(),
        },
        ..VchConfig::default()
    }
}

/// Keys whose value in a VM differs from what is wanted, whatever the guest wrote and however secrets are
/// sealed. Empty: the VM has this configuration.
///
/// # Errors
/// What VIC's format cannot carry.
pub fn differing_keys(current: &Map, mut wanted: VchConfig) -> Result<Vec<String>, guestinfo::Error> {
    // What cannot be read was not written by the guest; then nothing of the guest's is kept either.
    if let Ok(observed) = decode(current) {
        wanted.keep_guest_state(&observed);
    }
    let wanted = encode(&wanted, &SecretKey::generate()?)?;
    Ok(drift(current, &wanted).into_iter().map(|(key, _)| key).collect())
}

fn executor(spec: &EndpointSpec, place: &VmPlace<'_>, boot: &BootImages, tls: bool) -> Executor {
    let publisher = &boot.appliance.publisher;
    let mut init = Executor {
        common: ExecutorCommon {
            id: place.id.to_owned(),
            name: spec.name.clone(),
            ..ExecutorCommon::default()
        },
        diagnostics: Diagnostics {
            debug: spec.debug_level,
            syslog: spec.options.syslog.clone(),
            ..Diagnostics::default()
        },
        asymmetric_routing: spec.options.asymmetric_routing,
        version: Version {
            version: publisher.version().to_lowercase(),
            git_commit: publisher.git_commit().to_lowercase(),
            build_number: publisher.build_number().to_owned(),
            plugin_version: PLUGIN_VERSION,
            ..Version::default()
        },
        ..Executor::default()
    };
    // A VM that is yet to be made has neither adapters to name nor anything to run, should a hand start it.
    let made = place.id != CREATING;
    let slot_of = |attachment| spec.slot_of(attachment).filter(|_| made);
    let mut bridge = NetworkEndpoint::bridge(&spec.bridge.attachment.moref);
    if let Some(slot) = slot_of(&spec.bridge.attachment) {
        bridge = bridge.with_slot(slot);
    }
    init.add_network(bridge);
    for (role, on) in [
        (Role::Public, &spec.public),
        (Role::Client, &spec.client),
        (Role::Management, &spec.management),
    ] {
        init.add_network(endpoint(role, on, slot_of(&on.attachment)));
    }
    if !made {
        return init;
    }
    let port = if tls { DOCKER_PORT_TLS } else { DOCKER_PORT_PLAIN };
    let proxy = &spec.options.proxy;
    init.add_session(Session::docker_personality(port, proxy));
    init.add_session(Session::port_layer(&spec.placement));
    init.add_session(Session::vicadmin(&spec.placement, proxy));
    init
}

fn endpoint(role: Role, on: &RoleSpec, slot: Option<i32>) -> NetworkEndpoint {
    let moref = &on.attachment.moref;
    let endpoint = match on.fixed {
        None => NetworkEndpoint::dhcp(role, moref),
        Some(fixed) => {
            let address = NetAddress::host(fixed.address.into(), fixed.prefix);
            NetworkEndpoint::fixed(role, moref, address, fixed.gateway.map(IpAddr::from))
        }
    };
    let routes = on.routes.iter();
    let endpoint = endpoint
        .with_dns(addresses(&on.dns))
        .with_destinations(routes.map(|net| NetAddress::network(net.network(), net.prefix_len())));
    match slot {
        Some(slot) => endpoint.with_slot(slot),
        None => endpoint,
    }
}

fn addresses(list: &[Ipv4Addr]) -> impl Iterator<Item = IpAddr> {
    list.iter().copied().map(IpAddr::from)
}

fn certificates(keys: ServerKeys<'_>) -> Certificates {
    Certificates {
        host_certificate: Some(HostCertificate {
            key: Bytes::from(keys.key).into(),
            cert: keys.certificate.into(),
        }),
        certificate_authorities: keys.clients.map(Bytes::from).unwrap_or_default(),
        ..Certificates::default()
    }
}

fn storage(spec: &EndpointSpec, place: &VmPlace<'_>) -> Storage {
    let folder = spec.image_path.as_deref().or(place.directory).unwrap_or_default();
    let volume = |volume: &super::VolumeSpec| (volume.name.clone(), volume_url(&volume.place));
    Storage {
        image_stores: vec![Url::image_store(&spec.placement.image_datastore, folder)],
        volume_locations: spec.volumes.iter().map(volume).collect(),
        scratch_size: spec.options.scratch_size,
        storage_quota: spec.options.quota,
    }
}

/// How VIC writes where volumes lie.
fn volume_url(place: &VolumePlace) -> Url {
    match place {
        VolumePlace::Directory(directory) => Url::volume_store(&directory.datastore, &directory.path),
        VolumePlace::Nfs { server, path, query } => Url::nfs(server, path, query),
    }
}

fn networking(spec: &EndpointSpec) -> ContainerNetworking {
    let range = spec.bridge.range;
    let mut networking = ContainerNetworking {
        bridge_network: Role::Bridge.as_str().to_owned(),
        bridge_ip_range: NetAddress::network(range.network(), range.prefix_len()),
        bridge_network_width: Some(Mask::v4(spec.bridge.width)),
        ..ContainerNetworking::default()
    };
    networking.add(Network::bridge(&spec.bridge.attachment.moref));
    spec.containers
        .iter()
        .for_each(|network| networking.add(container_network(network)));
    networking
}

fn container_network(spec: &ContainerSpec) -> Network {
    let gateway = spec
        .gateway
        .map(|(address, prefix)| NetAddress::host(address.into(), prefix));
    Network {
        gateway: gateway.unwrap_or_default(),
        dns: addresses(&spec.dns).map(Into::into).collect(),
        pools: spec
            .pools
            .iter()
            .map(|(first, last)| IpRange::between((*first).into(), (*last).into()))
            .collect(),
        trust_level: spec.trust,
        ..Network::external(&spec.alias, &spec.moref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::fixture::{boot, golden, pool, spec};

    const ID: &str = "VirtualMachine:vm-63";

    fn place(pool: &vsphere::Moref) -> VmPlace<'_> {
        VmPlace {
            id: ID,
            pool,
            directory: Some("vch1"),
        }
    }

    /// What vic-machine made of the same wishes, but for what it alone knows: when its release was built and
    /// the options it was called with.
    #[test]
    fn the_same_configuration_as_vic_machine_makes() {
        let mut original = decode(&golden().complete).unwrap();
        original.init.version.build_date = String::new();
        original.vic_machine_create_options = Vec::new();
        let certificate = original.cert.host_certificate.clone().unwrap();
        let certificate_pem = String::from_utf8(certificate.cert.0).unwrap();
        let key_pem = String::from_utf8(certificate.key.known().unwrap().0.clone()).unwrap();
        let keys = ServerKeys {
            certificate: &certificate_pem,
            key: &key_pem,
            clients: None,
        };
        assert_eq!(config(&spec(), &place(&pool()), &boot(), Some(keys)), original);
    }

    /// As vic-machine's first one, but for what it does not know of its stores yet.
    #[test]
    fn a_vm_is_born_without_anything_to_run() {
        let pool = pool();
        let place = VmPlace {
            id: CREATING,
            ..place(&pool)
        };
        let mut born = config(&spec(), &place, &boot(), None);
        let mut original = decode(&golden().at_birth).unwrap();
        for config in [&mut born, &mut original] {
            config.cert = Certificates::default();
            config.storage.volume_locations.clear();
            config.container.bootstrap_image_path.clear();
        }
        original.init.version.build_date = String::new();
        original.vic_machine_create_options = Vec::new();
        assert!(born.init.sessions.is_empty());
        assert_eq!(born, original);
    }

    #[test]
    fn a_golden_vm_differs_by_nothing_but_what_only_vic_machine_knows() {
        let golden = golden();
        let mut current = golden.complete.clone();
        current.extend(golden.guest_written);
        let wanted = config(&spec(), &place(&pool()), &boot(), None);
        let mut keys = differing_keys(&current, wanted).unwrap();
        keys.retain(|key| {
            !key.contains("/cert/")
                && !key.contains("vic_machine_create_options")
                && !key.contains("BuildDate")
        });
        // Without TLS the Docker API has another port.
        assert_eq!(
            keys,
            ["guestinfo.vice./init/sessions|docker-personality/cmd/Args~"]
        );
    }

    #[test]
    fn what_the_guest_writes_is_no_difference_and_what_others_write_is() {
        let wanted = config(&spec(), &place(&pool()), &boot(), None);
        let mut current = encode(&wanted, &SecretKey::generate().unwrap()).unwrap();
        current.remove("guestinfo.ovfEnv");
        current.extend(golden().guest_written);
        current.insert("vmx.scsiBusyThreshold".to_owned(), "400".to_owned());
        assert!(differing_keys(&current, wanted.clone()).unwrap().is_empty());
        let cases = [
            (
                "guestinfo.vice./init/networks|public/ip/IP",
                "AAAAAAAAAAAAAP//CgAAAg==",
            ),
            ("guestinfo.vice./connect/target", "https://elsewhere.example.com"),
            ("init/common/name", "other"),
            ("guestinfo.vice./init/diagnostics/debug", "not a number"),
        ];
        for (key, value) in cases {
            let mut edited = current.clone();
            edited.insert(key.to_owned(), value.to_owned());
            let keys = differing_keys(&edited, wanted.clone()).unwrap();
            assert!(keys.contains(&key.to_owned()), "{key}: {keys:?}");
        }
        current.remove("guestinfo.vice./connect/username");
        assert_eq!(
            differing_keys(&current, wanted).unwrap(),
            ["guestinfo.vice./connect/username"]
        );
    }

    #[test]
    fn tls_decides_port_and_certificates() {
        let keys = |clients| ServerKeys {
            certificate: "CERT",
            key: "KEY",
            clients,
        };
        let cases = [
            (None, "2375", false),
            (Some(keys(None)), "2376", false),
            (Some(keys(Some("CA"))), "2376", true),
        ];
        for (keys, port, verify) in cases {
            let built = config(&spec(), &place(&pool()), &boot(), keys);
            assert_eq!(
                built.session(guestinfo::DOCKER_PERSONALITY).unwrap().command.args[1],
                format!("-port={port}")
            );
            assert_eq!(built.cert.host_certificate.is_some(), keys.is_some());
            assert_eq!(!built.cert.certificate_authorities.0.is_empty(), verify);
        }
    }

    #[test]
    fn images_lie_in_the_vms_directory_unless_the_spec_says_otherwise() {
        let mut spec = spec();
        assert_eq!(
            config(&spec, &place(&pool()), &boot(), None).storage.image_stores[0].path,
            "vch1-images"
        );
        spec.image_path = None;
        assert_eq!(
            config(&spec, &place(&pool()), &boot(), None).storage.image_stores[0].path,
            "vch1"
        );
    }

    #[test]
    fn a_role_without_a_fixed_address_asks_dhcp() {
        let mut spec = spec();
        spec.client.fixed = None;
        let built = config(&spec, &place(&pool()), &boot(), None);
        let client = built.endpoint(Role::Client).unwrap();
        assert!(!client.is_static && client.network.gateway.address().is_none());
        assert_eq!(client.slot(), Some(1216), "it shares the public network's NIC");
    }
}
