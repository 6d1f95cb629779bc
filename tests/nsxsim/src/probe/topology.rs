//! Who is connected to whom, as far as it is in effect.

use std::net::IpAddr;

use super::effect::{InEffect, all, one};
use super::nat;
use crate::rules::{gateway_of, subnets};
use crate::world::World;
use crate::world::inventory::Vm;
use crate::world::object::{text, texts};

/// Is the segment switched to its gateway?
fn is_connected(segment: &InEffect<'_>) -> bool {
    let advanced = segment
        .body
        .get("advanced_config")
        .and_then(serde_json::Value::as_object);
    advanced.and_then(|a| text(a, "connectivity")) != Some("OFF")
}

fn has(segment: &InEffect<'_>, address: IpAddr) -> bool {
    subnets(segment.body).iter().any(|s| s.net.contains(&address))
}

/// The connected segment of a gateway that has an address.
pub fn connected<'a>(world: &'a World, gateway: &str, address: IpAddr) -> Option<InEffect<'a>> {
    all(world, "Segment")
        .find(|s| gateway_of(s.path(), s.body) == Some(gateway) && is_connected(s) && has(s, address))
}

/// The segment an inside address is on: one with a VM that has it first, else any with its subnet.
pub fn segment_with<'a>(world: &'a World, address: IpAddr) -> Option<InEffect<'a>> {
    let mut candidates: Vec<InEffect<'a>> = all(world, "Segment").filter(|s| has(s, address)).collect();
    candidates.sort_by_key(|s| machine(world, s, address).is_none());
    candidates.into_iter().next()
}

/// The gateway of a segment.
pub fn gateway<'a>(world: &'a World, segment: &InEffect<'a>) -> Option<InEffect<'a>> {
    let path = gateway_of(segment.path(), segment.body)?;
    is_connected(segment).then(|| one(world, path)).flatten()
}

/// The VM on a segment that has an address, powered on or not.
pub fn machine<'a>(world: &'a World, segment: &InEffect<'_>, address: IpAddr) -> Option<&'a Vm> {
    let id = text(segment.body, "realization_id");
    let mut all = world.inventory.vms.iter().filter(|vm| {
        vm.vifs
            .iter()
            .any(|v| v.segment.as_deref() == id && v.ips.iter().any(|ip| ip.parse() == Ok(address)))
    });
    all.next()
}

/// The Tier-1 below a Tier-0 that draws an address to itself, and why the others that could do not.
pub fn attracted<'a>(world: &'a World, tier0: &str, address: IpAddr) -> (Option<InEffect<'a>>, Vec<String>) {
    let mut hints = Vec::new();
    for tier1 in all(world, "Tier1").filter(|t| text(t.body, "tier0_path") == Some(tier0)) {
        let advertised = texts(tier1.body, "route_advertisement_types");
        let reasons = [
            (
                "TIER1_CONNECTED",
                connected(world, tier1.path(), address).is_some(),
            ),
            ("TIER1_NAT", nat::claims(world, tier1.path(), address)),
        ];
        for (kind, applies) in reasons {
            if applies && advertised.contains(&kind) {
                return (Some(tier1), hints);
            }
            if applies {
                hints.push(format!(
                    "{} knows {address} but does not advertise {kind}",
                    tier1.path()
                ));
            }
        }
    }
    (None, hints)
}
