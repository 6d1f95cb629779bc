//! What exists, as far as reads and own writes tell. Pure: no I/O, and time comes in as an argument.

mod entry;
mod feed;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use entry::Source;
use entry::{Entry, Missed, Needs};
pub(crate) use feed::Count;
use feed::Feed;

use crate::model::tags_of;
use crate::overlay::{same_content, shows};
use crate::row::{Row, State};
use crate::{Change, Observed, Tag, path};

/// The two searches that are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything with our owner tag.
    Owned,
    /// NAT rules without it.
    Foreign,
}

/// What has to be read apart from the regular looks.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Objects whose write is to be confirmed or realized.
    pub(crate) read: Vec<String>,
    /// Objects whose removal is awaited.
    pub(crate) removals: Vec<String>,
    /// When the youngest of these began to be waited for.
    pub(crate) youngest: Option<Duration>,
    /// Failed objects whose cause is unknown.
    pub(crate) causes: Vec<String>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mirror {
    owner: Tag,
    lag: Duration,
    entries: BTreeMap<String, Entry>,
    by_tag: HashMap<Tag, BTreeSet<String>>,
    gateways: BTreeSet<String>,
    unsettled: BTreeSet<String>,
    suspects: BTreeSet<String>,
    owned: Feed,
    foreign: Feed,
}

impl Mirror {
    pub(crate) fn new(owner: Tag, lag: Duration) -> Self {
        Self {
            owner,
            lag,
            entries: BTreeMap::new(),
            by_tag: HashMap::new(),
            gateways: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            suspects: BTreeSet::new(),
            owned: Feed::default(),
            foreign: Feed::default(),
        }
    }

    // -- what is to be seen

    pub(crate) fn get(&self, path: &str) -> Option<Observed> {
        self.entries.get(path)?.shown(path)
    }

    pub(crate) fn is_removing(&self, path: &str) -> bool {
        self.entries.get(path).is_some_and(Entry::is_removing)
    }

    pub(crate) fn with_tag(&self, tag: &Tag) -> Vec<Observed> {
        self.by_tag
            .get(tag)
            .into_iter()
            .flatten()
            .filter_map(|path| self.get(path))
            .collect()
    }

    pub(crate) fn owned(&self) -> Vec<Observed> {
        self.with_tag(&self.owner)
    }

    /// Objects with our owner tag and this one.
    pub(crate) fn owned_with(&self, tag: &Tag) -> Vec<Observed> {
        let mut found = self.with_tag(tag);
        found.retain(|observed| self.owner.is_on(&observed.body));
        found
    }

