//! What is measured: many objects of one kind, and what they stand on.

use crate::kinds::{GROUP, KINDS, Kind};
use serde_json::{Value, json};

/// The namespace of everything that is measured.
pub const NAMESPACE: &str = "bench";
/// The Site.
pub const SITE: &str = "bench";
/// Tier-1 gateways over which the objects are spread.
pub const GATEWAYS: usize = 10;
/// External ports that are published on one address.
const PORTS: usize = 50;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// NAT rules, half of them mapping ports.
    Nat,
    /// Segments, half of them routed.
    Networks,
}

impl Subject {
    /// As the command line names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Networks => "networks",
        }
    }

    /// The kind of the objects.
    #[must_use]
    pub fn kind(self) -> Kind {
        let name = match self {
            Self::Nat => "EdgeNatRule",
            Self::Networks => "ContainerNetwork",
        };
        Kind::named(name).unwrap_or(KINDS[0])
    }

    /// The NSX type that stands for one object each.
    #[must_use]
    pub fn nsx_type(self) -> &'static str {
        match self {
            Self::Nat => "PolicyNatRule",
            Self::Networks => "Segment",
        }
    }

    /// The `n`-th object.
    #[must_use]
    pub fn object(self, n: usize) -> Value {
        let spec = match self {
            Self::Nat => rule(n),
            Self::Networks => network(n),
        };
        manifest(self.kind().name, &self.named(n), &spec)
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Nat => "rule-",
            Self::Networks => "net-",
        }
    }

    /// The name of the `n`-th object.
    #[must_use]
    pub fn named(self, n: usize) -> String {
        format!("{}{n:05}", self.prefix())
    }

    /// The number of the object of that name; `None` for what is not measured.
    #[must_use]
    pub fn number(self, name: &str) -> Option<usize> {
        name.strip_prefix(self.prefix())?.parse().ok()
    }

    /// The objects that must be ready before.
    #[must_use]
    pub fn ground(self) -> Vec<Value> {
        match self {
            Self::Nat => (0..GATEWAYS).map(web).collect(),
            Self::Networks => Vec::new(),
        }
    }
}

fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    })
}

/// The id of a gateway.
#[must_use]
pub fn gateway(n: usize) -> String {
    format!("bench-{}", n % GATEWAYS)
}

/// The network behind a gateway.
fn web(gateway_number: usize) -> Value {
    let spec = json!({
        "siteRef": {"name": SITE},
        "backing": {"type": "Segment", "segment": {"gateway": {"tier1": gateway(gateway_number)}}},
        "subnets": [{"gatewayAddress": format!("10.{}.0.1/16", 40 + gateway_number)}],
    });
    manifest("ContainerNetwork", &format!("web-{gateway_number}"), &spec)
}

/// An address by its number in a /16, from `.0.10` on.
fn numbered(first: usize, second: usize, n: usize) -> String {
    let n = n + 10;
    format!("{first}.{second}.{}.{}", n / 256, n % 256)
}

/// Rules turn about: one maps a port and lets nobody else in, the next maps a whole address.
fn rule(n: usize) -> Value {
    let (gateway, place) = (n % GATEWAYS, n / GATEWAYS);
    let internal = numbered(10, 40 + gateway, place);
    let network = json!({"name": format!("web-{gateway}")});
    let everyone = json!([{"cidr": "0.0.0.0/0"}]);
    if place.is_multiple_of(2) {
        let place = place / 2;
        json!({
            "siteRef": {"name": SITE}, "action": "DNAT", "protocol": "TCP",
            "external": {"address": numbered(100, 64 + gateway, place / PORTS), "port": 8000 + place % PORTS},
            "internal": {"networkRef": network, "address": internal, "port": 80 + place % 3},
            "firewall": {"mode": "Exclusive", "allowFrom": everyone},
        })
    } else {
        json!({
            "siteRef": {"name": SITE}, "action": "DNAT", "protocol": "Any",
            "external": {"address": numbered(100, 80 + gateway, place)},
            "internal": {"networkRef": network, "address": internal},
            "firewall": {"mode": "Additive", "allowFrom": everyone},
        })
    }
}

/// Networks turn about: one is an island, the next is routed.
fn network(n: usize) -> Value {
    let mut spec = json!({"siteRef": {"name": SITE}, "backing": {"type": "Segment"}});
    if !n.is_multiple_of(2)
        && let Some(fields) = spec.as_object_mut()
    {
        // A /28 each, out of 10.64.0.0/10.
        let place = n / 2 * 16;
        let address = format!(
            "10.{}.{}.{}/28",
            64 + place / 65_536,
            place / 256 % 256,
            place % 256 + 1
        );
        let backing = json!({"type": "Segment", "segment": {"gateway": {"tier1": gateway(n)}}});
        fields.insert("backing".to_owned(), backing);
        fields.insert("subnets".to_owned(), json!([{"gatewayAddress": address}]));
    }
    spec
}

/// What the Site grants to the namespace.
#[must_use]
pub fn grants() -> Value {
    let gateways: Vec<Value> = (0..GATEWAYS).map(|n| json!({"tier1": gateway(n)})).collect();
    json!({"gateways": gateways, "externalAddresses": ["100.64.0.0/10"], "subnets": ["10.0.0.0/8"]})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rules_are_spread_over_the_gateways_and_clash_nowhere() {
        let rules: Vec<Value> = (0..10_000).map(rule).collect();
        let external: BTreeSet<String> = rules.iter().map(|rule| rule["external"].to_string()).collect();
        assert_eq!(external.len(), rules.len());
        let mapping = rules
            .iter()
            .filter(|rule| rule["external"].get("port").is_some())
            .count();
        assert_eq!(mapping, rules.len() / 2);
        let whole: BTreeSet<&str> = rules
            .iter()
            .filter(|rule| rule["external"].get("port").is_none())
            .filter_map(|rule| rule["external"]["address"].as_str())
            .collect();
        let ported = rules.iter().filter(|rule| rule["external"].get("port").is_some());
        for rule in ported {
            assert!(!whole.contains(rule["external"]["address"].as_str().unwrap()));
        }
        for gateway in 0..GATEWAYS {
            let network = format!("web-{gateway}");
            let on_it = rules
                .iter()
                .filter(|rule| rule["internal"]["networkRef"]["name"] == *network);
            assert_eq!(on_it.count(), 1000);
        }
    }

    #[test]
    fn networks_do_not_overlap_and_half_are_routed() {
        let networks: Vec<Value> = (0..10_000).map(network).collect();
        let subnets: BTreeSet<ipnet::Ipv4Net> = networks
            .iter()
            .filter_map(|network| network["subnets"][0]["gatewayAddress"].as_str())
            .map(|text| text.parse::<ipnet::Ipv4Net>().unwrap().trunc())
            .collect();
        assert_eq!(subnets.len(), 5000);
        assert!(
            subnets
                .iter()
                .zip(subnets.iter().skip(1))
                .all(|(one, next)| one.broadcast() < next.network())
        );
    }
}
