//! Figures for Prometheus, and the small server that shows them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::kind::Kind;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// The process's figures.
pub struct Metrics {
    registry: Mutex<Registry>,
    reconciles: Family<Outcome, Counter>,
    durations: Family<KindLabel, Histogram>,
    ready: AtomicBool,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("vic_operator");
        let reconciles = Family::<Outcome, Counter>::default();
        registry.register(
            "reconciles",
            "Reconciles by kind and reason they ended with",
            reconciles.clone(),
        );
        let durations = Family::<KindLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 4.0, 10))
        });
        registry.register("reconcile_seconds", "Duration of reconciles", durations.clone());
        Self {
            registry: Mutex::new(registry),
            reconciles,
            durations,
            ready: AtomicBool::new(false),
        }
    }
}

impl Metrics {
    /// A reconcile begins.
    #[must_use]
    pub fn reconcile_started(&self) -> Instant {
        Instant::now()
    }

    /// A reconcile ended with a reason.
    pub fn reconcile_ended(&self, started: Instant, kind: Kind, outcome: &'static str) {
        self.reconciles
            .get_or_create(&Outcome {
                kind: kind.name(),
                outcome,
            })
            .inc();
        self.durations
            .get_or_create(&KindLabel { kind: kind.name() })
            .observe(started.elapsed().as_secs_f64());
    }

    /// The caches are filled: the process does its work.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    fn page(&self, path: &str) -> (StatusCode, String) {
        match path {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if self.ready.load(Ordering::Relaxed) => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the caches are not filled yet\n".to_owned(),
            ),
            "/metrics" => {
                let mut text = String::new();
                let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
                // Writing into a String cannot fail.
                let _ = encode(&mut text, &registry);
                (StatusCode::OK, text)
            }
            _ => (StatusCode::NOT_FOUND, String::new()),
        }
    }
}

/// Serves `/metrics`, `/healthz` and `/readyz`; returns where.
///
/// # Errors
/// Where the address cannot be bound.
pub async fn serve(metrics: Arc<Metrics>, address: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let router = Router::new().fallback(async move |uri: Uri| {
        let (status, body) = metrics.page(uri.path());
        (
            status,
            [(
                CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            body,
        )
    });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_tell_health_and_figures() {
        let metrics = Metrics::default();
        assert_eq!(metrics.page("/readyz").0, StatusCode::SERVICE_UNAVAILABLE);
        metrics.set_ready();
        assert_eq!(metrics.page("/readyz").0, StatusCode::OK);
        metrics.reconcile_ended(metrics.reconcile_started(), Kind::Site, "Ready");
        let (_, text) = metrics.page("/metrics");
        assert!(
            text.contains("vic_operator_reconciles_total{kind=\"Site\",outcome=\"Ready\"} 1"),
            "{text}"
        );
    }
}
