//! Faults, limits and the call log.
#![cfg(test)]

mod common;

use common::{Lab, good, read, web};
use reqwest::Method;
use serde_json::{Value, json};

const VERSION: &str = "/api/v1/node/version";
const WEB: &str = "/policy/api/v1/infra/segments/web";

async fn fault(lab: &Lab, matcher: Value, action: Value) {
    lab.control(
        Method::POST,
        "/faults",
        Some(json!({"match": matcher, "action": action})),
    )
    .await;
}

#[tokio::test]
async fn an_answer_may_be_scripted() {
    let lab = Lab::quick().await;
    let body = json!({"module_name": "common-services", "error_code": "102"});
    fault(
        &lab,
        json!({"path": VERSION}),
        json!({"status": 429, "body": body}),
    )
    .await;
    fault(
        &lab,
        json!({"path": VERSION}),
        json!({"status": 502, "body": "<html>bad gateway</html>"}),
    )
    .await;
    let first = lab.call(Method::GET, VERSION, None).await;
    assert_eq!((first.status, first.body), (429, body));
    let second = lab.admin(Method::GET, VERSION).send().await.unwrap();
    assert_eq!(
        (
            second.status().as_u16(),
            second.headers()["content-type"].to_str().unwrap()
        ),
        (502, "text/html")
    );
    good(&lab.call(Method::GET, VERSION, None).await);
    let listed = lab.control(Method::GET, "/faults", None).await;
    assert_eq!(
        (&listed["faults"][0]["hits"], &listed["faults"][0]["seen"]),
        (&json!(1), &json!(3))
    );
    lab.control(Method::DELETE, "/faults", None).await;
    assert_eq!(
        lab.control(Method::GET, "/faults", None).await,
        json!({"faults": []})
    );
}

#[tokio::test]
async fn a_cut_before_leaves_nothing_and_a_cut_after_leaves_all() {
    let lab = Lab::quick().await;
    let write = || lab.admin(Method::PATCH, WEB).json(&web()).send();
    fault(&lab, json!({"method": "PATCH"}), json!("drop-before")).await;
    assert!(write().await.is_err());
    assert_eq!(lab.call(Method::GET, WEB, None).await.status, 404);
    fault(&lab, json!({"method": "PATCH"}), json!("drop-after-commit")).await;
    assert!(write().await.is_err());
    good(&lab.call(Method::GET, WEB, None).await);
    let log = lab.control(Method::GET, "/calls", None).await;
    assert_eq!(log["statuses"]["0"], 2, "cut calls are in the log: {log}");
}

/// A client can be ended exactly before its write takes effect, or exactly after.
#[tokio::test]
async fn a_held_request_stops_until_the_faults_are_cleared() {
    let lab = Lab::quick().await;
    for (action, status) in [("hold-before", 404), ("hold-after-commit", 200)] {
        fault(
            &lab,
            json!({"method": "PATCH", "template": "/policy/api/v1/infra/segments/{segment-id}"}),
            json!(action),
        )
        .await;
        let none = lab.control(Method::GET, "/held?wait_ms=0", None).await;
        assert_eq!(none, json!({"held": 0}));
        let write = tokio::spawn(lab.admin(Method::PATCH, WEB).json(&web()).send());
        let held = lab.control(Method::GET, "/held", None).await;
        assert_eq!(held, json!({"held": 1}));
        assert_eq!(lab.call(Method::GET, WEB, None).await.status, status, "{action}");
        assert!(!write.is_finished());
        lab.control(Method::DELETE, "/faults", None).await;
        assert!(write.await.unwrap().is_err(), "the connection is cut");
        assert_eq!(lab.call(Method::GET, WEB, None).await.status, status, "{action}");
    }
}

#[tokio::test]
async fn a_truncated_answer_ends_in_an_error() {
    let lab = Lab::quick().await;
    fault(&lab, json!({}), json!("truncate")).await;
    let response = lab.admin(Method::GET, VERSION).send().await;
    let ended = match response {
        Ok(response) => response.text().await.is_err(),
        Err(_) => true,
    };
    assert!(ended, "half an answer is none");
    fault(&lab, json!({}), json!("truncate")).await;
    let empty = lab.admin(Method::PATCH, WEB).json(&web()).send().await;
    let ended = match empty {
        Ok(response) => response.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(ended, "an empty answer is cut as well");
}

#[tokio::test]
async fn the_rate_is_limited_for_each_user() {
    let lab = Lab::quick().await;
    lab.tune(json!({"rate_limit": 3})).await;
    let calls = (0..50).map(|_| lab.call(Method::GET, VERSION, None));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().filter(|a| a.status == 200).count() >= 3);
    let refused = answers.into_iter().find(|a| a.status == 429);
    let refusal = refused.expect("fifty at once are more than three a second").body;
    assert_eq!(refusal["error_code"], "102", "a string");
    assert_eq!(refusal.get("httpStatus"), None);
    assert_eq!(
        read(lab.bare(Method::GET, "/api/v1/reverse-proxy/node/health"))
            .await
            .status,
        200,
        "another client"
    );
}

#[tokio::test]
async fn concurrency_is_limited_and_places_are_given_back() {
    let lab = Lab::quick().await;
    let call = || lab.call(Method::GET, VERSION, None);
    // Both connections stand before it matters.
    tokio::join!(call(), call());
    lab.tune(json!({"concurrency_limit": 1, "latency_ms": 1000}))
        .await;
    let (a, b) = tokio::join!(call(), call());
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    lab.tune(json!({"latency_ms": 0})).await;
    good(&call().await);
}

#[tokio::test]
async fn calls_are_logged_with_templates_and_clients() {
    let lab = Lab::quick().await;
    lab.call(Method::GET, WEB, None).await;
    let other = lab
        .admin(Method::GET, "/policy/api/v1/search/query?query=x")
        .header("user-agent", "human/2");
    read(other).await;
    let log = lab.control(Method::GET, "/calls", None).await;
    assert_eq!(
        log["counts"],
        json!({"GET /policy/api/v1/infra/segments/{segment-id}": 1, "GET /policy/api/v1/search/query": 1})
    );
    let first = &log["log"][0];
    assert_eq!(
        (&first["client"], &first["user"], &first["status"]),
        (&json!("test/1"), &json!("admin"), &json!(404))
    );
    assert_eq!(first["path"], WEB);
    assert_eq!(log["log"][1]["query"], json!({"query": "x"}));
    let human = lab
        .control(Method::GET, "/calls?client=human&counts=true", None)
        .await;
    assert_eq!((&human["total"], human.get("log")), (&json!(1), None));
    lab.control(Method::DELETE, "/calls", None).await;
    assert_eq!(lab.control(Method::GET, "/calls", None).await["total"], 0);
}
