//! What is counted: rules by probes, ports and leases by the inventory, addresses by allocations.
#![cfg(test)]

mod common;

use common::{EDGE, Lab, good, web};
use reqwest::Method;
use serde_json::{Value, json};

const POLICY: &str = "/infra/domains/default/gateway-policies/p";
const RULE: &str = "/infra/tier-1s/vic-edge/nat/USER/nat-rules/r";

/// The `web` segment with DHCP, a VM on a leased address, one on a bound one, one on neither, one that is off; port 80 of
/// 203.0.113.10 leads to the first.
async fn site() -> Lab {
    let lab = Lab::quick().await;
    good(&lab.patch("/infra/dhcp-server-configs/d", json!({})).await);
    let mut body = web();
    body["dhcp_config_path"] = json!("/infra/dhcp-server-configs/d");
    body["subnets"] = json!([{"gateway_address": "10.30.0.1/24", "dhcp_ranges": ["10.30.0.10-10.30.0.19"],
        "dhcp_config": {"resource_type": "SegmentDhcpV4Config", "server_address": "10.30.0.2/24"}}]);
    good(&lab.patch("/infra/segments/web", body).await);
    let binding = json!({"resource_type": "DhcpV4StaticBindingConfig", "ip_address": "10.30.0.50",
        "mac_address": "00:50:56:00:00:02"});
    let path = "/infra/segments/web/dhcp-static-binding-configs/b";
    good(&lab.patch(path, binding).await);
    let segment = lab.get("/infra/segments/web").await.body["realization_id"].clone();
    let vm = |n: u8, ip: &str, power: &str| {
        json!({"external_id": format!("id-{n}"), "display_name": format!("vm-{n}"), "power_state": power,
            "vifs": [{"external_id": format!("vif-{n}"), "mac": format!("00:50:56:00:00:0{n}"), "segment": segment,
                "ips": [ip]}]})
    };
    let vms = json!([
        vm(1, "10.30.0.10", "VM_RUNNING"),
        vm(2, "10.30.0.50", "VM_RUNNING"),
        vm(3, "10.30.0.60", "VM_RUNNING"),
        vm(4, "10.30.0.11", "VM_STOPPED"),
    ]);
    lab.control(Method::PUT, "/inventory", Some(json!({"vms": vms})))
        .await;
    let rule =
        json!({"action": "DNAT", "destination_network": "203.0.113.10", "translated_network": "10.30.0.10"});
    good(&lab.patch(RULE, rule).await);
    let rules = json!([
        {"id": "drop", "action": "DROP", "source_groups": ["192.0.2.0/24"], "scope": [EDGE], "sequence_number": 1},
        {"id": "allow", "action": "ALLOW", "scope": [EDGE], "sequence_number": 2}]);
    good(&lab.patch(POLICY, json!({"rules": rules})).await);
    lab
}

async fn send(lab: &Lab, from: &str) {
    let packet = json!({"from": from, "to": "203.0.113.10", "port": 80});
    lab.control(Method::POST, "/probe", Some(packet)).await;
}

#[tokio::test]
async fn probes_are_counted_by_the_rules_they_meet() {
    let lab = site().await;
    for from in ["198.51.100.1", "198.51.100.2", "192.0.2.1"] {
        send(&lab, from).await;
    }
    let one = lab.get(&format!("{RULE}/statistics")).await.body;
    let counts = &one["results"][0]["rule_statistics"][0];
    assert_eq!(
        (
            &counts["total_packets"],
            &counts["total_bytes"],
            &counts["active_sessions"]
        ),
        (&json!(3), &json!(192), &json!(2))
    );
    let all = lab.get(&format!("{EDGE}/nat/statistics")).await.body;
    assert_eq!(all["results"][0]["router_path"], EDGE);
    assert_eq!(all["results"][0]["statistics"]["total_packets"], 3);
    let policy = lab.get(&format!("{POLICY}/statistics")).await.body;
    let statistics = &policy["results"][0]["statistics"];
    assert_eq!(
        (&statistics["lr_path"], &statistics["result_count"]),
        (&json!(EDGE), &json!(2))
    );
    let of = |id: &str| -> Value {
        let list = statistics["results"].as_array().unwrap();
        let found = list.iter().find(|r| r["rule"] == format!("{POLICY}/rules/{id}"));
        found.unwrap()["packet_count"].clone()
    };
    assert_eq!((of("allow"), of("drop")), (json!(2), json!(1)));
    let rule = lab.get(&format!("{POLICY}/rules/drop/statistics")).await.body;
    assert_eq!(rule["results"][0]["statistics"]["session_count"], 0);
    good(&lab.delete(RULE).await);
    let again =
        json!({"action": "DNAT", "destination_network": "203.0.113.10", "translated_network": "10.30.0.10"});
    good(&lab.patch(RULE, again).await);
    let fresh = lab.get(&format!("{RULE}/statistics")).await.body;
    assert_eq!(fresh["results"][0]["rule_statistics"][0]["total_packets"], 0);
}

