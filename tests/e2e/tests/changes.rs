//! A VCH that runs is changed in place: at once where that can be, else with one restart, which its containers do not
//! notice and which waits where it shall.

#![cfg(test)]

use std::collections::BTreeSet;

use e2e::manifests::{address, public, segment, vch, vlan};
use e2e::outside::{Calls, by_moref, container, in_vcenter};
use e2e::{Failure, Outcome, Play, World, demand};
use lab::Options;
use lab::kinds::{Key, condition, is_ready, told};
use serde_json::{Value, json};

const NAMESPACE: &str = "changes";
const NAME: &str = "changes-host";
/// Calls to vCenter that one change may cost.
const COST: usize = 20;

/// A field, two changes of it, and what each leaves in vCenter: a list, a pointer into the object, the value.
struct Row {
    fields: &'static [&'static str],
    changes: [(Value, &'static str, &'static str, Value); 2],
}

fn live_rows() -> Vec<Row> {
    let level = |word: &str| json!(word);
    vec![
        Row {
            fields: &["compute.cpu.limitMHz"],
            changes: [
                (
                    json!({"compute": {"cpu": {"limitMHz": 7000}}}),
                    "pools",
                    "/config/cpuAllocation/limit",
                    json!(7000),
                ),
                (
                    json!({"compute": {"cpu": {"limitMHz": null}}}),
                    "pools",
                    "/config/cpuAllocation/limit",
                    json!(-1),
                ),
            ],
        },
        Row {
            fields: &["compute.cpu.reservationMHz"],
            changes: [
                (
                    json!({"compute": {"cpu": {"reservationMHz": 10}}}),
                    "pools",
                    "/config/cpuAllocation/reservation",
                    json!(10),
                ),
                (
                    json!({"compute": {"cpu": {"reservationMHz": 0}}}),
                    "pools",
                    "/config/cpuAllocation/reservation",
                    json!(0),
                ),
            ],
        },
        Row {
            fields: &["compute.cpu.shares", "compute.cpu.customShares"],
            changes: [
                (
                    json!({"compute": {"cpu": {"shares": "High"}}}),
                    "pools",
                    "/config/cpuAllocation/shares/level",
                    level("high"),
                ),
                (
                    json!({"compute": {"cpu": {"shares": "Custom", "customShares": 77}}}),
                    "pools",
                    "/config/cpuAllocation/shares/shares",
                    json!(77),
                ),
            ],
        },
    ]
}

fn live_memory_rows() -> Vec<Row> {
    let level = |word: &str| json!(word);
    vec![
        Row {
            fields: &["compute.memory.limit"],
            changes: [
                (
                    json!({"compute": {"memory": {"limit": "16Gi"}}}),
                    "pools",
                    "/config/memoryAllocation/limit",
                    json!(16384),
                ),
                (
                    json!({"compute": {"memory": {"limit": null}}}),
                    "pools",
                    "/config/memoryAllocation/limit",
                    json!(-1),
                ),
            ],
        },
        Row {
            fields: &["compute.memory.reservation"],
            changes: [
                (
                    json!({"compute": {"memory": {"reservation": "16Mi"}}}),
                    "pools",
                    "/config/memoryAllocation/reservation",
                    json!(16),
                ),
                (
                    json!({"compute": {"memory": {"reservation": "0"}}}),
                    "pools",
                    "/config/memoryAllocation/reservation",
                    json!(0),
                ),
            ],
        },
        Row {
            fields: &["compute.memory.shares", "compute.memory.customShares"],
            changes: [
                (
                    json!({"compute": {"memory": {"shares": "Low"}}}),
                    "pools",
                    "/config/memoryAllocation/shares/level",
                    level("low"),
                ),
                (
                    json!({"compute": {"memory": {"shares": "Custom", "customShares": 78}}}),
                    "pools",
                    "/config/memoryAllocation/shares/shares",
                    json!(78),
                ),
            ],
        },
    ]
}

