//! A VCH as the operator makes it beside one that vic-machine 1.5.8 made of the same wishes: nothing differs but what
//! [`MAY_DIFFER`] says, and it costs a sixth of the calls.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use e2e::golden::{Flat, How, MayDiffer, flatten, may, unexplained};
use e2e::manifests::{HOST, address, grants, key, merged, tenants, vch, vlan};
use e2e::outside::{Calls, KEPT, Snapshot, text};
use e2e::{Failure, Outcome, Play, World, demand};
use lab::Options;
use lab::kinds::Key;
use serde_json::{Value, json};

/// The host that vic-machine made, as vCenter showed it and as it was on the wire.
const GOLDEN: &str = include_str!("../fixtures/golden/vch.json");
const NAMESPACE: &str = "golden";
/// vic-machine needs 193 calls to make it and 202 to delete it.
const CREATE_CALLS: usize = 30;
const DELETE_CALLS: usize = 25;

/// All that may differ from the golden host.
const MAY_DIFFER: &[MayDiffer] = &[
    // Secrets and certificates.
    may(
        "extraConfig*/guestinfo.ovfEnv",
        How::Own,
        "the key that seals secrets is random",
    ),
    may(
        "extraConfig*@secret",
        How::Own,
        "sealed with that key; that the guest came up tells that they open",
    ),
    may(
        "extraConfig*/cert/HostCertificate/Cert",
        How::Own,
        "each host has a certificate of its own",
    ),
    may(
        "extraConfig*/connect/target_thumbprint",
        How::Own,
        "that of this laboratory's certificate",
    ),
    may(
        "extraConfig*/connect/username",
        How::Own,
        "a host never carries the account that made it",
    ),
    // References and addresses.
    may(
        "extraConfig*/connect/target",
        How::Translated,
        "this laboratory's vCenter",
    ),
    may(
        "extraConfig*/cmd/Env~",
        How::Translated,
        "this laboratory's vCenter",
    ),
    may(
        "extraConfig*/Common/id",
        How::Translated,
        "references of networks",
    ),
    may(
        "extraConfig*/init/common/id",
        How::Translated,
        "the machine's own reference",
    ),
    may(
        "extraConfig*/ComputeResources|0/Value",
        How::Translated,
        "the pool's reference",
    ),
    may(
        "extraConfig*/IP",
        How::Translated,
        "addresses in this laboratory's network",
    ),
    may(
        "extraConfig*.IP",
        How::Translated,
        "the same, as the guest reports them",
    ),
    may(
        "*/port/portgroupKey",
        How::Translated,
        "references of port groups",
    ),
    may("machine/moref", How::Translated, "the machine's reference"),
    may("machine/parent", How::Translated, "its folder's"),
    may("machine/resourcePool", How::Translated, "its pool's"),
    may("machine/network/*", How::Translated, "its networks'"),
    // What vCenter or the guest chooses.
    may("machine/config/changeVersion", How::Own, "vCenter counts changes"),
    may("machine/config/modified", How::Own, "vCenter's time"),
    may("machine/config/createDate", How::Own, "vCenter's time"),
    may(
        "machine/config/hardware/device/*/key",
        How::Own,
        "vCenter numbers devices as they come",
    ),
    may(
        "machine/config/hardware/device/*/deviceInfo/label",
        How::Own,
        "it tells that number",
    ),
    may("pool/config/changeVersion", How::Added, "vCenter counts changes"),
    may("pool/config/lastModified", How::Added, "vCenter's time"),
    may(
        "pool/config/entity/*",
        How::Added,
        "vCenter says of what it speaks",
    ),
    may(
        "pool/config/*/shares/shares",
        How::Own,
        "vCenter knows the number of a level",
    ),
    may("extraConfig/govcsim", How::Added, "the simulator's own key"),
    may(
        "extraConfig/*|bridge.assigned.Mask",
        How::Own,
        "the guest takes the first network of the bridge range",
    ),
    may("files/*/vmware.log", How::Own, "the simulator's own log"),
    may(
        "files/*/tether.debug",
        How::Added,
        "the guest wrote to its serial port",
    ),
    // Images lie once for all hosts, in a directory of the operator.
    may(
        "extraConfig*/container/bootstrap_image_path",
        How::Own,
        "where the image lies",
    ),
    may("*VirtualCdrom*/fileName", How::Own, "where the image lies"),
    may(
        "machine/*VirtualCdrom/deviceInfo/summary",
        How::Own,
        "where the image lies",
    ),
    may("files/*.iso", How::Missing, "where images lie"),
    may("files/[LocalDS_0] vic-operator/*", How::Added, "where images lie"),
    // What only vic-machine knows or leaves.
    may(
        "extraConfig*/init/version/BuildDate",
        How::Own,
        "an image does not tell when it was built",
    ),
    may(
        "extraConfig*/vic_machine_create_options*",
        How::Missing,
        "there was no command line",
    ),
    may("files/*vic-machine_*.log", How::Missing, "vic-machine's log"),
    // Ours.
    may("extraConfig*/vic-operator.*", How::Added, "our mark"),
    may(
        "specs/*/device/key",
        How::Own,
        "each new device has a key of its own in a request, not -1 for all",
    ),
    may(
        "specs/ReconfigVM_Task#1_addSerialPort/*",
        How::Missing,
        "the serial port is made with its file at once",
    ),
    may(
        "specs/*VirtualSerialPort/operation",
        How::Own,
        "so it is made, not changed",
    ),
    may(
        "specs/*VirtualSerialPort/device/deviceInfo/*",
        How::Missing,
        "and has no label yet",
    ),
    may(
        "extraConfigAtCreateVM/*VolumeLocations|default/Path",
        How::Own,
        "the first configuration, which no guest reads, has the final path already",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_what_vic_machine_makes_of_it() -> Outcome {
    let world = World::with_site(Options::named("golden")).await?;
    let more = json!({
        "resourcePools": ["DC0_C0/Resources"],
        "subnets": [world.lab.network().subnet(), "192.168.30.0/24"],
    });
    world
        .resite(&json!({"tenants": tenants(&grants(&world.lab, &more))}))
        .await?;
    world.namespace(NAMESPACE).await?;
    world.bring_up(&networks(&world)).await?;
    let before = Snapshot::take(&world.lab).await?;
    let mut play = Play::new();
    let w = &world;
    play.scene(w, "made with few calls and no difference", made(w))
        .await;
    play.scene(w, "deleted with few calls and nothing left", deleted(w, &before))
        .await;
    play.end()
}

/// The networks and the host that the golden one's arguments ask for.
fn networks(world: &World) -> Vec<Value> {
    let subnet = |gateway: String| json!([{"gatewayAddress": gateway, "dnsServers": ["10.66.0.53"]}]);
    let named =
        |name: &str, subnets: Value| json!({"displayName": format!("vic-{name}"), "subnets": subnets});
    let public = subnet(format!("{}/24", world.lab.network().gateway()));
    vec![
        vlan(NAMESPACE, "bridge", 110, &json!({"displayName": "vic-bridge"})),
        vlan(NAMESPACE, "public", 120, &named("public", public)),
        vlan(
            NAMESPACE,
            "app",
            130,
            &named("app", subnet("192.168.30.1/24".to_owned())),
        ),
    ]
}

fn host(world: &World) -> Value {
    let wishes = json!({
        "displayName": "vch1",
        "endpoint": {"cpus": 2, "memory": "4Gi", "debugLevel": 1},
        "compute": {
            "resourcePool": "DC0_C0/Resources",
            "cpu": {"limitMHz": 4000, "reservationMHz": 500},
            "memory": {"limit": "8Gi", "reservation": "1Gi"},
        },
        "storage": {
            "imagePath": "vch1-images",
            "volumeStores": [{"name": "default", "datastore": "LocalDS_0", "path": "vch1-volumes"}],
        },
        "networks": {
            "bridge": {"range": "172.16.0.0/12"},
            "public": {"static": {"address": address(&world.lab, 50)}},
            "containers": [{
                "name": "app", "networkRef": {"name": "app"}, "trustLevel": "Open",
                "addressRanges": ["192.168.30.10-192.168.30.99"],
            }],
            "dnsServers": ["10.66.0.53"],
        },
        "tls": {"mode": "NoVerify"},
        "onDelete": {"volumes": "Delete"},
    });
    vch(&world.lab, NAMESPACE, "vch1", &wishes)
}

fn host_key() -> Key {
    key(HOST, NAMESPACE, "vch1")
}

async fn made(world: &World) -> Outcome {
    let before = Before::take(world).await?;
    Calls::forget(&world.lab).await?;
    let key = world.create(&host(world)).await?;
    world.ready(&key).await?;
    few("made", &Calls::read(&world.lab).await?, CREATE_CALLS)?;

    let golden: Value = serde_json::from_str(GOLDEN)?;
    let mut expected = Flat::new();
    let mut got = Flat::new();
    for (part, value) in actual(world, &before).await? {
        flatten(part, golden.get(part).unwrap_or(&Value::Null), &mut expected);
        flatten(part, &value, &mut got);
    }
    let written = golden.get("guestWritten").unwrap_or(&Value::Null);
    flatten("extraConfig", written, &mut expected);
    let translation = Translation::new(world, &expected, &got, &groups(world, &golden).await?);
    let found = unexplained(&expected, &got, MAY_DIFFER, |text| translation.of(text));
    demand(found.is_empty(), || {
        format!("{} differences:\n{}", found.len(), found.join("\n"))
    })
}

fn few(what: &str, calls: &Calls, most: usize) -> Outcome {
    let names: Vec<&str> = calls.vcenter.iter().map(|call| call.method.as_str()).collect();
    println!("{what} with {} calls: {}", names.len(), names.join(" "));
    demand(names.len() <= most, || {
        format!("{what} with {} calls, not {most}: {names:?}", names.len())
    })
}

/// The host as vCenter shows it and as it was asked for, in the shape of the golden one.
async fn actual(world: &World, before: &Before) -> Outcome<BTreeMap<&'static str, Value>> {
    let dump = world.lab.vcenter.control.get("/dump").await?;
    let named = |list: &str| {
        let found = members(&dump, list).find(|member| text(member, "name") == "vch1");
        found.ok_or_else(|| Failure(format!("vCenter has no vch1 among its {list}")))
    };
    let (vm, pool, folder) = (named("vms")?, named("pools")?, named("folders")?);
    let parent = |list: &str, object: &Value| {
        let path = text(object, "path");
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let found = members(&dump, list).find(|member| text(member, "path") == above);
        found.map(|found| text(found, "moref").to_owned())
    };
    let machine = world
        .lab
        .vcenter
        .control
        .get(&format!("/vms/{}", text(vm, "moref")))
        .await?;
    let files = members(&dump, "files").filter(|file| !before.files.contains(text(file, "path")));
    let Asked {
        created,
        at_create,
        specs,
    } = asked(world, before.sent).await?;
    Ok(BTreeMap::from([
        ("machine", machine),
        ("extraConfig", vm.get("extra_config").cloned().unwrap_or_default()),
        ("extraConfigAtCreateVM", at_create),
        (
            "pool",
            json!({"name": "vch1", "parent": parent("pools", pool), "created": created, "config": pool.get("config")}),
        ),
        (
            "folder",
            json!({"name": "vch1", "parent": parent("folders", folder)}),
        ),
        ("specs", specs),
        (
            "files",
            files
                .map(|file| (text(file, "path").to_owned(), file.get("size").cloned()))
                .collect(),
        ),
    ]))
}

fn members<'a>(dump: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    dump.get(list).and_then(Value::as_array).into_iter().flatten()
}

