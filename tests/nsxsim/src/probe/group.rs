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
    /// Segments, ports and groups named.
    pub paths: Vec<String>,
}

/// Who is in a group now.
pub fn members<'a>(world: &'a World, group: &Map<String, Value>) -> Members<'a> {
    let mut found = Members {
        machines: Vec::new(),
        interfaces: Vec::new(),
        addresses: Vec::new(),
        paths: Vec::new(),
    };
    for expression in expressions(group, "expression") {
        found
            .addresses
            .extend(texts(expression, "ip_addresses").into_iter().map(str::to_owned));
        found
            .paths
            .extend(texts(expression, "paths").into_iter().map(str::to_owned));
    }
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
                found.addresses.extend(
                    vif.ips
                        .iter()
                        .filter(|ip| !found.addresses.contains(ip))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
            }
        }
        if inside {
            found.machines.push(vm);
        }
    }
    found
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
    let value = text(condition, "value").unwrap_or_default();
    let operator = text(condition, "operator").unwrap_or("EQUALS");
    let fits = |tags: &[Value], names: &Names<'_>| match text(condition, "key") {
        Some("Tag") => tags.iter().any(|tag| tag_fits(tag, value, operator, condition)),
        Some("Name") => names.display.is_some_and(|n| compare(n, value, operator)),
        Some("ComputerName") => names.computer.is_some_and(|n| compare(n, value, operator)),
        Some("OSName") => names.system.is_some_and(|n| compare(n, value, operator)),
        Some("ALL") => true,
        _ => false,
    };
    let of_object = |path: &str| {
        world.store.live(path).is_some_and(|o| {
            let names = Names {
                display: o.text("display_name"),
                ..Names::default()
            };
            fits(tags_of(&o.body), &names)
        })
    };
    match text(condition, "member_type").unwrap_or_default() {
        "VirtualMachine" => endpoint.owner.is_some_and(|(vm, _)| {
            let names = Names {
                display: Some(&vm.display_name),
                computer: vm.computer_name.as_deref(),
                system: vm.os_name.as_deref(),
            };
            fits(&vm.tags, &names)
        }),
        "Segment" => endpoint.segment(world).is_some_and(of_object),
        "SegmentPort" => endpoint.port(world).is_some_and(|p| of_object(&p)),
        "Group" | "IPSet" => effect::all(world, "Group")
            .filter(|g| of_object(g.path()))
            .any(|g| depth > 0 && holds(world, g.body, endpoint, depth)),
        _ => false,
    }
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
