//! What exists, as far as reads and own writes tell. Pure: no I/O, and time comes in as an argument.

mod entry;
mod feed;
mod joint;
mod look;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use entry::Source;
use entry::{Entry, Missed, Needs, Shown};
pub(crate) use feed::Count;
use feed::Feed;
pub(crate) use joint::Newest;
use look::{declares, differs, observed};

use crate::body::mark_of;
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
    pub(crate) read: Vec<Arc<str>>,
    /// Objects whose removal is awaited.
    pub(crate) removals: Vec<Arc<str>>,
    /// When the youngest of these began to be waited for.
    pub(crate) youngest: Option<Duration>,
    /// Failed objects whose cause is unknown.
    pub(crate) causes: Vec<Arc<str>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mirror {
    owner: Tag,
    lag: Duration,
    /// Scope of the tag by whose value objects are found.
    index: String,
    entries: BTreeMap<Arc<str>, Entry>,
    /// By the mark of a tag of that scope.
    by_tag: HashMap<u64, Vec<Arc<str>>>,
    gateways: BTreeSet<String>,
    unsettled: BTreeSet<Arc<str>>,
    suspects: BTreeSet<Arc<str>>,
    owned: Feed,
    foreign: Feed,
    /// Looks at both at once.
    joint: Feed,
}

impl Mirror {
    pub(crate) fn new(owner: Tag, index: &str, lag: Duration) -> Self {
        Self {
            owner,
            lag,
            index: index.to_owned(),
            entries: BTreeMap::new(),
            by_tag: HashMap::new(),
            gateways: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            suspects: BTreeSet::new(),
            owned: Feed::default(),
            foreign: Feed::default(),
            joint: Feed::default(),
        }
    }

    // -- what is to be seen

    pub(crate) fn get(&self, path: &str) -> Option<Observed> {
        observed(path, self.entries.get(path)?)
    }

    pub(crate) fn is_removing(&self, path: &str) -> bool {
        self.entries.get(path).is_some_and(Entry::is_removing)
    }

    /// Every owned object, one after the other: all at once would be large.
    pub(crate) fn each_owned(&self, mut look: impl FnMut(Observed)) {
        for (path, entry) in &self.entries {
            if self.owns(entry)
                && let Some(observed) = observed(path, entry)
            {
                look(observed);
            }
        }
    }

    fn owns(&self, entry: &Entry) -> bool {
        entry.visible().is_some_and(|(body, _)| body.carries(&self.owner))
    }

    /// Objects with our owner tag and this one.
    pub(crate) fn owned_with(&self, tag: &Tag) -> Vec<Observed> {
        let all = |path: &Arc<str>| self.entries.get_key_value(path);
        let indexed = self.by_tag.get(&mark_of(tag)).into_iter().flatten();
        let mut found: Vec<Observed> = if tag.scope == self.index {
            indexed
                .filter_map(all)
                .filter(|(_, entry)| self.owns(entry))
                .filter_map(|(path, entry)| observed(path, entry))
                .collect()
        } else {
            let mut found = Vec::new();
            self.each_owned(|observed| found.push(observed));
            found
        };
        found.retain(|observed| tag.is_on(&observed.body));
        found.sort_by(|one, other| one.path.cmp(&other.path));
        found
    }

    pub(crate) fn nat_rules(&self, gateway: &str) -> Vec<Observed> {
        self.below(&path::user_nat(gateway))
            .into_iter()
            .filter_map(|path| self.get(&path))
            .collect()
    }

