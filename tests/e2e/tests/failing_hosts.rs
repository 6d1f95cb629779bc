//! What can be wrong with a container host: each says so in one sentence, leaves nothing half done, and goes on by
//! itself when the cause is gone.

#![cfg(test)]

use e2e::manifests::{HOST, RELEASE, address, key, public, releases, segment, vch};
use e2e::outside::{KEPT, Snapshot, container, edit, in_vcenter};
use e2e::{Outcome, Play, World, demand, equal};
use lab::Options;
use lab::kinds::Key;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_host_is_said_and_recovers_by_itself() -> Outcome {
    let world = World::with_site(Options::named("failing-hosts")).await?;
    let mut play = Play::new();
    let w = &world;
    play.scene(w, "a checksum that is not the image's", bad_checksum(w))
        .await;
    play.scene(w, "a datastore that does not exist", missing_datastore(w))
        .await;
    play.scene(w, "a release that the Site does not have", unknown_release(w))
        .await;
    play.scene(w, "a network that does not exist", missing_network(w))
        .await;
    play.scene(w, "a bridge that is another's", shared_bridge(w))
        .await;
    play.scene(w, "a pool that is not granted", pool_not_granted(w))
        .await;
    play.scene(
        w,
        "a part of the endpoint VM that does not start",
        component_fails(w),
    )
    .await;
    play.scene(
        w,
        "containers that run when the host is deleted",
        running_containers(w),
    )
    .await;
    play.scene(
        w,
        "containers that end while the host waits for them",
        containers_end(w),
    )
    .await;
    play.scene(w, "a name that is taken", taken_name(w)).await;
    play.end()
}

/// A stage of its own for each scene, so that what one leaves does not trouble the next.
struct Stage<'a> {
    world: &'a World,
    namespace: &'a str,
    /// The host's address, by its last number.
    address: u8,
    before: Snapshot,
}

impl<'a> Stage<'a> {
    /// A namespace with the networks that hosts need, and all as it is before there is a host.
    async fn set(world: &'a World, namespace: &'a str, address: u8) -> Outcome<Self> {
        world.namespace(namespace).await?;
        let vlan = 100 + u16::from(address);
        let networks = [
            public(&world.lab, namespace, vlan),
            segment(namespace, "bridge", &json!({})),
        ];
        world.bring_up(&networks).await?;
        let before = Snapshot::take(&world.lab).await?;
        Ok(Self {
            world,
            namespace,
            address,
            before,
        })
    }

    async fn declare(&self, name: &str, changes: &Value) -> Outcome<Key> {
        let address = address(&self.world.lab, self.address);
        let at = json!({"networks": {"public": {"static": {"address": address}}}});
        let at = e2e::manifests::merged(at, changes);
        self.world
            .create(&vch(&self.world.lab, self.namespace, name, &at))
            .await
    }

    /// The host is refused, with a sentence that names `what`, and nothing was written.
    async fn refuses(&self, host: &Key, at: (&str, &str), what: &str) -> Outcome {
        let said = self.world.refused(host, at.0, at.1).await?;
        demand(said.contains(what), || format!("should name {what}: {said}"))?;
        self.before.is_unchanged(&self.world.lab).await
    }

    /// The host comes up by itself, and goes without a trace.
    async fn comes_up_and_goes(&self, host: Key) -> Outcome {
        self.world.ready(&host).await?;
        self.world.remove(&[host]).await?;
        self.before.comes_back(self.world, &KEPT).await
    }
}

fn spec(changes: &Value) -> Value {
    json!({"spec": changes})
}

