//! Who wants to know about what: the one way in which one object's change reconciles another.
//!
//! A reconcile registers its interests *before* it reads, so that no change falls between.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use tokio::sync::Notify;

use crate::kind::{Kind, ObjectKey};

/// Objects of a kind that were handed to their controller and have not begun.
const HANDED_OUT: usize = 64;

/// Something that can change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// What the operator knows of an object, or that it is gone.
    Object(ObjectKey),
    /// A namespace's labels, which say what it is granted.
    Namespace(String),
    /// A Secret or ConfigMap in the operator's namespace.
    Reference(String),
    /// An object in NSX, by policy path.
    Nsx {
        /// The Site.
        site: String,
        /// The policy path.
        path: String,
    },
    /// An object in vSphere, by managed object reference.
    VSphere {
        /// The Site.
        site: String,
        /// The reference.
        moref: String,
    },
    /// Any port group or network of a Site: what one waits for whose reference is not known yet.
    Networks {
        /// The Site.
        site: String,
    },
    /// Any resource pool, folder or VM of a Site whose name could be in the way.
    Inventory {
        /// The Site.
        site: String,
    },
    /// The NAT claims on a gateway.
    Claims {
        /// The Site.
        site: String,
        /// The gateway's policy path.
        gateway: String,
    },
    /// Something refers to this Site or network, or no longer does.
    Users(ObjectKey),
}

impl Topic {
    /// What it is remembered by: ten thousand rules watch some seventy thousand paths. Two topics of one hash would
    /// only cost a reconcile that finds nothing to do.
    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// Interests, and the lines in which objects wait for their reconcile.
pub struct Wake {
    interests: Mutex<Interests>,
    lines: HashMap<Kind, Line>,
}

#[derive(Default)]
struct Interests {
    by_topic: HashMap<u64, HashSet<Arc<ObjectKey>>>,
    by_object: HashMap<Arc<ObjectKey>, Vec<u64>>,
}

impl Default for Wake {
    fn default() -> Self {
        let line = |kind| (kind, Line::default());
        Self {
            interests: Mutex::default(),
            lines: Kind::ALL.into_iter().map(line).collect(),
        }
    }
}

impl Wake {
    fn interests(&self) -> MutexGuard<'_, Interests> {
        self.interests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a change of `topic` reconciles `object`.
    pub fn watch(&self, object: &ObjectKey, topic: impl Borrow<Topic>) {
        let mark = topic.borrow().mark();
        let mut interests = self.interests();
        let known = interests.by_object.get_key_value(object);
        if known.is_some_and(|(_, marks)| marks.contains(&mark)) {
            return;
        }
        let object = known.map_or_else(|| Arc::new(object.clone()), |(object, _)| Arc::clone(object));
        interests
            .by_object
            .entry(Arc::clone(&object))
            .or_default()
            .push(mark);
        interests.by_topic.entry(mark).or_default().insert(object);
    }

    /// `topic` no longer reconciles `object`.
    pub fn ignore(&self, object: &ObjectKey, topic: &Topic) {
        let mark = topic.mark();
        let mut interests = self.interests();
        if let Some(marks) = interests.by_object.get_mut(object) {
            marks.retain(|other| *other != mark);
        }
        interests.part(object, mark);
    }

    /// `object` is gone: nothing reconciles it any more.
    pub fn forget(&self, object: &ObjectKey) {
        let mut interests = self.interests();
        for mark in interests.by_object.remove(object).unwrap_or_default() {
            interests.part(object, mark);
        }
    }

    /// `topic` changed.
    pub fn changed(&self, topic: &Topic) {
        let watchers: Vec<Arc<ObjectKey>> = {
            let interests = self.interests();
            interests
                .by_topic
                .get(&topic.mark())
                .map(|set| set.iter().cloned().collect())
                .unwrap_or_default()
        };
        for object in watchers {
            self.reconcile(ObjectKey::clone(&object));
        }
    }

    /// Asks for a reconcile of `object`.
    pub fn reconcile(&self, object: ObjectKey) {
        if let Some(line) = self.lines.get(&object.kind) {
            line.join(object);
        }
    }

    /// The objects of a kind whose turn it is, for its controller. Only so many are handed out before earlier ones have
    /// begun: what is declared or changed by a user is never behind all that a resync asks for.
    pub fn turns(self: Arc<Self>, kind: Kind) -> impl Stream<Item = ObjectKey> {
        futures::stream::unfold(self, move |wake| async move {
            let next = wake.lines.get(&kind)?.next().await;
            Some((next, wake))
        })
    }

