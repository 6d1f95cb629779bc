//! What each type demands beyond its fields, and what the server computes for it.

mod dhcp;
mod gateway;
mod group;
mod nat;
mod policy;
mod pool;
mod segment;
mod service;

use serde_json::{Map, Value};

pub use gateway::addresses;
pub use group::expressions;
pub use policy::{DISTRIBUTED_CATEGORIES, GATEWAY_CATEGORIES};
pub use segment::{gateway_of, networks, subnets};

use crate::error::NsxError;
use crate::world::World;
use crate::world::object::Object;

/// Longest value of a tag.
const TAG_LENGTH: usize = 256;

/// Computed fields of a body that is being written.
pub fn complete(world: &World, path: &str, kind: &str, body: &mut Map<String, Value>) {
    match kind {
        "Segment" => segment::complete(world, path, body),
        "PolicyNatRule" => nat::complete(body),
        "Group" => group::complete(path, body),
        "SecurityPolicy" | "GatewayPolicy" => policy::complete(kind, body),
        "Rule" => policy::complete_rule(world.generation, body),
        "DhcpServerConfig" => dhcp::complete(body),
        _ => {}
    }
}

/// Checks an object against its type's rules and against what is around it. System objects are taken as they are.
///
/// # Errors
/// 400 saying what is wrong.
pub fn check(world: &World, object: &Object, before: Option<&Object>) -> Result<(), NsxError> {
    if object.is_system_owned() && before.is_none() {
        return Ok(());
    }
    check_tags(object)?;
    match object.kind.as_str() {
        "Tier1" => gateway::check_tier1(object),
        "LocaleServices" => gateway::check_locale(world, object),
        "Tier0Interface" | "Tier1Interface" => gateway::check_interface(world, object),
        "Segment" => segment::check(world, object, before),
        "PolicyNat" => nat::check_section(object, before),
        "PolicyNatRule" => nat::check(world, object),
        "DhcpV4StaticBindingConfig" => dhcp::check_binding(world, object),
        "DhcpServerConfig" => dhcp::check_server(object),
        "DhcpRelayConfig" => dhcp::check_relay(object),
        "Group" => group::check(object),
        "SecurityPolicy" | "GatewayPolicy" => policy::check(object, before),
        "Rule" => policy::check_rule(world, object),
        "IpAddressBlock" => pool::check_block(object),
        "IpAddressPoolStaticSubnet" => pool::check_static(world, object),
        "IpAddressPoolBlockSubnet" => pool::check_carved(object, before),
        "IpAddressAllocation" => pool::check_allocation(object, before),
        kind if kind.ends_with("ServiceEntry") => service::check_entry(&object.body, true),
        _ => Ok(()),
    }
}

/// Checks that an object may go, beyond its children and what names it.
///
/// # Errors
/// 400 saying who holds it.
pub fn check_gone(world: &World, object: &Object) -> Result<(), NsxError> {
    if object.base == "IpAddressPoolSubnet" {
        pool::check_subnet_gone(world, object)
    } else {
        Ok(())
    }
}

/// A tag's value has a limit that only prose tells.
fn check_tags(object: &Object) -> Result<(), NsxError> {
    let tags = object
        .body
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let values = tags.filter_map(|t| t.get("tag").and_then(Value::as_str));
    match values.into_iter().find(|v| v.chars().count() > TAG_LENGTH) {
        Some(_) => Err(NsxError::fields(&[format!(
            "tags.tag has exceeded maximum length {TAG_LENGTH}"
        )])),
        None => Ok(()),
    }
}

/// Is the transport zone one for VLANs?
pub fn is_vlan_zone(zone: &Object) -> bool {
    zone.text("tz_type") == Some("VLAN_BACKED") || zone.text("transport_zone_type") == Some("VLAN")
}

#[cfg(test)]
pub mod testing {
    //! A world to try rules in.

    use serde_json::{Value, json};

    use crate::error::NsxError;
    use crate::world::write::{Change, Mode, Terms};
    use crate::world::{Actor, World};

    pub const NOW: u64 = 1_000_000;

    pub fn world() -> World {
        World::new(NOW).unwrap()
    }

    /// Patches one object as the API would.
    pub fn patch(world: &mut World, path: &str, body: Value) -> Result<(), NsxError> {
        write(world, path, body, Mode::Patch)
    }

    pub fn write(world: &mut World, path: &str, body: Value, mode: Mode) -> Result<(), NsxError> {
        let kind = crate::paths::kind_at(path).unwrap().to_owned();
        let Value::Object(body) = body else {
            panic!("not an object")
        };
        let change = Change::Upsert {
            path: path.into(),
            kind,
            body,
            mode,
        };
        world.commit(&[change], Terms::default(), &admin())
    }

    pub fn delete(world: &mut World, path: &str) -> Result<(), NsxError> {
        let kind = crate::paths::kind_at(path).unwrap().to_owned();
        let change = Change::Delete {
            path: path.into(),
            kind,
            revision: None,
        };
        world.commit(&[change], Terms::default(), &admin())
    }

    pub fn admin() -> Actor {
        Actor {
            user: "admin".into(),
            now: NOW,
        }
    }

    /// Lets everything happen that is planned.
    pub fn settle(world: &mut World) {
        world.advance(NOW + 1_000_000);
    }

    pub const ZONES: &str = "/infra/sites/default/enforcement-points/default/transport-zones";

    /// An overlay segment `web` on the seeded Tier-1, 10.30.0.0/24.
    pub fn web_segment(world: &mut World) {
        let body = json!({"transport_zone_path": format!("{ZONES}/overlay"),
            "connectivity_path": "/infra/tier-1s/vic-edge",
            "subnets": [{"gateway_address": "10.30.0.1/24"}]});
        patch(world, "/infra/segments/web", body).unwrap();
    }
}
