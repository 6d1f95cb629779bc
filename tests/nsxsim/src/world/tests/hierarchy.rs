//! `PATCH /infra`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::NsxError;
use crate::rules::testing::{admin, settle, world};
use crate::world::World;
use crate::world::write::{Mode, Terms};

/// Patches a tree of children.
pub fn tree(world: &mut World, children: &Value) -> Result<(), NsxError> {
    tree_on(world, children, false)
}

pub fn tree_on(world: &mut World, children: &Value, enforce: bool) -> Result<(), NsxError> {
    let body = json!({"resource_type": "Infra", "children": children});
    attempt_on(world, ("Infra", "/infra"), &body, enforce)
}

/// Patches the tree below any root.
pub fn attempt(world: &mut World, kind: &str, path: &str, body: &Value) -> Result<(), NsxError> {
    attempt_on(world, (kind, path), body, false)
}

fn attempt_on(
    world: &mut World,
    (kind, path): (&str, &str),
    body: &Value,
    enforce: bool,
) -> Result<(), NsxError> {
    let changes = world.read_tree(kind, path, body.as_object().unwrap(), Mode::Patch)?;
    let terms = Terms {
        enforce_revision: enforce,
        hierarchical: true,
    };
    world.commit(&changes, terms, &admin())
}

/// Everything there is, but for the numbers a failed attempt may use up.
pub fn state(world: &World) -> BTreeMap<String, Map<String, Value>> {
    world
        .store
        .all()
        .map(|o| (o.path.clone(), Map::clone(&o.body)))
        .collect()
}

pub fn below(kind: &str, id: &str, children: Value) -> Value {
    let mut wrapper = json!({"resource_type": "ChildResourceReference", "target_type": kind, "id": id});
    wrapper["children"] = children;
    wrapper
}

pub fn child(kind: &str, body: &Value) -> Value {
    let mut wrapper = json!({"resource_type": format!("Child{kind}")});
    wrapper[kind] = body.clone();
    wrapper
}

pub fn gone(kind: &str, id: &str) -> Value {
    let mut wrapper = json!({"resource_type": format!("Child{kind}"), "marked_for_delete": true});
    wrapper[kind] = json!({"id": id, "resource_type": kind});
    wrapper
}

fn service(id: &str) -> Value {
    child(
        "Service",
        &json!({"id": id, "service_entries": [{"resource_type": "L4PortSetServiceEntry", "id": "e",
        "display_name": "e", "l4_protocol": "TCP", "destination_ports": ["80"]}]}),
    )
}

fn nat(rules: Value) -> Value {
    below("Tier1", "vic-edge", json!([below("PolicyNat", "USER", rules)]))
}

fn rule(id: &str, service: &str) -> Value {
    child(
        "PolicyNatRule",
        &json!({"id": id, "action": "DNAT", "destination_network": "203.0.113.10",
        "translated_network": "10.30.0.11", "translated_ports": "8080",
        "service": format!("/infra/services/{service}")}),
    )
}

const RULE: &str = "/infra/tier-1s/vic-edge/nat/USER/nat-rules/r";

#[test]
fn order_in_the_call_does_not_matter() {
    for children in [
        json!([nat(json!([rule("r", "s")])), service("s")]),
        json!([service("s"), nat(json!([rule("r", "s")]))]),
    ] {
        let mut world = world();
        tree(&mut world, &children).unwrap();
        assert_eq!(world.read(RULE).unwrap()["translated_ports"], "8080");
        let gone = json!([gone("Service", "s"), nat(json!([gone("PolicyNatRule", "r")]))]);
        tree(&mut world, &gone).unwrap();
        assert!(world.read(RULE).is_err());
    }
}

#[test]
fn one_poison_object_stops_all_and_is_told_beneath_the_wrapper() {
    let mut world = world();
    let before = state(&world);
    let children = json!([service("s"), nat(json!([rule("good", "s"), rule("bad", "none")]))]);
    let error = tree(&mut world, &children).unwrap_err();
    let body = error.body();
    assert_eq!(body["error_code"], 500_157);
    assert_eq!(
        body["error_message"],
        "Error while creating objects of type:PolicyNatRule"
    );
    assert_eq!(body["related_errors"][0]["error_code"], 500_012);
    assert!(
        body["related_errors"][0]["error_message"]
            .as_str()
            .unwrap()
            .contains("/infra/services/none")
    );
    assert_eq!(state(&world), before, "nothing landed");
    settle(&mut world);
    assert_eq!(state(&world), before, "nothing lands later");
}

