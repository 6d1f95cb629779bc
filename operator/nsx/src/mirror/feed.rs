//! What one search tells from one look to the next: which objects it covers, and how far back a look must reach.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Looks after the loss of an object for which the index may go back and forth.
const LENIENT: u8 = 3;

/// How the number of hits compares with what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// Nothing came or went unseen.
    Even,
    /// Something that is known is gone.
    Fewer,
    /// Something is there that was not shown.
    More,
    /// The newest change is older than one seen before: a backup was restored.
    Rewound,
}

/// The state of one search that is repeated, sorted by last change.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Every hit, whether it is of interest or not.
    known: HashSet<Arc<str>>,
    /// (beginning, newest change seen) of the latest looks, oldest first.
    looks: Vec<(Duration, i64)>,
    complete: bool,
    /// Looks for which the newest change may be older than before, because what changed last is gone.
    lenient: u8,
}

impl Feed {
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(crate) fn knows(&self, path: &str) -> bool {
        self.known.contains(path)
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// The newest change seen so far, server time.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.looks.last().map(|(_, newest)| *newest)
    }

    /// Forgets the looks, so that everything counts as new.
    pub(crate) fn restart(&mut self) {
        self.looks.clear();
    }

    pub(crate) fn learn(&mut self, path: &Arc<str>) {
        if !self.known.contains(path) {
            self.known.insert(Arc::clone(path));
        }
    }

    pub(crate) fn forget(&mut self, path: &str) {
        if self.known.remove(path) {
            self.lenient = LENIENT;
        }
    }

    /// A complete read: these and no others. Returns what was known and is not among them.
    pub(crate) fn replace(&mut self, paths: HashSet<Arc<str>>) -> Vec<Arc<str>> {
        let missing = self
            .known
            .iter()
            .filter(|path| !paths.contains(*path))
            .cloned()
            .collect();
        self.known = paths;
        self.complete = true;
        self.lenient = LENIENT;
        missing
    }

    /// Whether a look whose newest change is `newest` contradicts earlier ones: nobody's clock runs back, but a backup that
    /// is restored brings the past with it. Forgets the looks then, so that everything counts as new.
    pub(crate) fn rewinds(&mut self, newest: Option<i64>, hits: usize) -> bool {
        let known = self.newest();
        let lenient = self.lenient > 0;
        self.lenient = self.lenient.saturating_sub(1);
        let Some((now, _)) = newest.zip(known).filter(|(now, known)| now < known) else {
            return false;
        };
        if lenient || hits < self.known.len() {
            for (_, newest) in &mut self.looks {
                *newest = now.min(*newest);
            }
            return false;
        }
        self.restart();
        true
    }

    /// Remembers a look that began at `read_at` and saw everything newer than the horizon.
    pub(crate) fn looked(&mut self, read_at: Duration, newest: Option<i64>, lag: Duration) {
        let newest = newest.unwrap_or(i64::MIN).max(self.newest().unwrap_or(i64::MIN));
        // Keep what is within the lag of the last look, and one before.
        let settled = self
            .looks
            .iter()
            .rposition(|(at, _)| *at + lag <= read_at)
            .unwrap_or(0);
        self.looks.drain(..settled);
        self.looks.push((read_at, newest));
    }

    /// Changes up to this server time have been seen; `None` before the first look.
    ///
    /// What the index had not shown yet at the last look changed at most `lag` before it, so no earlier than `lag`
    /// before the newest change seen then. And what changed before the newest change of a look `lag` earlier was
    /// indexed by the last look: when nothing happens the horizon closes up to the newest change.
    pub(crate) fn horizon(&self, lag: Duration) -> Option<i64> {
        let (last_at, last) = self.looks.last()?;
        let lag_ms = i64::try_from(lag.as_millis()).unwrap_or(i64::MAX);
        let overlap = last.saturating_sub(lag_ms).saturating_sub(1);
        let settled = self
            .looks
            .iter()
            .rev()
            .find(|(at, _)| *at + lag <= *last_at)
            .map(|(_, newest)| *newest);
        Some(overlap.max(settled.unwrap_or(i64::MIN)))
    }

    /// Compares the hits of a search with what is known; `unsure` hits may or may not be counted in.
    pub(crate) fn compare(&self, hits: usize, unsure: usize) -> Count {
        if hits < self.known.len() {
            Count::Fewer
        } else if hits > self.known.len() + unsure {
            Count::More
        } else {
            Count::Even
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_horizon_overlaps_by_the_lag_and_closes_up_at_rest() {
        let mut feed = Feed::default();
        assert_eq!(feed.horizon(LAG), None);
        feed.looked(at(0), Some(50_000), LAG);
        assert_eq!(
            feed.horizon(LAG),
            Some(39_999),
            "the first look may have missed 10 s"
        );
        feed.looked(at(5), Some(50_000), LAG);
        assert_eq!(feed.horizon(LAG), Some(39_999));
        feed.looked(at(10), Some(50_000), LAG);
        assert_eq!(
            feed.horizon(LAG),
            Some(50_000),
            "whatever changed by then is indexed"
        );
        feed.looked(at(70), Some(120_000), LAG);
        assert_eq!(feed.horizon(LAG), Some(109_999));
        feed.looked(at(72), Some(121_000), LAG);
        assert_eq!(feed.horizon(LAG), Some(110_999));
        for second in 73..100 {
            feed.looked(at(second), None, LAG);
        }
        assert_eq!(feed.horizon(LAG), Some(121_000));
        assert!(feed.looks.len() < 15);
    }

    #[test]
    fn a_newest_change_that_is_older_than_before_tells_of_a_restored_backup() {
        let mut feed = Feed::default();
        feed.replace(["a".into(), "b".into()].into());
        let look = |feed: &mut Feed, second, newest, hits| {
            let rewinds = feed.rewinds(Some(newest), hits);
            feed.looked(at(second), Some(newest), LAG);
            rewinds
        };
        for second in 0..5 {
            assert!(!look(&mut feed, second, 50_000, 2));
        }
        assert!(look(&mut feed, 60, 40_000, 2));
        assert!(!look(&mut feed, 120, 40_000, 2), "the past is the present now");
        assert!(!look(&mut feed, 180, 60_000, 2));
        feed.forget("a");
        assert!(
            !look(&mut feed, 240, 60_000, 2),
            "the index still shows what is gone"
        );
        assert!(!look(&mut feed, 300, 40_000, 1), "what changed last is gone");
        assert!(!look(&mut feed, 360, 40_000, 1));
        assert!(!look(&mut feed, 420, 30_000, 0), "fewer is another matter");
    }

    #[test]
    fn counts_are_compared_with_what_is_known() {
        let mut feed = Feed::default();
        feed.learn(&"a".into());
        feed.learn(&"a".into());
        feed.learn(&"b".into());
        assert_eq!(feed.compare(2, 0), Count::Even);
        assert_eq!(feed.compare(3, 1), Count::Even);
        assert_eq!(feed.compare(4, 1), Count::More);
        assert_eq!(feed.compare(1, 1), Count::Fewer);
        assert_eq!(feed.replace(["b".into(), "c".into()].into()), ["a".into()]);
        assert!(feed.knows("c") && !feed.knows("a") && feed.is_complete());
    }
}