/// What vCenter was asked for, beside the keys: those are compared as it has them.
#[derive(Default)]
struct Asked {
    created: Value,
    at_create: Value,
    specs: Value,
}

async fn asked(world: &World, before: usize) -> Outcome<Asked> {
    let sent = world.lab.vcenter.control.get("/sent").await?;
    let mut asked = Asked::default();
    for request in sent.as_array().into_iter().flatten().skip(before) {
        let body = |name: &str| {
            request
                .pointer(&format!("/body/{name}"))
                .cloned()
                .unwrap_or_default()
        };
        let split = |mut spec: Value| {
            let keys = spec.as_object_mut().and_then(|spec| spec.remove("extraConfig"));
            (spec, keys.unwrap_or_default())
        };
        let (name, spec) = match text(request, "method") {
            "CreateVM_Task" => {
                let (spec, keys) = split(body("config"));
                let keys = keys.as_array().into_iter().flatten();
                asked.at_create = keys
                    .map(|option| (text(option, "key").to_owned(), option.get("value").cloned()))
                    .collect();
                ("CreateVM_Task", spec)
            }
            "ReconfigVM_Task" => ("ReconfigVM_Task#2_final", split(body("spec")).0),
            "CreateResourcePool" => {
                asked.created = body("spec");
                continue;
            }
            _ => continue,
        };
        asked.specs = merged(asked.specs, &json!({name: spec}));
    }
    Ok(asked)
}

