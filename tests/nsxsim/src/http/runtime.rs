//! What is not an intent: realized state, states, statistics, members.

use http::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::fabric;
use super::request::Request;
use crate::error::{FIELD, NsxError};
use crate::paths::{kind_at, parent_of, root_of};
use crate::probe::group;
use crate::world::list::{Paging, page};
use crate::world::{Actor, World};

type Result<T> = std::result::Result<T, NsxError>;

/// Answers what is asked about state; `None` for a path that is about intents.
pub fn answer(world: &mut World, request: &Request, path: &str, actor: &Actor) -> Option<Result<Answer>> {
    let below = path.strip_prefix(root_of(path));
    if let Some(rest) = below.and_then(|p| p.strip_prefix("/realized-state/")) {
        return Some(realized(world, request, rest, actor));
    }
    if request.method != Method::GET {
        return None;
    }
    if let Some(root) = path.strip_suffix("/segments/state").filter(|r| root_of(r) == *r) {
        let segments = world.store.of_kind("Segment");
        let states: Vec<Value> = segments
            .filter(|o| root_of(&o.path) == root)
            .map(|o| crate::world::realized::segment_state(o))
            .collect();
        return Some(paged(world, request, &states));
    }
    let (head, tail) = path.rsplit_once('/')?;
    match (kind_at(head), tail) {
        (Some("Segment"), "state") => Some(world.segment_state(head).map(|b| Answer::json(&b))),
        (Some("Tier0" | "Tier1"), "state") => Some(gateway_state(world, head)),
        (Some("Tier0" | "Tier1"), "gateway-firewall") => Some(gateway_firewall(world, request, head)),
        (Some("LocaleServices"), "gateway-firewall") => {
            Some(gateway_firewall(world, request, parent_of(head)))
        }
        _ => super::statistics::answer(world, request, path, actor.now)
            .or_else(|| super::statistics::binding_state(world, path))
            .or_else(|| members(world, request, path)),
    }
}

/// A page of a list.
pub fn paged(world: &World, request: &Request, results: &[Value]) -> Result<Answer> {
    let paging = Paging::from_query(&request.query)?;
    Ok(Answer::json(&page(
        results,
        &paging,
        world.tuning.list_omits_last_cursor,
    )?))
}

/// A query parameter that must be there.
pub fn needed<'a>(request: &'a Request, name: &str) -> Result<&'a str> {
    let given = request.parameter(name).filter(|v| !v.is_empty());
    given.ok_or_else(|| NsxError::fields(&[format!("{name} is required")]))
}

fn realized(world: &mut World, request: &Request, rest: &str, actor: &Actor) -> Result<Answer> {
    let get = request.method == Method::GET;
    match rest {
        "realized-entities" if get => {
            let entities = world.realized_entities(needed(request, "intent_path")?)?;
            paged(world, request, &entities)
        }
        "realized-entity" if get => Ok(Answer::json(
            &world.realized_entity(needed(request, "realized_path")?)?,
        )),
        "realized-entity" if request.method == Method::POST => {
            world.realized_entities(needed(request, "intent_path")?)?;
            Ok(Answer::status(204))
        }
        "status" if get => Ok(Answer::json(
            &world.realized_status(needed(request, "intent_path")?)?,
        )),
        "alarms" if get => paged(world, request, &world.alarms()),
        "virtual-machines" | "enforcement-points/default/virtual-machines" if get => {
            fabric::machines(world, request)
        }
        "enforcement-points/default/virtual-machines" if request.method == Method::POST => {
            fabric::tag(world, request, actor)
        }
        "enforcement-points/default/vifs" if get => fabric::vifs(world, request),
        _ => tag_vm(world, request, rest, actor),
    }
}

