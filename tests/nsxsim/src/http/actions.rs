//! POST with an action: moving policies and rules, adding to and removing from a group's expressions.

use http::Method;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::request::Request;
use crate::error::{FIELD, NsxError};
use crate::paths::{kind_at, parent_of};
use crate::schema::Strictness;
use crate::world::write::{Change, Mode, Terms};
use crate::world::{Actor, World};

/// Space left between two neighbours when the server numbers them anew.
const SPACING: i64 = 10;
/// Kinds of expressions a path may name: its part of the path, the expression's list, the body's type and list.
const EXPRESSIONS: &[(&str, &str, &str, &str)] = &[
    (
        "ip-address-expressions",
        "ip_addresses",
        "IPAddressList",
        "ip_addresses",
    ),
    (
        "mac-address-expressions",
        "mac_addresses",
        "MACAddressList",
        "mac_addresses",
    ),
    ("path-expressions", "paths", "GroupMemberList", "members"),
    (
        "external-id-expressions",
        "external_ids",
        "GroupMemberList",
        "members",
    ),
];

/// Answers a POST; `None` for a path without actions.
pub fn answer(
    world: &mut World,
    request: &Request,
    path: &str,
    actor: &Actor,
) -> Option<Result<Answer, NsxError>> {
    if request.method != Method::POST {
        return None;
    }
    if matches!(kind_at(path), Some("SecurityPolicy" | "GatewayPolicy" | "Rule")) {
        return Some(revise(world, request, path, actor));
    }
    let (head, _) = path.rsplit_once('/')?;
    let (group, collection) = head.rsplit_once('/')?;
    let known = EXPRESSIONS.iter().find(|(part, ..)| *part == collection)?;
    (kind_at(group) == Some("Group")).then(|| edit(world, request, path, group, *known, actor))
}

/// `?action=revise&operation=insert_top|insert_bottom|insert_before|insert_after&anchor_path=…`: writes the object
/// as PUT does, puts it in its place, and numbers its neighbours anew.
fn revise(world: &mut World, request: &Request, path: &str, actor: &Actor) -> Result<Answer, NsxError> {
    if request.parameter("action") != Some("revise") {
        return Err(NsxError::bad(FIELD, "action is not revise").common());
    }
    let mut body = request.object()?;
    let category = body
        .get("category")
        .cloned()
        .or_else(|| world.store.live(path)?.body.get("category").cloned());
    let order = place(world, path, category.as_ref(), request)?;
    let mut changes = Vec::new();
    for (at, sibling) in order.iter().enumerate() {
        let number = i64::try_from(at)
            .unwrap_or(i64::MAX)
            .saturating_add(1)
            .saturating_mul(SPACING);
        let kind = kind_at(sibling).unwrap_or_default().to_owned();
        if sibling == path {
            body.insert("sequence_number".into(), json!(number));
            changes.push(Change::Upsert {
                path: sibling.clone(),
                kind,
                body: body.clone(),
                mode: Mode::Put,
            });
        } else if sequence(world, sibling) != number {
            let body = Map::from_iter([("sequence_number".to_owned(), json!(number))]);
            changes.push(Change::Upsert {
                path: sibling.clone(),
                kind,
                body,
                mode: Mode::Merge,
            });
        }
    }
    world.commit(&changes, Terms::default(), actor)?;
    Ok(Answer::json(&world.read(path)?))
}

fn sequence(world: &World, path: &str) -> i64 {
    let object = world.store.live(path);
    object
        .and_then(|o| o.body.get("sequence_number"))
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

/// The object among its neighbours (for policies: of its category), in their new order. Defaults stay last.
fn place(
    world: &World,
    path: &str,
    category: Option<&Value>,
    request: &Request,
) -> Result<Vec<String>, NsxError> {
    let kind = kind_at(path).unwrap_or_default();
    let neighbours = world.store.collection(parent_of(path), kind, false).filter(|o| {
        let is_default = o.body.get("is_default") == Some(&json!(true));
        let same = kind == "Rule" || category.is_none_or(|c| o.body.get("category") == Some(c));
        o.path != path && !is_default && same
    });
    let mut order: Vec<String> = neighbours.map(|o| o.path.clone()).collect();
    order.sort_by_key(|p| sequence(world, p));
    let anchor = || {
        let wanted = request.parameter("anchor_path").unwrap_or_default();
        order
            .iter()
            .position(|p| p == wanted)
            .ok_or_else(|| NsxError::invalid_path(wanted))
    };
    let at = match request.parameter("operation").unwrap_or("insert_top") {
        "insert_top" => 0,
        "insert_bottom" => order.len(),
        "insert_before" => anchor()?,
        "insert_after" => anchor()?.saturating_add(1),
        other => return Err(NsxError::bad(FIELD, format!("Unknown operation {other}")).common()),
    };
    order.insert(at, path.to_owned());
    Ok(order)
}

/// `?action=add|remove` on one expression of a group.
fn edit(
    world: &mut World,
    request: &Request,
    path: &str,
    group: &str,
    (_, list, body_kind, body_list): (&str, &str, &str, &str),
    actor: &Actor,
) -> Result<Answer, NsxError> {
    let id = crate::paths::id_of(path);
    let body = request.object()?;
    world.schema.read(body_kind, &body, Strictness::Whole)?;
    let given = body
        .get(body_list)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let object = world
        .store
        .live(group)
        .ok_or_else(|| NsxError::not_found(group))?;
    let mut expressions = object
        .body
        .get("expression")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let found = expressions.iter_mut().find(|e| e.get("id") == Some(&json!(id)));
    let target = found.and_then(|e| e.get_mut(list)).and_then(Value::as_array_mut);
    let target = target.ok_or_else(|| NsxError::not_found(path))?;
    match request.parameter("action") {
        Some("add") => target.extend(
            given
                .into_iter()
                .filter(|v| !target.contains(v))
                .collect::<Vec<_>>(),
        ),
        Some("remove") => target.retain(|v| !given.contains(v)),
        _ => return Err(NsxError::bad(FIELD, "action is neither add nor remove").common()),
    }
    let body = Map::from_iter([("expression".to_owned(), Value::Array(expressions))]);
    let change = Change::Upsert {
        path: group.to_owned(),
        kind: "Group".into(),
        body,
        mode: Mode::Merge,
    };
    world.commit(&[change], Terms::default(), actor)?;
    Ok(Answer::empty())
}
