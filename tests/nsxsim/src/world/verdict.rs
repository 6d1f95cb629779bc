//! Is the state after a write whole? Parents, references, children, and each type's own rules.

use std::sync::Arc;

use super::World;
use super::object::Object;
use super::write::Failure;
use crate::error::{IN_USE, NsxError, PORTS_ATTACHED};
use crate::kinds::{goes_with_parent, rank};
use crate::paths::parent_of;
use crate::rules;

impl World {
    /// Checks everything that the changes since [`super::store::Store::begin`] touched; the first problem in a
    /// steady order is told, with the type it is about.
    pub fn check_touched(&self) -> Result<(), Box<Failure>> {
        let mut touched: Vec<Arc<Object>> = self
            .store
            .changed()
            .iter()
            .filter_map(|path| self.store.any(path).cloned())
            .collect();
        touched.sort_by(|a, b| {
            rank(&a.kind)
                .cmp(&rank(&b.kind))
                .then_with(|| a.path.cmp(&b.path))
        });
        for object in touched {
            let verdict = if object.deleted {
                self.check_deleted(&object)
            } else {
                self.check_live(&object)
            };
            verdict.map_err(|e| Box::new(Failure::of(&object.kind, e)))?;
        }
        Ok(())
    }

    fn check_live(&self, object: &Object) -> Result<(), NsxError> {
        let parent = parent_of(&object.path);
        if !self.has_place(parent) {
            return Err(NsxError::invalid_path(parent));
        }
        for (target, kinds) in &object.references {
            let found = self.store.live(target);
            let good =
                found.is_some_and(|o| kinds.contains(&o.kind.as_str()) && self.may_name(&object.path, o));
            if !good {
                return Err(NsxError::invalid_path(target));
            }
        }
        rules::check(self, object, self.store.before(&object.path).map(AsRef::as_ref))
    }

    fn check_deleted(&self, object: &Object) -> Result<(), NsxError> {
        let mut users = Vec::new();
        for child in self
            .store
            .below(&object.path)
            .filter(|o| !goes_with_parent(&o.kind))
        {
            if child.kind == "SegmentPort" {
                let message = format!(
                    "Segment=[{}] has 1 or more VMs or VIFs attached. Disconnect them before deleting it.",
                    object.path
                );
                return Err(NsxError::bad(PORTS_ATTACHED, message));
            }
            users.push(child.path.clone());
        }
        if object.kind == "Project" {
            users.extend(self.store.descendants(&object.path).map(|o| o.path.clone()));
        }
        users.extend(self.store.referrers(&object.path).map(|o| o.path.clone()));
        if users.is_empty() {
            return rules::check_gone(self, object);
        }
        users.dedup();
        let message = format!(
            "The object path=[{}] cannot be deleted as either it has children or it is being referenced by other \
             objects path=[{}].",
            object.path,
            users.join(",")
        );
        Err(NsxError::bad(IN_USE, message))
    }
}
