use super::*;
use proptest::prelude::*;

fn put(path: &str, resource_type: &str, body: Value) -> Change {
    let Value::Object(body) = body else {
        panic!("not an object")
    };
    Change::Put(Intent {
        path: path.into(),
        resource_type: resource_type.into(),
        body,
    })
}

fn delete(path: &str, resource_type: &str) -> Change {
    Change::Delete {
        path: path.into(),
        resource_type: resource_type.into(),
    }
}

#[test]
fn a_segment_is_a_child_of_infra() {
    let body = body(&[put("/infra/segments/web", "Segment", json!({"vlan_ids": ["10"]}))]).unwrap();
    assert_eq!(
        body,
        json!({"resource_type": "Infra", "children": [
            {"resource_type": "ChildSegment", "marked_for_delete": false,
             "Segment": {"resource_type": "Segment", "id": "web", "vlan_ids": ["10"]}}
        ]})
    );
}

#[test]
fn a_nat_rule_is_reached_through_its_gateway_without_touching_it() {
    let changes = [
        put(
            "/infra/tier-1s/edge/nat/USER/nat-rules/a",
            "PolicyNatRule",
            json!({"action": "DNAT"}),
        ),
        delete("/infra/tier-1s/edge/nat/USER/nat-rules/b", "PolicyNatRule"),
    ];
    assert_eq!(
        body(&changes).unwrap(),
        json!({"resource_type": "Infra", "children": [
            {"resource_type": "ChildResourceReference", "target_type": "Tier1", "id": "edge", "children": [
                {"resource_type": "ChildResourceReference", "target_type": "PolicyNat", "id": "USER", "children": [
                    {"resource_type": "ChildPolicyNatRule", "marked_for_delete": false,
                     "PolicyNatRule": {"resource_type": "PolicyNatRule", "id": "a", "action": "DNAT"}},
                    {"resource_type": "ChildPolicyNatRule", "marked_for_delete": true,
                     "PolicyNatRule": {"resource_type": "PolicyNatRule", "id": "b", "marked_for_delete": true}}
                ]}
            ]}
        ]})
    );
}

#[test]
fn what_belongs_to_a_written_parent_is_nested_in_it() {
    let changes = [
        put(
            "/infra/domains/default/gateway-policies/p/rules/r",
            "Rule",
            json!({"action": "ALLOW"}),
        ),
        put(
            "/infra/domains/default/gateway-policies/p",
            "GatewayPolicy",
            json!({"category": "LocalGatewayRules"}),
        ),
        put("/infra/domains/default/groups/g", "Group", json!({})),
    ];
    let body = body(&changes).unwrap();
    let domain = &body["children"][0];
    assert_eq!(
        (&domain["target_type"], &domain["id"]),
        (&json!("Domain"), &json!("default"))
    );
    let policy = &domain["children"][0]["GatewayPolicy"];
    assert_eq!(policy["category"], "LocalGatewayRules");
    assert_eq!(
        policy["children"][0]["Rule"],
        json!({"resource_type": "Rule", "id": "r", "action": "ALLOW"})
    );
    assert_eq!(domain["children"][1]["Group"]["id"], "g");
}

