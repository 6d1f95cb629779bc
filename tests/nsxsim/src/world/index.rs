//! What search knows: documents as they were, some time ago.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::document::Document;

/// The search index, by path (intents) or by kind and external id (inventory).
#[derive(Default)]
pub struct Index {
    entries: BTreeMap<String, (u64, Option<Arc<Document>>)>,
    /// Documents by their type: most queries are about one.
    types: BTreeMap<String, BTreeMap<String, Arc<Document>>>,
}

impl Index {
    /// Takes in a state, unless a newer one is known. `serial` is the event's number.
    pub fn learn(&mut self, key: String, serial: u64, document: Option<Arc<Document>>) {
        let known = self.entries.get(&key);
        if known.is_some_and(|(known, _)| *known > serial) {
            return;
        }
        let earlier = known.and_then(|(_, d)| d.as_deref()).map(type_of);
        if let Some(alike) = earlier.and_then(|t| self.types.get_mut(t)) {
            alike.remove(&key);
        }
        if let Some(document) = &document {
            let alike = self.types.entry(type_of(document).to_owned()).or_default();
            alike.insert(key.clone(), document.clone());
        }
        self.entries.insert(key, (serial, document));
    }

    /// All documents.
    pub fn documents(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.entries.values().filter_map(|(_, d)| d.as_ref())
    }

    /// Documents of some types, type by type.
    pub fn of_types(&self, types: &[&str]) -> impl Iterator<Item = &Arc<Document>> {
        let wanted = self.types.iter().filter(|(t, _)| types.contains(&t.as_str()));
        wanted.flat_map(|(_, alike)| alike.values())
    }
}

fn type_of(document: &Document) -> &str {
    document
        .get("resource_type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(index: &Index, kind: &str) -> Vec<Value> {
        index
            .of_types(&[kind])
            .map(|d| d.get("id").unwrap().clone())
            .collect()
    }

    #[test]
    fn the_newest_state_counts_by_path_and_by_type() {
        let mut index = Index::default();
        let document =
            |kind: &str, id: &str| Some(Arc::new(Document::from(json!({"resource_type": kind, "id": id}))));
        index.learn("/a".into(), 2, document("Group", "a"));
        index.learn("/a".into(), 1, document("Group", "old"));
        index.learn("/b".into(), 3, document("Group", "b"));
        assert_eq!(of(&index, "Group"), ["a", "b"]);
        index.learn("/a".into(), 4, document("Rule", "a"));
        assert_eq!(
            (of(&index, "Group"), of(&index, "Rule")),
            (vec![json!("b")], vec![json!("a")])
        );
        index.learn("/b".into(), 5, None);
        assert_eq!((of(&index, "Group").len(), index.documents().count()), (0, 1));
    }
}
