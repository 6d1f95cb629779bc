//! Writes to the kube-apiserver that nobody waits for: reconciles go on while statuses are on their way.
//!
//! The number of such writes is what bounds any operator, so a reconcile that waited for its own would keep NSX from
//! being told of the next object. Of several writes for one object that wait, the last is made; never two at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::kind::ObjectKey;

/// How long a shutdown waits for what has not been written.
const DRAIN: Duration = Duration::from_secs(10);

type Written = Pin<Box<dyn Future<Output = ()> + Send>>;
/// A write that has not begun; it becomes a future only then, so that thousands may wait cheaply.
type Letter = Box<dyn FnOnce() -> Written + Send>;

/// See the module.
pub struct Outbox {
    state: Mutex<State>,
    /// Bounds the writes that are under way, those that others make included.
    pub permits: Semaphore,
    changed: Notify,
}

#[derive(Default)]
struct State {
    order: VecDeque<ObjectKey>,
    letters: HashMap<ObjectKey, Letter>,
    under_way: HashSet<ObjectKey>,
}

impl State {
    fn take(&mut self) -> Option<(ObjectKey, Letter)> {
        for _ in 0..self.order.len() {
            let key = self.order.pop_front()?;
            if self.under_way.contains(&key) {
                self.order.push_back(key);
            } else if let Some(letter) = self.letters.remove(&key) {
                self.under_way.insert(key.clone());
                return Some((key, letter));
            }
        }
        None
    }
}

impl Outbox {
    /// An outbox that makes so many writes at once.
    #[must_use]
    pub fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            permits: Semaphore::new(at_once),
            changed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a write over; it replaces one for the same object that has not begun.
    pub fn post<F>(&self, key: &ObjectKey, write: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let letter: Letter = Box::new(move || Box::pin(write()));
        let mut state = self.state();
        if state.letters.insert(key.clone(), letter).is_none() {
            state.order.push_back(key.clone());
        }
        self.changed.notify_one();
    }

    /// Makes the writes, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let next = self.state().take();
            let Some((key, letter)) = next else {
                self.changed.notified().await;
                continue;
            };
            // The semaphore is never closed.
            let permit = self
                .permits
                .acquire()
                .await
                .map(tokio::sync::SemaphorePermit::forget);
            let outbox = Arc::clone(&self);
            tokio::spawn(async move {
                letter().await;
                if permit.is_ok() {
                    outbox.permits.add_permits(1);
                }
                outbox.state().under_way.remove(&key);
                outbox.changed.notify_one();
            });
        }
    }

    /// Waits until everything is written, but not for long.
    pub async fn drain(&self) {
        let empty = || {
            let state = self.state();
            state.letters.is_empty() && state.under_way.is_empty()
        };
        let waiting = async {
            while !empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(DRAIN, waiting).await.is_err() {
            tracing::warn!("statuses were still to be written at shutdown");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use tokio::sync::mpsc;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(Kind::EdgeNatRule, "containers", name)
    }

    #[tokio::test]
    async fn the_last_of_several_writes_that_wait_is_made() {
        let outbox = Outbox::new(2);
        let (told, mut heard) = mpsc::unbounded_channel();
        for (name, text) in [("a", "first"), ("b", "only"), ("a", "last")] {
            let told = told.clone();
            outbox.post(&key(name), move || async move { told.send(text).unwrap() });
        }
        tokio::spawn(outbox.clone().run());
        outbox.drain().await;
        let mut made = vec![heard.recv().await.unwrap(), heard.recv().await.unwrap()];
        made.sort_unstable();
        assert_eq!(made, ["last", "only"]);
        assert!(heard.try_recv().is_err());
    }

    #[tokio::test]
    async fn two_writes_of_one_object_are_never_under_way_at_once() {
        let outbox = Outbox::new(4);
        tokio::spawn(outbox.clone().run());
        let (told, mut heard) = mpsc::unbounded_channel();
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let tell = told.clone();
        outbox.post(&key("a"), move || async move {
            tell.send("a begins").unwrap();
            wait.await.unwrap();
            tell.send("a ends").unwrap();
        });
        assert_eq!(heard.recv().await, Some("a begins"));
        for (name, text) in [("a", "a again"), ("b", "b")] {
            let told = told.clone();
            outbox.post(&key(name), move || async move { told.send(text).unwrap() });
        }
        assert_eq!(heard.recv().await, Some("b"), "others go on");
        go.send(()).unwrap();
        assert_eq!(heard.recv().await, Some("a ends"));
        assert_eq!(heard.recv().await, Some("a again"));
    }

    #[tokio::test]
    async fn no_more_are_under_way_than_allowed() {
        let outbox = Outbox::new(3);
        tokio::spawn(outbox.clone().run());
        let (told, mut heard) = mpsc::unbounded_channel();
        let go = Arc::new(Semaphore::new(0));
        for n in 0..10 {
            let (told, go) = (told.clone(), go.clone());
            outbox.post(&key(&format!("r{n}")), move || async move {
                told.send(n).unwrap();
                go.acquire().await.unwrap().forget();
            });
        }
        for _ in 0..3 {
            heard.recv().await.unwrap();
        }
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(heard.try_recv().is_err());
        go.add_permits(10);
        outbox.drain().await;
    }
}
