//! NSX's side of a benchmark: its gateways, hands that edit, and the client that calls once for each object.

use super::report::PerObject;
use super::subject::{GATEWAYS, gateway};
use crate::control::Json;
use crate::error::{Error, Result};
use futures::{TryStreamExt, stream};
use rand::Rng;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Where policy paths begin in URLs.
const POLICY: &str = "/policy/api/v1";
/// Calls of the client that calls for each object, at once.
const AT_ONCE: usize = 10;
/// Fields that NSX fills in and nobody writes.
const READ_ONLY: [&str; 13] = [
    "path",
    "parent_path",
    "relative_path",
    "remote_path",
    "unique_id",
    "realization_id",
    "owner_id",
    "origin_site_id",
    "marked_for_delete",
    "overridden",
    "status",
    "children",
    "rules",
];

/// NSX's documented limits, 200 ms until an object is realized, an index that is 2 s behind.
#[must_use]
pub fn tuning() -> Value {
    json!({
        "rate_limit": 100, "concurrency_limit": 40, "global_concurrency_limit": 199,
        "realization_delay_ms": 200, "search_delay_ms": 2000,
    })
}

/// Makes the gateways.
///
/// # Errors
/// NSX refuses.
pub async fn make_gateways(admin: &Json) -> Result<()> {
    let cluster = "/infra/sites/default/enforcement-points/default/edge-clusters/edge-cluster-1";
    for n in 0..GATEWAYS {
        let path = format!("{POLICY}/infra/tier-1s/{}", gateway(n));
        let tier1 = json!({
            "tier0_path": "/infra/tier-0s/vic-t0",
            "route_advertisement_types": ["TIER1_STATIC_ROUTES", "TIER1_CONNECTED", "TIER1_NAT"],
        });
        admin.call(Method::PATCH, &path, Some(&tier1)).await?;
        let services = json!({"edge_cluster_path": cluster});
        let path = format!("{path}/locale-services/default");
        admin.call(Method::PATCH, &path, Some(&services)).await?;
    }
    Ok(())
}

/// An object as NSX has it: path, type and document.
pub type Held = (String, String, Map<String, Value>);

/// Every object that carries a tag of this scope, by path.
///
/// # Errors
/// The control port does not answer.
pub async fn tagged(control: &Json, scope: &str) -> Result<Vec<Held>> {
    let mut dump = control.get("/dump").await?;
    let intents = dump.get_mut("intents").map(Value::take);
    let Some(Value::Object(intents)) = intents else {
        return Err(Error::Other("the dump has no intents".to_owned()));
    };
    let is_ours = |body: &Map<String, Value>| {
        let tags = body.get("tags").and_then(Value::as_array);
        tags.into_iter()
            .flatten()
            .any(|tag| tag.get("scope").and_then(Value::as_str) == Some(scope))
    };
    let objects = intents.into_iter().filter_map(|(path, document)| {
        let Value::Object(body) = document else {
            return None;
        };
        let kind = body.get("resource_type")?.as_str()?.to_owned();
        Some((path, kind, body))
    });
    Ok(objects.filter(|(_, _, body)| is_ours(body)).collect())
}

/// The objects at these paths that are there.
///
/// # Errors
/// The control port does not answer.
pub async fn look(control: &Json, paths: &[String]) -> Result<Map<String, Value>> {
    match control.post("/look", &json!({"paths": paths})).await? {
        Value::Object(found) => Ok(found),
        other => Err(Error::Other(format!("/look answered {other}"))),
    }
}

/// Edits some objects by hand and deletes others; returns the paths, edited ones first.
///
/// # Errors
/// NSX refuses.
pub async fn tamper(admin: &Json, edited: &[Held], deleted: &[Held]) -> Result<()> {
    stream::iter(edited.iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |(path, _, body)| async move {
            let mut body = writable(body);
            body.insert("display_name".to_owned(), json!("edited by hand"));
            send(admin, Method::PATCH, path, Some(&Value::Object(body)))
                .await
                .map(drop)
        })
        .await?;
    stream::iter(deleted.iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |(path, _, _)| async move {
            send(admin, Method::DELETE, path, None).await.map(drop)
        })
        .await
}

fn writable(body: &Map<String, Value>) -> Map<String, Value> {
    let kept = body
        .iter()
        .filter(|(key, _)| !key.starts_with('_') && !READ_ONLY.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Calls, and calls again while NSX has too many of them. Returns how many calls it took.
async fn send(admin: &Json, method: Method, path: &str, body: Option<&Value>) -> Result<usize> {
    let url = format!("{POLICY}{path}");
    let mut calls = 0;
    loop {
        calls += 1;
        let (status, text) = admin.send(method.clone(), &url, body).await?;
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let pause = Duration::from_millis(rand::rng().random_range(0..500));
                tokio::time::sleep(pause).await;
            }
            status if status.is_success() => return Ok(calls),
            status => return Err(Error::Other(format!("{method} {url}: {status}: {text}"))),
        }
    }
}

/// Writes objects one by one as a client does that knows no better: PATCH, then GET, ten at a time. What others refer
/// to goes first.
///
/// # Errors
/// NSX refuses.
pub async fn one_by_one(admin: &Json, n: usize, objects: &[Held]) -> Result<PerObject> {
    let calls = AtomicUsize::new(0);
    let started = Instant::now();
    let basic = |kind: &str| matches!(kind, "Service" | "GatewayPolicy" | "DhcpServerConfig");
    for first in [true, false] {
        let wave = objects.iter().filter(|(_, kind, _)| basic(kind) == first);
        stream::iter(wave.map(Ok))
            .try_for_each_concurrent(AT_ONCE, |(path, _, body)| {
                let calls = &calls;
                async move {
                    let body = Value::Object(writable(body));
                    let patch = send(admin, Method::PATCH, path, Some(&body)).await?;
                    let get = send(admin, Method::GET, path, None).await?;
                    calls.fetch_add(patch + get, Ordering::Relaxed);
                    Ok::<_, Error>(())
                }
            })
            .await?;
    }
    Ok(PerObject {
        n,
        seconds: crate::poc::report::rounded(started.elapsed().as_secs_f64()),
        calls: calls.into_inner(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nsx_fills_in_is_not_written() {
        let Value::Object(body) = json!({
            "id": "r", "display_name": "r", "action": "DNAT", "_revision": 3, "path": "/infra/x", "status": {}, "rules": []
        }) else {
            panic!()
        };
        let kept: Vec<String> = writable(&body).into_iter().map(|(key, _)| key).collect();
        assert_eq!(kept, ["action", "display_name", "id"]);
    }
}
