//! Which units make the next batch. Pure.
//!
//! A unit goes whole. Two units whose objects are the same, or lie above one another where one is deleted, never share
//! a batch and never overtake each other; but that two make the same object alike keeps them not apart: a thousand rules
//! that share a policy each bring it along.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{Change, Priority, path};

/// A unit in the queue.
#[derive(Debug)]
pub(crate) struct Queued<T> {
    pub(crate) priority: Priority,
    pub(crate) changes: Vec<Change>,
    /// What the caller wants back with it.
    pub(crate) tag: T,
}

/// A unit that waits, with a mark of what each change makes.
#[derive(Debug)]
struct Waiting<T> {
    unit: Queued<T>,
    marks: Vec<Option<u64>>,
}

/// Units in order of submission, and the paths that are out.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: Vec<Waiting<T>>,
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
        let marks = unit.changes.iter().map(mark).collect();
        self.waiting.push(Waiting { unit, marks });
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The unit that has waited longest.
    pub(crate) fn first(&self) -> Option<&Queued<T>> {
        self.waiting.first().map(|waiting| &waiting.unit)
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
        for (at, waiting) in self.waiting.drain(..).enumerate() {
            if chosen.contains(&at) {
                self.children -= waiting.unit.changes.len();
                self.out.add(&waiting);
                batch.push(waiting.unit);
            } else {
                left.push(waiting);
            }
        }
        self.waiting = left;
        batch
    }

    fn choose(&self, most: usize) -> HashSet<usize> {
        // Who must wait for an earlier unit, in or out of the queue.
        let mut ahead = Paths::default();
        let mut free = Vec::new();
        for (at, waiting) in self.waiting.iter().enumerate() {
            if !ahead.conflicts(waiting) && !self.out.conflicts(waiting) {
                free.push((at, &waiting.unit));
            }
            ahead.add(waiting);
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
            .into_iter()
            .map(|waiting| waiting.unit)
            .collect()
    }
}

/// What a change makes of its object; `None` for a deletion.
fn mark(change: &Change) -> Option<u64> {
    let Change::Put(intent) = change else { return None };
    let mut hasher = DefaultHasher::new();
    intent.resource_type.hash(&mut hasher);
    for (field, value) in &intent.body {
        field.hash(&mut hasher);
        value.to_string().hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// What is done to one path.
#[derive(Debug, Default)]
struct Deeds {
    all: usize,
    deletes: usize,
    /// What all of them make of the object, if it is the same.
    alike: Option<u64>,
}

/// Paths with what is done to them, so that conflicts are found in time proportional to the depth of the tree.
#[derive(Debug, Default)]
struct Paths {
    /// What is done to the path itself.
    named: HashMap<String, Deeds>,
    /// How many changes lie below the path, and how many of them delete.
    below: HashMap<String, (usize, usize)>,
}

impl Paths {
    fn add<T>(&mut self, waiting: &Waiting<T>) {
        for (change, mark) in waiting.unit.changes.iter().zip(&waiting.marks) {
            let deletes = usize::from(change.is_delete());
            let deeds = self.named.entry(change.path().to_owned()).or_default();
            deeds.alike = mark.filter(|mark| deeds.all == 0 || deeds.alike == Some(*mark));
            deeds.all += 1;
            deeds.deletes += deletes;
            for above in path::ancestors(change.path()) {
                let below = self.below.entry(above.to_owned()).or_default();
                *below = (below.0 + 1, below.1 + deletes);
            }
        }
    }

    fn remove(&mut self, changes: &[Change]) {
        for change in changes {
            let deletes = usize::from(change.is_delete());
            if let Some(deeds) = self.named.get_mut(change.path()) {
                deeds.all = deeds.all.saturating_sub(1);
                deeds.deletes = deeds.deletes.saturating_sub(deletes);
                if deeds.all == 0 {
                    self.named.remove(change.path());
                }
            }
            for above in path::ancestors(change.path()) {
                if let Some(below) = self.below.get_mut(above) {
                    *below = (below.0.saturating_sub(1), below.1.saturating_sub(deletes));
                    if below.0 == 0 {
                        self.below.remove(above);
                    }
                }
            }
        }
    }

    fn conflicts<T>(&self, waiting: &Waiting<T>) -> bool {
        let mut changes = waiting.unit.changes.iter().zip(&waiting.marks);
        changes.any(|(change, mark)| {
            let path = change.path();
            let clash = |all: usize, deletes: usize| change.is_delete() && all > 0 || deletes > 0;
            self.named
                .get(path)
                .is_some_and(|deeds| mark.is_none() || deeds.alike != *mark)
                || self
                    .below
                    .get(path)
                    .is_some_and(|(all, deletes)| clash(*all, *deletes))
                || path::ancestors(path).any(|above| {
                    self.named
                        .get(above)
                        .is_some_and(|deeds| clash(deeds.all, deeds.deletes))
                })
        })
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
