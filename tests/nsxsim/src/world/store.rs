//! All intents by path, with what hangs below and what points to what. Changes can be taken back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::object::Object;
use crate::paths::parent_of;

/// Intents by path.
#[derive(Default)]
pub struct Store {
    objects: BTreeMap<String, Arc<Object>>,
    /// Paths by the path they hang below.
    children: HashMap<String, BTreeSet<String>>,
    /// Paths by type, deleted objects included.
    kinds: HashMap<String, BTreeSet<String>>,
    /// Paths of the objects that name a path.
    referrers: HashMap<String, BTreeSet<String>>,
    /// Paths of segments by their `realization_id`.
    switches: HashMap<String, String>,
    /// Paths of segments by the gateway they hang on.
    routed: HashMap<String, BTreeSet<String>>,
    /// States at the last [`Store::begin`] of what changed since.
    journal: Option<HashMap<String, Option<Arc<Object>>>>,
}

impl Store {
    /// From here on every change can be taken back.
    pub fn begin(&mut self) {
        self.journal = Some(HashMap::new());
    }

    /// Takes back every change since [`Store::begin`].
    pub fn rollback(&mut self) {
        for (path, earlier) in self.journal.take().unwrap_or_default() {
            match earlier {
                Some(object) => self.place(object),
                None => self.take(&path),
            }
        }
    }

    /// Keeps the changes since [`Store::begin`]; returns the paths that changed.
    pub fn keep(&mut self) -> BTreeSet<String> {
        self.journal.take().unwrap_or_default().into_keys().collect()
    }

    /// Paths that changed since [`Store::begin`].
    pub fn changed(&self) -> Vec<String> {
        self.journal.iter().flat_map(HashMap::keys).cloned().collect()
    }

    /// The object, also one marked for delete.
    pub fn any(&self, path: &str) -> Option<&Arc<Object>> {
        self.objects.get(path)
    }

    /// The object as reads see it.
    pub fn live(&self, path: &str) -> Option<&Arc<Object>> {
        self.objects.get(path).filter(|o| !o.deleted)
    }

    /// State of the object before the changes since [`Store::begin`].
    pub fn before(&self, path: &str) -> Option<&Arc<Object>> {
        match self.journal.as_ref()?.get(path) {
            Some(earlier) => earlier.as_ref(),
            None => self.objects.get(path),
        }
    }

    /// Puts an object in its place.
    pub fn put(&mut self, object: Object) {
        self.note(&object.path.clone());
        self.place(Arc::new(object));
    }

    /// Takes an object away for good.
    pub fn remove(&mut self, path: &str) {
        self.note(path);
        self.take(path);
    }

    /// Everything, deleted objects included, by path.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// Live objects of one type, by path.
    pub fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        self.any_of_kind(kind).filter(|o| !o.deleted)
    }

    /// Objects of one type, deleted ones included, by path.
    pub fn any_of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        self.kinds
            .get(kind)
            .into_iter()
            .flatten()
            .filter_map(|p| self.any(p))
    }

    /// Live objects directly below a path, by path.
    pub fn below<'a>(&'a self, parent: &str) -> impl Iterator<Item = &'a Arc<Object>> {
        let paths = self.children.get(parent).into_iter().flatten();
        paths.filter_map(|p| self.live(p))
    }

    /// Objects of one collection, by path: children of `parent` whose collection holds `base`.
    pub fn collection<'a>(
        &'a self,
        parent: &str,
        base: &'a str,
        with_deleted: bool,
    ) -> impl Iterator<Item = &'a Arc<Object>> {
        let paths = self.children.get(parent).into_iter().flatten();
        paths
            .filter_map(|p| self.any(p))
            .filter(move |o| (with_deleted || !o.deleted) && o.base == base)
    }

    /// Live objects anywhere below a path.
    pub fn descendants<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let prefix = format!("{path}/");
        let range = self
            .objects
            .range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded));
        range
            .take_while(move |(p, _)| p.starts_with(&prefix))
            .map(|(_, o)| o)
            .filter(|o| !o.deleted)
    }

    /// Path of the segment with a `realization_id`, a deleted one included.
    pub fn switch(&self, realization_id: &str) -> Option<&str> {
        self.switches.get(realization_id).map(String::as_str)
    }

    /// Live segments of a gateway.
    pub fn segments_of<'a>(&'a self, gateway: &str) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let paths = self.routed.get(gateway).into_iter().flatten();
        paths.filter_map(|p| self.live(p))
    }

    /// Live objects that name a path.
    pub fn referrers<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a Arc<Object>> {
        self.referrers
            .get(path)
            .into_iter()
            .flatten()
            .filter_map(|p| self.live(p))
    }

    fn note(&mut self, path: &str) {
        let earlier = self.objects.get(path).cloned();
        if let Some(journal) = &mut self.journal {
            journal.entry(path.to_owned()).or_insert(earlier);
        }
    }

    fn place(&mut self, object: Arc<Object>) {
        self.take(&object.path.clone());
        let path = object.path.clone();
        self.children
            .entry(parent_of(&path).to_owned())
            .or_default()
            .insert(path.clone());
        self.kinds
            .entry(object.kind.clone())
            .or_default()
            .insert(path.clone());
        for (target, _) in &object.references {
            self.referrers
                .entry(target.clone())
                .or_default()
                .insert(path.clone());
        }
        if let Some(id) = switch_id(&object) {
            self.switches.insert(id.to_owned(), path.clone());
        }
        if let Some(gateway) = gateway_of_segment(&object) {
            let segments = self.routed.entry(gateway.to_owned()).or_default();
            segments.insert(path.clone());
        }
        self.objects.insert(path, object);
    }

    fn take(&mut self, path: &str) {
        let Some(object) = self.objects.remove(path) else {
            return;
        };
        if let Some(siblings) = self.children.get_mut(parent_of(path)) {
            siblings.remove(path);
        }
        if let Some(alike) = self.kinds.get_mut(&object.kind) {
            alike.remove(path);
        }
        for (target, _) in &object.references {
            if let Some(set) = self.referrers.get_mut(target) {
                set.remove(path);
            }
        }
        if let Some(id) = switch_id(&object) {
            self.switches.remove(id);
        }
        if let Some(segments) = gateway_of_segment(&object).and_then(|g| self.routed.get_mut(g)) {
            segments.remove(path);
        }
    }
}

fn gateway_of_segment(object: &Object) -> Option<&str> {
    (object.kind == "Segment").then(|| crate::rules::gateway_of(&object.path, &object.body))?
}

fn switch_id(object: &Object) -> Option<&str> {
    (object.kind == "Segment").then(|| object.text("realization_id"))?
}
