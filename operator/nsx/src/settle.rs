//! What is under way: own writes to confirm, realization to follow, removals to see through, absences to verify.
//!
//! While anything is, the newest owned objects are read at growing intervals, never one object at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;

use crate::mirror::{Pending, Scope};
use crate::row::{Row, State, status_of};
use crate::sync::Sync;
use crate::{Error, Priority, query};

/// Up to this many objects are read by their paths; more by reading the newest of all.
const FEW: usize = 48;
/// Direct reads in one go, and at once.
const DIRECT: usize = 64;
const AT_ONCE: usize = 8;
/// Shortest interval while many objects are pending.
const BUSY_INTERVAL: Duration = Duration::from_millis(500);
/// After this the interval grows beyond its usual limit, up to the resync period.
const PATIENT: Duration = Duration::from_mins(1);
/// Alarm of an object whose provider is not ready yet: it will be retried. [NSX error code]
const PROVIDER_NOT_READY: u64 = 500_042;
const REALIZED: &str = "/infra/realized-state";

impl Sync {
    /// Does what is due, and says when to come back for the rest.
    pub(crate) async fn settle(&mut self) -> Result<Option<Instant>, Error> {
        self.verify().await?;
        if let Some(later) = self.too_soon() {
            return Ok(Some(later));
        }
        let now = self.core.now();
        let pending = self.core.change(|mirror| mirror.pending(now));
        self.explain(&pending.causes).await?;
        let Some(youngest) = pending.youngest else {
            self.wave = None;
            self.polled = None;
            return Ok(self.next_expiry());
        };
        let wave = *self.wave.get_or_insert(now);
        let count = pending.read.len() + pending.removals.len();
        let due = due(
            self.polled.unwrap_or(wave),
            youngest,
            now,
            count,
            self.core.tuning.poll,
            self.core.resync,
        );
        if due > now {
            return Ok(Some(Instant::now() + due.saturating_sub(now)));
        }
        self.polled = Some(now);
        self.poll(&pending).await?;
        self.ask_silent().await?;
        self.verify().await?;
        let later = due_after(
            youngest,
            self.core.now(),
            count,
            self.core.tuning.poll,
            self.core.resync,
        );
        Ok(Some(Instant::now() + later))
    }

    /// To go through thousands of pending objects at each batch that lands would be most of the work.
    fn too_soon(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let later = self.gone_through.map(|last| last + self.core.tuning.poll.0);
        if let Some(later) = later.filter(|later| *later > now)
            && self.core.mirror().unsettled() > FEW
        {
            return Some(later);
        }
        self.gone_through = Some(now);
        None
    }

    /// Own words lose their force with the lag, without any read: comes back for what was put aside meanwhile.
    fn next_expiry(&self) -> Option<Instant> {
        let pause = (self.core.tuning.lag / 4).max(Duration::from_millis(100));
        (self.core.mirror().unsettled() > 0).then(|| Instant::now() + pause)
    }

    async fn poll(&mut self, pending: &Pending) -> Result<(), Error> {
        if pending.removals.len() <= FEW {
            self.poll_paths(&pending.removals).await?;
        } else {
            self.poll_removals(&pending.removals).await?;
        }
        if pending.read.len() <= FEW {
            return self.poll_paths(&pending.read).await;
        }
        self.poll_newest(&pending.read).await
    }

    /// Reads objects by path, deleted or not, a few dozen with one call.
    async fn poll_paths(&mut self, paths: &[Arc<str>]) -> Result<(), Error> {
        let mut rest = paths;
        for (query, count) in query::by_path(paths) {
            let read_at = self.core.now();
            let rows = self.core.search.few(&query).await?;
            let (asked, later) = rest.split_at(count.min(rest.len()));
            rest = later;
            let changed = self.core.change(|mirror| mirror.polled(asked, &rows, read_at));
            self.core.publish(changed);
        }
        Ok(())
    }

