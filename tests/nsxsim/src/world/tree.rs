//! `GET /infra?type_filter=…&base_path=…`: a subtree in one answer, not lagging behind as search does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::World;
use super::object::Object;
use crate::error::NsxError;
use crate::paths::{ORG_ROOT, glob, kind_at, parent_of, project_of, root_of};

/// Which types of a tree are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Type names; empty with `all` false = the root alone.
    pub kinds: Vec<String>,
    /// Only below this path.
    pub base: Option<String>,
}

impl Wanted {
    /// Reads `type_filter`, `filter` (`Type-Domain|Group`) and `base_path`.
    pub fn from_query(query: &[(String, String)]) -> Self {
        let get = |key: &str| query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        let list = get("type_filter").or_else(|| get("filter").and_then(|f| f.strip_prefix("Type-")));
        let kinds = list.unwrap_or_default().split([';', '|', ',']);
        Self {
            kinds: kinds
                .map(str::trim)
                .filter(|k| !k.is_empty())
                .map(str::to_owned)
                .collect(),
            base: get("base_path").filter(|b| !b.is_empty()).map(str::to_owned),
        }
    }

    fn takes(&self, object: &Object) -> bool {
        let base = kind_at(&object.path).unwrap_or_default();
        self.kinds
            .iter()
            .any(|k| k == &object.kind || k == base || glob(&k.replace(".*", "*"), &object.kind))
    }
}

/// What a path hangs below: a project's root hangs below the project.
fn above(path: &str) -> &str {
    match project_of(path) {
        Some(project) if root_of(path) == path => project,
        _ => parent_of(path),
    }
}

impl World {
    /// The tree of wanted objects, each below its parents.
    ///
    /// # Errors
    /// 400 when `base_path` does not exist.
    pub fn tree(&self, root: &str, wanted: &Wanted) -> Result<Value, NsxError> {
        let top = if root == ORG_ROOT { "" } else { root };
        let base = wanted.base.as_deref().unwrap_or(top);
        let inside = base == top || base.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
        if !inside || !self.has_place(base) {
            return Err(NsxError::invalid_path(base));
        }
        let own = self.store.live(base).into_iter();
        let taken: Vec<&Arc<Object>> = own
            .chain(self.store.descendants(base))
            .filter(|o| wanted.takes(o) && (root != ORG_ROOT || o.path.starts_with("/orgs")))
            .collect();
        let full: BTreeSet<&str> = taken.iter().map(|o| o.path.as_str()).collect();
        let mut below: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for object in &taken {
            let mut path = object.path.as_str();
            while path != top && !path.is_empty() {
                let parent = above(path);
                if !below.entry(parent).or_default().insert(path) {
                    break;
                }
                path = parent;
            }
        }
        let mut body = self.root(root);
        let children = self.branches(top, &below, &full);
        if !children.is_empty() {
            body.insert("children".into(), Value::Array(children));
        }
        Ok(Value::Object(body))
    }

    fn branches(
        &self,
        parent: &str,
        below: &BTreeMap<&str, BTreeSet<&str>>,
        full: &BTreeSet<&str>,
    ) -> Vec<Value> {
        let paths = below.get(parent).into_iter().flatten();
        paths.filter_map(|path| self.branch(path, below, full)).collect()
    }

    fn branch(
        &self,
        path: &str,
        below: &BTreeMap<&str, BTreeSet<&str>>,
        full: &BTreeSet<&str>,
    ) -> Option<Value> {
        let children = self.branches(path, below, full);
        if kind_at(path) == Some("Infra") {
            let mut body = self.root(path);
            body.insert("children".into(), Value::Array(children));
            return Some(json!({"resource_type": "ChildInfra", "marked_for_delete": false, "Infra": body}));
        }
        let object = self.store.live(path)?;
        let base = kind_at(path)?;
        if self.tuning.tree_shows_way_as_references && !full.contains(path) {
            return Some(json!({
                "resource_type": "ChildResourceReference", "id": object.text("id"), "target_type": base,
                "children": children,
            }));
        }
        let mut body = Map::clone(&object.body);
        if !children.is_empty() {
            body.insert("children".into(), Value::Array(children));
        }
        let mut wrapper = Map::new();
        wrapper.insert("resource_type".into(), json!(format!("Child{base}")));
        wrapper.insert("marked_for_delete".into(), json!(false));
        wrapper.insert("mark_for_override".into(), json!(false));
        wrapper.insert(base.into(), Value::Object(body));
        Some(Value::Object(wrapper))
    }

    /// `/infra`, a project's, or `/org-root` itself.
    fn root(&self, path: &str) -> Map<String, Value> {
        let (kind, id) = if path == ORG_ROOT {
            ("OrgRoot", "org-root")
        } else {
            ("Infra", "infra")
        };
        let body = json!({
            "resource_type": kind, "id": id, "display_name": id, "path": path, "relative_path": id, "owner_id": self.cluster_id, "marked_for_delete": false,
            "overridden": false, "_create_user": "system", "_create_time": self.started,
            "_last_modified_user": "system", "_last_modified_time": self.started, "_system_owned": false,
            "_protection": "NOT_PROTECTED", "_revision": 0,
        });
        match body {
            Value::Object(mut map) if kind == "Infra" => {
                map.insert("connectivity_strategy".into(), json!("BLACKLIST"));
                map
            }
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}