    pub(crate) fn nat_rules(&self, gateway: &str) -> Vec<Observed> {
        self.below(&path::user_nat(gateway))
            .into_iter()
            .filter_map(|path| self.get(&path))
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn below(&self, outer: &str) -> Vec<String> {
        let from = format!("{outer}/");
        self.entries
            .range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded))
            .take_while(|(path, _)| path.starts_with(&from))
            .map(|(path, _)| path.clone())
            .collect()
    }

    // -- own writes

    /// A batch with `changes` is about to be sent: what reads show of them from now on may be our own doing.
    pub(crate) fn begin(&mut self, changes: &[Change]) {
        for change in changes {
            self.touch(change.path(), |entry| entry.begin(change.resource_type()));
        }
    }

    /// NSX accepted `changes`.
    pub(crate) fn land(&mut self, changes: &[Change], now: Duration) {
        for change in changes {
            let path = change.path();
            let indexed = self.owned.knows(path) || self.foreign.knows(path);
            self.touch(path, |entry| {
                entry.end();
                entry.land(change, now, indexed);
            });
            let stays = match change {
                Change::Put(intent) => declares(&self.owner, intent),
                Change::Delete { .. } => false,
            };
            if !stays {
                self.owned.forget(path);
            }
            if change.is_delete() {
                self.bury_below(path, now);
            }
        }
    }

    /// What lies below a deleted object goes with it.
    fn bury_below(&mut self, path: &str, now: Duration) {
        for child in self.below(path) {
            let indexed = self.owned.knows(&child);
            let resource_type = self
                .get(&child)
                .map(|child| child.resource_type)
                .unwrap_or_default();
            let change = Change::Delete {
                path: child.clone(),
                resource_type,
            };
            self.touch(&child, |entry| {
                if !entry.is_writing() {
                    entry.land(&change, now, indexed);
                }
            });
            self.owned.forget(&child);
        }
    }

    /// NSX refused `changes`, or nobody knows. Returns what changed meanwhile.
    pub(crate) fn fail(&mut self, changes: &[Change]) -> Vec<String> {
        let mut told = Vec::new();
        for change in changes {
            let mut noticed = false;
            self.touch(change.path(), |entry| noticed = entry.end());
            if noticed {
                told.push(change.path().to_owned());
            }
        }
        told
    }

    /// NSX said that objects of these names are still being deleted.
    pub(crate) fn note_removal(&mut self, path: &str, now: Duration) {
        self.touch(path, |entry| entry.note_removal(now));
    }

    // -- reads

    /// From now on the foreign NAT rules of this gateway are kept, too.
    pub(crate) fn watch_gateway(&mut self, gateway: &str) {
        self.gateways.insert(gateway.to_owned());
    }

    pub(crate) fn watches(&self, gateway: &str) -> bool {
        self.gateways.contains(gateway)
    }

    pub(crate) fn watches_any(&self) -> bool {
        !self.gateways.is_empty()
    }

    pub(crate) fn is_complete(&self, scope: Scope) -> bool {
        self.feed(scope).is_complete()
    }

    fn feed(&self, scope: Scope) -> &Feed {
        match scope {
            Scope::Owned => &self.owned,
            Scope::Foreign => &self.foreign,
        }
    }

    fn feed_mut(&mut self, scope: Scope) -> &mut Feed {
        match scope {
            Scope::Owned => &mut self.owned,
            Scope::Foreign => &mut self.foreign,
        }
    }

    pub(crate) fn horizon(&self, scope: Scope) -> Option<i64> {
        self.feed(scope).horizon(self.lag)
    }

    /// Rows of a search. Returns the paths whose objects changed.
    pub(crate) fn observe(&mut self, scope: Scope, rows: &[Row], read_at: Duration) -> Vec<String> {
        let mut changed = Vec::new();
        for row in rows {
            if !row.marked {
                self.feed_mut(scope).learn(&row.path);
            }
            if self.see(row, Source::Index, read_at) {
                changed.push(row.path.clone());
            }
        }
        changed
    }

    /// A row from any read. True if it changed what is to be seen.
    fn see(&mut self, row: &Row, source: Source, read_at: Duration) -> bool {
        self.suspects.remove(&row.path);
        if !row.is_policy() || !(self.entries.contains_key(&row.path) || self.wants(row)) {
            return false;
        }
        let lag = self.lag;
        let changed = self.touch(&row.path, |entry| entry.see(row, source, read_at, lag));
        if source == Source::Index {
            self.suspect_if_disputed(&row.path, read_at);
        }
        changed
    }

    /// The index contradicts an own write: the past, or someone else's hand. A direct read tells, and need not wait
    /// for the lag.
    fn suspect_if_disputed(&mut self, path: &str, read_at: Duration) {
        if self
            .entries
            .get(path)
            .is_some_and(|entry| entry.is_disputed(read_at))
        {
            self.suspects.insert(path.to_owned());
        }
    }

    /// Whether an object is to be kept at all.
    fn wants(&self, row: &Row) -> bool {
        !row.marked && (self.owner.is_on(&row.body) || self.watches_rule(&row.path))
    }

    fn watches_rule(&self, path: &str) -> bool {
        path::gateway_of_user_nat(path).is_some_and(|gateway| self.gateways.contains(gateway))
    }

    /// A look that began at `read_at` has seen everything newer than the horizon. Says how its number of hits fits.
    pub(crate) fn looked(
        &mut self,
        scope: Scope,
        read_at: Duration,
        newest: Option<i64>,
        hits: usize,
    ) -> Count {
        let lag = self.lag;
        self.feed_mut(scope).looked(read_at, newest, lag);
        let feed = self.feed(scope);
        let unsure = self.unsettled.iter().filter(|path| !feed.knows(path)).count();
        feed.compare(hits, unsure)
    }

    /// A complete read of a search: exactly these paths. What is missing becomes suspect.
    pub(crate) fn complete(&mut self, scope: Scope, paths: HashSet<String>) {
        let mut missing = self.feed_mut(scope).replace(paths);
        if scope == Scope::Owned {
            let shown = self.by_tag.get(&self.owner).into_iter().flatten();
            missing.extend(shown.filter(|path| !self.owned.knows(path)).cloned());
        }
        // What is still being waited for is read anyway.
        missing.retain(|path| self.get(path).is_some() && self.needs(path).read_since.is_none());
        self.suspects.extend(missing);
    }

    /// A complete list of a gateway's NAT rules, read directly. Returns the paths whose rules changed.
    pub(crate) fn listed(&mut self, gateway: &str, rows: &[Row], read_at: Duration) -> Vec<String> {
        let mut changed = Vec::new();
        let present: HashSet<&str> = rows.iter().map(|row| row.path.as_str()).collect();
        for row in rows {
            if self.see(row, Source::Direct, read_at) {
                changed.push(row.path.clone());
            }
        }
        for path in self.below(&path::user_nat(gateway)) {
            if !present.contains(path.as_str()) && self.miss_directly(&path, read_at) {
                changed.push(path);
            }
        }
        changed
    }

    /// A direct read of one object, which ended `now`. True if it changed what is to be seen. A read that took longer than
    /// the lag says nothing: own words that it would be held against may be forgotten.
    pub(crate) fn fetched(
        &mut self,
        path: &str,
        row: Option<&Row>,
        read_at: Duration,
        now: Duration,
    ) -> bool {
        if now >= read_at + self.lag {
            return false;
        }
        match row {
            Some(row) => self.see(row, Source::Direct, read_at),
            None => self.miss_directly(path, read_at),
        }
    }

    fn miss_directly(&mut self, path: &str, read_at: Duration) -> bool {
        self.suspects.remove(path);
        self.entries.contains_key(path) && self.touch(path, |entry| entry.miss_directly(read_at))
    }

    /// A search for these paths, deleted or not, gave these rows. Returns the paths whose objects changed, removals that
    /// ended among them.
    pub(crate) fn polled(&mut self, asked: &[String], rows: &[Row], read_at: Duration) -> Vec<String> {
        let present: HashSet<&str> = rows.iter().map(|row| row.path.as_str()).collect();
        let mut changed = Vec::new();
        for row in rows {
            if !row.marked && self.owner.is_on(&row.body) && self.entries.contains_key(&row.path) {
                self.owned.learn(&row.path);
            }
            if self.see(row, Source::Index, read_at) {
                changed.push(row.path.clone());
            }
        }
        let lag = self.lag;
        for path in asked.iter().filter(|path| !present.contains(path.as_str())) {
            let mut missed = Missed::Nothing;
            if self.entries.contains_key(path) {
                self.touch(path, |entry| missed = entry.miss(read_at, lag));
            }
            match missed {
                Missed::Nothing => self.suspect_if_disputed(path, read_at),
                Missed::RemovalOver => changed.push(path.clone()),
                Missed::Suspect => {
                    self.suspects.insert(path.clone());
                }
            }
        }
        changed
    }

    /// Of these objects, all of which are being deleted, a complete search that shows deleted objects, too, found only
    /// those `present`. Returns the paths whose removal ended.
    pub(crate) fn outlived(
        &mut self,
        asked: &[String],
        present: &HashSet<String>,
        read_at: Duration,
    ) -> Vec<String> {
        let lag = self.lag;
        let mut over = Vec::new();
        for path in asked
            .iter()
            .filter(|path| self.is_removing(path))
            .cloned()
            .collect::<Vec<_>>()
        {
            if present.contains(&path) {
                self.touch(&path, Entry::still_there);
                continue;
            }
            let mut missed = Missed::Nothing;
            self.touch(&path, |entry| missed = entry.miss(read_at, lag));
            if missed == Missed::RemovalOver {
                over.push(path);
            }
        }
        over
    }

    /// NSX was asked for the realization of one object. True if that changed what is to be seen.
    pub(crate) fn realized(&mut self, path: &str, state: State, cause: Option<String>) -> bool {
        self.entries.contains_key(path) && self.touch(path, |entry| entry.realize(state, cause))
    }

    // -- what is still to be found out

    /// Objects that seem to be gone, or edited right after an own write. A direct read of each tells.
    pub(crate) fn suspects(&self) -> Vec<String> {
        self.suspects.iter().cloned().collect()
    }

    /// Direct reads have shown that the index is right: believes it for all suspects whose absence may count in a
    /// read that began at `read_at`. Returns their paths.
    pub(crate) fn believe_absences(&mut self, read_at: Duration) -> Vec<String> {
        let mut gone = Vec::new();
        for path in std::mem::take(&mut self.suspects) {
            if self
                .entries
                .get(&path)
                .is_some_and(|entry| entry.absence_counts(read_at, self.lag))
            {
                if self.touch(&path, |entry| entry.miss_directly(read_at)) {
                    gone.push(path);
                }
            } else if self.entries.contains_key(&path) {
                self.suspects.insert(path);
            }
        }
        gone
    }

    /// How many objects are not at rest.
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    /// Lets go what time has settled, and says what to read. Not to be called while a search is under way: what it
    /// brings may be older than what is let go.
    pub(crate) fn pending(&mut self, now: Duration) -> Pending {
        let lag = self.lag;
        let mut pending = Pending::default();
        for path in self.unsettled.iter().cloned().collect::<Vec<_>>() {
            self.touch(&path, |entry| entry.expire(now, lag));
            let needs = self.needs(&path);
            if needs.cause {
                pending.causes.push(path.clone());
            }
            let Some(since) = needs.read_since.filter(|_| needs.not_before <= now) else {
                continue;
            };
            pending.youngest = pending.youngest.max(Some(since));
            if needs.removal {
                pending.removals.push(path);
            } else {
                pending.read.push(path);
            }
        }
        pending
    }

    fn needs(&self, path: &str) -> Needs {
        self.entries.get(path).map_or_else(Needs::default, |entry| {
            let owned = entry
                .shown(path)
                .is_some_and(|shown| self.owner.is_on(&shown.body));
            entry.needs(owned, self.lag)
        })
    }

    /// Objects whose realization NSX must be asked for one by one, because rows say nothing about it.
    pub(crate) fn silent(&self) -> Vec<String> {
        let silent = |path: &&String| self.entries.get(*path).is_some_and(Entry::is_silent);
        self.unsettled.iter().filter(silent).cloned().collect()
    }

    /// Objects that NSX could not realize; that may change without a change of the object.
    pub(crate) fn failed(&self) -> Vec<String> {
        let owned = self.by_tag.get(&self.owner).into_iter().flatten();
        owned
            .filter(|path| self.entries.get(*path).is_some_and(Entry::is_failed))
            .cloned()
            .collect()
    }

    // -- one place where entries change

    /// Changes one entry and keeps the indexes in step. True if the object looks different to the world after it, for
    /// another reason than our own writing.
    fn touch(&mut self, path: &str, change: impl FnOnce(&mut Entry)) -> bool {
        let mut entry = self.entries.remove(path).unwrap_or_default();
        let before = entry.shown(path);
        change(&mut entry);
        let after = entry.shown(path);
        self.retag(path, before.as_ref(), after.as_ref());
        let wanted = after
            .as_ref()
            .is_none_or(|seen| self.owner.is_on(&seen.body) || self.watches_rule(path));
        let owned = after.as_ref().is_some_and(|seen| self.owner.is_on(&seen.body));
        if entry.needs(owned, self.lag).any() {
            self.unsettled.insert(path.to_owned());
        } else {
            self.unsettled.remove(path);
        }
        let differs = differs(before.as_ref(), after.as_ref());
        let muted = entry.is_writing();
        if muted && differs {
            entry.notice();
        }
        if entry.is_void() || (!wanted && entry.is_quiet()) {
            self.retag(path, after.as_ref(), None);
            self.unsettled.remove(path);
            self.suspects.remove(path);
        } else {
            self.entries.insert(path.to_owned(), entry);
        }
        !muted && differs
    }

    fn retag(&mut self, path: &str, before: Option<&Observed>, after: Option<&Observed>) {
        if let (Some(before), Some(after)) = (before, after)
            && (Arc::ptr_eq(&before.body, &after.body) || before.body.get("tags") == after.body.get("tags"))
        {
            return;
        }
        for (scope, tag) in before.iter().flat_map(|seen| tags_of(&seen.body)) {
            let tag = Tag::new(scope, tag);
            if let Some(paths) = self.by_tag.get_mut(&tag) {
                paths.remove(path);
                if paths.is_empty() {
                    self.by_tag.remove(&tag);
                }
            }
        }
        for (scope, tag) in after.iter().flat_map(|seen| tags_of(&seen.body)) {
            self.by_tag
                .entry(Tag::new(scope, tag))
                .or_default()
                .insert(path.to_owned());
        }
    }
}

fn declares(owner: &Tag, intent: &crate::Intent) -> bool {
    let tags = intent.body.get("tags").and_then(serde_json::Value::as_array);
    tags.into_iter().flatten().any(|tag| {
        tag.get("scope").and_then(|v| v.as_str()) == Some(&owner.scope)
            && tag.get("tag").and_then(|v| v.as_str()) == Some(&owner.tag)
    })
}

/// Whether the world would call this a change. That a read confirms an own write is none.
fn differs(before: Option<&Observed>, after: Option<&Observed>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return before.is_some() != after.is_some();
    };
    let same = match before.body.as_object() {
        _ if Arc::ptr_eq(&before.body, &after.body) => true,
        Some(overlay) if before.pending && !after.pending => shows(&after.body, overlay),
        _ => same_content(&before.body, &after.body),
    };
    before.realization != after.realization || !same
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod model_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
