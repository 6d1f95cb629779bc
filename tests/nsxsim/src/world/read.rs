//! One object as a read shows it.

use serde_json::{Value, json};

use super::World;
use super::object::Object;
use crate::error::NsxError;
use crate::kinds::EMBEDDED;

impl World {
    /// GET of one object.
    pub fn read(&self, path: &str) -> Result<Value, NsxError> {
        let object = self.store.live(path).ok_or_else(|| NsxError::not_found(path))?;
        Ok(self.shown(object, true))
    }

    /// An object's body, with its embedded children where wanted.
    pub fn shown(&self, object: &Object, embedded: bool) -> Value {
        let mut body = object.body.clone();
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
        Value::Object(body)
    }

    /// Children that a parent embeds, rules by their sequence.
    fn embedded(&self, parent: &str, kind: &str) -> Vec<Value> {
        let mut children: Vec<Value> = self
            .store
            .collection(parent, kind, false)
            .map(|o| Value::Object(o.body.clone()))
            .collect();
        children.sort_by_key(|c| {
            c.get("sequence_number")
                .and_then(Value::as_i64)
                .unwrap_or_default()
        });
        children
    }
}