    /// Many are pending: they are the newest.
    async fn poll_newest(&mut self, paths: &[Arc<str>]) -> Result<(), Error> {
        let began = self.core.now();
        let mut show = self.show(Scope::Owned);
        let (mut wanted, mut seen) = (paths.iter().cloned().collect::<HashSet<_>>(), 0);
        let limit = paths.len() + 1000;
        let take = |rows: Vec<Row>| {
            for row in &rows {
                wanted.remove(&row.path);
            }
            seen += rows.len();
            show(rows);
            !wanted.is_empty() && seen < limit
        };
        self.core
            .search
            .newest(&query::owned(&self.core.owner), paths.len(), take)
            .await?;
        // What stays unseen for longer than the lag is no longer among the newest.
        let old = self.wave.is_some_and(|wave| wave + self.core.tuning.lag <= began);
        if !old {
            return Ok(());
        }
        let unseen = paths.iter().filter(|path| wanted.contains(*path)).take(FEW);
        let unseen: Vec<Arc<str>> = unseen.cloned().collect();
        self.poll_paths(&unseen).await
    }

    /// Many are being deleted: reads which of all owned objects are still there.
    async fn poll_removals(&mut self, paths: &[Arc<str>]) -> Result<(), Error> {
        let read_at = self.core.now();
        let query = query::owned_or_deleted(&self.core.owner);
        let fields = "path,resource_type,id,marked_for_delete";
        let found = self.core.search.all(&query, Some(fields), drop).await?;
        if found.whole {
            let over = self
                .core
                .change(|mirror| mirror.outlived(paths, &found.paths, read_at));
            self.core.publish(over);
        }
        Ok(())
    }

    /// Objects that could not be realized may recover without a change: looked at once per period.
    pub(crate) async fn failed(&mut self) -> Result<(), Error> {
        let mut failed = self.core.mirror().failed();
        failed.truncate(4 * FEW);
        self.poll_paths(&failed).await
    }

    /// Reads what seems to be gone directly. If all of a first lot are gone, the index is right about the rest.
    async fn verify(&mut self) -> Result<(), Error> {
        let suspects = self.core.mirror().suspects();
        if suspects.is_empty() {
            return Ok(());
        }
        let lot = suspects.into_iter().take(DIRECT);
        let mut reads = futures::stream::iter(lot)
            .map(|path| {
                let core = &self.core;
                async move { core.fetch(Priority::Background, &path).await }
            })
            .buffer_unordered(AT_ONCE);
        let mut all_gone = true;
        while let Some(row) = reads.next().await {
            all_gone &= row?.is_none();
        }
        drop(reads);
        if all_gone {
            let gone = self.core.change(|mirror| mirror.believe_absences(self.completed));
            self.core.publish(gone);
        }
        Ok(())
    }

    /// Asks NSX why objects could not be realized.
    async fn explain(&mut self, failed: &[Arc<str>]) -> Result<(), Error> {
        for path in failed.iter().take(DIRECT) {
            let query = [("intent_path", path.to_string())];
            let url = format!("{REALIZED}/realized-entities");
            let answer = self
                .core
                .client
                .read_policy(Priority::Background, &url, &query)
                .await?;
            let (state, cause) = cause_of(answer.as_ref());
            if self.core.change(|mirror| mirror.realized(path, state, cause)) {
                self.core.publish(vec![path.to_string()]);
            }
        }
        Ok(())
    }

    /// Asks for the realization of objects about which the rows say nothing.
    async fn ask_silent(&mut self) -> Result<(), Error> {
        let silent = self.core.mirror().silent();
        for path in silent.into_iter().take(FEW / 2) {
            let query = [("intent_path", path.to_string())];
            let answer = self
                .core
                .client
                .read_policy(Priority::Background, &format!("{REALIZED}/status"), &query)
                .await?;
            let state = answer.map_or(State::Unsaid, |status| status_of(&status, None));
            if state != State::Unsaid && self.core.change(|mirror| mirror.realized(&path, state, None)) {
                self.core.publish(vec![path.to_string()]);
            }
        }
        Ok(())
    }
}

