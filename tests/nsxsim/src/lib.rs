//! nsxsim: an NSX Manager to test against.
//!
//! Strict where the API is strict, and sceptical where its behaviour is not known: what is doubtful is a knob
//! whose default is the one that is harder on a client. It shares no code with the client it tests.

mod error;
mod http;
mod kinds;
mod net;
mod paths;
mod probe;
mod rules;
mod schema;
mod search;
mod world;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::http::bodies::Bodies;
use crate::http::shared::Shared;
use crate::http::{control, serve};

/// How to start a simulator.
pub struct Config {
    /// Where the manager's HTTPS listens; port 0 = any.
    pub listen: SocketAddr,
    /// Where the control port listens; port 0 = any.
    pub control: SocketAddr,
    /// The account.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Nodes of the manager's cluster. With more than one, `listen` is where the virtual address is served, and each
    /// node listens at a port of its own of the same address.
    pub nodes: usize,
    /// Certificate and key of the HTTPS side. HTTP/2 is not spoken.
    pub tls: rustls::ServerConfig,
    /// Where the bodies of calls that may change something are kept, one JSON object a line; nowhere if `None`.
    pub bodies: Option<PathBuf>,
}

/// A running simulator; it ends when this is dropped.
pub struct Simulator {
    /// `https://address:port`; of several nodes, their virtual address.
    pub url: String,
    /// `https://address:port` of each node.
    pub nodes: Vec<String>,
    /// `http://address:port`.
    pub control: String,
    tasks: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Starts one; it answers when this returns.
    ///
    /// # Errors
    /// When an address cannot be bound, or the embedded type facts are broken.
    pub async fn start(config: Config) -> io::Result<Self> {
        let bodies = config.bodies.as_deref().map(Bodies::create).transpose()?;
        let shared = Shared::new(config.username, config.password, config.nodes, bodies);
        let shared = Arc::new(shared.map_err(io::Error::other)?);
        let listener = TcpListener::bind(config.listen).await?;
        let control_listener = TcpListener::bind(config.control).await?;
        let url = format!("https://{}", listener.local_addr()?);
        let control = format!("http://{}", control_listener.local_addr()?);
        let tls = TlsAcceptor::from(Arc::new(config.tls));
        let mut tasks = Vec::new();
        let mut listeners = vec![listener];
        if config.nodes > 1 {
            let own = SocketAddr::new(config.listen.ip(), 0);
            for _ in 0..config.nodes {
                listeners.push(TcpListener::bind(own).await?);
            }
            let virtual_address = listeners.remove(0);
            let (tls, shared) = (tls.clone(), shared.clone());
            tasks.push(tokio::spawn(serve::virtual_address(virtual_address, tls, shared)));
        }
        let mut nodes = Vec::new();
        for (node, listener) in listeners.into_iter().enumerate() {
            let url = format!("https://{}", listener.local_addr()?);
            shared.nodes.serves_at(node, url.clone());
            nodes.push(url);
            let served = serve::node(listener, tls.clone(), shared.clone(), node);
            tasks.push(tokio::spawn(async move {
                if let Err(e) = served.await {
                    tracing::error!("node {node} ended: {e}");
                }
            }));
        }
        let router = control::router(shared.clone());
        tasks.push(tokio::spawn(async move {
            if let Err(e) = axum::serve(control_listener, router).await {
                tracing::error!("control port ended: {e}");
            }
        }));
        tasks.push(tokio::spawn(async move {
            serve::keep_time(shared).await;
        }));
        Ok(Self {
            url,
            nodes,
            control,
            tasks,
        })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
