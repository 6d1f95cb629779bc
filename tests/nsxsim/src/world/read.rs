//! One object as a read shows it.

use serde_json::{Map, Value, json};

use super::World;
use super::object::Object;
use crate::error::NsxError;
use crate::kinds::EMBEDDED;
use crate::paths::{project_of, root_of};

impl World {
    /// GET of one object.
    pub fn read(&self, path: &str) -> Result<Value, NsxError> {
        let object = self.store.live(path).ok_or_else(|| NsxError::not_found(path))?;
        Ok(self.shown(object, true))
    }

    /// Is there something for objects to hang below: a live object, or a root (a project's goes with it)?
    pub fn has_place(&self, path: &str) -> bool {
        let is_root = path.is_empty() || root_of(path) == path;
        if is_root {
            project_of(path).is_none_or(|project| self.store.live(project).is_some())
        } else {
            self.store.live(path).is_some()
        }
    }

    /// An object's body, with its embedded children where wanted.
    pub fn shown(&self, object: &Object, embedded: bool) -> Value {
        let mut body = Map::clone(&object.body);
        for (parent, field, kind) in EMBEDDED.iter().filter(|(p, _, _)| *p == object.kind) {
            let always = *parent == "Service";
            if embedded || always {
                body.insert((*field).into(), Value::Array(self.embedded(&object.path, kind)));
            }
            if *field == "rules" {
                let count = self.store.collection(&object.path, kind, false).count();
                body.insert("rule_count".into(), json!(count));
            }
        }
        match object.kind.as_str() {
            "IpAddressPool" => {
                body.insert("pool_usage".into(), self.pool_usage(&object.path));
            }
            "IpAddressPoolBlockSubnet" => {
                let fields = self.carved_fields(&object.path).into_iter();
                body.extend(fields.map(|(key, value)| (key.to_owned(), json!(value))));
            }
            _ => {}
        }
        Value::Object(body)
    }

    /// Children that a parent embeds, rules by their sequence.
    fn embedded(&self, parent: &str, kind: &str) -> Vec<Value> {
        let mut children: Vec<Value> = self
            .store
            .collection(parent, kind, false)
            .map(|o| Value::Object(Map::clone(&o.body)))
            .collect();
        children.sort_by_key(|c| {
            c.get("sequence_number")
                .and_then(Value::as_i64)
                .unwrap_or_default()
        });
        children
    }
}
