//! What someone edits or deletes by hand is put right, and what is not ours is left alone.

#![cfg(test)]

use e2e::manifests::{HOST, NETWORK, RULE, dhcp, dnat, key, public, routed, segment, vch, vlan};
use e2e::outside::{
    Calls, GATEWAY, Snapshot, by_moref, delete, edit, firewall_rules_of, in_nsx, in_vcenter, nat_rule_of,
    periods, put, text,
};
use e2e::{Failure, Outcome, Play, World, demand, equal};
use lab::Options;
use lab::kinds::{Key, condition, is_ready, told};
use serde_json::{Value, json};
use std::time::Duration;

/// What NSX gives anew to an object that is made again.
const ANEW: [&str; 6] = [
    "unique_id",
    "realization_id",
    "rule_id",
    "_create_time",
    "_create_user",
    "/realized/",
];

/// What an endpoint VM that starts again writes: its logs, and what is sealed anew.
const STARTED: [&str; 3] = ["/files/[LocalDS_0] drift/", "guestinfo.ovfEnv", "@secret"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_by_hand_are_put_right() -> Outcome {
    let options = Options {
        nsx_resync: Duration::from_secs(2),
        ..Options::named("drift")
    };
    let world = World::with_site(options).await?;
    world.namespace("drift").await?;
    foreign(&world).await?;
    let manifests = [
        public(&world.lab, "drift", 120),
        segment("drift", "bridge", &json!({})),
        routed("drift", "web", 50, &dhcp(50)),
        dnat(
            "drift",
            "nginx",
            80,
            "10.30.50.11",
            &json!({"firewall": {"allowFrom": [{"cidr": "198.51.100.0/24"}]}}),
        ),
        vch(&world.lab, "drift", "vch", &json!({"displayName": "drift"})),
    ];
    world.bring_up(&manifests).await?;
    let mut play = Play::new();
    let w = &world;
    play.scene(w, "the VLAN of a port group", vlan_edited(w)).await;
    play.scene(w, "the name of a port group", port_group_renamed(w))
        .await;
    play.scene(w, "a port group that was deleted", port_group_deleted(w))
        .await;
    play.scene(w, "the name of a segment", segment_edited(w)).await;
    play.scene(w, "a segment taken from its gateway", segment_disconnected(w))
        .await;
    play.scene(w, "a DHCP profile that was edited", profile_edited(w))
        .await;
    play.scene(w, "a segment that was deleted", segment_deleted(w))
        .await;
    play.scene(w, "a NAT rule that was edited", nat_edited(w)).await;
    play.scene(w, "a NAT rule that was deleted", nat_deleted(w)).await;
    play.scene(w, "a firewall rule that was edited", firewall_edited(w))
        .await;
    play.scene(w, "a firewall rule that was deleted", firewall_deleted(w))
        .await;
    play.scene(w, "an endpoint VM that was powered off", powered_off(w))
        .await;
    play.scene(w, "the limits of a pool", limits_edited(w)).await;
    play.scene(w, "the name of an endpoint VM", renamed(w, "VirtualMachine"))
        .await;
    play.scene(w, "the name of a pool", renamed(w, "ResourcePool"))
        .await;
    play.scene(w, "the name of a folder", renamed(w, "Folder")).await;
    play.scene(w, "Observe tells and does not touch", observe(w))
        .await;
    play.scene(w, "Observe makes nothing", observe_makes_nothing(w))
        .await;
    play.scene(w, "a paused object is left alone", paused(w)).await;
    play.end()
}

/// What others have beside ours: every snapshot of every scene holds it, so that a touch shows.
async fn foreign(world: &World) -> Outcome {
    let segment = json!({
        "resource_type": "Segment", "display_name": "others", "tags": [{"scope": "team", "tag": "others"}],
        "transport_zone_path": "/infra/sites/default/enforcement-points/default/transport-zones/overlay",
    });
    put(&world.lab, "/infra/segments/others", &segment).await?;
    let rule = json!({
        "resource_type": "PolicyNatRule", "action": "SNAT", "source_network": "10.99.0.0/24",
        "translated_network": "203.0.113.99", "sequence_number": 7,
    });
    put(&world.lab, &format!("{GATEWAY}/nat/USER/nat-rules/others"), &rule).await
}

/// Makes an edit, and waits until everything outside is as it was before and every object is ready.
async fn put_right(world: &World, what: impl Future<Output = Outcome>, anew: &[&str]) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    what.await?;
    before.comes_back(world, anew).await?;
    let objects = world.objects();
    for object in objects.values().map(|seen| &seen.object) {
        world.ready(&Key::of(kind_of(object)?, object)).await?;
    }
    Ok(())
}

