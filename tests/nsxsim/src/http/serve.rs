//! The HTTPS listener.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::answer::Answer;
use super::pipeline::{self, Outcome};
use super::request::Request;
use super::shared::Shared;

/// Largest body that is taken, bytes.
const MAX_BODY: usize = 64 << 20;

/// The connection is cut on purpose: a scripted fault.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut by a scripted fault")
    }
}

impl std::error::Error for Cut {}

/// How long a node waits before it tries again to bind its address.
const BIND_AGAIN: Duration = Duration::from_millis(20);

/// Serves one node until the task is dropped. While the node is down nothing listens, and its connections are cut.
pub async fn node(
    listener: TcpListener,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
    node: usize,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let gone = || io::Error::other(format!("there is no node {node}"));
    let mut up = shared.nodes.watch(node).ok_or_else(gone)?;
    let mut listener = Some(listener);
    loop {
        up.wait_for(|up| *up).await.map_err(io::Error::other)?;
        let bound = match listener.take() {
            Some(bound) => bound,
            None => match TcpListener::bind(address).await {
                Ok(bound) => bound,
                Err(e) => {
                    tracing::debug!("node {node} cannot bind {address}: {e}");
                    tokio::time::sleep(BIND_AGAIN).await;
                    continue;
                }
            },
        };
        tokio::select! {
            () = accept(&bound, &tls, &shared, || Some(node)) => {}
            _ = up.wait_for(|up| !*up) => {}
        }
    }
}

/// Serves the virtual address: each connection goes to the node that has it.
pub async fn virtual_address(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    accept(&listener, &tls, &shared, || shared.nodes.owner()).await;
}

/// Accepts connections for a node; a connection for no node is cut.
async fn accept(
    listener: &TcpListener,
    tls: &TlsAcceptor,
    shared: &Arc<Shared>,
    node: impl Fn() -> Option<usize>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let node = node().and_then(|n| Some((n, shared.nodes.watch(n)?)));
                let Some((node, mut up)) = node else { continue };
                let served = connection(stream, tls.clone(), shared.clone(), node);
                tokio::spawn(async move {
                    tokio::select! {
                        () = served => {}
                        _ = up.wait_for(|up| !*up) => {}
                    }
                });
            }
            Err(e) => tracing::warn!("cannot accept a connection: {e}"),
        }
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>, node: usize) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("cannot set TCP_NODELAY: {e}");
    }
    let stream = match tls.accept(stream).await {
        Ok(stream) => stream,
        Err(e) => {
            tracing::debug!("TLS handshake failed: {e}");
            return;
        }
    };
    let service = service_fn(move |request| one(shared.clone(), request, node));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(e) = served.await {
        tracing::debug!("connection ended: {e}");
    }
}

async fn one(
    shared: Arc<Shared>,
    request: http::Request<Incoming>,
    node: usize,
) -> Result<Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(Body::new(body), MAX_BODY).await else {
        return Ok(respond(&Answer::status(413), None));
    };
    let request = Request::new(parts.method, &parts.uri, parts.headers, body).at(node);
    match pipeline::answer(&shared, request).await {
        Outcome::Whole(answer) => Ok(respond(&answer, None)),
        Outcome::Half(answer) => {
            let half = answer.body.len() / 2;
            Ok(respond(&answer, Some(half)))
        }
        Outcome::Cut => Err(Cut),
    }
}

/// The answer on the wire; with `only`, that many bytes of a body announced in full.
fn respond(answer: &Answer, only: Option<usize>) -> Response<Body> {
    let mut builder = Response::builder().status(answer.status);
    if !answer.body.is_empty() {
        builder = builder.header("content-type", answer.content_type);
    }
    for (name, value) in &answer.headers {
        builder = builder.header(*name, value);
    }
    let body = match only {
        None => Body::from(answer.body.clone()),
        Some(count) => {
            // An empty answer is cut too: one byte is announced that never comes.
            builder = builder.header("content-length", answer.body.len().max(1));
            let part = Bytes::from(answer.body.get(..count).unwrap_or_default().to_vec());
            let pieces: [Result<Bytes, io::Error>; 2] = [Ok(part), Err(io::Error::other(Cut))];
            Body::from_stream(futures::stream::iter(pieces))
        }
    };
    builder
        .body(body)
        .unwrap_or_else(|_| Response::new(Body::empty()))
}

/// Keeps time: lets things happen when they are due.
pub async fn keep_time(shared: Arc<Shared>) -> Infallible {
    loop {
        let woken = shared.wake.notified();
        match shared.tick() {
            None => woken.await,
            Some(due) => {
                let wait = due.saturating_sub(shared.now());
                tokio::select! {
                    () = woken => {}
                    () = tokio::time::sleep(Duration::from_millis(wait)) => {}
                }
            }
        }
    }
}
