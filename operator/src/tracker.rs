//! What the process remembers of each object between reconciles: attempts, since when it is where it
//! is, and the status it wrote last. All of it may be lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng;
use tokio::sync::watch;

use crate::kind::ObjectKey;

/// First and longest back-off of what passes by itself.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_mins(1));

/// What is remembered of every object.
#[derive(Default)]
pub struct Tracker {
    objects: Mutex<HashMap<ObjectKey, Memory>>,
    /// Told when an object has been reconciled for the first time, or is gone.
    first_looks: watch::Sender<()>,
}

#[derive(Debug)]
struct Memory {
    uid: String,
    reason: &'static str,
    troubled: bool,
    since: Instant,
    attempts: u32,
    /// Seen before its first status, and not ready since.
    expected: bool,
    /// The status handed over last, as text, until a cache shows another one after it.
    written: Option<Arc<str>>,
    /// Whether a cache has shown it.
    echoed: bool,
    /// Mark of the version that was reconciled last, its status left out.
    seen: u64,
}

/// Where an object stands after a reconcile.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Reconciles in a row that ended with the same reason, or each in some trouble.
    pub attempts: u32,
    /// How long it has been so: troubles that take turns are one trouble.
    pub age: Duration,
    /// Whether the reason differs from that of the reconcile before.
    pub changed: bool,
}

impl Memory {
    fn of<'a>(objects: &'a mut HashMap<ObjectKey, Self>, key: &ObjectKey, uid: &str) -> &'a mut Self {
        let fresh = || Self {
            uid: uid.to_owned(),
            reason: "",
            troubled: false,
            since: Instant::now(),
            attempts: 0,
            expected: false,
            written: None,
            echoed: false,
            seen: 0,
        };
        let memory = objects.entry(key.clone()).or_insert_with(fresh);
        if memory.uid != uid {
            *memory = fresh();
        }
        memory
    }
}

impl Tracker {
    fn objects(&self) -> MutexGuard<'_, HashMap<ObjectKey, Memory>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a reconcile of `key` ended; `troubled` if neither well, nor under way, nor for the user to mend.
    pub fn note(&self, key: &ObjectKey, uid: &str, reason: &'static str, troubled: bool) -> Standing {
        let mut objects = self.objects();
        let memory = Memory::of(&mut objects, key, uid);
        let first = memory.reason.is_empty();
        let changed = memory.reason != reason;
        if changed && !(memory.troubled && troubled) {
            memory.since = Instant::now();
            memory.attempts = 0;
        }
        memory.reason = reason;
        memory.troubled = troubled;
        memory.attempts = memory.attempts.saturating_add(1);
        if first {
            self.first_looks.send_replace(());
        }
        Standing {
            attempts: memory.attempts,
            age: memory.since.elapsed(),
            changed,
        }
    }

    /// A reconcile of that version of the object begins; see [`Tracker::is_news`] for the mark.
    pub fn begins(&self, key: &ObjectKey, uid: &str, mark: u64) {
        Memory::of(&mut self.objects(), key, uid).seen = mark;
    }

    /// Whether an object as a cache shows it is more than what was reconciled last and the status that followed.
    /// `mark` stands for everything but the status.
    pub fn is_news(&self, key: &ObjectKey, uid: &str, mark: u64, status: &str) -> bool {
        let mut objects = self.objects();
        let Some(memory) = objects.get_mut(key).filter(|memory| memory.uid == uid) else {
            return true;
        };
        let echo = memory.written.as_deref() == Some(status);
        if !echo && memory.echoed {
            // Someone else's hand.
            memory.written = None;
        }
        memory.echoed = echo;
        !echo || memory.seen != mark
    }

    /// Whether a reconcile of the object has ended.
    #[must_use]
    pub fn knows(&self, key: &ObjectKey) -> bool {
        self.objects().get(key).is_some_and(|memory| memory.attempts > 0)
    }

    /// Whether the last reconcile of the object found it as declared.
    #[must_use]
    pub fn is_ready(&self, key: &ObjectKey) -> bool {
        self.objects()
            .get(key)
            .is_some_and(|memory| ["Ready", "Dormant"].contains(&memory.reason))
    }

    /// The status last handed over for this very object: no cache has a newer one.
    #[must_use]
    pub fn written(&self, key: &ObjectKey, uid: &str) -> Option<Arc<str>> {
        self.objects()
            .get(key)
            .filter(|memory| memory.uid == uid)
            .and_then(|memory| memory.written.clone())
    }

    /// A status was handed over; `None` where it is not known what the server holds now.
    pub fn wrote(&self, key: &ObjectKey, status: Option<Arc<str>>) {
        if let Some(memory) = self.objects().get_mut(key) {
            memory.written = status;
            memory.echoed = false;
        }
    }

