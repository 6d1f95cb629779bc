//! What is wanted of NSX.

use serde_json::{Map, Value};

/// One object as it should be: the fields we declare, and no others.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Policy path.
    pub path: String,
    /// NSX type.
    pub resource_type: &'static str,
    /// The declared fields.
    pub body: Map<String, Value>,
}

impl Intent {
    /// An intent from its fields; fields whose value is null are not declared.
    #[must_use]
    pub fn new(path: String, resource_type: &'static str, fields: Value) -> Self {
        let mut body = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        body.retain(|_, value| !value.is_null());
        Self {
            path,
            resource_type,
            body,
        }
    }

    /// What a person calls it.
    #[must_use]
    pub fn what(&self) -> String {
        let name = self
            .body
            .get("display_name")
            .and_then(Value::as_str)
            .unwrap_or(&self.path);
        format!("{} {name}", self.resource_type)
    }
}

/// One change in NSX.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Create or replace.
    Put(Intent),
    /// Remove.
    Delete {
        /// Policy path.
        path: String,
        /// NSX type.
        resource_type: String,
    },
}
