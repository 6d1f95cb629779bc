//! Writes: any number of changes, all of them or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::object::Object;
use super::{Actor, World};
use crate::error::{EXISTS, FIELD, INVALID_PATH, MARKED_FOR_DELETE, NsxError, SYSTEM_OWNED};
use crate::kinds::{EMBEDDED, goes_with_parent};
use crate::paths::{child_path, id_of, is_gateway, is_id, kind_at};
use crate::schema::Strictness;

/// How a body meets what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// PUT: needs the revision, replaces embedded children.
    Put,
    /// PATCH: replaces fields, merges embedded children.
    Patch,
    /// PATCH with partial patch on: merges fields.
    Merge,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Change {
    /// Create or update. `kind` is the collection's base type, `body` as it came.
    Upsert {
        path: String,
        kind: String,
        body: Map<String, Value>,
        mode: Mode,
    },
    /// Delete; the revision counts only where revisions are enforced.
    Delete {
        path: String,
        kind: String,
        revision: Option<i64>,
    },
    /// The object must be there; it is not touched.
    Pass { path: String, kind: String },
}

impl Change {
    /// The path it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Upsert { path, .. } | Self::Delete { path, .. } | Self::Pass { path, .. } => path,
        }
    }

    /// The type it is about.
    pub fn kind(&self) -> &str {
        match self {
            Self::Upsert { kind, .. } | Self::Delete { kind, .. } | Self::Pass { kind, .. } => kind,
        }
    }
}

/// Why a write failed, and the type it failed on.
pub struct Failure {
    kind: String,
    cause: NsxError,
}

impl Failure {
    /// A cause, with its type.
    pub fn of(kind: &str, cause: NsxError) -> Self {
        Self {
            kind: kind.to_owned(),
            cause,
        }
    }
}

/// What a write was about, apart from its changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Every child carries the right `_revision`, or 412.
    pub enforce_revision: bool,
    /// The call is hierarchical: causes are wrapped.
    pub hierarchical: bool,
}

impl World {
    /// Makes all changes, or none and says why.
    pub fn commit(&mut self, changes: &[Change], terms: Terms, actor: &Actor) -> Result<(), NsxError> {
        let read = changes
            .iter()
            .map(|c| self.read_change(c))
            .collect::<Result<Vec<_>, _>>()?;
        self.store.begin();
        match self.attempt(&read, terms, actor) {
            Ok(()) => {
                let touched = self.store.keep();
                self.plan_realization(&touched, actor.now);
                Ok(())
            }
            Err(failure) => {
                let Failure { kind, cause } = *failure;
                self.store.rollback();
                let wrap = terms.hierarchical && cause.status == 400;
                Err(if wrap {
                    NsxError::hierarchy(&kind, cause)
                } else {
                    cause
                })
            }
        }
    }

    /// Reads a body into its type before anything is touched, as a parser would.
    fn read_change(&self, change: &Change) -> Result<Change, NsxError> {
        let Change::Upsert {
            path,
            kind,
            body,
            mode,
        } = change
        else {
            return Ok(change.clone());
        };
        let strict = if *mode == Mode::Merge {
            Strictness::Part
        } else {
            Strictness::Whole
        };
        let cleaned = self.schema.read(kind, body, strict)?;
        if body
            .get("children")
            .and_then(Value::as_array)
            .is_some_and(|c| !c.is_empty())
        {
            return Err(NsxError::bad(FIELD, "children are for the hierarchical API only").common());
        }
        if body
            .get("id")
            .and_then(Value::as_str)
            .is_some_and(|id| id != id_of(path))
        {
            return Err(NsxError::bad(FIELD, format!("id does not match the path {path}")).common());
        }
        Ok(Change::Upsert {
            path: path.clone(),
            kind: kind.clone(),
            body: cleaned,
            mode: *mode,
        })
    }

