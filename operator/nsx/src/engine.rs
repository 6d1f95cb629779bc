//! The engine: one per manager cluster, cheap to clone.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::{Change, Config, Error, Health, Observed, Priority, Referable, Tag, Tuning};

/// One NSX manager cluster, connected. Clones share everything.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    health: watch::Sender<Health>,
    changes: broadcast::Sender<Arc<[String]>>,
}

impl Engine {
    /// Logs in and starts the mirror.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        Self::connect_tuned(config, Tuning::default()).await
    }

    /// As [`Engine::connect`], with knobs.
    pub async fn connect_tuned(config: Config, tuning: Tuning) -> Result<Self, Error> {
        drop((config, tuning));
        std::future::ready(()).await;
        Err(Error::ShuttingDown)
    }

    #[must_use]
    pub fn version(&self) -> String {
        String::new()
    }

    #[must_use]
    pub fn cluster_id(&self) -> String {
        String::new()
    }

    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.health.subscribe()
    }

    #[must_use]
    pub fn is_loaded(&self) -> bool {
        false
    }

    pub async fn loaded(&self) {
        std::future::pending().await
    }

    #[must_use]
    pub fn get(&self, path: &str) -> Option<Observed> {
        let _ = path;
        None
    }

    #[must_use]
    pub fn owned(&self) -> Vec<Observed> {
        Vec::new()
    }

    #[must_use]
    pub fn owned_with(&self, tag: &Tag) -> Vec<Observed> {
        let _ = tag;
        Vec::new()
    }

    #[must_use]
    pub fn nat_rules(&self, gateway_path: &str) -> Vec<Observed> {
        let _ = gateway_path;
        Vec::new()
    }

    pub async fn watch_gateway(&self, gateway_path: &str) -> Result<(), Error> {
        let _ = gateway_path;
        std::future::ready(Err(Error::ShuttingDown)).await
    }

    pub async fn resolve(&self, what: Referable, id_or_name: &str) -> Result<Observed, Error> {
        std::future::ready(Err(Error::Unresolved {
            kind: what,
            name: id_or_name.to_owned(),
        }))
        .await
    }

    /// A direct read past the mirror.
    pub async fn fetch(&self, path: &str) -> Result<Option<Observed>, Error> {
        let _ = path;
        std::future::ready(Err(Error::ShuttingDown)).await
    }

    pub async fn submit(&self, priority: Priority, changes: Vec<Change>) -> Result<(), Error> {
        drop((priority, changes));
        std::future::ready(Err(Error::ShuttingDown)).await
    }

    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Arc<[String]>> {
        self.inner.changes.subscribe()
    }

    #[must_use]
    pub fn is_deleting(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    pub async fn shutdown(&self) {
        std::future::ready(()).await;
    }
}
