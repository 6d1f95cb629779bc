//! Who may talk to whom: the distributed firewall for containers, told by packets between them.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;

use e2e::manifests::{
    HOST, NETWORK, POLICY, address, grants, key, policy, public, routed, segment, tenants, vch,
};
use e2e::outside::{Snapshot, container, delete, in_nsx, list, periods, put, text};
use e2e::traffic::Packet;
use e2e::{Failure, Outcome, Play, World, demand, equal};
use lab::Options;
use lab::kinds::{Key, condition, told};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The containers: name, VCH, network, address and labels.
const CONTAINERS: [(&str, &str, &str, &str, &str); 5] = [
    ("a", "one", "web", "10.30.40.11", "front"),
    ("b", "one", "web", "10.30.40.12", "back"),
    ("c", "one", "app", "10.30.41.11", "back"),
    ("d", "two", "web", "10.30.40.31", "front"),
    ("e", "three", "web", "10.30.40.51", "front"),
];
const GROUPS: &str = "/infra/domains/default/groups";
const POLICIES: &str = "/infra/domains/default/security-policies";

/// One pair of the table.
#[derive(Deserialize)]
struct Pair {
    name: String,
    policies: BTreeMap<String, Value>,
    packet: Probe,
    verdict: String,
    turn: Turn,
}

#[derive(Deserialize)]
struct Probe {
    from: String,
    to: String,
    port: u16,
    protocol: Option<String>,
}

/// The one thing that is removed or changed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Turn {
    Add(BTreeMap<String, Value>),
    Change(BTreeMap<String, Value>),
    Remove(String),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_meet_whom_policies_let_them_meet() -> Outcome {
    let options = Options {
        nsx_resync: Duration::from_secs(2),
        ..Options::named("microsegmentation")
    };
    let world = World::with_site(options).await?;
    stage(&world).await?;
    let mut play = Play::new();
    let w = &world;
    for pair in pairs()? {
        play.scene(w, &pair.name, turned(w, &pair)).await;
    }
    play.scene(
        w,
        "a container that is run later is governed at once",
        newcomer(w),
    )
    .await;
    play.scene(w, "nothing to select is legal and says so", nobody(w))
        .await;
    play.scene(w, "hand edits are repaired", repaired(w)).await;
    play.scene(
        w,
        "a policy that goes takes all of its own with it",
        leaves_nothing(w),
    )
    .await;
    play.scene(w, "Observe writes nothing and says what it would do", observed(w))
        .await;
    play.scene(w, "what the Site does not grant", not_granted(w))
        .await;
    play.scene(w, "a refusal to share reads like not-found", not_shared(w))
        .await;
    play.scene(
        w,
        "a network waits for the policies that name it",
        held_network(w),
    )
    .await;
    play.end()
}

fn pairs() -> Outcome<Vec<Pair>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/isolation.yaml");
    let text = std::fs::read_to_string(path)?;
    let wrong = |error: &dyn std::fmt::Display| Failure(format!("isolation.yaml: {error}"));
    // By way of JSON: YAML would have an enum written as a tag.
    let rows: Value = serde_yaml_ng::from_str(&text).map_err(|error| wrong(&error))?;
    serde_json::from_value(rows).map_err(|error| wrong(&error))
}

/// Three VCHs on two networks, in two namespaces, with their containers.
async fn stage(world: &World) -> Outcome {
    for namespace in ["seg", "other"] {
        world.namespace(namespace).await?;
    }
    let changes = json!({"groups": ["ops", "others"], "policySubjects": "Own"});
    world
        .resite(&json!({"tenants": tenants(&grants(&world.lab, &changes))}))
        .await?;
    let host = |namespace: &str, name: &str, last: u8, web: Value, more: &[Value]| {
        let mut containers = vec![json!({"name": "web", "networkRef": web, "trustLevel": "Open",
            "addressRanges": [format!("10.30.40.{last}-10.30.40.{}", last + 9)]})];
        containers.extend(more.iter().cloned());
        let changes = json!({"displayName": name, "networks": {
            "bridge": {"networkRef": {"name": format!("bridge-{name}")}},
            "public": {"static": {"address": address(&world.lab, last)}},
            "containers": containers}});
        vch(&world.lab, namespace, name, &changes)
    };
    let app = json!({"name": "app", "networkRef": {"name": "app"}, "trustLevel": "Open"});
    let manifests = [
        public(&world.lab, "seg", 120),
        public(&world.lab, "other", 121),
        routed("seg", "web", 40, &json!({"sharedWith": {"names": ["other"]}})),
        routed("seg", "app", 41, &json!({})),
        segment("seg", "bridge-one", &json!({})),
        segment("seg", "bridge-two", &json!({})),
        segment("other", "bridge-three", &json!({})),
        host("seg", "one", 11, json!({"name": "web"}), &[app]),
        host("seg", "two", 31, json!({"name": "web"}), &[]),
        host(
            "other",
            "three",
            51,
            json!({"name": "web", "namespace": "seg"}),
            &[],
        ),
    ];
    world.bring_up(&manifests).await?;
    for (name, host, network, ip, tier) in CONTAINERS {
        run(world, name, host, network, ip, tier).await?;
    }
    for (name, _, _, ip, _) in CONTAINERS {
        Packet::tcp("198.51.100.7", ip, 80)
            .will_reach(world, name)
            .await?;
    }
    tag(world, "d", &json!([{"scope": "role", "tag": "friend"}])).await?;
    for (id, ip) in [("ops", "10.30.40.11"), ("others", "10.30.40.99")] {
        let expression = json!([{"resource_type": "IPAddressExpression", "ip_addresses": [ip]}]);
        put(
            &world.lab,
            &format!("{GROUPS}/{id}"),
            &json!({"display_name": id, "expression": expression}),
        )
        .await?;
    }
    Ok(())
}

