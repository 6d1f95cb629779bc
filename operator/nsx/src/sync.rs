//! Keeps the mirror true: a complete read at the start, then one look per period and search, and nothing per object.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::backoff;
use crate::core::Core;
use crate::mirror::{Count, Scope};
use crate::row::Row;
use crate::{Error, query};

/// Fields of a read that is about presence only.
const IDS: &str = "path,resource_type,id,_revision,_last_modified_time,marked_for_delete";

/// The task behind an engine.
pub(crate) struct Sync {
    pub(crate) core: Arc<Core>,
    /// When the next look is due.
    look: Instant,
    /// When the index shows whatever was written before this began.
    sure: Instant,
    looks: u32,
    failures: u32,
    /// When the last complete read of owned objects began.
    pub(crate) completed: Duration,
    /// When what is pending was last read, and since when something has been pending.
    pub(crate) polled: Option<Duration>,
    pub(crate) wave: Option<Duration>,
}

impl Sync {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            sure: Instant::now() + core.tuning.lag,
            core,
            look: Instant::now(),
            looks: 0,
            failures: 0,
            completed: Duration::ZERO,
            polled: None,
            wave: None,
        }
    }

    /// Runs until `stop` closes.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<()>) {
        loop {
            let wake = tokio::select! {
                wake = self.step() => wake,
                _ = stop.changed() => return,
            };
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                () = self.core.kick.notified() => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Does what is due. Returns when to come back.
    async fn step(&mut self) -> Instant {
        match self.due().await {
            Ok(()) => self.failures = 0,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                tracing::debug!(%error, "NSX could not be read");
                let pause = backoff(self.failures.saturating_add(2));
                self.look = self.look.max(Instant::now() + pause);
                if !*self.core.loaded.borrow() {
                    return self.look;
                }
            }
        }
        let poll = match self.settle().await {
            Ok(poll) => poll,
            Err(error) => {
                tracing::debug!(%error, "what is pending in NSX could not be read");
                Some(Instant::now() + backoff(4))
            }
        };
        let wake = poll.map_or(self.look, |poll| poll.min(self.look));
        if *self.core.sure.borrow() || self.failures > 0 {
            wake
        } else {
            wake.min(self.sure)
        }
    }

    /// The regular looks.
    async fn due(&mut self) -> Result<(), Error> {
        let foreign = self.core.mirror().watches_any();
        let patient = self.failures == 0 || Instant::now() >= self.look;
        if foreign && patient && !self.core.mirror().is_complete(Scope::Foreign) {
            self.full(Scope::Foreign).await?;
        }
        if *self.core.loaded.borrow() && !*self.core.sure.borrow() && Instant::now() >= self.sure {
            // A process that was killed may have written what the first read did not show yet.
            self.delta(Scope::Owned).await?;
            self.core.sure.send_replace(true);
        }
        if Instant::now() < self.look {
            return Ok(());
        }
        if !*self.core.loaded.borrow() {
            self.full(Scope::Owned).await?;
            self.core.loaded.send_replace(true);
            tracing::info!(objects = self.core.mirror().len(), "NSX is read");
        } else if (self.looks + 1).is_multiple_of(self.core.tuning.full_every.max(1)) {
            self.full(Scope::Owned).await?;
            if foreign {
                self.full(Scope::Foreign).await?;
            }
        } else {
            self.delta(Scope::Owned).await?;
            if foreign {
                self.delta(Scope::Foreign).await?;
            }
            self.failed().await?;
        }
        self.looks += 1;
        self.look = Instant::now() + self.core.resync;
        Ok(())
    }

    fn query(&self, scope: Scope) -> String {
        match scope {
            Scope::Owned => query::owned(&self.core.owner),
            Scope::Foreign => query::foreign_rules(&self.core.owner),
        }
    }

    /// Everything a search covers.
    async fn full(&mut self, scope: Scope) -> Result<(), Error> {
        let read_at = self.core.now();
        let found = self.core.search.all(&self.query(scope), None).await?;
        let newest = found.rows.iter().map(|row| row.modified).max();
        let first = !self.core.mirror().is_complete(scope);
        let changed = self.core.change(|mirror| {
            let changed = mirror.observe(scope, &found.rows, read_at);
            if found.whole || first {
                mirror.complete(scope, found.rows.iter().map(|row| row.path.clone()).collect());
            }
            mirror.looked(scope, read_at, newest, found.hits);
            changed
        });
        self.completed = self.completed.max(if scope == Scope::Owned {
            read_at
        } else {
            self.completed
        });
        self.core.publish(changed);
        Ok(())
    }

    /// What changed since the last look: one call if that is nothing.
    async fn delta(&mut self, scope: Scope) -> Result<(), Error> {
        let read_at = self.core.now();
        let horizon = self.core.mirror().horizon(scope).unwrap_or(i64::MIN);
        let newer = |rows: &[Row]| rows.last().is_some_and(|row| row.modified > horizon);
        let found = self.core.search.newest(&self.query(scope), 0, newer).await?;
        let newest = found.rows.iter().map(|row| row.modified).max();
        let (changed, count) = self.core.change(|mirror| {
            let changed = mirror.observe(scope, &found.rows, read_at);
            (changed, mirror.looked(scope, read_at, newest, found.hits))
        });
        self.core.publish(changed);
        match count {
            Count::Even => Ok(()),
            Count::Fewer => self.ids(scope).await,
            Count::More => self.full(scope).await,
        }
    }

    /// Which objects there are: something is gone.
    async fn ids(&mut self, scope: Scope) -> Result<(), Error> {
        let read_at = self.core.now();
        let found = self.core.search.all(&self.query(scope), Some(IDS)).await?;
        if found.whole {
            let paths: HashSet<String> = found.rows.into_iter().map(|row| row.path).collect();
            self.core.change(|mirror| mirror.complete(scope, paths));
            if scope == Scope::Owned {
                self.completed = read_at;
            }
        }
        Ok(())
    }
}
