//! NAT of one gateway.
//!
//! For DNAT the service's destination port is realized as the translated port, and `translated_ports` as the port
//! that is matched; a service without `translated_ports` matches its own ports and leaves them alone.

use serde_json::{Map, Value};

use super::Flow;
use super::address::{listed, mapped};
use super::door::Door;
use super::effect::{InEffect, arbitrary, flag, number};
use super::service::{self, Entry};
use crate::net::Ports;
use crate::paths::{id_of, parent_of};
use crate::world::World;
use crate::world::object::{text, texts};

/// Which addresses the firewall looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirewallMatch {
    /// Those inside the gateway.
    Internal,
    /// Those outside the gateway.
    External,
    /// It does not look at all.
    Bypass,
}

/// What a NAT rule did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The rule.
    pub rule: String,
    /// Its action.
    pub action: String,
    /// The flow behind it.
    pub flow: Flow,
    /// What the firewall looks at.
    pub firewall: FirewallMatch,
    /// Does the rule log?
    pub logged: bool,
}

/// Which way a packet goes through a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From outside in.
    In,
    /// From inside out.
    Out,
}

impl Way {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// The first rule that means the flow at a door, in the gateway's order.
pub fn apply(world: &World, door: &Door<'_>, flow: &Flow, way: Way) -> Option<Hit> {
    let hits = rules(world, door).filter_map(|rule| Some((place(&rule), hit(world, &rule, flow, way)?)));
    hits.min_by_key(|(place, _)| *place).map(|(_, hit)| hit)
}

/// Rules of a gateway that are in effect at a door, in no order.
fn rules<'a>(world: &'a World, door: &Door<'a>) -> impl Iterator<Item = InEffect<'a>> {
    let sections = world.store.collection(door.path(), "PolicyNat", true);
    let all = sections.flat_map(|s| world.store.collection(&s.path, "PolicyNatRule", true));
    let door = *door;
    all.filter_map(|o| {
        let body = o.realization.effective.as_deref()?;
        Some(InEffect { object: o, body })
    })
    .filter(|r| r.body.get("enabled") != Some(&Value::Bool(false)))
    .filter(move |r| {
        let scope = texts(r.body, "scope");
        scope.is_empty() || scope.iter().any(|s| door.named_by(s))
    })
}

/// A rule's place: sections in their order, then sequence numbers, then arbitrarily.
fn place(rule: &InEffect<'_>) -> (u8, i64, u64) {
    let section = match id_of(parent_of(rule.path())) {
        "INTERNAL" => 0,
        "USER" => 1,
        _ => 2,
    };
    (
        section,
        number(rule.body, "sequence_number"),
        arbitrary(rule.path()),
    )
}

/// Does the gateway answer for an address at a door because of its NAT rules?
pub fn claims(world: &World, door: &Door<'_>, address: std::net::IpAddr) -> bool {
    super::door::has_service_router(world, door.path())
        && rules(world, door).any(|rule| {
            let field = match text(rule.body, "action") {
                Some("DNAT" | "NO_DNAT") => "destination_network",
                Some("SNAT" | "REFLEXIVE") => "translated_network",
                _ => return false,
            };
            text(rule.body, field).is_some_and(|list| listed(Some(list), address))
        })
}

fn hit(world: &World, rule: &InEffect<'_>, flow: &Flow, way: Way) -> Option<Hit> {
    let body = rule.body;
    let action = text(body, "action")?;
    let (source, destination) = (text(body, "source_network"), text(body, "destination_network"));
    let translated = text(body, "translated_network");
    let mut after = *flow;
    match (way, action) {
        (Way::In, "REFLEXIVE") => {
            if !listed(Some(translated?), flow.destination) {
                return None;
            }
            after.destination = mapped(translated, source?, flow.destination)?;
        }
        (Way::Out, "REFLEXIVE") => {
            if !listed(Some(source?), flow.source) {
                return None;
            }
            after.source = mapped(source, translated?, flow.source)?;
        }
        (Way::In, "DNAT" | "NO_DNAT") | (Way::Out, "SNAT" | "NO_SNAT") => {
            if !listed(source, flow.source) || !listed(destination, flow.destination) {
                return None;
            }
            let port = ports(world, body, flow, action)?;
            match action {
                "DNAT" => {
                    after.destination = mapped(destination, translated?, flow.destination)?;
                    after.port = port;
                }
                "SNAT" => after.source = mapped(source, translated?, flow.source)?,
                _ => {}
            }
        }
        _ => return None,
    }
    let firewall = match (text(body, "firewall_match"), action) {
        (Some("BYPASS"), _) | (None, "NO_DNAT" | "NO_SNAT") => FirewallMatch::Bypass,
        (Some("MATCH_EXTERNAL_ADDRESS"), _) => FirewallMatch::External,
        _ => FirewallMatch::Internal,
    };
    Some(Hit {
        rule: rule.path().into(),
        action: action.into(),
        flow: after,
        firewall,
        logged: flag(rule.body, "logging"),
    })
}

/// The port behind the rule; `None` if the rule does not mean the flow's protocol and port.
#[expect(
    clippy::option_option,
    reason = "outer: does the rule mean the flow; inner: ICMP has no port"
)]
fn ports(world: &World, body: &Map<String, Value>, flow: &Flow, action: &str) -> Option<Option<u16>> {
    let Some(service) = text(body, "service") else {
        return Some(flow.port);
    };
    let matched = (action == "DNAT")
        .then(|| text(body, "translated_ports").and_then(Ports::parse))
        .flatten();
    let entries = service::entries(world, service);
    let Some(matched) = matched else {
        return entries.iter().any(|e| e.means(flow, true)).then_some(flow.port);
    };
    let port = flow.port?;
    if !matched.contains(port) {
        return None;
    }
    entries
        .iter()
        .filter(|e| e.means(flow, false))
        .find_map(|e| target(e, matched, port))
        .map(Some)
}

/// The translated port: the service's single port, or the same place in a range of the same size.
fn target(entry: &Entry, matched: Ports, port: u16) -> Option<u16> {
    match entry.ports.as_slice() {
        [] => Some(port),
        [only] if only.first == only.last => Some(only.first),
        [range] if range.width() == matched.width() => {
            range.first.checked_add(port.checked_sub(matched.first)?)
        }
        _ => None,
    }
}

/// Is the gateway's firewall switched off?
pub fn firewall_is_off(gateway: &InEffect<'_>) -> bool {
    flag(gateway.body, "disable_firewall")
}
