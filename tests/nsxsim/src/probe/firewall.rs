//! Firewalls: a gateway's own, and the distributed one at a vNIC.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::door::Door;
use super::effect::{InEffect, all, arbitrary, flag, number};
use super::group::{Endpoint, applied, named};
use super::nat::Way;
use super::{Flow, service};
use crate::paths::project_of;
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
    /// Its action.
    pub action: Option<String>,
    /// Does it log?
    pub logged: bool,
}

/// Policies of one kind in effect with their category's place, in their order; equals arbitrarily.
fn policies<'a>(world: &'a World, kind: &str, categories: &[&str]) -> Vec<(usize, InEffect<'a>)> {
    let mut found: Vec<(usize, InEffect<'a>)> = all(world, kind)
        .filter_map(|policy| {
            let name = text(policy.body, "category")?;
            Some((categories.iter().position(|c| *c == name)?, policy))
        })
        .collect();
    found.sort_by_key(|(category, p)| (*category, number(p.body, "sequence_number"), arbitrary(p.path())));
    found
}

/// Enabled rules of a policy in effect, in their order; equals arbitrarily.
fn rules<'a>(world: &'a World, policy: &InEffect<'a>) -> Vec<InEffect<'a>> {
    let all = world.store.collection(policy.path(), "Rule", true);
    let mut found: Vec<InEffect<'a>> = all
        .filter_map(|o| {
            let body = o.realization.effective.as_deref()?;
            Some(InEffect { object: o, body })
        })
        .filter(|r| !flag(r.body, "disabled"))
        .collect();
    found.sort_by_key(|r| (number(r.body, "sequence_number"), arbitrary(r.path())));
    found
}

/// The firewall of a gateway, for a packet that goes through one of its doors.
pub fn gateway(world: &World, door: &Door<'_>, flow: &Flow, way: Way) -> Decision {
    let named = |scope: &[&str]| scope.iter().any(|s| door.named_by(s));
    let policies = policies(world, "GatewayPolicy", GATEWAY_CATEGORIES);
    decide(world, policies, flow, way, &named)
}

/// The distributed firewall at the vNIC of a VM. A project's policies are for the vNICs on its own segments.
pub fn distributed(world: &World, at: IpAddr, flow: &Flow, way: Way) -> Decision {
    let endpoint = Endpoint::of(world, at);
    let segment = endpoint.owner.and_then(|(_, vif)| vif.segment.as_deref());
    let project = segment.and_then(|id| world.segment_of(id)).and_then(project_of);
    let mut policies = policies(world, "SecurityPolicy", DISTRIBUTED_CATEGORIES);
    policies.retain(|(category, policy)| {
        let here = project_of(policy.path()).is_none_or(|p| Some(p) == project);
        here && DISTRIBUTED_CATEGORIES.get(*category) != Some(&"Ethernet")
    });
    let named = |scope: &[&str]| applied(world, scope, &endpoint);
    decide(world, policies, flow, way, &named)
}

/// The first rule that means the packet. A policy's scope overrides its rules'.
fn decide(
    world: &World,
    policies: Vec<(usize, InEffect<'_>)>,
    flow: &Flow,
    way: Way,
    in_scope: &dyn Fn(&[&str]) -> bool,
) -> Decision {
    let sides = (
        Endpoint::of(world, flow.source),
        Endpoint::of(world, flow.destination),
    );
    let mut skipped = None;
    for (category, policy) in policies {
        let own = texts(policy.body, "scope");
        let overrides = !own.is_empty() && own != ["ANY"];
        if skipped == Some(category) || (overrides && !in_scope(&own)) {
            continue;
        }
        for rule in rules(world, &policy) {
            let here = overrides || in_scope(&texts(rule.body, "scope"));
            if !here || !means(world, rule.body, flow, way, &sides) {
                continue;
            }
            let action = text(rule.body, "action").unwrap_or_default();
            // Environment hands over to Application.
            if action == "JUMP_TO_APPLICATION" {
                skipped = Some(category);
                break;
            }
            return Decision {
                passes: action == "ALLOW",
                rule: Some(rule.path().to_owned()),
                action: Some(action.to_owned()),
                logged: flag(rule.body, "logged"),
            };
        }
    }
    Decision {
        passes: true,
        rule: None,
        action: None,
        logged: false,
    }
}

fn means(
    world: &World,
    rule: &Map<String, Value>,
    flow: &Flow,
    way: Way,
    sides: &(Endpoint<'_>, Endpoint<'_>),
) -> bool {
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
    let side = |list: &str, excluded: &str, endpoint: &Endpoint<'_>| {
        named(world, &texts(rule, list), endpoint) != flag(rule, excluded)
    };
    direction
        && family
        && side("source_groups", "sources_excluded", &sides.0)
        && side("destination_groups", "destinations_excluded", &sides.1)
        && service::rule_means(world, rule, flow)
}
