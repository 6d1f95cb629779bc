//! Group membership, computed from expressions.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::effect;
use crate::net::Span;
use crate::rules::expressions;
use crate::world::World;
use crate::world::inventory::{Vif, Vm};
use crate::world::object::{text, texts};

/// Groups in groups go this deep.
const DEPTH: u8 = 5;

/// One side of a flow, as far as it is known.
#[derive(Clone, Copy)]
pub struct Endpoint<'a> {
    /// Address; `None` where membership by address does not count.
    pub address: Option<IpAddr>,
    /// VM and vNIC that have it.
    pub owner: Option<(&'a Vm, &'a Vif)>,
}

impl<'a> Endpoint<'a> {
    /// The endpoint with an address: on which vNIC is known from the inventory.
    pub fn of(world: &'a World, address: IpAddr) -> Self {
        let all = world
            .inventory
            .vms
            .iter()
            .flat_map(|vm| vm.vifs.iter().map(move |vif| (vm, vif)));
        let mut owners = all.filter(|(_, vif)| vif.ips.iter().any(|ip| ip.parse() == Ok(address)));
        Self {
            address: Some(address),
            owner: owners.next(),
        }
    }

    fn is_in(&self, span: &Span) -> bool {
        self.address.is_some_and(|a| span.contains(a))
    }

    fn segment(&self, world: &'a World) -> Option<&'a str> {
        let (_, vif) = self.owner?;
        world.segment_of(vif.segment.as_deref()?)
    }

    fn port(&self, world: &World) -> Option<String> {
        let (_, vif) = self.owner?;
        Some(format!(
            "{}/ports/default:{}",
            self.segment(world)?,
            vif.external_id
        ))
    }
}

/// Members of a group.
pub struct Members<'a> {
    /// VMs.
    pub machines: Vec<&'a Vm>,
    /// vNICs with their VMs.
    pub interfaces: Vec<(&'a Vm, &'a Vif)>,
    /// Addresses of members, and addresses, blocks and ranges named.
    pub addresses: Vec<String>,
    /// Segments named, or chosen by a condition.
    pub segments: Vec<String>,
    /// Ports of the vNICs.
    pub ports: Vec<String>,
}

/// Who is in a group now.
pub fn members<'a>(world: &'a World, group: &Map<String, Value>) -> Members<'a> {
    let mut found = Members {
        machines: Vec::new(),
        interfaces: Vec::new(),
        addresses: Vec::new(),
        segments: Vec::new(),
        ports: Vec::new(),
    };
    gather(world, group, &mut found, DEPTH);
    for vm in &world.inventory.vms {
        let mut inside = false;
        for vif in &vm.vifs {
            // Any of its addresses makes it a member.
            let owner = Some((vm, vif));
            let mut seen: Vec<Option<IpAddr>> = vif.ips.iter().map(|ip| ip.parse().ok()).collect();
            seen.push(None);
            let is_member = seen
                .into_iter()
                .any(|address| holds(world, group, &Endpoint { address, owner }, DEPTH));
            if is_member {
                inside = true;
                found.interfaces.push((vm, vif));
                let address = None;
                let port = Endpoint { address, owner }.port(world);
                found.ports.extend(port.filter(|p| world.store.live(p).is_some()));
                for ip in &vif.ips {
                    if !found.addresses.contains(ip) {
                        found.addresses.push(ip.clone());
                    }
                }
            }
        }
        if inside {
            found.machines.push(vm);
        }
    }
    found
}

/// Addresses and segments that a group and the groups in it name or choose.
fn gather(world: &World, group: &Map<String, Value>, found: &mut Members<'_>, depth: u8) {
    let Some(deeper) = depth.checked_sub(1) else {
        return;
    };
    for expression in expressions(group, "expression") {
        let addresses = texts(expression, "ip_addresses");
        found.addresses.extend(addresses.into_iter().map(str::to_owned));
        for path in texts(expression, "paths") {
            match effect::one(world, path) {
                Some(inner) if inner.object.kind == "Group" => gather(world, inner.body, found, deeper),
                Some(segment) if segment.object.kind == "Segment" => found.segments.push(path.to_owned()),
                _ => {}
            }
        }
        if text(expression, "member_type") == Some("Segment") {
            let segments = world.store.of_kind("Segment");
            let chosen = segments.filter(|s| condition_fits(expression, &s.body));
            found.segments.extend(chosen.map(|s| s.path.clone()));
        }
    }
}

/// Does a condition on an object's tags or name fit?
fn condition_fits(condition: &Map<String, Value>, body: &Map<String, Value>) -> bool {
    let names = Names {
        display: text(body, "display_name"),
        ..Names::default()
    };
    fits(condition, tags_of(body), &names)
}

/// Is an endpoint named by a list of a firewall rule: ANY, plain addresses, groups in effect?
pub fn named(world: &World, list: &[&str], endpoint: &Endpoint<'_>) -> bool {
    list.is_empty()
        || list.iter().any(|member| {
            *member == "ANY"
                || Span::parse(member).is_some_and(|s| endpoint.is_in(&s))
                || effect::one(world, member).is_some_and(|g| holds(world, g.body, endpoint, DEPTH))
        })
}

/// Is a rule applied at an endpoint's vNIC? A group that knows its members by their addresses only applies nowhere.
pub fn applied(world: &World, scope: &[&str], endpoint: &Endpoint<'_>) -> bool {
    let by_vnic = Endpoint {
        address: None,
        ..*endpoint
    };
    named(world, scope, &by_vnic)
}

/// Does a group hold an endpoint? AND binds closer than OR.
fn holds(world: &World, group: &Map<String, Value>, endpoint: &Endpoint<'_>, depth: u8) -> bool {
    let list: Vec<&Map<String, Value>> = expressions(group, "expression").collect();
    all_of_any(world, &list, endpoint, depth)
}