    fn attempt(&mut self, changes: &[Change], terms: Terms, actor: &Actor) -> Result<(), Box<Failure>> {
        let mut seen = BTreeSet::new();
        for change in changes {
            let twice = !matches!(change, Change::Pass { .. }) && !seen.insert(change.path());
            let done = if twice {
                Err(NsxError::bad(
                    INVALID_PATH,
                    format!("The path=[{}] is given twice", change.path()),
                ))
            } else {
                self.apply(change, terms, actor)
            };
            done.map_err(|e| Box::new(Failure::of(change.kind(), e)))?;
        }
        for change in changes {
            if let Change::Pass { path, kind } = change
                && !self.has_place(path)
            {
                return Err(Box::new(Failure::of(kind, NsxError::invalid_path(path))));
            }
        }
        self.check_touched()
    }

    fn apply(&mut self, change: &Change, terms: Terms, actor: &Actor) -> Result<(), NsxError> {
        match change {
            Change::Upsert {
                path,
                kind,
                body,
                mode,
            } => self.upsert(path, kind, body.clone(), *mode, terms, actor),
            Change::Delete { path, revision, .. } => self.delete(path, *revision, terms, actor),
            Change::Pass { .. } => Ok(()),
        }
    }

    fn upsert(
        &mut self,
        path: &str,
        base: &str,
        mut declared: Map<String, Value>,
        mode: Mode,
        terms: Terms,
        actor: &Actor,
    ) -> Result<(), NsxError> {
        if !is_id(id_of(path)) {
            return Err(NsxError::bad(FIELD, format!("URI is invalid: {path}")).common());
        }
        if self.store.any(path).is_some_and(|o| o.deleted) {
            let message = format!(
                "The path=[{path}] is marked for deletion. Either use another path or wait for the purge cycle."
            );
            return Err(NsxError::bad(MARKED_FOR_DELETE, message));
        }
        let old = self.store.live(path).cloned();
        self.check_revision(path, old.as_deref(), declared.get("_revision"), mode, terms)?;
        declared.remove("_revision");
        let kind = self.concrete_kind(base, &declared, old.as_deref(), mode)?;
        let embedded = take_embedded(&kind, &mut declared);
        if let Some(old) = &old {
            may_write(old, actor)?;
            if mode == Mode::Merge {
                declared = merged(&old.declared, &declared);
                declared = self.schema.read(base, &declared, Strictness::Whole)?;
            }
        }
        declared.insert("resource_type".into(), Value::from(kind.clone()));
        let unchanged = old.as_ref().is_some_and(|o| *o.declared == declared);
        if !unchanged || self.tuning.noop_patch_raises_revision {
            let object = self.compose(path, &kind, declared, old.as_deref(), actor);
            let is_new = old.is_none();
            self.store.put(object);
            if is_new {
                self.plant_companions(path, &kind, actor);
            }
        }
        if let Some(children) = embedded {
            self.upsert_embedded(path, &kind, children, mode, actor)?;
        }
        Ok(())
    }

    fn concrete_kind(
        &self,
        base: &str,
        declared: &Map<String, Value>,
        old: Option<&Object>,
        mode: Mode,
    ) -> Result<String, NsxError> {
        let named = self.schema.concrete(base, declared);
        match (named, old) {
            (Some(kind), Some(old)) if old.kind != kind => {
                let message = format!("resource_type of an object cannot change: {} to {kind}", old.kind);
                Err(NsxError::bad(FIELD, message).common())
            }
            (Some(kind), _) => Ok(kind),
            (None, Some(old)) if mode == Mode::Merge => Ok(old.kind.clone()),
            (None, _) => Err(NsxError::bad(FIELD, "resource_type is required").common()),
        }
    }

