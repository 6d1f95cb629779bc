//! Who is connected to whom, as far as it is in effect.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::door::{self, Door};
use super::effect::{InEffect, all, one};
use super::nat;
use crate::net::Span;
use crate::paths::parent_of;
use crate::rules::{expressions, gateway_of, networks};
use crate::world::World;
use crate::world::inventory::{Vif, Vm};
use crate::world::object::{text, texts};

/// Is the segment switched on, and to its gateway?
fn is_connected(segment: &InEffect<'_>) -> bool {
    let advanced = segment.body.get("advanced_config").and_then(Value::as_object);
    advanced.and_then(|a| text(a, "connectivity")) != Some("OFF") && is_up(segment)
}

/// Is the segment itself switched on?
pub fn is_up(segment: &InEffect<'_>) -> bool {
    text(segment.body, "admin_state") != Some("DOWN")
}

fn has(segment: &InEffect<'_>, address: IpAddr) -> bool {
    networks(segment.body).any(|net| net.contains(&address))
}

/// The connected segment of a gateway that has an address.
pub fn connected<'a>(world: &'a World, gateway: &str, address: IpAddr) -> Option<InEffect<'a>> {
    all(world, "Segment")
        .find(|s| gateway_of(s.path(), s.body) == Some(gateway) && is_connected(s) && has(s, address))
}

/// The segment an inside address is on: one with a VM that has it first, else any with its subnet.
pub fn segment_with(world: &World, address: IpAddr) -> Option<InEffect<'_>> {
    let occupied = owners(world, address).find_map(|(_, vif)| {
        let path = world.segment_of(vif.segment.as_deref()?)?;
        one(world, path)
    });
    occupied.or_else(|| all(world, "Segment").find(|s| has(s, address)))
}

/// VMs and vNICs that have an address.
fn owners(world: &World, address: IpAddr) -> impl Iterator<Item = (&Vm, &Vif)> {
    let all = world.inventory.vms.iter();
    all.flat_map(|vm| vm.vifs.iter().map(move |vif| (vm, vif)))
        .filter(move |(_, vif)| vif.ips.iter().any(|ip| ip.parse() == Ok(address)))
}

/// Is the address on the wire of the segment: in its subnets, or in those of an interface on it?
pub fn on_link(world: &World, segment: &InEffect<'_>, address: IpAddr) -> bool {
    has(segment, address)
        || door_on(world, segment.path()).is_some_and(|d| d.addresses().iter().any(|n| n.contains(&address)))
}

/// The gateway of a segment.
pub fn gateway<'a>(world: &'a World, segment: &InEffect<'a>) -> Option<InEffect<'a>> {
    let path = gateway_of(segment.path(), segment.body)?;
    is_connected(segment).then(|| one(world, path)).flatten()
}

/// The interface that stands on a segment.
pub fn door_on<'a>(world: &'a World, segment: &str) -> Option<Door<'a>> {
    door::interfaces(world).find(|d| d.interface.and_then(|i| text(i.body, "segment_path")) == Some(segment))
}

/// The interface in whose subnet an address is.
pub fn door_beside(world: &World, address: IpAddr) -> Option<Door<'_>> {
    door::interfaces(world).find(|d| d.addresses().iter().any(|n| n.contains(&address)))
}

/// The VM on a segment that has an address, powered on or not.
pub fn machine<'a>(world: &'a World, segment: &InEffect<'_>, address: IpAddr) -> Option<&'a Vm> {
    let id = text(segment.body, "realization_id");
    let mut here = owners(world, address).filter(|(_, vif)| vif.segment.as_deref() == id);
    here.next().map(|(vm, _)| vm)
}

/// Where a gateway sends what is not on its own segments: the interface in whose subnet it is or to which the longest
/// static route leads, else the uplink.
pub fn exit<'a>(world: &'a World, gateway: &InEffect<'a>, address: IpAddr) -> Option<Door<'a>> {
    let mine: Vec<Door<'a>> = door::interfaces(world)
        .filter(|d| d.path() == gateway.path())
        .collect();
    let beside = |address: IpAddr| {
        mine.iter()
            .find(|d| d.addresses().iter().any(|n| n.contains(&address)))
    };
    if let Some(door) = beside(address) {
        return Some(*door);
    }
    let mut routes: Vec<(IpNet, Door<'a>)> = Vec::new();
    for (net, hop) in static_routes(world, gateway.path()) {
        if let (true, Some(door)) = (net.contains(&address), beside(hop)) {
            routes.push((net, *door));
        }
    }
    if let Some((_, door)) = routes.into_iter().max_by_key(|(net, _)| net.prefix_len()) {
        return Some(door);
    }
    if gateway.object.kind == "Tier1" {
        let above = text(gateway.body, "tier0_path")?;
        return one(world, above).map(|_| Door::uplink(*gateway));
    }
    let external = |d: &&Door<'a>| {
        let kind = d.interface.and_then(|i| text(i.body, "type"));
        kind == Some("EXTERNAL")
    };
    let first = mine.iter().find(external);
    Some(first.copied().unwrap_or_else(|| Door::uplink(*gateway)))
}

/// Networks and next hops of a gateway's static routes.
fn static_routes(world: &World, gateway: &str) -> Vec<(IpNet, IpAddr)> {
    let mut found = Vec::new();
    let routes = all(world, "StaticRoutes").filter(|r| parent_of(r.path()) == gateway);
    for route in routes {
        let net = text(route.body, "network").and_then(|n| n.parse::<IpNet>().ok());
        for hop in expressions(route.body, "next_hops") {
            let hop = text(hop, "ip_address").and_then(|a| a.parse().ok());
            found.extend(net.zip(hop));
        }
    }
    found
}

