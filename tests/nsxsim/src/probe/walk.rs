//! The walk itself.

use std::net::IpAddr;

use super::address::join;
use super::effect::{InEffect, all};
use super::nat::{FirewallMatch, Way};
use super::{Flow, Packet, Protocol, Told, Verdict, firewall, nat, topology};
use crate::world::World;
use crate::world::object::text;

/// Walks a packet.
///
/// # Errors
/// A sentence, for a packet that is none.
pub fn walk(world: &World, packet: &Packet) -> Result<Told, String> {
    let address = |t: &str| t.parse::<IpAddr>().map_err(|_| format!("{t} is not an address"));
    let protocol =
        Protocol::parse(&packet.protocol).ok_or_else(|| format!("unknown protocol {}", packet.protocol))?;
    if protocol != Protocol::Icmp && packet.port.is_none() {
        return Err(format!("a {} packet needs a port", packet.protocol));
    }
    let port = if protocol == Protocol::Icmp {
        None
    } else {
        packet.port
    };
    let flow = Flow {
        source: address(&packet.from)?,
        destination: address(&packet.to)?,
        protocol,
        port,
    };
    let mut walk = Walk {
        world,
        start: flow,
        flow,
        steps: Vec::new(),
        vm: None,
        rule: None,
        nat_rule: None,
    };
    let verdict = match topology::segment_with(world, flow.source) {
        Some(segment) => walk.depart(&segment),
        None => walk.arrive(),
    };
    let moved = walk.flow.destination != flow.destination || walk.flow.port != flow.port;
    Ok(Told {
        translated: moved.then(|| join(walk.flow.destination, walk.flow.port)),
        source: (walk.flow.source != flow.source).then(|| walk.flow.source.to_string()),
        vm: walk.vm,
        verdict,
        rule: walk.rule,
        nat_rule: walk.nat_rule,
        steps: walk.steps,
    })
}

struct Walk<'a> {
    world: &'a World,
    start: Flow,
    flow: Flow,
    steps: Vec<String>,
    vm: Option<String>,
    rule: Option<String>,
    nat_rule: Option<String>,
}