async fn bad_checksum(world: &World) -> Outcome {
    let stage = Stage::set(world, "checksum", 10).await?;
    let good = releases(&world.lab)?;
    let mut bad = good.clone();
    bad[0]["bootstrapISO"]["sha256"] = json!("b".repeat(64));
    world.resite(&json!({"releases": bad})).await?;
    let host = stage.declare("vch", &json!({})).await?;
    let said = world.refused(&host, "Programmed", "ChecksumMismatch").await;
    let changes = stage.before.changes(&Snapshot::take(&world.lab).await?);
    world.resite(&json!({"releases": good})).await?;
    let said = said?;
    demand(said.contains("bootstrap.iso"), || said.clone())?;
    // No half image, and nothing that has the wrong content: the right appliance may stay for the next attempt.
    demand(!changes.iter().any(|change| change.contains("bootstrap")), || {
        format!("{changes:?}")
    })?;
    stage.comes_up_and_goes(host).await?;
    let left: Vec<&String> = changes
        .iter()
        .filter(|change| !KEPT.iter().any(|kept| change.contains(kept)))
        .collect();
    demand(left.is_empty(), || {
        format!("made before the images were there: {left:?}")
    })
}

async fn missing_datastore(world: &World) -> Outcome {
    let stage = Stage::set(world, "datastore", 11).await?;
    world
        .resite(&json!({"defaults": {"datastore": "LocalDS_9"}}))
        .await?;
    let host = stage.declare("vch", &json!({})).await?;
    let refused = stage
        .refuses(&host, ("ResolvedRefs", "NotFound"), "LocalDS_9")
        .await;
    world
        .resite(&json!({"defaults": {"datastore": "LocalDS_0"}}))
        .await?;
    refused?;
    stage.comes_up_and_goes(host).await
}

async fn unknown_release(world: &World) -> Outcome {
    let stage = Stage::set(world, "release", 12).await?;
    let host = stage.declare("vch", &json!({"version": "v9.9.9"})).await?;
    stage
        .refuses(&host, ("Accepted", "ReleaseUnknown"), "v9.9.9")
        .await?;
    world.change(&host, &spec(&json!({"version": RELEASE}))).await?;
    stage.comes_up_and_goes(host).await
}

async fn missing_network(world: &World) -> Outcome {
    let stage = Stage::set(world, "network", 13).await?;
    let elsewhere = json!({"networks": {"bridge": {"networkRef": {"name": "later"}}}});
    let host = stage.declare("vch", &elsewhere).await?;
    stage
        .refuses(&host, ("ResolvedRefs", "NetworkNotFound"), "later")
        .await?;
    let network = world.create(&segment("network", "later", &json!({}))).await?;
    world.all_ready(&[network.clone(), host.clone()]).await?;
    world.remove(&[host, network]).await?;
    stage.before.comes_back(world, &KEPT).await
}

async fn shared_bridge(world: &World) -> Outcome {
    let mut stage = Stage::set(world, "bridged", 14).await?;
    let first = stage.declare("first", &json!({})).await?;
    world.ready(&first).await?;
    let alone = std::mem::replace(&mut stage.before, Snapshot::take(&world.lab).await?);
    stage.address = 15;
    let second = stage.declare("second", &json!({})).await?;
    stage
        .refuses(&second, ("Programmed", "Conflict"), "first")
        .await?;
    world.remove(&[first]).await?;
    stage.before = alone;
    stage.comes_up_and_goes(second).await
}

async fn pool_not_granted(world: &World) -> Outcome {
    let stage = Stage::set(world, "pool", 16).await?;
    let host = stage
        .declare("vch", &json!({"compute": {"resourcePool": "DC0_C0/Resources"}}))
        .await?;
    stage
        .refuses(&host, ("Accepted", "NotAllowed"), "DC0_C0/Resources")
        .await?;
    world
        .change(&host, &spec(&json!({"compute": {"resourcePool": null}})))
        .await?;
    stage.comes_up_and_goes(host).await
}

async fn component_fails(world: &World) -> Outcome {
    let stage = Stage::set(world, "component", 17).await?;
    let tune = async |behaviour: &str| {
        let guests = json!({"guests": {"component-vch": behaviour}});
        world.lab.vcenter.control.post("/tune", &guests).await
    };
    tune("component-fails").await?;
    let host = stage.declare("vch", &json!({})).await?;
    world.refused(&host, "Programmed", "ComponentFailed").await?;
    tune("ok").await?;
    // A restart of the endpoint VM by hand is what helps; that it came up is seen.
    edit(&world.lab, &json!({"what": "power-off", "vm": "component-vch"})).await?;
    stage.comes_up_and_goes(host).await
}