/// What was there before the host.
struct Before {
    sent: usize,
    files: BTreeSet<String>,
}

impl Before {
    async fn take(world: &World) -> Outcome<Self> {
        let control = &world.lab.vcenter.control;
        let (sent, dump) = (control.get("/sent").await?, control.get("/dump").await?);
        Ok(Self {
            sent: sent.as_array().map_or(0, Vec::len),
            files: members(&dump, "files")
                .map(|file| text(file, "path").to_owned())
                .collect(),
        })
    }
}

/// What the golden host's texts are in this laboratory: its addresses, and the references of its objects.
struct Translation {
    /// Whole texts.
    references: BTreeMap<String, String>,
    /// Parts of texts.
    parts: Vec<(String, String)>,
    /// The first three numbers of the host's network.
    network: [u8; 3],
}

/// The first three numbers of the golden host's network.
const GOLDEN_NETWORK: [u8; 3] = [10, 66, 1];

impl Translation {
    fn new(world: &World, expected: &Flat, got: &Flat, groups: &[(String, String)]) -> Self {
        let [a, b, c, _] = world.lab.network().subnet().network().octets();
        let dotted = |[a, b, c]: [u8; 3]| format!("{a}.{b}.{c}.");
        let both = |leaf: &str| Some((expected.get(leaf)?.clone(), got.get(leaf)?.clone()));
        let mut parts = vec![
            (dotted(GOLDEN_NETWORK), dotted([a, b, c])),
            ("https://10.66.0.10".to_owned(), world.lab.vcenter.url.clone()),
        ];
        // The switch is known by the card on it.
        parts.extend(both(
            "machine/config/hardware/device/VirtualVmxnet3[1184]/backing/port/switchUuid",
        ));
        let mut references: BTreeMap<String, String> = groups.iter().cloned().collect();
        for leaf in [
            "machine/moref",
            "machine/parent",
            "machine/resourcePool",
            "machine/datastore/0",
            "pool/parent",
            "folder/parent",
        ] {
            references.extend(both(leaf));
        }
        // Some places name the type beside, others do not.
        let id = |moref: &str| moref.rsplit(':').next().unwrap_or(moref).to_owned();
        let ids: Vec<_> = references.iter().map(|(from, to)| (id(from), id(to))).collect();
        references.extend(ids);
        Self {
            references,
            parts,
            network: [a, b, c],
        }
    }

