//! What the PropertyCollector answers: updates while waiting, and the contents of a single read.

use crate::error::Error;
use crate::moref::Moref;
use crate::session::Session;
use crate::soap::Call;
use crate::xml::{Node, Writer};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is there, with all its properties; known before or not.
    Enter,
    /// Some properties changed.
    Modify,
    /// It is gone.
    Leave,
}

/// New values of an object's properties; `None` is unset or unreadable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectUpdate {
    pub kind: Kind,
    pub moref: Moref,
    pub changes: Vec<(String, Option<Node>)>,
}

/// The updates of one filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilterUpdate {
    pub filter: Moref,
    pub objects: Vec<ObjectUpdate>,
}

/// One answer to a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpdateSet {
    pub version: String,
    /// More of the same state follows at once; what is not in here may still come.
    pub truncated: bool,
    pub filters: Vec<FilterUpdate>,
}

impl UpdateSet {
    /// Reads the answer to `WaitForUpdatesEx`; none when nothing changed within the wait.
    pub fn from_response(response: Node) -> Result<Option<Self>, Error> {
        let Some(mut set) = response
            .children
            .into_iter()
            .find(|child| child.name == "returnval")
        else {
            return Ok(None);
        };
        let version = set
            .string("version")
            .ok_or_else(|| malformed("it has no version"))?;
        let truncated = set.flag("truncated").unwrap_or_default();
        let filters = set
            .children
            .drain(..)
            .filter(|child| child.name == "filterSet")
            .map(filter_update)
            .collect::<Result<_, _>>()?;
        Ok(Some(Self {
            version,
            truncated,
            filters,
        }))
    }
}

fn malformed(reason: &str) -> Error {
    Error::Protocol {
        method: "WaitForUpdatesEx".to_owned(),
        reason: reason.to_owned(),
    }
}

fn filter_update(node: Node) -> Result<FilterUpdate, Error> {
    let filter = node
        .moref_of("filter")
        .ok_or_else(|| malformed("an update names no filter"))?;
    let mut objects = Vec::new();
    for child in node.children {
        match child.name.as_str() {
            "objectSet" => objects.push(object_update(child)?),
            // An object that the filter named and that is gone.
            "missingSet" => objects.extend(child.moref_of("obj").map(|moref| ObjectUpdate {
                kind: Kind::Leave,
                moref,
                changes: Vec::new(),
            })),
            _ => {}
        }
    }
    Ok(FilterUpdate { filter, objects })
}

fn object_update(node: Node) -> Result<ObjectUpdate, Error> {
    let kind = match node.text_of("kind") {
        Some("enter") => Kind::Enter,
        Some("modify") => Kind::Modify,
        Some("leave") => Kind::Leave,
        _ => return Err(malformed("an update is of an unknown kind")),
    };
    let moref = node
        .moref_of("obj")
        .ok_or_else(|| malformed("an update names no object"))?;
    Ok(ObjectUpdate {
        kind,
        moref,
        changes: changes(node, "changeSet"),
    })
}

/// The properties in `set` elements, and those in `missingSet` as unreadable.
fn changes(node: Node, set: &str) -> Vec<(String, Option<Node>)> {
    node.children
        .into_iter()
        .filter_map(|child| match child.name.as_str() {
            "missingSet" => Some((child.string("path")?, None)),
            name if name == set => {
                let path = child.string("name")?;
                let removed = matches!(child.text_of("op"), Some("remove" | "indirectRemove"));
                let value = child.children.into_iter().find(|part| part.name == "val");
                Some((path, value.filter(|_| !removed)))
            }
            _ => None,
        })
        .collect()
}

/// Reads objects once, following the pages.
pub(crate) async fn retrieve(
    session: &Session,
    specification: impl FnOnce(&mut Writer),
) -> Result<Vec<ObjectUpdate>, Error> {
    let collector = &session.content().property_collector;
    let mut call = Call::read("RetrievePropertiesEx", collector, specification);
    let mut objects = Vec::new();
    loop {
        let response = session.call(&call).await?;
        let page = response
            .children
            .into_iter()
            .find(|child| child.name == "returnval");
        let Some(page) = page else { return Ok(objects) };
        let token = page.string("token");
        for content in page.children.into_iter().filter(|child| child.name == "objects") {
            let Some(moref) = content.moref_of("obj") else {
                continue;
            };
            objects.push(ObjectUpdate {
                kind: Kind::Enter,
                moref,
                changes: changes(content, "propSet"),
            });
        }
        let Some(token) = token else { return Ok(objects) };
        call = Call::read("ContinueRetrievePropertiesEx", collector, |w| {
            w.value("token", token);
        });
    }
}

#[cfg(test)]
#[path = "updates_tests.rs"]
mod tests;
