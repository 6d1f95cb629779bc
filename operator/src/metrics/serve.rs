//! The pages: `/metrics`, `/healthz` and `/readyz`.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};

use super::Metrics;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Serves the pages until the process ends; returns where. They have a thread of their own, so that they answer also
/// when the controllers' threads are stuck, and can say so.
///
/// # Errors
/// Where the address cannot be bound.
pub fn serve(metrics: Arc<Metrics>, address: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("pages".to_owned())
        .spawn(move || {
            if let Err(error) = runtime.block_on(answer(metrics, listener)) {
                tracing::error!(%error, "metrics and health are not served any more");
            }
        })?;
    Ok(bound)
}

async fn answer(metrics: Arc<Metrics>, listener: TcpListener) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = Router::new().fallback(async move |uri: Uri| {
        let (status, kind, body) = page(&metrics, uri.path(), Instant::now());
        (status, [(CONTENT_TYPE, kind)], body)
    });
    axum::serve(listener, router).await
}

fn page(metrics: &Metrics, path: &str, now: Instant) -> (StatusCode, &'static str, String) {
    let told = |verdict: Result<(), String>| match verdict {
        Ok(()) => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{why}\n")),
    };
    match path {
        "/healthz" => told(metrics.health.live(now)),
        "/readyz" => told(metrics.health.ready(now)),
        "/metrics" => (StatusCode::OK, OPENMETRICS, metrics.text()),
        _ => (StatusCode::NOT_FOUND, PLAIN, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_tell_health_and_figures() {
        let metrics = Metrics::default();
        let status = |path: &str| page(&metrics, path, Instant::now()).0;
        let watch = metrics.health.watch("sites");
        assert_eq!(status("/healthz"), StatusCode::OK);
        assert_eq!(status("/readyz"), StatusCode::SERVICE_UNAVAILABLE);
        watch.filled();
        assert_eq!(status("/readyz"), StatusCode::OK);
        assert_eq!(status("/metrics"), StatusCode::OK);
        assert_eq!(status("/"), StatusCode::NOT_FOUND);
        drop(watch);
        let (code, _, why) = page(&metrics, "/healthz", Instant::now());
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(why.contains("the watch of sites has ended"), "{why}");
    }

    #[tokio::test]
    async fn the_pages_answer_while_the_controllers_threads_are_stuck() {
        let metrics = Arc::new(Metrics::default());
        let bound = serve(metrics, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        // A blocking read on this runtime's only thread: who answers cannot be on it.
        let mut connection = std::net::TcpStream::connect(bound).unwrap();
        std::io::Write::write_all(
            &mut connection,
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
        let answer = std::io::read_to_string(connection).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
            "{answer}"
        );
    }
}