    fn of(&self, text: &str) -> String {
        if let Some(known) = self.references.get(text).cloned().or_else(|| self.address(text)) {
            return known;
        }
        self.parts
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// An address of the golden network as VIC writes it: 16 bytes in base64.
    fn address(&self, text: &str) -> Option<String> {
        let mut bytes = BASE64.decode(text).ok().filter(|bytes| bytes.len() == 16)?;
        let network = bytes.get_mut(12..15)?;
        if *network != GOLDEN_NETWORK {
            return None;
        }
        network.copy_from_slice(&self.network);
        Some(BASE64.encode(bytes))
    }
}

/// References of the golden port groups and of ours of the same names.
async fn groups(world: &World, golden: &Value) -> Outcome<Vec<(String, String)>> {
    let dump = world.lab.vcenter.control.get("/dump").await?;
    let inventory = golden.get("inventory").and_then(Value::as_object);
    Ok(inventory
        .into_iter()
        .flatten()
        .filter_map(|(moref, name)| {
            let ours = members(&dump, "port_groups").find(|group| group.get("name") == Some(name))?;
            Some((moref.clone(), text(ours, "moref").to_owned()))
        })
        .collect())
}

async fn deleted(world: &World, before: &Snapshot) -> Outcome {
    Calls::forget(&world.lab).await?;
    world.remove(&[host_key()]).await?;
    few("deleted", &Calls::read(&world.lab).await?, DELETE_CALLS)?;
    before.comes_back(world, &KEPT).await
}
