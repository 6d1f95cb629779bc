//! An object's fields as compact text: trees of tens of thousands of objects would fill a process.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::tags_of;
use crate::overlay::shows;
use crate::{Tag, path};

/// What is kept apart, changes without a change of content, or follows from an object's place.
const LEFT_OUT: &[&str] = &[
    "id",
    "path",
    "parent_path",
    "relative_path",
    "remote_path",
    "resource_type",
    "owner_id",
    "origin_site_id",
    "marked_for_delete",
    "overridden",
    "status",
    "_revision",
    "_last_modified_time",
    "_last_modified_user",
    "_create_time",
    "_create_user",
];

/// What counts of an object, without its place. Equal bodies have the same content.
#[derive(Clone)]
pub(crate) struct Body(Arc<Inner>);

struct Inner {
    text: Box<str>,
    tags: Box<[(u64, u64)]>,
}

impl Body {
    pub(crate) fn of(object: &Value) -> Self {
        let tags = tags_of(object).map(|(scope, tag)| (mark(scope), mark(&(scope, tag))));
        let tags: Box<[(u64, u64)]> = tags.collect();
        let kept: Map<String, Value> = object
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let text = Value::Object(kept).to_string().into_boxed_str();
        Self(Arc::new(Inner { text, tags }))
    }

    /// The fields.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        // It was written from such a map.
        serde_json::from_str(&self.0.text).unwrap_or_default()
    }

    /// The object at its place.
    pub(crate) fn at(&self, path: &str, resource_type: &str) -> Value {
        let mut fields = self.fields();
        fields.insert("id".to_owned(), json!(path::id(path)));
        fields.insert("path".to_owned(), json!(path));
        fields.insert("resource_type".to_owned(), json!(resource_type));
        Value::Object(fields)
    }

    /// Whether it carries this tag, scope and value in one pair.
    pub(crate) fn carries(&self, tag: &Tag) -> bool {
        let wanted = mark(&(tag.scope.as_str(), tag.tag.as_str()));
        self.0.tags.iter().any(|(_, tag)| *tag == wanted)
    }

    /// Marks of its tags of one scope, see [`mark_of`].
    pub(crate) fn marks<'a>(&'a self, scope: &str) -> impl Iterator<Item = u64> + use<'a> {
        let wanted = mark(scope);
        let of_scope = move |(scope, tag): &(u64, u64)| (*scope == wanted).then_some(*tag);
        self.0.tags.iter().filter_map(of_scope)
    }

    /// Whether a read with this body shows all that was declared.
    pub(crate) fn shows(&self, declared: &Self) -> bool {
        Arc::ptr_eq(&self.0, &declared.0) || shows(&Value::Object(self.fields()), &declared.fields())
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.text)
    }
}

/// What a tag is found by.
pub(crate) fn mark_of(tag: &Tag) -> u64 {
    mark(&(tag.scope.as_str(), tag.tag.as_str()))
}

fn mark(what: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_kept_and_the_place_put_back() {
        let object = json!({
            "id": "web", "path": "/infra/segments/web", "resource_type": "Segment", "vlan_ids": ["1"], "_revision": 4,
            "realization_id": "r", "status": {"x": 1}, "_last_modified_time": 7, "marked_for_delete": false,
        });
        let body = Body::of(&object);
        assert_eq!(
            body.at("/infra/segments/web", "Segment"),
            json!({"id": "web", "path": "/infra/segments/web", "resource_type": "Segment", "vlan_ids": ["1"],
                "realization_id": "r"})
        );
        let later = json!({"vlan_ids": ["1"], "realization_id": "r", "_revision": 5, "status": {"x": 2}});
        assert_eq!(body, Body::of(&later), "revisions and times are no content");
        for other in [
            json!({"vlan_ids": ["2"], "realization_id": "r"}),
            json!({"vlan_ids": ["1"], "realization_id": "r", "more": 1}),
            json!({"realization_id": "r"}),
        ] {
            assert_ne!(body, Body::of(&other));
        }
        assert!(Body::of(&json!(7)).fields().is_empty());
    }

    #[test]
    fn tags_are_found_in_pairs() {
        let body = Body::of(
            &json!({"tags": [{"scope": "a", "tag": "1"}, {"scope": "b", "tag": "2"}, {"scope": "b"}]}),
        );
        assert!(body.carries(&Tag::new("a", "1")) && body.carries(&Tag::new("b", "")));
        assert!(!body.carries(&Tag::new("a", "2")) && !body.carries(&Tag::new("b", "1")));
        let marks: Vec<u64> = body.marks("b").collect();
        assert_eq!(marks, [mark_of(&Tag::new("b", "2")), mark_of(&Tag::new("b", ""))]);
    }
}