async fn run(world: &World, name: &str, host: &str, network: &str, ip: &str, tier: &str) -> Outcome {
    let request = json!({"action": "make", "vch": host, "name": name, "network": network, "ip": ip,
        "image": "nginx", "labels": {"tier": tier}});
    container(&world.lab, &request).await?;
    Ok(())
}

/// Tags the VM of a container, as an administrator of NSX would.
async fn tag(world: &World, container: &str, tags: &Value) -> Outcome {
    let admin = world.lab.nsx.admin()?;
    let machines = admin.get("/api/v1/fabric/virtual-machines").await?;
    let found = machines["results"].as_array().into_iter().flatten();
    let begins = format!("{container}-");
    let machine = found
        .into_iter()
        .find(|machine| text(machine, "display_name").starts_with(&begins))
        .ok_or_else(|| Failure(format!("NSX knows no VM of {container}: {machines}")))?;
    let body = json!({"external_id": text(machine, "external_id"), "tags": tags});
    admin
        .post("/api/v1/fabric/virtual-machines?action=update_tags", &body)
        .await?;
    Ok(())
}

fn address_of(container: &str) -> &'static str {
    let found = CONTAINERS.iter().find(|(name, ..)| *name == container);
    found.map(|(_, _, _, ip, _)| *ip).unwrap_or_default()
}

/// `name` or `namespace/name`.
fn named(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or(("seg", text))
}

fn key_of(text: &str) -> Key {
    let (namespace, name) = named(text);
    key(POLICY, namespace, name)
}

async fn declare(world: &World, policies: &BTreeMap<String, Value>) -> Outcome<Vec<Key>> {
    let manifests: Vec<Value> = policies
        .iter()
        .map(|(text, spec)| {
            let (namespace, name) = named(text);
            policy(namespace, name, spec)
        })
        .collect();
    world.bring_up(&manifests).await
}

/// A packet meets the verdict, and after the turn its opposite.
async fn turned(world: &World, pair: &Pair) -> Outcome {
    let mut keys = declare(world, &pair.policies).await?;
    let seen = both(world, pair, &mut keys).await;
    world.remove(&keys).await?;
    seen
}

async fn both(world: &World, pair: &Pair, keys: &mut Vec<Key>) -> Outcome {
    verdict(world, pair, &pair.verdict).await?;
    match &pair.turn {
        Turn::Add(policies) => keys.extend(declare(world, policies).await?),
        Turn::Change(changes) => {
            for (text, spec) in changes {
                world.change(&key_of(text), &json!({"spec": spec})).await?;
                settled(world, &key_of(text)).await?;
            }
        }
        Turn::Remove(text) => {
            let gone = key_of(text);
            world.remove(std::slice::from_ref(&gone)).await?;
            keys.retain(|key| *key != gone);
        }
    }
    verdict(
        world,
        pair,
        if pair.verdict == "dropped" {
            "delivered"
        } else {
            "dropped"
        },
    )
    .await
}

/// Ready for its present generation.
async fn settled(world: &World, key: &Key) -> Outcome {
    world
        .until(key, "to be ready with its change", |object| {
            condition(object, "Ready").is_some_and(|ready| {
                told(ready, "status") == "True"
                    && ready.get("observedGeneration").and_then(Value::as_i64) == object.metadata.generation
            })
        })
        .await?;
    Ok(())
}

