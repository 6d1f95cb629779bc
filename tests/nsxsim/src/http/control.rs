//! The control port: plain HTTP, no part of the product's API.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::faults::Fault;
use super::shared::Shared;
use crate::probe::{self, Packet};
use crate::world::inventory::Inventory;
use crate::world::tuning::Tuning;

type App = State<Arc<Shared>>;

/// How long a long poll waits.
const LONG_POLL: Duration = Duration::from_secs(25);

/// All routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/calls", get(calls).delete(forget_calls))
        .route("/dump", get(dump))
        .route("/look", post(look))
        .route("/faults", get(list_faults).post(add_faults).delete(clear_faults))
        .route("/held", get(held))
        .route("/tune", get(tuning).post(tune))
        .route("/probe", post(probe_packet))
        .route("/inventory", put(inventory))
        .route("/switches", get(switches))
        .route("/nodes", get(nodes).post(set_node))
        .route("/sessions", axum::routing::delete(expire_sessions))
        .with_state(shared)
}

/// A body that does not say what it should.
struct Refused(String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, axum::Json(json!({"error": self.0}))).into_response()
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|e| Refused(e.to_string()))
}

fn done() -> axum::Json<Value> {
    axum::Json(json!({}))
}

#[derive(Deserialize)]
struct CallsQuery {
    client: Option<String>,
    #[serde(default)]
    counts: bool,
}

async fn calls(State(shared): App, Query(query): Query<CallsQuery>) -> axum::Json<Value> {
    axum::Json(shared.calls().report(query.client.as_deref(), query.counts))
}

async fn forget_calls(State(shared): App) -> axum::Json<Value> {
    shared.calls().clear();
    done()
}

async fn dump(State(shared): App) -> axum::Json<Value> {
    let sessions = shared.auth().sessions();
    shared.with_world(|world, _| {
        let mut intents = serde_json::Map::new();
        let mut deleting = Vec::new();
        for object in world.store.all() {
            if object.deleted {
                deleting.push(object.path.clone());
            }
            intents.insert(object.path.clone(), object.document().shown(&[]));
        }
        axum::Json(json!({
            "intents": intents,
            "deleting": deleting,
            "realized": world.all_entities(),
            "switches": world.switch_list(),
            "inventory": world.inventory,
            "sessions": sessions,
            "settings": world.tuning,
        }))
    })
}

#[derive(Deserialize)]
struct Look {
    paths: Vec<String>,
}

/// The objects at some paths that are there: a dump of tens of thousands would take longer than what is watched.
async fn look(State(shared): App, body: Bytes) -> Result<axum::Json<Value>, Refused> {
    let wanted: Look = read(&body)?;
    let found = shared.with_world(|world, _| {
        let live = wanted.paths.iter().filter_map(|path| world.store.live(path));
        live.map(|object| (object.path.clone(), object.document().shown(&[])))
            .collect::<serde_json::Map<_, _>>()
    });
    Ok(axum::Json(Value::Object(found)))
}

async fn list_faults(State(shared): App) -> axum::Json<Value> {
    axum::Json(json!({"faults": shared.faults().list()}))
}

/// One fault, or a list of them.
async fn add_faults(State(shared): App, body: Bytes) -> Result<axum::Json<Value>, Refused> {
    let given: Value = read(&body)?;
    let list = match given {
        Value::Array(list) => list,
        one => vec![one],
    };
    let parsed: Result<Vec<Fault>, _> = list.into_iter().map(serde_json::from_value).collect();
    for fault in parsed.map_err(|e| Refused(e.to_string()))? {
        shared.faults().add(fault);
    }
    Ok(done())
}

/// Takes all faults away and lets go what they hold.
async fn clear_faults(State(shared): App) -> axum::Json<Value> {
    shared.faults().clear();
    shared.holds.release();
    done()
}

#[derive(Deserialize)]
struct HeldQuery {
    wait_ms: Option<u64>,
}

/// Long poll: how many requests are held, as soon as any is.
async fn held(State(shared): App, Query(query): Query<HeldQuery>) -> axum::Json<Value> {
    let wait = query
        .wait_ms
        .map_or(LONG_POLL, Duration::from_millis)
        .min(LONG_POLL);
    axum::Json(json!({"held": shared.holds.held(wait).await}))
}

async fn tuning(State(shared): App) -> axum::Json<Value> {
    axum::Json(shared.with_world(|world, _| json!(world.tuning)))
}

/// The knobs that are named are turned; answers with all.
async fn tune(State(shared): App, body: Bytes) -> Result<axum::Json<Value>, Refused> {
    let given: serde_json::Map<String, Value> = read(&body)?;
    shared.with_world(|world, _| {
        let mut all = json!(world.tuning);
        if let Some(map) = all.as_object_mut() {
            map.extend(given);
        }
        let tuning: Tuning = serde_json::from_value(all).map_err(|e| Refused(e.to_string()))?;
        world.tuning = tuning;
        Ok(axum::Json(json!(world.tuning)))
    })
}

async fn probe_packet(State(shared): App, body: Bytes) -> Result<axum::Json<Value>, Refused> {
    let packet: Packet = read(&body)?;
    let told = shared
        .with_world(|world, _| {
            let told = probe::walk(world, &packet)?;
            world.statistics.record(&told);
            Ok(told)
        })
        .map_err(Refused)?;
    Ok(axum::Json(json!(told)))
}

async fn inventory(State(shared): App, body: Bytes) -> Result<axum::Json<Value>, Refused> {
    let inventory: Inventory = read(&body)?;
    shared.with_world(|world, now| world.replace_inventory(inventory, now));
    Ok(done())
}

#[derive(Deserialize)]
struct SwitchesQuery {
    since: Option<u64>,
}

async fn switches(State(shared): App, Query(query): Query<SwitchesQuery>) -> axum::Json<Value> {
    let mut version = shared.switches.subscribe();
    if let Some(since) = query.since {
        // A timeout answers with the version that is known already.
        let _unchanged = tokio::time::timeout(LONG_POLL, version.wait_for(|v| *v > since))
            .await
            .is_err();
    }
    axum::Json(
        shared.with_world(|world, _| json!({"version": world.switches, "segments": world.switch_list()})),
    )
}

async fn nodes(State(shared): App) -> axum::Json<Value> {
    axum::Json(json!({"nodes": shared.nodes.views()}))
}

/// `{"node": 0, "up": false}`: a node that goes down cuts its connections and forgets its sessions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeState {
    node: usize,
    up: bool,
}

async fn set_node(State(shared): App, body: Bytes) -> Result<axum::Json<Value>, Refused> {
    let wanted: NodeState = read(&body)?;
    if !shared.nodes.set(wanted.node, wanted.up) {
        return Err(Refused(format!("there is no node {}", wanted.node)));
    }
    if !wanted.up {
        shared.auth().forget_node(wanted.node);
    }
    Ok(axum::Json(json!({"nodes": shared.nodes.views()})))
}

async fn expire_sessions(State(shared): App) -> axum::Json<Value> {
    shared.auth().expire_all();
    done()
}
