//! What the objects of a cluster are doing, as a watch tells it.

use crate::error::{Error, Result};
use crate::kinds::{KINDS, Key, Kind, condition, is_ready, told};
use futures::StreamExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_kind};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// An object and when it was first seen and first seen ready.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The object as it is now.
    pub object: Arc<DynamicObject>,
    /// When the watch first showed it.
    pub born: Instant,
    /// When the watch first showed it ready.
    pub ready: Option<Instant>,
}

/// All objects of the project's kinds.
pub type Objects = BTreeMap<Key, Seen>;

/// Is told of every change of an object's state, in a sentence.
pub type Listener = Arc<dyn Fn(&str) + Send + Sync>;

/// A watch over all kinds; ends when dropped.
#[derive(Debug)]
pub struct Watch {
    objects: watch::Receiver<Objects>,
    _tasks: JoinSet<()>,
}

impl Watch {
    /// Starts to watch.
    #[must_use]
    pub fn start(client: &kube::Client, listener: &Listener) -> Self {
        let (sender, objects) = watch::channel(Objects::new());
        let mut tasks = JoinSet::new();
        for kind in KINDS {
            tasks.spawn(follow(kind, client.clone(), sender.clone(), Arc::clone(listener)));
        }
        Self {
            objects,
            _tasks: tasks,
        }
    }

    /// The objects as they are now.
    #[must_use]
    pub fn now(&self) -> Objects {
        self.objects.borrow().clone()
    }

    /// Waits until the objects are as wished, and returns them.
    ///
    /// # Errors
    /// They were not in time; with what each object that is not ready said last.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        wish: impl Fn(&Objects) -> bool,
    ) -> Result<Objects> {
        let mut objects = self.objects.clone();
        match tokio::time::timeout(limit, objects.wait_for(|objects| wish(objects))).await {
            Ok(Ok(objects)) => Ok(objects.clone()),
            _ => Err(Error::Other(format!(
                "{what}: not within {} s; {}",
                limit.as_secs(),
                laggards(&self.objects.borrow())
            ))),
        }
    }
}

/// What each object that is not ready says.
fn laggards(objects: &Objects) -> String {
    let waiting = objects.iter().filter(|(_, seen)| !is_ready(&seen.object));
    let sentences: Vec<String> = waiting
        .map(|(key, seen)| format!("{key}: {}", state(&seen.object)))
        .collect();
    if sentences.is_empty() {
        format!("all {} objects are ready", objects.len())
    } else {
        sentences.join("; ")
    }
}

/// An object's state in a sentence.
#[must_use]
pub fn state(object: &DynamicObject) -> String {
    let deleting = if object.metadata.deletion_timestamp.is_some() {
        "deleting, "
    } else {
        ""
    };
    let Some(ready) = condition(object, "Ready") else {
        return format!("{deleting}no condition Ready");
    };
    let (reason, message) = (told(ready, "reason"), told(ready, "message"));
    let colon = if message.is_empty() { "" } else { ": " };
    format!(
        "{deleting}Ready={} {reason}{colon}{message}",
        told(ready, "status")
    )
}

async fn follow(kind: Kind, client: kube::Client, objects: watch::Sender<Objects>, listener: Listener) {
    let mut events = pin!(watch_kind(kind.all(&client), watcher::Config::default()).default_backoff());
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object)) => note(kind, object, &objects, &listener),
            Ok(Event::Delete(object)) => {
                let key = Key::of(kind, &object);
                listener(&format!("{key}: gone"));
                objects.send_modify(|objects| drop(objects.remove(&key)));
            }
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(Key::of(kind, &object));
                note(kind, object, &objects, &listener);
            }
            Ok(Event::InitDone) => {
                objects
                    .send_modify(|objects| objects.retain(|key, _| key.kind != kind || listed.contains(key)));
            }
            // The watcher tries again by itself; an API server that is gone shows elsewhere.
            Err(_) => {}
        }
    }
}

fn note(kind: Kind, object: DynamicObject, objects: &watch::Sender<Objects>, listener: &Listener) {
    let key = Key::of(kind, &object);
    let now = Instant::now();
    let said = state(&object);
    let ready = is_ready(&object).then_some(now);
    let object = Arc::new(object);
    objects.send_modify(|objects| {
        let before = objects.get(&key);
        if before.is_none_or(|seen| state(&seen.object) != said) {
            listener(&format!("{key}: {said}"));
        }
        let seen = Seen {
            object,
            born: before.map_or(now, |seen| seen.born),
            ready: before.and_then(|seen| seen.ready).or(ready),
        };
        objects.insert(key, seen);
    });
}
