//! The mirror: what exists, kept in memory and told to whoever watches.

pub(crate) mod feed;
mod state;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::error::Error;
use crate::inventory::Inventory;
use crate::moref::Moref;
use crate::session::Session;
use crate::spec::filter;
use crate::updates::{ObjectUpdate, retrieve};
use state::{Read, State};

/// Change notices that a slow reader may lag behind; beyond that it must look at everything.
const NOTICES: usize = 1024;

/// Shared between the feed that writes and everyone who reads.
pub(crate) struct Mirror {
    state: RwLock<State>,
    /// Counts what was taken over, so that waiting for an effect needs no polling.
    taken: watch::Sender<u64>,
    loaded: watch::Sender<bool>,
    notices: broadcast::Sender<Arc<[Moref]>>,
}

impl Mirror {
    pub fn new(mark_field: String) -> Self {
        Self {
            state: RwLock::new(State::new(mark_field)),
            taken: watch::Sender::new(0),
            loaded: watch::Sender::new(false),
            notices: broadcast::Sender::new(NOTICES),
        }
    }

    /// Looks at the inventory. No I/O, and no change while `f` runs.
    pub fn read<R>(&self, f: impl FnOnce(&Inventory) -> R) -> R {
        f(self
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .inventory())
    }

    pub fn changes(&self) -> broadcast::Receiver<Arc<[Moref]>> {
        self.notices.subscribe()
    }

    pub fn is_loaded(&self) -> bool {
        *self.loaded.borrow()
    }

    pub async fn loaded(&self) {
        // The sender lives as long as this mirror.
        let _ = self.loaded.subscribe().wait_for(|loaded| *loaded).await;
    }

    /// Expects the full state again: what is not sent until it is complete is gone.
    pub fn begin_sync(&self) {
        self.change(|state| {
            state.begin_sync();
            Vec::new()
        });
    }

    /// Takes over updates; `complete` when no more of the same state follows.
    pub fn take(&self, updates: Vec<ObjectUpdate>, complete: bool) {
        self.change(|state| state.take(updates, complete));
        if complete {
            self.loaded.send_replace(true);
        }
    }

    /// Reads one object beside the feed and takes it over, unless the feed was faster.
    pub async fn refresh(&self, session: &Session, moref: &Moref) -> Result<(), Error> {
        let mut ticket = 0;
        self.change(|state| {
            ticket = state.begin_read(moref);
            Vec::new()
        });
        let (read, result) = match retrieve(session, |w| filter::one(w, moref)).await {
            Ok(objects) => (
                objects.into_iter().next().map_or(Read::Missing, Read::Found),
                Ok(()),
            ),
            Err(Error::ManagedObjectNotFound { .. }) => (Read::Missing, Ok(())),
            Err(error) => (Read::Failed, Err(error)),
        };
        self.change(|state| state.end_read(ticket, read));
        result
    }

    /// The key of the custom attribute that marks what is ours, if it is defined.
    pub fn mark_key(&self) -> Option<i32> {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .mark_key()
    }

    /// Takes over that key, known from its definition.
    pub fn set_mark_key(&self, key: i32) {
        self.change(|state| state.set_mark_key(key));
    }

    /// Waits until the mirror shows something; false if it does not within `patience`.
    pub async fn shows(&self, patience: Duration, mut effect: impl FnMut(&Inventory) -> bool) -> bool {
        let mut taken = self.taken.subscribe();
        tokio::time::timeout(patience, taken.wait_for(|_| self.read(&mut effect)))
            .await
            .is_ok_and(|shown| shown.is_ok())
    }

    fn change(&self, change: impl FnOnce(&mut State) -> Vec<Moref>) {
        let changed = change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
        self.taken.send_modify(|taken| *taken += 1);
        if !changed.is_empty() {
            // Nobody listening is no error.
            let _ = self.notices.send(changed.into());
        }
    }
}
