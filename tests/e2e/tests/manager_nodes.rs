//! A cluster of NSX managers whose nodes go one after the other, each in the middle of a batch.

#![cfg(test)]

use e2e::manifests::{dnat, routed};
use e2e::outside::{Snapshot, nat_rules, text};
use e2e::{Outcome, World, demand, equal};
use lab::Options;
use lab::kinds::Key;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const NAMESPACE: &str = "nodes";
/// Rules of one batch.
const RULES: u16 = 40;
/// The node that goes, where the PATCH is that it takes with it, and the node that the operator turns to. Whoever goes
/// last leaves the first, which is back.
const DEATHS: [(usize, &str, usize); 3] = [
    (0, "hold-before", 1),
    (1, "hold-after-commit", 2),
    (2, "hold-after-commit", 0),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_node_that_goes_in_mid_batch_loses_and_doubles_nothing() -> Outcome {
    let options = Options {
        nsx_resync: Duration::from_secs(2),
        nsx_nodes: DEATHS.len(),
        ..Options::named("nodes")
    };
    let world = World::with_site(options).await?;
    let before = Snapshot::take(&world.lab).await?;
    world.namespace(NAMESPACE).await?;
    let mut keys = world
        .bring_up(&[routed(NAMESPACE, "web", 80, &json!({}))])
        .await?;
    let mut names = BTreeSet::new();
    for (round, (node, moment, next)) in (0_u16..).zip(DEATHS) {
        let rules: Vec<Value> = (0..RULES)
            .map(|n| {
                let name = format!("r{round}-{n}");
                let rule = dnat(
                    NAMESPACE,
                    &name,
                    9000 + round * RULES + n,
                    "10.30.80.11",
                    &json!({}),
                );
                names.insert(name);
                rule
            })
            .collect();
        keys.extend(node_goes(&world, &rules, node, moment).await?);
        every_rule_is_there_once(&world, &names).await?;
        works_with(&world, next).await?;
        set_node(&world, node, true).await?;
    }
    world.remove(&keys).await?;
    before.comes_back(&world, &["/sessions/"]).await
}

/// Makes rules, and takes the node away while it holds the writes for the first of them, two at most, and the rest waits.
async fn node_goes(world: &World, rules: &[Value], node: usize, moment: &str) -> Outcome<Vec<Key>> {
    let control = &world.lab.nsx.control;
    control.call(Method::DELETE, "/calls", None).await?;
    let fault =
        json!({"match": {"method": "PATCH", "client": "vic-operator/"}, "times": 2, "action": moment});
    control.post("/faults", &fault).await?;
    let keys = world.create_all(rules).await?;
    let held = control.get("/held?wait_ms=60000").await?;
    demand(held["held"].as_u64() > Some(0), || {
        "no PATCH was under way".to_owned()
    })?;
    set_node(world, node, false).await?;
    control.call(Method::DELETE, "/faults", None).await?;
    world.all_ready(&keys).await?;
    Ok(keys)
}

async fn set_node(world: &World, node: usize, up: bool) -> Outcome {
    let wanted = json!({"node": node, "up": up});
    world.lab.nsx.control.post("/nodes", &wanted).await?;
    Ok(())
}

async fn every_rule_is_there_once(world: &World, names: &BTreeSet<String>) -> Outcome {
    let rules = nat_rules(&world.lab).await?;
    let mut found: Vec<&str> = rules
        .iter()
        .flat_map(|rule| rule["tags"].as_array().into_iter().flatten())
        .filter(|tag| text(tag, "scope") == "vic-operator/name")
        .map(|tag| text(tag, "tag"))
        .collect();
    found.sort_unstable();
    let expected: Vec<&str> = names.iter().map(String::as_str).collect();
    equal("NAT rules by their objects' names", found, expected)
}

/// Since the last batch began, the operator has logged in at the node that it shall use, and wrote there last.
async fn works_with(world: &World, node: usize) -> Outcome {
    let calls = world.lab.nsx.control.get("/calls").await?;
    let log = calls["log"].as_array().cloned().unwrap_or_default();
    let operators: Vec<&Value> = log
        .iter()
        .filter(|call| text(call, "client").starts_with("vic-operator/"))
        .collect();
    let login = operators
        .iter()
        .any(|call| call["node"] == node && text(call, "path") == "/api/session/create");
    demand(login, || format!("no login at node {node}: {operators:#?}"))?;
    let last = operators.iter().rev().find(|call| call["method"] == "PATCH");
    equal(
        "the node of the last PATCH",
        last.map(|call| &call["node"]),
        Some(&json!(node)),
    )
}