/// When to read what is pending: soon after the youngest write, then at intervals that grow with its age.
fn due(
    last: Duration,
    youngest: Duration,
    now: Duration,
    count: usize,
    poll: (Duration, Duration),
    resync: Duration,
) -> Duration {
    let interval = due_after(youngest, now, count, poll, resync);
    // New writes again and again must not put it off for ever.
    (last + interval)
        .max(youngest + poll.0)
        .min(last + interval.max(poll.1))
}

fn due_after(
    youngest: Duration,
    now: Duration,
    count: usize,
    poll: (Duration, Duration),
    resync: Duration,
) -> Duration {
    let age = now.saturating_sub(youngest);
    let (least, most) = poll;
    let interval = if age < PATIENT {
        (age / 2).clamp(least, most.max(least))
    } else {
        (age / 30).max(most).min(resync.max(most))
    };
    if count > FEW {
        interval.max(BUSY_INTERVAL.min(most))
    } else {
        interval
    }
}

/// State and sentence from the realized entities of an object.
fn cause_of(answer: Option<&Value>) -> (State, Option<String>) {
    let entities = answer
        .and_then(|answer| answer.get("results"))
        .and_then(Value::as_array);
    let failed = entities
        .into_iter()
        .flatten()
        .filter(|entity| entity.get("state").and_then(Value::as_str) == Some("ERROR"));
    let alarms: Vec<&Value> = failed
        .filter_map(|entity| entity.get("alarms").and_then(Value::as_array))
        .flatten()
        .collect();
    let code = |alarm: &&&Value| {
        let code = alarm
            .get("error_details")
            .and_then(|details| details.get("error_code"));
        code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
            == Some(PROVIDER_NOT_READY)
    };
    if !alarms.is_empty() && alarms.iter().filter(code).count() == alarms.len() {
        return (State::InProgress, None);
    }
    let mut messages: Vec<&str> = alarms
        .iter()
        .filter_map(|alarm| alarm.get("message").and_then(Value::as_str))
        .collect();
    messages.dedup();
    let text = if messages.is_empty() {
        "NSX reports an error and no reason".to_owned()
    } else {
        messages.join("; ")
    };
    (State::Failed, Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POLL: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
    const RESYNC: Duration = Duration::from_mins(1);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn intervals_grow_from_200_ms_to_2_s_and_later_to_the_period() {
        let after = |age, count| due_after(ms(0), ms(age), count, POLL, RESYNC);
        let cases = [
            (0, 200),
            (400, 200),
            (1000, 500),
            (3000, 1500),
            (10_000, 2000),
            (59_000, 2000),
            (120_000, 4000),
        ];
        for (age, interval) in cases {
            assert_eq!(after(age, 1), ms(interval), "at {age} ms");
        }
        assert_eq!(after(86_400_000, 1), RESYNC);
        assert_eq!(after(0, 1000), ms(500));
    }

    #[test]
    fn a_stream_of_new_writes_does_not_put_a_poll_off() {
        // The youngest write is always just now.
        let (mut now, mut last, mut polls) = (ms(0), ms(0), 0);
        while now < ms(10_000) {
            now += ms(50);
            if due(last, now, now, 1000, POLL, RESYNC) <= now {
                (last, polls) = (now, polls + 1);
            }
        }
        assert!((4..=6).contains(&polls), "{polls}");
    }

    #[test]
    fn the_cause_is_the_alarm_of_the_entity_that_failed() {
        let alarm = |code: Value, text: &str| json!({"message": text, "error_details": {"error_code": code}});
        let entities = |alarms: Vec<Value>| json!({"results": [{"state": "REALIZED", "alarms": [alarm(json!(1), "old")]}, {"state": "ERROR", "alarms": alarms}]});
        let answer = entities(vec![
            alarm(json!(8212), "no address left"),
            alarm(json!(1), "no address left"),
        ]);
        assert_eq!(
            cause_of(Some(&answer)),
            (State::Failed, Some("no address left".to_owned()))
        );
        let waiting = entities(vec![alarm(json!("500042"), "provider not ready")]);
        assert_eq!(cause_of(Some(&waiting)), (State::InProgress, None));
        let (state, cause) = cause_of(None);
        assert_eq!(state, State::Failed);
        assert!(cause.unwrap().contains("no reason"));
    }
}
