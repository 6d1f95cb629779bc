//! An operator that is killed in the middle and one that comes back to a world at rest.

#![cfg(test)]

use e2e::manifests::{POC, dhcp, dnat, key_of, public, routed, segment, site, vch, vlan};
use e2e::outside::{Calls, Snapshot, marked_in_nsx, periods};
use e2e::{Outcome, Play, World, demand, equal};
use lab::Options;
use lab::kinds::Key;
use lab::poc::calls;
use serde_json::{Value, json};
use std::time::Duration;

/// What stays on purpose; and the sessions of operators that could not log out, which end by themselves.
const KEPT: [&str; 3] = [
    "/files/[LocalDS_0] vic-operator/",
    "/custom_fields/vic-operator",
    "/sessions/",
];

/// Calls in the middle of which an operator is killed: of vCenter by name, of NSX by HTTP method.
const MOMENTS: [&str; 7] = [
    // Images are uploaded once only: this is the first.
    "PUT /folder",
    "AddDVPortgroup_Task",
    "CreateResourcePool",
    "CreateFolder",
    "CreateVM_Task",
    "PowerOnVM_Task",
    "PATCH",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_dies_leaves_nothing_half_done() -> Outcome {
    let options = Options {
        nsx_resync: Duration::from_secs(2),
        ..Options::named("restart")
    };
    let mut world = World::start(options).await?;
    let mut play = Play::new();
    for moment in MOMENTS {
        let name = format!("killed at {moment}");
        play.upheaval(&mut world, &name, async |world: &mut World| {
            killed_at(world, moment).await
        })
        .await;
    }
    play.upheaval(
        &mut world,
        "killed while it deletes",
        async |world: &mut World| killed_while_deleting(world).await,
    )
    .await;
    play.upheaval(
        &mut world,
        "a warm restart writes nothing",
        async |world: &mut World| warm_restart(world).await,
    )
    .await;
    play.upheaval(
        &mut world,
        "deleted while no operator runs",
        async |world: &mut World| deleted_meanwhile(world).await,
    )
    .await;
    play.end()
}

fn topology(world: &World, namespace: &str) -> Outcome<Vec<Value>> {
    Ok(vec![
        site(&world.lab, POC, &json!({}))?,
        public(&world.lab, namespace, 120),
        segment(namespace, "bridge", &json!({})),
        routed(namespace, "web", 70, &dhcp(70)),
        vch(&world.lab, namespace, "vch", &json!({})),
        dnat(namespace, "nginx", 80, "10.30.70.11", &json!({})),
        dnat(namespace, "next", 8080, "10.30.70.12", &json!({})),
    ])
}

/// A namespace's name for a moment.
fn named(moment: &str) -> String {
    let letters = moment
        .to_lowercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>();
    format!("at-{}", letters.trim_end_matches("task"))
}

/// Waits until that call was made since the calls were forgotten.
async fn made(world: &World, moment: &str) -> Outcome {
    world
        .eventually(&format!("a call of {moment}"), async || {
            let mut all = calls::read(&world.lab.nsx.control).await?;
            all.extend(calls::read(&world.lab.vcenter.control).await?);
            let done = all.iter().any(|call| call.method == moment);
            Ok(if done {
                Ok(())
            } else {
                Err(format!("{:?}", calls::counted(&all)))
            })
        })
        .await
}

async fn restart_after_death(world: &mut World) -> Outcome {
    world.lab.kill_operator();
    world.lab.start_operator().await?;
    Ok(())
}

async fn killed_at(world: &mut World, moment: &str) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let namespace = named(moment);
    world.namespace(&namespace).await?;
    Calls::forget(&world.lab).await?;
    let keys = world.create_all(&topology(world, &namespace)?).await?;
    made(world, moment).await?;
    restart_after_death(world).await?;
    world.all_ready(&keys).await?;
    take_away(world, keys, &before).await
}

