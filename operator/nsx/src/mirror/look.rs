//! How an object looks to the world, and whether that is news.

use std::sync::Arc;

use serde_json::Value;

use super::entry::{Entry, Shown};
use crate::{Observed, Tag};

/// The object as callers get it.
pub(super) fn observed(path: &str, entry: &Entry) -> Option<Observed> {
    let Shown {
        body,
        realization,
        pending,
    } = entry.shown()?;
    Some(Observed {
        path: path.to_owned(),
        resource_type: entry.resource_type().to_owned(),
        body: Arc::new(body.at(path, entry.resource_type())),
        realization,
        pending,
    })
}

/// Whether an intent puts our mark on its object.
pub(super) fn declares(owner: &Tag, intent: &crate::Intent) -> bool {
    let tags = intent.body.get("tags").and_then(Value::as_array);
    tags.into_iter().flatten().any(|tag| {
        tag.get("scope").and_then(Value::as_str) == Some(&owner.scope)
            && tag.get("tag").and_then(Value::as_str) == Some(&owner.tag)
    })
}

/// Whether the world would call this a change. That a read confirms an own write is none.
pub(super) fn differs(before: Option<&Shown>, after: Option<&Shown>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return before.is_some() != after.is_some();
    };
    let confirms = || before.pending && !after.pending && after.body.shows(&before.body);
    before.realization != after.realization || !(before.body == after.body || confirms())
}
