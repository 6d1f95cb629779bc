//! IP pools, their subnets, and blocks.

use ipnet::IpNet;
use serde_json::Value;

use crate::error::{IN_USE, NsxError, OVERLAP};
use crate::net::Span;
use crate::paths::parent_of;
use crate::world::World;
use crate::world::object::Object;
use crate::world::pools::{networks, ranges, size_of};

/// A subnet with ranges of its own.
pub fn check_static(world: &World, object: &Object) -> Result<(), NsxError> {
    let cidr = object.text("cidr").unwrap_or_default();
    let net: IpNet = cidr
        .parse()
        .map_err(|_| NsxError::rule(format!("cidr {cidr} is not a CIDR")))?;
    let whole = Span::block(net.trunc());
    let Some(mine) = ranges(&object.body) else {
        return Err(NsxError::rule("allocation_ranges: a range ends before it starts"));
    };
    for (place, span) in mine.iter().enumerate() {
        if !whole.covers(span) {
            let message = format!(
                "allocation range {}-{} is not within {net}",
                span.first, span.last
            );
            return Err(NsxError::rule(message));
        }
        if mine.iter().take(place).any(|other| other.overlaps(span)) {
            let message = format!("allocation range {}-{} is given twice", span.first, span.last);
            return Err(NsxError::bad(OVERLAP, message));
        }
    }
    if let Some(gateway) = object.text("gateway_ip").and_then(|g| g.parse().ok())
        && !whole.contains(gateway)
    {
        return Err(NsxError::rule(format!(
            "gateway_ip {gateway} is not within {net}"
        )));
    }
    let pool = parent_of(&object.path);
    let others = world.store.collection(pool, "IpAddressPoolSubnet", false);
    for other in others.filter(|o| o.path != object.path) {
        let theirs = ranges(&other.body).unwrap_or_default();
        if mine.iter().any(|m| theirs.iter().any(|t| t.overlaps(m))) {
            return Err(NsxError::bad(
                OVERLAP,
                format!("{} overlaps with {}", object.path, other.path),
            ));
        }
    }
    Ok(())
}

/// A subnet to be cut out of a block.
pub fn check_carved(object: &Object, before: Option<&Object>) -> Result<(), NsxError> {
    let size = size_of(&object.body);
    if !size.is_some_and(|n| n >= 4 && n.is_power_of_two()) {
        let given = object.body.get("size").cloned().unwrap_or(Value::Null);
        return Err(NsxError::rule(format!(
            "size {given} is not a power of two of at least 4"
        )));
    }
    let was = before.map(|b| (size_of(&b.body), b.text("ip_block_path")));
    if was.is_some_and(|was| was != (size, object.text("ip_block_path"))) {
        return Err(NsxError::rule(
            "size and ip_block_path of a subnet cannot be changed",
        ));
    }
    Ok(())
}

/// A block of addresses.
pub fn check_block(object: &Object) -> Result<(), NsxError> {
    if networks(&object.body).is_empty() {
        return Err(NsxError::rule("cidr or cidrs of an IP block is mandatory"));
    }
    Ok(())
}

/// An allocation keeps the address it asked for.
pub fn check_allocation(object: &Object, before: Option<&Object>) -> Result<(), NsxError> {
    let changed = before.is_some_and(|b| b.text("allocation_ip") != object.text("allocation_ip"));
    if changed {
        return Err(NsxError::rule("allocation_ip cannot be changed"));
    }
    Ok(())
}

/// A subnet goes when nobody holds an address of it.
pub fn check_subnet_gone(world: &World, object: &Object) -> Result<(), NsxError> {
    match world.holders(object).first() {
        Some(holder) => Err(NsxError::bad(
            IN_USE,
            format!(
                "The subnet path=[{}] cannot be deleted: {holder} holds an address of it",
                object.path
            ),
        )),
        None => Ok(()),
    }
}
