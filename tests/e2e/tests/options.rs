//! Every field of a VCH that its guest is told of changes exactly the keys that it should, twice; and the guest comes
//! up with each value.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use e2e::manifests::{POC, address, grants, public, segment, site_key, tenants, vch, vlan};
use e2e::outside::in_vcenter;
use e2e::{Failure, Outcome, Play, World, demand};
use lab::Options;
use lab::kinds::Key;
use serde_json::{Value, json};

const NAMESPACE: &str = "options";
const NAME: &str = "options-host";

type Keys = BTreeMap<String, String>;

/// A field: its name, and what it is changed to, each time with the keys that then change and the values that they
/// then have; `None` where a key goes.
struct Row {
    field: &'static str,
    changes: Vec<(Value, Vec<(String, Option<String>)>)>,
}

/// A key that only vSphere may change.
fn ro(path: &str, value: impl Into<String>) -> (String, Option<String>) {
    (format!("guestinfo.vice./{path}"), Some(value.into()))
}

/// A key of that kind that goes.
fn gone(path: &str) -> (String, Option<String>) {
    (format!("guestinfo.vice./{path}"), None)
}

/// A list of texts: its length less one, and its items.
fn list(path: &str, items: &[&str]) -> Vec<(String, Option<String>)> {
    vec![
        ro(path, (items.len() - 1).to_string()),
        ro(&format!("{path}~"), items.join("|")),
    ]
}

fn row(
    field: &'static str,
    changes: impl IntoIterator<Item = (Value, Vec<(String, Option<String>)>)>,
) -> Row {
    Row {
        field,
        changes: changes.into_iter().collect(),
    }
}

fn env(session: &str, items: &[&str]) -> Vec<(String, Option<String>)> {
    let path = if session == "vicadmin" {
        "PATH=/sbin:/bin"
    } else {
        "PATH=/sbin"
    };
    let items: Vec<&str> = [path, "GOTRACEBACK=all"]
        .into_iter()
        .chain(items.iter().copied())
        .collect();
    list(&format!("init/sessions|{session}/cmd/Env"), &items)
}

/// Fields whose effect is one or two keys with a value as text.
fn plain_rows() -> Vec<Row> {
    let one = |path: &str, value: &str| vec![ro(path, value)];
    vec![
        row(
            "endpoint.debugLevel",
            [
                (
                    json!({"endpoint": {"debugLevel": 1}}),
                    one("init/diagnostics/debug", "1"),
                ),
                (
                    json!({"endpoint": {"debugLevel": 3}}),
                    one("init/diagnostics/debug", "3"),
                ),
            ],
        ),
        row(
            "networks.asymmetricRouting",
            [
                (
                    json!({"networks": {"asymmetricRouting": "Enabled"}}),
                    one("init/asymrouting", "true"),
                ),
                (
                    json!({"networks": {"asymmetricRouting": "Disabled"}}),
                    one("init/asymrouting", "false"),
                ),
            ],
        ),
        row(
            "storage.scratchSize",
            [
                (
                    json!({"storage": {"scratchSize": "4G"}}),
                    one("storage/scratch_size", "4000000"),
                ),
                (
                    json!({"storage": {"scratchSize": "1Gi"}}),
                    one("storage/scratch_size", "1073741"),
                ),
            ],
        ),
        row(
            "storage.quota",
            [
                (
                    json!({"storage": {"quota": "100Gi"}}),
                    one("storage/storage_quota", "107374182400"),
                ),
                (
                    json!({"storage": {"quota": null}}),
                    one("storage/storage_quota", "0"),
                ),
            ],
        ),
        row(
            "storage.imagePath",
            [
                (
                    json!({"storage": {"imagePath": "images"}}),
                    one("storage/image_stores|0/Path", "images"),
                ),
                (
                    json!({"storage": {"imagePath": "more/images"}}),
                    one("storage/image_stores|0/Path", "more/images"),
                ),
            ],
        ),
        row(
            "containers.limit",
            [
                (
                    json!({"containers": {"limit": 7}}),
                    one("container/container_count", "7"),
                ),
                (
                    json!({"containers": {"limit": 70}}),
                    one("container/container_count", "70"),
                ),
            ],
        ),
        row(
            "containers.nameConvention",
            [
                (
                    json!({"containers": {"nameConvention": "vch-{name}"}}),
                    one("container/ContainerNameConvention", "vch-{name}"),
                ),
                (
                    json!({"containers": {"nameConvention": "{id}"}}),
                    one("container/ContainerNameConvention", "{id}"),
                ),
            ],
        ),
    ]
}

