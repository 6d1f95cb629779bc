use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::intent::Intent;
use crate::schema_tests::nat_specs;

fn fields(kind: &str, want: Value, have: &Value) -> Vec<String> {
    let Value::Object(want) = want else {
        panic!("an object")
    };
    differences(kind, &want, have)
        .into_iter()
        .map(|difference| difference.field)
        .collect()
}

#[test]
fn only_what_is_declared_counts() {
    let cases = [
        (json!({"a": 1}), json!({"a": 1, "b": 2, "_revision": 7}), vec![]),
        (json!({"a": 1}), json!({"a": 2}), vec!["a"]),
        (json!({"a": false, "b": "", "d": []}), json!({}), vec![]),
        (json!({"a": true}), json!({}), vec!["a"]),
        (json!({"a": 0}), json!({}), vec!["a"]),
        (
            json!({"s": [{"g": "x"}]}),
            json!({"s": [{"g": "x", "network": "n"}]}),
            vec![],
        ),
        (
            json!({"s": [{"g": "x"}]}),
            json!({"s": [{"g": "y"}]}),
            vec!["s[0].g"],
        ),
        (json!({"s": [{"g": "x"}]}), json!({"s": []}), vec!["s"]),
        (
            json!({"s": ["a", "b"]}),
            json!({"s": ["b", "a"]}),
            vec!["s[0]", "s[1]"],
        ),
        (json!({"scope": ["a", "b"]}), json!({"scope": ["b", "a"]}), vec![]),
        (
            json!({"e": [{"id": "p", "v": 1}, {"id": "q", "v": 2}]}),
            json!({"e": [{"id": "q", "v": 2}, {"id": "p", "v": 7}]}),
            vec!["e[0].v"],
        ),
        (
            json!({"e": [{"id": "p"}]}),
            json!({"e": [{"id": "q"}]}),
            vec!["e[0]"],
        ),
    ];
    for (want, have, expected) in cases {
        assert_eq!(fields("X", want.clone(), &have), expected, "{want} {have}");
    }
}

#[test]
fn a_default_may_be_left_out_of_an_answer_and_only_a_default() {
    let cases = [
        ("enabled", json!(true), json!("other")),
        ("direction", json!("IN_OUT"), json!("IN")),
        ("services", json!(["ANY"]), json!(["/infra/services/x"])),
        (
            "firewall_match",
            json!("MATCH_INTERNAL_ADDRESS"),
            json!("MATCH_EXTERNAL_ADDRESS"),
        ),
        ("category", json!("LocalGatewayRules"), json!("SharedPreRules")),
        ("lease_time", json!(86_400), json!(3600)),
        ("logging", json!(false), json!(true)),
        ("enabled", json!(true), json!(false)),
        ("sequence_number", json!(0), json!(1)),
    ];
    for (name, default, other) in cases {
        assert!(
            fields("X", json!({ name: default }), &json!({})).is_empty(),
            "{name}"
        );
        assert_eq!(fields("X", json!({ name: other }), &json!({})), [name]);
    }
}

