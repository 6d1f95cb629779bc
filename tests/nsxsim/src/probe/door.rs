//! Where a gateway meets the outside: its uplink, or one of its interfaces.

use ipnet::IpNet;

use super::effect::{InEffect, all, one};
use crate::paths::{gateway_at, parent_of};
use crate::world::World;
use crate::world::object::text;

/// A door of a gateway. NAT and the gateway's firewall work here, and only here.
#[derive(Clone, Copy)]
pub struct Door<'a> {
    /// The gateway.
    pub gateway: InEffect<'a>,
    /// The interface; `None` for the uplink.
    pub interface: Option<InEffect<'a>>,
}

impl<'a> Door<'a> {
    /// A gateway's uplink: a Tier-1's link to its Tier-0, or where a Tier-0 meets the world.
    pub fn uplink(gateway: InEffect<'a>) -> Self {
        Self {
            gateway,
            interface: None,
        }
    }

    /// Path of the gateway.
    pub fn path(&self) -> &'a str {
        self.gateway.path()
    }

    /// The door in words.
    pub fn name(&self) -> String {
        match &self.interface {
            Some(interface) => interface.path().to_owned(),
            None => format!("{} uplink", self.path()),
        }
    }

    /// Is it the same door?
    pub fn is(&self, other: &Self) -> bool {
        let id = |d: &Self| d.interface.map(|i| i.path());
        self.path() == other.path() && id(self) == id(other)
    }

    /// Does a scope name this door: its gateway, its locale services, its interface?
    pub fn named_by(&self, scope: &str) -> bool {
        let by_interface = self
            .interface
            .is_some_and(|i| i.path() == scope || parent_of(i.path()) == scope);
        let by_locale = self.interface.is_none()
            && parent_of(scope) == self.path()
            && scope.contains("/locale-services/");
        scope == self.path() || by_interface || by_locale
    }

    /// Addresses of the interface.
    pub fn addresses(&self) -> Vec<IpNet> {
        self.interface
            .map(|i| crate::rules::addresses(i.body))
            .unwrap_or_default()
    }
}

/// Doors that are interfaces, of all gateways that have a service router.
pub fn interfaces(world: &World) -> impl Iterator<Item = Door<'_>> {
    let all = all(world, "Tier1Interface").chain(all(world, "Tier0Interface"));
    all.filter(|i| text(i.body, "admin_state") != Some("DOWN"))
        .filter_map(|interface| {
            let gateway = one(world, gateway_at(interface.path())?)?;
            has_service_router(world, gateway.path()).then_some(Door {
                gateway,
                interface: Some(interface),
            })
        })
}

/// Is the gateway placed on an edge cluster? Without one it only routes.
pub fn has_service_router(world: &World, gateway: &str) -> bool {
    let locales = world.store.collection(gateway, "LocaleServices", true);
    let mut in_effect = locales.filter_map(|o| o.realization.effective.as_deref());
    in_effect.any(|body| text(body, "edge_cluster_path").is_some())
}