fn list_rows() -> Vec<Row> {
    let (insecure, allowed) = ("registry/insecure_registries", "registry/whitelist_registries");
    let both = |name: &'static str| {
        let (persona, admin) = (
            format!("{name}=http://proxy:3128"),
            format!("VICADMIN_{name}=http://proxy:3128"),
        );
        [env("docker-personality", &[&persona]), env("vicadmin", &[&admin])].concat()
    };
    let neither = || {
        let bare = |session| env(session, &[]);
        [bare("docker-personality"), bare("vicadmin")].concat()
    };
    vec![
        row(
            "endpoint.syslog",
            [
                (
                    json!({"endpoint": {"syslog": {"protocol": "UDP", "host": "10.20.0.5"}}}),
                    vec![
                        ro("init/diagnostics/syslog/Network", "udp"),
                        ro("init/diagnostics/syslog/RAddr", "10.20.0.5:514"),
                    ],
                ),
                (
                    json!({"endpoint": {"syslog": {"protocol": "TCP", "port": 6514}}}),
                    vec![
                        ro("init/diagnostics/syslog/Network", "tcp"),
                        ro("init/diagnostics/syslog/RAddr", "10.20.0.5:6514"),
                    ],
                ),
            ],
        ),
        row(
            "registries.insecure",
            [
                (
                    json!({"registries": {"insecure": ["a:5000"]}}),
                    list(insecure, &["a:5000"]),
                ),
                (
                    json!({"registries": {"insecure": ["a:5000", "b"]}}),
                    list(insecure, &["a:5000", "b"]),
                ),
            ],
        ),
        row(
            "registries.allowed",
            [
                (
                    json!({"registries": {"allowed": ["*.c"]}}),
                    list(allowed, &["*.c", "a:5000", "b"]),
                ),
                (
                    json!({"registries": null}),
                    [insecure, allowed]
                        .iter()
                        .flat_map(|path| [gone(path), gone(&format!("{path}~"))])
                        .collect(),
                ),
            ],
        ),
        row(
            "proxies.http",
            [
                (
                    json!({"proxies": {"http": "http://proxy:3128"}}),
                    both("HTTP_PROXY"),
                ),
                (json!({"proxies": null}), neither()),
            ],
        ),
        row(
            "proxies.https",
            [
                (
                    json!({"proxies": {"https": "http://proxy:3128"}}),
                    both("HTTPS_PROXY"),
                ),
                (json!({"proxies": null}), neither()),
            ],
        ),
        row(
            "proxies.noProxy",
            [
                (
                    json!({"proxies": {"noProxy": ["localhost", ".example.com"]}}),
                    [
                        env("docker-personality", &["NO_PROXY=localhost,.example.com"]),
                        env("vicadmin", &["NO_PROXY=localhost,.example.com"]),
                    ]
                    .concat(),
                ),
                (json!({"proxies": null}), neither()),
            ],
        ),
    ]
}

