//! A body against its type: every field known, of the right kind, in bounds.

use serde_json::{Map, Value};

use super::{Field, Schema, format};
use crate::error::{JSON, NsxError};

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The JSON cannot be read into the type: unknown field, unknown enum value, wrong kind.
    Shape(String),
    /// It can be read, but a field is missing or out of bounds.
    Bound(String),
}

/// How strictly a body is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Required fields must be there.
    Whole,
    /// Required fields may be absent: a delete names only the object, a partial patch only what changes.
    Part,
}

impl Schema {
    /// Reads a body as `name`: what remains are the fields a client may write. Read-only fields that clients
    /// send back, and nulls, are dropped.
    ///
    /// # Errors
    /// 400 naming the fields: shape problems first, as a parser would stop there; else all bounds at once.
    pub fn read(
        &self,
        name: &str,
        body: &Map<String, Value>,
        strict: Strictness,
    ) -> Result<Map<String, Value>, NsxError> {
        let mut problems = Vec::new();
        let cleaned = self.object(name, body, "", strict, &mut problems);
        let shape = problems.iter().find_map(|p| match p {
            Problem::Shape(text) => Some(text.clone()),
            Problem::Bound(_) => None,
        });
        if let Some(text) = shape {
            return Err(NsxError::bad(JSON, format!("JSON Parser error: {text}")).common());
        }
        let bounds: Vec<String> = problems
            .into_iter()
            .map(|p| match p {
                Problem::Shape(text) | Problem::Bound(text) => text,
            })
            .collect();
        if bounds.is_empty() {
            Ok(cleaned)
        } else {
            Err(NsxError::fields(&bounds))
        }
    }

    fn object(
        &self,
        name: &str,
        body: &Map<String, Value>,
        at: &str,
        strict: Strictness,
        out: &mut Vec<Problem>,
    ) -> Map<String, Value> {
        let Some(concrete) = self.concrete(name, body) else {
            let key = self
                .get(name)
                .and_then(|t| t.discriminator.as_deref())
                .unwrap_or("resource_type");
            let given = body.get(key).and_then(Value::as_str).unwrap_or("(none)");
            out.push(Problem::Shape(format!(
                "{}: {given} is not a subtype of {name}",
                join(at, key)
            )));
            return Map::new();
        };
        let Some(kind) = self.get(&concrete) else {
            out.push(Problem::Shape(format!("{at}: unknown type {concrete}")));
            return Map::new();
        };
        check_type_name(
            &concrete,
            kind.fields.contains_key("resource_type"),
            body,
            at,
            out,
        );
        let mut cleaned = Map::new();
        for (key, value) in body {
            let here = join(at, key);
            match kind.fields.get(key) {
                None => out.push(Problem::Shape(format!(
                    "Unrecognized field \"{here}\" of {concrete}"
                ))),
                Some(field) if field.read_only || key == "_self" || value.is_null() => {}
                Some(field) => {
                    if let Some(value) = self.value(field, value, &here, strict, out) {
                        cleaned.insert(key.clone(), value);
                    }
                }
            }
        }
        if strict == Strictness::Whole {
            for (key, field) in &kind.fields {
                if field.required && !field.read_only && body.get(key).is_none_or(Value::is_null) {
                    out.push(Problem::Bound(format!("{} is required", join(at, key))));
                }
            }
        }
        cleaned
    }

    fn value(
        &self,
        field: &Field,
        value: &Value,
        at: &str,
        strict: Strictness,
        out: &mut Vec<Problem>,
    ) -> Option<Value> {
        if let Some(values) = &field.values
            && !values.contains(value)
        {
            out.push(Problem::Shape(format!(
                "{at}: {value} is not one of {}",
                Value::from(values.clone())
            )));
            return None;
        }
        if let Some(target) = &field.target {
            let Value::Object(map) = value else {
                out.push(Problem::Shape(format!("{at}: cannot read {value} as {target}")));
                return None;
            };
            return Some(Value::Object(self.object(
                target,
                map,
                at,
                Strictness::Whole,
                out,
            )));
        }
        let fits = match (field.kind.as_deref(), value) {
            (Some("string"), Value::String(text)) => {
                text_bounds(field, text, at, out);
                true
            }
            (Some("integer"), Value::Number(n)) if n.is_i64() || n.is_u64() => {
                number_bounds(field, n.as_f64(), at, out);
                true
            }
            (Some("number"), Value::Number(n)) => {
                number_bounds(field, n.as_f64(), at, out);
                true
            }
            (Some("boolean"), Value::Bool(_)) | (Some("object"), Value::Object(_)) | (None, _) => true,
            (Some("array"), Value::Array(list)) => {
                return Some(self.list(field, list, at, strict, out));
            }
            _ => false,
        };
        if fits {
            return Some(value.clone());
        }
        let kind = field.kind.as_deref().unwrap_or("value");
        out.push(Problem::Shape(format!("{at}: cannot read {value} as {kind}")));
        None
    }

