//! Nothing points to what is not there, and nothing that is pointed to goes.

use serde_json::{Value, json};

use crate::error::NsxError;
use crate::rules::testing::{ZONES, delete, patch, web_segment, world};

fn code(result: Result<(), NsxError>) -> Value {
    result.unwrap_err().code
}

#[test]
fn unknown_paths_are_refused() {
    let cases = [
        (
            "/infra/segments/s",
            json!({"transport_zone_path": format!("{ZONES}/none")}),
        ),
        (
            "/infra/segments/s",
            json!({"connectivity_path": "/infra/tier-1s/none"}),
        ),
        (
            "/infra/segments/s",
            json!({"dhcp_config_path": "/infra/dhcp-server-configs/none"}),
        ),
        // Of the wrong type.
        (
            "/infra/segments/s",
            json!({"connectivity_path": "/infra/services/HTTP"}),
        ),
        ("/infra/tier-1s/t", json!({"tier0_path": "/infra/tier-0s/None"})),
        ("/infra/tier-1s/t", json!({"tier0_path": "vic-t0"})),
        ("/infra/tier-1s/t/locale-services/default", json!({})),
        (
            "/infra/tier-1s/vic-edge/locale-services/x",
            json!({"edge_cluster_path": "/infra/none"}),
        ),
        (
            "/infra/tier-1s/vic-edge/nat/MINE/nat-rules/r",
            json!({"action": "NO_SNAT", "source_network": "10.0.0.1"}),
        ),
        (
            "/infra/tier-1s/vic-edge/nat/USER/nat-rules/r",
            json!({"action": "NO_SNAT", "source_network": "10.0.0.1", "service": "/infra/services/none"}),
        ),
        (
            "/infra/domains/default/groups/g",
            json!({"expression": [{"resource_type": "PathExpression", "paths": ["/infra/segments/none"]}]}),
        ),
        (
            "/infra/domains/default/gateway-policies/p/rules/r",
            json!({"action": "ALLOW"}),
        ),
    ];
    for (path, body) in cases {
        assert_eq!(
            code(patch(&mut world(), path, body.clone())),
            500_012,
            "{path} {body}"
        );
    }
}

#[test]
fn what_is_used_cannot_be_deleted() {
    let mut world = world();
    web_segment(&mut world);
    let group = "/infra/domains/default/groups/g";
    let paths = json!([{"resource_type": "PathExpression", "paths": ["/infra/segments/web"]}]);
    patch(&mut world, group, json!({"expression": paths})).unwrap();
    let policy = "/infra/domains/default/security-policies/p";
    patch(
        &mut world,
        policy,
        json!({"rules": [{"id": "r", "action": "ALLOW", "source_groups": [group]}]}),
    )
    .unwrap();
    let used = [
        (group, "security-policies/p/rules/r"),
        ("/infra/segments/web", "groups/g"),
        ("/infra/tier-1s/vic-edge", "segments/web"),
        ("/infra/tier-0s/vic-t0", "vic-edge"),
    ];
    for (path, user) in used {
        let error = delete(&mut world, path).unwrap_err();
        assert_eq!(error.code, json!(500_030), "{path}");
        assert!(error.message().contains(user), "{path}: {}", error.message());
    }
    for path in [policy, group, "/infra/segments/web"] {
        delete(&mut world, path).unwrap_or_else(|e| panic!("{path}: {}", e.message()));
    }
}

#[test]
fn a_gateway_with_nat_rules_stays() {
    let mut world = world();
    patch(&mut world, "/infra/tier-1s/t", json!({})).unwrap();
    let rule = "/infra/tier-1s/t/nat/USER/nat-rules/r";
    patch(
        &mut world,
        rule,
        json!({"action": "NO_SNAT", "source_network": "10.0.0.1"}),
    )
    .unwrap();
    assert_eq!(code(delete(&mut world, "/infra/tier-1s/t")), 500_030);
    delete(&mut world, rule).unwrap();
    delete(&mut world, "/infra/tier-1s/t").unwrap();
    assert!(
        world.read("/infra/tier-1s/t/nat/USER").is_err(),
        "sections go with it"
    );
    let default = "/infra/domains/default/gateway-policies/Policy_Default_Infra-tier1-t";
    assert!(world.read(default).is_err(), "the default policy goes with it");
}

#[test]
fn an_update_that_lets_go_frees_what_was_used() {
    let mut world = world();
    let service = "/infra/services/s";
    let rule = "/infra/tier-1s/vic-edge/nat/USER/nat-rules/r";
    patch(&mut world, service, json!({})).unwrap();
    patch(
        &mut world,
        rule,
        json!({"action": "NO_SNAT", "source_network": "10.0.0.1", "service": service}),
    )
    .unwrap();
    assert_eq!(code(delete(&mut world, service)), 500_030);
    patch(
        &mut world,
        rule,
        json!({"action": "NO_SNAT", "source_network": "10.0.0.1"}),
    )
    .unwrap();
    delete(&mut world, service).unwrap();
}
