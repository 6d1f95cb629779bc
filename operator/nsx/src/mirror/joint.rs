//! Both repeated searches with one call, for as long as the number of their hits is what is known.

use std::time::Duration;

use super::{Mirror, Scope};
use crate::row::Row;

/// The newest changes that a joint look has shown, server time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Newest {
    owned: Option<i64>,
    foreign: Option<i64>,
}

impl Newest {
    fn of_all(self) -> Option<i64> {
        self.owned.max(self.foreign)
    }
}

impl Mirror {
    /// How far back a joint look must reach; `None` before both searches have been read.
    pub(crate) fn joint_horizon(&self) -> Option<i64> {
        (self.owned.is_complete() && self.foreign.is_complete())
            .then(|| self.joint.horizon(self.lag))
            .flatten()
    }

    /// Rows of a joint look. Returns the paths whose objects changed.
    pub(crate) fn observe_jointly(
        &mut self,
        rows: &[Row],
        read_at: Duration,
        newest: &mut Newest,
    ) -> Vec<String> {
        let mut changed = Vec::new();
        for row in rows {
            let owned = self.owned.knows(&row.path) || row.body.carries(&self.owner);
            let (scope, newest) = if owned {
                (Scope::Owned, &mut newest.owned)
            } else {
                (Scope::Foreign, &mut newest.foreign)
            };
            *newest = (*newest).max(Some(row.modified));
            changed.extend(self.observe(scope, std::slice::from_ref(row), read_at));
        }
        changed
    }

    /// A joint look that began at `read_at` had so many hits; false if each search must be looked at for itself, because
    /// something came or went unseen, or the past came back.
    pub(crate) fn looked_jointly(&mut self, read_at: Duration, newest: Newest, hits: usize) -> bool {
        let unsure = self
            .unsettled
            .iter()
            .filter(|path| !self.owned.knows(path) && !self.foreign.knows(path))
            .count();
        let known = self.owned.len() + self.foreign.len();
        let rewinds = newest
            .of_all()
            .zip(self.joint.newest())
            .is_some_and(|(now, before)| now < before);
        if rewinds || hits < known || hits > known + unsure {
            tracing::debug!(
                rewinds,
                hits,
                known,
                unsure,
                "a look at both searches does not tell enough"
            );
            return false;
        }
        let lag = self.lag;
        self.owned.looked(read_at, newest.owned, lag);
        self.foreign.looked(read_at, newest.foreign, lag);
        self.joint.looked(read_at, newest.of_all(), lag);
        true
    }

    /// Both searches have been looked at, each for itself, since `read_at`.
    pub(crate) fn looked_apart(&mut self, read_at: Duration) {
        let newest = self.owned.newest().max(self.foreign.newest());
        if self.joint.newest() > newest {
            self.joint.restart();
        }
        let lag = self.lag;
        self.joint.looked(read_at, newest, lag);
    }
}

#[cfg(test)]
#[path = "joint_tests.rs"]
mod tests;
