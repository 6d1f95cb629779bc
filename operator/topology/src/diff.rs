//! Differences between what is wanted and what is, on the declared fields only.

use std::fmt;

use serde_json::{Map, Value};

use crate::defaults::{is_default, kind_of, meant_absent};
use crate::identity::is_own_tag;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field's path, such as `subnets[0].gateway_address`.
    pub field: String,
    /// What is wanted, as JSON; empty where the field should be absent.
    pub want: String,
    /// What is there, as JSON; empty where it is absent.
    pub have: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |text: &str| {
            if text.is_empty() {
                "nothing".to_owned()
            } else {
                text.to_owned()
            }
        };
        write!(
            f,
            "{}: want {}, have {}",
            self.field,
            named(&self.want),
            named(&self.have)
        )
    }
}

/// The fields that differ: those that are declared, and those that someone else set and that our write would
/// put back to their defaults. Everything else that NSX fills in is left alone, and so are other people's
/// tags.
#[must_use]
pub fn differences(resource_type: &str, desired: &Map<String, Value>, observed: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    object("", resource_type, desired, observed, &mut found);
    found
}

fn object(at: &str, kind: &str, desired: &Map<String, Value>, observed: &Value, found: &mut Vec<Difference>) {
    for (name, want) in desired {
        let have = observed.get(name);
        // A Service's entries are objects of their own, and a search answers without them: not told is not gone.
        if !(have.is_none() && kind == "Service" && name == "service_entries") {
            field(&path(at, name), name, want, have, found);
        }
    }
    for name in meant_absent(kind)
        .iter()
        .filter(|name| !desired.contains_key(**name))
    {
        if let Some(have) = observed.get(*name).filter(|have| !is_default(name, have)) {
            found.push(difference(&path(at, name), None, Some(have)));
        }
    }
}

fn path(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

fn field(at: &str, name: &str, want: &Value, have: Option<&Value>, found: &mut Vec<Difference>) {
    let equal = match (want, have) {
        (want, None) => is_default(name, want),
        (Value::Object(want), Some(have)) if have.is_object() => {
            object(at, kind_of(name, have), want, have, found);
            return;
        }
        (Value::Array(want), Some(Value::Array(have))) if name == "tags" => same_tags(want, have),
        (Value::Array(want), Some(Value::Array(have))) if is_set(name) => same_set(want, have),
        (Value::Array(want), Some(Value::Array(have))) if want.len() == have.len() => {
            for (position, want) in want.iter().enumerate() {
                let have = counterpart(want, position, have);
                field(&format!("{at}[{position}]"), name, want, have, found);
            }
            return;
        }
        (want, Some(have)) => want == have,
    };
    if !equal {
        found.push(difference(at, Some(want), have));
    }
}

fn difference(at: &str, want: Option<&Value>, have: Option<&Value>) -> Difference {
    let text = |value: Option<&Value>| value.map(ToString::to_string).unwrap_or_default();
    Difference {
        field: at.to_owned(),
        want: text(want),
        have: text(have),
    }
}

/// The item that stands for `want`: the one of the same id, or else of the same place.
fn counterpart<'a>(want: &Value, position: usize, have: &'a [Value]) -> Option<&'a Value> {
    match want.get("id") {
        Some(id) => have.iter().find(|item| item.get("id") == Some(id)),
        None => have.get(position),
    }
}

/// Lists whose order means nothing.
fn is_set(name: &str) -> bool {
    [
        "source_groups",
        "destination_groups",
        "scope",
        "dhcp_ranges",
        "destination_ports",
        "route_advertisement_types",
        "external_ids",
        "paths",
    ]
    .contains(&name)
}

fn same_set(want: &[Value], have: &[Value]) -> bool {
    want.len() == have.len() && want.iter().all(|item| have.contains(item))
}

/// Ours are exactly as wanted; those of other people may be there.
fn same_tags(want: &[Value], have: &[Value]) -> bool {
    want.iter().all(|tag| have.contains(tag)) && have.iter().all(|tag| !is_own_tag(tag) || want.contains(tag))
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