#[test]
fn what_is_no_tree_is_refused() {
    let wrong_wrapper = json!([{"resource_type": "ChildSegment", "Tier1": {"id": "t"}}]);
    let cases = [
        (
            json!([{"resource_type": "ChildNonsense", "Nonsense": {"id": "x"}}]),
            220,
            "ChildNonsense",
        ),
        (json!(["x"]), 220, "not an object"),
        (json!({"a": 1}), 220, "not a list"),
        (wrong_wrapper, 255, "ChildSegment.Segment is required"),
        (
            json!([child("Segment", &json!({"display_name": "x"}))]),
            255,
            "id of a Segment",
        ),
        (
            json!([child("Rule", &json!({"id": "r", "action": "ALLOW"}))]),
            255,
            "Rule is not a valid child of Infra",
        ),
        (
            json!([child("Segment", &json!({"id": "s", "vlan": 1}))]),
            220,
            "vlan",
        ),
        (
            json!([{"resource_type": "ChildSegment", "Segment": {"id": "s"}, "extra": 1}]),
            220,
            "extra",
        ),
        (
            json!([{"resource_type": "ChildResourceReference", "id": "t"}]),
            255,
            "target_type is required",
        ),
        (
            json!([below("Tier1", "t", json!([child("Tier0", &json!({"id": "x"}))]))]),
            255,
            "Tier0 is not a valid child",
        ),
    ];
    for (children, code, text) in cases {
        let error = tree(&mut world(), &children).expect_err(&children.to_string());
        assert_eq!(error.code, json!(code), "{children}: {}", error.message());
        assert!(error.message().contains(text), "{children}: {}", error.message());
    }
}

#[test]
fn a_reference_leads_through_what_exists_only() {
    let mut world = world();
    let error = tree(&mut world, &json!([below("Tier1", "none", json!([]))])).unwrap_err();
    assert_eq!(error.body()["related_errors"][0]["error_code"], 500_012);
    let made = json!([
        below(
            "Tier1",
            "new",
            json!([child("LocaleServices", &json!({"id": "default"}))])
        ),
        child("Tier1", &json!({"id": "new"})),
    ]);
    tree(&mut world, &made).unwrap();
    assert!(world.read("/infra/tier-1s/new/locale-services/default").is_ok());
}

#[test]
fn children_nest_in_their_parents_body() {
    let mut world = world();
    let tier1 = json!({"id": "new", "children": [child("LocaleServices", &json!({"id": "default"})),
        child("Segment", &json!({"id": "inner", "subnets": [{"gateway_address": "10.9.0.1/24"}]}))]});
    tree(&mut world, &json!([child("Tier1", &tier1)])).unwrap();
    assert!(world.read("/infra/tier-1s/new/segments/inner").is_ok());
    assert!(
        world.read("/infra/tier-1s/new/nat/USER").is_ok(),
        "sections come with the gateway"
    );
}

#[test]
fn polymorphic_children_choose_their_type_in_the_body() {
    let mut world = world();
    crate::rules::testing::web_segment(&mut world);
    let binding = json!({"resource_type": "DhcpV4StaticBindingConfig", "id": "b", "ip_address": "10.30.0.5",
        "mac_address": "00:50:56:00:00:01"});
    let children = json!([below(
        "Segment",
        "web",
        json!([child("DhcpStaticBindingConfig", &binding)])
    )]);
    tree(&mut world, &children).unwrap();
    let entry = json!({"resource_type": "ICMPTypeServiceEntry", "id": "e", "display_name": "e", "protocol": "ICMPv4"});
    let children = json!([child(
        "Service",
        &json!({"id": "s", "children": [child("ServiceEntry", &entry)]})
    )]);
    tree(&mut world, &children).unwrap();
    assert_eq!(
        world.read("/infra/services/s").unwrap()["service_entries"][0]["protocol"],
        "ICMPv4"
    );
}

#[test]
fn the_cap_counts_objects_not_references() {
    let mut world = world();
    world.tuning.hierarchy_limit = 2;
    let groups = |n: usize| -> Vec<Value> {
        (0..n)
            .map(|i| child("Group", &json!({"id": format!("g{i}")})))
            .collect()
    };
    tree(&mut world, &json!([below("Domain", "default", json!(groups(2)))])).unwrap();
    let error = tree(&mut world, &json!([below("Domain", "default", json!(groups(3)))])).unwrap_err();
    assert!(
        error.message().contains("exceeds the limit of 2"),
        "{}",
        error.message()
    );
}

