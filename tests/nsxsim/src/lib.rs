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
    /// Certificate and key of the HTTPS side. HTTP/2 is not spoken.
    pub tls: rustls::ServerConfig,
    /// Where the bodies of calls that may change something are kept, one JSON object a line; nowhere if `None`.
    pub bodies: Option<PathBuf>,
}

/// A running simulator; it ends when this is dropped.
pub struct Simulator {
    /// `https://address:port`.
    pub url: String,
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
        let shared = Shared::new(config.username, config.password, bodies).map_err(io::Error::other)?;
        let shared = Arc::new(shared);
        let listener = TcpListener::bind(config.listen).await?;
        let control_listener = TcpListener::bind(config.control).await?;
        let url = format!("https://{}", listener.local_addr()?);
        let control = format!("http://{}", control_listener.local_addr()?);
        let tls = TlsAcceptor::from(Arc::new(config.tls));
        let router = control::router(shared.clone());
        let tasks = vec![
            tokio::spawn(serve::https(listener, tls, shared.clone())),
            tokio::spawn(async move {
                if let Err(e) = axum::serve(control_listener, router).await {
                    tracing::error!("control port ended: {e}");
                }
            }),
            tokio::spawn(async move {
                serve::keep_time(shared).await;
            }),
        ];
        Ok(Self { url, control, tasks })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
