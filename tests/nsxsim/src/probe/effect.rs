//! What is in effect.

use serde_json::{Map, Value};

use crate::world::World;
use crate::world::object::Object;

/// An object's body that is in effect, and the object.
#[derive(Clone, Copy)]
pub struct InEffect<'a> {
    /// The object; its own body may be ahead.
    pub object: &'a Object,
    /// The body in effect.
    pub body: &'a Map<String, Value>,
}

impl<'a> InEffect<'a> {
    /// Policy path.
    pub fn path(&self) -> &'a str {
        &self.object.path
    }
}

/// All objects of a type that are in effect, by path.
pub fn all<'a>(world: &'a World, kind: &str) -> impl Iterator<Item = InEffect<'a>> + use<'a> {
    let objects = world.store.any_of_kind(kind);
    objects.filter_map(|o| {
        o.realization
            .effective
            .as_deref()
            .map(|body| InEffect { object: o, body })
    })
}

/// One object that is in effect.
pub fn one<'a>(world: &'a World, path: &str) -> Option<InEffect<'a>> {
    let object = world.store.any(path)?;
    object
        .realization
        .effective
        .as_deref()
        .map(|body| InEffect { object, body })
}

/// A number of a body; 0 if absent.
pub fn number(body: &Map<String, Value>, field: &str) -> i64 {
    body.get(field).and_then(Value::as_i64).unwrap_or_default()
}

/// A switch of a body.
pub fn flag(body: &Map<String, Value>, field: &str) -> bool {
    body.get(field) == Some(&Value::Bool(true))
}

/// An arbitrary but steady number of a text: the order among equals, which the API leaves open.
pub fn arbitrary(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
