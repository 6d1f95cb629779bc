//! Which units make the next batch. Pure.
//!
//! A unit goes whole. Two units whose objects are the same, or lie above one another where one is deleted, never share
//! a batch and never overtake each other.

use std::collections::{HashMap, HashSet};

use crate::{Change, Priority, path};

/// A unit in the queue.
#[derive(Debug)]
pub(crate) struct Queued<T> {
    pub(crate) priority: Priority,
    pub(crate) changes: Vec<Change>,
    /// What the caller wants back with it.
    pub(crate) tag: T,
}

/// Units in order of submission, and the paths that are out.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: Vec<Queued<T>>,
    children: usize,
    out: Paths,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            children: 0,
            out: Paths::default(),
        }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&mut self, unit: Queued<T>) {
        self.children += unit.changes.len();
        self.waiting.push(unit);
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The unit that has waited longest.
    pub(crate) fn first(&self) -> Option<&Queued<T>> {
        self.waiting.first()
    }

    /// Objects that wait.
    pub(crate) fn children(&self) -> usize {
        self.children
    }

    /// Takes the next batch: at most `most` children (a larger unit goes alone), users' units first, each path in
    /// order of submission. Empty if everything that waits depends on what is out.
    pub(crate) fn take(&mut self, most: usize) -> Vec<Queued<T>> {
        let chosen = self.choose(most);
        if chosen.is_empty() {
            return Vec::new();
        }
        let mut batch = Vec::with_capacity(chosen.len());
        let mut left = Vec::with_capacity(self.waiting.len() - chosen.len());
        for (at, unit) in self.waiting.drain(..).enumerate() {
            if chosen.contains(&at) {
                self.children -= unit.changes.len();
                self.out.add(&unit.changes);
                batch.push(unit);
            } else {
                left.push(unit);
            }
        }
        self.waiting = left;
        batch
    }

    fn choose(&self, most: usize) -> HashSet<usize> {
        // Who must wait for an earlier unit, in or out of the queue.
        let mut ahead = Paths::default();
        let mut free = Vec::new();
        for (at, unit) in self.waiting.iter().enumerate() {
            if !ahead.conflicts(&unit.changes) && !self.out.conflicts(&unit.changes) {
                free.push((at, unit));
            }
            ahead.add(&unit.changes);
        }
        let (mut chosen, mut size) = (HashSet::new(), 0);
        for priority in [Priority::User, Priority::Background] {
            for (at, unit) in free.iter().filter(|(_, unit)| unit.priority == priority) {
                if size == 0 || size + unit.changes.len() <= most {
                    size += unit.changes.len();
                    chosen.insert(*at);
                }
                if size >= most {
                    return chosen;
                }
            }
        }
        chosen
    }

    /// The unit is back, whatever became of it.
    pub(crate) fn done(&mut self, changes: &[Change]) {
        self.out.remove(changes);
    }

    /// Everything that waits, in order.
    pub(crate) fn drain(&mut self) -> Vec<Queued<T>> {
        self.children = 0;
        std::mem::take(&mut self.waiting)
    }
}

/// Paths with what is done to them, so that conflicts are found in time proportional to the depth of the tree.
#[derive(Debug, Default)]
struct Paths {
    /// How many changes name the path, and how many of them delete it.
    named: HashMap<String, (usize, usize)>,
    /// How many changes lie below the path, and how many of them delete.
    below: HashMap<String, (usize, usize)>,
}

impl Paths {
    fn add(&mut self, changes: &[Change]) {
        for change in changes {
            let deletes = usize::from(change.is_delete());
            let mut count = |map: fn(&mut Self) -> &mut HashMap<String, (usize, usize)>, path: &str| {
                let entry = map(self).entry(path.to_owned()).or_default();
                *entry = (entry.0 + 1, entry.1 + deletes);
            };
            count(|paths| &mut paths.named, change.path());
            for above in path::ancestors(change.path()) {
                count(|paths| &mut paths.below, above);
            }
        }
    }

    fn remove(&mut self, changes: &[Change]) {
        fn less(map: &mut HashMap<String, (usize, usize)>, path: &str, deletes: usize) {
            if let Some(entry) = map.get_mut(path) {
                *entry = (entry.0.saturating_sub(1), entry.1.saturating_sub(deletes));
                if entry.0 == 0 {
                    map.remove(path);
                }
            }
        }
        for change in changes {
            let deletes = usize::from(change.is_delete());
            less(&mut self.named, change.path(), deletes);
            for above in path::ancestors(change.path()) {
                less(&mut self.below, above, deletes);
            }
        }
    }

    fn conflicts(&self, changes: &[Change]) -> bool {
        changes.iter().any(|change| {
            let path = change.path();
            self.named.contains_key(path)
                || self
                    .below
                    .get(path)
                    .is_some_and(|(all, deletes)| change.is_delete() && *all > 0 || *deletes > 0)
                || path::ancestors(path).any(|above| {
                    self.named
                        .get(above)
                        .is_some_and(|(all, deletes)| change.is_delete() && *all > 0 || *deletes > 0)
                })
        })
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
