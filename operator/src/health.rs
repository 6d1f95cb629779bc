//! Whether this process lives and works: what `/healthz` and `/readyz` answer.
//!
//! *Live* means that the runtime runs tasks and that every watch has its task, and is not interrupted for so long that a
//! new process could do better. *Ready* means that the caches hold what exists, and are kept current.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the runtime shows that it runs.
const BEAT: Duration = Duration::from_secs(1);
/// Without a beat for so long, the runtime is stuck.
const STUCK: Duration = Duration::from_secs(15);
/// An error so long ago is over: a watch that cannot be resumed is tried again, and fails again, well within.
const FRESH: Duration = Duration::from_secs(90);
/// Interrupted for so long, a watch shows what is not so any more.
const STALE: Duration = Duration::from_secs(30);
/// Interrupted for so long, a watch will not come back in this process.
const HOPELESS: Duration = Duration::from_mins(10);

/// See the module.
#[derive(Debug)]
pub struct Health {
    last_beat: Mutex<Instant>,
    stopping: AtomicBool,
    watches: Mutex<Vec<Arc<Watched>>>,
}

#[derive(Debug)]
struct Watched {
    resource: &'static str,
    filled: AtomicBool,
    ended: AtomicBool,
    errors: AtomicU64,
    interruption: Mutex<Option<Interruption>>,
}

/// Errors that followed each other.
#[derive(Clone, Copy, Debug)]
struct Interruption {
    since: Instant,
    last: Instant,
}

/// What follows one watch. When it is dropped the watch has ended.
#[derive(Debug)]
pub struct Watching(Arc<Watched>);

impl Default for Health {
    fn default() -> Self {
        Self {
            last_beat: Mutex::new(Instant::now()),
            stopping: AtomicBool::new(false),
            watches: Mutex::default(),
        }
    }
}

impl Health {
    /// Beats as long as the runtime that runs this does.
    pub async fn beat(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(BEAT);
        loop {
            ticks.tick().await;
            *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// A watch begins.
    #[must_use]
    pub fn watch(&self, resource: &'static str) -> Watching {
        let watched = Arc::new(Watched {
            resource,
            filled: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            errors: AtomicU64::new(0),
            interruption: Mutex::default(),
        });
        self.watches().push(Arc::clone(&watched));
        Watching(watched)
    }

    /// The process was asked to end: watches end, and that is well.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// How often each watch was interrupted.
    #[must_use]
    pub fn watch_errors(&self) -> Vec<(&'static str, u64)> {
        let watches = self.watches();
        watches
            .iter()
            .map(|watch| (watch.resource, watch.errors.load(Ordering::Relaxed)))
            .collect()
    }

    /// Whether the process lives.
    ///
    /// # Errors
    /// Why it does not, one line a reason.
    pub fn live(&self, now: Instant) -> Result<(), String> {
        let beat = *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner);
        let silence = now.saturating_duration_since(beat);
        let stuck = (silence > STUCK).then(|| format!("no task has run for {} s", silence.as_secs()));
        if self.stopping.load(Ordering::Relaxed) {
            return verdict(stuck.into_iter());
        }
        let watches = self.watches();
        let lost = watches.iter().filter_map(|watch| {
            let resource = watch.resource;
            if watch.ended.load(Ordering::Relaxed) {
                return Some(format!("the watch of {resource} has ended"));
            }
            let interrupted = watch.interrupted(now).filter(|length| *length > HOPELESS)?;
            Some(format!(
                "the watch of {resource} has been interrupted for {} s",
                interrupted.as_secs()
            ))
        });
        verdict(stuck.into_iter().chain(lost))
    }

    /// Whether the process works.
    ///
    /// # Errors
    /// Why it does not, one line a reason.
    pub fn ready(&self, now: Instant) -> Result<(), String> {
        self.live(now)?;
        if self.stopping.load(Ordering::Relaxed) {
            return Err("the process is ending".to_owned());
        }
        let watches = self.watches();
        if watches.is_empty() {
            return Err("no watch has begun yet".to_owned());
        }
        let reasons = watches.iter().filter_map(|watch| {
            let resource = watch.resource;
            if !watch.filled.load(Ordering::Relaxed) {
                return Some(format!("the cache of {resource} is not filled yet"));
            }
            let interrupted = watch.interrupted(now).filter(|length| *length > STALE)?;
            Some(format!(
                "the watch of {resource} has been interrupted for {} s",
                interrupted.as_secs()
            ))
        });
        verdict(reasons)
    }

    fn watches(&self) -> MutexGuard<'_, Vec<Arc<Watched>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn verdict(reasons: impl Iterator<Item = String>) -> Result<(), String> {
    let reasons: Vec<String> = reasons.collect();
    if reasons.is_empty() {
        return Ok(());
    }
    Err(reasons.join("\n"))
}

impl Watched {
    fn interruption(&self) -> MutexGuard<'_, Option<Interruption>> {
        self.interruption.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the watch has been interrupted, if it is. A watch that is resumed in silence is known by the absence of
    /// errors.
    fn interrupted(&self, now: Instant) -> Option<Duration> {
        let interruption = (*self.interruption())?;
        let fresh = now.saturating_duration_since(interruption.last) < FRESH;
        fresh.then(|| now.saturating_duration_since(interruption.since))
    }
}

impl Watching {
    /// The cache holds what exists.
    pub fn filled(&self) {
        self.0.filled.store(true, Ordering::Relaxed);
    }