/// A policy that follows another's is in effect a moment after it: hence the wait.
async fn verdict(world: &World, pair: &Pair, expected: &str) -> Outcome {
    let (from, to) = (address_of(&pair.packet.from), address_of(&pair.packet.to));
    let packet = match pair.packet.protocol.as_deref() {
        Some("UDP") => Packet::udp(from, to, pair.packet.port),
        _ => Packet::tcp(from, to, pair.packet.port),
    };
    let fate = packet
        .will(world, &format!("be {expected}"), |fate| fate.verdict == expected)
        .await?;
    if expected == "delivered" {
        let begins = format!("{}-", pair.packet.to);
        return demand(
            fate.vm.as_deref().is_some_and(|vm| vm.starts_with(&begins)),
            || format!("{fate:?}"),
        );
    }
    let rule = fate.rule.unwrap_or_default();
    demand(rule.starts_with(POLICIES), || {
        format!("a policy of the distributed firewall drops it: {rule}")
    })
}

fn isolated(names: &[&str]) -> Value {
    json!({"subject": [{"type": "Containers", "containers": {"vchRef": {"name": "one"}, "names": names}}],
        "defaultPosture": "Isolate"})
}

async fn newcomer(world: &World) -> Outcome {
    let keys = world
        .bring_up(&[policy("seg", "p", &isolated(&["late"]))])
        .await?;
    run(world, "late", "one", "web", "10.30.40.15", "late").await?;
    let packet = Packet::tcp(address_of("a"), "10.30.40.15", 80);
    packet.will_be_dropped(world).await?;
    world.remove(&keys).await?;
    packet.will_reach(world, "late").await?;
    container(
        &world.lab,
        &json!({"action": "remove", "vch": "one", "name": "late"}),
    )
    .await?;
    Ok(())
}

async fn nobody(world: &World) -> Outcome {
    let keys = world
        .bring_up(&[policy("seg", "p", &isolated(&["nobody"]))])
        .await?;
    let object = world.read(&keys[0]).await?;
    let ready = condition(&object, "Ready").cloned().unwrap_or_default();
    equal("the reason", told(&ready, "reason"), "NothingSelected")?;
    let target = condition(&object, "TargetResolved").cloned().unwrap_or_default();
    equal("TargetResolved", told(&target, "status"), "False")?;
    Packet::tcp(address_of("a"), address_of("b"), 80)
        .reaches(world, "b", None)
        .await?;
    world.remove(&keys).await
}

/// The security policy of an object.
async fn path_of(world: &World, key: &Key) -> Outcome<String> {
    let object = world.read(key).await?;
    Ok(object
        .data
        .pointer("/status/policyPath")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned())
}

async fn repaired(world: &World) -> Outcome {
    let keys = world.bring_up(&[policy("seg", "p", &isolated(&["b"]))]).await?;
    let path = path_of(world, &keys[0]).await?;
    let packet = Packet::tcp(address_of("a"), address_of("b"), 80);
    packet.is_dropped(world).await?;
    let rule = format!("{path}/rules/in-default.isolate");
    put(&world.lab, &rule, &json!({"action": "ALLOW"})).await?;
    packet.will_reach(world, "b").await?;
    packet.will_be_dropped(world).await?;
    delete(&world.lab, &rule).await?;
    packet.will_reach(world, "b").await?;
    packet.will_be_dropped(world).await?;
    let group = format!("{GROUPS}/{}-subject", path.rsplit('/').next().unwrap_or_default());
    put(&world.lab, &group, &json!({"expression": []})).await?;
    packet.will_reach(world, "b").await?;
    packet.will_be_dropped(world).await?;
    world.remove(&keys).await
}

async fn leaves_nothing(world: &World) -> Outcome {
    periods(world, 1).await?;
    let before = Snapshot::take(&world.lab).await?;
    let mut spec = isolated(&["b"]);
    spec["ingress"] =
        json!([{"name": "web", "from": [{"type": "Containers", "containers": {"vchRef": {"name": "one"}}}]}]);
    let keys = world.bring_up(&[policy("seg", "p", &spec)]).await?;
    let path = path_of(world, &keys[0]).await?;
    equal(
        "rules in NSX",
        list(&world.lab, &format!("{path}/rules")).await?.len(),
        3,
    )?;
    // A rule that goes takes the group along that only it named.
    let group = format!("{GROUPS}/{}-in-web", path.rsplit('/').next().unwrap_or_default());
    demand(in_nsx(&world.lab, &group).await?.is_some(), || {
        format!("{group} should be there")
    })?;
    world
        .change(&keys[0], &json!({"spec": {"ingress": null}}))
        .await?;
    settled(world, &keys[0]).await?;
    demand(in_nsx(&world.lab, &group).await?.is_none(), || {
        format!("{group} should be gone")
    })?;
    world.remove(&keys).await?;
    before.comes_back(world, &[]).await
}