#[tokio::test]
async fn leases_and_ports_are_counted() {
    let lab = site().await;
    let ports = lab.get("/infra/segments/web/ports").await.body;
    assert_eq!(ports["result_count"], 4);
    assert_eq!(
        lab.get("/infra/segments/web/statistics").await.body["port_count"],
        4
    );
    let state = lab
        .get("/infra/segments/web/ports/default:vif-1/state")
        .await
        .body;
    assert_eq!(
        (
            &state["attachment"]["state"],
            &state["discovered_bindings"][0]["binding"]["ip_address"]
        ),
        (&json!("ATTACHED"), &json!("10.30.0.10"))
    );
    let server = "/infra/dhcp-server-configs/d";
    for at in ["/infra/segments/web", EDGE] {
        let leases = lab
            .get(&format!("{server}/leases?connectivity_path={at}"))
            .await
            .body;
        let addresses: Vec<&str> = leases["leases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l["ip_address"].as_str().unwrap())
            .collect();
        assert_eq!(addresses, ["10.30.0.10", "10.30.0.50"], "{at}");
    }
    let figures = lab
        .get(&format!("{server}/stats?connectivity_path=/infra/segments/web"))
        .await
        .body;
    let pool = &figures["ip_pool_stats"][0];
    assert_eq!(
        (
            &pool["pool_size"],
            &pool["allocated_number"],
            &pool["allocated_percentage"]
        ),
        (&json!(10), &json!(1), &json!(10))
    );
    assert_eq!(
        lab.get(&format!("{server}/leases")).await.status,
        400,
        "where is needed"
    );
    assert_eq!(
        lab.get(&format!("{server}/status")).await.body["service_status"],
        "UP"
    );
    assert_eq!(lab.get(&format!("{server}/state")).await.body["state"], "success");
    let bound = lab
        .get("/infra/segments/web/dhcp-static-bindings/b/state")
        .await
        .body;
    assert_eq!(bound["state"], "success");
}

#[tokio::test]
async fn what_is_not_there_has_no_counts() {
    let lab = Lab::quick().await;
    for path in [
        "/infra/tier-1s/none/nat/statistics",
        "/infra/tier-1s/vic-edge/nat/USER/nat-rules/none/statistics",
        "/infra/domains/default/security-policies/none/statistics",
        "/infra/segments/none/statistics",
        "/infra/dhcp-server-configs/none/leases",
        "/infra/ip-blocks/none/usage",
        "/orgs/default/projects/none/infra",
    ] {
        assert_eq!(lab.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn members_of_a_group_are_told_by_kind() {
    let lab = site().await;
    let tags = json!({"external_id": "id-1", "tags": [{"scope": "app", "tag": "web"}]});
    let path = "/api/v1/fabric/virtual-machines?action=update_tags";
    lab.call(Method::POST, path, Some(tags)).await;
    let group = "/infra/domains/default/groups/g";
    let or = json!({"resource_type": "ConjunctionOperator", "conjunction_operator": "OR"});
    let condition = |kind: &str, key: &str, value: &str| json!({"resource_type": "Condition", "member_type": kind, "key": key, "operator": "EQUALS", "value": value});
    let expression = json!([
        condition("VirtualMachine", "Tag", "app|web"),
        or,
        condition("Segment", "Name", "web"),
        or,
        {"resource_type": "IPAddressExpression", "ip_addresses": ["192.0.2.0/24"]},
    ]);
    good(&lab.patch(group, json!({"expression": expression})).await);
    // kind of members, how many
    let cases = [
        ("members/virtual-machines", 4),
        ("members/vifs", 4),
        ("members/ip-addresses", 5),
        ("members/consolidated-effective-ip-addresses", 5),
        ("members/segments", 1),
        ("members/segment-ports", 4),
        ("member-types", 5),
    ];
    for (what, count) in cases {
        let body = lab.get(&format!("{group}/{what}")).await.body;
        assert_eq!(body["result_count"], count, "{what}: {body}");
    }
    assert_eq!(lab.get(&format!("{group}/members/teapots")).await.status, 400);
}

#[tokio::test]
async fn projects_are_served_like_the_provider() {
    let lab = Lab::quick().await;
    let project = "/orgs/default/projects/p";
    good(&lab.patch(project, json!({"display_name": "Tenant"})).await);
    let root = format!("{project}/infra");
    good(&lab.patch(&format!("{root}/segments/web"), json!({})).await);
    let listed = lab.get(&format!("{root}/segments")).await.body;
    assert_eq!(listed["results"][0]["path"], format!("{root}/segments/web"));
    assert_eq!(lab.get("/infra/segments").await.body["result_count"], 0);
    let states = lab.get(&format!("{root}/segments/state")).await.body;
    assert_eq!(states["result_count"], 1);
    let realized = format!("{root}/realized-state/status?intent_path={root}/segments/web");
    assert_eq!(lab.get(&realized).await.body["publish_status"], "REALIZED");
    let found = lab
        .search(&[(
            "query",
            r"path:\/orgs\/default\/projects\/p\/* AND resource_type:Segment",
        )])
        .await;
    assert_eq!(found.body["result_count"], 1);
    assert_eq!(lab.get("/orgs/default/projects").await.body["result_count"], 1);
    assert_eq!(lab.delete(project).await.status, 400, "it is not empty");
    good(&lab.delete(&format!("{project}?is_recursive=true")).await);
    assert_eq!(lab.get(project).await.status, 404);
}
