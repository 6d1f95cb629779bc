//! `/api/v1`: node, cluster, fabric.

use http::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::fabric;
use super::nodes::View;
use super::request::Request;
use crate::error::NsxError;
use crate::search;
use crate::world::{Actor, World};

/// `GET /api/v1/reverse-proxy/node/health`: needs no credentials.
pub fn health(healthy: bool) -> Answer {
    let word = if healthy { "UP" } else { "DOWN" };
    let components: Vec<String> = ["POLICY", "SEARCH", "MANAGER", "NODE_MGMT", "UI"]
        .iter()
        .map(|c| format!("{c}:{word}"))
        .collect();
    Answer::json(&json!({"healthy": healthy, "components_health": components.join(", ")}))
}

/// Everything below `/api/v1` and `/api/session`.
pub fn answer(world: &mut World, request: &Request, path: &str, actor: &Actor) -> Result<Answer, NsxError> {
    let method = &request.method;
    match (path, method) {
        ("/api/v1/node" | "/api/v1/node/version", &Method::GET) => {
            let version = &world.tuning.node_version;
            Ok(Answer::json(
                &json!({"node_version": version, "product_version": version}),
            ))
        }
        ("/api/v1/cluster/api-service", &Method::GET) => Ok(Answer::json(&api_service(world))),
        ("/api/v1/cluster/api-service", &Method::PUT) => {
            let body = request.object()?;
            world
                .schema
                .read("ApiServiceConfig", &body, crate::schema::Strictness::Whole)?;
            let get = |key: &str| body.get(key).and_then(Value::as_u64);
            let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            if let Some(rate) = get("client_api_rate_limit") {
                world.tuning.rate_limit = small(rate);
            }
            if let Some(limit) = get("client_api_concurrency_limit") {
                world.tuning.concurrency_limit = small(limit);
            }
            if let Some(limit) = get("global_api_concurrency_limit") {
                world.tuning.global_concurrency_limit = small(limit);
            }
            if let Some(seconds) = get("session_timeout") {
                world.tuning.session_timeout_s = seconds;
            }
            Ok(Answer::json(&api_service(world)))
        }
        ("/api/v1/search/query", &Method::GET) => Ok(Answer::json(&search::search(world, &request.query)?)),
        ("/api/v1/fabric/virtual-machines", &Method::GET) => fabric::machines(world, request),
        ("/api/v1/fabric/virtual-machines", &Method::POST) => fabric::tag(world, request, actor),
        ("/api/v1/fabric/vifs", &Method::GET) => fabric::vifs(world, request),
        _ => Err(NsxError::not_found(path)),
    }
}

/// `GET /api/v1/cluster/status`.
pub fn cluster(world: &World, nodes: &[View]) -> Value {
    let told = |up: bool| -> Vec<Value> {
        let some = nodes.iter().filter(|n| n.up == up);
        some.map(|n| json!({"uuid": n.uuid, "mgmt_cluster_listen_ip_address": address(&n.url)}))
            .collect()
    };
    let (online, offline) = (told(true), told(false));
    let status = if offline.is_empty() { "STABLE" } else { "DEGRADED" };
    json!({
        "cluster_id": world.cluster_id,
        "overall_status": status,
        "mgmt_cluster_status": {"status": status, "online_nodes": online, "offline_nodes": offline},
        "control_cluster_status": {"status": status},
        "detailed_cluster_status": {"cluster_id": world.cluster_id, "overall_status": status, "groups": []},
    })
}

/// The address of a URL.
fn address(url: &str) -> &str {
    let host = url.split("//").nth(1).unwrap_or_default();
    host.rsplit_once(':').map_or(host, |(address, _)| address)
}

fn api_service(world: &World) -> Value {
    json!({
        "resource_type": "ApiServiceConfig",
        "client_api_rate_limit": world.tuning.rate_limit,
        "client_api_concurrency_limit": world.tuning.concurrency_limit,
        "global_api_concurrency_limit": world.tuning.global_concurrency_limit,
        "session_timeout": world.tuning.session_timeout_s,
        "connection_timeout": 30,
        "basic_authentication_enabled": true,
        "cookie_based_authentication_enabled": true,
        "redirect_host": "",
        "cipher_suites": [{"enabled": true, "name": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"}],
        "protocol_versions": [{"enabled": true, "name": "TLSv1.2"}, {"enabled": true, "name": "TLSv1.3"}],
        "_revision": 0,
    })
}
