//! One intent and what became of it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::document::Document;
use crate::kinds::{REFERENCES, entity_type};

/// An intent: what was declared, what a read shows, and how far its realization is.
#[derive(Clone, Debug)]
pub struct Object {
    /// Policy path.
    pub path: String,
    /// Type of the collection it is in.
    pub base: &'static str,
    /// Concrete type.
    pub kind: String,
    /// Fields that a client wrote, without the embedded children.
    pub declared: Arc<Map<String, Value>>,
    /// All fields, defaults and the server's own included, without the embedded children.
    pub body: Arc<Map<String, Value>>,
    /// Paths this object names, with the types they must have.
    pub references: Vec<(String, &'static [&'static str])>,
    /// Deleted by a client, not yet un-realized: hidden from reads, seen by search.
    pub deleted: bool,
    /// Number of the write that made this state; later events about an earlier write are void.
    pub generation: u64,
    /// How far it is in effect.
    pub realization: Realization,
}

/// How far an intent is in effect.
#[derive(Clone, Debug)]
pub struct Realization {
    /// State of the realized entity.
    pub state: State,
    /// Id of the realized entity.
    pub id: String,
    /// `_revision` that `effective` shows.
    pub version: i64,
    /// When it was last written, epoch milliseconds.
    pub written: u64,
    /// When it was last realized, epoch milliseconds.
    pub published: u64,
    /// Extended attributes of the realized entity: what the system chose.
    pub attributes: Vec<(&'static str, String)>,
    /// The body in effect: what packets meet. An update leaves the earlier one in effect until it is realized.
    pub effective: Option<Arc<Map<String, Value>>>,
}

/// State of a realized entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// No entity yet: the list of realized entities is empty.
    Absent,
    /// In work.
    Unrealized,
    /// In effect.
    Realized,
    /// Refused by the layer below.
    Failed(Alarm),
}

/// Why a realization failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The sentence.
    pub message: String,
    /// Code of the cause.
    pub code: i64,
}

impl State {
    /// `state` and `publish_status` of the API.
    pub fn publish_status(&self) -> &'static str {
        match self {
            Self::Absent | Self::Unrealized => "UNREALIZED",
            Self::Realized => "REALIZED",
            Self::Failed(_) => "ERROR",
        }
    }

    /// `consolidated_status` of the API.
    pub fn consolidated(&self) -> &'static str {
        match self {
            Self::Absent | Self::Unrealized => "IN_PROGRESS",
            Self::Realized => "SUCCESS",
            Self::Failed(_) => "ERROR",
        }
    }
}

impl Object {
    /// `_revision`.
    pub fn revision(&self) -> i64 {
        self.body
            .get("_revision")
            .and_then(Value::as_i64)
            .unwrap_or_default()
    }

    /// A text field of the body.
    pub fn text(&self, field: &str) -> Option<&str> {
        text(&self.body, field)
    }

    /// Was it made by the system, for nobody to delete?
    pub fn is_system_owned(&self) -> bool {
        self.body.get("_system_owned") == Some(&json!(true))
    }

    /// The realized entity as the API shows it; `None` while there is none.
    pub fn entity(&self) -> Option<Value> {
        let kind = entity_type(&self.kind)?;
        if self.realization.state == State::Absent {
            return None;
        }
        let attributes: Vec<Value> = self
            .realization
            .attributes
            .iter()
            .map(|(key, value)| json!({"key": key, "values": [value], "data_type": "STRING", "multivalue": false}))
            .collect();
        let mut entity = json!({
            "resource_type": "GenericPolicyRealizedResource",
            "id": self.realization.id,
            "display_name": self.text("display_name"),
            "path": self.entity_path(),
            "entity_type": kind,
            "intent_paths": [self.path],
            "intent_reference": [self.path],
            "state": self.realization.state.publish_status(),
            "publish_status": self.realization.state.publish_status(),
            "runtime_status": if self.realization.state == State::Realized { "UP" } else { "UNKNOWN" },
            "realization_specific_identifier": self.text("realization_id"),
            "alarms": self.alarms(),
            "extended_attributes": attributes,
            "site_path": "/infra/sites/default",
            "enforcement_point_path": "/infra/sites/default/enforcement-points/default",
        });
        if self.realization.published > 0
            && let Some(map) = entity.as_object_mut()
        {
            map.insert("publish_time".into(), json!(self.realization.published));
        }
        Some(entity)
    }

    /// Path of the realized entity.
    pub fn entity_path(&self) -> String {
        let kind = entity_type(&self.kind).unwrap_or("Realized");
        format!(
            "/infra/realized-state/enforcement-points/default/{}/{}",
            kind.to_lowercase(),
            self.realization.id
        )
    }

