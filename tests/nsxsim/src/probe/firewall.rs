//! Firewalls: a gateway's own, and the distributed one at a vNIC.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::effect::{InEffect, all, arbitrary, flag, number, one};
use super::group::{Endpoint, named};
use super::nat::Way;
use super::{Flow, service};
use crate::paths::parent_of;
use crate::rules::{DISTRIBUTED_CATEGORIES, GATEWAY_CATEGORIES};
use crate::world::World;
use crate::world::object::{text, texts};

/// What a firewall says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// May the packet pass?
    pub passes: bool,
    /// The rule that says so; without one there is no rule at all and packets pass.
    pub rule: Option<String>,
}

/// A rule with its place in the order.
struct Placed<'a> {
    rule: InEffect<'a>,
    policy: InEffect<'a>,
    category: usize,
}

/// Rules of one kind of policy in effect, in their order: category, policy, rule; equals arbitrarily.
fn ordered<'a>(world: &'a World, kind: &str, categories: &[&str]) -> Vec<Placed<'a>> {
    let mut placed: Vec<Placed<'a>> = all(world, "Rule")
        .filter(|r| !flag(r.body, "disabled"))
        .filter_map(|rule| {
            let policy = one(world, parent_of(rule.path()))?;
            if policy.object.kind != kind {
                return None;
            }
            let name = text(policy.body, "category")?;
            let category = categories.iter().position(|c| *c == name)?;
            Some(Placed {
                rule,
                policy,
                category,
            })
        })
        .collect();
    placed.sort_by_key(|p| {
        (
            p.category,
            number(p.policy.body, "sequence_number"),
            arbitrary(p.policy.path()),
            number(p.rule.body, "sequence_number"),
            arbitrary(p.rule.path()),
        )
    });
    placed
}

/// The firewall of a gateway, for a packet that crosses its uplink.
pub fn gateway(world: &World, gateway: &str, flow: &Flow, way: Way) -> Decision {
    let inside = |s: &&str| *s == gateway || s.starts_with(&format!("{gateway}/"));
    let rules = ordered(world, "GatewayPolicy", GATEWAY_CATEGORIES);
    let mine = rules.into_iter().filter(|p| scope(p).iter().any(inside));
    decide(world, mine, flow, way)
}

/// The distributed firewall at the vNIC of a VM.
pub fn distributed(world: &World, at: IpAddr, flow: &Flow, way: Way) -> Decision {
    let endpoint = Endpoint::of(world, at);
    let rules = ordered(world, "SecurityPolicy", DISTRIBUTED_CATEGORIES);
    let ethernet = DISTRIBUTED_CATEGORIES.iter().position(|c| *c == "Ethernet");
    let mine = rules
        .into_iter()
        .filter(|p| Some(p.category) != ethernet)
        .filter(|p| named(world, &scope(p), &endpoint));
    decide(world, mine, flow, way)
}

/// A policy's scope overrides its rules'.
fn scope<'a>(placed: &Placed<'a>) -> Vec<&'a str> {
    let policy = texts(placed.policy.body, "scope");
    if policy.is_empty() {
        texts(placed.rule.body, "scope")
    } else {
        policy
    }
}

fn decide<'a>(world: &World, rules: impl Iterator<Item = Placed<'a>>, flow: &Flow, way: Way) -> Decision {
    let mut skipped = None;
    for placed in rules {
        if skipped == Some(placed.category) || !means(world, placed.rule.body, flow, way) {
            continue;
        }
        let rule = Some(placed.rule.path().to_owned());
        match text(placed.rule.body, "action") {
            // Environment hands over to Application.
            Some("JUMP_TO_APPLICATION") => skipped = Some(placed.category),
            Some("ALLOW") => return Decision { passes: true, rule },
            _ => return Decision { passes: false, rule },
        }
    }
    Decision {
        passes: true,
        rule: None,
    }
}

fn means(world: &World, rule: &Map<String, Value>, flow: &Flow, way: Way) -> bool {
    let direction = match text(rule, "direction") {
        Some("IN") => way == Way::In,
        Some("OUT") => way == Way::Out,
        _ => true,
    };
    let family = match text(rule, "ip_protocol") {
        Some("IPV4") => flow.destination.is_ipv4(),
        Some("IPV6") => flow.destination.is_ipv6(),
        _ => true,
    };
    let side = |list: &str, excluded: &str, address: IpAddr| {
        named(world, &texts(rule, list), &Endpoint::of(world, address)) != flag(rule, excluded)
    };
    direction
        && family
        && side("source_groups", "sources_excluded", flow.source)
        && side("destination_groups", "destinations_excluded", flow.destination)
        && service::rule_means(world, rule, flow)
}
