//! The hierarchical call, over HTTP.
#![cfg(test)]

mod common;

use common::{EDGE, Lab, good, read, web};
use reqwest::Method;
use serde_json::{Value, json};

fn segment(id: &str, mut body: Value) -> Value {
    body["id"] = json!(id);
    json!({"resource_type": "ChildSegment", "Segment": body})
}

fn infra(children: &Value) -> Value {
    json!({"resource_type": "Infra", "children": children})
}

#[tokio::test]
async fn it_lands_whole_or_not_at_all() {
    let lab = Lab::quick().await;
    let relay = json!({"resource_type": "ChildDhcpRelayConfig",
        "DhcpRelayConfig": {"id": "r", "server_addresses": ["10.0.0.9"]}});
    let mut with_relay = web();
    with_relay["dhcp_config_path"] = json!("/infra/dhcp-relay-configs/r");
    let poison = segment("poison", json!({"vlan_ids": ["1"]}));
    let refused = lab
        .patch(
            "/infra",
            infra(&json!([segment("web", with_relay.clone()), poison, relay])),
        )
        .await;
    assert_eq!(
        (refused.status, &refused.body["error_code"]),
        (400, &json!(500_157)),
        "{}",
        refused.body
    );
    assert!(refused.body["related_errors"][0]["error_message"].is_string());
    assert_eq!(lab.get("/infra/segments/web").await.status, 404);
    let landed = lab
        .patch("/infra", infra(&json!([segment("web", with_relay), relay])))
        .await;
    assert_eq!((landed.status, &landed.body), (200, &json!("")));
    good(&lab.get("/infra/segments/web").await);
}

#[tokio::test]
async fn stale_revisions_are_412_where_enforced() {
    let lab = Lab::quick().await;
    let url = "/infra?enforce_revision_check=true";
    good(&lab.patch(url, infra(&json!([segment("web", web())]))).await);
    let mut known = lab.get("/infra/segments/web").await.body;
    good(
        &lab.patch(url, infra(&json!([segment("web", known.clone())])))
            .await,
    );
    let stale = lab
        .patch(url, infra(&json!([segment("web", known.clone())])))
        .await;
    assert_eq!(
        (stale.status, &stale.body["httpStatus"]),
        (412, &json!("PRECONDITION_FAILED"))
    );
    known["_revision"] = json!(1);
    good(&lab.patch(url, infra(&json!([segment("web", known)]))).await);
}

#[tokio::test]
async fn a_subtree_is_read_in_one_call() {
    let lab = Lab::slow().await;
    let rule = json!({"action": "NO_SNAT", "source_network": "10.0.0.1"});
    good(&lab.patch(&format!("{EDGE}/nat/USER/nat-rules/r"), rule).await);
    let request = lab.admin(Method::GET, "/policy/api/v1/infra");
    let tree = read(request.query(&[("type_filter", "PolicyNatRule"), ("base_path", EDGE)]))
        .await
        .body;
    let tier1 = &tree["children"][0]["Tier1"];
    let user = &tier1["children"][0]["PolicyNat"];
    assert_eq!(user["id"], "USER");
    assert_eq!(
        user["children"][0]["PolicyNatRule"]["id"], "r",
        "fresh, though search lags: {tree}"
    );
}

#[tokio::test]
async fn a_thousand_objects_at_once() {
    let lab = Lab::quick().await;
    let rule = |n: usize| {
        json!({"resource_type": "ChildPolicyNatRule", "PolicyNatRule": {"id": format!("r{n}"), "action": "NO_SNAT",
            "source_network": "10.0.0.1", "sequence_number": n}})
    };
    let nat = |rules: Vec<Value>| {
        json!([{"resource_type": "ChildResourceReference", "target_type": "Tier1", "id": "vic-edge", "children":
            [{"resource_type": "ChildResourceReference", "target_type": "PolicyNat", "id": "USER", "children": rules}]}])
    };
    good(
        &lab.patch("/infra", infra(&nat((0..1000).map(rule).collect())))
            .await,
    );
    let found = lab
        .search(&[("query", "resource_type:PolicyNatRule"), ("page_size", "600")])
        .await
        .body;
    assert_eq!(
        (&found["result_count"], &found["cursor"]),
        (&json!(1000), &json!("600"))
    );
    let too_many = lab
        .patch("/infra", infra(&nat((0..5001).map(rule).collect())))
        .await;
    assert!(
        too_many.body["error_message"].as_str().unwrap().contains("5000"),
        "{}",
        too_many.body
    );
}