async fn take_away(world: &World, keys: Vec<Key>, before: &Snapshot) -> Outcome {
    world.remove(&keys).await?;
    before.comes_back(world, &KEPT).await?;
    equal(
        "what carries our marks in NSX",
        marked_in_nsx(&world.lab).await?,
        Vec::<String>::new(),
    )
}

async fn killed_while_deleting(world: &mut World) -> Outcome {
    for moment in ["Destroy_Task", "PATCH"] {
        let before = Snapshot::take(&world.lab).await?;
        let namespace = named(&format!("deleting{moment}"));
        world.namespace(&namespace).await?;
        let keys = world.bring_up(&topology(world, &namespace)?).await?;
        Calls::forget(&world.lab).await?;
        for key in &keys {
            world.delete(key).await?;
        }
        made(world, moment).await?;
        restart_after_death(world).await?;
        world.gone(&keys).await?;
        before.comes_back(world, &KEPT).await?;
    }
    Ok(())
}

/// SOAP methods that only ask, or that make what lives in a session alone.
const ASKS: [&str; 14] = [
    "RetrieveServiceContent",
    "Login",
    "Logout",
    "CreatePropertyCollector",
    "DestroyPropertyCollector",
    "CreateFilter",
    "DestroyPropertyFilter",
    "CreateContainerView",
    "CreateListView",
    "ModifyListView",
    "DestroyView",
    "RetrieveProperties",
    "CancelWaitForUpdates",
    "SearchDatastore_Task",
];

async fn warm_restart(world: &mut World) -> Outcome {
    world.namespace("warm").await?;
    let mut manifests = topology(world, "warm")?;
    manifests.extend((0..10).map(|n| dnat("warm", &format!("r{n}"), 9000 + n, "10.30.70.13", &json!({}))));
    manifests.push(vlan("warm", "lan", 121, &json!({})));
    world.bring_up(&manifests).await?;
    let keys: Vec<Key> = manifests.iter().filter_map(key_of).collect();
    Calls::forget(&world.lab).await?;
    periods(world, 6).await?;
    let (mark, before) = (world.lab.audit().mark()?, Snapshot::take(&world.lab).await?);
    for hard in [false, true] {
        if hard {
            world.lab.kill_operator();
        } else {
            world.lab.stop_operator();
        }
        Calls::forget(&world.lab).await?;
        world.lab.start_operator().await?;
        let calls = periods(world, 10).await?;
        let writes: Vec<_> = calls
            .nsx_writes()
            .into_iter()
            .filter(|call| !call.path.contains("/session/"))
            .collect();
        demand(writes.is_empty(), || {
            format!("a restart wrote to NSX: {writes:?}")
        })?;
        let asked =
            |method: &str| ASKS.iter().any(|ask| method.starts_with(ask)) || method.starts_with("GET ");
        let writes: Vec<_> = calls.vcenter.iter().filter(|call| !asked(&call.method)).collect();
        demand(writes.is_empty(), || {
            format!("a restart wrote to vCenter: {writes:?}")
        })?;
        equal(
            "kube writes of a restart",
            world.lab.audit().since(mark)?,
            Vec::new(),
        )?;
    }
    let mut changes = before.changes(&Snapshot::take(&world.lab).await?);
    changes.retain(|change| !change.contains("/sessions/"));
    demand(changes.is_empty(), || format!("a restart changed {changes:?}"))?;
    world.remove(&keys).await
}

/// What lost its object while nobody looked: the object waits by its finalizer, and all goes when someone comes.
async fn deleted_meanwhile(world: &mut World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    world.namespace("meanwhile").await?;
    let keys = world.bring_up(&topology(world, "meanwhile")?).await?;
    world.lab.stop_operator();
    for key in &keys {
        world.delete(key).await?;
    }
    let remaining = world.objects().keys().filter(|key| keys.contains(key)).count();
    equal("objects that wait for an operator", remaining, keys.len())?;
    world.lab.start_operator().await?;
    world.gone(&keys).await?;
    before.comes_back(world, &KEPT).await
}
