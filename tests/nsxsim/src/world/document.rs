//! What search shows of an object: its body as it was, shared and not copied, and its status.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::list::project;

/// A document of the search index.
#[derive(Clone, Debug)]
pub struct Document {
    body: Arc<Map<String, Value>>,
    status: Option<Value>,
}

impl Document {
    /// A body, with the field `status` where it has one.
    pub fn new(body: Arc<Map<String, Value>>, status: Option<Value>) -> Self {
        Self { body, status }
    }

    /// A field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        match &self.status {
            Some(status) if field == "status" => Some(status),
            _ => self.body.get(field),
        }
    }

    /// A field, dots going into objects.
    pub fn at(&self, field: &str) -> Option<&Value> {
        let (head, rest) = field.split_once('.').unwrap_or((field, ""));
        let value = self.get(head)?;
        if rest.is_empty() {
            Some(value)
        } else {
            super::list::field_of(value, rest)
        }
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.body.values().chain(&self.status)
    }

    /// The wanted fields, all where none is named.
    pub fn shown(&self, fields: &[String]) -> Value {
        let mut all = Map::clone(&self.body);
        if let Some(status) = &self.status {
            all.insert("status".into(), status.clone());
        }
        if fields.is_empty() {
            Value::Object(all)
        } else {
            project(&Value::Object(all), fields)
        }
    }
}

impl From<Value> for Document {
    fn from(value: Value) -> Self {
        let body = match value {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        Self::new(Arc::new(body), None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_lies_over_the_body() {
        let body = json!({"id": "a", "tags": [{"scope": "s"}]});
        let body = Arc::new(body.as_object().unwrap().clone());
        let with = Document::new(body.clone(), Some(json!({"publish_status": "REALIZED"})));
        let without = Document::new(body, None);
        let cases = [
            ("id", Some(json!("a")), Some(json!("a"))),
            ("status.publish_status", Some(json!("REALIZED")), None),
            ("missing", None, None),
            ("id.deeper", None, None),
        ];
        for (field, expected, bare) in cases {
            assert_eq!(with.at(field).cloned(), expected, "{field}");
            assert_eq!(without.at(field).cloned(), bare, "{field}");
        }
        let fields = ["id".to_owned(), "status.publish_status".into()];
        assert_eq!(
            with.shown(&fields),
            json!({"id": "a", "status": {"publish_status": "REALIZED"}})
        );
        assert_eq!((with.values().count(), without.values().count()), (3, 2));
        assert_eq!(without.shown(&[]), json!({"id": "a", "tags": [{"scope": "s"}]}));
    }
}