fn network_rows() -> Vec<Row> {
    let address_of = |text: &str| {
        let octets: Vec<u8> = text.split('.').filter_map(|part| part.parse().ok()).collect();
        let mut bytes = [[0; 10].as_slice(), &[255, 255]].concat();
        bytes.extend(octets);
        BASE64.encode(bytes)
    };
    let short = |octets: [u8; 4]| BASE64.encode(octets);
    let routes = |role: &str, nets: &[([u8; 4], [u8; 4])]| {
        let at = format!("init/networks|{role}/network/destinations");
        let mut keys = vec![ro(&at, (nets.len() - 1).to_string())];
        for (number, (net, mask)) in nets.iter().enumerate() {
            keys.push(ro(&format!("{at}|{number}/IP"), short(*net)));
            keys.push(ro(&format!("{at}|{number}/Mask"), short(*mask)));
        }
        keys
    };
    let gateway = |role: &str| {
        let at = format!("init/networks|{role}/network/gateway");
        vec![
            ro(&format!("{at}/IP"), address_of("10.30.9.1")),
            ro(&format!("{at}/Mask"), short([255, 255, 255, 0])),
        ]
    };
    let role = |routes: &[&str]| json!({"networks": {"management": {"static": {"routes": routes}}}});
    let ten = ([10, 0, 0, 0], [255, 0, 0, 0]);
    let private = ([192, 168, 0, 0], [255, 255, 0, 0]);
    let dns = |servers: &[&str]| {
        let mut keys = Vec::new();
        for role in ["client", "management", "public"] {
            let at = format!("init/networks|{role}/network/dns");
            keys.push(ro(&at, (servers.len() - 1).to_string()));
            for (number, server) in servers.iter().enumerate() {
                keys.push(ro(&format!("{at}|{number}"), address_of(server)));
            }
        }
        keys
    };
    vec![
        row(
            "networks.management.static.routes",
            [
                (
                    role(&["10.0.0.0/8"]),
                    [routes("management", &[ten]), gateway("management")].concat(),
                ),
                (
                    role(&["10.0.0.0/8", "192.168.0.0/16"]),
                    routes("management", &[ten, private]),
                ),
            ],
        ),
        row(
            "networks.dnsServers",
            [
                (
                    json!({"networks": {"dnsServers": ["10.9.9.9"]}}),
                    dns(&["10.9.9.9"]),
                ),
                (
                    json!({"networks": {"dnsServers": ["10.9.9.9", "10.9.9.8"]}}),
                    dns(&["10.9.9.9", "10.9.9.8"]),
                ),
            ],
        ),
        row(
            "networks.bridge.range and width",
            [
                (
                    json!({"networks": {"bridge": {"range": "192.168.0.0/16", "width": 24}}}),
                    vec![
                        ro("network/bridge-ip-range/IP", short([192, 168, 0, 0])),
                        ro("network/bridge-ip-range/Mask", short([255, 255, 0, 0])),
                        ro("network/bridge-net-width", short([255, 255, 255, 0])),
                    ],
                ),
                (
                    json!({"networks": {"bridge": {"width": 20}}}),
                    vec![ro("network/bridge-net-width", short([255, 255, 240, 0]))],
                ),
            ],
        ),
    ]
}