    fn check_revision(
        &self,
        path: &str,
        old: Option<&Object>,
        given: Option<&Value>,
        mode: Mode,
        terms: Terms,
    ) -> Result<(), NsxError> {
        let Some(old) = old else { return Ok(()) };
        let given = given.and_then(Value::as_i64);
        let checked = mode == Mode::Put || terms.enforce_revision;
        if !checked || given == Some(old.revision()) {
            return Ok(());
        }
        if mode == Mode::Put && given.is_none() {
            let message = format!("Cannot create an object with path=[{path}] as it already exists.");
            return Err(NsxError::bad(EXISTS, message));
        }
        let message = format!(
            "The object {path} is modified by somebody else, its _revision is {}. Fetch it and try again.",
            old.revision()
        );
        Err(NsxError::new(412, self.tuning.stale_revision_code, message))
    }

    fn upsert_embedded(
        &mut self,
        parent: &str,
        kind: &str,
        children: Embedded,
        mode: Mode,
        actor: &Actor,
    ) -> Result<(), NsxError> {
        let mut kept = BTreeSet::new();
        for child in children.bodies {
            let Some(id) = child.get("id").and_then(Value::as_str).map(str::to_owned) else {
                return Err(NsxError::bad(FIELD, format!("{}.id is required", children.field)).common());
            };
            let Some(path) = child_path(kind, parent, children.kind, &id) else {
                continue;
            };
            if !kept.insert(path.clone()) {
                return Err(
                    NsxError::bad(FIELD, format!("{}: {id} is given twice", children.field)).common(),
                );
            }
            let mut child = child;
            child.remove("_revision");
            self.upsert(&path, children.kind, child, Mode::Patch, Terms::default(), actor)?;
        }
        if mode == Mode::Put {
            let there: Vec<String> = self
                .store
                .collection(parent, children.kind, false)
                .map(|o| o.path.clone())
                .collect();
            for path in there.iter().filter(|p| !kept.contains(*p)) {
                self.mark_deleted(path, actor);
            }
        }
        Ok(())
    }

    fn delete(
        &mut self,
        path: &str,
        revision: Option<i64>,
        terms: Terms,
        actor: &Actor,
    ) -> Result<(), NsxError> {
        let Some(object) = self.store.live(path).cloned() else {
            let lenient = terms.hierarchical && !self.tuning.hierarchy_delete_of_missing_fails;
            let went_with_parent = self.store.changed().iter().any(|changed| changed == path);
            return if lenient || went_with_parent {
                Ok(())
            } else {
                Err(NsxError::not_found(path))
            };
        };
        may_write(&object, actor)?;
        if object.kind == "PolicyNat" || is_default(&object) {
            return Err(NsxError::bad(
                SYSTEM_OWNED,
                format!("The path=[{path}] cannot be deleted by a user"),
            ));
        }
        if terms.enforce_revision && revision != Some(object.revision()) {
            let message = format!("The object {path} is modified by somebody else.");
            return Err(NsxError::new(412, self.tuning.stale_revision_code, message));
        }
        if terms.hierarchical {
            self.mark_descendants(path, actor);
        }
        self.mark_deleted(path, actor);
        Ok(())
    }

    /// In a hierarchical call a deletion takes all that hangs below with it, says the text of `marked_for_delete`.
    /// Ports stay: they are vSphere's, and keep their segment.
    fn mark_descendants(&mut self, path: &str, actor: &Actor) {
        let below: Vec<String> = self
            .store
            .descendants(path)
            .filter(|o| o.kind != "SegmentPort")
            .map(|o| o.path.clone())
            .collect();
        for path in below {
            self.mark_deleted(&path, actor);
        }
    }

