//! What a gateway can do, read from NSX before anything is programmed on it.

use serde_json::Value;

use crate::nat::{NatAction, NatFirewall};

/// A gateway, as far as a rule on it depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayView {
    /// Whether both its edges forward at once.
    pub active_active: bool,
    /// The Tier-0 a Tier-1 is linked to.
    pub uplink: Option<String>,
    /// The edge cluster its services run on.
    pub edge_cluster: Option<String>,
    /// Whether a Tier-1's external NAT addresses are told to its Tier-0.
    pub advertises_nat: bool,
    /// Whether its firewall is switched off.
    pub firewall_off: bool,
}

impl GatewayView {
    /// Reads a `Tier0` or `Tier1` and its `LocaleServices`.
    #[must_use]
    pub fn read<'a>(path: &str, body: &Value, services: impl IntoIterator<Item = &'a Value>) -> Self {
        let tier0 = path.starts_with("/infra/tier-0s/");
        let mode = text(body, "ha_mode");
        let advertised = body.get("route_advertisement_types").and_then(Value::as_array);
        Self {
            // A Tier-0 is active-active, and a Tier-1 is not, where nobody said anything.
            active_active: mode.map_or(tier0, |mode| mode == "ACTIVE_ACTIVE"),
            uplink: text(body, "tier0_path").map(str::to_owned),
            edge_cluster: services
                .into_iter()
                .find_map(|services| text(services, "edge_cluster_path"))
                .map(str::to_owned),
            advertises_nat: advertised.is_some_and(|list| list.iter().any(|kind| kind == "TIER1_NAT")),
            firewall_off: body.get("disable_firewall") == Some(&Value::Bool(true)),
        }
    }

    /// Why a NAT rule cannot work on this gateway, in a clause that follows the gateway's name; `None` if it can.
    #[must_use]
    pub fn keeps_from(&self, action: NatAction, firewall: &NatFirewall) -> Option<&'static str> {
        let exempts = matches!(action, NatAction::NoDnat | NatAction::NoSnat);
        if self.edge_cluster.is_none() {
            return Some("has no edge cluster, and NAT runs on its edges");
        }
        if self.active_active && action != NatAction::Reflexive {
            return Some("is active-active, and takes Reflexive rules only");
        }
        if !exempts && self.uplink.is_some() && !self.advertises_nat {
            return Some("does not advertise external addresses of NAT rules (TIER1_NAT) to its Tier-0");
        }
        if self.firewall_off && matches!(firewall, NatFirewall::Exclusive { .. }) {
            return Some("has its firewall disabled, and Exclusive would let everyone in");
        }
        None
    }

    /// What rules will miss on this gateway, whatever they are.
    #[must_use]
    pub fn shortcomings(&self) -> Vec<&'static str> {
        let open = NatFirewall::Unmanaged;
        let closed = NatFirewall::Exclusive {
            sources: Vec::new(),
            internal: false,
        };
        let mut found: Vec<&'static str> = [&open, &closed]
            .into_iter()
            .filter_map(|firewall| self.keeps_from(NatAction::Dnat, firewall))
            .collect();
        found.dedup();
        found
    }
}

fn text<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    body.get(field)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}
