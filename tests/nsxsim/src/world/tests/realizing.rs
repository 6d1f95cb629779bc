//! Accepted is not realized.

use serde_json::json;

use crate::rules::testing::{NOW, patch, web_segment, world};
use crate::world::World;
use crate::world::tuning::RealizationFault;

const WEB: &str = "/infra/segments/web";

fn state(world: &World, path: &str) -> Option<String> {
    let entities = world.realized_entities(path).unwrap();
    entities.first().map(|e| e["state"].as_str().unwrap().to_owned())
}

fn status(world: &World, path: &str) -> (String, String) {
    let status = world.realized_status(path).unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
    (
        text(&status["consolidated_status"]["consolidated_status"]),
        text(&status["intent_version"]),
    )
}

#[test]
fn entities_are_absent_then_unrealized_then_realized() {
    let mut world = world();
    web_segment(&mut world);
    let delay = world.tuning.realization_delay_ms;
    let switches = world.switches;
    assert_eq!(state(&world, WEB), None);
    world.advance(NOW + delay / 2);
    assert_eq!(state(&world, WEB).as_deref(), Some("UNREALIZED"));
    assert!(world.switch_list().is_empty());
    world.advance(NOW + delay);
    assert_eq!(state(&world, WEB).as_deref(), Some("REALIZED"));
    assert_eq!(status(&world, WEB), ("SUCCESS".into(), "0".into()));
    let list = world.switch_list();
    assert_eq!(
        (&list[0]["path"], &list[0]["kind"]),
        (&json!(WEB), &json!("OVERLAY"))
    );
    assert!(list[0]["overlay_id"].as_u64().unwrap() > 65_536);
    assert_eq!(world.switches, switches + 1);
}

#[test]
fn an_update_leaves_the_earlier_state_in_effect_until_it_is_realized() {
    let mut world = world();
    web_segment(&mut world);
    world.advance(NOW + 1_000);
    patch(&mut world, WEB, json!({"display_name": "renamed"})).unwrap();
    assert_eq!(state(&world, WEB).as_deref(), Some("UNREALIZED"));
    assert_eq!(status(&world, WEB), ("IN_PROGRESS".into(), "0".into()));
    assert_eq!(world.switch_list()[0]["display_name"], "web");
    world.advance(NOW + 1_000);
    assert_eq!(status(&world, WEB), ("SUCCESS".into(), "1".into()));
    assert_eq!(world.switch_list()[0]["display_name"], "renamed");
}

#[test]
fn a_superseded_realization_is_void() {
    let mut world = world();
    web_segment(&mut world);
    world.tuning.realization_delay_ms = 5_000;
    patch(&mut world, WEB, json!({"display_name": "second"})).unwrap();
    world.advance(NOW + 4_000);
    assert_ne!(
        state(&world, WEB).as_deref(),
        Some("REALIZED"),
        "the first write's event is not this one's"
    );
    world.advance(NOW + 5_000);
    assert_eq!(state(&world, WEB).as_deref(), Some("REALIZED"));
}

#[test]
fn scripted_failures_raise_an_alarm() {
    let mut world = world();
    let fault = RealizationFault {
        path: "/infra/segments/w*".into(),
        message: "no VNI left".into(),
        error_code: 8212,
    };
    world.tuning.realization_faults = vec![fault];
    web_segment(&mut world);
    world.advance(NOW + 1_000);
    assert_eq!(state(&world, WEB).as_deref(), Some("ERROR"));
    assert_eq!(status(&world, WEB).0, "ERROR");
    let alarms = world.alarms();
    assert_eq!(
        (&alarms[0]["message"], &alarms[0]["error_details"]["error_code"]),
        (&json!("no VNI left"), &json!(8212))
    );
    assert_eq!(world.segment_state(WEB).unwrap()["state"], "failed");
    world.tuning.realization_faults.clear();
    patch(&mut world, WEB, json!({})).unwrap();
    world.advance(NOW + 1_000);
    assert_eq!(state(&world, WEB).as_deref(), Some("REALIZED"));
    assert!(world.alarms().is_empty());
}

#[test]
fn nat_needs_an_edge_cluster_and_is_tried_again_when_there_is_one() {
    let mut world = world();
    patch(&mut world, "/infra/tier-1s/bare", json!({})).unwrap();
    let rule = "/infra/tier-1s/bare/nat/USER/nat-rules/r";
    patch(
        &mut world,
        rule,
        json!({"action": "NO_SNAT", "source_network": "10.0.0.1"}),
    )
    .unwrap();
    world.advance(NOW + 1_000);
    assert_eq!(state(&world, rule).as_deref(), Some("ERROR"));
    assert_eq!(world.alarms()[0]["error_details"]["error_code"], 500_042);
    let cluster = "/infra/sites/default/enforcement-points/default/edge-clusters/edge-cluster-1";
    patch(
        &mut world,
        "/infra/tier-1s/bare/locale-services/default",
        json!({"edge_cluster_path": cluster}),
    )
    .unwrap();
    world.advance(NOW + 2_000);
    assert_eq!(state(&world, rule).as_deref(), Some("REALIZED"));
}

#[test]
fn what_is_not_there_has_no_status() {
    let world = world();
    assert_eq!(
        world.realized_status("/infra/segments/none").unwrap_err().code,
        json!(500_012)
    );
    assert_eq!(
        world.realized_entities("/infra/segments/none").unwrap_err().code,
        json!(500_012)
    );
    assert_eq!(
        world
            .realized_entity("/infra/realized-state/x")
            .unwrap_err()
            .status,
        404
    );
}