    /// Something came.
    pub fn came(&self) {
        *self.0.interruption() = None;
    }

    /// An error came.
    pub fn failed(&self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(&self, now: Instant) {
        self.0.errors.fetch_add(1, Ordering::Relaxed);
        let since = self
            .0
            .interrupted(now)
            .and_then(|length| now.checked_sub(length))
            .unwrap_or(now);
        *self.0.interruption() = Some(Interruption { since, last: now });
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn ready_when_every_cache_is_filled() {
        let health = Health::default();
        let now = Instant::now();
        assert_eq!(health.ready(now).unwrap_err(), "no watch has begun yet");
        let (sites, rules) = (health.watch("sites"), health.watch("edgenatrules"));
        sites.filled();
        assert_eq!(
            health.ready(now).unwrap_err(),
            "the cache of edgenatrules is not filled yet"
        );
        assert_eq!(health.live(now), Ok(()), "who waits for a cache lives");
        rules.filled();
        assert_eq!(health.ready(now), Ok(()));
        health.stopping();
        drop(rules);
        assert_eq!(health.live(now), Ok(()), "who drains is not to be killed");
        assert_eq!(health.ready(now).unwrap_err(), "the process is ending");
    }

    #[test]
    fn a_runtime_that_runs_no_task_is_not_live() {
        let health = Health::default();
        let later = Instant::now() + STUCK + seconds(2);
        let why = health.live(later).unwrap_err();
        assert!(why.starts_with("no task has run for"), "{why}");
    }

    #[tokio::test]
    async fn a_runtime_that_runs_tasks_beats() {
        let health = Arc::new(Health::default());
        let long_ago = Instant::now().checked_sub(STUCK + seconds(1)).unwrap();
        *health.last_beat.lock().unwrap() = long_ago;
        assert!(health.live(Instant::now()).is_err());
        let beating = tokio::spawn(Arc::clone(&health).beat());
        while health.live(Instant::now()).is_err() {
            tokio::task::yield_now().await;
        }
        beating.abort();
    }

    #[test]
    fn an_interruption_counts_from_its_first_error_and_ends_in_silence_or_with_news() {
        let health = Health::default();
        let begun = Instant::now();
        let watch = health.watch("sites");
        watch.filled();
        let at = |n: u64| {
            *health.last_beat.lock().unwrap() = begun + seconds(n);
            begun + seconds(n)
        };
        watch.failed_at(at(0));
        assert_eq!(health.ready(at(20)), Ok(()), "a hiccup");
        watch.failed_at(at(35));
        assert_eq!(
            health.ready(at(40)).unwrap_err(),
            "the watch of sites has been interrupted for 40 s"
        );
        assert_eq!(health.live(at(40)), Ok(()));
        assert_eq!(health.ready(at(130)), Ok(()), "resumed in silence");
        // Errors without end.
        for n in (200..900).step_by(50) {
            watch.failed_at(at(n));
        }
        assert_eq!(
            health.live(at(900)).unwrap_err(),
            "the watch of sites has been interrupted for 700 s"
        );
        watch.came();
        assert_eq!(health.ready(at(900)), Ok(()));
        assert_eq!(health.watch_errors(), [("sites", 16)]);
    }
}
