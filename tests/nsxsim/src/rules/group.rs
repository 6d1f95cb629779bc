//! Groups: expressions with conjunctions between them.

use serde_json::{Map, Value, json};

use crate::error::NsxError;
use crate::net::Span;
use crate::world::new_uuid;
use crate::world::object::{Object, text, texts};

/// Conditions and nested expressions of a group.
const MAX_CONDITIONS: usize = 5;

/// Gives every expression what it carries when read back.
pub fn complete(path: &str, body: &mut Map<String, Value>) {
    let list = body.get_mut("expression").and_then(Value::as_array_mut);
    for expression in list.into_iter().flatten().filter_map(Value::as_object_mut) {
        let id = text(expression, "id").map_or_else(new_uuid, str::to_owned);
        expression.insert("path".into(), json!(format!("{path}/expressions/{id}")));
        expression.insert("parent_path".into(), json!(path));
        expression.insert("relative_path".into(), json!(id));
        expression.insert("id".into(), json!(id));
        expression.insert("marked_for_delete".into(), json!(false));
        expression.insert("overridden".into(), json!(false));
        expression.insert("_protection".into(), json!("NOT_PROTECTED"));
    }
}

/// A whole group.
pub fn check(object: &Object) -> Result<(), NsxError> {
    let list: Vec<&Map<String, Value>> = expressions(&object.body, "expression").collect();
    if list.is_empty() {
        return Ok(());
    }
    if list.len().is_multiple_of(2) {
        return Err(NsxError::rule(
            "expression: a conjunction must stand between two expressions",
        ));
    }
    let mut conditions = 0_usize;
    for (place, expression) in list.iter().enumerate() {
        let kind = text(expression, "resource_type").unwrap_or_default();
        let is_conjunction = kind == "ConjunctionOperator";
        if is_conjunction != (place % 2 == 1) {
            return Err(NsxError::rule(format!(
                "expression[{place}]: {kind} is out of place"
            )));
        }
        if matches!(kind, "Condition" | "NestedExpression") {
            conditions = conditions.saturating_add(1);
        }
        if kind == "IPAddressExpression" {
            check_addresses(expression, place)?;
        }
    }
    for window in list.windows(3) {
        let [left, operator, right] = window else {
            continue;
        };
        let both = text(operator, "conjunction_operator") == Some("AND");
        let kind = |e: &Map<String, Value>| {
            let kind = text(e, "resource_type").map(str::to_owned);
            (kind, text(e, "member_type").map(str::to_owned))
        };
        if both && kind(left) != kind(right) {
            return Err(NsxError::rule(
                "expression: AND stands between expressions of the same type and member type only",
            ));
        }
    }
    if conditions > MAX_CONDITIONS {
        let message = format!("expression has {conditions} conditions, at most {MAX_CONDITIONS} are allowed");
        return Err(NsxError::rule(message));
    }
    Ok(())
}

fn check_addresses(expression: &Map<String, Value>, place: usize) -> Result<(), NsxError> {
    let spans = texts(expression, "ip_addresses")
        .into_iter()
        .filter_map(Span::parse);
    let families: Vec<bool> = spans.map(|s| s.first.is_ipv4()).collect();
    if families.iter().any(|f| Some(f) != families.first()) {
        let message = format!("expression[{place}].ip_addresses mixes IPv4 and IPv6");
        return Err(NsxError::rule(message));
    }
    Ok(())
}

/// Expressions of a body's list field.
pub fn expressions<'a>(
    body: &'a Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a Map<String, Value>> {
    body.get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{patch, world};

    const GROUP: &str = "/infra/domains/default/groups/g";

    fn ips(list: &[&str]) -> Value {
        json!({"resource_type": "IPAddressExpression", "ip_addresses": list})
    }

    #[test]
    fn conjunctions_stand_between_expressions() {
        let or = json!({"resource_type": "ConjunctionOperator", "conjunction_operator": "OR"});
        let tag = json!({"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag",
            "operator": "EQUALS", "value": "app|web"});
        let joined = |n: usize| {
            let mut list = Vec::new();
            for i in 0..n {
                if i > 0 {
                    list.push(or.clone());
                }
                list.push(tag.clone());
            }
            list
        };
        let cases: Vec<(Vec<Value>, Option<&str>)> = vec![
            (vec![], None),
            (vec![ips(&["10.0.0.1", "10.0.0.0/24", "10.0.0.1-10.0.0.9"])], None),
            (vec![ips(&["10.0.0.1", "fd00::1"])], Some("mixes")),
            (vec![ips(&["web"])], Some("web is not a valid")),
            (
                vec![ips(&["10.0.0.1"]), tag.clone()],
                Some("conjunction must stand"),
            ),
            (
                vec![ips(&["10.0.0.1"]), tag.clone(), tag.clone()],
                Some("out of place"),
            ),
            (vec![or.clone()], Some("out of place")),
            (
                vec![
                    ips(&["10.0.0.1"]),
                    json!({"resource_type": "ConjunctionOperator", "conjunction_operator": "AND"}),
                    tag.clone(),
                ],
                Some("AND stands between"),
            ),
            (joined(5), None),
            (joined(6), Some("6 conditions")),
        ];
        for (list, expected) in cases {
            let result = patch(&mut world(), GROUP, json!({"expression": list}));
            match (expected, result) {
                (None, Ok(())) => {}
                (Some(text), Err(e)) => assert!(e.message().contains(text), "{list:?}: {}", e.message()),
                (expected, got) => panic!("{list:?}: expected {expected:?}, got {got:?}"),
            }
        }
    }

    #[test]
    fn expressions_come_back_with_an_id() {
        let mut world = world();
        patch(&mut world, GROUP, json!({"expression": [ips(&["10.0.0.1"])]})).unwrap();
        let read = world.read(GROUP).unwrap();
        assert_eq!(read["expression"][0]["_protection"], "NOT_PROTECTED");
        assert_eq!(read["expression"][0]["parent_path"], GROUP);
        let again = patch(&mut world, GROUP, read);
        assert!(again.is_ok(), "what was read can be sent back: {again:?}");
    }
}
