//! Who wants to know about what: the one way in which one object's change reconciles another.
//!
//! A reconcile registers its interests *before* it reads, so that no change falls between.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::kind::{Kind, ObjectKey};

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

/// Interests, and the queues of the controllers.
pub struct Wake {
    interests: Mutex<Interests>,
    queues: HashMap<Kind, UnboundedSender<ObjectKey>>,
}

#[derive(Default)]
struct Interests {
    by_topic: HashMap<Topic, HashSet<ObjectKey>>,
    by_object: HashMap<ObjectKey, HashSet<Topic>>,
}

impl Wake {
    /// A registry and, for each kind, the queue its controller reads.
    #[must_use]
    pub fn new() -> (Self, HashMap<Kind, UnboundedReceiver<ObjectKey>>) {
        let mut queues = HashMap::new();
        let mut receivers = HashMap::new();
        for kind in Kind::ALL {
            let (sender, receiver) = unbounded();
            queues.insert(kind, sender);
            receivers.insert(kind, receiver);
        }
        (
            Self {
                interests: Mutex::default(),
                queues,
            },
            receivers,
        )
    }

    /// From now on a change of `topic` reconciles `object`.
    pub fn watch(&self, object: &ObjectKey, topic: Topic) {
        let mut interests = self.interests.lock().unwrap_or_else(PoisonError::into_inner);
        if interests
            .by_object
            .entry(object.clone())
            .or_default()
            .insert(topic.clone())
        {
            interests
                .by_topic
                .entry(topic)
                .or_default()
                .insert(object.clone());
        }
    }

    /// `object` is gone: nothing reconciles it any more.
    pub fn forget(&self, object: &ObjectKey) {
        let mut interests = self.interests.lock().unwrap_or_else(PoisonError::into_inner);
        for topic in interests.by_object.remove(object).unwrap_or_default() {
            if let Some(watchers) = interests.by_topic.get_mut(&topic) {
                watchers.remove(object);
                if watchers.is_empty() {
                    interests.by_topic.remove(&topic);
                }
            }
        }
    }

    /// `topic` changed.
    pub fn changed(&self, topic: &Topic) {
        let watchers: Vec<ObjectKey> = {
            let interests = self.interests.lock().unwrap_or_else(PoisonError::into_inner);
            interests
                .by_topic
                .get(topic)
                .map(|set| set.iter().cloned().collect())
                .unwrap_or_default()
        };
        for object in watchers {
            self.reconcile(object);
        }
    }

    /// Asks for a reconcile of `object`.
    pub fn reconcile(&self, object: ObjectKey) {
        if let Some(queue) = self.queues.get(&object.kind) {
            // A closed queue means that its controller has ended: the process is shutting down.
            let _ = queue.unbounded_send(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(Kind::EdgeNatRule, "containers", name)
    }

    fn queued(receiver: &mut UnboundedReceiver<ObjectKey>) -> Vec<String> {
        let mut names: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|object| object.name)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_change_reconciles_who_watches_it_and_nobody_else() {
        let (wake, mut queues) = Wake::new();
        let queue = queues.get_mut(&Kind::EdgeNatRule).unwrap();
        let topic = |path: &str| Topic::Nsx {
            site: "poc".into(),
            path: path.into(),
        };
        wake.watch(&key("a"), topic("/infra/x"));
        wake.watch(&key("b"), topic("/infra/x"));
        wake.watch(&key("c"), topic("/infra/y"));
        wake.changed(&topic("/infra/x"));
        assert_eq!(queued(queue), ["a", "b"]);
        wake.forget(&key("a"));
        wake.changed(&topic("/infra/x"));
        assert_eq!(queued(queue), ["b"]);
        wake.changed(&topic("/infra/z"));
        assert!(queued(queue).is_empty());
    }
}
