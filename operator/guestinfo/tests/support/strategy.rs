//! Arbitrary configurations, within what the format can carry.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use guestinfo::extraconfig::Bytes;
use guestinfo::{
    AssignedNetwork, Certificates, Command, Common, Connection, ContainerNetworking, Containers, Detail,
    Diagnostics, Executor, ExecutorCommon, ExitLog, HostCertificate, Ip, IpRange, Mask, MorefValue,
    NetAddress, Network, NetworkEndpoint, Registries, Session, Storage, Syslog, TrustLevel, Url, VchConfig,
    Version,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

/// Any text but the one that stands for the empty text.
fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}".prop_filter("the mark for empty texts", |text| text != "<nil>")
}

/// Any list, but one that is stored as the mark for empty texts.
fn texts() -> impl Strategy<Value = Vec<String>> {
    vec("[^|\\x00-\\x1f]{0,8}", 0..4).prop_filter("the mark for empty texts", |list| list != &["<nil>"])
}

/// Entry names: of one letter case, because keys ignore it.
fn name() -> impl Strategy<Value = String> {
    "[a-z0-9 _:-]{1,8}"
}

fn map<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = BTreeMap<String, T>> {
    btree_map(name(), value, 0..3)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes)
}

fn ip() -> impl Strategy<Value = Ip> {
    prop_oneof![
        any::<Ipv4Addr>().prop_map(Ip::Short),
        any::<Ipv4Addr>().prop_map(|address| Ip::Long(address.to_ipv6_mapped())),
        any::<Ipv6Addr>().prop_map(Ip::Long),
    ]
}

fn mask() -> impl Strategy<Value = Mask> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(Mask::V4),
        any::<[u8; 16]>().prop_map(Mask::V6)
    ]
}

fn address() -> impl Strategy<Value = NetAddress> {
    (option::of(ip()), option::of(mask())).prop_map(|(ip, mask)| NetAddress { ip, mask })
}

fn range() -> impl Strategy<Value = IpRange> {
    (option::of(ip()), option::of(ip())).prop_map(|(first, last)| IpRange { first, last })
}

fn common() -> impl Strategy<Value = Common> {
    [text(), text(), text(), text()].prop_map(|[execution_environment, id, name, notes]| Common {
        execution_environment,
        id,
        name,
        notes,
    })
}

fn trust_level() -> impl Strategy<Value = TrustLevel> {
    use TrustLevel::{Closed, Open, Outbound, Peers, Published, Unspecified};
    prop::sample::select(vec![Unspecified, Published, Open, Closed, Outbound, Peers])
}

fn network() -> impl Strategy<Value = Network> {
    let addresses = (
        vec(address(), 0..3),
        address(),
        vec(ip(), 0..3),
        vec(range(), 0..3),
    );
    let assigned = (address(), vec(ip(), 0..3)).prop_map(|(gateway, dns)| AssignedNetwork { gateway, dns });
    (
        common(),
        text(),
        addresses,
        any::<bool>(),
        texts(),
        trust_level(),
        assigned,
    )
        .prop_map(
            |(common, kind, (destinations, gateway, dns, pools), default, aliases, trust_level, assigned)| {
                Network {
                    common,
                    kind,
                    destinations,
                    gateway,
                    default,
                    dns,
                    pools,
                    aliases,
                    trust_level,
                    assigned,
                }
            },
        )
}

fn endpoint() -> impl Strategy<Value = NetworkEndpoint> {
    (common(), any::<[bool; 2]>(), address(), address(), network()).prop_map(
        |(common, [is_static, internal], ip, assigned, network)| NetworkEndpoint {
            common,
            is_static,
            ip,
            assigned,
            network,
            internal,
        },
    )
}

