//! Several manager nodes: logins that hold on one of them, and what happens when one goes.
#![cfg(test)]

mod common;

use common::{Lab, good, read};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const STATUS: &str = "/api/v1/cluster/status";

/// A session opened at a URL: its cookie and token.
async fn login(lab: &Lab, url: &str) -> (String, String) {
    let form = [("j_username", "admin"), ("j_password", "secret")];
    let body = form.map(|(k, v)| format!("{k}={v}")).join("&");
    let response = lab
        .client
        .post(format!("{url}/api/session/create"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let cookie = header("set-cookie").split(';').next().unwrap().to_owned();
    (cookie, header("x-xsrf-token"))
}

async fn with(
    lab: &Lab,
    url: &str,
    (cookie, token): &(String, String),
) -> Result<StatusCode, reqwest::Error> {
    let request = lab.client.get(format!("{url}/policy/api/v1/infra/segments"));
    let request = request.header("cookie", cookie).header("x-xsrf-token", token);
    request.send().await.map(|r| r.status())
}

async fn set(lab: &Lab, node: usize, up: bool) {
    lab.control(Method::POST, "/nodes", Some(json!({"node": node, "up": up})))
        .await;
}

#[tokio::test]
async fn a_login_holds_on_its_node_only() {
    let lab = Lab::of_nodes(3).await;
    let nodes = lab.simulator.nodes.clone();
    assert_eq!(nodes.len(), 3);
    let first = login(&lab, &nodes[0]).await;
    assert_eq!(with(&lab, &nodes[0], &first).await.unwrap(), 200);
    assert_eq!(with(&lab, &nodes[1], &first).await.unwrap(), 403);
    let second = login(&lab, &nodes[1]).await;
    assert_eq!(with(&lab, &nodes[1], &second).await.unwrap(), 200);
    assert_eq!(
        with(&lab, &lab.simulator.url, &first).await.unwrap(),
        200,
        "the address is the first's"
    );
    assert_eq!(with(&lab, &lab.simulator.url, &second).await.unwrap(), 403);
}

#[tokio::test]
async fn the_address_moves_when_its_node_goes() {
    let lab = Lab::of_nodes(3).await;
    let (url, nodes) = (lab.simulator.url.clone(), lab.simulator.nodes.clone());
    let session = login(&lab, &url).await;
    good(&lab.patch("/infra/domains/default/groups/g", json!({})).await);
    set(&lab, 0, false).await;
    assert!(with(&lab, &nodes[0], &session).await.is_err(), "nobody listens");
    assert_eq!(
        with(&lab, &url, &session).await.unwrap(),
        403,
        "another node, another login"
    );
    let again = login(&lab, &url).await;
    assert_eq!(with(&lab, &url, &again).await.unwrap(), 200);
    good(&lab.get("/infra/domains/default/groups/g").await);
    let status = lab.call(Method::GET, STATUS, None).await.body;
    assert_eq!(status["overall_status"], "DEGRADED");
    let listed = |key: &str| status["mgmt_cluster_status"][key].as_array().unwrap().len();
    assert_eq!((listed("online_nodes"), listed("offline_nodes")), (2, 1));
    set(&lab, 0, true).await;
    let status = lab.call(Method::GET, STATUS, None).await.body;
    assert_eq!(status["overall_status"], "STABLE");
    assert_eq!(
        with(&lab, &url, &session).await.unwrap(),
        403,
        "the sessions of a node go with it"
    );
    let told = lab.control(Method::GET, "/calls", None).await;
    let nodes_met: Vec<&Value> = told["log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["node"])
        .collect();
    assert!(nodes_met.contains(&&json!(0)) && nodes_met.contains(&&json!(1)));
}

#[tokio::test]
async fn without_a_majority_nothing_is_served() {
    let lab = Lab::of_nodes(3).await;
    set(&lab, 0, false).await;
    set(&lab, 1, false).await;
    let refused = lab.get("/infra/segments").await;
    assert_eq!(
        (refused.status, &refused.body["httpStatus"]),
        (503, &json!("SERVICE_UNAVAILABLE"))
    );
    let health = read(lab.bare(Method::GET, "/api/v1/reverse-proxy/node/health")).await;
    assert_eq!(health.body["healthy"], false);
    set(&lab, 1, true).await;
    good(&lab.get("/infra/segments").await);
    set(&lab, 1, false).await;
    set(&lab, 2, false).await;
    assert!(
        lab.bare(Method::GET, "/api/v1/reverse-proxy/node/health")
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_manager_of_one_node_is_its_own_address() {
    let lab = Lab::slow().await;
    assert_eq!(lab.simulator.nodes.len(), 1);
    assert_eq!(lab.simulator.nodes[0], lab.simulator.url);
    let nodes = lab.control(Method::GET, "/nodes", None).await;
    assert_eq!(
        (&nodes["nodes"][0]["up"], nodes["nodes"].as_array().unwrap().len()),
        (&json!(true), 1)
    );
    let refused = lab
        .client
        .post(format!("{}/nodes", lab.simulator.control))
        .json(&json!({"node": 1, "up": false}));
    assert_eq!(read(refused).await.status, 400);
}