    /// Alarms raised by a failed realization.
    pub fn alarms(&self) -> Vec<Value> {
        let State::Failed(alarm) = &self.realization.state else {
            return Vec::new();
        };
        vec![json!({
            "resource_type": "PolicyAlarmResource",
            "id": format!("{}-alarm", self.realization.id),
            "path": format!("{}/alarms/{}-alarm", self.entity_path(), self.realization.id),
            "message": alarm.message,
            "severity": "ERROR",
            "source_reference": self.path,
            "intent_paths": [self.path],
            "error_details": {"error_code": alarm.code, "module_name": "Policy", "error_message": alarm.message,
                              "related_errors": []},
        })]
    }

    /// The body, to be changed.
    pub fn body_mut(&mut self) -> &mut Map<String, Value> {
        Arc::make_mut(&mut self.body)
    }

    /// What the search index holds: the body with its status.
    pub fn document(&self) -> Document {
        let status = entity_type(&self.kind).map(|_| {
            let state = &self.realization.state;
            let consolidated = if self.deleted {
                "IN_PROGRESS"
            } else {
                state.consolidated()
            };
            json!({
                "publish_status": state.publish_status(),
                "consolidated_status": {"consolidated_status": consolidated},
            })
        });
        Document::new(self.body.clone(), status)
    }
}

/// A text field of a body; an empty text counts as absent.
pub fn text<'a>(body: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    body.get(field).and_then(Value::as_str).filter(|t| !t.is_empty())
}

/// The texts of a list field.
pub fn texts<'a>(body: &'a Map<String, Value>, field: &str) -> Vec<&'a str> {
    let list = body.get(field).and_then(Value::as_array);
    list.map(|l| l.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// Paths a body names. Lists that may also hold plain addresses or `ANY` count their paths only.
pub fn references(kind: &str, body: &Map<String, Value>) -> Vec<(String, &'static [&'static str])> {
    let mut found = Vec::new();
    for reference in REFERENCES.iter().filter(|r| r.kind == kind) {
        let mixed = kind == "Rule" || reference.field == "scope[]";
        let mut values = Vec::new();
        let Some(first) = reference.field.split('.').next() else {
            continue;
        };
        if let Some(value) = body.get(first.trim_end_matches("[]")) {
            gather(value, reference.field, &mut values);
        }
        let wanted = values
            .into_iter()
            .filter(|v| !v.is_empty() && (!mixed || v.starts_with('/')));
        found.extend(wanted.map(|v| (v.to_owned(), reference.targets)));
    }
    found
}

fn gather<'a>(value: &'a Value, field: &str, out: &mut Vec<&'a str>) {
    let (step, rest) = field.split_once('.').map_or((field, None), |(s, r)| (s, Some(r)));
    let elements: Vec<&Value> = match value {
        Value::Array(list) if step.ends_with("[]") => list.iter().collect(),
        other => vec![other],
    };
    for element in elements {
        match rest {
            None => out.extend(element.as_str()),
            Some(rest) => {
                let key = rest.split('.').next().unwrap_or(rest).trim_end_matches("[]");
                if let Some(next) = element.get(key) {
                    gather(next, rest, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(kind: &str, body: &Value) -> Vec<String> {
        references(kind, body.as_object().unwrap())
            .into_iter()
            .map(|(p, _)| p)
            .collect()
    }

    #[test]
    fn references_are_found_in_fields_lists_and_nested_lists() {
        let group = json!({"expression": [
            {"resource_type": "PathExpression", "paths": ["/infra/segments/a", "/infra/segments/b"]},
            {"resource_type": "NestedExpression", "expressions": [{"paths": ["/infra/segments/c"]}]},
        ]});
        assert_eq!(
            paths("Group", &group),
            ["/infra/segments/a", "/infra/segments/b", "/infra/segments/c"]
        );
        let segment =
            json!({"transport_zone_path": "/infra/x", "connectivity_path": "", "display_name": "/infra/no"});
        assert_eq!(paths("Segment", &segment), ["/infra/x"]);
    }

    #[test]
    fn addresses_and_any_in_rules_are_no_references() {
        let rule = json!({"source_groups": ["10.0.0.0/8", "/infra/domains/default/groups/g"],
            "services": ["ANY"], "scope": ["/infra/tier-1s/t"]});
        assert_eq!(
            paths("Rule", &rule),
            ["/infra/domains/default/groups/g", "/infra/tier-1s/t"]
        );
    }
}