#[test]
fn what_others_set_where_we_declare_nothing_is_a_difference() {
    let cases = [
        (
            "Segment",
            json!({"subnets": [], "vlan_ids": [], "admin_state": "UP", "type": "DISCONNECTED"}),
            vec![],
        ),
        (
            "Segment",
            json!({"connectivity_path": "/infra/tier-1s/x"}),
            vec!["connectivity_path"],
        ),
        ("Segment", json!({"admin_state": "DOWN"}), vec!["admin_state"]),
        (
            "PolicyNatRule",
            json!({"source_network": "ANY", "policy_based_vpn_mode": "BYPASS", "scope": []}),
            vec![],
        ),
        (
            "PolicyNatRule",
            json!({"source_network": "10.0.0.1"}),
            vec!["source_network"],
        ),
        (
            "Rule",
            json!({"profiles": ["ANY"], "sources_excluded": false, "rule_id": 1004}),
            vec![],
        ),
        (
            "Rule",
            json!({"sources_excluded": true}),
            vec!["sources_excluded"],
        ),
        (
            "GatewayPolicy",
            json!({"stateful": true, "rules": [{"id": "x"}]}),
            vec![],
        ),
        ("GatewayPolicy", json!({"stateful": false}), vec!["stateful"]),
        ("Unknown", json!({"scope": ["x"]}), vec![]),
    ];
    for (kind, have, expected) in cases {
        assert_eq!(fields(kind, json!({}), &have), expected, "{kind} {have}");
    }
    let entry = |more: Value| {
        let mut entry = json!({"resource_type": "ICMPTypeServiceEntry", "id": "icmp", "protocol": "ICMPv4"});
        entry
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"service_entries": [entry]})
    };
    assert_eq!(
        fields("Rule", entry(json!({})), &entry(json!({"icmp_type": 0}))),
        ["service_entries[0].icmp_type"],
        "type 0 is a narrowing too"
    );
    let subnets = |more: Value| json!({"subnets": [more]});
    let served = subnets(json!({"gateway_address": "10.0.0.1/24", "dhcp_ranges": ["10.0.0.5-10.0.0.9"]}));
    let bare = subnets(json!({"gateway_address": "10.0.0.1/24"}));
    assert_eq!(fields("Segment", bare, &served), ["subnets[0].dhcp_ranges"]);
}

#[test]
fn a_search_that_leaves_entries_out_says_nothing_about_them() {
    let entries = json!({"service_entries": [{"id": "tcp", "resource_type": "L4PortSetServiceEntry"}]});
    assert!(fields("Service", entries.clone(), &json!({})).is_empty());
    assert_eq!(
        fields("Service", entries.clone(), &json!({"service_entries": []})),
        ["service_entries"]
    );
    assert_eq!(
        fields("Rule", entries, &json!({})),
        ["service_entries"],
        "a firewall rule without them is wider"
    );
}

#[test]
fn tags_of_other_people_are_theirs() {
    let own = json!({"scope": "vic-operator/uid", "tag": "u"});
    let old = json!({"scope": "vic-operator/uid", "tag": "old"});
    let team = json!({"scope": "team", "tag": "a"});
    let cases = [
        (json!([own]), json!([team, own]), true),
        (json!([own]), json!([team]), false),
        (json!([own]), json!([own, old]), false),
        (json!([own]), json!([old]), false),
        (json!([]), json!([team]), true),
        (json!([]), json!([own]), false),
    ];
    for (want, have, same) in cases {
        assert_eq!(
            fields("X", json!({"tags": want}), &json!({"tags": have})).is_empty(),
            same,
            "{want} {have}"
        );
    }
}

proptest! {
    /// Whatever is altered in any one declared field is seen, and named.
    #[test]
    fn no_declared_field_can_be_altered_unseen(spec in nat_specs(), pick in any::<prop::sample::Index>()) {
        for intent in spec.intents() {
            let Intent { resource_type, body, .. } = intent;
            let name = pick.get(&body.keys().cloned().collect::<Vec<_>>()).clone();
            let mut have = Value::Object(body.clone());
            have[&name] = match &body[&name] {
                Value::Bool(value) => json!(!value),
                Value::Array(_) => json!(["altered"]),
                _ => json!("altered"),
            };
            let found = differences(resource_type, &body, &have);
            prop_assert!(found.iter().any(|difference| difference.field.starts_with(&name)), "{} {:?}", name, found);
        }
    }

    /// Read-only and unknown fields never matter.
    #[test]
    fn what_nsx_adds_is_no_difference(spec in nat_specs(), revision in any::<u32>(), text in ".{0,20}") {
        for intent in spec.intents() {
            let mut have = Value::Object(intent.body.clone());
            for name in ["_revision", "_last_modified_time", "rule_id", "internal_sequence_number"] {
                have[name] = json!(revision);
            }
            for name in ["unique_id", "realization_id", "path", "some_field_of_a_later_release", "description"] {
                have[name] = json!(text);
            }
            prop_assert!(differences(intent.resource_type, &intent.body, &have).is_empty());
        }
    }
}