/// A pointer to a key that only vSphere may change.
macro_rules! key {
    ($path:literal) => {
        concat!("/extra_config/guestinfo.vice.~1", $path)
    };
}

fn hardware_rows() -> Vec<Row> {
    vec![
        Row {
            fields: &["endpoint.cpus"],
            changes: [
                (json!({"endpoint": {"cpus": 2}}), "vms", "/num_cpus", json!(2)),
                (json!({"endpoint": {"cpus": 1}}), "vms", "/num_cpus", json!(1)),
            ],
        },
        Row {
            fields: &["endpoint.memory"],
            changes: [
                (
                    json!({"endpoint": {"memory": "4Gi"}}),
                    "vms",
                    "/memory_mb",
                    json!(4096),
                ),
                (
                    json!({"endpoint": {"memory": "2Gi"}}),
                    "vms",
                    "/memory_mb",
                    json!(2048),
                ),
            ],
        },
        Row {
            fields: &["tls.mode"],
            changes: [
                (
                    json!({"tls": {"mode": "Disabled"}}),
                    "vms",
                    key!("init~1sessions|docker-personality~1cmd~1Args~0"),
                    json!("/sbin/docker-engine-server|-port=2375|-port-layer-port=2377"),
                ),
                (
                    json!({"tls": {"mode": "NoVerify"}}),
                    "vms",
                    key!("init~1sessions|docker-personality~1cmd~1Args~0"),
                    json!("/sbin/docker-engine-server|-port=2376|-port-layer-port=2377"),
                ),
            ],
        },
    ]
}