/// The gateway an outside address is answered through by an interface's static route.
pub fn door_towards(world: &World, source: IpAddr, destination: IpAddr) -> Option<Door<'_>> {
    let doors = all(world, "Tier1").filter_map(|t| exit(world, &t, source));
    let mut usable = doors.filter(|d| d.interface.is_some());
    usable.find(|d| knows(world, d, destination))
}

/// Does the gateway behind a door have a use for an address?
pub fn knows(world: &World, door: &Door<'_>, address: IpAddr) -> bool {
    connected(world, door.path(), address).is_some() || nat::claims(world, door, address)
}

/// The Tier-1 below a Tier-0 that draws an address to itself, and why the others that could do not.
pub fn attracted<'a>(world: &'a World, tier0: &str, address: IpAddr) -> (Option<InEffect<'a>>, Vec<String>) {
    let mut hints = Vec::new();
    for tier1 in all(world, "Tier1").filter(|t| text(t.body, "tier0_path") == Some(tier0)) {
        for (kind, net) in offers(world, &tier1, address) {
            if advertises(&tier1, kind, net) {
                return (Some(tier1), hints);
            }
            hints.push(format!(
                "{} knows {address} but does not advertise {kind}",
                tier1.path()
            ));
        }
    }
    (None, hints)
}

/// What a Tier-1 could advertise that covers an address: the kind of route and its network.
fn offers(world: &World, tier1: &InEffect<'_>, address: IpAddr) -> Vec<(&'static str, IpNet)> {
    let mut found = Vec::new();
    if let Some(segment) = connected(world, tier1.path(), address) {
        let net = networks(segment.body).find(|n| n.contains(&address));
        found.extend(net.map(|n| ("TIER1_CONNECTED", n)));
    }
    for door in door::interfaces(world).filter(|d| d.path() == tier1.path()) {
        let net = door.addresses().into_iter().find(|n| n.contains(&address));
        found.extend(net.map(|n| ("TIER1_CONNECTED", n.trunc())));
    }
    if nat::claims(world, &Door::uplink(*tier1), address) {
        found.push(("TIER1_NAT", IpNet::from(address)));
    }
    let routes = static_routes(world, tier1.path());
    let net = routes.into_iter().map(|(net, _)| net);
    let mut covering = net.filter(|n| n.prefix_len() > 0 && n.contains(&address));
    found.extend(covering.next().map(|n| ("TIER1_STATIC_ROUTES", n)));
    found
}

/// Is a route of this kind told to the Tier-0? The first rule that means it decides, else the list of kinds.
fn advertises(tier1: &InEffect<'_>, kind: &str, net: IpNet) -> bool {
    for rule in expressions(tier1.body, "route_advertisement_rules") {
        let kinds = texts(rule, "route_advertisement_types");
        let subnets: Vec<IpNet> = texts(rule, "subnets")
            .into_iter()
            .filter_map(|s| s.parse().ok())
            .collect();
        let exact = text(rule, "prefix_operator") == Some("EQ");
        let fits = |s: &IpNet| {
            if exact {
                s.trunc() == net
            } else {
                Span::block(*s).covers(&Span::block(net))
            }
        };
        let means = kinds.is_empty() || kinds.contains(&kind);
        if means && (subnets.is_empty() || subnets.iter().any(fits)) {
            return text(rule, "action") == Some("PERMIT");
        }
    }
    texts(tier1.body, "route_advertisement_types").contains(&kind)
}

/// Gateways whose doors an answer from a segment to an address goes through, in their order; `None` where no way leads.
pub fn way_back<'a>(world: &'a World, from: &InEffect<'a>, to: IpAddr) -> Option<Vec<&'a str>> {
    if on_link(world, from, to) {
        return Some(Vec::new());
    }
    let Some(gateway) = gateway(world, from) else {
        // Who is on an interface's wire answers through that interface.
        return door_on(world, from.path()).map(|d| vec![d.path()]);
    };
    if connected(world, gateway.path(), to).is_some() {
        return Some(Vec::new());
    }
    let door = exit(world, &gateway, to)?;
    let mut way = vec![gateway.path()];
    if gateway.object.kind == "Tier1" && door.interface.is_none() {
        let tier0 = text(gateway.body, "tier0_path")?;
        way.extend(down(world, tier0, to));
    }
    Some(way)
}

/// From a Tier-0 on: the Tier-1 that has the address, or the Tier-0's own uplink.
fn down<'a>(world: &'a World, tier0: &'a str, to: IpAddr) -> Option<&'a str> {
    if connected(world, tier0, to).is_some() {
        return None;
    }
    let (below, _) = attracted(world, tier0, to);
    Some(below.map_or(tier0, |t| t.path()))
}

/// Is an outside answer to an address led back to a gateway: by its Tier-0's routes, or beside the door itself?
pub fn comes_back<'a>(world: &'a World, door: &Door<'a>, to: IpAddr) -> Result<(), String> {
    let gateway = door.path();
    if door.interface.is_some() || door.gateway.object.kind == "Tier0" {
        // The neighbours on an interface's wire, and the world around a Tier-0, are told by hand.
        return Ok(());
    }
    let tier0 = text(door.gateway.body, "tier0_path").unwrap_or_default();
    match attracted(world, tier0, to) {
        (Some(tier1), _) if tier1.path() == gateway => Ok(()),
        (Some(tier1), _) => Err(format!("{} draws answers to {to} to itself", tier1.path())),
        (None, hints) => Err(hints
            .into_iter()
            .next()
            .unwrap_or_else(|| format!("no route leads answers back to {to}"))),
    }
}