fn all_of_any(world: &World, list: &[&Map<String, Value>], endpoint: &Endpoint<'_>, depth: u8) -> bool {
    let mut any = false;
    let mut all = None;
    for expression in list {
        if text(expression, "resource_type") == Some("ConjunctionOperator") {
            if text(expression, "conjunction_operator") == Some("OR") {
                any |= all.take().unwrap_or_default();
            }
            continue;
        }
        let fits = expression_holds(world, expression, endpoint, depth);
        all = Some(all.unwrap_or(true) && fits);
    }
    any || all.unwrap_or_default()
}

fn expression_holds(
    world: &World,
    expression: &Map<String, Value>,
    endpoint: &Endpoint<'_>,
    depth: u8,
) -> bool {
    let Some(deeper) = depth.checked_sub(1) else {
        return false;
    };
    match text(expression, "resource_type").unwrap_or_default() {
        "IPAddressExpression" => texts(expression, "ip_addresses")
            .iter()
            .any(|a| Span::parse(a).is_some_and(|s| endpoint.is_in(&s))),
        "PathExpression" => texts(expression, "paths")
            .iter()
            .any(|path| path_holds(world, path, endpoint, deeper)),
        "ExternalIDExpression" => {
            let ids = texts(expression, "external_ids");
            endpoint.owner.is_some_and(|(vm, vif)| {
                ids.contains(&vm.external_id.as_str()) || ids.contains(&vif.external_id.as_str())
            })
        }
        "MACAddressExpression" => {
            let macs = texts(expression, "mac_addresses");
            endpoint
                .owner
                .is_some_and(|(_, vif)| macs.iter().any(|m| m.eq_ignore_ascii_case(&vif.mac)))
        }
        "NestedExpression" => {
            let inner: Vec<&Map<String, Value>> = expressions(expression, "expressions").collect();
            all_of_any(world, &inner, endpoint, deeper)
        }
        "Condition" => condition_holds(world, expression, endpoint, deeper),
        _ => false,
    }
}

/// A segment holds the vNICs on it, a port its own, a group its members.
fn path_holds(world: &World, path: &str, endpoint: &Endpoint<'_>, depth: u8) -> bool {
    if let Some(group) = effect::one(world, path).filter(|o| o.object.kind == "Group") {
        return holds(world, group.body, endpoint, depth);
    }
    endpoint.segment(world) == Some(path) || endpoint.port(world).as_deref() == Some(path)
}

fn condition_holds(
    world: &World,
    condition: &Map<String, Value>,
    endpoint: &Endpoint<'_>,
    depth: u8,
) -> bool {
    let of_object = |path: &str| {
        world
            .store
            .live(path)
            .is_some_and(|o| condition_fits(condition, &o.body))
    };
    match text(condition, "member_type").unwrap_or_default() {
        "VirtualMachine" => endpoint.owner.is_some_and(|(vm, _)| {
            let names = Names {
                display: Some(&vm.display_name),
                computer: vm.computer_name.as_deref(),
                system: vm.os_name.as_deref(),
            };
            fits(condition, &vm.tags, &names)
        }),
        "Segment" => endpoint.segment(world).is_some_and(of_object),
        "SegmentPort" => endpoint.port(world).is_some_and(|p| of_object(&p)),
        "Group" | "IPSet" => effect::all(world, "Group")
            .filter(|g| of_object(g.path()))
            .any(|g| depth > 0 && holds(world, g.body, endpoint, depth)),
        _ => false,
    }
}

/// Does a condition fit what something is tagged with and called?
fn fits(condition: &Map<String, Value>, tags: &[Value], names: &Names<'_>) -> bool {
    let value = text(condition, "value").unwrap_or_default();
    let operator = text(condition, "operator").unwrap_or("EQUALS");
    let name = match text(condition, "key") {
        Some("Tag") => return tags.iter().any(|tag| tag_fits(tag, value, operator, condition)),
        Some("ALL") => return true,
        Some("Name") => names.display,
        Some("ComputerName") => names.computer,
        Some("OSName") => names.system,
        _ => None,
    };
    name.is_some_and(|n| compare(n, value, operator))
}

/// Names that conditions look at.
#[derive(Default)]
struct Names<'a> {
    display: Option<&'a str>,
    computer: Option<&'a str>,
    system: Option<&'a str>,
}

fn tags_of(body: &Map<String, Value>) -> &[Value] {
    let tags = body.get("tags").and_then(Value::as_array);
    tags.map(Vec::as_slice).unwrap_or_default()
}

/// `scope|tag`; without a bar any scope will do.
fn tag_fits(tag: &Value, value: &str, operator: &str, condition: &Map<String, Value>) -> bool {
    let part = |key: &str| tag.get(key).and_then(Value::as_str).unwrap_or_default();
    let (scope, wanted) = value.split_once('|').map_or((None, value), |(s, t)| (Some(s), t));
    let negated = text(condition, "scope_operator") == Some("NOTEQUALS");
    let scope_fits = scope.is_none_or(|s| (part("scope") == s) != negated);
    scope_fits && compare(part("tag"), wanted, operator)
}

fn compare(text: &str, value: &str, operator: &str) -> bool {
    match operator {
        "EQUALS" => text == value,
        "NOTEQUALS" => text != value,
        "CONTAINS" => text.contains(value),
        "STARTSWITH" => text.starts_with(value),
        "ENDSWITH" => text.ends_with(value),
        "IN" => value.split(',').any(|v| v.trim() == text),
        "NOTIN" => value.split(',').all(|v| v.trim() != text),
        _ => false,
    }
}
