//! The vendor's type facts: fields, enums, bounds, defaults, and which operations exist.
//!
//! The fixture is data (names, numbers, enum values); everything that is said only in prose lives in
//! [`crate::rules`].

mod defaults;
mod format;
mod validate;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

pub use validate::Strictness;

/// All types and operations the simulator knows.
#[derive(Debug, Deserialize)]
pub struct Schema {
    /// Types by name.
    pub types: BTreeMap<String, Type>,
    /// Operations that exist.
    pub operations: Vec<Operation>,
}

/// One type.
#[derive(Debug, Deserialize)]
pub struct Type {
    /// Field that selects the subtype.
    pub discriminator: Option<String>,
    /// Value of the discriminator for this type.
    pub discriminator_value: Option<String>,
    /// Types that extend this discriminated base.
    #[serde(default)]
    pub subtypes: Vec<String>,
    /// All fields, inherited ones included.
    pub fields: BTreeMap<String, Field>,
}

/// One field, or the element of an array field.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Field {
    /// JSON type; absent means anything.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Name of the object's type.
    #[serde(rename = "$ref")]
    pub target: Option<String>,
    /// Element of an array.
    pub items: Option<Box<Field>>,
    /// Must be given.
    pub required: bool,
    /// Given by the server; accepted from clients and ignored.
    pub read_only: bool,
    /// Value when absent.
    pub default: Option<Value>,
    /// Allowed values.
    #[serde(rename = "enum")]
    pub values: Option<Vec<Value>>,
    /// Lowest number.
    pub min: Option<f64>,
    /// Highest number.
    pub max: Option<f64>,
    /// Shortest text.
    pub min_length: Option<usize>,
    /// Longest text.
    pub max_length: Option<usize>,
    /// Fewest elements.
    pub min_items: Option<usize>,
    /// Most elements.
    pub max_items: Option<usize>,
    /// No element twice.
    pub unique_items: bool,
    /// Named format.
    pub format: Option<String>,
}

/// One operation of the API.
#[derive(Debug, Deserialize)]
pub struct Operation {
    /// Path template with the API's base.
    pub path: String,
}

impl Schema {
    /// The embedded facts.
    ///
    /// # Errors
    /// When the embedded fixture is not readable, which a unit test rules out.
    pub fn embedded() -> Result<&'static Self, String> {
        static SCHEMA: OnceLock<Result<Schema, String>> = OnceLock::new();
        let parsed = SCHEMA.get_or_init(|| {
            serde_json::from_str(include_str!("../../fixtures/nsx-schema.json")).map_err(|e| e.to_string())
        });
        parsed.as_ref().map_err(Clone::clone)
    }

    /// A type by name.
    pub fn get(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    /// The concrete type of a body that should be a `base`: the discriminator's choice, or `base` itself.
    /// `None` when the body names no subtype of `base`.
    pub fn concrete(&self, base: &str, body: &serde_json::Map<String, Value>) -> Option<String> {
        let kind = self.get(base)?;
        let Some(discriminator) = &kind.discriminator else {
            return Some(base.to_owned());
        };
        let named = body.get(discriminator).and_then(Value::as_str);
        match named {
            Some(name) if name == base && kind.subtypes.is_empty() => Some(base.to_owned()),
            Some(name) if kind.subtypes.iter().any(|s| s == name) => Some(name.to_owned()),
            // A base whose subtypes are not among the facts is taken at its own word.
            Some(_) | None if kind.subtypes.is_empty() && kind.discriminator_value.is_none() => {
                Some(base.to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_facts_are_readable_and_closed() {
        let schema = Schema::embedded().unwrap();
        assert!(schema.types.len() > 100);
        for base in schema.types.values() {
            for sub in &base.subtypes {
                assert!(schema.get(sub).is_some(), "{sub}");
            }
        }
        assert!(schema.operations.iter().any(|o| o.path == "/policy/api/v1/infra"));
    }
}
