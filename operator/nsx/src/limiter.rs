//! The gate every call passes: one per manager cluster.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Tuning;
use crate::model::Priority;
use crate::pace::{Hold, Pace};

/// Lets calls through at the [`Pace`], users before background reads, in order within each.
#[derive(Debug)]
pub(crate) struct Limiter {
    state: Mutex<State>,
    turned: Notify,
    pushed_back: AtomicU64,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    in_flight: usize,
    waiting: BTreeSet<(Priority, u64)>,
    next: u64,
}

impl Limiter {
    pub(crate) fn new(tuning: &Tuning) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                pace: Pace::new(tuning.rate, tuning.concurrency, Instant::now()),
                in_flight: 0,
                waiting: BTreeSet::new(),
                next: 0,
            }),
            turned: Notify::new(),
            pushed_back: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn. Dropping the future gives the place in the queue back.
    pub(crate) async fn acquire(self: &Arc<Self>, priority: Priority) -> Permit {
        let place = Place::take(self, priority);
        loop {
            let mut turned = std::pin::pin!(self.turned.notified());
            turned.as_mut().enable();
            match self.attempt(place.key) {
                Ok(()) => {
                    return Permit {
                        limiter: Arc::clone(self),
                    };
                }
                Err(Hold::Full) => turned.await,
                Err(Hold::For(wait)) => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = turned => {}
                    }
                }
            }
        }
    }

    fn attempt(&self, key: (Priority, u64)) -> Result<(), Hold> {
        let mut state = self.lock();
        if state.waiting.first() != Some(&key) {
            return Err(Hold::Full);
        }
        let in_flight = state.in_flight;
        state.pace.admit(Instant::now(), in_flight)?;
        state.in_flight += 1;
        Ok(())
    }

    /// Counts a call that goes out within another call's turn.
    pub(crate) fn charge(&self) {
        self.lock().pace.charge(Instant::now());
    }

    /// (rate in requests a second, calls in flight, refusals for lack of capacity so far)
    pub(crate) fn figures(&self) -> (f64, usize, u64) {
        let state = self.lock();
        (
            state.pace.rate(),
            state.in_flight,
            self.pushed_back.load(Ordering::Relaxed),
        )
    }
}

/// A place in the queue.
struct Place<'a> {
    limiter: &'a Limiter,
    key: (Priority, u64),
}

impl<'a> Place<'a> {
    fn take(limiter: &'a Limiter, priority: Priority) -> Self {
        let mut state = limiter.lock();
        let key = (priority, state.next);
        state.next += 1;
        state.waiting.insert(key);
        drop(state);
        Self { limiter, key }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.limiter.lock().waiting.remove(&self.key);
        self.limiter.turned.notify_waiters();
    }
}

/// The right to have one call in flight. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
}

impl Permit {
    /// The call was answered without complaint about load.
    pub(crate) fn went_well(&self) {
        self.limiter.lock().pace.went_well(Instant::now());
    }

    /// The call was refused with 429, or with 503 (`busy`).
    pub(crate) fn pushed_back(&self, busy: bool) {
        self.limiter.pushed_back.fetch_add(1, Ordering::Relaxed);
        self.limiter
            .lock()
            .pace
            .pushed_back(Instant::now(), busy, rand::random());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.lock().in_flight -= 1;
        self.limiter.turned.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limiter(rate: f64, width: usize) -> Arc<Limiter> {
        Limiter::new(&Tuning {
            rate: (rate, rate),
            concurrency: (width, width),
            ..Tuning::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn users_go_ahead_of_background_reads() {
        let limiter = limiter(1000.0, 1);
        let first = limiter.acquire(Priority::User).await;
        let (log, mut done) = tokio::sync::mpsc::unbounded_channel();
        for (priority, name) in [
            (Priority::Background, "b1"),
            (Priority::Background, "b2"),
            (Priority::User, "u1"),
            (Priority::User, "u2"),
        ] {
            let (limiter, log) = (Arc::clone(&limiter), log.clone());
            tokio::spawn(async move {
                let _permit = limiter.acquire(priority).await;
                log.send(name).unwrap();
            });
            tokio::task::yield_now().await;
        }
        drop((log, first));
        let mut order = Vec::new();
        while let Some(name) = done.recv().await {
            order.push(name);
        }
        assert_eq!(order, ["u1", "u2", "b1", "b2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_at_once_than_the_width() {
        let limiter = limiter(1000.0, 3);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(limiter.acquire(Priority::Background).await);
        }
        let fourth = tokio::time::timeout(Duration::from_mins(1), limiter.acquire(Priority::User)).await;
        assert!(fourth.is_err());
        assert_eq!(limiter.figures().1, 3);
        held.pop();
        let _fourth = limiter.acquire(Priority::User).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_does_not_block_the_rest() {
        let limiter = limiter(1000.0, 1);
        let held = limiter.acquire(Priority::User).await;
        let quitter = tokio::time::timeout(Duration::from_millis(5), limiter.acquire(Priority::User)).await;
        assert!(quitter.is_err());
        drop(held);
        let _next = limiter.acquire(Priority::Background).await;
        assert!(limiter.lock().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_pauses_everyone_and_is_counted() {
        let limiter = limiter(10.0, 4);
        let permit = limiter.acquire(Priority::User).await;
        permit.pushed_back(false);
        drop(permit);
        let before = Instant::now();
        drop(limiter.acquire(Priority::User).await);
        assert!(before.elapsed() >= Duration::from_millis(50));
        let (rate, in_flight, refused) = limiter.figures();
        assert_eq!(
            (rate.round().to_string().as_str(), in_flight, refused),
            ("5", 0, 1)
        );
    }
}
