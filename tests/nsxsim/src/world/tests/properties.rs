//! Whatever a hierarchical call holds: it lands whole or not at all, in any order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Value, json};

use super::hierarchy::{below, child, gone, state, tree};
use crate::rules::testing::world;
use crate::world::World;

/// Objects that lean on each other; some of them are broken.
fn pool() -> Vec<Value> {
    let group = |id: &str, body: Value| {
        let mut body = body;
        body["id"] = json!(id);
        below("Domain", "default", json!([child("Group", &body)]))
    };
    let segment = |id: &str, body: Value| {
        let mut body = body;
        body["id"] = json!(id);
        child("Segment", &body)
    };
    let path = |target: &str| json!({"expression": [{"resource_type": "PathExpression", "paths": [target]}]});
    vec![
        segment("a", json!({})),
        segment("b", json!({"dhcp_config_path": "/infra/dhcp-relay-configs/r"})),
        segment("broken", json!({"vlan_ids": ["10"]})),
        child(
            "DhcpRelayConfig",
            &json!({"id": "r", "server_addresses": ["10.0.0.1"]}),
        ),
        group("on-a", path("/infra/segments/a")),
        group("on-b", path("/infra/segments/b")),
        group(
            "even",
            json!({"expression": [{"resource_type": "ConjunctionOperator", "conjunction_operator": "OR"}]}),
        ),
        child(
            "Tier1",
            &json!({"id": "t", "tier0_path": "/infra/tier-0s/vic-t0"}),
        ),
        gone("Segment", "seeded"),
        segment(
            "on-seeded-gateway",
            json!({"connectivity_path": "/infra/tier-1s/t"}),
        ),
    ]
}

/// What a reader sees, without what every world makes anew.
fn visible(world: &World) -> BTreeMap<String, Value> {
    let fields = [
        "connectivity_path",
        "dhcp_config_path",
        "display_name",
        "_revision",
        "marked_for_delete",
        "type",
    ];
    state(world)
        .into_iter()
        .map(|(path, body)| {
            let kept = fields
                .iter()
                .map(|f| (*f, body.get(*f).cloned().unwrap_or_default()));
            (path, json!(kept.collect::<BTreeMap<_, _>>()))
        })
        .collect()
}

fn seeded() -> World {
    let mut world = world();
    tree(&mut world, &json!([child("Segment", &json!({"id": "seeded"}))])).unwrap();
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whole_or_not_at_all_in_any_order(
        chosen in subsequence((0..10_usize).collect::<Vec<_>>(), 0..=10).prop_shuffle(),
    ) {
        let pool = pool();
        let given: Vec<Value> = chosen.iter().map(|i| pool[*i].clone()).collect();
        let mut sorted = chosen.clone();
        sorted.sort_unstable();
        let straight: Vec<Value> = sorted.iter().map(|i| pool[*i].clone()).collect();

        let mut world = seeded();
        let before = visible(&world);
        let result = tree(&mut world, &json!(given));
        let mut other = seeded();
        let ordered = tree(&mut other, &json!(straight));

        prop_assert_eq!(result.is_ok(), ordered.is_ok());
        if result.is_ok() {
            prop_assert_eq!(visible(&world), visible(&other));
        } else {
            prop_assert_eq!(visible(&world), before);
        }
    }
}
