//! Units become hierarchical `PATCHes`.
//!
//! An idle batcher sends at once. While a batch is in flight the next one fills; it goes when it is full, when the one
//! in flight is back, or after a linger. A refused batch is split until what NSX refuses stands alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::flight::Flight;
use crate::queue::{Queue, Queued};
use crate::{Batched, Change, Error, Priority, Tuning};

/// What the batcher needs of the world.
pub(crate) trait Wire: Send + Sync + 'static {
    /// Sends one hierarchical PATCH, once.
    fn patch(&self, priority: Priority, body: &Value) -> impl Future<Output = Result<(), Error>> + Send;
    /// Whether an object exists, by a direct read.
    fn exists(&self, path: &str) -> impl Future<Output = Result<bool, Error>> + Send;
    /// These changes are about to be sent.
    fn begin(&self, changes: &[Change]);
    /// NSX accepted them.
    fn landed(&self, changes: &[Change]);
    /// They did not land, or nobody knows.
    fn failed(&self, changes: &[Change], error: &Error);
    /// A batch goes out.
    fn batched(&self, _batch: Batched) {}
}

/// A unit's way back to its caller.
#[derive(Debug)]
pub(crate) struct Reply {
    sender: oneshot::Sender<Result<(), Error>>,
    /// When it came into the queue.
    since: Instant,
}

impl Reply {
    /// Tells the caller; one that no longer waits has its change all the same.
    pub(crate) fn answer(self, outcome: Result<(), Error>) {
        drop(self.sender.send(outcome));
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Batcher<W> {
    wire: Arc<W>,
    state: Mutex<State>,
    woken: Notify,
    idle: watch::Sender<bool>,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) children: usize,
    pub(crate) writers: usize,
    pub(crate) linger: Duration,
    pub(crate) patience: Duration,
}

impl From<&Tuning> for Limits {
    fn from(tuning: &Tuning) -> Self {
        Self {
            children: tuning.max_children.max(1),
            writers: tuning.writers.max(1),
            linger: tuning.linger,
            patience: tuning.patience,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<Reply>,
    /// Since when the next batch fills.
    filling: Option<Instant>,
    closing: bool,
}

/// What to do next.
enum Next {
    Send(Vec<Queued<Reply>>),
    WaitUntil(Instant),
    Wait,
    Stop,
}

impl<W: Wire> Batcher<W> {
    pub(crate) fn new(wire: Arc<W>, limits: Limits) -> Arc<Self> {
        let (state, idle) = (Mutex::new(State::default()), watch::Sender::new(true));
        Arc::new(Self {
            wire,
            state,
            woken: Notify::new(),
            idle,
            limits,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Units that wait, and how long the first of them has.
    pub(crate) fn queued(&self) -> (usize, Duration) {
        let state = self.lock();
        let first = state.queue.first();
        (
            state.queue.len(),
            first.map_or(Duration::ZERO, |unit| unit.tag.since.elapsed()),
        )
    }

    /// Queues a unit and waits for its outcome. If the caller stops waiting before the unit is sent, it never is.
    pub(crate) async fn submit(&self, priority: Priority, changes: Vec<Change>) -> Result<(), Error> {
        let (sender, outcome) = oneshot::channel();
        let since = Instant::now();
        {
            let mut state = self.lock();
            if state.closing {
                return Err(Error::ShuttingDown);
            }
            state.filling.get_or_insert(since);
            state.queue.push(Queued {
                priority,
                changes,
                tag: Reply { sender, since },
            });
            self.idle.send_replace(false);
        }
        self.woken.notify_one();
        outcome.await.unwrap_or(Err(Error::ShuttingDown))
    }

    /// Takes no more units, and waits until all that were taken are through.
    pub(crate) async fn drain(&self) {
        self.lock().closing = true;
        self.woken.notify_one();
        // The sender lives as long as `self`.
        drop(self.idle.subscribe().wait_for(|idle| *idle).await);
    }

    /// Sends until drained, or until `stop` closes.
    pub(crate) async fn run(self: Arc<Self>, mut stop: watch::Receiver<()>) {
        let mut flights = JoinSet::new();
        loop {
            let deadline = match self.next(flights.len()) {
                Next::Send(batch) => {
                    flights.spawn(Arc::clone(&self).fly(batch));
                    continue;
                }
                Next::WaitUntil(deadline) => Some(deadline),
                Next::Wait => None,
                Next::Stop => return,
            };
            tokio::select! {
                () = self.woken.notified() => {}
                Some(_) = flights.join_next() => {}
                () = sleep_until(deadline) => {}
                _ = stop.changed() => break,
            }
        }
        let mut state = self.lock();
        state.closing = true;
        for unit in state.queue.drain() {
            unit.tag.answer(Err(Error::ShuttingDown));
        }
        self.idle.send_replace(true);
    }

    fn next(&self, in_flight: usize) -> Next {
        let mut state = self.lock();
        if state.queue.is_empty() {
            if in_flight > 0 {
                return Next::Wait;
            }
            self.idle.send_replace(true);
            return if state.closing { Next::Stop } else { Next::Wait };
        }
        if in_flight >= self.limits.writers {
            return Next::Wait;
        }
        let due = state
            .filling
            .map_or_else(Instant::now, |since| since + self.limits.linger);
        if in_flight > 0 && state.queue.children() < self.limits.children && due > Instant::now() {
            return Next::WaitUntil(due);
        }
        let mut batch = state.queue.take(self.limits.children);
        state.filling = (!state.queue.is_empty()).then(Instant::now);
        if batch.is_empty() {
            // All that waits depends on what is in flight.
            return Next::Wait;
        }
        // Nobody waits for these any more, and nothing of them was sent.
        let given_up: Vec<_> = batch.extract_if(.., |unit| unit.tag.sender.is_closed()).collect();
        for unit in &given_up {
            state.queue.done(&unit.changes);
        }
        Next::Send(batch)
    }

    async fn fly(self: Arc<Self>, batch: Vec<Queued<Reply>>) {
        if batch.is_empty() {
            return;
        }
        let children: usize = batch.iter().map(|unit| unit.changes.len()).sum();
        tracing::debug!(units = batch.len(), children, "batch");
        let waited = batch.iter().map(|unit| unit.tag.since.elapsed()).max();
        self.wire.batched(Batched {
            units: batch.len(),
            objects: children,
            waited: waited.unwrap_or_default(),
        });
        let changes: Vec<Vec<Change>> = batch.iter().map(|unit| unit.changes.clone()).collect();
        Flight::new(&*self.wire, self.limits.patience).land(batch).await;
        let mut state = self.lock();
        for changes in &changes {
            state.queue.done(changes);
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "batcher_tests.rs"]
mod tests;