    /// Marks an object and all that goes with it.
    pub fn mark_deleted(&mut self, path: &str, actor: &Actor) {
        let Some(object) = self.store.live(path).cloned() else {
            return;
        };
        let mut parts: Vec<String> = self
            .store
            .below(path)
            .filter(|o| goes_with_parent(&o.kind))
            .map(|o| o.path.clone())
            .collect();
        parts.extend(self.companions(&object));
        for part in parts {
            self.mark_deleted(&part, actor);
        }
        self.generation = self.generation.saturating_add(1);
        let mut marked = Object::clone(&object);
        marked.deleted = true;
        marked.generation = self.generation;
        let body = marked.body_mut();
        body.insert("marked_for_delete".into(), Value::Bool(true));
        body.insert("_last_modified_time".into(), Value::from(actor.now));
        body.insert("_last_modified_user".into(), Value::from(actor.user.clone()));
        self.store.put(marked);
    }

    /// What the system made together with a gateway or a project.
    fn companions(&self, object: &Arc<Object>) -> Vec<String> {
        if object.kind == "Project" {
            let inside = self.store.descendants(&object.path);
            return inside
                .filter(|o| o.is_system_owned())
                .map(|o| o.path.clone())
                .collect();
        }
        if !is_gateway(&object.path) {
            return Vec::new();
        }
        let policies = self
            .store
            .referrers(&object.path)
            .filter(|o| o.is_system_owned() && o.kind == "Rule");
        policies
            .map(|rule| crate::paths::parent_of(&rule.path).to_owned())
            .collect()
    }

    /// Makes what the system makes together with a gateway or a project.
    fn plant_companions(&mut self, path: &str, kind: &str, actor: &Actor) {
        match kind {
            "Tier0" | "Tier1" => super::seed::gateway(self, path, kind, actor.now),
            "Project" => super::seed::project(self, path, actor.now),
            _ => {}
        }
    }

    /// Puts an object of the system's own in place.
    pub fn plant(&mut self, path: &str, mut declared: Map<String, Value>, now: u64) {
        let Some(base) = kind_at(path) else { return };
        let kind = self
            .schema
            .concrete(base, &declared)
            .unwrap_or_else(|| base.to_owned());
        declared.insert("resource_type".into(), Value::from(kind.clone()));
        let system = Actor {
            user: "system".into(),
            now,
        };
        let object = self.compose(path, &kind, declared, None, &system);
        self.store.put(object);
    }
}

/// Children taken out of a parent's body.
struct Embedded {
    field: &'static str,
    kind: &'static str,
    bodies: Vec<Map<String, Value>>,
}

fn take_embedded(kind: &str, declared: &mut Map<String, Value>) -> Option<Embedded> {
    let (_, field, child) = EMBEDDED.iter().find(|(parent, _, _)| *parent == kind)?;
    let Value::Array(list) = declared.remove(*field)? else {
        return None;
    };
    let bodies = list.into_iter().filter_map(|v| match v {
        Value::Object(map) => Some(map),
        _ => None,
    });
    Some(Embedded {
        field,
        kind: child,
        bodies: bodies.collect(),
    })
}

/// Predefined objects are read-only; default policies and their rules may be edited, not deleted.
fn may_write(object: &Object, actor: &Actor) -> Result<(), NsxError> {
    let fixed =
        matches!(object.kind.as_str(), "Service" | "PolicyNat") || object.kind.ends_with("ServiceEntry");
    if fixed && object.is_system_owned() && actor.user != "system" {
        let message = format!("The path=[{}] is system owned and cannot be changed", object.path);
        return Err(NsxError::bad(SYSTEM_OWNED, message));
    }
    Ok(())
}

fn is_default(object: &Object) -> bool {
    object.body.get("is_default") == Some(&Value::Bool(true))
}

/// Partial patch: objects merge field by field, arrays and scalars are replaced as a whole.
fn merged(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut result: BTreeMap<String, Value> = old.clone().into_iter().collect();
    for (key, value) in new {
        let value = match (result.get(key), value) {
            (Some(Value::Object(a)), Value::Object(b))
                if a.get("resource_type") == b.get("resource_type") =>
            {
                Value::Object(merged(a, b))
            }
            _ => value.clone(),
        };
        result.insert(key.clone(), value);
    }
    result.into_iter().collect()
}
