//! The engine: one per manager cluster, cheap to clone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{broadcast, watch};

use crate::batcher::Batcher;
use crate::client::Client;
use crate::core::Core;
use crate::error::Refusal;
use crate::gateways::{Gateway, Gateways};
use crate::resolve::References;
use crate::sync::Sync;
use crate::{
    Change, Config, Error, Health, Observed, Priority, Realization, Referable, Stats, Tag, Tuning,
    attributes, path, tree,
};

/// Intents that one hierarchical call takes on a local manager. [NSX documentation]
const MOST_CHILDREN: usize = 5000;
/// How long a shutdown waits for what is in flight.
const DRAIN: Duration = Duration::from_secs(30);

/// One NSX manager cluster, connected. Clones share everything; when the last one goes, its tasks end.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    core: Arc<Core>,
    batcher: Arc<Batcher<Core>>,
    references: References,
    gateways: tokio::sync::Mutex<()>,
    known_gateways: Gateways,
    version: String,
    cluster_id: String,
    /// Dropped to end the tasks.
    stop: std::sync::Mutex<Option<watch::Sender<()>>>,
}

impl Engine {
    /// Logs in, reads who the manager is, and begins to load what this instance owns.
    ///
    /// # Errors
    /// Whatever keeps the first calls from succeeding: [`Error::Unreachable`], [`Error::Untrusted`],
    /// [`Error::Unauthorized`] above all. After the latter, try again only with other credentials: NSX locks accounts.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        Self::connect_tuned(config, Tuning::default()).await
    }

    /// As [`Engine::connect`], with knobs.
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub async fn connect_tuned(config: Config, tuning: Tuning) -> Result<Self, Error> {
        let client = Arc::new(Client::new(&config, &tuning)?);
        let version = client.read(Priority::User, "/api/v1/node/version", &[]).await?;
        let cluster_id = cluster_id(&client).await?;
        let limits = (&tuning).into();
        let core = Arc::new(Core::new(client, &config, tuning));
        let batcher = Batcher::new(Arc::clone(&core), limits);
        let (stop, stopped) = watch::channel(());
        tokio::spawn(Arc::clone(&batcher).run(stopped.clone()));
        tokio::spawn(Sync::new(Arc::clone(&core)).run(stopped));
        let inner = Inner {
            core,
            batcher,
            references: References::default(),
            gateways: tokio::sync::Mutex::new(()),
            known_gateways: Gateways::default(),
            version: text(&version, "product_version")
                .or_else(|| text(&version, "node_version"))
                .unwrap_or_default(),
            cluster_id,
            stop: std::sync::Mutex::new(Some(stop)),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// `product_version` of the node that answered first.
    #[must_use]
    pub fn version(&self) -> String {
        self.inner.version.clone()
    }

    /// What tells this manager cluster from others: the same through whichever node or address.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        self.inner.cluster_id.clone()
    }

    /// Whether the manager can be worked with; changes as calls fail and succeed.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.core.client.health()
    }

    /// Whether everything owned has been read once. Before that nothing may be planned.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        *self.inner.core.loaded.borrow()
    }

    /// Whether what was written shortly before this engine began, by a process that was killed perhaps, would be known by
    /// now: the index of the first read lags. Before that an absence proves nothing.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        *self.inner.core.sure.borrow()
    }

    /// Waits until [`Engine::is_sure`].
    pub async fn sure(&self) {
        // The sender lives as long as the engine.
        drop(self.inner.core.sure.subscribe().wait_for(|sure| *sure).await);
    }

    /// Waits until [`Engine::is_loaded`].
    pub async fn loaded(&self) {
        // The sender lives as long as the engine.
        drop(
            self.inner
                .core
                .loaded
                .subscribe()
                .wait_for(|loaded| *loaded)
                .await,
        );
    }

    /// The object at this path as far as is known: owned objects, and NAT rules of watched gateways. Own writes are seen
    /// at once, own deletes make `None`. No call.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Observed> {
        self.inner.core.mirror().get(path)
    }

    /// Shows everything this instance owns, one object after the other: all at once would be large. No call. The engine
    /// must not be asked meanwhile.
    pub fn each_owned(&self, look: impl FnMut(Observed)) {
        self.inner.core.mirror().each_owned(look);
    }

    /// How often everything this instance owns has been read completely. What is to be concluded from the absence of a
    /// claim on an object is concluded from more than one such read.
    #[must_use]
    pub fn complete_reads(&self) -> u64 {
        self.inner.core.complete_reads.load(Ordering::Relaxed)
    }

    /// Makes the next regular look a complete read.
    pub fn read_all(&self) {
        self.inner.core.full_wanted.store(true, Ordering::Relaxed);
    }

    /// What this instance owns and bears the tag, too. No call, and no walk over everything if the tag's scope is
    /// [`Config::index_scope`].
    #[must_use]
    pub fn owned_with(&self, tag: &Tag) -> Vec<Observed> {
        self.inner.core.mirror().owned_with(tag)
    }

    /// The NAT rules of a watched gateway in the section for users, whoever owns them. No call.
    #[must_use]
    pub fn nat_rules(&self, gateway_path: &str) -> Vec<Observed> {
        self.inner.core.mirror().nat_rules(gateway_path)
    }

    /// Includes the foreign NAT rules of a gateway. The first call for a gateway lists its rules, later ones cost
    /// nothing; changes come with the regular reads.
    ///
    /// # Errors
    /// [`Error::InvalidPath`] if there is no such gateway, and what keeps the list from being read.
    pub async fn watch_gateway(&self, gateway_path: &str) -> Result<(), Error> {
        let core = &self.inner.core;
        if core.mirror().watches(gateway_path) {
            return Ok(());
        }
        let _one_at_a_time = self.inner.gateways.lock().await;
        if core.mirror().watches(gateway_path) {
            return Ok(());
        }
        let read_at = core.now();
        let Some(rows) = core.list(Priority::User, &path::user_nat(gateway_path)).await? else {
            let message = format!("{gateway_path} has no NAT rules");
            return Err(Error::InvalidPath(Refusal {
                status: 404,
                message,
                ..Refusal::default()
            }));
        };
        let changed = core.change(|mirror| {
            mirror.watch_gateway(gateway_path);
            mirror.listed(gateway_path, &rows, read_at)
        });
        core.publish(changed);
        core.kick.notify_one();
        Ok(())
    }

    /// The object a reference means: by id (or policy path), else by a display name that only one bears. What was found,
    /// or not found, is kept for a resync period.
    ///
    /// # Errors
    /// [`Error::Unresolved`], [`Error::Ambiguous`], and what keeps NSX from answering.
    pub async fn resolve(&self, what: Referable, id_or_name: &str) -> Result<Observed, Error> {
        let core = &self.inner.core;
        self.inner
            .references
            .resolve(core, &self.inner.known_gateways, (what, id_or_name), core.resync)
            .await
    }

    /// Reads one object directly, past mirror and search index: one call. `None` is proof that it is not there.
    ///
    /// # Errors
    /// What keeps NSX from answering.
    pub async fn fetch(&self, path: &str) -> Result<Option<Observed>, Error> {
        let core = &self.inner.core;
        let row = core.fetch(Priority::User, path).await?;
        Ok(row.map(|row| {
            let known = core.mirror().get(path);
            Observed {
                path: row.path.to_string(),
                resource_type: row.resource_type.to_string(),
                body: Arc::new(row.value()),
                realization: known.map_or(Realization::Unknown, |known| known.realization),
                pending: false,
            }
        }))
    }

    /// What NSX gave the object at a path when it realized it, by the attribute's key: one call. `None` while it gave
    /// nothing.
    ///
    /// # Errors
    /// What keeps NSX from answering.
    pub async fn realized_attribute(&self, path: &str, key: &str) -> Result<Option<String>, Error> {
        attributes::read(&self.inner.core, path, key).await
    }

    /// The gateway at a policy path, with its locale services; `None` if there is none. One search answers for all
    /// gateways of the manager, and what it found is kept for a resync period.
    ///
    /// # Errors
    /// What keeps NSX from answering.
    pub async fn gateway(&self, gateway_path: &str) -> Result<Option<Gateway>, Error> {
        let core = &self.inner.core;
        self.inner
            .known_gateways
            .get(core, gateway_path, core.resync)
            .await
    }

    /// The edge cluster that a gateway's services run on, as its locale services name it: one call. `None` for a
    /// gateway that is distributed only.
    ///
    /// # Errors
    /// What keeps NSX from answering.
    pub async fn edge_cluster_of(&self, gateway_path: &str) -> Result<Option<String>, Error> {
        let services = format!("{gateway_path}/locale-services");
        let rows = self
            .inner
            .core
            .list(Priority::User, &services)
            .await?
            .unwrap_or_default();
        Ok(rows
            .iter()
            .find_map(|row| text(&row.value(), "edge_cluster_path")))
    }

    /// Makes NSX accept a unit of changes: all of them, or none. It shares a hierarchical PATCH with others. Order is kept
    /// between units that touch the same objects. Realization comes later, see [`Engine::changes`].
    ///
    /// # Errors
    /// What NSX refused in this very unit, or why it could not be asked. After [`Error::AmbiguousWrite`] the unit may
    /// have landed; repeating it is safe. [`Error::DeletePending`] comes without a call while
    /// [`Engine::is_deleting`] an object that is to be made anew.
    pub async fn submit(&self, priority: Priority, changes: Vec<Change>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        if changes.len() > MOST_CHILDREN {
            return Err(Error::TooLarge {
                count: changes.len(),
                limit: MOST_CHILDREN,
            });
        }
        tree::check(&changes)?;
        let removing = changes
            .iter()
            .find(|change| !change.is_delete() && self.is_deleting(change.path()));
        if let Some(change) = removing {
            let message = format!("{} is not gone yet", change.path());
            return Err(Error::DeletePending(Refusal {
                status: 400,
                code: 500_045,
                message,
                ..Refusal::default()
            }));
        }
        self.inner.batcher.submit(priority, changes).await
    }

    /// Paths whose state changed other than by [`Engine::submit`] returning: edits and deletions by others, progress of
    /// realization, objects that are physically gone. A listener that lags behind must look at everything.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Arc<[String]>> {
        self.inner.core.changes.subscribe()
    }

    /// Whether NSX is still taking the object at this path away; until then none can be made there.
    #[must_use]
    pub fn is_deleting(&self, path: &str) -> bool {
        self.inner.core.mirror().is_removing(path)
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (calls, (rate, in_flight, pushed_back)) = self.inner.core.client.figures();
        let (queued, oldest) = self.inner.batcher.queued();
        let mirrored = self.inner.core.mirror().len();
        Stats {
            calls,
            pushed_back,
            in_flight,
            rate,
            queued,
            oldest,
            mirrored,
        }
    }

    /// Lets what was submitted finish, within half a minute, then ends the tasks and the session.
    pub async fn shutdown(&self) {
        if tokio::time::timeout(DRAIN, self.inner.batcher.drain())
            .await
            .is_err()
        {
            tracing::warn!("changes were still in flight to NSX at shutdown");
        }
        let stop = self
            .inner
            .stop
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        drop(stop);
        self.inner.core.client.close().await;
    }
}

/// The cluster's id; a manager that does not tell it is known by its node's.
async fn cluster_id(client: &Client) -> Result<String, Error> {
    let known = match client.read(Priority::User, "/api/v1/cluster/status", &[]).await {
        Ok(status) => text(&status, "cluster_id"),
        Err(Error::NotFound(_) | Error::Forbidden(_)) => None,
        Err(error) => return Err(error),
    };
    if let Some(id) = known {
        return Ok(id);
    }
    let node = client.read(Priority::User, "/api/v1/node", &[]).await?;
    text(&node, "node_uuid")
        .or_else(|| text(&node, "external_id"))
        .ok_or(Error::Setup {
            cause: "the manager tells neither a cluster id nor a node id".to_owned(),
        })
}

fn text(value: &Value, key: &str) -> Option<String> {
    value
        .get(key)?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