    fn list(
        &self,
        field: &Field,
        list: &[Value],
        at: &str,
        strict: Strictness,
        out: &mut Vec<Problem>,
    ) -> Value {
        if field.max_items.is_some_and(|max| list.len() > max) {
            let max = field.max_items.unwrap_or_default();
            out.push(Problem::Bound(format!("{at} has more than {max} elements")));
        }
        if field.min_items.is_some_and(|min| list.len() < min) {
            let min = field.min_items.unwrap_or_default();
            out.push(Problem::Bound(format!("{at} has less than {min} elements")));
        }
        if field.unique_items
            && list
                .iter()
                .enumerate()
                .any(|(i, v)| list.iter().take(i).any(|w| w == v))
        {
            out.push(Problem::Bound(format!("{at} has an element twice")));
        }
        let Some(items) = &field.items else {
            return Value::Array(list.to_vec());
        };
        let read = list.iter().enumerate();
        let read = read.filter_map(|(i, v)| self.value(items, v, &format!("{at}[{i}]"), strict, out));
        Value::Array(read.collect())
    }
}

/// `resource_type`, where it is given, must be the type's own name.
fn check_type_name(
    concrete: &str,
    has_type: bool,
    body: &Map<String, Value>,
    at: &str,
    out: &mut Vec<Problem>,
) {
    let given = body.get("resource_type").and_then(Value::as_str);
    if has_type && given.is_some_and(|g| g != concrete) {
        let here = join(at, "resource_type");
        out.push(Problem::Shape(format!(
            "{here}: expected {concrete}, got {}",
            given.unwrap_or_default()
        )));
    }
}

fn text_bounds(field: &Field, text: &str, at: &str, out: &mut Vec<Problem>) {
    let length = text.chars().count();
    if field.max_length.is_some_and(|max| length > max) {
        let max = field.max_length.unwrap_or_default();
        out.push(Problem::Bound(format!("{at} has exceeded maximum length {max}")));
    }
    if field.min_length.is_some_and(|min| length < min) {
        out.push(Problem::Bound(format!("{at} is too short")));
    }
    if let Some(format) = &field.format
        && !text.is_empty()
        && !format::holds(format, text)
    {
        out.push(Problem::Bound(format!("{at}: {text} is not a valid {format}")));
    }
}

