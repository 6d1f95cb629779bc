//! The control port and what it joins: inventory, switches, probes, the dump.
#![cfg(test)]

mod common;

use common::{EDGE, Lab, good, web};
use reqwest::Method;
use serde_json::{Value, json};

const WEB: &str = "/infra/segments/web";

async fn inventory(lab: &Lab, power: &str) {
    let segment = lab.get(WEB).await.body["realization_id"].clone();
    let vm = json!({"external_id": "5029", "display_name": "nginx", "moref": "vm-12", "power_state": power,
        "vifs": [{"external_id": "vif-1", "mac": "00:50:56:00:00:01", "segment": segment, "ips": ["10.30.0.11"]}]});
    lab.control(Method::PUT, "/inventory", Some(json!({"vms": [vm]})))
        .await;
}

async fn probe(lab: &Lab) -> Value {
    let packet = json!({"from": "198.51.100.7", "to": "203.0.113.10", "port": 80, "protocol": "TCP"});
    lab.control(Method::POST, "/probe", Some(packet)).await
}

#[tokio::test]
async fn a_published_container_is_reached() {
    let lab = Lab::quick().await;
    good(&lab.patch(WEB, web()).await);
    let rule = json!({"action": "DNAT", "destination_network": "203.0.113.10", "translated_network": "10.30.0.11",
        "service": "/infra/services/HTTP", "translated_ports": "80"});
    good(&lab.patch(&format!("{EDGE}/nat/USER/nat-rules/nginx"), rule).await);
    let dormant = probe(&lab).await;
    assert_eq!(
        (&dormant["verdict"], &dormant["translated"]),
        (&json!("no-route"), &json!("10.30.0.11:80"))
    );
    inventory(&lab, "VM_RUNNING").await;
    let told = probe(&lab).await;
    assert_eq!(
        (&told["verdict"], &told["vm"]),
        (&json!("delivered"), &json!("nginx")),
        "{told}"
    );
    assert!(told["steps"].as_array().unwrap().len() > 3);
    inventory(&lab, "VM_STOPPED").await;
    assert_eq!(probe(&lab).await["vm"], Value::Null);
}

#[tokio::test]
async fn a_look_shows_what_is_there() {
    let lab = Lab::quick().await;
    good(&lab.patch(WEB, web()).await);
    let asked = json!({"paths": [WEB, "/infra/segments/none"]});
    let found = lab.control(Method::POST, "/look", Some(asked)).await;
    assert_eq!(found.as_object().unwrap().len(), 1);
    assert_eq!(found[WEB]["resource_type"], "Segment");
}

#[tokio::test]
async fn switches_tell_of_changes_as_they_come() {
    let lab = Lab::quick().await;
    let before = lab.control(Method::GET, "/switches", None).await;
    assert_eq!(before["segments"], json!([]));
    let path = format!("/switches?since={}", before["version"]);
    // Whether the poll waits by then or answers at once: it tells of the segment.
    let (told, made) = tokio::join!(lab.control(Method::GET, &path, None), lab.patch(WEB, web()));
    good(&made);
    let segment = &told["segments"][0];
    let got = lab.get(WEB).await.body;
    assert_eq!(segment["realization_id"], got["realization_id"]);
    assert_eq!(segment["kind"], "OVERLAY");
    assert!(told["version"].as_u64() > before["version"].as_u64());
    good(&lab.delete(WEB).await);
    let path = format!("/switches?since={}", told["version"]);
    assert_eq!(lab.control(Method::GET, &path, None).await["segments"], json!([]));
}

#[tokio::test]
async fn things_happen_in_their_time_without_anyone_asking() {
    let lab = Lab::slow().await;
    let before = lab.control(Method::GET, "/switches", None).await["version"].clone();
    good(&lab.patch(WEB, web()).await);
    let told = lab
        .control(Method::GET, &format!("/switches?since={before}"), None)
        .await;
    assert_eq!(told["segments"][0]["path"], WEB);
}

#[tokio::test]
async fn the_inventory_shows_in_fabric_ports_and_search() {
    let lab = Lab::quick().await;
    good(&lab.patch(WEB, web()).await);
    inventory(&lab, "VM_RUNNING").await;
    let vms = lab
        .call(
            Method::GET,
            "/api/v1/fabric/virtual-machines?external_id=5029",
            None,
        )
        .await
        .body;
    assert_eq!(vms["results"][0]["power_state"], "VM_RUNNING");
    assert_eq!(vms["results"][0]["compute_ids"][0], "moIdOnHost:vm-12");
    let vifs = lab
        .call(Method::GET, "/api/v1/fabric/vifs?owner_vm_id=5029", None)
        .await
        .body;
    assert_eq!(vifs["results"][0]["lport_attachment_id"], "vif-1");
    let ports = lab.get(&format!("{WEB}/ports")).await.body;
    assert_eq!(ports["results"][0]["attachment"]["id"], "vif-1");
    let found = lab
        .search(&[("query", "resource_type:VirtualMachine AND display_name:nginx")])
        .await
        .body;
    assert_eq!(found["result_count"], 1);
    let tags = json!({"external_id": "5029", "tags": [{"scope": "app", "tag": "web"}]});
    let tagged = lab
        .call(
            Method::POST,
            "/api/v1/fabric/virtual-machines?action=add_tags",
            Some(tags),
        )
        .await;
    assert_eq!(tagged.status, 204);
    let group = "/infra/domains/default/groups/g";
    let condition = json!({"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag",
        "operator": "EQUALS", "value": "app|web"});
    good(&lab.patch(group, json!({"expression": [condition]})).await);
    let members = |what: &'static str| lab.get(format!("{group}/members/{what}").leak());
    assert_eq!(
        members("virtual-machines").await.body["results"][0]["display_name"],
        "nginx"
    );
    assert_eq!(
        members("ip-addresses").await.body["results"],
        json!(["10.30.0.11"])
    );
    assert_eq!(members("vifs").await.body["result_count"], 1);
    assert_eq!(members("nonsense").await.status, 400);
    let attached = lab.delete(WEB).await;
    assert_eq!(attached.body["error_code"], 503_040);
    lab.control(Method::PUT, "/inventory", Some(json!({"vms": []})))
        .await;
    good(&lab.delete(WEB).await);
}

