//! One batch on its way: retried, split, pruned, until every unit has its outcome.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;

use crate::batcher::{Reply, Wire};
use crate::client::backoff;
use crate::queue::Queued;
use crate::split::split;
use crate::{Change, Class, Error, Priority, tree};

/// Direct reads at once when deletes are verified.
const PROBES: usize = 8;

/// A unit in a flight.
struct Passenger {
    unit: Queued<Reply>,
    /// What is still to be sent: the unit's changes without deletes of what is gone already.
    left: Vec<Change>,
}

/// See the module.
pub(crate) struct Flight<'a, W> {
    wire: &'a W,
    patience: Duration,
    /// An answer was lost: what was sent may have landed.
    ambiguous: bool,
    landed: usize,
}

impl<'a, W: Wire> Flight<'a, W> {
    pub(crate) fn new(wire: &'a W, patience: Duration) -> Self {
        Self {
            wire,
            patience,
            ambiguous: false,
            landed: 0,
        }
    }

    /// Brings the batch to its end; every unit gets its reply.
    pub(crate) async fn land(mut self, batch: Vec<Queued<Reply>>) {
        for unit in &batch {
            self.wire.begin(&unit.changes);
        }
        let board = |unit: Queued<Reply>| Passenger {
            left: unit.changes.clone(),
            unit,
        };
        let mut work = vec![batch.into_iter().map(board).collect::<Vec<_>>()];
        let mut blocked = Vec::new();
        while let Some(group) = work.pop() {
            let Some((group, error)) = self.attempt(group).await else {
                continue;
            };
            if error.retry_whole() || error.shuts_out() {
                // The manager is in trouble, not a unit: the rest would meet the same.
                for group in std::iter::once(group).chain(work.drain(..)) {
                    self.refuse(group, &error);
                }
            } else if group.len() > 1 {
                let (one, other) = split(group, error.refusal(), |passenger| &passenger.left);
                work.extend([other, one]);
            } else if error.class() == Class::Blocked {
                blocked.push((group, error, self.landed));
            } else {
                self.refuse(group, &error);
            }
        }
        // What a unit lacked may have come with a neighbour that landed after it was refused.
        for (group, error, landed) in blocked {
            if landed == self.landed {
                self.refuse(group, &error);
            } else if let Some((group, error)) = self.attempt(group).await {
                self.refuse(group, &error);
            }
        }
    }

    /// Sends a group. What did not land comes back with the reason.
    async fn attempt(&mut self, mut group: Vec<Passenger>) -> Option<(Vec<Passenger>, Error)> {
        loop {
            let error = match self.send(&group).await {
                Ok(()) => {
                    self.accept(group);
                    return None;
                }
                Err(error) => error,
            };
            let gone = matches!(
                error,
                Error::NotFound(_) | Error::InvalidPath(_) | Error::Stale(_)
            );
            if !gone || !(self.ambiguous || group.len() == 1) {
                return Some((group, error));
            }
            match self.prune(&mut group).await {
                Ok(true) => {}
                Ok(false) => return Some((group, error)),
                Err(trouble) => return Some((group, trouble)),
            }
        }
    }

    /// One PATCH, repeated while only the manager's state is to blame.
    async fn send(&mut self, group: &[Passenger]) -> Result<(), Error> {
        let body = tree::body(group.iter().flat_map(|passenger| &passenger.left))?;
        if body
            .get("children")
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty)
        {
            return Ok(());
        }
        let priority = group
            .iter()
            .map(|passenger| passenger.unit.priority)
            .min()
            .unwrap_or(Priority::Background);
        let (started, mut attempt) = (Instant::now(), 0);
        loop {
            let error = match self.wire.patch(priority, &body).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.ambiguous |= matches!(error, Error::AmbiguousWrite { .. });
            // Who cannot be reached is given up sooner than who asks for patience.
            let patience = match error {
                Error::RateLimited(_) | Error::Busy(_) | Error::AmbiguousWrite { .. } => self.patience,
                _ => self.patience / 6,
            };
            if !error.retry_whole() || started.elapsed() >= patience {
                return Err(error);
            }
            attempt += 1;
            tracing::debug!(%error, attempt, "batch is repeated");
            tokio::time::sleep(backoff(attempt)).await;
        }
    }

    /// Leaves out deletes of what direct reads prove to be gone. True if there were any.
    async fn prune(&self, group: &mut [Passenger]) -> Result<bool, Error> {
        let deletes: Vec<String> = group
            .iter()
            .flat_map(|passenger| &passenger.left)
            .filter(|change| change.is_delete())
            .map(|change| change.path().to_owned())
            .collect();
        let probes = futures::stream::iter(deletes).map(|path| async move {
            let exists = self.wire.exists(&path).await?;
            Ok::<_, Error>((!exists).then_some(path))
        });
        let mut gone = Vec::new();
        let mut probes = std::pin::pin!(probes.buffer_unordered(PROBES));
        while let Some(outcome) = probes.next().await {
            gone.extend(outcome?);
        }
        for passenger in group {
            passenger
                .left
                .retain(|change| !(change.is_delete() && gone.iter().any(|path| path == change.path())));
        }
        Ok(!gone.is_empty())
    }

    fn accept(&mut self, group: Vec<Passenger>) {
        for passenger in group {
            self.landed += 1;
            self.wire.landed(&passenger.unit.changes);
            passenger.unit.tag.answer(Ok(()));
        }
    }

    fn refuse(&self, group: Vec<Passenger>, error: &Error) {
        for passenger in group {
            self.wire.failed(&passenger.unit.changes, error);
            passenger.unit.tag.answer(Err(error.clone()));
        }
    }
}
