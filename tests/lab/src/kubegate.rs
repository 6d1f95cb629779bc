//! A gate in front of the kube-apiserver: it knows the operator's writes by name, and can stop one exactly before it is
//! made or exactly before its answer is seen.
//!
//! It speaks plain HTTP on loopback; what a request says of its sender passes on unchanged.

use crate::error::{Context, Error, Result};
use crate::run_dir::RunDir;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Largest body that passes, in bytes.
const MAX_BODY: usize = 16 << 20;

/// Where a call is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It never reaches the server.
    Before,
    /// It takes effect, and its answer is never seen.
    After,
}

/// The gate; closed when dropped.
#[derive(Debug)]
pub struct KubeGate {
    url: String,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    behind: String,
    http: reqwest::Client,
    state: Mutex<Passage>,
    /// How many calls are held, and how often all were let go.
    held: watch::Sender<(usize, u64)>,
}

#[derive(Debug, Default)]
struct Passage {
    log: Vec<String>,
    armed: Option<Armed>,
}

/// A stop for the n-th call of a name.
#[derive(Debug)]
struct Armed {
    name: String,
    left: usize,
    stop: Stop,
}

impl KubeGate {
    /// A gate before the server of `kubeconfig`, on a free port of loopback.
    ///
    /// # Errors
    /// The kubeconfig cannot be used, or no port is free.
    pub async fn start(kubeconfig: &Path) -> Result<Self> {
        let config = read(kubeconfig)?;
        let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str);
        let file = |pointer: &str| {
            let path = text(pointer).map(Path::new);
            path.map(|path| fs::read(path).context(|| format!("read {}", path.display())))
                .transpose()
        };
        let what = || "a client of the kube-apiserver".to_owned();
        let mut builder = reqwest::Client::builder().no_proxy();
        if let Some(pem) = file("/clusters/0/cluster/certificate-authority")? {
            builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).context(what)?]);
        }
        let pair = (
            file("/users/0/user/client-certificate")?,
            file("/users/0/user/client-key")?,
        );
        if let (Some(certificate), Some(key)) = pair {
            let pem = [certificate, key].concat();
            builder = builder.identity(reqwest::Identity::from_pem(&pem).context(what)?);
        }
        let behind = text("/clusters/0/cluster/server").unwrap_or_default();
        let shared = Arc::new(Shared {
            behind: behind.trim_end_matches('/').to_owned(),
            http: builder.build().context(what)?,
            state: Mutex::default(),
            held: watch::Sender::new((0, 0)),
        });
        let listening = || "listen on loopback".to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.context(listening)?;
        let url = format!("http://{}", listener.local_addr().context(listening)?);
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            url,
            shared,
            _serving: serving,
        })
    }

    /// Writes a kubeconfig of the same user that leads through the gate.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn kubeconfig(&self, run: &RunDir, of: &Path) -> Result<PathBuf> {
        let mut config = read(of)?;
        if let Some(cluster) = config.pointer_mut("/clusters/0/cluster") {
            *cluster = json!({"server": self.url});
        }
        if let Some(user) = config.pointer_mut("/users/0/user").and_then(Value::as_object_mut) {
            user.retain(|field, _| !field.starts_with("client-"));
        }
        run.write("gate.kubeconfig", config.to_string())
    }

    /// The names of the writes that came since they were last forgotten.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.shared.lock().log.clone()
    }

    /// Forgets them.
    pub fn forget(&self) {
        self.shared.lock().log.clear();
    }

    /// Stops the `nth` write of that name from now on, counted from one.
    pub fn arm(&self, name: &str, nth: usize, stop: Stop) {
        self.shared.lock().armed = Some(Armed {
            name: name.to_owned(),
            left: nth,
            stop,
        });
    }

    /// Takes the stop away and cuts what it holds.
    pub fn release(&self) {
        self.shared.lock().armed = None;
        self.shared.held.send_modify(|(_, released)| *released += 1);
    }

    /// Waits until a call is held, no longer than `limit`.
    pub async fn held(&self, limit: Duration) -> bool {
        let mut held = self.shared.held.subscribe();
        let any = held.wait_for(|(count, _)| *count > 0);
        matches!(tokio::time::timeout(limit, any).await, Ok(Ok(_)))
    }
}

/// A held call; counts until it is dropped, also when its client goes away.
struct Held<'a>(&'a Shared);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0
            .held
            .send_modify(|(count, _)| *count = count.saturating_sub(1));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Passage> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a write, and tells whether it is stopped.
    fn note(&self, name: String) -> Option<Stop> {
        let mut passage = self.lock();
        let mut stop = None;
        if let Some(armed) = passage.armed.as_mut().filter(|armed| armed.name == name) {
            armed.left = armed.left.saturating_sub(1);
            if armed.left == 0 {
                stop = Some(armed.stop);
                passage.armed = None;
            }
        }
        passage.log.push(name);
        stop
    }

    async fn hold(&self) {
        let mut held = self.held.subscribe();
        let released = held.borrow_and_update().1;
        self.held.send_modify(|(count, _)| *count += 1);
        let _held = Held(self);
        // The sender lives as long as `self`.
        drop(held.wait_for(|(_, now)| *now != released).await);
    }

    async fn forward(&self, request: Request) -> Result<Response> {
        let what = || "pass a request on to the kube-apiserver".to_owned();
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MAX_BODY)
            .await
            .map_err(|error| Error::Other(format!("{}: {error}", what())))?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let sent = self
            .http
            .request(parts.method, format!("{}{path}", self.behind))
            .headers(end_to_end(parts.headers))
            .body(body)
            .send()
            .await
            .context(what)?;
        let (status, headers) = (sent.status(), end_to_end(sent.headers().clone()));
        let mut answer = Response::new(Body::from_stream(sent.bytes_stream()));
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