fn diagnostics() -> impl Strategy<Value = Diagnostics> {
    let log = (text(), any::<i64>(), text()).prop_map(|(time, exit_status, message)| ExitLog {
        time,
        exit_status,
        message,
    });
    let syslog = (text(), text()).prop_map(|(network, address)| Syslog { network, address });
    (any::<[i64; 2]>(), vec(log, 0..3), option::of(syslog)).prop_map(
        |([debug, resurrections], exit_logs, syslog)| Diagnostics {
            debug,
            resurrections,
            exit_logs,
            syslog,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    (text(), texts(), texts(), text()).prop_map(|(path, args, env, dir)| Command { path, args, env, dir })
}

fn session() -> impl Strategy<Value = Session> {
    let texts = [text(), text(), text(), text()];
    (
        common(),
        any::<[i64; 4]>(),
        command(),
        any::<[bool; 6]>(),
        diagnostics(),
        texts,
    )
        .prop_map(|(common, numbers, command, flags, diagnostics, texts)| {
            let [create_time, start_time, stop_time, exit_status] = numbers;
            let [attach, open_stdin, run_block, active, tty, restart] = flags;
            let [started, stop_signal, user, group] = texts;
            Session {
                common,
                detail: Detail {
                    create_time,
                    start_time,
                    stop_time,
                },
                command,
                attach,
                open_stdin,
                run_block,
                active,
                tty,
                exit_status,
                started,
                restart,
                stop_signal,
                diagnostics,
                user,
                group,
            }
        })
}

fn version() -> impl Strategy<Value = Version> {
    ([text(), text(), text(), text(), text()], any::<i64>()).prop_map(|(texts, plugin_version)| {
        let [version, git_commit, build_date, build_number, state] = texts;
        Version {
            version,
            git_commit,
            build_date,
            build_number,
            state,
            plugin_version,
        }
    })
}

fn executor() -> impl Strategy<Value = Executor> {
    let common = [text(), text(), text(), text()].prop_map(|[execution_environment, id, name, notes]| {
        ExecutorCommon {
            execution_environment,
            id,
            name,
            notes,
        }
    });
    let unused = [text(), text(), text(), text(), text()];
    let own = (common, any::<i64>(), diagnostics(), any::<bool>(), version());
    (own, map(session()), map(endpoint()), unused).prop_map(|(own, sessions, networks, unused)| {
        let (common, create_time, diagnostics, asymmetric_routing, version) = own;
        let [layer_id, image_id, repo, hostname, domainname] = unused;
        Executor {
            common,
            create_time,
            diagnostics,
            sessions,
            networks,
            layer_id,
            image_id,
            repo,
            version,
            asymmetric_routing,
            hostname,
            domainname,
        }
    })
}

fn connection() -> impl Strategy<Value = Connection> {
    // A secret may be any text: it is sealed before the mark for empty texts could matter.
    (text(), text(), any::<String>(), text(), any::<i64>()).prop_map(
        |(target, username, token, target_thumbprint, keepalive)| Connection {
            target,
            username,
            token: token.into(),
            target_thumbprint,
            keepalive,
        },
    )
}

fn certificates() -> impl Strategy<Value = Certificates> {
    // Without any byte a certificate cannot be told from none.
    let host = (bytes(), bytes())
        .prop_filter("an empty certificate", |(key, cert)| {
            !key.0.is_empty() || !cert.0.is_empty()
        })
        .prop_map(|(key, cert)| HostCertificate {
            key: key.into(),
            cert,
        });
    (option::of(host), bytes(), bytes()).prop_map(|(host_certificate, clients, registries)| Certificates {
        host_certificate,
        certificate_authorities: clients,
        registry_certificate_authorities: registries,
    })
}

fn url() -> impl Strategy<Value = Url> {
    let texts = [text(), text(), text(), text(), text(), text(), text()];
    (texts, any::<bool>()).prop_map(|(texts, force_query)| {
        let [scheme, opaque, host, path, raw_path, raw_query, fragment] = texts;
        Url {
            scheme,
            opaque,
            host,
            path,
            raw_path,
            force_query,
            raw_query,
            fragment,
        }
    })
}

fn storage() -> impl Strategy<Value = Storage> {
    (vec(url(), 0..3), map(url()), any::<[i64; 2]>()).prop_map(
        |(image_stores, volume_locations, [scratch_size, storage_quota])| Storage {
            image_stores,
            volume_locations,
            scratch_size,
            storage_quota,
        },
    )
}

fn container_networking() -> impl Strategy<Value = ContainerNetworking> {
    (text(), map(network()), address(), option::of(mask())).prop_map(
        |(bridge_network, container_networks, bridge_ip_range, bridge_network_width)| ContainerNetworking {
            bridge_network,
            container_networks,
            bridge_ip_range,
            bridge_network_width,
        },
    )
}

fn containers() -> impl Strategy<Value = Containers> {
    let moref = (text(), text()).prop_map(|(kind, value)| MorefValue { kind, value });
    (
        vec(moref, 0..3),
        [text(), text(), text()],
        any::<bool>(),
        any::<i64>(),
    )
        .prop_map(|(compute_resources, texts, use_vm_group, container_count)| {
            let [bootstrap_image_path, name_convention, vm_group_name] = texts;
            Containers {
                compute_resources,
                bootstrap_image_path,
                name_convention,
                use_vm_group,
                vm_group_name,
                container_count,
            }
        })
}

/// Any configuration.
pub fn config() -> impl Strategy<Value = VchConfig> {
    let registries = (texts(), texts()).prop_map(|(insecure, whitelist)| Registries { insecure, whitelist });
    let root = (any::<bool>(), text(), texts());
    let parts = (
        executor(),
        connection(),
        certificates(),
        storage(),
        container_networking(),
        containers(),
    );
    (parts, registries, root).prop_map(|(parts, registry, root)| {
        let (init, connect, cert, storage, network, container) = parts;
        let (create_bridge_network, grant_permissions, vic_machine_create_options) = root;
        VchConfig {
            init,
            connect,
            cert,
            storage,
            network,
            container,
            registry,
            create_bridge_network,
            grant_permissions,
            vic_machine_create_options,
        }
    })
}
