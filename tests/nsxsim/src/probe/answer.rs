//! Does the answer come back through the gateways that translated the packet?

use super::Flow;
use super::door::Door;
use super::effect::InEffect;
use super::topology;
use crate::world::World;

/// A translation on the way.
#[derive(Clone, Copy)]
pub struct Translation<'a> {
    /// The door it was made at.
    pub door: Door<'a>,
    /// Was it the source?
    pub source: bool,
}

/// Why the answer of a VM on a segment does not reach who sent the packet, as the one they sent it to.
pub fn of_inside(
    world: &World,
    segment: &InEffect<'_>,
    start: &Flow,
    arrived: &Flow,
    translations: &[Translation<'_>],
) -> Result<(), String> {
    let to = arrived.source;
    if let Some(hidden) = translations.iter().rev().find(|t| t.source) {
        // The answer goes to the address that hides the sender: its gateway must get it.
        let beside = topology::on_link(world, segment, to);
        let own = topology::gateway(world, segment).is_some_and(|g| g.path() == hidden.door.path());
        return if beside || own {
            Ok(())
        } else {
            topology::comes_back(world, &hidden.door, to)
        };
    }
    if translations.is_empty() {
        return Ok(());
    }
    let Some(way) = topology::way_back(world, segment, to) else {
        return Err(format!("{} has no way to {to}: it cannot answer", segment.path()));
    };
    match translations.iter().find(|t| !way.contains(&t.door.path())) {
        Some(missed) => Err(format!(
            "{} answers {to} without passing {}: who sent to {} gets an answer from {} (source NAT would lead it back)",
            arrived.destination,
            missed.door.path(),
            start.destination,
            arrived.destination,
        )),
        None => Ok(()),
    }
}

/// Why an answer from outside does not come back in to who sent the packet.
pub fn of_outside(world: &World, doors: &[Door<'_>], arrived: &Flow) -> Result<(), String> {
    doors
        .iter()
        .filter(|d| d.gateway.object.kind == "Tier1")
        .try_for_each(|door| topology::comes_back(world, door, arrived.source))
}
