//! Logging in, and what it takes to be let in.
#![cfg(test)]

mod common;

use common::{Lab, good, read};
use reqwest::Method;
use serde_json::json;

async fn session(lab: &Lab) -> (String, String) {
    let form = [("j_username", "admin"), ("j_password", "secret")];
    let response = lab
        .bare(Method::POST, "/api/session/create")
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let cookie = header("set-cookie");
    assert!(
        cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    (
        cookie.split(';').next().unwrap().to_owned(),
        header("x-xsrf-token"),
    )
}

#[tokio::test]
async fn a_session_is_made_used_and_destroyed() {
    let lab = Lab::quick().await;
    let (cookie, token) = session(&lab).await;
    let with = |method, path: &str| {
        lab.bare(method, path)
            .header("cookie", &cookie)
            .header("x-xsrf-token", &token)
    };
    good(&read(with(Method::GET, "/api/v1/node/version")).await);
    let wrong = read(
        lab.bare(Method::GET, "/api/v1/node/version")
            .header("cookie", &cookie),
    )
    .await;
    assert_eq!((wrong.status, &wrong.body["error_code"]), (403, &json!(98)));
    assert_eq!(
        lab.control(Method::GET, "/dump", None).await["sessions"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    good(&read(with(Method::POST, "/api/session/destroy")).await);
    let ended = read(with(Method::GET, "/api/v1/node/version")).await;
    assert_eq!((ended.status, &ended.body["error_code"]), (403, &json!(403)));
    assert_eq!(
        lab.control(Method::GET, "/dump", None).await["sessions"],
        json!([])
    );
}

#[tokio::test]
async fn a_fault_ends_the_session_of_its_caller() {
    let lab = Lab::quick().await;
    let (cookie, token) = session(&lab).await;
    lab.control(
        Method::POST,
        "/faults",
        Some(json!({"match": {"path": "/api/v1"}, "action": "expire-session"})),
    )
    .await;
    let version = || {
        lab.bare(Method::GET, "/api/v1/node/version")
            .header("cookie", &cookie)
            .header("x-xsrf-token", &token)
    };
    assert_eq!(read(version()).await.status, 403);
}

#[tokio::test]
async fn only_health_needs_no_credentials() {
    let lab = Lab::quick().await;
    let health = read(lab.bare(Method::GET, "/api/v1/reverse-proxy/node/health")).await;
    assert_eq!((health.status, &health.body["healthy"]), (200, &json!(true)));
    for path in ["/api/v1/node/version", "/policy/api/v1/infra", "/nothing"] {
        assert_eq!(read(lab.bare(Method::GET, path)).await.status, 401, "{path}");
        let wrong = lab.bare(Method::GET, path).basic_auth("admin", Some("wrong"));
        assert_eq!(read(wrong).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn the_manager_tells_version_cluster_and_limits() {
    let lab = Lab::quick().await;
    lab.tune(json!({"node_version": "4.2.1.0.0.24304122", "rate_limit": 77}))
        .await;
    let version = lab.call(Method::GET, "/api/v1/node/version", None).await;
    assert_eq!(version.body["product_version"], "4.2.1.0.0.24304122");
    let cluster = lab.call(Method::GET, "/api/v1/cluster/status", None).await;
    assert_eq!(cluster.body["cluster_id"].as_str().unwrap().len(), 36);
    let service = lab.call(Method::GET, "/api/v1/cluster/api-service", None).await;
    assert_eq!(service.body["client_api_rate_limit"], 77);
    let mut changed = service.body.clone();
    changed["client_api_concurrency_limit"] = json!(5);
    good(
        &lab.call(Method::PUT, "/api/v1/cluster/api-service", Some(changed))
            .await,
    );
    assert_eq!(
        lab.control(Method::GET, "/tune", None).await["concurrency_limit"],
        5
    );
}
