//! A scripted NSX manager: objects in a map, a search over them, faults on demand, and a log of calls.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use nsx::{Change, Config, Engine, Intent, Observed, Tag, Tuning};
use serde_json::{Map, Value, json};

/// What happens to a call instead of, or after, what it asks for.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer, and nothing is done.
    Answer(u16, String),
    /// It is done, and the answer breaks off.
    BreakAfter,
    /// The session is gone.
    Expire,
    /// No answer ever comes.
    Silence,
}

#[derive(Default)]
pub struct World {
    pub objects: BTreeMap<String, Value>,
    pub log: Vec<(String, String)>,
    /// (method, part of the path or body, fault)
    pub faults: VecDeque<(Method, String, Fault)>,
    pub poison: Vec<String>,
    pub password: String,
    sessions: Vec<String>,
    pub logins: usize,
    pub destroyed: usize,
    clock: i64,
    pub status: String,
    /// Whether deleted objects stay for search, marked.
    pub slow_removal: bool,
}

#[derive(Clone)]
pub struct Manager {
    pub world: Arc<Mutex<World>>,
    pub url: String,
}

pub const OWNER: (&str, &str) = ("vic-operator/instance", "one");

impl Manager {
    pub async fn start() -> Self {
        let world = World {
            password: "right".into(),
            status: "SUCCESS".into(),
            clock: 1_000_000,
            ..World::default()
        };
        let world = Arc::new(Mutex::new(world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(serve).with_state(Arc::clone(&world));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { world, url }
    }

    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn fault(&self, method: Method, part: &str, fault: Fault) {
        self.lock().faults.push_back((method, part.to_owned(), fault));
    }

    pub fn config(&self) -> Config {
        Config {
            urls: vec![self.url.clone()],
            username: "admin".into(),
            password: "right".into(),
            tls: tls(rustls::RootCertStore::empty()),
            user_agent: "test".into(),
            owner_tag: Tag::new(OWNER.0, OWNER.1),
            index_scope: "vic-operator/uid".into(),
            // Looks come when a test asks for them, unless it sets another period.
            resync: Duration::from_hours(1),
            may_write: Arc::new(|| true),
            observer: Arc::new(()),
        }
    }

    pub async fn engine(&self) -> Engine {
        self.engine_with(|_, _| {}).await
    }

    pub async fn engine_with(&self, set: impl FnOnce(&mut Config, &mut Tuning)) -> Engine {
        let (mut config, mut tuning) = (self.config(), quick());
        set(&mut config, &mut tuning);
        let engine = Engine::connect_tuned(config, tuning).await.unwrap();
        engine.loaded().await;
        engine
    }

    /// Calls so far with this method, whose path and query hold this.
    pub fn calls(&self, method: &str, part: &str) -> usize {
        self.lock()
            .log
            .iter()
            .filter(|(m, path)| m == method && path.contains(part))
            .count()
    }

    /// Puts an object there as another client would.
    pub fn put(&self, path: &str, resource_type: &str, fields: &Value) {
        let mut world = self.lock();
        world.write(path, resource_type, fields.as_object().unwrap().clone());
    }

    pub fn remove(&self, path: &str) {
        self.lock().objects.remove(path).unwrap();
    }
}

/// Knobs for tests that run in real time.
pub fn quick() -> Tuning {
    Tuning {
        rate: (2000.0, 2000.0),
        lag: Duration::from_millis(300),
        poll: (Duration::from_millis(10), Duration::from_millis(50)),
        ..Tuning::default()
    }
}

pub fn tls(roots: rustls::RootCertStore) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub fn owned(engine: &Engine) -> Vec<Observed> {
    let mut all = Vec::new();
    engine.each_owned(|observed| all.push(observed));
    all
}

pub fn owner_tags() -> Value {
    json!([{"scope": OWNER.0, "tag": OWNER.1}])
}

pub fn segment(id: &str) -> Change {
    put(
        &format!("/infra/segments/{id}"),
        "Segment",
        json!({"tags": owner_tags()}),
    )
}

pub fn put(path: &str, resource_type: &str, body: Value) -> Change {
    let Value::Object(body) = body else { panic!() };
    Change::Put(Intent {
        path: path.into(),
        resource_type: resource_type.into(),
        body,
    })
}

pub fn delete(path: &str, resource_type: &str) -> Change {
    Change::Delete {
        path: path.into(),
        resource_type: resource_type.into(),
    }
}

/// The next lot of changed paths, sorted.
pub async fn next(changes: &mut tokio::sync::broadcast::Receiver<Arc<[String]>>) -> Vec<String> {
    let told = tokio::time::timeout(Duration::from_secs(20), changes.recv()).await;
    let mut told = told.expect("nothing was told").unwrap().to_vec();
    told.sort();
    told
}

/// Waits until `ready`; every change the engine tells is a reason to look again.
pub async fn until(engine: &Engine, mut ready: impl FnMut() -> bool) {
    let mut changes = engine.changes();
    let waiting = async {
        while !ready() {
            tokio::select! {
                _ = changes.recv() => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .expect("never came true");
}

impl World {
    fn write(&mut self, path: &str, resource_type: &str, fields: Map<String, Value>) {
        self.clock += 1;
        let old = self.objects.get(path).and_then(|old| old["_revision"].as_i64());
        let id = path.rsplit('/').next().unwrap();
        let mut object = fields;
        object.remove("children");
        object.entry("display_name").or_insert(json!(id));
        object.insert("id".into(), json!(id));
        object.insert("path".into(), json!(path));
        object.insert("resource_type".into(), json!(resource_type));
        object.insert("marked_for_delete".into(), json!(false));
        object.insert("_revision".into(), json!(old.map_or(0, |old| old + 1)));
        object.insert("_last_modified_time".into(), json!(self.clock));
        self.objects.insert(path.to_owned(), Value::Object(object));
    }

    fn tree(&mut self, children: &Value, at: &str) -> Result<(), (u16, String)> {
        for child in children.as_array().into_iter().flatten() {
            let kind = child["resource_type"].as_str().unwrap();
            if kind == "ChildResourceReference" {
                let at = format!(
                    "{at}/{}/{}",
                    collection(child["target_type"].as_str().unwrap()),
                    text(&child["id"])
                );
                self.tree(&child["children"], &at)?;
                continue;
            }
            let wrapper = kind.strip_prefix("Child").unwrap();
            let object = &child[wrapper];
            let path = format!("{at}/{}/{}", collection(wrapper), text(&object["id"]));
            if self.poison.contains(&path) {
                let inner = json!({"error_code": 500_105, "error_message": "addresses overlap"});
                let body = json!({"httpStatus": "BAD_REQUEST", "error_code": 500_157, "related_errors": [inner],
                    "error_message": format!("Error while creating objects of type:{wrapper}")});
                return Err((400, body.to_string()));
            }
            if child["marked_for_delete"] == true {
                match self.objects.get_mut(&path) {
                    Some(object) if self.slow_removal => object["marked_for_delete"] = json!(true),
                    Some(_) => drop(self.objects.remove(&path)),
                    None => {
                        return Err((
                            404,
                            json!({"error_code": 600, "error_message": "not found"}).to_string(),
                        ));
                    }
                }
            } else {
                if self
                    .objects
                    .get(&path)
                    .is_some_and(|object| object["marked_for_delete"] == true)
                {
                    let body = json!({"error_code": 500_045, "error_message": "object is marked for delete"});
                    return Err((400, body.to_string()));
                }
                self.write(
                    &path,
                    &text(&object["resource_type"]),
                    object.as_object().unwrap().clone(),
                );
                self.tree(&object["children"], &path)?;
            }
        }
        Ok(())
    }

    fn search(&self, query: &BTreeMap<String, String>) -> Value {
        let expression = query["query"].replace('\\', "");
        let owned = |object: &Value| {
            object["tags"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|t| t["scope"] == OWNER.0 && t["tag"] == OWNER.1)
        };
        let paths: Option<Vec<&str>> = expression
            .strip_prefix("path:(")
            .map(|list| list.trim_end_matches(')').split(" OR ").collect());
        let hidden = expression.contains("marked_for_delete:false");
        let mut hits: Vec<Value> = self
            .objects
            .values()
            .filter(|object| match &paths {
                Some(paths) => paths.contains(&object["path"].as_str().unwrap()),
                None if expression.contains("NOT (") => {
                    object["resource_type"] == "PolicyNatRule" && !owned(object)
                }
                None if expression.contains(" OR (") => {
                    object["resource_type"] == "PolicyNatRule" || owned(object)
                }
                None => owned(object),
            })
            .filter(|object| !hidden || object["marked_for_delete"] == false)
            .cloned()
            .collect();
        if query.get("sort_by").is_some_and(|by| by == "_last_modified_time") {
            hits.sort_by_key(|object| std::cmp::Reverse(object["_last_modified_time"].as_i64()));
        }
        let size: usize = query["page_size"].parse().unwrap();
        let from: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
        let total = hits.len();
        let mut rows: Vec<Value> = hits.into_iter().skip(from).take(size).collect();
        for row in &mut rows {
            row["status"] = json!({"consolidated_status": {"consolidated_status": self.status}});
        }
        json!({"result_count": total, "cursor": (from + rows.len()).to_string(), "results": rows})
    }

    fn handle(
        &mut self,
        method: &Method,
        path: &str,
        query: &BTreeMap<String, String>,
        body: &[u8],
    ) -> (u16, String) {
        let missing = || {
            (
                404,
                json!({"httpStatus": "NOT_FOUND", "error_code": 600, "error_message": "no"}).to_string(),
            )
        };
        match (method.as_str(), path) {
            ("GET", "/api/v1/node/version") => (200, json!({"product_version": "4.2.1.0.0"}).to_string()),
            ("GET", "/api/v1/cluster/status") => (200, json!({"cluster_id": "c-1"}).to_string()),
            ("GET", "/policy/api/v1/search/query") => (200, self.search(query).to_string()),
            ("PATCH", "/policy/api/v1/infra") => {
                let body: Value = serde_json::from_slice(body).unwrap();
                let before = self.objects.clone();
                match self.tree(&body["children"], "/infra") {
                    Ok(()) => (200, String::new()),
                    Err(refusal) => {
                        self.objects = before;
                        refusal
                    }
                }
            }
            ("GET", path) if path.ends_with("/realized-entities") => {
                let entity = json!({"state": "ERROR", "alarms": [{"message": "no edge node is up"}]});
                (200, json!({"results": [entity]}).to_string())
            }
            ("GET", path) => {
                let path = path.strip_prefix("/policy/api/v1").unwrap_or(path);
                if let Some(object) = self.objects.get(path) {
                    return if object["marked_for_delete"] == true {
                        missing()
                    } else {
                        (200, object.to_string())
                    };
                }
                let below = |key: &str| {
                    key.strip_prefix(path)
                        .is_some_and(|r| r.matches('/').count() == 1)
                };
                let rows: Vec<&Value> = self
                    .objects
                    .iter()
                    .filter(|(key, _)| below(key))
                    .map(|(_, v)| v)
                    .collect();
                // Collections and objects alternate along a path.
                if rows.is_empty() && path.matches('/').count() % 2 == 1 {
                    return missing();
                }
                (
                    200,
                    json!({"result_count": rows.len(), "results": rows}).to_string(),
                )
            }
            _ => missing(),
        }
    }

    fn authorized(&self, headers: &HeaderMap) -> bool {
        let cookie = headers
            .get("cookie")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let token = headers
            .get("x-xsrf-token")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        self.sessions
            .iter()
            .any(|s| cookie == format!("JSESSIONID={s}") && token == format!("x-{s}"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn collection(wrapper: &str) -> &'static str {
    match wrapper {
        "Segment" => "segments",
        "Tier1" => "tier-1s",
        "PolicyNat" => "nat",
        "PolicyNatRule" => "nat-rules",
        "Service" => "services",
        other => panic!("{other} in a hierarchical body"),
    }
}

/// Logs a call and picks the first fault that fits it.
fn note(world: &mut World, method: &Method, uri: &Uri, body: &[u8]) -> Option<Fault> {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    world.log.push((method.to_string(), target.to_owned()));
    let wanted = format!("{uri} {}", String::from_utf8_lossy(body));
    let fits = |(m, part, _): &(Method, String, Fault)| m == method && wanted.contains(part);
    let at = world.faults.iter().position(fits)?;
    world.faults.remove(at).map(|(_, _, fault)| fault)
}

async fn serve(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let query = axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri)
        .unwrap()
        .0;
    let path = parts.uri.path().to_owned();
    let fault = note(&mut world.lock().unwrap(), &parts.method, &parts.uri, &body);
    if matches!(fault, Some(Fault::Silence)) {
        return std::future::pending().await;
    }
    let mut world = world.lock().unwrap();
    match &fault {
        Some(Fault::Answer(status, text)) => return answer(*status, text.clone()),
        Some(Fault::Expire) => world.sessions.clear(),
        _ => {}
    }
    if path == "/api/session/create" {
        world.logins += 1;
        if !String::from_utf8_lossy(&body).ends_with(&format!("j_password={}", world.password)) {
            return answer(
                403,
                json!({"error_code": 403, "error_message": "bad credentials"}).to_string(),
            );
        }
        let session = format!("s{}", world.logins);
        world.sessions.push(session.clone());
        let mut response = answer(200, String::new());
        let headers = response.headers_mut();
        headers.insert(
            "set-cookie",
            format!("JSESSIONID={session}; Path=/; Secure; HttpOnly")
                .parse()
                .unwrap(),
        );
        headers.insert("x-xsrf-token", format!("x-{session}").parse().unwrap());
        return response;
    }
    if path == "/api/session/destroy" {
        world.destroyed += 1;
        world.sessions.clear();
        return answer(200, String::new());
    }
    if !world.authorized(&parts.headers) {
        return answer(
            403,
            json!({"error_code": 403, "error_message": "session expired"}).to_string(),
        );
    }
    let (status, text) = world.handle(&parts.method, &path, &query, &body);
    if matches!(fault, Some(Fault::BreakAfter)) {
        let pieces = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))];
        return Response::new(Body::from_stream(futures::stream::iter(pieces)));
    }
    answer(status, text)
}

fn answer(status: u16, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