fn network_rows(second: &str) -> Vec<Row> {
    let client =
        json!({"networks": {"client": {"networkRef": {"name": "client"}, "static": {"address": second}}}});
    let attached = |changes: Value| {
        let mut one =
            json!({"name": "app", "networkRef": {"name": "app"}, "addressRanges": ["10.30.8.10-10.30.8.20"]});
        if let (Some(one), Some(changes)) = (one.as_object_mut(), changes.as_object()) {
            one.extend(changes.clone());
        }
        json!({"networks": {"containers": [one]}})
    };
    let trust = key!("network~1container_networks|app~1TrustLevel");
    vec![
        Row {
            fields: &["networks.client.networkRef", "networks.client.static.address"],
            changes: [
                (
                    client,
                    "vms",
                    key!("init~1networks|client~1Common~1id"),
                    json!("1248"),
                ),
                (
                    json!({"networks": {"client": null}}),
                    "vms",
                    key!("init~1networks|client~1Common~1id"),
                    json!("1216"),
                ),
            ],
        },
        Row {
            fields: &[
                "networks.management.networkRef",
                "networks.management.static.address",
            ],
            changes: [
                (
                    json!({"networks": {"management": {"networkRef": {"name": "management"}, "static": {"address": "10.30.9.10"}}}}),
                    "vms",
                    key!("init~1networks|management~1Common~1id"),
                    json!("1248"),
                ),
                (
                    json!({"networks": {"management": null}}),
                    "vms",
                    key!("init~1networks|management~1Common~1id"),
                    json!("1216"),
                ),
            ],
        },
        Row {
            fields: &[
                "networks.containers[].name",
                "networks.containers[].networkRef",
                "networks.containers[].addressRanges",
                "networks.containers[].trustLevel",
            ],
            changes: [
                (attached(json!({"trustLevel": "Open"})), "vms", trust, json!("2")),
                (
                    attached(json!({"trustLevel": "Closed"})),
                    "vms",
                    trust,
                    json!("3"),
                ),
            ],
        },
        Row {
            fields: &["networks.containers[].dnsServers"],
            changes: [
                (
                    attached(json!({"dnsServers": ["10.0.0.53"]})),
                    "vms",
                    key!("network~1container_networks|app~1dns"),
                    json!("0"),
                ),
                (
                    attached(json!({"dnsServers": ["10.0.0.53", "10.0.1.53"]})),
                    "vms",
                    key!("network~1container_networks|app~1dns"),
                    json!("1"),
                ),
            ],
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_changed_in_place() -> Outcome {
    let world = World::with_site(Options::named("changes")).await?;
    world.namespace(NAMESPACE).await?;
    let subnets = |third: u8| json!({"subnets": [{"gatewayAddress": format!("10.30.{third}.1/24")}]});
    let gateway = format!("{}/24", world.lab.network().gateway());
    let lab_subnet = json!({"subnets": [{"gatewayAddress": gateway}]});
    world
        .bring_up(&[
            public(&world.lab, NAMESPACE, 120),
            segment(NAMESPACE, "bridge", &json!({})),
            vlan(NAMESPACE, "management", 130, &subnets(9)),
            vlan(NAMESPACE, "app", 131, &subnets(8)),
            vlan(NAMESPACE, "client", 132, &lab_subnet),
        ])
        .await?;
    let changes = json!({"displayName": NAME,
        "networks": {"public": {"static": {"address": address(&world.lab, 60)}}}});
    let host = world
        .create(&vch(&world.lab, NAMESPACE, "host", &changes))
        .await?;
    world.ready(&host).await?;
    let running =
        json!({"action": "make", "vch": NAME, "name": "web", "network": "bridge", "image": "nginx"});
    container(&world.lab, &running).await?;
    let mut play = Play::new();
    let w = &world;
    for (rows, restarts) in [
        (live_rows(), 0),
        (live_memory_rows(), 0),
        (hardware_rows(), 1),
        (network_rows(&address(&world.lab, 62)), 1),
    ] {
        for row in rows {
            play.scene(w, row.fields[0], changed(w, &host, &row, restarts))
                .await;
        }
    }
    play.scene(w, "several changes, one restart", together(w, &host))
        .await;
    play.scene(w, "a new name", renamed(w, &host)).await;
    play.scene(w, "a restart that must be approved", approved(w, &host))
        .await;
    play.scene(w, "a restart that waits for its window", windows(w, &host))
        .await;
    play.scene(w, "what cannot be changed", impossible(w, &host))
        .await;
    play.scene(w, "no field is forgotten", std::future::ready(complete()))
        .await;
    play.end()
}

/// Makes a change and waits until it is in effect; it takes that many restarts, and few calls.
async fn make(world: &World, host: &Key, change: &Value, restarts: usize) -> Outcome {
    let containers = running(world).await?;
    Calls::forget(&world.lab).await?;
    world.change(host, &json!({"spec": change})).await?;
    world.ready(host).await?;
    let calls = Calls::read(&world.lab).await?.vcenter;
    let of = |method: &str| calls.iter().filter(|call| call.method == method).count();
    let names: Vec<&str> = calls.iter().map(|call| call.method.as_str()).collect();
    demand(
        of("PowerOffVM_Task") == restarts && of("PowerOnVM_Task") == restarts && calls.len() <= COST,
        || format!("{change}: {restarts} restarts in at most {COST} calls: {names:?}"),
    )?;
    demand(running(world).await? == containers, || {
        format!("{change}: a container was touched")
    })
}

/// The containers that run, by moref.
async fn running(world: &World) -> Outcome<Vec<String>> {
    let dump = world.lab.vcenter.control.get("/dump").await?;
    let vms = dump
        .get("vms")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let container = |vm: &&Value| {
        vm.pointer("/extra_config/guestinfo.vice.~1common~1id").is_some()
            && vm.get("power").and_then(Value::as_str) == Some("poweredOn")
    };
    let found: Vec<String> = vms
        .iter()
        .filter(container)
        .filter_map(|vm| vm.get("moref")?.as_str().map(str::to_owned))
        .collect();
    demand(!found.is_empty(), || "no container runs".to_owned())?;
    Ok(found)
}

async fn changed(world: &World, host: &Key, row: &Row, restarts: usize) -> Outcome {
    for (change, list, pointer, expected) in &row.changes {
        make(world, host, change, restarts).await?;
        let object = in_vcenter(&world.lab, list, NAME).await?.unwrap_or_default();
        demand(object.pointer(pointer) == Some(expected), || {
            format!("{change}: {pointer} should be {expected}: {object:#}")
        })?;
    }
    Ok(())
}

async fn together(world: &World, host: &Key) -> Outcome {
    let change = json!({
        "endpoint": {"cpus": 2, "debugLevel": 1}, "containers": {"limit": 9}, "compute": {"cpu": {"limitMHz": 6000}},
        "networks": {"public": {"static": {"address": address(&world.lab, 61)}}},
    });
    make(world, host, &change, 1).await?;
    let object = world.read(host).await?;
    let told = object
        .data
        .pointer("/status/addresses/public")
        .and_then(Value::as_str);
    demand(told == Some(&address(&world.lab, 61)), || {
        format!("public address: {told:?}")
    })
}

async fn renamed(world: &World, host: &Key) -> Outcome {
    let vm = in_vcenter(&world.lab, "vms", NAME).await?.unwrap_or_default();
    let moref = vm
        .get("moref")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    for name in ["changes-other", NAME] {
        make(world, host, &json!({"displayName": name}), 1).await?;
        let vm = by_moref(&world.lab, "vms", &moref).await?.unwrap_or_default();
        let named = vm.get("name").and_then(Value::as_str) == Some(name)
            && vm
                .pointer("/extra_config/init~1common~1name")
                .and_then(Value::as_str)
                == Some(name);
        let pool = in_vcenter(&world.lab, "pools", name).await?;
        demand(named && pool.is_some(), || format!("{name}: {vm:#}"))?;
    }
    Ok(())
}

/// Waits until a restart is said to wait, and returns the plan's name.
async fn pending(world: &World, host: &Key) -> Outcome<String> {
    let said = world.refused(host, "Programmed", "RestartPending").await?;
    let object = world.read(host).await?;
    let id = object.data.pointer("/status/planID").and_then(Value::as_str);
    let id = id
        .ok_or_else(|| Failure(format!("no planID: {said}")))?
        .to_owned();
    let plan = object
        .data
        .pointer("/status/plan")
        .map(Value::to_string)
        .unwrap_or_default();
    demand(said.contains(&id) && plan.contains("power: off"), || {
        format!("{said}: {plan}")
    })?;
    Ok(id)
}

async fn debug_level(world: &World) -> Outcome<String> {
    let vm = in_vcenter(&world.lab, "vms", NAME).await?.unwrap_or_default();
    let level = vm
        .pointer(key!("init~1diagnostics~1debug"))
        .and_then(Value::as_str);
    Ok(level.unwrap_or_default().to_owned())
}

async fn approved(world: &World, host: &Key) -> Outcome {
    make(
        world,
        host,
        &json!({"maintenance": {"policy": "Approval"}, "endpoint": {"debugLevel": 1}}),
        0,
    )
    .await?;
    Calls::forget(&world.lab).await?;
    let change = json!({"endpoint": {"debugLevel": 2}, "compute": {"cpu": {"limitMHz": 5000}}});
    world.change(host, &json!({"spec": change})).await?;
    let first = pending(world, host).await?;
    let pool = in_vcenter(&world.lab, "pools", NAME).await?.unwrap_or_default();
    demand(
        pool.pointer("/config/cpuAllocation/limit") == Some(&json!(5000)),
        || format!("what is live does not wait: {pool:#}"),
    )?;
    // Another change is another plan, and the old approval is not for it.
    let second = json!({"endpoint": {"debugLevel": 3}, "maintenance": {"approvedPlan": first}});
    world.change(host, &json!({"spec": second})).await?;
    let other = pending(world, host).await?;
    demand(other != first && debug_level(world).await? == "1", || {
        format!("{first}, then {other}")
    })?;
    let calls = Calls::read(&world.lab).await?.vcenter;
    demand(calls.iter().all(|call| call.method != "PowerOffVM_Task"), || {
        "it was restarted without leave".to_owned()
    })?;
    make(world, host, &json!({"maintenance": {"approvedPlan": other}}), 1).await?;
    demand(debug_level(world).await? == "3", || {
        "the approved change is not in effect".to_owned()
    })?;
    let object = world.read(host).await?;
    let left = object
        .data
        .pointer("/status/plan")
        .or(object.data.pointer("/status/planID"));
    demand(left.is_none(), || format!("a plan is left: {left:?}"))
}

async fn windows(world: &World, host: &Key) -> Outcome {
    // The 29th of February is never today for a whole test, and a window that opens each minute is open always.
    let window = |schedule: &str| {
        json!({"policy": "Windows", "approvedPlan": null,
        "windows": [{"schedule": schedule, "duration": "2m"}]})
    };
    let change = json!({"maintenance": window("0 0 29 2 *"), "endpoint": {"debugLevel": 0}});
    world.change(host, &json!({"spec": change})).await?;
    let id = pending(world, host).await?;
    let object = world.read(host).await?;
    let said = condition(&object, "Ready")
        .map(|ready| told(ready, "message"))
        .unwrap_or_default();
    demand(
        said.contains("-02-29T00:00:00Z") && said.contains(&id) && !is_ready(&object),
        || said.to_owned(),
    )?;
    make(world, host, &json!({"maintenance": window("* * * * *")}), 1).await?;
    demand(debug_level(world).await? == "0", || {
        "the change is not in effect".to_owned()
    })?;
    make(world, host, &json!({"maintenance": null}), 0).await
}

async fn impossible(world: &World, host: &Key) -> Outcome {
    let routes = json!({"networks": {"public": {"static": {"routes": ["10.0.0.0/8"]}}}});
    let back = json!({"networks": {"public": {"static": {"routes": null}}}});
    world.change(host, &json!({"spec": routes})).await?;
    world.refused(host, "Accepted", "Invalid").await?;
    make(world, host, &back, 0).await?;
    let moved = world
        .change(host, &json!({"spec": {"siteRef": {"name": "elsewhere"}}}))
        .await;
    demand(moved.is_err(), || "a VCH went to another Site".to_owned())
}

/// Fields whose change is seen elsewhere: key by key in `options`, where pools and datastores are several in
/// `failures`, certificates in `docker`; the last are parts of what stands here or there as a whole.
const ELSEWHERE: &[&str] = &[
    "version",
    "endpoint.debugLevel",
    "endpoint.syslog.",
    "compute.resourcePool",
    "storage.",
    "networks.bridge.",
    "networks.public.networkRef",
    "networks.client.static.routes",
    "networks.management.static.routes",
    "networks.dnsServers",
    "networks.asymmetricRouting",
    "containers.",
    "registries.",
    "proxies.",
    "tls.generated.commonName",
];
/// Fields that are changed in the scenes above.
const HERE: &[&str] = &["siteRef", "displayName", "networks.public.static."];

/// The page of all fields lists none that no scene changes.
fn complete() -> Outcome {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vch-changes.md");
    let text = std::fs::read_to_string(page).map_err(|error| Failure(error.to_string()))?;
    let rows = [live_rows(), live_memory_rows(), hardware_rows(), network_rows("")]
        .into_iter()
        .flatten();
    let seen: BTreeSet<&str> = rows.flat_map(|row| row.fields.iter().copied()).collect();
    let named = |field: &str| ELSEWHERE.iter().chain(HERE).any(|known| field.starts_with(known));
    let forgotten: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("| inside |"))
        .filter_map(|line| line.strip_prefix("| `spec.")?.split('`').next())
        .filter(|field| !seen.contains(field) && !named(field))
        .collect();
    demand(forgotten.is_empty() && !seen.is_empty(), || {
        format!("no scene changes {forgotten:?}")
    })
}
