//! What can be wrong with a container host: each says so in one sentence, leaves nothing half done, and goes on by
//! itself when the cause is gone.

use e2e::manifests::{HOST, POC, RELEASE, key, public, releases, segment, site_key, vch};
use e2e::outside::{KEPT, Snapshot, container, edit, in_vcenter};
use e2e::{Outcome, Play, World, demand, equal};
use lab::Options;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_host_is_said_and_recovers_by_itself() -> Outcome {
    let world = World::with_site(Options::named("failing-hosts")).await?;
    world.namespace("hosts").await?;
    world
        .bring_up(&[
            public(&world.lab, "hosts", 120),
            segment("hosts", "bridge", &json!({})),
        ])
        .await?;
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

fn spec(changes: &Value) -> Value {
    json!({"spec": changes})
}

/// The host comes up by itself, and goes without a trace.
async fn comes_up_and_goes(world: &World, name: &str, before: &Snapshot) -> Outcome {
    let host = key(HOST, "hosts", name);
    world.ready(&host).await?;
    world.remove(&[host]).await?;
    before.comes_back(world, &KEPT).await
}

async fn bad_checksum(world: &World) -> Outcome {
    let good = releases(&world.lab)?;
    let mut bad = good.clone();
    bad[0]["bootstrapISO"]["sha256"] = json!("b".repeat(64));
    world
        .change(&site_key(POC), &spec(&json!({"releases": bad})))
        .await?;
    let before = Snapshot::take(&world.lab).await?;
    let host = world
        .create(&vch(&world.lab, "hosts", "checksum", &json!({})))
        .await?;
    let said = world.refused(&host, "Programmed", "ChecksumMismatch").await?;
    demand(said.contains("bootstrap.iso"), || said.clone())?;
    // No half image, and nothing that has the wrong content: the right appliance may stay for the next attempt.
    let changes = before.changes(&Snapshot::take(&world.lab).await?);
    let left: Vec<&String> = changes
        .iter()
        .filter(|change| !change.contains(KEPT[0]))
        .collect();
    demand(left.is_empty(), || {
        format!("written before the images were there: {left:?}")
    })?;
    demand(!changes.iter().any(|change| change.contains("bootstrap")), || {
        format!("{changes:?}")
    })?;
    world
        .change(&site_key(POC), &spec(&json!({"releases": good})))
        .await?;
    comes_up_and_goes(world, "checksum", &before).await
}

async fn missing_datastore(world: &World) -> Outcome {
    world
        .change(
            &site_key(POC),
            &spec(&json!({"defaults": {"datastore": "LocalDS_9"}})),
        )
        .await?;
    let before = Snapshot::take(&world.lab).await?;
    let host = world
        .create(&vch(&world.lab, "hosts", "datastore", &json!({})))
        .await?;
    let said = world.refused(&host, "ResolvedRefs", "NotFound").await?;
    demand(said.contains("LocalDS_9"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    world
        .change(
            &site_key(POC),
            &spec(&json!({"defaults": {"datastore": "LocalDS_0"}})),
        )
        .await?;
    comes_up_and_goes(world, "datastore", &before).await
}

async fn unknown_release(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let host = world
        .create(&vch(
            &world.lab,
            "hosts",
            "release",
            &json!({"version": "v9.9.9"}),
        ))
        .await?;
    let said = world.refused(&host, "Accepted", "ReleaseUnknown").await?;
    demand(said.contains("v9.9.9"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    world.change(&host, &spec(&json!({"version": RELEASE}))).await?;
    comes_up_and_goes(world, "release", &before).await
}

async fn missing_network(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let elsewhere = json!({"networks": {"bridge": {"networkRef": {"name": "later"}}}});
    let host = world
        .create(&vch(&world.lab, "hosts", "network", &elsewhere))
        .await?;
    let said = world.refused(&host, "ResolvedRefs", "NetworkNotFound").await?;
    demand(said.contains("later"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    let network = world.create(&segment("hosts", "later", &json!({}))).await?;
    world.all_ready(&[network.clone(), host.clone()]).await?;
    world.remove(&[host, network]).await?;
    before.comes_back(world, &KEPT).await
}

async fn pool_not_granted(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let root = json!({"compute": {"resourcePool": "DC0_C0/Resources"}});
    let host = world.create(&vch(&world.lab, "hosts", "pool", &root)).await?;
    let said = world.refused(&host, "Accepted", "NotAllowed").await?;
    demand(said.contains("DC0_C0/Resources"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    world
        .change(&host, &spec(&json!({"compute": {"resourcePool": null}})))
        .await?;
    comes_up_and_goes(world, "pool", &before).await
}

async fn component_fails(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let tune = |guests: Value| async move {
        world
            .lab
            .vcenter
            .control
            .post("/tune", &json!({"guests": guests}))
            .await
    };
    tune(json!({"*": "component-fails"})).await?;
    let host = world
        .create(&vch(&world.lab, "hosts", "component", &json!({})))
        .await?;
    world.refused(&host, "Programmed", "ComponentFailed").await?;
    tune(json!({"*": "ok"})).await?;
    // A restart of the endpoint VM by hand is what helps; that it came up is seen.
    edit(&world.lab, &json!({"what": "power-off", "vm": "hosts-component"})).await?;
    comes_up_and_goes(world, "component", &before).await
}

async fn with_containers(world: &World, name: &str) -> Outcome {
    let host = world
        .create(&vch(&world.lab, "hosts", name, &json!({"displayName": name})))
        .await?;
    world.ready(&host).await?;
    for n in ["one", "two"] {
        let request =
            json!({"action": "make", "vch": name, "name": n, "network": "bridge", "image": "nginx"});
        container(&world.lab, &request).await?;
    }
    world.delete(&host).await?;
    let said = world.refused(&host, "Programmed", "ContainersRunning").await?;
    demand(
        said.contains('2') && said.contains("runningContainers: Remove"),
        || said.clone(),
    )?;
    let endpoint = in_vcenter(&world.lab, "vms", name).await?;
    let power = endpoint
        .as_ref()
        .and_then(|vm| vm.get("power"))
        .and_then(Value::as_str);
    equal(
        "the endpoint VM's power while containers run",
        power,
        Some("poweredOn"),
    )
}

async fn running_containers(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    with_containers(world, "busy").await?;
    let host = key(HOST, "hosts", "busy");
    world
        .change(
            &host,
            &spec(&json!({"onDelete": {"runningContainers": "Remove"}})),
        )
        .await?;
    world.gone(&[host]).await?;
    before.comes_back(world, &KEPT).await
}

async fn containers_end(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    with_containers(world, "ending").await?;
    for n in ["one", "two"] {
        container(
            &world.lab,
            &json!({"action": "remove", "vch": "ending", "name": n}),
        )
        .await?;
    }
    world.gone(&[key(HOST, "hosts", "ending")]).await?;
    before.comes_back(world, &KEPT).await
}

/// What a host leaves with `Retain` is nobody's: the next one of that name does not take it over.
async fn taken_name(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let retain = json!({"displayName": "taken", "deletionPolicy": "Retain"});
    let keeper = world.create(&vch(&world.lab, "hosts", "keeper", &retain)).await?;
    world.ready(&keeper).await?;
    world.remove(&[keeper]).await?;
    for list in ["vms", "pools", "folders"] {
        let object = in_vcenter(&world.lab, list, "taken").await?;
        let marks = object.as_ref().and_then(|object| object.get("marks"));
        let unmarked = |marks: &Value| {
            marks
                .as_object()
                .is_some_and(|marks| marks.values().all(|mark| mark == ""))
        };
        demand(marks.is_some_and(unmarked), || {
            format!("{list}: taken should be there without our mark: {object:?}")
        })?;
    }
    let retained = Snapshot::take(&world.lab).await?;
    let host = world
        .create(&vch(
            &world.lab,
            "hosts",
            "newcomer",
            &json!({"displayName": "taken"}),
        ))
        .await?;
    let said = world.refused(&host, "Programmed", "Conflict").await?;
    demand(said.contains("taken"), || said.clone())?;
    retained.is_unchanged(&world.lab).await?;
    for kind in ["VirtualMachine", "ResourcePool", "Folder"] {
        edit(
            &world.lab,
            &json!({"what": "destroy", "type": kind, "name": "taken"}),
        )
        .await?;
    }
    comes_up_and_goes(world, "newcomer", &before).await
}