    /// Gateways on which this instance has NAT rules.
    pub(crate) fn gateways_in_use(&self) -> BTreeSet<String> {
        let rules = self.entries.iter().filter(|(_, entry)| self.owns(entry));
        rules
            .filter_map(|(path, _)| path::gateway_of_user_nat(path))
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn below(&self, outer: &str) -> Vec<Arc<str>> {
        let from = format!("{outer}/");
        self.entries
            .range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded))
            .take_while(|(path, _)| path.starts_with(&from))
            .map(|(path, _)| Arc::clone(path))
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
            let resource_type = self.entries.get(&child).map(Entry::resource_type);
            let change = Change::Delete {
                path: child.to_string(),
                resource_type: resource_type.unwrap_or_default().to_owned(),
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
                changed.push(row.path.to_string());
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
            self.suspects.insert(path.into());
        }
    }

    /// Whether an object is to be kept at all.
    fn wants(&self, row: &Row) -> bool {
        !row.marked && (row.body.carries(&self.owner) || self.watches_rule(&row.path))
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
        let rewinds = self.feed_mut(scope).rewinds(newest, hits);
        self.feed_mut(scope).looked(read_at, newest, lag);
        if rewinds {
            return Count::Rewound;
        }
        let feed = self.feed(scope);
        let unsure = self.unsettled.iter().filter(|path| !feed.knows(path)).count();
        feed.compare(hits, unsure)
    }

    /// A complete read of a search: exactly these paths. What is missing becomes suspect.
    pub(crate) fn complete(&mut self, scope: Scope, paths: HashSet<Arc<str>>) {
        let mut missing = self.feed_mut(scope).replace(paths);
        if scope == Scope::Owned {
            let shown = self.entries.iter().filter(|(_, entry)| self.owns(entry));
            missing.extend(
                shown
                    .map(|(path, _)| path)
                    .filter(|path| !self.owned.knows(path))
                    .cloned(),
            );
        }
        // What is still being waited for is read anyway.
        missing.retain(|path| {
            let shown = self
                .entries
                .get(path)
                .is_some_and(|entry| entry.visible().is_some());
            shown && self.needs(path).read_since.is_none()
        });
        self.suspects.extend(missing);
    }

    /// A complete list of a gateway's NAT rules, read directly. Returns the paths whose rules changed.
    pub(crate) fn listed(&mut self, gateway: &str, rows: &[Row], read_at: Duration) -> Vec<String> {
        let mut changed = Vec::new();
        let present: HashSet<&str> = rows.iter().map(|row| &*row.path).collect();
        for row in rows {
            if self.see(row, Source::Direct, read_at) {
                changed.push(row.path.to_string());
            }
        }
        for path in self.below(&path::user_nat(gateway)) {
            if !present.contains(&*path) && self.miss_directly(&path, read_at) {
                changed.push(path.to_string());
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
    pub(crate) fn polled(&mut self, asked: &[Arc<str>], rows: &[Row], read_at: Duration) -> Vec<String> {
        let present: HashSet<&str> = rows.iter().map(|row| &*row.path).collect();
        let mut changed = Vec::new();
        for row in rows {
            if !row.marked && row.body.carries(&self.owner) && self.entries.contains_key(&row.path) {
                self.owned.learn(&row.path);
            }
            if self.see(row, Source::Index, read_at) {
                changed.push(row.path.to_string());
            }
        }
        let lag = self.lag;
        for path in asked.iter().filter(|path| !present.contains(&***path)) {
            let mut missed = Missed::Nothing;
            if self.entries.contains_key(path) {
                self.touch(path, |entry| missed = entry.miss(read_at, lag));
            }
            match missed {
                Missed::Nothing => self.suspect_if_disputed(path, read_at),
                Missed::RemovalOver => changed.push(path.to_string()),
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
        asked: &[Arc<str>],
        present: &HashSet<Arc<str>>,
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
                over.push(path.to_string());
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
    pub(crate) fn suspects(&self) -> Vec<Arc<str>> {
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
                    gone.push(path.to_string());
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
        self.entries
            .get(path)
            .map_or_else(Needs::default, |entry| entry.needs(self.owns(entry), self.lag))
    }

    /// Objects whose realization NSX must be asked for one by one, because rows say nothing about it.
    pub(crate) fn silent(&self) -> Vec<Arc<str>> {
        let silent = |path: &&Arc<str>| self.entries.get(*path).is_some_and(Entry::is_silent);
        self.unsettled.iter().filter(silent).cloned().collect()
    }

    /// Objects that NSX could not realize; that may change without a change of the object.
    pub(crate) fn failed(&self) -> Vec<Arc<str>> {
        let failed = self.entries.iter().filter(|(_, entry)| entry.is_failed());
        failed
            .filter(|(_, entry)| self.owns(entry))
            .map(|(path, _)| Arc::clone(path))
            .collect()
    }

    // -- one place where entries change

    /// Changes one entry and keeps the indexes in step. True if the object looks different to the world after it, for
    /// another reason than our own writing.
    fn touch(&mut self, path: &str, change: impl FnOnce(&mut Entry)) -> bool {
        let (path, mut entry) = self
            .entries
            .remove_entry(path)
            .unwrap_or_else(|| (path.into(), Entry::default()));
        let before = entry.shown();
        change(&mut entry);
        let after = entry.shown();
        self.retag(&path, before.as_ref(), after.as_ref());
        let owned = after.as_ref().is_some_and(|seen| seen.body.carries(&self.owner));
        let wanted = after.is_none() || owned || self.watches_rule(&path);
        if entry.needs(owned, self.lag).any() {
            self.unsettled.insert(Arc::clone(&path));
        } else {
            self.unsettled.remove(&path);
        }
        let differs = differs(before.as_ref(), after.as_ref());
        let muted = entry.is_writing();
        if muted && differs {
            entry.notice();
        }
        if entry.is_void() || (!wanted && entry.is_quiet()) {
            self.retag(&path, after.as_ref(), None);
            self.unsettled.remove(&path);
            self.suspects.remove(&path);
        } else {
            self.entries.insert(path, entry);
        }
        !muted && differs
    }

    fn retag(&mut self, path: &Arc<str>, before: Option<&Shown>, after: Option<&Shown>) {
        if let (Some(before), Some(after)) = (before, after)
            && before.body == after.body
        {
            return;
        }
        let marks = |seen: Option<&Shown>| -> Vec<u64> {
            seen.map(|seen| seen.body.marks(&self.index).collect())
                .unwrap_or_default()
        };
        let (before, after) = (marks(before), marks(after));
        for mark in before {
            if let Some(paths) = self.by_tag.get_mut(&mark) {
                paths.retain(|other| other != path);
                if paths.is_empty() {
                    self.by_tag.remove(&mark);
                }
            }
        }
        for mark in after {
            self.by_tag.entry(mark).or_default().push(Arc::clone(path));
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod model_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