#[tokio::test]
async fn realization_is_told_in_every_way() {
    let lab = Lab::quick().await;
    let fault = json!({"realization_faults": [{"path": "/infra/segments/*", "message": "no VNI left", "error_code": 8212}]});
    lab.tune(fault).await;
    good(&lab.patch(WEB, web()).await);
    let asked = |what: &str| format!("/infra/realized-state/{what}?intent_path={WEB}");
    let entities = lab.get(&asked("realized-entities")).await.body;
    assert_eq!(
        (
            &entities["results"][0]["state"],
            &entities["results"][0]["entity_type"]
        ),
        (&json!("ERROR"), &json!("RealizedLogicalSwitch"))
    );
    let path = entities["results"][0]["path"].as_str().unwrap();
    let one = lab
        .get(&format!(
            "/infra/realized-state/realized-entity?realized_path={path}"
        ))
        .await;
    assert_eq!(one.body["id"], entities["results"][0]["id"]);
    let status = lab.get(&asked("status")).await.body;
    assert_eq!(status["consolidated_status"]["consolidated_status"], "ERROR");
    assert_eq!(
        lab.get("/infra/realized-state/alarms").await.body["results"][0]["message"],
        "no VNI left"
    );
    assert_eq!(lab.get(&format!("{WEB}/state")).await.body["state"], "failed");
    let found = lab.search(&[("query", "status.publish_status:ERROR")]).await.body;
    assert_eq!(found["results"][0]["path"], WEB);
    lab.tune(json!({"realization_faults": []})).await;
    good(&lab.patch(WEB, web()).await);
    assert_eq!(lab.get(&format!("{WEB}/state")).await.body["state"], "success");
    assert_eq!(
        lab.get(&format!("{EDGE}/state")).await.body["tier1_state"]["state"],
        "success"
    );
    let refresh =
        format!("/policy/api/v1/infra/realized-state/realized-entity?action=refresh&intent_path={WEB}");
    assert_eq!(lab.call(Method::POST, &refresh, None).await.status, 204);
    assert_eq!(lab.get("/infra/realized-state/status").await.status, 400);
}

#[tokio::test]
async fn the_dump_returns_to_where_it_was() {
    let lab = Lab::quick().await;
    let paths =
        |dump: Value| -> Vec<String> { dump["intents"].as_object().unwrap().keys().cloned().collect() };
    let before = paths(lab.control(Method::GET, "/dump", None).await);
    good(&lab.patch(WEB, web()).await);
    let there = lab.control(Method::GET, "/dump", None).await;
    assert_eq!(there["intents"][WEB]["status"]["publish_status"], "REALIZED");
    assert!(
        there["realized"]
            .as_array()
            .unwrap()
            .iter()
            .any(|e| e["intent_paths"] == json!([WEB]))
    );
    lab.tune(json!({"deletion_delay_ms": 60_000})).await;
    good(&lab.delete(WEB).await);
    assert_eq!(
        lab.control(Method::GET, "/dump", None).await["deleting"],
        json!([WEB])
    );
    lab.tune(json!({"deletion_delay_ms": 0})).await;
    good(&lab.patch("/infra/segments/other", json!({})).await);
    good(&lab.delete("/infra/segments/other").await);
    let after = paths(lab.control(Method::GET, "/dump", None).await);
    assert_eq!(after.len(), before.len() + 1, "only what still waits");
}

#[tokio::test]
async fn bodies_of_the_control_port_are_read_strictly() {
    let lab = Lab::quick().await;
    let cases = [
        ("/tune", json!({"no_such_knob": 1})),
        ("/tune", json!({"rate_limit": "many"})),
        ("/faults", json!({"match": {"path": "/x"}, "action": "explode"})),
        ("/faults", json!({"match": {"url": "/x"}, "action": "truncate"})),
        ("/probe", json!({"from": "x", "to": "1.1.1.1", "port": 1})),
    ];
    for (path, body) in cases {
        let url = format!("{}{path}", lab.simulator.control);
        let status = lab.client.post(url).json(&body).send().await.unwrap().status();
        assert_eq!(status, 400, "{path} {body}");
    }
}
