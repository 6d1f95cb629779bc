//! `PATCH /infra`, `PATCH /org-root`: a tree of wrapped children, read into a flat list of changes.

use serde_json::{Map, Value};

use super::World;
use super::write::{Change, Mode};
use crate::error::{FIELD, JSON, NsxError};
use crate::paths::child_path;
use crate::schema::Strictness;

const REFERENCE: &str = "ChildResourceReference";

impl World {
    /// Reads the tree below a root of type `kind`. Nothing is touched.
    ///
    /// # Errors
    /// 400 naming the field: unknown or misplaced children, missing ids, bodies that are not their type, too many.
    pub fn read_tree(
        &self,
        kind: &str,
        path: &str,
        body: &Map<String, Value>,
        mode: Mode,
    ) -> Result<Vec<Change>, NsxError> {
        let mut changes = Vec::new();
        self.schema
            .read(kind, &without(body, "children"), Strictness::Whole)?;
        self.walk(kind, path, body.get("children"), mode, &mut changes)?;
        let count = changes
            .iter()
            .filter(|c| !matches!(c, Change::Pass { .. }))
            .count();
        if count > self.tuning.hierarchy_limit {
            let limit = self.tuning.hierarchy_limit;
            let message =
                format!("Number of objects {count} in the hierarchical call exceeds the limit of {limit}.");
            return Err(NsxError::bad(FIELD, message));
        }
        Ok(changes)
    }

    fn walk(
        &self,
        parent_kind: &str,
        parent: &str,
        children: Option<&Value>,
        mode: Mode,
        out: &mut Vec<Change>,
    ) -> Result<(), NsxError> {
        let list = match children {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(shape(&format!("children of {parent} is not a list"))),
        };
        for child in list {
            let Value::Object(wrapper) = child else {
                return Err(shape(&format!("a child of {parent} is not an object")));
            };
            let kind = wrapper
                .get("resource_type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if kind == REFERENCE {
                self.pass(parent_kind, parent, wrapper, mode, out)?;
            } else {
                self.child(parent_kind, parent, kind, wrapper, mode, out)?;
            }
        }
        Ok(())
    }

    /// A reference: walk through without touching.
    fn pass(
        &self,
        parent_kind: &str,
        parent: &str,
        wrapper: &Map<String, Value>,
        mode: Mode,
        out: &mut Vec<Change>,
    ) -> Result<(), NsxError> {
        let own = without(wrapper, "children");
        self.schema.read(REFERENCE, &own, Strictness::Whole)?;
        let kind = own.get("target_type").and_then(Value::as_str).unwrap_or_default();
        let path = place(parent_kind, parent, kind, own.get("id"))?;
        out.push(Change::Pass {
            path: path.clone(),
            kind: kind.to_owned(),
        });
        self.walk(kind, &path, wrapper.get("children"), mode, out)
    }

    /// `ChildX {X: {...}}`: an upsert, or with the flag a delete.
    fn child(
        &self,
        parent_kind: &str,
        parent: &str,
        wrapper_kind: &str,
        wrapper: &Map<String, Value>,
        mode: Mode,
        out: &mut Vec<Change>,
    ) -> Result<(), NsxError> {
        let known = self.schema.get("ChildPolicyConfigResource");
        if !known.is_some_and(|t| t.subtypes.iter().any(|s| s == wrapper_kind)) {
            return Err(shape(&format!(
                "children of {parent}: unknown resource_type {wrapper_kind}"
            )));
        }
        let kind = wrapper_kind.strip_prefix("Child").unwrap_or(wrapper_kind);
        let Some(Value::Object(object)) = wrapper.get(kind) else {
            return Err(NsxError::fields(&[format!("{wrapper_kind}.{kind} is required")]));
        };
        let own = without(wrapper, kind);
        self.schema.read(wrapper_kind, &own, Strictness::Part)?;
        let path = place(parent_kind, parent, kind, object.get("id"))?;
        let flag = |map: &Map<String, Value>| map.get("marked_for_delete") == Some(&Value::Bool(true));
        if flag(wrapper) || flag(object) {
            // What hangs below goes too, named or not; what is named has to be well formed nevertheless.
            self.walk(kind, &path, object.get("children"), mode, &mut Vec::new())?;
            let named = without(object, "children");
            if self.schema.concrete(kind, &named).is_some() {
                self.schema.read(kind, &named, Strictness::Part)?;
            }
            let revision = object.get("_revision").and_then(Value::as_i64);
            out.push(Change::Delete {
                path,
                kind: kind.to_owned(),
                revision,
            });
            return Ok(());
        }
        let children = object.get("children");
        if kind == "Infra" {
            let kind = kind.to_owned();
            out.push(Change::Pass {
                path: path.clone(),
                kind,
            });
            return self.walk("Infra", &path, children, mode, out);
        }
        out.push(Change::Upsert {
            path: path.clone(),
            kind: kind.to_owned(),
            body: without(object, "children"),
            mode,
        });
        self.walk(kind, &path, children, mode, out)
    }
}

/// A body without one of its fields: what is left out is not copied.
fn without(body: &Map<String, Value>, field: &str) -> Map<String, Value> {
    let kept = body.iter().filter(|(key, _)| *key != field);
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn place(parent_kind: &str, parent: &str, kind: &str, id: Option<&Value>) -> Result<String, NsxError> {
    let id = if kind == "Infra" {
        Some("infra")
    } else {
        id.and_then(Value::as_str)
    };
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Err(NsxError::fields(&[format!(
            "id of a {kind} below {parent} is required"
        )]));
    };
    child_path(parent_kind, parent, kind, id).ok_or_else(|| {
        let message = format!("{kind} is not a valid child of {parent_kind} (path=[{parent}])");
        NsxError::bad(FIELD, message)
    })
}

fn shape(message: &str) -> NsxError {
    NsxError::bad(JSON, format!("JSON Parser error: {message}")).common()
}
