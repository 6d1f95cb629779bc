//! What search knows: documents as they were, some time ago.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// The search index, by path (intents) or by kind and external id (inventory).
#[derive(Default)]
pub struct Index {
    entries: BTreeMap<String, (u64, Option<Arc<Value>>)>,
}

impl Index {
    /// Takes in a state, unless a newer one is known. `serial` is the event's number.
    pub fn learn(&mut self, key: String, serial: u64, document: Option<Arc<Value>>) {
        let newer = self.entries.get(&key).is_some_and(|(known, _)| *known > serial);
        if !newer {
            self.entries.insert(key, (serial, document));
        }
    }

    /// All documents.
    pub fn documents(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.entries.values().filter_map(|(_, d)| d.as_ref())
    }
}