#[test]
fn an_object_given_twice_is_refused() {
    let error = tree(&mut world(), &json!([service("s"), service("s")])).unwrap_err();
    assert!(
        error.body()["related_errors"][0]["error_message"]
            .as_str()
            .unwrap()
            .contains("given twice")
    );
}

#[test]
fn enforced_revisions_are_checked_on_updates_and_deletes() {
    let mut world = world();
    tree(&mut world, &json!([service("s")])).unwrap();
    let with = |revision: i64| {
        let mut s = service("s");
        s["Service"]["_revision"] = json!(revision);
        json!([s])
    };
    assert_eq!(
        tree_on(&mut world, &json!([service("s")]), true)
            .unwrap_err()
            .status,
        412
    );
    assert_eq!(tree_on(&mut world, &with(7), true).unwrap_err().status, 412);
    tree_on(&mut world, &with(0), true).unwrap();
    tree_on(&mut world, &with(0), false).unwrap();
    assert_eq!(
        tree_on(&mut world, &json!([gone("Service", "s")]), true)
            .unwrap_err()
            .status,
        412
    );
    let mut exact = gone("Service", "s");
    exact["Service"]["_revision"] = json!(2);
    tree_on(&mut world, &json!([exact]), true).unwrap();
    tree_on(&mut world, &json!([service("fresh")]), true).unwrap();
}

#[test]
fn deleting_what_is_not_there_is_a_knob() {
    let mut world = world();
    let error = tree(&mut world, &json!([gone("Service", "none")])).unwrap_err();
    assert_eq!(error.body()["error_code"], 600);
    world.tuning.hierarchy_delete_of_missing_fails = false;
    tree(&mut world, &json!([gone("Service", "none")])).unwrap();
}

#[test]
fn a_deletion_takes_what_hangs_below_with_it_whether_it_is_named_or_not() {
    let edge = "/infra/tier-1s/new";
    for named in [false, true] {
        let mut world = world();
        let before = state(&world).into_keys().collect::<Vec<_>>();
        let tier1 = json!({"id": "new", "children": [child("LocaleServices", &json!({"id": "default"})),
            child("Segment", &json!({"id": "inner", "subnets": [{"gateway_address": "10.9.0.1/24"}]}))]});
        tree(&mut world, &json!([child("Tier1", &tier1)])).unwrap();
        let mut deletion = gone("Tier1", "new");
        if named {
            deletion["Tier1"]["children"] = json!([gone("Segment", "inner")]);
        }
        tree(&mut world, &json!([deletion])).unwrap();
        assert!(world.read(&format!("{edge}/segments/inner")).is_err());
        assert!(world.read(&format!("{edge}/locale-services/default")).is_err());
        settle(&mut world);
        assert_eq!(state(&world).into_keys().collect::<Vec<_>>(), before);
    }
}

#[test]
fn what_others_refer_to_below_a_deleted_parent_keeps_all() {
    let mut world = world();
    let before = json!([child(
        "Tier1",
        &json!({"id": "new",
        "children": [child("LocaleServices", &json!({"id": "default"}))]})
    )]);
    tree(&mut world, &before).unwrap();
    let scoped = child(
        "GatewayPolicy",
        &json!({"id": "p", "category": "LocalGatewayRules", "rules": [
        {"resource_type": "Rule", "id": "r", "action": "ALLOW", "scope": ["/infra/tier-1s/new"]}]}),
    );
    tree(&mut world, &json!([below("Domain", "default", json!([scoped]))])).unwrap();
    let error = tree(&mut world, &json!([gone("Tier1", "new")])).unwrap_err();
    assert_eq!(error.body()["related_errors"][0]["error_code"], 500_030);
    assert!(world.read("/infra/tier-1s/new/locale-services/default").is_ok());
}

#[test]
fn what_is_named_below_a_deletion_is_well_formed() {
    let mut deletion = gone("Tier1", "vic-edge");
    deletion["Tier1"]["children"] = json!([gone("Rule", "r")]);
    let error = tree(&mut world(), &json!([deletion])).unwrap_err();
    assert!(
        error.message().contains("not a valid child of Tier1"),
        "{}",
        error.message()
    );
}