/// A host that is to be deleted while two containers run.
async fn busy(stage: &Stage<'_>) -> Outcome<Key> {
    let (world, name) = (stage.world, format!("{}-vch", stage.namespace));
    let host = stage.declare("vch", &json!({})).await?;
    world.ready(&host).await?;
    for n in ["one", "two"] {
        let request =
            json!({"action": "make", "vch": name, "name": n, "network": "bridge", "image": "nginx"});
        container(&world.lab, &request).await?;
    }
    let running = Snapshot::take(&world.lab).await?;
    world.delete(&host).await?;
    let said = world.refused(&host, "Programmed", "ContainersRunning").await?;
    demand(
        said.contains('2') && said.contains("runningContainers: Remove"),
        || said.clone(),
    )?;
    running.is_unchanged(&world.lab).await?;
    Ok(host)
}

async fn running_containers(world: &World) -> Outcome {
    let stage = Stage::set(world, "busy", 18).await?;
    let host = busy(&stage).await?;
    world
        .change(
            &host,
            &spec(&json!({"onDelete": {"runningContainers": "Remove"}})),
        )
        .await?;
    world.gone(&[host]).await?;
    stage.before.comes_back(world, &KEPT).await
}

async fn containers_end(world: &World) -> Outcome {
    let stage = Stage::set(world, "ending", 19).await?;
    let host = busy(&stage).await?;
    for n in ["one", "two"] {
        container(
            &world.lab,
            &json!({"action": "remove", "vch": "ending-vch", "name": n}),
        )
        .await?;
    }
    world.gone(&[host]).await?;
    stage.before.comes_back(world, &KEPT).await
}

/// What a host leaves with `Retain` is nobody's: the next one of that name does not take it over.
async fn taken_name(world: &World) -> Outcome {
    let mut stage = Stage::set(world, "taken", 20).await?;
    let keeper = stage
        .declare(
            "keeper",
            &json!({"displayName": "taken", "deletionPolicy": "Retain"}),
        )
        .await?;
    world.ready(&keeper).await?;
    world.remove(&[keeper]).await?;
    for list in ["vms", "pools", "folders"] {
        let object = in_vcenter(&world.lab, list, "taken").await?;
        let marks = object
            .as_ref()
            .and_then(|object| object.get("marks"))
            .and_then(Value::as_object);
        let unmarked = marks.is_some_and(|marks| marks.values().all(|mark| mark == ""));
        demand(unmarked, || {
            format!("{list}: taken should be there without our mark: {object:?}")
        })?;
    }
    let alone = std::mem::replace(&mut stage.before, Snapshot::take(&world.lab).await?);
    stage.address = 21;
    let newcomer = stage
        .declare("newcomer", &json!({"displayName": "taken"}))
        .await?;
    stage
        .refuses(&newcomer, ("Programmed", "Conflict"), "taken")
        .await?;
    for kind in ["VirtualMachine", "ResourcePool", "Folder"] {
        edit(
            &world.lab,
            &json!({"what": "destroy", "type": kind, "name": "taken"}),
        )
        .await?;
    }
    let endpoint = world
        .ready(&newcomer)
        .await?
        .data
        .pointer("/status/morefs/vm")
        .cloned();
    let found = in_vcenter(&world.lab, "vms", "taken")
        .await?
        .and_then(|vm| vm.get("moref").cloned());
    equal("the endpoint VM in status", endpoint, found)?;
    stage.before = alone;
    world.remove(&[key(HOST, "taken", "newcomer")]).await?;
    // What a hand destroys may leave a log behind.
    stage
        .before
        .comes_back(world, &[KEPT[0], KEPT[1], "/files/[LocalDS_0] taken/"])
        .await
}
