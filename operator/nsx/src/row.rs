//! One object as a read shows it.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::body::Body;

/// Types that are frequent, so that their names are kept once.
const TYPES: &[&str] = &[
    "GatewayPolicy",
    "Group",
    "PolicyNatRule",
    "Rule",
    "SecurityPolicy",
    "Segment",
    "SegmentPort",
    "Service",
];

/// What a row says about realization, if anything. [API reference: `ConsolidatedRealizedStatus`, embedded as `status`]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The row carries no status: a direct read, or an index that does not embed it.
    Unsaid,
    InProgress,
    Realized,
    Failed,
}

/// An object in an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Policy path; for rows without one (objects of another API that share our tags) a name that is no path.
    pub(crate) path: Arc<str>,
    pub(crate) resource_type: Cow<'static, str>,
    /// Server time of the last change in milliseconds, 0 if the row does not say.
    pub(crate) modified: i64,
    /// Deleted, and not gone yet.
    pub(crate) marked: bool,
    pub(crate) state: State,
    pub(crate) body: Body,
}

impl Row {
    pub(crate) fn new(body: &Value) -> Self {
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let resource_type = type_name(text("resource_type"));
        let path = match text("path") {
            path if path.starts_with('/') => path.into(),
            _ => format!("{resource_type}:{}", text("id")).into(),
        };
        Self {
            path,
            resource_type,
            modified: body
                .get("_last_modified_time")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            marked: body
                .get("marked_for_delete")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            state: state_of(body),
            body: Body::of(body),
        }
    }

    /// The object as the read showed it, as far as it counts.
    pub(crate) fn value(&self) -> Value {
        self.body.at(&self.path, &self.resource_type)
    }

    /// Whether this is an object of the policy tree.
    pub(crate) fn is_policy(&self) -> bool {
        self.path.starts_with('/')
    }
}

/// The name of a type; a frequent one costs no memory.
pub(crate) fn type_name(text: &str) -> Cow<'static, str> {
    let known = TYPES.iter().find(|name| **name == text);
    known.map_or_else(|| Cow::Owned(text.to_owned()), |name| Cow::Borrowed(*name))
}

/// Reads the embedded status. A status of an older revision than the object's says that the newer one is under way.
fn state_of(body: &Value) -> State {
    match body.get("status") {
        Some(status) => status_of(status, body.get("_revision").and_then(Value::as_i64)),
        None => State::Unsaid,
    }
}

/// Reads a `ConsolidatedRealizedStatus`, alone or embedded; `revision` is that of the object.
pub(crate) fn status_of(status: &Value, revision: Option<i64>) -> State {
    let consolidated = match status.get("consolidated_status") {
        Some(Value::String(text)) => text.as_str(),
        Some(object) => object
            .get("consolidated_status")
            .and_then(Value::as_str)
            .unwrap_or_default(),
        None => "",
    };
    let version = status.get("intent_version").and_then(|version| match version {
        Value::String(text) => text.parse().ok(),
        number => number.as_i64(),
    });
    if let (Some(version), Some(revision)) = (version, revision)
        && version < revision
    {
        return State::InProgress;
    }
    let publish = status
        .get("publish_status")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match (consolidated, publish) {
        ("ERROR", _) | (_, "ERROR") => State::Failed,
        ("IN_PROGRESS" | "UNINITIALIZED" | "SANDBOXED_REALIZATION_PENDING", _) => State::InProgress,
        // Down, degraded ("DEGRAGED" in the vendor's own text) and disabled things are in place.
        ("SUCCESS" | "DOWN" | "DEGRAGED" | "DEGRADED" | "DISABLED", _) | (_, "REALIZED") => State::Realized,
        (_, "UNREALIZED" | "UNAVAILABLE") | ("UNKNOWN", _) => State::InProgress,
        _ => State::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_read() {
        let row = Row::new(&json!({
            "path": "/infra/segments/a", "resource_type": "Segment", "_last_modified_time": 7, "marked_for_delete": true
        }));
        assert_eq!(
            (&*row.path, row.modified, row.marked, row.state),
            ("/infra/segments/a", 7, true, State::Unsaid)
        );
        assert!(row.is_policy());
        let alien = Row::new(&json!({"resource_type": "LogicalSwitch", "id": "x"}));
        assert_eq!((&*alien.path, alien.is_policy()), ("LogicalSwitch:x", false));
    }

    /// A later NSX says what this one never said: no state follows from it, and no read fails.
    #[test]
    fn what_no_release_says_yet_is_read_as_unsaid() {
        let later = json!("WORD_OF_TOMORROW");
        for status in [
            json!({"consolidated_status": {"consolidated_status": later}, "publish_status": later}),
            json!({"consolidated_status": later}),
            json!({"publish_status": later, "a_field_of_tomorrow": {"x": [1]}}),
            json!({"consolidated_status": 7, "publish_status": [], "intent_version": {}}),
        ] {
            assert_eq!(status_of(&status, Some(3)), State::Unsaid, "{status}");
        }
        let body = json!({
            "path": "/infra/segments/a", "resource_type": "Segment", "_last_modified_time": 7, "_revision": 3,
            "marked_for_delete": false, "tags": [{"scope": "s", "tag": "t"}], "admin_state": "UP",
            "status": {"consolidated_status": {"consolidated_status": "SUCCESS"}},
        });
        for name in body.as_object().unwrap().keys() {
            for odd in [
                json!(null),
                json!(-1),
                json!([later]),
                json!({"x": later}),
                later.clone(),
            ] {
                let mut body = body.clone();
                body[name] = odd.clone();
                body["a_field_of_tomorrow"] = odd;
                let row = Row::new(&body);
                let told = row.value();
                if name != "path" {
                    assert_eq!(told["path"], "/infra/segments/a", "{body}");
                }
            }
        }
    }

    #[test]
    fn every_shape_of_status_is_read() {
        use State::{Failed, InProgress, Realized, Unsaid};
        let cases = [
            (
                json!({"consolidated_status": {"consolidated_status": "SUCCESS"}}),
                Realized,
            ),
            (json!({"consolidated_status": "SUCCESS"}), Realized),
            (
                json!({"consolidated_status": {"consolidated_status": "IN_PROGRESS"}, "publish_status": "UNREALIZED"}),
                InProgress,
            ),
            (
                json!({"consolidated_status": {"consolidated_status": "ERROR"}}),
                Failed,
            ),
            (
                json!({"consolidated_status": {"consolidated_status": "DEGRAGED"}}),
                Realized,
            ),
            (
                json!({"consolidated_status": {"consolidated_status": "UNKNOWN"}}),
                InProgress,
            ),
            (
                json!({"consolidated_status": {"consolidated_status": "UNKNOWN"}, "publish_status": "REALIZED"}),
                Realized,
            ),
            (json!({"publish_status": "REALIZED"}), Realized),
            (json!({"publish_status": "ERROR"}), Failed),
            (json!({"publish_status": "UNREALIZED"}), InProgress),
            (
                json!({"consolidated_status": "SUCCESS", "intent_version": "2"}),
                InProgress,
            ),
            (
                json!({"consolidated_status": "SUCCESS", "intent_version": "3"}),
                Realized,
            ),
            (json!({}), Unsaid),
        ];
        for (status, state) in cases {
            let row = Row::new(&json!({"path": "/infra/a/b", "_revision": 3, "status": status}));
            assert_eq!(row.state, state, "{status}");
        }
    }
}