    /// Notes a status that was written, the first one or a later one; true where it tells that the object is ready for the
    /// first time. Of an object that had a status when this process first saw it nobody knows.
    pub fn is_first_ready(&self, key: &ObjectKey, first_status: bool, ready: bool) -> bool {
        let mut objects = self.objects();
        let Some(memory) = objects.get_mut(key) else {
            return false;
        };
        let expected = memory.expected || first_status;
        memory.expected = expected && !ready;
        expected && ready
    }

    /// Whether the object was not ready yet since this process saw it without a status.
    #[must_use]
    pub fn awaits_first_ready(&self, key: &ObjectKey) -> bool {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.get(key).is_some_and(|memory| memory.expected)
    }

    /// The object is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.objects().remove(key);
        self.first_looks.send_replace(());
    }

    /// Changes with each object that has been reconciled for the first time, or is gone.
    #[must_use]
    pub fn first_looks(&self) -> watch::Receiver<()> {
        self.first_looks.subscribe()
    }
}

/// How long to wait before attempt `attempts + 1`: doubling, with a quarter of jitter.
#[must_use]
pub fn backoff(attempts: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let doubled = first.saturating_mul(
        1_u32
            .checked_shl(attempts.saturating_sub(1).min(16))
            .unwrap_or(u32::MAX),
    );
    doubled.min(longest).mul_f64(rand::rng().random_range(0.75..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn attempts_count_while_the_reason_stays() {
        let tracker = Tracker::default();
        let key = ObjectKey::new(Kind::EdgeNatRule, "a", "b");
        assert!(tracker.note(&key, "1", "Conflict", true).changed);
        assert_eq!(tracker.note(&key, "1", "Conflict", true).attempts, 2);
        let next = tracker.note(&key, "1", "Ready", false);
        assert!(next.changed && next.attempts == 1);
    }

    #[test]
    fn troubles_that_take_turns_are_one() {
        let tracker = Tracker::default();
        let key = ObjectKey::new(Kind::Site, "", "b");
        let note = |reason, troubled| tracker.note(&key, "1", reason, troubled);
        note("NsxUnavailable", true);
        let next = note("NsxUnreachable", true);
        assert!(next.changed);
        assert_eq!(next.attempts, 2);
        assert_eq!(note("NsxUnavailable", true).attempts, 3);
        assert_eq!(note("Realizing", false).attempts, 1);
        assert_eq!(note("NsxUnavailable", true).attempts, 1, "it was over");
    }

    #[test]
    fn a_new_object_of_the_same_name_inherits_nothing() {
        let tracker = Tracker::default();
        let key = ObjectKey::new(Kind::EdgeNatRule, "a", "b");
        tracker.note(&key, "1", "Ready", false);
        tracker.wrote(&key, Some("{}".into()));
        assert!(tracker.written(&key, "1").is_some());
        assert!(tracker.written(&key, "2").is_none());
        assert!(tracker.note(&key, "2", "Ready", false).changed);
    }

    #[test]
    fn an_object_is_ready_for_the_first_time_once() {
        let tracker = Tracker::default();
        let key = ObjectKey::new(Kind::EdgeNatRule, "a", "b");
        tracker.note(&key, "1", "Conflict", true);
        assert!(!tracker.is_first_ready(&key, true, false));
        assert!(tracker.awaits_first_ready(&key));
        assert!(tracker.is_first_ready(&key, false, true));
        assert!(!tracker.awaits_first_ready(&key));
        assert!(!tracker.is_first_ready(&key, false, false), "it was ready before");
        assert!(!tracker.is_first_ready(&key, false, true));
        tracker.note(&key, "2", "Ready", false);
        assert!(
            !tracker.is_first_ready(&key, false, true),
            "an earlier process knew it"
        );
    }

    #[test]
    fn the_echo_of_an_own_write_is_no_news() {
        let tracker = Tracker::default();
        let key = ObjectKey::new(Kind::EdgeNatRule, "a", "b");
        assert!(tracker.is_news(&key, "1", 7, "born"), "it was never seen");
        tracker.begins(&key, "1", 7);
        assert!(!tracker.knows(&key));
        tracker.note(&key, "1", "Ready", false);
        assert!(tracker.knows(&key));
        tracker.wrote(&key, Some("ready".into()));
        assert!(tracker.is_news(&key, "1", 7, "edited"), "someone else's status");
        assert!(tracker.is_news(&key, "2", 7, "ready"), "another object");
        assert!(!tracker.is_news(&key, "1", 7, "ready"));
        assert!(tracker.is_news(&key, "1", 8, "ready"), "the spec changed too");
        assert!(!tracker.is_news(&key, "1", 7, "ready"), "a relist");
        assert!(tracker.written(&key, "1").is_some());
        assert!(tracker.is_news(&key, "1", 7, "edited"));
        assert_eq!(tracker.written(&key, "1"), None, "the cache has a newer one");
    }

    #[test]
    fn back_off_grows_and_is_bounded() {
        assert!(backoff(1) < Duration::from_millis(350));
        assert!(backoff(4) > backoff(1));
        assert!((1..200).all(|attempts| backoff(attempts) <= Duration::from_secs(75)));
    }
}