#[test]
fn the_wrapper_follows_the_place_and_the_body_its_own_type() {
    let changes = [
        put(
            "/infra/segments/s/dhcp-static-binding-configs/b",
            "DhcpV4StaticBindingConfig",
            json!({}),
        ),
        put(
            "/infra/services/s/service-entries/e",
            "L4PortSetServiceEntry",
            json!({}),
        ),
        put(
            "/infra/ip-pools/p/ip-subnets/s",
            "IpAddressPoolStaticSubnet",
            json!({}),
        ),
    ];
    let text = body(&changes).unwrap().to_string();
    for part in [
        r#""DhcpStaticBindingConfig":{"id":"b","resource_type":"DhcpV4StaticBindingConfig"}"#,
        r#""ServiceEntry":{"id":"e","resource_type":"L4PortSetServiceEntry"}"#,
        r#""IpAddressPoolSubnet":{"id":"s","resource_type":"IpAddressPoolStaticSubnet"}"#,
        r#""resource_type":"ChildDhcpStaticBindingConfig""#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_parent_is_deleted_together_with_what_was_named_below_it() {
    let changes = [
        delete("/infra/domains/default/gateway-policies/p/rules/r", "Rule"),
        delete("/infra/domains/default/gateway-policies/p", "GatewayPolicy"),
    ];
    let body = body(&changes).unwrap();
    let policy = &body["children"][0]["children"][0];
    assert_eq!(policy["marked_for_delete"], true);
    assert_eq!(policy["GatewayPolicy"]["children"][0]["marked_for_delete"], true);
}

#[test]
fn what_cannot_be_written_is_refused_with_a_cause() {
    let segment = || put("/infra/segments/s", "Segment", json!({}));
    let port = "/infra/segments/s/ports/p";
    let cases: Vec<(Vec<Change>, &str)> = vec![
        (
            vec![put("/orgs/default/projects/p", "Project", json!({}))],
            "not below /infra",
        ),
        (
            vec![put("/infra/unheard-of/x", "Thing", json!({}))],
            "no collection",
        ),
        (
            vec![put("/infra/segments", "Segment", json!({}))],
            "names a collection",
        ),
        (
            vec![put("/infra/segments/", "Segment", json!({}))],
            "names a collection",
        ),
        (
            vec![
                segment(),
                put("/infra/segments/s", "Segment", json!({"other": 1})),
            ],
            "twice",
        ),
        (vec![segment(), delete("/infra/segments/s", "Segment")], "twice"),
        (
            vec![
                delete("/infra/segments/s", "Segment"),
                put(port, "SegmentPort", json!({})),
            ],
            "deletes its parent",
        ),
        (
            vec![
                put(port, "SegmentPort", json!({})),
                delete("/infra/segments/s", "Segment"),
            ],
            "writes below it",
        ),
    ];
    for (changes, cause) in cases {
        match check(&changes) {
            Err(Error::Unplaceable { cause: found, .. }) => {
                assert!(found.contains(cause), "{found} / {cause}");
            }
            other => panic!("{changes:?}: {other:?}"),
        }
    }
}

/// (path, deleted) of every object a body writes: an independent reading of the tree.
fn written(children: &Value, at: &str, found: &mut Vec<(String, bool)>) {
    for child in children.as_array().into_iter().flatten() {
        let kind = child["resource_type"].as_str().unwrap();
        if kind == "ChildResourceReference" {
            let collection = collection_of(child["target_type"].as_str().unwrap());
            written(
                &child["children"],
                &format!("{at}/{collection}/{}", child["id"].as_str().unwrap()),
                found,
            );
            continue;
        }
        let wrapper = kind.strip_prefix("Child").unwrap();
        let object = &child[wrapper];
        let path = format!(
            "{at}/{}/{}",
            collection_of(wrapper),
            object["id"].as_str().unwrap()
        );
        found.push((path.clone(), child["marked_for_delete"].as_bool().unwrap()));
        written(&object["children"], &path, found);
    }
}

fn collection_of(wrapper: &str) -> &'static str {
    COLLECTIONS.iter().find(|(_, w)| *w == wrapper).unwrap().0
}

fn some_path() -> impl Strategy<Value = String> {
    let id = "[ab]";
    prop_oneof![
        id.prop_map(|i| format!("/infra/segments/{i}")),
        (id, id).prop_map(|(s, p)| format!("/infra/segments/{s}/ports/{p}")),
        id.prop_map(|i| format!("/infra/tier-1s/{i}")),
        (id, id).prop_map(|(t, r)| format!("/infra/tier-1s/{t}/nat/USER/nat-rules/{r}")),
        (id, id).prop_map(|(p, r)| format!("/infra/domains/default/gateway-policies/{p}/rules/{r}")),
        id.prop_map(|i| format!("/infra/domains/default/gateway-policies/{i}")),
        id.prop_map(|i| format!("/infra/services/{i}")),
    ]
}

proptest! {
    /// A tree writes exactly what was asked for: no more objects, no fewer, and no delete nobody asked for.
    #[test]
    fn a_tree_writes_exactly_what_was_asked(wanted in prop::collection::btree_map(some_path(), any::<bool>(), 0..12)) {
        let changes: Vec<Change> = wanted
            .iter()
            .map(|(path, gone)| if *gone { delete(path, "T") } else { put(path, "T", json!({})) })
            .collect();
        let contradiction = wanted.iter().any(|(path, gone)| {
            !gone && wanted.iter().any(|(above, gone)| *gone && path.starts_with(&format!("{above}/")))
        });
        match body(&changes) {
            Ok(body) => {
                prop_assert!(!contradiction);
                let mut found = Vec::new();
                written(&body["children"], "/infra", &mut found);
                found.sort();
                let expected: Vec<(String, bool)> = wanted.into_iter().collect();
                prop_assert_eq!(found, expected);
            }
            Err(_) => prop_assert!(contradiction),
        }
    }
}
