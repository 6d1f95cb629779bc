//! What the operator writes and asks for: no more than it must, and nothing at rest.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use e2e::manifests::{
    HOST, POC, dhcp, dnat, key, key_of, public, routed, segment, site, site_key, vch, vlan,
};
use e2e::outside::{Calls, periods};
use e2e::{Outcome, Play, World, demand, equal};
use lab::Options;
use lab::audit::cost;
use lab::kinds::Key;
use serde_json::{Value, json};
use std::time::Duration;

/// Period of the operator's look at NSX in this theme.
const PERIOD: Duration = Duration::from_secs(2);

fn options(name: &str) -> Options {
    Options {
        nsx_resync: PERIOD,
        ..Options::named(name)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_writes_no_more_than_it_must() -> Outcome {
    let mut play = Play::new();
    {
        let world = World::with_site(options("writes")).await?;
        let w = &world;
        play.scene(w, "a new object costs one write", each_object_costs(w, 1))
            .await;
        play.scene(
            w,
            "a second apply changes nothing",
            a_second_apply_changes_nothing(w),
        )
        .await;
        play.scene(
            w,
            "at rest nothing grows with the number of rules",
            rest_does_not_grow(w),
        )
        .await;
    }
    let without = Options {
        admission_policy: false,
        ..options("writes-two")
    };
    let world = World::with_site(without).await?;
    play.scene(
        &world,
        "without the admission policy it costs two",
        each_object_costs(&world, 2),
    )
    .await;
    play.end()
}

/// The kube writes of each object from its creation until some periods after it was ready.
async fn each_object_costs(world: &World, expected: usize) -> Outcome {
    world.namespace("cost").await?;
    let mark = world.lab.audit().mark()?;
    let manifests = [
        vlan("cost", "lan", 110, &json!({})),
        segment("cost", "island", &json!({})),
        routed("cost", "web", 1, &dhcp(1)),
        dnat("cost", "one", 8001, "10.30.1.11", &json!({})),
        dnat(
            "cost",
            "two",
            8002,
            "10.30.1.12",
            &json!({"firewall": {"mode": "Unmanaged", "allowFrom": null}}),
        ),
    ];
    let mut keys = Vec::new();
    for manifest in &manifests {
        keys.extend(world.bring_up(std::slice::from_ref(manifest)).await?);
    }
    Calls::forget(&world.lab).await?;
    periods(world, 4).await?;
    let writes = world.lab.audit().since(mark)?;
    let costs: BTreeMap<String, usize> = keys
        .iter()
        .map(|key| (key.to_string(), cost(&writes, key)))
        .collect();
    let expected: BTreeMap<String, usize> = keys.iter().map(|key| (key.to_string(), expected)).collect();
    demand(costs == expected, || {
        format!("expected {expected:?}, got {costs:?}: {writes:#?}")
    })
}

/// Objects of every kind, the Site included, applied again by kubectl.
async fn a_second_apply_changes_nothing(world: &World) -> Outcome {
    world.namespace("twice").await?;
    let manifests = [
        site(&world.lab, POC, &json!({}))?,
        public(&world.lab, "twice", 120),
        segment("twice", "bridge", &json!({})),
        routed("twice", "web", 2, &dhcp(2)),
        vch(&world.lab, "twice", "vch", &json!({"displayName": "twice"})),
        dnat("twice", "nginx", 8003, "10.30.2.11", &json!({})),
    ];
    // The Site was created and not applied: the first apply gives it an annotation.
    world.apply("twice", &manifests).await?;
    let keys: Vec<Key> = manifests.iter().filter_map(key_of).collect();
    world.all_ready(&keys).await?;
    Calls::forget(&world.lab).await?;
    periods(world, 4).await?;

    let before = versions(world, &keys).await?;
    let mark = world.lab.audit().mark()?;
    Calls::forget(&world.lab).await?;
    let said = world.apply("twice", &manifests).await?;
    demand(said.lines().all(|line| line.ends_with(" unchanged")), || {
        said.clone()
    })?;
    let calls = periods(world, 6).await?;
    equal("resourceVersions", versions(world, &keys).await?, before)?;
    equal("kube writes", world.lab.audit().since(mark)?, Vec::new())?;
    demand(calls.nsx_writes().is_empty(), || {
        format!("writes to NSX: {:?}", calls.nsx_writes())
    })?;
    demand(calls.vcenter.is_empty(), || {
        format!("calls to vCenter: {:?}", calls.vcenter)
    })?;

    // Touching an object without changing what it declares writes nothing outside, either.
    world
        .annotate(&key(HOST, "twice", "vch"), "example.com/note", Some("touched"))
        .await?;
    world
        .annotate(&site_key(POC), "example.com/note", Some("touched"))
        .await?;
    Calls::forget(&world.lab).await?;
    let calls = periods(world, 2).await?;
    demand(calls.nsx_writes().is_empty() && calls.vcenter.is_empty(), || {
        format!("{calls:?}")
    })
}

async fn versions(world: &World, keys: &[Key]) -> Outcome<BTreeMap<String, Option<String>>> {
    let mut versions = BTreeMap::new();
    for key in keys {
        versions.insert(key.to_string(), world.read(key).await?.metadata.resource_version);
    }
    Ok(versions)
}

async fn rest_does_not_grow(world: &World) -> Outcome {
    world.namespace("rest").await?;
    let network = routed("rest", "web", 3, &json!({"displayName": "rest"}));
    let rules = |range: std::ops::Range<u16>| -> Vec<Value> {
        let rule = |n: u16| {
            dnat(
                "rest",
                &format!("r{n}"),
                9000 + n,
                &format!("10.30.3.{}", 11 + n),
                &json!({}),
            )
        };
        range.map(rule).collect()
    };
    world.bring_up(&[network]).await?;
    world.bring_up(&rules(0..2)).await?;
    let few = bursts(world).await?;
    world.bring_up(&rules(2..40)).await?;
    let many = bursts(world).await?;
    // One search tells that nothing changed; now and then two read everything anew.
    let search = "GET /policy/api/v1/search/query".to_owned();
    let (usual, anew) = (vec![search.clone()], vec![search.clone(), search]);
    for (rules, kinds) in [(2, few), (40, many)] {
        let fits = kinds.contains(&usual) && kinds.iter().all(|kind| [&usual, &anew].contains(&kind));
        demand(fits, || {
            format!("calls to NSX in a period with {rules} rules: {kinds:?}")
        })?;
    }
    Ok(())
}

/// What a rest looks like: the calls of each period, each kind of period once.
async fn bursts(world: &World) -> Outcome<BTreeSet<Vec<String>>> {
    // The last writes are confirmed first, and while they are younger than the index's lag they are read with each look.
    Calls::forget(&world.lab).await?;
    periods(world, 24).await?;
    Calls::forget(&world.lab).await?;
    let mark = world.lab.audit().mark()?;
    // Now and then a period reads everything anew: all kinds of periods are within some dozen.
    periods(world, 26).await?;
    let calls = Calls::read(&world.lab).await?;
    demand(calls.vcenter.is_empty(), || {
        format!("calls to vCenter at rest: {:?}", calls.vcenter)
    })?;
    equal("kube writes at rest", world.lab.audit().since(mark)?, Vec::new())?;
    let log = world.lab.nsx.control.get("/calls").await?;
    let log = log
        .get("log")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut bursts: Vec<(u64, Vec<String>)> = Vec::new();
    for call in &log {
        let text = |field: &str| {
            call.get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let time = call.get("time").and_then(Value::as_u64).unwrap_or_default();
        let name = format!("{} {}", text("method"), text("path"));
        match bursts.last_mut() {
            Some((last, names)) if u128::from(time - *last) < PERIOD.as_millis() / 2 => {
                *last = time;
                names.push(name);
            }
            _ => bursts.push((time, vec![name])),
        }
    }
    // The log begins and ends in the middle of a period perhaps.
    bursts.pop();
    Ok(bursts.into_iter().skip(1).map(|(_, names)| names).collect())
}