async fn observed(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let mut spec = isolated(&["b"]);
    spec["managementPolicy"] = json!("Observe");
    let key = world.create(&policy("seg", "p", &spec)).await?;
    world.refused(&key, "Programmed", "Drifted").await?;
    let object = world.read(&key).await?;
    let plan = object
        .data
        .pointer("/status/plan")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    equal("lines of the plan", plan.len(), 4)?;
    before.is_unchanged(&world.lab).await?;
    world.remove(&[key]).await
}

async fn not_granted(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let cases = [
        (
            "machines",
            json!({"type": "VirtualMachines", "virtualMachines": {"namePrefix": "e-"}}),
            "VMs that no VCH made",
        ),
        (
            "shared",
            json!({"type": "Network", "network": {"networkRef": {"name": "web"}}}),
            "network web, which other namespaces share",
        ),
        (
            "group",
            json!({"type": "Group", "group": {"name": "ops"}}),
            "group ops",
        ),
    ];
    for (name, subject, what) in cases {
        let manifest = policy(
            "seg",
            name,
            &json!({"subject": [subject], "defaultPosture": "Isolate"}),
        );
        let key = world.create(&manifest).await?;
        let said = world.refused(&key, "Accepted", "NotAllowed").await?;
        demand(said.contains(what), || format!("{name}: {said}"))?;
        world.remove(&[key]).await?;
    }
    let mut spec = isolated(&["b"]);
    spec["ingress"] = json!([{"name": "x", "from": [{"type": "Group", "group": {"name": "default"}}]}]);
    put(
        &world.lab,
        &format!("{GROUPS}/default"),
        &json!({"display_name": "default", "expression": []}),
    )
    .await?;
    let key = world.create(&policy("seg", "p", &spec)).await?;
    world.refused(&key, "Accepted", "NotAllowed").await?;
    world.remove(&[key]).await?;
    delete(&world.lab, &format!("{GROUPS}/default")).await?;
    before.comes_back(world, &[]).await
}

async fn not_shared(world: &World) -> Outcome {
    let mut mine = json!({"subject": [{"type": "Containers", "containers": {"vchRef": {"name": "three"}}}], "defaultPosture": "Allow"});
    mine["sharedWith"] = json!({"names": ["elsewhere"]});
    let theirs = world.bring_up(&[policy("other", "mine", &mine)]).await?;
    let mut sentences = Vec::new();
    for name in ["mine", "none"] {
        let mut spec = isolated(&["b"]);
        spec["ingress"] = json!([{"name": "x", "from": [{"type": "Policy", "policy": {"policyRef": {"name": name, "namespace": "other"}}}]}]);
        let key = world.create(&policy("seg", "p", &spec)).await?;
        sentences.push(
            world
                .refused(&key, "ResolvedRefs", "PolicyNotFound")
                .await?
                .replace(name, "X"),
        );
        world.remove(&[key]).await?;
    }
    equal("a refusal", sentences[0].as_str(), sentences[1].as_str())?;
    // A network that is not shared is not there either.
    let spec = json!({"subject": [{"type": "Containers", "containers": {"vchRef": {"name": "three"}}}], "defaultPosture": "Isolate",
        "ingress": [{"name": "x", "from": [{"type": "Network", "network": {"networkRef": {"name": "app", "namespace": "seg"}}}]}]});
    let key = world.create(&policy("other", "p", &spec)).await?;
    world.refused(&key, "ResolvedRefs", "NetworkNotFound").await?;
    // Consent comes later, and is enough.
    world
        .change(
            &e2e::manifests::key(NETWORK, "seg", "app"),
            &json!({"spec": {"sharedWith": {"names": ["other"]}}}),
        )
        .await?;
    world.ready(&key).await?;
    world.remove(&[key, theirs[0].clone()]).await?;
    world
        .change(
            &e2e::manifests::key(NETWORK, "seg", "app"),
            &json!({"spec": {"sharedWith": null}}),
        )
        .await
}

async fn held_network(world: &World) -> Outcome {
    let network = world.bring_up(&[routed("seg", "held", 42, &json!({}))]).await?;
    let spec = json!({"subject": [{"type": "Network", "network": {"networkRef": {"name": "held"}}}], "defaultPosture": "Isolate"});
    let policies = world.bring_up(&[policy("seg", "p", &spec)]).await?;
    world.delete(&network[0]).await?;
    let said = world.refused(&network[0], "Programmed", "InUse").await?;
    equal(
        "its sentence",
        said.as_str(),
        "1 object still uses it: MicrosegmentationPolicy seg/p.",
    )?;
    world.remove(&policies).await?;
    world.gone(&network).await?;
    // The VCHs are still there: nothing else waits for them.
    world.ready(&key(HOST, "seg", "one")).await?;
    Ok(())
}