/// `POST /infra/realized-state/virtual-machines/{id}/tags`.
fn tag_vm(world: &mut World, request: &Request, rest: &str, actor: &Actor) -> Result<Answer> {
    let id = rest
        .strip_prefix("virtual-machines/")
        .and_then(|r| r.strip_suffix("/tags"));
    let (Some(id), true) = (id, request.method == Method::POST) else {
        return Err(NsxError::not_found(&format!("/infra/realized-state/{rest}")));
    };
    let body = request.object()?;
    world.schema.read(
        "VirtualMachineTagsUpdate",
        &body,
        crate::schema::Strictness::Whole,
    )?;
    let tags = body
        .get("tags")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if world.tag_vm(id, tags, actor.now) {
        Ok(Answer::empty())
    } else {
        Err(NsxError::not_found(id))
    }
}

fn gateway_state(world: &World, path: &str) -> Result<Answer> {
    let kind = kind_at(path).unwrap_or_default().to_lowercase();
    let status = world.realized_status(path)?;
    let state = match status.get("publish_status").and_then(Value::as_str) {
        Some("REALIZED") => "success",
        Some("ERROR") => "failed",
        _ => "in_progress",
    };
    let mut body = json!({});
    if let Some(map) = body.as_object_mut() {
        map.insert(format!("{kind}_state"), json!({"state": state, "details": []}));
    }
    Ok(Answer::json(&body))
}

/// Policies with a rule for the gateway.
fn gateway_firewall(world: &World, request: &Request, gateway: &str) -> Result<Answer> {
    if world.store.live(gateway).is_none() {
        return Err(NsxError::not_found(gateway));
    }
    let mut paths: Vec<&str> = world
        .store
        .referrers(gateway)
        .filter_map(|o| match o.kind.as_str() {
            "Rule" => Some(parent_of(&o.path)),
            "GatewayPolicy" => Some(o.path.as_str()),
            _ => None,
        })
        .collect();
    paths.sort_unstable();
    paths.dedup();
    let policies: Vec<Value> = paths
        .iter()
        .filter_map(|p| world.store.live(p))
        .map(|o| world.shown(o, true))
        .collect();
    paged(world, request, &policies)
}

/// `…/groups/{id}/members/{virtual-machines|ip-addresses|segments|segment-ports|vifs|…}`.
fn members(world: &World, request: &Request, path: &str) -> Option<Result<Answer>> {
    let (head, what) = path.rsplit_once('/')?;
    let (group_path, what) = match head.strip_suffix("/members") {
        Some(group) => (group, what),
        None if what == "member-types" => (head, what),
        None => return None,
    };
    if kind_at(group_path) != Some("Group") {
        return None;
    }
    let Some(object) = world.store.live(group_path) else {
        return Some(Err(NsxError::not_found(group_path)));
    };
    let found = group::members(world, &object.body);
    let results: Vec<Value> = match what {
        "virtual-machines" => found.machines.iter().map(|vm| vm.document()).collect(),
        "ip-addresses" | "consolidated-effective-ip-addresses" => {
            found.addresses.iter().map(|a| json!(a)).collect()
        }
        "segments" => named(&found.segments, "Segment"),
        "segment-ports" => named(&found.ports, "SegmentPort"),
        "vifs" => found
            .interfaces
            .iter()
            .map(|(vm, vif)| vif.document(vm, true))
            .collect(),
        "member-types" => member_types(&found),
        _ => {
            let message = format!("Unknown member type {what}");
            return Some(Err(NsxError::bad(FIELD, message).common()));
        }
    };
    Some(paged(world, request, &results))
}

fn named(paths: &[String], kind: &str) -> Vec<Value> {
    let told = paths
        .iter()
        .map(|p| json!({"id": crate::paths::id_of(p), "path": p, "target_type": kind}));
    told.collect()
}

fn member_types(found: &group::Members<'_>) -> Vec<Value> {
    let kinds = [
        ("VirtualMachine", found.machines.is_empty()),
        ("VirtualNetworkInterface", found.interfaces.is_empty()),
        ("SegmentPort", found.ports.is_empty()),
        ("Segment", found.segments.is_empty()),
        ("IPAddress", found.addresses.is_empty()),
    ];
    let there = kinds.iter().filter(|(_, empty)| !empty);
    there.map(|(kind, _)| json!(kind)).collect()
}