fn kind_of(object: &kube::api::DynamicObject) -> Outcome<lab::kinds::Kind> {
    let name = object
        .types
        .as_ref()
        .map(|types| types.kind.clone())
        .unwrap_or_default();
    lab::kinds::Kind::named(&name).ok_or_else(|| Failure(format!("a {name}")))
}

async fn by_hand(world: &World, what: Value) -> Outcome {
    edit(&world.lab, &what).await?;
    Ok(())
}

async fn vlan_edited(world: &World) -> Outcome {
    put_right(
        world,
        by_hand(
            world,
            json!({"what": "vlan", "portgroup": "drift-public", "vlan": 999}),
        ),
        &[],
    )
    .await
}

async fn port_group_renamed(world: &World) -> Outcome {
    let rename = json!({"what": "rename", "type": "DistributedVirtualPortgroup", "name": "drift-public", "to": "By-Hand"});
    put_right(world, by_hand(world, rename), &[]).await
}

/// One that nothing is attached to; it comes again under another moref.
async fn port_group_deleted(world: &World) -> Outcome {
    let network = world.create(&vlan("drift", "lonely", 121, &json!({}))).await?;
    world.ready(&network).await?;
    let before = in_vcenter(&world.lab, "port_groups", "drift-lonely")
        .await?
        .unwrap_or_default();
    edit(
        &world.lab,
        &json!({"what": "destroy", "type": "DistributedVirtualPortgroup", "name": "drift-lonely"}),
    )
    .await?;
    let moref = |object: &kube::api::DynamicObject| {
        object
            .data
            .pointer("/status/portGroup/moref")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let object = world
        .until(&network, "to name the new port group", |object| {
            is_ready(object) && moref(object) != text(&before, "moref")
        })
        .await?;
    let after = by_moref(&world.lab, "port_groups", &moref(&object))
        .await?
        .unwrap_or_default();
    equal("its VLAN", text(&after, "vlan"), "121")?;
    world.remove(&[network]).await
}

/// The path of the segment that a network became.
async fn segment_path(world: &World, name: &str) -> Outcome<String> {
    let network = world.read(&key(NETWORK, "drift", name)).await?;
    let path = network
        .data
        .pointer("/status/segmentPath")
        .and_then(Value::as_str)
        .map(str::to_owned);
    path.ok_or_else(|| Failure(format!("network {name} has no segment")))
}

async fn segment_edited(world: &World) -> Outcome {
    let path = segment_path(world, "web").await?;
    put_right(
        world,
        put(&world.lab, &path, &json!({"display_name": "by-hand"})),
        &[],
    )
    .await
}

async fn segment_disconnected(world: &World) -> Outcome {
    let path = segment_path(world, "web").await?;
    put_right(
        world,
        put(&world.lab, &path, &json!({"connectivity_path": null})),
        &[],
    )
    .await
}

async fn profile_path(world: &World) -> Outcome<String> {
    let segment = in_nsx(&world.lab, &segment_path(world, "web").await?)
        .await?
        .unwrap_or_default();
    Ok(text(&segment, "dhcp_config_path").to_owned())
}

async fn profile_edited(world: &World) -> Outcome {
    let path = profile_path(world).await?;
    put_right(
        world,
        put(&world.lab, &path, &json!({"display_name": "by-hand", "tags": []})),
        &[],
    )
    .await
}

/// NSX gives it other ids, and vCenter another port group.
async fn segment_deleted(world: &World) -> Outcome {
    let network = world.create(&routed("drift", "lost", 52, &dhcp(52))).await?;
    world.ready(&network).await?;
    let path = segment_path(world, "lost").await?;
    let before = in_nsx(&world.lab, &path).await?.unwrap_or_default();
    delete(&world.lab, &path).await?;
    let after = world
        .eventually("the segment to be there again", async || {
            let found = in_nsx(&world.lab, &path).await?;
            Ok(found
                .filter(|found| text(found, "unique_id") != text(&before, "unique_id"))
                .ok_or("not yet".to_owned()))
        })
        .await?;
    equal("its gateway", text(&after, "connectivity_path"), GATEWAY)?;
    world
        .eventually("its port group to be there again", async || {
            let group = in_vcenter(&world.lab, "port_groups", "drift-lost").await?;
            Ok(group.map(|_| ()).ok_or("not yet".to_owned()))
        })
        .await?;
    world.ready(&network).await?;
    world.remove(&[network]).await
}

async fn nat_edited(world: &World) -> Outcome {
    let path = nat_rule_of(&world.lab, "drift", "nginx").await?;
    put_right(
        world,
        put(&world.lab, &path, &json!({"translated_network": "10.30.50.99"})),
        &[],
    )
    .await?;
    put_right(world, put(&world.lab, &path, &json!({"enabled": false})), &[]).await?;
    // Whoever takes our tags away makes it foreign to a search, and yet it is ours by its path.
    put_right(world, put(&world.lab, &path, &json!({"tags": []})), &[]).await
}

async fn nat_deleted(world: &World) -> Outcome {
    let path = nat_rule_of(&world.lab, "drift", "nginx").await?;
    put_right(world, delete(&world.lab, &path), &ANEW).await
}

async fn firewall_path(world: &World, action: &str) -> Outcome<String> {
    let rules = firewall_rules_of(&world.lab, "drift", "nginx").await?;
    let rule = rules.iter().find(|rule| text(rule, "action") == action);
    Ok(text(
        rule.ok_or_else(|| Failure(format!("no firewall rule {action}: {rules:?}")))?,
        "path",
    )
    .to_owned())
}

async fn firewall_edited(world: &World) -> Outcome {
    let path = firewall_path(world, "ALLOW").await?;
    put_right(
        world,
        put(&world.lab, &path, &json!({"source_groups": ["ANY"]})),
        &[],
    )
    .await
}

async fn firewall_deleted(world: &World) -> Outcome {
    for action in ["ALLOW", "DROP"] {
        let path = firewall_path(world, action).await?;
        put_right(world, delete(&world.lab, &path), &ANEW).await?;
    }
    Ok(())
}

async fn powered_off(world: &World) -> Outcome {
    put_right(
        world,
        by_hand(world, json!({"what": "power-off", "vm": "drift"})),
        &STARTED,
    )
    .await
}

async fn limits_edited(world: &World) -> Outcome {
    let limits = json!({"what": "pool-limits", "name": "drift", "cpuMHz": 100, "memoryMB": 128});
    put_right(world, by_hand(world, limits), &[]).await
}

async fn renamed(world: &World, kind: &str) -> Outcome {
    let rename = json!({"what": "rename", "type": kind, "name": "drift", "to": "by-hand"});
    put_right(world, by_hand(world, rename), &[]).await
}

/// Some periods in which nothing may be written.
async fn quiet(world: &World) -> Outcome {
    Calls::forget(&world.lab).await?;
    let calls = periods(world, 6).await?;
    let writes = calls.nsx_writes();
    demand(writes.is_empty() && calls.vcenter.is_empty(), || {
        format!("{writes:?} {:?}", calls.vcenter)
    })
}

/// Edits all three and says what each edit is about.
async fn edit_three(world: &World) -> Outcome {
    let rule = nat_rule_of(&world.lab, "drift", "nginx").await?;
    put(&world.lab, &rule, &json!({"translated_network": "10.30.50.98"})).await?;
    by_hand(
        world,
        json!({"what": "vlan", "portgroup": "drift-public", "vlan": 998}),
    )
    .await?;
    by_hand(
        world,
        json!({"what": "pool-limits", "name": "drift", "cpuMHz": 101, "memoryMB": 129}),
    )
    .await
}

fn three() -> [(Key, &'static str); 3] {
    [
        (key(RULE, "drift", "nginx"), "10.30.50.98"),
        (key(NETWORK, "drift", "public"), "998"),
        (key(HOST, "drift", "vch"), "101"),
    ]
}

async fn observe(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    for (key, _) in three() {
        world
            .change(&key, &json!({"spec": {"managementPolicy": "Observe"}}))
            .await?;
        world.ready(&key).await?;
    }
    edit_three(world).await?;
    for (key, have) in three() {
        let object = world
            .until(&key, "to report Drifted", |object| {
                condition(object, "Drifted").is_some_and(|drifted| told(drifted, "status") == "True")
            })
            .await?;
        let plan = object
            .data
            .pointer("/status/plan")
            .map(Value::to_string)
            .unwrap_or_default();
        demand(plan.contains(have), || {
            format!("{key}: the plan should say that it has {have}: {plan}")
        })?;
    }
    quiet(world).await?;
    for (key, _) in three() {
        world
            .change(&key, &json!({"spec": {"managementPolicy": null}}))
            .await?;
        let object = world.ready(&key).await?;
        demand(object.data.pointer("/status/plan").is_none(), || {
            format!("{key} still shows a plan")
        })?;
        demand(
            condition(&object, "Drifted").is_none_or(|known| told(known, "status") != "True"),
            || format!("{key} is still Drifted"),
        )?;
    }
    before.comes_back(world, &[]).await
}

async fn observe_makes_nothing(world: &World) -> Outcome {
    let observing = json!({"managementPolicy": "Observe"});
    let before = Snapshot::take(&world.lab).await?;
    let manifests = [
        vlan("drift", "seen-lan", 122, &observing),
        routed("drift", "seen-web", 51, &observing),
        dnat("drift", "seen-rule", 90, "10.30.50.12", &observing),
    ];
    let keys = world.create_all(&manifests).await?;
    for key in &keys {
        let object = world
            .until(key, "to report Drifted", |object| {
                condition(object, "Drifted").is_some_and(|drifted| told(drifted, "status") == "True")
            })
            .await?;
        let plan = object
            .data
            .pointer("/status/plan")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        demand(!plan.is_empty(), || format!("{key} shows no plan"))?;
    }
    quiet(world).await?;
    before.is_unchanged(&world.lab).await?;
    world.remove(&keys).await?;
    before.is_unchanged(&world.lab).await
}

async fn paused(world: &World) -> Outcome {
    const PAUSED: &str = "vic-operator.io/paused";
    let before = Snapshot::take(&world.lab).await?;
    for (key, _) in three() {
        world.annotate(&key, PAUSED, Some("true")).await?;
        world
            .until(&key, "to say Paused", |object| {
                condition(object, "Paused").is_some_and(|paused| told(paused, "status") == "True")
            })
            .await?;
    }
    edit_three(world).await?;
    quiet(world).await?;
    for (key, _) in three() {
        world.annotate(&key, PAUSED, None).await?;
        world
            .until(&key, "to go on", |object| {
                is_ready(object) && condition(object, "Paused").is_none()
            })
            .await?;
    }
    before.comes_back(world, &[]).await
}