impl<'a> Walk<'a> {
    fn say(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    fn arrive(&mut self) -> Verdict {
        let world = self.world;
        for tier0 in all(world, "Tier0") {
            let here = topology::connected(world, tier0.path(), self.flow.destination).is_some()
                || nat::claims(world, tier0.path(), self.flow.destination);
            let (below, hints) = topology::attracted(world, tier0.path(), self.flow.destination);
            self.steps.extend(hints);
            if here || below.is_some() {
                return self.enter_tier0(&tier0);
            }
        }
        self.say(format!("no gateway knows a way to {}", self.flow.destination));
        Verdict::NoRoute
    }

    fn enter_tier0(&mut self, tier0: &InEffect<'a>) -> Verdict {
        if !self.cross(tier0, Way::In) {
            return Verdict::Dropped;
        }
        self.below_tier0(tier0).unwrap_or_else(|| {
            self.say(format!("{}: no route to {}", tier0.path(), self.flow.destination));
            Verdict::NoRoute
        })
    }

    /// From a Tier-0 to its own segments or a Tier-1; `None` when neither has the address.
    fn below_tier0(&mut self, tier0: &InEffect<'a>) -> Option<Verdict> {
        if let Some(segment) = topology::connected(self.world, tier0.path(), self.flow.destination) {
            return Some(self.deliver(&segment));
        }
        let (tier1, hints) = topology::attracted(self.world, tier0.path(), self.flow.destination);
        self.steps.extend(hints);
        let tier1 = tier1?;
        if !self.cross(&tier1, Way::In) {
            return Some(Verdict::Dropped);
        }
        let segment = topology::connected(self.world, tier1.path(), self.flow.destination);
        Some(if let Some(segment) = segment {
            self.deliver(&segment)
        } else {
            self.say(format!(
                "{}: no segment has {}",
                tier1.path(),
                self.flow.destination
            ));
            Verdict::NoRoute
        })
    }

    fn depart(&mut self, segment: &InEffect<'a>) -> Verdict {
        self.say(format!("{} is on {}", self.flow.source, segment.path()));
        if !self.distributed(self.flow.source, Way::Out) {
            return Verdict::Dropped;
        }
        let on_link = crate::rules::subnets(segment.body)
            .iter()
            .any(|s| s.net.contains(&self.flow.destination));
        if on_link {
            return self.deliver(segment);
        }
        let Some(gateway) = topology::gateway(self.world, segment) else {
            self.say(format!("{} has no gateway", segment.path()));
            return Verdict::NoRoute;
        };
        if let Some(other) = topology::connected(self.world, gateway.path(), self.flow.destination) {
            self.say(format!("{} routes between its segments", gateway.path()));
            return self.deliver(&other);
        }
        if gateway.object.kind == "Tier0" {
            return self.leave_tier0(&gateway);
        }
        if !self.cross(&gateway, Way::Out) {
            return Verdict::Dropped;
        }
        let above = text(gateway.body, "tier0_path").and_then(|p| super::effect::one(self.world, p));
        if let Some(tier0) = above {
            self.leave_tier0(&tier0)
        } else {
            self.say(format!("{} is linked to no Tier-0", gateway.path()));
            Verdict::NoRoute
        }
    }

    /// At a Tier-0, coming from below: down again, or out.
    fn leave_tier0(&mut self, tier0: &InEffect<'a>) -> Verdict {
        if let Some(verdict) = self.below_tier0(tier0) {
            return verdict;
        }
        if !self.cross(tier0, Way::Out) {
            return Verdict::Dropped;
        }
        self.say(format!("{} leaves for {}", self.flow, self.flow.destination));
        Verdict::Delivered
    }

    /// Over a gateway's uplink: NAT and firewall. `false` when it is dropped.
    fn cross(&mut self, gateway: &InEffect<'a>, way: Way) -> bool {
        let before = self.flow;
        let hit = nat::apply(self.world, gateway.path(), &before, way);
        if let Some(hit) = &hit {
            self.flow = hit.flow;
            self.nat_rule = Some(hit.rule.clone());
            self.say(format!(
                "{}: {} by {}: {} becomes {}",
                gateway.path(),
                hit.action,
                hit.rule,
                before,
                hit.flow
            ));
        } else {
            self.say(format!("{}: no NAT rule means {before}", gateway.path()));
        }
        let after = self.flow;
        let seen = match hit.map_or(FirewallMatch::Internal, |h| h.firewall) {
            FirewallMatch::Bypass => {
                self.say(format!("{}: the NAT rule bypasses the firewall", gateway.path()));
                return true;
            }
            // Inside is what NAT leads to on the way in, and what it starts from on the way out.
            FirewallMatch::Internal => {
                if way == Way::In {
                    after
                } else {
                    before
                }
            }
            FirewallMatch::External => {
                if way == Way::In {
                    before
                } else {
                    after
                }
            }
        };
        if nat::firewall_is_off(gateway) {
            self.say(format!("{}: the firewall is disabled", gateway.path()));
            return true;
        }
        let decision = firewall::gateway(self.world, gateway.path(), &seen, way);
        self.decided(gateway.path(), &seen, decision)
    }

    fn decided(&mut self, place: &str, seen: &Flow, decision: firewall::Decision) -> bool {
        let by = decision.rule.as_deref().unwrap_or("no rule").to_owned();
        let word = if decision.passes { "allowed" } else { "dropped" };
        self.say(format!("{place}: {seen} is {word} by {by}"));
        self.rule = decision.rule;
        decision.passes
    }

    /// The distributed firewall at a vNIC; the rule is told only where it drops, the gateway's is what matters.
    fn distributed(&mut self, at: IpAddr, way: Way) -> bool {
        let decision = firewall::distributed(self.world, at, &self.flow, way);
        if decision.passes {
            return true;
        }
        let flow = self.flow;
        self.decided(&format!("vNIC of {at}"), &flow, decision)
    }

    fn deliver(&mut self, segment: &InEffect<'a>) -> Verdict {
        let address = self.flow.destination;
        self.say(format!("{address} is on {}", segment.path()));
        let Some(vm) = topology::machine(self.world, segment, address) else {
            self.say(format!("no VM on {} has {address}", segment.path()));
            return Verdict::NoRoute;
        };
        if vm.power_state != "VM_RUNNING" {
            self.say(format!(
                "VM {} has {address} but is {}",
                vm.display_name, vm.power_state
            ));
            return Verdict::NoRoute;
        }
        if !self.distributed(address, Way::In) {
            return Verdict::Dropped;
        }
        self.say(format!(
            "{} reaches VM {} (sent as {})",
            self.flow, vm.display_name, self.start
        ));
        self.vm = Some(vm.display_name.clone());
        Verdict::Delivered
    }
}