fn volume_rows() -> Vec<Row> {
    let at = "storage/VolumeLocations";
    let url = |label: &str, scheme: &str, host: &str, path: &str, query: &str| {
        let nil = |text: &str| {
            if text.is_empty() {
                "<nil>".to_owned()
            } else {
                text.to_owned()
            }
        };
        let at = format!("{at}|{label}");
        vec![
            ro(&format!("{at}/Scheme"), scheme),
            ro(&format!("{at}/Host"), host),
            ro(&format!("{at}/Path"), path),
            ro(&format!("{at}/RawQuery"), nil(query)),
            ro(&format!("{at}/Opaque"), "<nil>"),
            ro(&format!("{at}/RawPath"), "<nil>"),
            ro(&format!("{at}/Fragment"), "<nil>"),
            ro(&format!("{at}/ForceQuery"), "false"),
        ]
    };
    let stores = |stores: Value| json!({"storage": {"volumeStores": stores}});
    let nfs = |nfs: Value| json!({"name": "default", "nfs": nfs});
    let disk = json!({"name": "fast", "datastore": "LocalDS_0", "path": "fast"});
    vec![row(
        "storage.volumeStores",
        [
            (
                stores(json!([nfs(
                    json!({"server": "nfs.example.com", "path": "/a", "uid": 7, "gid": 8})
                )])),
                [
                    vec![ro(at, "default")],
                    url("default", "nfs", "nfs.example.com", "/a", "uid=7&gid=8"),
                ]
                .concat(),
            ),
            (
                stores(json!([
                    nfs(json!({"server": "nfs.example.com", "path": "/b"})),
                    disk
                ])),
                [
                    vec![
                        ro(at, "default|fast"),
                        ro(&format!("{at}|default/Path"), "/b"),
                        ro(&format!("{at}|default/RawQuery"), "<nil>"),
                    ],
                    url("fast", "ds", "LocalDS_0", "[LocalDS_0] fast", ""),
                ]
                .concat(),
            ),
        ],
    )]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_field_changes_exactly_its_keys() -> Outcome {
    let world = World::with_site(Options::named("options")).await?;
    let more = json!({"nfsServers": ["nfs.example.com"]});
    world
        .resite(&json!({"tenants": tenants(&grants(&world.lab, &more))}))
        .await?;
    world.namespace(NAMESPACE).await?;
    let subnets = json!({"subnets": [{"gatewayAddress": "10.30.9.1/24"}]});
    world
        .bring_up(&[
            public(&world.lab, NAMESPACE, 120),
            segment(NAMESPACE, "bridge", &json!({})),
            vlan(NAMESPACE, "management", 130, &subnets),
        ])
        .await?;
    let changes = json!({
        "displayName": NAME,
        "networks": {
            "public": {"static": {"address": address(&world.lab, 60)}},
            "management": {"networkRef": {"name": "management"}, "static": {"address": "10.30.9.10"}},
        },
    });
    let host = world
        .create(&vch(&world.lab, NAMESPACE, "host", &changes))
        .await?;
    world.ready(&host).await?;
    let mut play = Play::new();
    let w = &world;
    for row in [plain_rows(), list_rows(), network_rows(), volume_rows()]
        .into_iter()
        .flatten()
    {
        play.scene(w, row.field, field_changes(w, &host, &row)).await;
    }
    play.scene(w, "all that is wrong is told at once", refused_at_once(w, &host))
        .await;
    play.scene(w, "an NFS server that is not granted", refused_nfs(w, &host))
        .await;
    play.end()
}

async fn refused_at_once(world: &World, host: &Key) -> Outcome {
    let wrong = json!({
        "endpoint": {"memory": "6Mi"},
        "storage": {"scratchSize": "1M", "quota": "0"},
        "networks": {"bridge": {"range": "10.30.0.0/16"}},
    });
    let right = json!({
        "endpoint": {"memory": "2Gi"},
        "storage": {"scratchSize": null, "quota": null},
        "networks": {"bridge": {"range": null, "width": null}},
    });
    let before = told(world).await?;
    world.change(host, &json!({"spec": wrong})).await?;
    let said = world.refused(host, "Accepted", "Invalid").await?;
    let fields = [
        "bridge.range",
        "endpoint.memory",
        "storage.scratchSize",
        "storage.quota",
    ];
    let lines: Vec<&str> = said.lines().collect();
    let each = fields.iter().all(|field| {
        lines
            .iter()
            .any(|line| line.starts_with("spec.") && line.contains(field))
    });
    demand(lines.len() == fields.len() && each, || said.clone())?;
    demand(told(world).await? == before, || {
        "something was written".to_owned()
    })?;
    world.change(host, &json!({"spec": right})).await?;
    world.ready(host).await?;
    Ok(())
}

/// What the guest is told: neither what it wrote itself, nor what is sealed anew each time, nor the operator's own.
async fn told(world: &World) -> Outcome<Keys> {
    let vm = in_vcenter(&world.lab, "vms", NAME).await?;
    let keys = vm.as_ref().and_then(|vm| vm.get("extra_config")).cloned();
    let keys: Keys = serde_json::from_value(keys.ok_or_else(|| Failure(format!("no VM {NAME}")))?)?;
    let own = |key: &String| {
        !key.contains("vice..")
            && !key.contains("@secret")
            && !key.starts_with("vic-operator.")
            && key != "guestinfo.ovfEnv"
    };
    Ok(keys.into_iter().filter(|(key, _)| own(key)).collect())
}

async fn field_changes(world: &World, host: &Key, row: &Row) -> Outcome {
    for (change, expected) in &row.changes {
        let before = told(world).await?;
        world.change(host, &json!({"spec": change})).await?;
        world.ready(host).await?;
        let after = told(world).await?;
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let changed: BTreeMap<&String, Option<&String>> = keys
            .into_iter()
            .filter(|key| before.get(*key) != after.get(*key))
            .map(|key| (key, after.get(key)))
            .collect();
        // A key that is written with the value it has already has not changed.
        let expected: BTreeMap<&String, Option<&String>> = expected
            .iter()
            .map(|(key, value)| (key, value.as_ref()))
            .filter(|(key, value)| before.get(*key) != *value)
            .collect();
        demand(!expected.is_empty() && changed == expected, || {
            format!("{change}: expected {expected:#?}, got {changed:#?}")
        })?;
    }
    Ok(())
}

async fn refused_nfs(world: &World, host: &Key) -> Outcome {
    let elsewhere = json!({"name": "default", "nfs": {"server": "10.99.0.1", "path": "/"}});
    let stores = json!({"spec": {"storage": {"volumeStores": [elsewhere]}}});
    world.change(host, &stores).await?;
    let said = world.refused(host, "Accepted", "NotAllowed").await?;
    demand(
        said.contains("NFS server 10.99.0.1") && said.contains(POC),
        || said.clone(),
    )?;
    world
        .change(host, &json!({"spec": {"storage": {"volumeStores": null}}}))
        .await?;
    world.ready(host).await?;
    world.ready(&site_key(POC)).await?;
    Ok(())
}
