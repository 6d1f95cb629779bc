//! The walk itself.

use std::net::IpAddr;

use super::address::join;
use super::answer::{self, Translation};
use super::door::{self, Door};
use super::effect::{InEffect, all, one};
use super::nat::{FirewallMatch, Hit, Way};
use super::{Flow, Hop, Packet, Protocol, Told, Verdict, firewall, nat, topology};
use crate::world::World;
use crate::world::object::text;

/// Gateways a packet meets at most: more is a loop.
const MOST_GATEWAYS: u8 = 16;
/// Type of an ICMP echo request, for IPv4 and IPv6.
const ECHO: (u8, u8) = (8, 128);

/// Walks a packet.
///
/// # Errors
/// A sentence, for a packet that is none.
pub fn walk(world: &World, packet: &Packet) -> Result<Told, String> {
    let flow = read(packet)?;
    let mut walk = Walk {
        world,
        start: flow,
        flow,
        steps: Vec::new(),
        hops: Vec::new(),
        vm: None,
        answer: None,
        translations: Vec::new(),
        left: Vec::new(),
        entered: false,
        gateways: 0,
    };
    let verdict = match topology::segment_with(world, flow.source) {
        Some(segment) => walk.depart(&segment),
        None => walk.arrive(),
    };
    let moved = walk.flow.destination != flow.destination || walk.flow.port != flow.port;
    let decided = walk.deciding();
    Ok(Told {
        translated: moved.then(|| join(walk.flow.destination, walk.flow.port)),
        source: (walk.flow.source != flow.source).then(|| walk.flow.source.to_string()),
        vm: walk.vm,
        verdict,
        rule: decided.as_ref().and_then(|h| h.rule.clone()),
        action: decided.and_then(|h| h.action),
        nat_rule: walk.hops.iter().rev().find_map(|h| h.nat_rule.clone()),
        answer: walk.answer,
        hops: walk.hops,
        steps: walk.steps,
    })
}

fn read(packet: &Packet) -> Result<Flow, String> {
    let address = |t: &str| t.parse::<IpAddr>().map_err(|_| format!("{t} is not an address"));
    let (source, destination) = (address(&packet.from)?, address(&packet.to)?);
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(format!("{source} and {destination} are of two families"));
    }
    let mut protocol =
        Protocol::parse(&packet.protocol).ok_or_else(|| format!("unknown protocol {}", packet.protocol))?;
    if protocol == Protocol::Icmp && source.is_ipv6() {
        protocol = Protocol::Icmp6;
    }
    if protocol.has_ports() && packet.port.is_none() {
        return Err(format!("a {} packet needs a port", packet.protocol));
    }
    let ports = |port: Option<u16>| port.filter(|_| protocol.has_ports());
    let echo = match protocol {
        Protocol::Icmp => Some(ECHO.0),
        Protocol::Icmp6 => Some(ECHO.1),
        _ => None,
    };
    Ok(Flow {
        source,
        destination,
        protocol,
        port: ports(packet.port),
        source_port: ports(packet.source_port),
        icmp_type: echo.map(|echo| packet.icmp_type.unwrap_or(echo)),
        icmp_code: echo.map(|_| packet.icmp_code.unwrap_or_default()),
    })
}

struct Walk<'a> {
    world: &'a World,
    start: Flow,
    flow: Flow,
    steps: Vec<String>,
    hops: Vec<Hop>,
    vm: Option<String>,
    answer: Option<String>,
    translations: Vec<Translation<'a>>,
    /// Doors it went out by.
    left: Vec<Door<'a>>,
    /// Did it come in by a door? Then it does not turn round at another.
    entered: bool,
    gateways: u8,
}

