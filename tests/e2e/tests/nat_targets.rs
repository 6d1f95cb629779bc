//! What rules point at and whom they let in: containers that come, move and go, several peers, a neighbour through the
//! front door.

#![cfg(test)]

use e2e::manifests::{EDGE, dnat, public, routed, rule, segment, vch};
use e2e::outside::{Snapshot, container, nat_rules};
use e2e::traffic::Packet;
use e2e::{Outcome, Play, World, demand, equal};
use lab::Options;
use lab::kinds::{Key, condition, told};
use serde_json::{Value, json};

/// Consumers outside, and one that no rule speaks of.
const FRIEND: &str = "198.51.100.7";
const PARTNER: &str = "192.0.2.99";
const STRANGER: &str = "198.18.0.1";
/// Two containers of network `web`.
const WEB: &str = "10.30.90.11";
const NEXT: &str = "10.30.90.12";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_follow_what_they_point_at() -> Outcome {
    let world = World::with_site(Options::named("nat-targets")).await?;
    world.namespace("aim").await?;
    let containers = json!({"displayName": "aim", "networks": {"containers": [
        {"name": "web", "networkRef": {"name": "web"}, "trustLevel": "Open"}]}});
    world
        .bring_up(&[
            public(&world.lab, "aim", 120),
            segment("aim", "bridge", &json!({})),
            routed("aim", "web", 90, &json!({})),
            vch(&world.lab, "aim", "vch", &containers),
        ])
        .await?;
    run(&world, "web", WEB).await?;
    run(&world, "next", NEXT).await?;
    let mut play = Play::new();
    let w = &world;
    play.scene(
        w,
        "a rule waits for its container, follows it, and waits again",
        container_by_name(w),
    )
    .await;
    play.scene(w, "a rule for several peers", several_peers(w)).await;
    play.scene(
        w,
        "a neighbour comes in by the front door, and is answered there",
        hairpin(w),
    )
    .await;
    play.end()
}

/// Runs a container, and waits until NSX knows where it is.
async fn run(world: &World, name: &str, ip: &str) -> Outcome {
    let request =
        json!({"action": "make", "vch": "aim", "name": name, "network": "web", "ip": ip, "image": "nginx"});
    container(&world.lab, &request).await?;
    Packet::tcp(FRIEND, ip, 80).will_reach(world, name).await?;
    Ok(())
}

/// Waits until the rule is ready for that reason, and says whether its target is there.
async fn is(world: &World, key: &Key, reason: &str, resolved: &str) -> Outcome {
    world
        .until(key, &format!("to be {reason}"), |object| {
            let has = |kind: &str, field: &str, value: &str| {
                condition(object, kind).is_some_and(|found| told(found, field) == value)
            };
            has("Ready", "status", "True")
                && has("Ready", "reason", reason)
                && has("TargetResolved", "status", resolved)
        })
        .await?;
    Ok(())
}

fn to_container(name: &str, container: &str, port: u16) -> Value {
    let target =
        json!({"internal": {"address": null, "container": {"vchRef": {"name": "vch"}, "name": container}}});
    dnat("aim", name, port, WEB, &target)
}

async fn container_by_name(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let key = world.create(&to_container("api", "api", 8443)).await?;
    is(world, &key, "Dormant", "False").await?;
    before.is_unchanged(&world.lab).await?;
    let object = world.read(&key).await?;
    equal(
        "the column",
        object.data.pointer("/status/internal").and_then(Value::as_str),
        Some("vch/api:80"),
    )?;
    run(world, "api", "10.30.90.21").await?;
    is(world, &key, "Ready", "True").await?;
    Packet::tcp(FRIEND, EDGE, 8443)
        .reaches(world, "api", Some("10.30.90.21:80"))
        .await?;
    let moved = json!({"action": "move", "vch": "aim", "name": "api", "ip": "10.30.90.22"});
    container(&world.lab, &moved).await?;
    Packet::tcp(FRIEND, EDGE, 8443)
        .will(world, "reach the container where it is now", |fate| {
            fate.is_delivery_to("api") && fate.translated.as_deref() == Some("10.30.90.22:80")
        })
        .await?;
    container(
        &world.lab,
        &json!({"action": "remove", "vch": "aim", "name": "api"}),
    )
    .await?;
    is(world, &key, "Dormant", "False").await?;
    Packet::tcp(FRIEND, EDGE, 8443).will_be_lost(world).await?;
    world.remove(&[key]).await
}

async fn several_peers(world: &World) -> Outcome {
    let peers = json!({"remote": {"cidrs": ["198.51.100.0/24", "192.0.2.0/24"]}});
    let key = world.create(&dnat("aim", "partners", 8444, WEB, &peers)).await?;
    world.ready(&key).await?;
    for peer in [FRIEND, PARTNER] {
        Packet::tcp(peer, EDGE, 8444)
            .reaches(world, "web", Some(&format!("{WEB}:80")))
            .await?;
    }
    let untouched = |fate: &e2e::traffic::Fate| fate.translated.is_none() && fate.vm.is_none();
    Packet::tcp(STRANGER, EDGE, 8444)
        .meets(world, "not be translated", untouched)
        .await?;
    let rules = nat_rules(&world.lab).await?;
    demand(rules.len() == 2, || format!("one rule for each peer: {rules:?}"))?;
    world
        .change(
            &key,
            &json!({"spec": {"remote": {"cidrs": null, "cidr": "192.0.2.0/24"}}}),
        )
        .await?;
    world.ready(&key).await?;
    Packet::tcp(PARTNER, EDGE, 8444)
        .reaches(world, "web", Some(&format!("{WEB}:80")))
        .await?;
    Packet::tcp(FRIEND, EDGE, 8444)
        .will(world, "not be translated", untouched)
        .await?;
    world.remove(&[key]).await
}

/// A container that calls its neighbour by the external address: DNAT leads it there, SNAT brings the answer back.
async fn hairpin(world: &World) -> Outcome {
    let front = dnat("aim", "front", 8445, WEB, &json!({}));
    let back = json!({
        "action": "SNAT", "external": {"address": EDGE}, "internal": {"networkRef": {"name": "web"}},
        "remote": {"cidr": EDGE},
    });
    let keys = world.bring_up(&[front, rule("aim", "back", &back)]).await?;
    let neighbour = Packet::tcp(NEXT, EDGE, 8445);
    let arrives = Some(format!("{WEB}:80"));
    neighbour
        .meets(world, "reach web as the edge", |fate| {
            fate.is_delivery_to("web") && fate.translated == arrives && fate.masked.as_deref() == Some(EDGE)
        })
        .await?;
    // Without SNAT the neighbour shows its own address, and would be answered past the gateway.
    world.remove(&keys[1..]).await?;
    neighbour
        .will(world, "show its own address", |fate| fate.masked.is_none())
        .await?;
    world.remove(&keys[..1]).await?;
    neighbour
        .will(world, "lead nowhere", |fate| fate.vm.is_none())
        .await?;
    Ok(())
}
