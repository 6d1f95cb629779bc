//! Keeps the mirror true: a complete read at the start, then one look per period and search, and nothing per object.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::backoff;
use crate::core::Core;
use crate::mirror::{Count, Newest, Scope};
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
    /// When what is pending was last gone through.
    pub(crate) gone_through: Option<Instant>,
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
            gone_through: None,
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
            self.changes(foreign).await?;
            self.core.sure.send_replace(true);
        }
        if Instant::now() < self.look {
            return Ok(());
        }
        if !*self.core.loaded.borrow() {
            self.load().await?;
            self.core.loaded.send_replace(true);
            tracing::info!(objects = self.core.mirror().len(), "NSX is read");
        } else if self.core.full_wanted.swap(false, Ordering::Relaxed)
            || (self.looks + 1).is_multiple_of(self.core.tuning.full_every.max(1))
        {
            let read_at = self.core.now();
            self.full(Scope::Owned).await?;
            if foreign {
                self.full(Scope::Foreign).await?;
                self.core.change(|mirror| mirror.looked_apart(read_at));
            }
        } else {
            self.changes(foreign).await?;
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

    /// Everything there is to know before anything may be planned: one read for the rules of all gateways in use, where
    /// a list of each would cost one or more.
    async fn load(&mut self) -> Result<(), Error> {
        let read_at = self.core.now();
        self.full(Scope::Owned).await?;
        let gateways = self.core.mirror().gateways_in_use();
        if gateways.is_empty() {
            return Ok(());
        }
        self.core.change(|mirror| {
            for gateway in &gateways {
                mirror.watch_gateway(gateway);
            }
        });
        self.full(Scope::Foreign).await?;
        self.core.change(|mirror| mirror.looked_apart(read_at));
        Ok(())
    }

    /// Shows the mirror the rows of each page as it comes; a page's read begins when the one before has ended.
    pub(crate) fn show(&self, scope: Scope) -> impl FnMut(Vec<Row>) + Send + use<> {
        let core = Arc::clone(&self.core);
        let mut read_at = core.now();
        move |rows| {
            let changed = core.change(|mirror| mirror.observe(scope, &rows, read_at));
            core.publish(changed);
            read_at = core.now();
        }
    }

    /// Everything a search covers.
    async fn full(&mut self, scope: Scope) -> Result<(), Error> {
        let read_at = self.core.now();
        let first = !self.core.mirror().is_complete(scope);
        let found = self
            .core
            .search
            .all(&self.query(scope), None, self.show(scope))
            .await?;
        self.core.change(|mirror| {
            if found.whole || first {
                mirror.complete(scope, found.paths);
            }
            mirror.looked(scope, read_at, found.newest, found.hits);
        });
        if scope == Scope::Owned {
            self.completed = self.completed.max(read_at);
            self.count(found.whole);
        }
        Ok(())
    }

    /// What changed since the last look at both searches: one call if that is nothing.
    async fn changes(&mut self, foreign: bool) -> Result<(), Error> {
        if !foreign {
            return self.delta(Scope::Owned).await;
        }
        let read_at = self.core.now();
        if self.joint(read_at).await? {
            return Ok(());
        }
        self.delta(Scope::Owned).await?;
        self.delta(Scope::Foreign).await?;
        self.core.change(|mirror| mirror.looked_apart(read_at));
        Ok(())
    }

    /// Looks at both searches at once; false if that does not tell enough.
    async fn joint(&mut self, mut read_at: Duration) -> Result<bool, Error> {
        let Some(horizon) = self.core.mirror().joint_horizon() else {
            return Ok(false);
        };
        let (began, mut newest) = (read_at, Newest::default());
        let take = |rows: Vec<Row>| {
            let newer = rows.last().is_some_and(|row| row.modified > horizon);
            let changed = self
                .core
                .change(|mirror| mirror.observe_jointly(&rows, read_at, &mut newest));
            self.core.publish(changed);
            read_at = self.core.now();
            newer
        };
        let query = query::joint(&self.core.owner);
        let found = self.core.search.newest(&query, 0, take).await?;
        Ok(self
            .core
            .change(|mirror| mirror.looked_jointly(began, newest, found.hits)))
    }

    /// What changed since the last look at one search: one call if that is nothing.
    async fn delta(&mut self, scope: Scope) -> Result<(), Error> {
        let read_at = self.core.now();
        let horizon = self.core.mirror().horizon(scope).unwrap_or(i64::MIN);
        let mut show = self.show(scope);
        let newer = |rows: Vec<Row>| {
            let newer = rows.last().is_some_and(|row| row.modified > horizon);
            show(rows);
            newer
        };
        let found = self.core.search.newest(&self.query(scope), 0, newer).await?;
        let count = self
            .core
            .change(|mirror| mirror.looked(scope, read_at, found.newest, found.hits));
        match count {
            Count::Even => Ok(()),
            Count::Fewer => self.ids(scope).await,
            Count::More | Count::Rewound => self.full(scope).await,
        }
    }

    fn count(&self, whole: bool) {
        let more = u64::from(whole);
        self.core.complete_reads.fetch_add(more, Ordering::Relaxed);
    }

    /// Which objects there are: something is gone.
    async fn ids(&mut self, scope: Scope) -> Result<(), Error> {
        let read_at = self.core.now();
        let found = self.core.search.all(&self.query(scope), Some(IDS), drop).await?;
        if found.whole {
            self.core.change(|mirror| mirror.complete(scope, found.paths));
            if scope == Scope::Owned {
                self.completed = read_at;
                self.count(true);
            }
        }
        Ok(())
    }
}