impl<'a> Walk<'a> {
    fn say(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    /// The hop whose firewall rule is told: the last gateway's, or the vNIC's that stopped it.
    fn deciding(&self) -> Option<Hop> {
        let stops = |h: &&Hop| h.action.as_deref().is_some_and(|a| a != "ALLOW");
        let last = self.hops.last().filter(stops);
        let at_gateway = |h: &&Hop| !h.at.starts_with("vNIC");
        last.or_else(|| self.hops.iter().rfind(at_gateway)).cloned()
    }

    /// From outside: beside an interface, over a Tier-0, or by an interface that answers for the source.
    fn arrive(&mut self) -> Verdict {
        let world = self.world;
        let (source, destination) = (self.flow.source, self.flow.destination);
        if let Some(door) = topology::door_beside(world, source) {
            self.say(format!("{source} is beside {}", door.name()));
            return self.cross_the_wire(&door);
        }
        for tier0 in all(world, "Tier0") {
            let door = topology::exit(world, &tier0, source).unwrap_or(Door::uplink(tier0));
            let (below, hints) = topology::attracted(world, tier0.path(), destination);
            self.steps.extend(hints);
            if topology::knows(world, &door, destination) || below.is_some() {
                return self.enter(door);
            }
        }
        if let Some(door) = topology::door_towards(world, source, destination) {
            return self.enter(door);
        }
        self.say(format!("no gateway knows a way to {destination}"));
        Verdict::NoRoute
    }

    /// From the wire of an interface: to a neighbour, or into the gateway.
    fn cross_the_wire(&mut self, door: &Door<'a>) -> Verdict {
        let segment = door.interface.and_then(|i| text(i.body, "segment_path"));
        let segment = segment.and_then(|p| one(self.world, p));
        let neighbour = segment.filter(|s| topology::machine(self.world, s, self.flow.destination).is_some());
        match neighbour {
            Some(segment) => self.deliver(&segment),
            None => self.enter(*door),
        }
    }

    /// From a VM on a segment.
    fn depart(&mut self, segment: &InEffect<'a>) -> Verdict {
        self.say(format!("{} is on {}", self.flow.source, segment.path()));
        if !topology::is_up(segment) {
            self.say(format!("{} is switched off", segment.path()));
            return Verdict::NoRoute;
        }
        if !self.distributed(self.flow.source, Way::Out) {
            return Verdict::Dropped;
        }
        if let Some(door) = topology::door_on(self.world, segment.path()) {
            return self.cross_the_wire(&door);
        }
        if topology::on_link(self.world, segment, self.flow.destination) {
            return self.deliver(segment);
        }
        let Some(gateway) = topology::gateway(self.world, segment) else {
            self.say(format!("{} has no gateway", segment.path()));
            return Verdict::NoRoute;
        };
        self.route(gateway, None)
    }

    /// Into a gateway by a door, and on.
    fn enter(&mut self, door: Door<'a>) -> Verdict {
        self.entered = true;
        if !self.cross(&door, Way::In) {
            return Verdict::Dropped;
        }
        self.route(door.gateway, Some(door))
    }

    /// On from a gateway; `came` is the door it came in by.
    fn route(&mut self, gateway: InEffect<'a>, came: Option<Door<'a>>) -> Verdict {
        let world = self.world;
        let destination = self.flow.destination;
        self.gateways = self.gateways.saturating_add(1);
        if self.gateways > MOST_GATEWAYS {
            self.say(format!("{destination} is sent in a circle"));
            return Verdict::NoRoute;
        }
        if let Some(segment) = topology::connected(world, gateway.path(), destination) {
            if came.is_none() {
                self.say(format!("{} routes to its own segment", gateway.path()));
            }
            return self.deliver(&segment);
        }
        if gateway.object.kind == "Tier0" {
            let (below, hints) = topology::attracted(world, gateway.path(), destination);
            self.steps.extend(hints);
            if let Some(tier1) = below {
                self.say(format!(
                    "{}: {destination} is behind {}",
                    gateway.path(),
                    tier1.path()
                ));
                return self.enter(Door::uplink(tier1));
            }
        }
        let exit = topology::exit(world, &gateway, destination);
        if let Some(exit) = exit.filter(|exit| !came.is_some_and(|came| came.is(exit))) {
            return self.leave(exit);
        }
        self.say(format!("{}: no route to {destination}", gateway.path()));
        Verdict::NoRoute
    }

    /// Out of a gateway by a door: up to the Tier-0, back in where the gateway answers itself, or away.
    fn leave(&mut self, door: Door<'a>) -> Verdict {
        let world = self.world;
        if !self.cross(&door, Way::Out) {
            return Verdict::Dropped;
        }
        self.left.push(door);
        let above = text(door.gateway.body, "tier0_path").and_then(|p| one(world, p));
        if let (None, Some(tier0)) = (door.interface, above) {
            return self.route(tier0, None);
        }
        let destination = self.flow.destination;
        if nat::claims(world, &door, destination) {
            if self.entered {
                self.say(format!(
                    "{}: {destination} is nobody's but the gateway's",
                    door.name()
                ));
                return Verdict::NoRoute;
            }
            self.say(format!(
                "{}: {destination} is the gateway's own, back in",
                door.name()
            ));
            return self.enter(door);
        }
        let segment = door.interface.and_then(|i| text(i.body, "segment_path"));
        let segment = segment.and_then(|p| one(world, p));
        if let Some(segment) = segment.filter(|s| topology::machine(world, s, destination).is_some()) {
            return self.deliver(&segment);
        }
        self.say(format!("{} leaves by {}", self.flow, door.name()));
        let doors = std::mem::take(&mut self.left);
        self.answered(answer::of_outside(world, &doors, &self.flow))
    }

    /// Delivered, unless the answer is lost.
    fn answered(&mut self, back: Result<(), String>) -> Verdict {
        match back {
            Ok(()) => Verdict::Delivered,
            Err(reason) => {
                self.say(format!("the answer is lost: {reason}"));
                self.answer = Some(reason);
                self.vm = None;
                Verdict::NoRoute
            }
        }
    }

    /// Through a door: NAT and firewall. `false` when it is dropped.
    fn cross(&mut self, door: &Door<'a>, way: Way) -> bool {
        let before = self.flow;
        let mut hop = Hop {
            at: door.path().to_owned(),
            interface: door.interface.map(|i| i.path().to_owned()),
            way: way.name(),
            ..Hop::default()
        };
        if !door::has_service_router(self.world, door.path()) {
            self.say(format!(
                "{}: without an edge cluster, neither NAT nor firewall",
                door.path()
            ));
            self.hops.push(hop);
            return true;
        }
        let hit = nat::apply(self.world, door, &before, way);
        match &hit {
            Some(hit) => self.translate(door, hit, &mut hop),
            None => self.say(format!("{}: no NAT rule means {before}", door.name())),
        }
        let matching = hit.map_or(FirewallMatch::Internal, |h| h.firewall);
        let passes = self.gateway_firewall(door, &before, matching, way, &mut hop);
        self.hops.push(hop);
        passes
    }

    fn translate(&mut self, door: &Door<'a>, hit: &Hit, hop: &mut Hop) {
        let before = self.flow;
        self.flow = hit.flow;
        self.say(format!(
            "{}: {} by {}: {before} becomes {}",
            door.name(),
            hit.action,
            hit.rule,
            hit.flow
        ));
        hop.nat_rule = Some(hit.rule.clone());
        hop.nat_action = Some(hit.action.clone());
        hop.logged = hit.logged;
        if hit.flow != before {
            self.translations.push(Translation {
                door: *door,
                source: hit.flow.source != before.source,
            });
        }
    }

    fn gateway_firewall(
        &mut self,
        door: &Door<'a>,
        before: &Flow,
        matching: FirewallMatch,
        way: Way,
        hop: &mut Hop,
    ) -> bool {
        if matching == FirewallMatch::Bypass {
            self.say(format!("{}: the NAT rule bypasses the firewall", door.path()));
            return true;
        }
        if nat::firewall_is_off(&door.gateway) {
            self.say(format!("{}: the firewall is disabled", door.path()));
            return true;
        }
        // Inside is what NAT leads to on the way in, and what it starts from on the way out.
        let sees_after = (matching == FirewallMatch::Internal) == (way == Way::In);
        let seen = if sees_after { self.flow } else { *before };
        let decision = firewall::gateway(self.world, door, &seen, way);
        self.decided(&door.name(), &seen, decision, hop)
    }

    fn decided(&mut self, place: &str, seen: &Flow, decision: firewall::Decision, hop: &mut Hop) -> bool {
        let by = decision.rule.as_deref().unwrap_or("no rule").to_owned();
        let word = match decision.action.as_deref() {
            _ if decision.passes => "allowed",
            Some("REJECT") => "rejected",
            _ => "dropped",
        };
        self.say(format!("{place}: {seen} is {word} by {by}"));
        hop.rule = decision.rule;
        hop.action = decision.action;
        hop.logged |= decision.logged;
        decision.passes
    }

    /// The distributed firewall at a vNIC.
    fn distributed(&mut self, at: IpAddr, way: Way) -> bool {
        let flow = self.flow;
        let mut hop = Hop {
            at: format!("vNIC of {at}"),
            way: way.name(),
            ..Hop::default()
        };
        let decision = firewall::distributed(self.world, at, &flow, way);
        let place = hop.at.clone();
        let passes = self.decided(&place, &flow, decision, &mut hop);
        self.hops.push(hop);
        passes
    }

    fn deliver(&mut self, segment: &InEffect<'a>) -> Verdict {
        let address = self.flow.destination;
        self.say(format!("{address} is on {}", segment.path()));
        if !topology::is_up(segment) {
            self.say(format!("{} is switched off", segment.path()));
            return Verdict::NoRoute;
        }
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
        let translations = std::mem::take(&mut self.translations);
        let back = answer::of_inside(self.world, segment, &self.start, &self.flow, &translations);
        self.answered(back)
    }
}