    /// A reconcile of `object` begins, for whatever reason, or there is nothing left to reconcile.
    pub fn begins(&self, object: &ObjectKey) {
        if let Some(line) = self.lines.get(&object.kind) {
            line.begins(object);
        }
    }
}

impl Interests {
    fn part(&mut self, object: &ObjectKey, mark: u64) {
        if let Some(watchers) = self.by_topic.get_mut(&mark) {
            watchers.remove(object);
            if watchers.is_empty() {
                self.by_topic.remove(&mark);
            }
        }
    }
}

/// Objects that wait for a reconcile, each once however often it was asked for.
#[derive(Default)]
struct Line {
    state: Mutex<Waiting>,
    moved: Notify,
}

#[derive(Default)]
struct Waiting {
    order: VecDeque<ObjectKey>,
    /// Who waits, and whether it was handed out and has not begun.
    handed_out: HashMap<ObjectKey, bool>,
    out: usize,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, object: ObjectKey) {
        let mut state = self.state();
        if !state.handed_out.contains_key(&object) {
            state.handed_out.insert(object.clone(), false);
            state.order.push_back(object);
            self.moved.notify_one();
        }
    }

    async fn next(&self) -> ObjectKey {
        loop {
            if let Some(object) = self.state().take() {
                return object;
            }
            self.moved.notified().await;
        }
    }

    fn begins(&self, object: &ObjectKey) {
        let mut state = self.state();
        if state.handed_out.remove(object) == Some(true) {
            state.out = state.out.saturating_sub(1);
            self.moved.notify_one();
        }
    }
}

impl Waiting {
    fn take(&mut self) -> Option<ObjectKey> {
        while self.out < HANDED_OUT {
            let object = self.order.pop_front()?;
            // Who has begun meanwhile has seen what it would be asked to look at.
            if let Some(handed_out @ false) = self.handed_out.get_mut(&object) {
                *handed_out = true;
                self.out += 1;
                return Some(object);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(Kind::EdgeNatRule, "containers", name)
    }

    fn topic(path: &str) -> Topic {
        Topic::Nsx {
            site: "poc".into(),
            path: path.into(),
        }
    }

    /// Whose turn it is now, in order of names; they begin at once.
    fn turns(wake: &Arc<Wake>) -> Vec<String> {
        let mut stream = std::pin::pin!(wake.clone().turns(Kind::EdgeNatRule));
        let mut names = Vec::new();
        while let Some(Some(object)) = stream.next().now_or_never() {
            wake.begins(&object);
            names.push(object.name);
        }
        names.sort();
        names
    }

    #[test]
    fn a_change_reconciles_who_watches_it_and_nobody_else() {
        let wake = Arc::new(Wake::default());
        wake.watch(&key("a"), topic("/infra/x"));
        wake.watch(&key("b"), topic("/infra/x"));
        wake.watch(&key("c"), topic("/infra/y"));
        wake.changed(&topic("/infra/x"));
        assert_eq!(turns(&wake), ["a", "b"]);
        wake.forget(&key("a"));
        wake.changed(&topic("/infra/x"));
        assert_eq!(turns(&wake), ["b"]);
        wake.ignore(&key("b"), &topic("/infra/x"));
        wake.changed(&topic("/infra/x"));
        wake.changed(&topic("/infra/z"));
        assert!(turns(&wake).is_empty());
        wake.changed(&topic("/infra/y"));
        assert_eq!(turns(&wake), ["c"]);
    }

    #[test]
    fn who_is_asked_for_often_has_one_turn_and_after_it_another() {
        let wake = Arc::new(Wake::default());
        for _ in 0..3 {
            wake.reconcile(key("a"));
        }
        let mut stream = std::pin::pin!(wake.clone().turns(Kind::EdgeNatRule));
        assert_eq!(stream.next().now_or_never().flatten(), Some(key("a")));
        wake.reconcile(key("a"));
        assert_eq!(stream.next().now_or_never(), None, "it has not begun yet");
        wake.begins(&key("a"));
        wake.reconcile(key("a"));
        assert_eq!(
            turns(&wake),
            ["a"],
            "what changes after it began needs another look"
        );
    }

    #[test]
    fn a_turn_that_came_for_another_reason_counts() {
        let wake = Arc::new(Wake::default());
        wake.reconcile(key("a"));
        wake.reconcile(key("b"));
        wake.begins(&key("a"));
        assert_eq!(turns(&wake), ["b"]);
    }

    #[test]
    fn only_so_many_are_out_at_once() {
        let wake = Arc::new(Wake::default());
        for n in 0..2 * HANDED_OUT {
            wake.reconcile(key(&format!("r{n}")));
        }
        let mut stream = std::pin::pin!(wake.clone().turns(Kind::EdgeNatRule));
        let mut out = Vec::new();
        while let Some(Some(object)) = stream.next().now_or_never() {
            out.push(object);
        }
        assert_eq!(out.len(), HANDED_OUT);
        wake.begins(&out[0]);
        assert!(stream.next().now_or_never().is_some() && stream.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_waiting_controller_hears_of_news() {
        let wake = Arc::new(Wake::default());
        let waiting = tokio::spawn({
            let wake = wake.clone();
            async move { std::pin::pin!(wake.turns(Kind::EdgeNatRule)).next().await }
        });
        tokio::task::yield_now().await;
        wake.reconcile(key("a"));
        assert_eq!(waiting.await.unwrap(), Some(key("a")));
    }
}