/// Headers that concern more than one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [
        header::CONNECTION,
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
    headers
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let cut = |why: String| (StatusCode::BAD_GATEWAY, why).into_response();
    let stop = name_of(request.method(), request.uri().path()).and_then(|name| shared.note(name));
    if stop == Some(Stop::Before) {
        shared.hold().await;
        return cut("the gate was shut".to_owned());
    }
    let answer = shared.forward(request).await;
    if stop == Some(Stop::After) {
        shared.hold().await;
        return cut("the gate was shut".to_owned());
    }
    answer.unwrap_or_else(|error| cut(error.to_string()))
}

/// The name of a write: `PATCH edgenatrules/status`. Reads have none, nor have Leases: they are renewed by the clock.
fn name_of(method: &Method, path: &str) -> Option<String> {
    if method == Method::GET {
        return None;
    }
    let mut parts = path.trim_start_matches('/').split('/');
    // `api/v1` or `apis/group/version`.
    let skipped = if parts.next()? == "api" { 1 } else { 2 };
    let mut parts = parts.skip(skipped).peekable();
    if parts.next_if_eq(&"namespaces").is_some() {
        let _ = parts.next();
        if parts.peek().is_none() {
            return Some(format!("{method} namespaces"));
        }
    }
    let plural = parts.next()?;
    let subresource = parts.nth(1);
    (plural != "leases").then(|| match subresource {
        Some(subresource) => format!("{method} {plural}/{subresource}"),
        None => format!("{method} {plural}"),
    })
}

fn read(kubeconfig: &Path) -> Result<Value> {
    let what = || format!("read {}", kubeconfig.display());
    let text = fs::read_to_string(kubeconfig).context(what)?;
    serde_yaml_ng::from_str(&text).context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_named_by_what_they_are_about() {
        let cases = [
            (
                Method::PATCH,
                "/apis/vic-operator.io/v1alpha1/namespaces/a/edgenatrules/x/status",
                Some("PATCH edgenatrules/status"),
            ),
            (
                Method::PATCH,
                "/apis/vic-operator.io/v1alpha1/sites/poc",
                Some("PATCH sites"),
            ),
            (Method::POST, "/api/v1/namespaces/a/secrets", Some("POST secrets")),
            (
                Method::POST,
                "/apis/events.k8s.io/v1/namespaces/a/events",
                Some("POST events"),
            ),
            (Method::POST, "/api/v1/namespaces", Some("POST namespaces")),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/l",
                None,
            ),
            (Method::GET, "/api/v1/namespaces/a/secrets/s", None),
        ];
        for (method, path, name) in cases {
            assert_eq!(name_of(&method, path).as_deref(), name, "{method} {path}");
        }
    }

    /// A server that answers with what it was asked, and a kubeconfig of it.
    async fn server(run: &RunDir) -> (JoinSet<()>, PathBuf, watch::Receiver<usize>) {
        let (asked, seen) = watch::channel(0);
        let asked = Arc::new(asked);
        let router = Router::new().fallback(move |headers: HeaderMap| {
            asked.send_modify(|count| *count += 1);
            async move {
                headers
                    .get(header::AUTHORIZATION)
                    .map_or(Vec::new(), |value| value.as_bytes().to_vec())
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = json!({
            "clusters": [{"name": "lab", "cluster": {"server": format!("http://{}", listener.local_addr().unwrap())}}],
            "users": [{"name": "lab", "user": {"token": "secret", "client-key": "/none"}}],
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, router).await) });
        let path = run.write("kubeconfig", config.to_string()).unwrap();
        (serving, path, seen)
    }

    #[tokio::test]
    async fn a_write_is_stopped_before_it_is_made_or_before_its_answer_is_seen() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let run = RunDir::create("unit").unwrap();
        let (_serving, kubeconfig, seen) = server(&run).await;
        // Without a key that can be read the file is no use; the gate wants none of it.
        let gated = read(&kubeconfig).unwrap();
        let plain = json!({"clusters": gated["clusters"], "users": [{"user": {"token": "secret"}}]});
        let gate = KubeGate::start(&run.write("plain", plain.to_string()).unwrap())
            .await
            .unwrap();
        let through = read(&gate.kubeconfig(&run, &kubeconfig).unwrap()).unwrap();
        assert_eq!(through["users"][0]["user"], json!({"token": "secret"}));
        assert_eq!(through["clusters"][0]["cluster"], json!({"server": gate.url}));

        let patch = || {
            let url = format!("{}/apis/vic-operator.io/v1alpha1/sites/poc/status", gate.url);
            let request = reqwest::Client::new()
                .patch(url)
                .header("authorization", "Bearer secret");
            async move { request.send().await.unwrap() }
        };
        let answered = patch().await;
        assert_eq!(
            (answered.status(), answered.text().await.unwrap().as_str()),
            (StatusCode::OK, "Bearer secret")
        );
        for (stop, reached) in [(Stop::Before, 2), (Stop::After, 4)] {
            gate.arm("PATCH sites/status", 2, stop);
            assert_eq!(patch().await.status(), StatusCode::OK, "the first passes");
            let second = tokio::spawn(patch());
            assert!(gate.held(Duration::from_mins(1)).await);
            assert_eq!(*seen.borrow(), reached, "{stop:?}");
            gate.release();
            assert_eq!(second.await.unwrap().status(), StatusCode::BAD_GATEWAY);
            assert!(!gate.held(Duration::ZERO).await);
        }
        assert_eq!(gate.log(), vec!["PATCH sites/status"; 5]);
        gate.forget();
        assert!(gate.log().is_empty());
    }
}
