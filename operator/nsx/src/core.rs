//! What engine, batcher and synchronisation share.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;

use crate::batcher::Wire;
use crate::client::Client;
use crate::mirror::Mirror;
use crate::row::Row;
use crate::search::Search;
use crate::{Batched, Change, Config, Error, Observer, Priority, Tag, Tuning};

/// Batches of changed paths that a slow listener may fall behind before it misses some.
const BACKLOG: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) client: Arc<Client>,
    pub(crate) search: Search,
    pub(crate) owner: Tag,
    pub(crate) resync: Duration,
    pub(crate) tuning: Tuning,
    observer: Arc<dyn Observer>,
    pub(crate) changes: broadcast::Sender<Arc<[String]>>,
    pub(crate) loaded: watch::Sender<bool>,
    /// Whether a read has shown what was written shortly before the engine began.
    pub(crate) sure: watch::Sender<bool>,
    /// Something happened that the synchronisation should look at.
    pub(crate) kick: Notify,
    /// Complete reads of everything owned so far.
    pub(crate) complete_reads: AtomicU64,
    /// Somebody wants the next look to be one.
    pub(crate) full_wanted: AtomicBool,
    mirror: RwLock<Mirror>,
    start: Instant,
}

impl Core {
    pub(crate) fn new(client: Arc<Client>, config: &Config, tuning: Tuning) -> Self {
        Self {
            search: Search::new(Arc::clone(&client)),
            client,
            owner: config.owner_tag.clone(),
            resync: config.resync,
            observer: Arc::clone(&config.observer),
            changes: broadcast::Sender::new(BACKLOG),
            loaded: watch::Sender::new(false),
            sure: watch::Sender::new(false),
            kick: Notify::new(),
            complete_reads: AtomicU64::new(0),
            full_wanted: AtomicBool::new(false),
            mirror: RwLock::new(Mirror::new(
                config.owner_tag.clone(),
                &config.index_scope,
                tuning.lag,
            )),
            start: Instant::now(),
            tuning,
        }
    }

    /// The mirror's clock.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn mirror(&self) -> RwLockReadGuard<'_, Mirror> {
        self.mirror.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Mirror) -> R) -> R {
        change(&mut self.mirror.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells listeners which paths changed; that nobody listens is fine.
    pub(crate) fn publish(&self, paths: Vec<String>) {
        if !paths.is_empty() {
            drop(self.changes.send(paths.into()));
        }
    }

    /// Reads one object directly into the mirror.
    pub(crate) async fn fetch(&self, priority: Priority, path: &str) -> Result<Option<Row>, Error> {
        let read_at = self.now();
        let row = self.client.read_policy(priority, path, &[]).await?;
        let row = row.as_ref().map(Row::new);
        if self.change(|mirror| mirror.fetched(path, row.as_ref(), read_at, self.now())) {
            self.publish(vec![path.to_owned()]);
        }
        Ok(row)
    }

    /// Reads a whole list directly: these end where no cursor is given.
    pub(crate) async fn list(&self, priority: Priority, collection: &str) -> Result<Option<Vec<Row>>, Error> {
        let (mut rows, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("page_size", "1000".to_owned())];
            query.extend(cursor.clone().map(|cursor| ("cursor", cursor)));
            let Some(mut page) = self.client.read_policy(priority, collection, &query).await? else {
                return Ok(None);
            };
            let total = page
                .get("result_count")
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok());
            let before = rows.len();
            if let Some(Value::Array(results)) = page.get_mut("results").map(Value::take) {
                rows.extend(results.iter().map(Row::new));
            }
            let next = page
                .get("cursor")
                .and_then(Value::as_str)
                .filter(|next| !next.is_empty())
                .map(str::to_owned);
            let all = rows.len() == before || total.is_some_and(|total| rows.len() >= total);
            if all || next.is_none() || next == cursor {
                return Ok(Some(rows));
            }
            cursor = next;
        }
    }
}

impl Wire for Core {
    async fn patch(&self, priority: Priority, body: &Value) -> Result<(), Error> {
        self.client.patch_infra(priority, body).await
    }

    async fn exists(&self, path: &str) -> Result<bool, Error> {
        Ok(self
            .client
            .read_policy(Priority::User, path, &[])
            .await?
            .is_some())
    }

    fn begin(&self, changes: &[Change]) {
        self.change(|mirror| mirror.begin(changes));
    }

    fn landed(&self, changes: &[Change]) {
        let now = self.now();
        self.change(|mirror| mirror.land(changes, now));
        self.kick.notify_one();
    }

    fn failed(&self, changes: &[Change], error: &Error) {
        let now = self.now();
        let noticed = self.change(|mirror| {
            if matches!(error, Error::DeletePending(_)) {
                for change in changes {
                    if !change.is_delete() && mirror.get(change.path()).is_none() {
                        mirror.note_removal(change.path(), now);
                    }
                }
            }
            mirror.fail(changes)
        });
        self.publish(noticed);
        self.kick.notify_one();
    }

    fn batched(&self, batch: Batched) {
        self.observer.batched(batch);
    }
}
