//! One object at a time, over HTTP.
#![cfg(test)]

mod common;

use common::{EDGE, Lab, good, read, web};
use reqwest::Method;
use serde_json::json;

const WEB: &str = "/infra/segments/web";
const GROUPS: &str = "/infra/domains/default/groups";

#[tokio::test]
async fn a_segment_lives_and_goes() {
    let lab = Lab::quick().await;
    let made = lab.patch(WEB, web()).await;
    good(&made);
    assert_eq!(made.body, json!(""), "PATCH has no body");
    let got = lab.get(WEB).await;
    assert_eq!(got.body["subnets"][0]["network"], "10.30.0.0/24");
    let mut changed = got.body.clone();
    changed["description"] = json!("mine");
    let put = lab.put(WEB, changed.clone()).await;
    assert_eq!((put.status, &put.body["_revision"]), (200, &json!(1)));
    assert_eq!(lab.put(WEB, changed).await.status, 412);
    let listed = lab.get("/infra/segments").await;
    assert_eq!(
        (&listed.body["result_count"], &listed.body["results"][0]["id"]),
        (&json!(1), &json!("web"))
    );
    good(&lab.delete(WEB).await);
    let gone = lab.get(WEB).await;
    assert_eq!(
        (gone.status, &gone.body["error_code"], &gone.body["httpStatus"]),
        (404, &json!(600), &json!("NOT_FOUND"))
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let lab = Lab::quick().await;
    let url = "/policy/api/v1/infra/segments/web";
    let text = |body: &'static str| {
        lab.admin(Method::PATCH, url)
            .header("content-type", "application/json")
            .body(body)
    };
    let broken = read(text("{\"a\":")).await;
    assert_eq!((broken.status, &broken.body["error_code"]), (400, &json!(220)));
    assert_eq!(read(text("[]")).await.status, 400);
    assert_eq!(read(lab.admin(Method::PATCH, url).body("{}")).await.status, 415);
    assert_eq!(lab.call(Method::POST, url, Some(json!({}))).await.status, 405);
    assert_eq!(lab.get("/infra/nothing").await.status, 404);
    assert_eq!(lab.get("/infra/segments/a%2Fb").await.status, 400);
    let unknown = lab.patch("/infra/segments/web", json!({"vlan": 7})).await;
    assert!(
        unknown.body["error_message"]
            .as_str()
            .unwrap()
            .contains("\"vlan\""),
        "{}",
        unknown.body
    );
}

#[tokio::test]
async fn lists_are_paged_and_sorted() {
    let lab = Lab::quick().await;
    for id in ["c", "a", "d", "b"] {
        good(&lab.patch(&format!("{GROUPS}/{id}"), json!({})).await);
    }
    let first = lab.get(&format!("{GROUPS}?page_size=3")).await.body;
    let ids = |body: &serde_json::Value| -> Vec<String> {
        body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (ids(&first), &first["result_count"]),
        (vec!["a".to_owned(), "b".into(), "c".into()], &json!(4))
    );
    let cursor = first["cursor"].as_str().unwrap();
    let last = lab
        .get(&format!("{GROUPS}?page_size=3&cursor={cursor}"))
        .await
        .body;
    assert_eq!((ids(&last), last.get("cursor")), (vec!["d".to_owned()], None));
    let down = lab
        .get(&format!("{GROUPS}?sort_by=id&sort_ascending=false"))
        .await
        .body;
    assert_eq!(ids(&down), ["d", "c", "b", "a"]);
    assert_eq!(lab.get(&format!("{GROUPS}?page_size=1001")).await.status, 400);
    assert_eq!(lab.get("/infra/domains/none/groups").await.status, 404);
}

#[tokio::test]
async fn partial_patch_by_header_and_by_setting() {
    let lab = Lab::quick().await;
    let path = format!("{GROUPS}/g");
    good(
        &lab.patch(
            &path,
            json!({"description": "d", "tags": [{"scope": "a", "tag": "b"}]}),
        )
        .await,
    );
    let request = lab.admin(Method::PATCH, &format!("/policy/api/v1{path}"));
    good(
        &read(
            request
                .header("nsx-enable-partial-patch", "true")
                .json(&json!({"display_name": "n"})),
        )
        .await,
    );
    let got = lab.get(&path).await.body;
    assert_eq!(
        (&got["description"], &got["display_name"]),
        (&json!("d"), &json!("n"))
    );
    good(
        &lab.patch(
            "/system-config/nsx-partial-patch-config",
            json!({"enable_partial_patch": true}),
        )
        .await,
    );
    assert_eq!(
        lab.get("/system-config/nsx-partial-patch-config").await.body,
        json!({"enable_partial_patch": true})
    );
    good(&lab.patch(&path, json!({"display_name": "m"})).await);
    assert_eq!(lab.get(&path).await.body["description"], "d");
    good(
        &lab.patch(
            "/system-config/nsx-partial-patch-config",
            json!({"enable_partial_patch": false}),
        )
        .await,
    );
    good(&lab.patch(&path, json!({"display_name": "m"})).await);
    assert_eq!(lab.get(&path).await.body.get("description"), None);
}

