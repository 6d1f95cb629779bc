//! Bodies with values that no release of NSX knows yet: what is read of them is a difference, never a failure.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::schema_tests::{SCHEMA, concrete, nat_specs, read_back};
use crate::*;

const LATER: &str = "VALUE_OF_TOMORROW";

/// JSON pointers to all values of enumerations in a body of this type.
fn enums(kind: &str, body: &Value, at: &str, found: &mut Vec<String>) {
    for (name, value) in body.as_object().into_iter().flatten() {
        member(
            &SCHEMA["types"][kind][name],
            value,
            &format!("{at}/{name}"),
            found,
        );
    }
}

fn member(field: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) if field["enum"].is_array() => found.push(at.to_owned()),
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                member(&field["items"], item, &format!("{at}/{position}"), found);
            }
        }
        Value::Object(_) => {
            if let Some(kind) = field["$ref"].as_str() {
                enums(&concrete(kind, value), value, at, found);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn a_value_of_a_later_release_is_a_difference_in_its_field_alone(spec in nat_specs()) {
        let intents = spec.intents();
        let mut seen = 0;
        for intent in &intents {
            let mut places = Vec::new();
            enums(intent.resource_type, &Value::Object(intent.body.clone()), "", &mut places);
            for place in &places {
                let mut read = read_back(intent);
                *read.pointer_mut(place).unwrap() = json!(LATER);
                let field = place.split('/').nth(1).unwrap();
                let found = differences(intent.resource_type, &intent.body, &read);
                prop_assert_eq!(found.len(), 1, "{}: {:?}", place, found);
                prop_assert!(found[0].field.starts_with(field), "{}: {:?}", place, found);
                let observe = |path: &str| {
                    let other = intents.iter().find(|other| other.path == path);
                    other.map(|other| if other == intent { read.clone() } else { read_back(other) })
                };
                prop_assert!(!nsx_plan(&intents, observe, &[]).is_empty(), "{}", place);
                if intent.resource_type == "PolicyNatRule" {
                    let claim = Claim::from_nat_rule(&spec.gateway_path, &read, observe);
                    // What an unknown action does to packets is unknown, too; anything else leaves the claim as it is.
                    prop_assert_eq!(claim.is_none(), field == "action", "{}", place);
                }
                seen += 1;
            }
        }
        prop_assert!(seen > 0, "no enumeration in {:?}", intents);
    }
}

#[test]
fn a_gateway_of_a_later_release_is_read_by_what_is_known_of_it() {
    let services = [json!({"edge_cluster_path": "/infra/e", "a_field_of_tomorrow": {"x": LATER}})];
    let body = json!({
        "ha_mode": LATER, "failover_mode": LATER, "tier0_path": "/infra/tier-0s/t0", "disable_firewall": LATER,
        "route_advertisement_types": [LATER, "TIER1_NAT", 7], "a_field_of_tomorrow": [LATER],
    });
    let view = GatewayView::read("/infra/tier-1s/t1", &body, &services);
    let expected = GatewayView {
        active_active: false,
        uplink: Some("/infra/tier-0s/t0".to_owned()),
        edge_cluster: Some("/infra/e".to_owned()),
        advertises_nat: true,
        firewall_off: false,
    };
    assert_eq!(view, expected);
    assert_eq!(view.shortcomings(), Vec::<&str>::new());
}
