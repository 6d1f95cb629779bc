//! What the mirror costs, and what it notices.

#[cfg(test)]
mod manager;

use std::time::Duration;

use axum::http::Method;
use manager::{Fault, Manager, next, owned, owner_tags, segment};
use nsx::{Engine, Error, Priority, Realization, Referable, Tag};
use serde_json::json;

const EDGE: &str = "/infra/tier-1s/edge";

fn rule(id: &str) -> String {
    format!("{EDGE}/nat/USER/nat-rules/{id}")
}

fn seed(manager: &Manager, count: usize) {
    for n in 0..count {
        manager.put(
            &format!("/infra/segments/s{n:05}"),
            "Segment",
            &json!({"tags": owner_tags()}),
        );
    }
}

/// An engine that looks every 50 ms.
async fn eager(manager: &Manager) -> Engine {
    manager
        .engine_with(|config, _| config.resync = Duration::from_millis(50))
        .await
}

/// Searches during `looks` periods at rest.
async fn searches_at_rest(manager: &Manager, looks: usize) -> usize {
    // The overlap closes once the lag is over.
    tokio::time::sleep(Duration::from_millis(800)).await;
    let before = manager.calls("GET", "search");
    while manager.calls("GET", "search") < before + looks {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let world = manager.lock();
    world
        .log
        .iter()
        .filter(|(_, path)| !path.contains("search"))
        .count()
}

#[tokio::test]
async fn at_rest_one_search_is_enough_for_objects_of_ours_and_rules_of_others() {
    let manager = Manager::start().await;
    manager.put(EDGE, "Tier1", &json!({}));
    manager.put(&rule("theirs"), "PolicyNatRule", &json!({"action": "DNAT"}));
    manager.put(&rule("ours"), "PolicyNatRule", &json!({"tags": owner_tags()}));
    let engine = eager(&manager).await;
    engine.sure().await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    let (all, joint) = (manager.calls("GET", "search"), manager.calls("GET", "OR"));
    while manager.calls("GET", "search") < all + 10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (all, joint) = (
        manager.calls("GET", "search") - all,
        manager.calls("GET", "OR") - joint,
    );
    assert_eq!(joint, all);
}

#[tokio::test]
async fn more_than_a_page_is_read_in_pages() {
    let manager = Manager::start().await;
    seed(&manager, 2345);
    let engine = manager.engine().await;
    assert_eq!(owned(&engine).len(), 2345);
    assert_eq!(manager.calls("GET", "search"), 3);
    assert_eq!(engine.version(), "4.2.1.0.0");
    assert_eq!(engine.cluster_id(), "c-1");
    assert_eq!(
        engine.get("/infra/segments/s00000").unwrap().realization,
        Realization::Realized
    );
}

/// What a process wrote just before it was killed may be missing in the first read of the next one.
#[tokio::test]
async fn what_the_first_read_did_not_show_is_known_once_the_engine_is_sure() {
    let manager = Manager::start().await;
    seed(&manager, 2);
    let engine = manager.engine().await;
    assert!(!engine.is_sure(), "the lag has not passed");
    seed(&manager, 3);
    engine.sure().await;
    assert!(engine.is_sure());
    assert_eq!(owned(&engine).len(), 3, "without any period having passed");
}

#[tokio::test]
async fn a_page_that_is_too_large_is_made_smaller() {
    let manager = Manager::start().await;
    seed(&manager, 700);
    let body = json!({"error_code": 60_576, "error_message": "page too large"}).to_string();
    manager.fault(Method::GET, "search", Fault::Answer(503, body));
    let engine = manager.engine().await;
    assert_eq!(owned(&engine).len(), 700);
    assert_eq!(manager.calls("GET", "search"), 1 + 2);
}

#[tokio::test]
async fn a_manager_that_does_not_sort_by_path_is_read_all_the_same() {
    let manager = Manager::start().await;
    seed(&manager, 1500);
    let body = json!({"error_code": 1, "error_message": "cannot sort"}).to_string();
    manager.fault(Method::GET, "sort_by=path", Fault::Answer(400, body));
    let engine = manager.engine().await;
    assert_eq!(owned(&engine).len(), 1500);
    assert_eq!(manager.calls("GET", "search"), 3, "asked once");
}

#[tokio::test]
async fn the_edge_cluster_of_a_gateway_is_that_of_its_locale_services() {
    let manager = Manager::start().await;
    let cluster = "/infra/sites/default/enforcement-points/default/edge-clusters/ec";
    let services = json!({"edge_cluster_path": cluster});
    manager.put(
        &format!("{EDGE}/locale-services/default"),
        "LocaleServices",
        &services,
    );
    let engine = manager.engine().await;
    assert_eq!(
        engine.edge_cluster_of(EDGE).await.unwrap().as_deref(),
        Some(cluster)
    );
    assert_eq!(
        engine
            .edge_cluster_of("/infra/tier-1s/distributed")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_look_at_rest_costs_one_call_a_search_for_any_number_of_objects() {
    for count in [3, 3000] {
        let manager = Manager::start().await;
        seed(&manager, count);
        manager.put(&rule("foreign"), "PolicyNatRule", &json!({}));
        let engine = manager
            .engine_with(|config, tuning| {
                config.resync = Duration::from_millis(100);
                tuning.full_every = 1_000_000;
            })
            .await;
        engine.watch_gateway(EDGE).await.unwrap();
        let others = searches_at_rest(&manager, 10).await;
        let (searches, started) = (manager.calls("GET", "search"), tokio::time::Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let periods = usize::try_from(started.elapsed().as_millis() / 100).unwrap();
        let calls = manager.calls("GET", "search") - searches;
        assert!(
            calls <= 2 * periods + 2,
            "{calls} searches in {periods} periods at {count} objects"
        );
        let after = manager
            .lock()
            .log
            .iter()
            .filter(|(_, path)| !path.contains("search"))
            .count();
        assert_eq!(after, others, "nothing but searches at rest");
    }
}

#[tokio::test]
async fn edits_deletions_and_additions_by_others_are_told() {
    let manager = Manager::start().await;
    seed(&manager, 120);
    let engine = eager(&manager).await;
    let mut changes = engine.changes();
    manager.put(
        "/infra/segments/s00007",
        "Segment",
        &json!({"tags": owner_tags(), "vlan_ids": ["9"]}),
    );
    assert_eq!(next(&mut changes).await, ["/infra/segments/s00007"]);
    assert_eq!(
        engine.get("/infra/segments/s00007").unwrap().body["vlan_ids"],
        json!(["9"])
    );
    manager.remove("/infra/segments/s00008");
    assert_eq!(next(&mut changes).await, ["/infra/segments/s00008"]);
    assert!(engine.get("/infra/segments/s00008").is_none());
    manager.put("/infra/segments/extra", "Segment", &json!({"tags": owner_tags()}));
    assert_eq!(next(&mut changes).await, ["/infra/segments/extra"]);
    assert_eq!(owned(&engine).len(), 120);
}

#[tokio::test]
async fn one_out_and_one_in_between_two_looks_are_both_seen() {
    let manager = Manager::start().await;
    seed(&manager, 10);
    let engine = eager(&manager).await;
    let mut changes = engine.changes();
    {
        let mut world = manager.lock();
        let mut twin = world.objects.remove("/infra/segments/s00003").unwrap();
        twin["path"] = json!("/infra/segments/twin");
        twin["_last_modified_time"] = json!(2_000_000);
        world.objects.insert("/infra/segments/twin".into(), twin);
    }
    let mut told = next(&mut changes).await;
    while told.len() < 2 {
        told.extend(next(&mut changes).await);
    }
    told.sort();
    assert_eq!(told, ["/infra/segments/s00003", "/infra/segments/twin"]);
}

#[tokio::test]
async fn a_mass_deletion_is_believed_after_a_sample() {
    let manager = Manager::start().await;
    seed(&manager, 500);
    let engine = manager
        .engine_with(|config, tuning| {
            config.resync = Duration::from_millis(50);
            tuning.full_every = 1_000_000;
        })
        .await;
    // What was seen a moment ago is not believed to be gone: the first looks overlap, then the lag must pass.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    manager.lock().objects.clear();
    let wait = async {
        while !owned(&engine).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
    assert!(
        manager.calls("GET", "/infra/segments/") <= 200,
        "{}",
        manager.calls("GET", "/infra/segments/")
    );
}

#[tokio::test]
async fn foreign_rules_of_watched_gateways_are_seen_and_followed() {
    let manager = Manager::start().await;
    manager.put(EDGE, "Tier1", &json!({}));
    manager.put(&rule("theirs"), "PolicyNatRule", &json!({"action": "DNAT"}));
    manager.put(&rule("ours"), "PolicyNatRule", &json!({"tags": owner_tags()}));
    manager.put(
        "/infra/tier-1s/other/nat/USER/nat-rules/x",
        "PolicyNatRule",
        &json!({}),
    );
    let engine = eager(&manager).await;
    engine.watch_gateway(EDGE).await.unwrap();
    assert_eq!(
        manager.calls("GET", "nat-rules"),
        0,
        "gateways in use are read with one search"
    );
    assert_eq!(engine.nat_rules(EDGE).len(), 2);
    assert!(engine.get("/infra/tier-1s/other/nat/USER/nat-rules/x").is_none());
    assert_eq!(owned(&engine).len(), 1);
    let mut changes = engine.changes();
    manager.put(&rule("theirs"), "PolicyNatRule", &json!({"action": "SNAT"}));
    assert_eq!(next(&mut changes).await, [rule("theirs")]);
    manager.remove(&rule("theirs"));
    assert_eq!(next(&mut changes).await, [rule("theirs")]);
    assert_eq!(engine.nat_rules(EDGE).len(), 1);
}

#[tokio::test]
async fn objects_are_found_by_our_tag_and_another() {
    let manager = Manager::start().await;
    let mut tags = owner_tags();
    tags.as_array_mut()
        .unwrap()
        .push(json!({"scope": "vic-operator/uid", "tag": "u1"}));
    manager.put("/infra/segments/a", "Segment", &json!({"tags": tags}));
    manager.put(
        "/infra/segments/b",
        "Segment",
        &json!({"tags": [{"scope": "vic-operator/uid", "tag": "u1"}]}),
    );
    let engine = manager.engine().await;
    let found = engine.owned_with(&Tag::new("vic-operator/uid", "u1"));
    assert_eq!(found.iter().map(nsx::Observed::id).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn references_are_found_by_id_then_by_a_name_that_is_unique() {
    let manager = Manager::start().await;
    for (id, name) in [
        ("3f2a", "edge"),
        ("77aa", "twice"),
        ("88bb", "twice"),
        ("plain", "edge2"),
    ] {
        manager.put(
            &format!("/infra/tier-1s/{id}"),
            "Tier1",
            &json!({"display_name": name}),
        );
    }
    let engine = manager.engine().await;
    let found = |name: &'static str| {
        let engine = engine.clone();
        async move { engine.resolve(Referable::Tier1, name).await.map(|seen| seen.path) }
    };
    assert_eq!(found("plain").await.unwrap(), "/infra/tier-1s/plain");
    assert_eq!(found("edge").await.unwrap(), "/infra/tier-1s/3f2a");
    assert_eq!(found("/infra/tier-1s/77aa").await.unwrap(), "/infra/tier-1s/77aa");
    assert!(matches!(
        found("twice").await,
        Err(Error::Ambiguous { count: 2, .. })
    ));
    assert!(matches!(found("none").await, Err(Error::Unresolved { .. })));
    assert!(matches!(found("").await, Err(Error::Unresolved { .. })));
    let calls = engine.stats().calls;
    let many = (0..50).map(|_| found("edge"));
    assert!(futures::future::join_all(many).await.iter().all(Result::is_ok));
    assert_eq!(engine.stats().calls, calls, "kept for a period");
}

#[tokio::test]
async fn nothing_is_absent_before_the_first_complete_read() {
    let manager = Manager::start().await;
    seed(&manager, 5);
    for _ in 0..4 {
        manager.fault(Method::GET, "search", Fault::Answer(503, String::new()));
    }
    let engine = Engine::connect_tuned(manager.config(), manager::quick())
        .await
        .unwrap();
    assert!(!engine.is_loaded());
    engine.loaded().await;
    assert_eq!(owned(&engine).len(), 5);
}

#[tokio::test]
async fn a_direct_read_sees_past_the_mirror() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.put("/infra/segments/taken", "Segment", &json!({"tags": []}));
    assert!(engine.get("/infra/segments/taken").is_none());
    assert!(engine.fetch("/infra/segments/taken").await.unwrap().is_some());
    assert!(
        engine.get("/infra/segments/taken").is_none(),
        "what is not ours is not kept"
    );
    assert!(
        engine
            .fetch("/infra/segments/none-of-it")
            .await
            .unwrap()
            .is_none()
    );
    engine
        .submit(Priority::User, vec![segment("ours")])
        .await
        .unwrap();
    manager.remove("/infra/segments/ours");
    assert!(engine.fetch("/infra/segments/ours").await.unwrap().is_none());
    assert!(engine.get("/infra/segments/ours").is_none());
}