#[tokio::test]
async fn rules_are_put_in_their_place_by_revise() {
    let lab = Lab::quick().await;
    let policy = "/infra/domains/default/gateway-policies/p";
    let rule = |id: &str, number: i64| json!({"id": id, "action": "ALLOW", "scope": [EDGE], "sequence_number": number});
    good(
        &lab.patch(policy, json!({"rules": [rule("a", 0), rule("b", 5)]}))
            .await,
    );
    let post =
        |path: String, body| lab.call(Method::POST, format!("/policy/api/v1{path}").leak(), Some(body));
    let order = || async {
        let body = lab.get(policy).await.body;
        let rules = body["rules"].as_array().unwrap().clone();
        rules
            .iter()
            .map(|r| r["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    good(&post(format!("{policy}/rules/c?action=revise"), rule("c", 0)).await);
    assert_eq!(order().await, ["c", "a", "b"]);
    let after = format!("{policy}/rules/d?action=revise&operation=insert_after&anchor_path={policy}/rules/a");
    good(&post(after, rule("d", 0)).await);
    assert_eq!(order().await, ["c", "a", "d", "b"]);
    let lost =
        format!("{policy}/rules/e?action=revise&operation=insert_before&anchor_path={policy}/rules/none");
    assert_eq!(post(lost, rule("e", 0)).await.body["error_code"], 500_012);
    assert_eq!(
        post(format!("{policy}/rules/e?action=other"), rule("e", 0))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn members_of_an_expression_come_and_go() {
    let lab = Lab::quick().await;
    let path = format!("{GROUPS}/g");
    let ips = json!({"resource_type": "IPAddressExpression", "id": "ips", "ip_addresses": ["10.0.0.1"]});
    good(
        &lab.patch(&path, json!({"description": "kept", "expression": [ips]}))
            .await,
    );
    let edit = |action: &'static str, list| {
        let url = format!("/policy/api/v1{path}/ip-address-expressions/ips?action={action}");
        let request = lab.admin(Method::POST, &url).json(&json!({"ip_addresses": list}));
        read(request)
    };
    good(&edit("add", json!(["10.0.0.2", "10.0.0.1"])).await);
    good(&edit("remove", json!(["10.0.0.1"])).await);
    let got = lab.get(&path).await.body;
    assert_eq!(got["expression"][0]["ip_addresses"], json!(["10.0.0.2"]));
    assert_eq!(got["description"], "kept");
    assert_eq!(edit("clear", json!(["10.0.0.1"])).await.status, 400);
    assert_eq!(edit("add", json!(["nonsense"])).await.status, 400);
}

#[tokio::test]
async fn the_gateways_firewall_lists_its_policies() {
    let lab = Lab::quick().await;
    let rule = json!({"id": "r", "action": "ALLOW", "scope": [EDGE]});
    good(
        &lab.patch(
            "/infra/domains/default/gateway-policies/p",
            json!({"rules": [rule]}),
        )
        .await,
    );
    let got = lab.get(&format!("{EDGE}/gateway-firewall")).await.body;
    let ids: Vec<&str> = got["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["Policy_Default_Infra-tier1-vic-edge", "p"]);
    let listed = lab.get("/infra/domains/default/gateway-policies").await.body;
    assert!(
        listed["results"]
            .as_array()
            .unwrap()
            .iter()
            .all(|p| p.get("rules").is_none()),
        "{listed}"
    );
    lab.tune(json!({"lists_embed_rules": true})).await;
    let listed = lab.get("/infra/domains/default/gateway-policies").await.body;
    assert!(
        listed["results"]
            .as_array()
            .unwrap()
            .iter()
            .all(|p| p["rules"].is_array())
    );
}