fn number_bounds(field: &Field, number: Option<f64>, at: &str, out: &mut Vec<Problem>) {
    let Some(number) = number else { return };
    let mut min = field.min;
    let mut max = field.max;
    if field.format.as_deref() == Some("int32") {
        min = min.or(Some(f64::from(i32::MIN)));
        max = max.or(Some(f64::from(i32::MAX)));
    }
    if min.is_some_and(|min| number < min) {
        out.push(Problem::Bound(format!(
            "{at}: {number} is below {}",
            min.unwrap_or_default()
        )));
    }
    if max.is_some_and(|max| number > max) {
        out.push(Problem::Bound(format!(
            "{at}: {number} is above {}",
            max.unwrap_or_default()
        )));
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, body: &Value) -> Result<Map<String, Value>, NsxError> {
        Schema::embedded()
            .unwrap()
            .read(name, body.as_object().unwrap(), Strictness::Whole)
    }

    /// Each body is refused with this code and these words.
    fn refused(cases: &[(&str, Value, i64, &str)]) {
        for (name, body, code, text) in cases {
            let error = read(name, body).expect_err(&body.to_string());
            assert_eq!(error.code, json!(code), "{body}: {}", error.message());
            assert!(error.message().contains(text), "{body}: {}", error.message());
        }
    }

    #[test]
    fn what_is_wrong_with_a_segment_is_named() {
        refused(&[
            (
                "Segment",
                json!({"vlan": [1]}),
                220,
                "Unrecognized field \"vlan\"",
            ),
            (
                "Segment",
                json!({"subnets": [{"gateway": "10.0.0.1/24"}]}),
                220,
                "subnets[0].gateway",
            ),
            ("Segment", json!({"admin_state": "up"}), 220, "admin_state"),
            (
                "Segment",
                json!({"overlay_id": "7"}),
                220,
                "overlay_id: cannot read \"7\" as integer",
            ),
            ("Segment", json!({"vlan_ids": "7"}), 220, "vlan_ids: cannot read"),
            (
                "Segment",
                json!({"resource_type": "Tier1"}),
                220,
                "resource_type: expected Segment",
            ),
            (
                "Segment",
                json!({"display_name": "x".repeat(256)}),
                255,
                "display_name has exceeded",
            ),
            (
                "Segment",
                json!({"overlay_id": 2_147_483_648_i64}),
                255,
                "overlay_id",
            ),
            (
                "Segment",
                json!({"subnets": [{"gateway_address": "10.0.0.1"}]}),
                255,
                "subnets[0].gateway_address",
            ),
            (
                "Segment",
                json!({"subnets": [{"dhcp_config": {"lease_time": 60}}]}),
                220,
                "subnets[0].dhcp_config.resource_type",
            ),
            (
                "Segment",
                json!({"subnets": [{"dhcp_config": {"resource_type": "SegmentDhcpV4Config", "lease_time": 59}}]}),
                255,
                "subnets[0].dhcp_config.lease_time",
            ),
        ]);
    }

    #[test]
    fn what_is_wrong_with_other_types_is_named() {
        refused(&[
            (
                "PolicyNatRule",
                json!({"enabled": true}),
                255,
                "action is required",
            ),
            (
                "PolicyNatRule",
                json!({"action": "PAT"}),
                220,
                "action: \"PAT\" is not one of",
            ),
            (
                "PolicyNatRule",
                json!({"action": "DNAT", "translated_ports": "http"}),
                255,
                "translated_ports",
            ),
            (
                "PolicyNatRule",
                json!({"action": "DNAT", "sequence_number": 1.5}),
                220,
                "sequence_number",
            ),
            (
                "Service",
                json!({"service_entries": [{"id": "a"}]}),
                220,
                "service_entries[0].resource_type",
            ),
            (
                "Service",
                json!({"service_entries": [{"resource_type": "L4PortSetServiceEntry"}]}),
                255,
                "service_entries[0].l4_protocol is required",
            ),
            (
                "Rule",
                json!({"notes": "x".repeat(2049)}),
                255,
                "notes has exceeded",
            ),
            (
                "Group",
                json!({"group_type": ["IPAddress", "IPAddress"]}),
                255,
                "group_type has more than 1",
            ),
            (
                "Tier1",
                json!({"tags": vec![json!({"scope": "s", "tag": "t"}); 31]}),
                255,
                "tags has more than 30",
            ),
            (
                "Tier1",
                json!({"tags": [{"scope": "s".repeat(129), "tag": "t"}]}),
                255,
                "tags[0].scope",
            ),
        ]);
    }

    #[test]
    fn read_only_fields_sent_back_are_dropped() {
        let body = json!({"id": "web", "path": "/infra/segments/web", "unique_id": "1", "_create_time": 5,
            "marked_for_delete": false, "type": "ROUTED", "_revision": 3, "description": null,
            "subnets": [{"gateway_address": "10.0.0.1/24", "network": "10.0.0.0/24"}]});
        let read = read("Segment", &body).unwrap();
        assert_eq!(
            Value::Object(read),
            json!({"id": "web", "_revision": 3, "subnets": [{"gateway_address": "10.0.0.1/24"}]})
        );
    }

    #[test]
    fn all_bounds_are_told_at_once() {
        let error = read("PolicyNatRule", &json!({"display_name": "x".repeat(300)})).unwrap_err();
        assert!(error.message().contains("action is required"));
        assert!(error.message().contains("display_name has exceeded"));
    }

    #[test]
    fn a_part_needs_no_required_fields() {
        let body = json!({"id": "r", "resource_type": "PolicyNatRule"});
        let schema = Schema::embedded().unwrap();
        let read = schema.read("PolicyNatRule", body.as_object().unwrap(), Strictness::Part);
        assert_eq!(read.unwrap().get("id"), Some(&json!("r")));
    }
}
