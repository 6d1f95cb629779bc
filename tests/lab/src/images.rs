//! The server of ISO images.

use crate::error::{Context, Error, Result};
use crate::iso::Image;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A served image: its bytes and how often it was asked for.
#[derive(Debug)]
struct Served {
    image: Image,
    requests: AtomicU64,
}

type Shelf = Arc<BTreeMap<String, Served>>;

/// Serves images over HTTP until dropped. It runs on a thread of its own, so that it outlives the runtime that started
/// it.
#[derive(Debug)]
pub struct ImageServer {
    url: String,
    shelf: Shelf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ImageServer {
    /// Starts to serve `images`, each under its name.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(address: Ipv4Addr, images: Vec<Image>) -> Result<Self> {
        let what = || "start the image server".to_owned();
        let listener = std::net::TcpListener::bind((address, 0)).context(what)?;
        listener.set_nonblocking(true).context(what)?;
        let local: SocketAddr = listener.local_addr().context(what)?;
        let shelf: Shelf = Arc::new(
            images
                .into_iter()
                .map(|image| {
                    (
                        image.name.clone(),
                        Served {
                            image,
                            requests: AtomicU64::new(0),
                        },
                    )
                })
                .collect(),
        );
        let app = Router::new()
            .route("/{name}", get(send))
            .with_state(Arc::clone(&shelf));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context(what)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                tokio::select! {
                    _ = axum::serve(listener, app) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            url: format!("http://{local}"),
            shelf,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The server's base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// URL and SHA-256 of an image.
    ///
    /// # Errors
    /// No image has that name.
    pub fn image(&self, name: &str) -> Result<(String, &str)> {
        let served = self
            .shelf
            .get(name)
            .ok_or_else(|| Error::Other(format!("no image {name} is served")))?;
        Ok((format!("{}/{name}", self.url), &served.image.sha256))
    }

    /// How often an image was asked for.
    #[must_use]
    pub fn requests(&self, name: &str) -> u64 {
        self.shelf
            .get(name)
            .map_or(0, |served| served.requests.load(Ordering::Relaxed))
    }
}

impl Drop for ImageServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn send(State(shelf): State<Shelf>, Path(name): Path<String>) -> Response {
    let Some(served) = shelf.get(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    served.requests.fetch_add(1, Ordering::Relaxed);
    (
        [(header::CONTENT_TYPE, "application/octet-stream")],
        served.image.bytes.clone(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_image_is_served_with_its_length_and_counted() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let image = Image::new("appliance.iso", "VIC APPLIANCE", "V1.5.8-1-A");
        let server = ImageServer::start(Ipv4Addr::LOCALHOST, vec![image.clone()]).unwrap();
        let (url, sha256) = server.image("appliance.iso").unwrap();
        assert_eq!(sha256, image.sha256);
        let response = reqwest::get(&url).await.unwrap();
        assert_eq!(response.content_length(), u64::try_from(image.bytes.len()).ok());
        assert_eq!(response.bytes().await.unwrap(), image.bytes);
        let missing = reqwest::get(format!("{}/bootstrap.iso", server.url()))
            .await
            .unwrap();
        assert_eq!(missing.status(), 404);
        assert_eq!(server.requests("appliance.iso"), 1);
        assert!(server.image("bootstrap.iso").is_err());
    }
}
