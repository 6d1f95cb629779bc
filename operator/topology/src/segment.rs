//! Segments and what serves DHCP on them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use crate::addresses::Range;
use crate::identity::{shared_id, shared_tags};
use crate::intent::Intent;

/// A segment as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentSpec {
    /// Its id.
    pub id: String,
    /// Its name.
    pub display_name: String,
    /// Its tags, as NSX writes them.
    pub tags: Value,
    /// Where it lies.
    pub transport_zone_path: String,
    /// The gateway it is connected to.
    pub connectivity_path: Option<String>,
    /// Its subnet.
    pub subnet: Option<SubnetSpec>,
    /// VLANs and ranges of them, in a VLAN transport zone.
    pub vlans: Vec<String>,
    /// Whether the sender's host sends each copy of a broadcast.
    pub source_replication: bool,
    /// Whether its ports forward nothing.
    pub down: bool,
}

/// A segment's subnet.
#[derive(Clone, Debug, PartialEq)]
pub struct SubnetSpec {
    /// The gateway's own address.
    pub gateway: Ipv4Addr,
    /// The network.
    pub net: Ipv4Net,
    /// Name servers, told by DHCP.
    pub dns: Vec<Ipv4Addr>,
    /// What serves DHCP.
    pub dhcp: Option<DhcpSpec>,
    /// The relay profile's policy path, where requests are passed on.
    pub relay_path: Option<String>,
}

/// DHCP on a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct DhcpSpec {
    /// The server's address.
    pub server_address: Ipv4Addr,
    /// What it hands out.
    pub ranges: Vec<Range>,
    /// For how long, in seconds.
    pub lease_seconds: u64,
    /// The server profile's policy path.
    pub profile_path: String,
    /// Routes that it tells: network and next hop.
    pub routes: Vec<(Ipv4Net, Ipv4Addr)>,
    /// Other options that it tells.
    pub options: Vec<(u8, Vec<String>)>,
    /// Addresses kept for MAC addresses.
    pub bindings: Vec<BindingSpec>,
}

/// An address kept for a MAC address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingSpec {
    /// Its name, unique in the segment.
    pub name: String,
    /// For whom.
    pub mac: String,
    /// The address.
    pub address: Ipv4Addr,
    /// The host name that goes with it.
    pub host_name: Option<String>,
}

impl SegmentSpec {
    /// Its policy path.
    #[must_use]
    pub fn path(&self) -> String {
        segment_path(&self.id)
    }

    /// The segment as NSX shall have it.
    #[must_use]
    pub fn intent(&self) -> Intent {
        let dhcp = self.subnet.as_ref().and_then(SubnetSpec::profile_path);
        let fields = json!({
            "display_name": self.display_name,
            "tags": self.tags,
            "transport_zone_path": self.transport_zone_path,
            "connectivity_path": self.connectivity_path,
            "dhcp_config_path": dhcp,
            "subnets": self.subnet.as_ref().map(|subnet| vec![subnet.body()]),
            "vlan_ids": (!self.vlans.is_empty()).then_some(&self.vlans),
            "replication_mode": self.source_replication.then_some("SOURCE"),
            "admin_state": self.down.then_some("DOWN"),
        });
        Intent::new(self.path(), "Segment", fields)
    }

    /// The segment, and what lies below it.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        let dhcp = self.subnet.as_ref().and_then(|subnet| subnet.dhcp.as_ref());
        let bindings = dhcp.map(|dhcp| dhcp.bindings.as_slice()).unwrap_or_default();
        let lease = dhcp.map(|dhcp| dhcp.lease_seconds);
        let bound = bindings.iter().map(|binding| self.binding(binding, lease));
        std::iter::once(self.intent()).chain(bound).collect()
    }

    fn binding(&self, binding: &BindingSpec, lease: Option<u64>) -> Intent {
        let fields = json!({
            "display_name": format!("{} {}", self.display_name, binding.name),
            "tags": self.tags,
            "resource_type": "DhcpV4StaticBindingConfig",
            "mac_address": binding.mac,
            "ip_address": binding.address.to_string(),
            "host_name": binding.host_name,
            "lease_time": lease,
        });
        let path = format!("{}/dhcp-static-binding-configs/{}", self.path(), binding.name);
        Intent::new(path, "DhcpV4StaticBindingConfig", fields)
    }
}

impl SubnetSpec {
    fn body(&self) -> Value {
        let mut body = json!({"gateway_address": self.with_prefix(self.gateway)});
        if let (Some(dhcp), Some(fields)) = (&self.dhcp, body.as_object_mut()) {
            let ranges: Vec<String> = dhcp.ranges.iter().map(ToString::to_string).collect();
            fields.insert("dhcp_ranges".into(), json!(ranges));
            fields.insert("dhcp_config".into(), self.dhcp_config(dhcp));
        }
        body
    }

    /// The profile of what serves DHCP or passes it on.
    fn profile_path(&self) -> Option<&str> {
        let served = self.dhcp.as_ref().map(|dhcp| dhcp.profile_path.as_str());
        served.or(self.relay_path.as_deref())
    }

    fn dhcp_config(&self, dhcp: &DhcpSpec) -> Value {
        let dns: Vec<String> = self.dns.iter().map(ToString::to_string).collect();
        let mut config = json!({
            "resource_type": "SegmentDhcpV4Config",
            "server_address": self.with_prefix(dhcp.server_address),
            "lease_time": dhcp.lease_seconds,
        });
        if let Some(fields) = config.as_object_mut() {
            if !dns.is_empty() {
                fields.insert("dns_servers".into(), json!(dns));
            }
            fields.extend(dhcp.options_body().map(|options| ("options".to_owned(), options)));
        }
        config
    }

    fn with_prefix(&self, address: Ipv4Addr) -> String {
        format!("{address}/{}", self.net.prefix_len())
    }
}

impl DhcpSpec {
    fn options_body(&self) -> Option<Value> {
        let mut body = serde_json::Map::new();
        if !self.routes.is_empty() {
            let route = |(network, hop): &(Ipv4Net, Ipv4Addr)| json!({"network": network.to_string(), "next_hop": hop.to_string()});
            let routes: Vec<Value> = self.routes.iter().map(route).collect();
            body.insert("option121".into(), json!({"static_routes": routes}));
        }
        if !self.options.is_empty() {
            let option = |(code, values): &(u8, Vec<String>)| json!({"code": code, "values": values});
            let others: Vec<Value> = self.options.iter().map(option).collect();
            body.insert("others".into(), json!(others));
        }
        (!body.is_empty()).then_some(Value::Object(body))
    }
}

/// The relay profile of these servers, which segments share.
#[must_use]
pub fn dhcp_relay(instance: &str, servers: &[Ipv4Addr]) -> Intent {
    const KIND: &str = "DhcpRelayConfig";
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let id = shared_id(instance, KIND, &servers.join(","));
    let fields = json!({
        "display_name": id,
        "tags": shared_tags(instance, KIND),
        "server_addresses": servers,
    });
    Intent::new(format!("/infra/dhcp-relay-configs/{id}"), KIND, fields)
}

/// The policy path of a segment.
#[must_use]
pub fn segment_path(id: &str) -> String {
    format!("/infra/segments/{id}")
}

/// The DHCP server profile that segments of an edge cluster share.
#[must_use]
pub fn dhcp_profile(instance: &str, edge_cluster_path: Option<&str>) -> Intent {
    const KIND: &str = "DhcpServerConfig";
    let id = shared_id(instance, KIND, edge_cluster_path.unwrap_or_default());
    let fields = json!({
        "display_name": id,
        "tags": shared_tags(instance, KIND),
        "edge_cluster_path": edge_cluster_path,
    });
    Intent::new(format!("/infra/dhcp-server-configs/{id}"), KIND, fields)
}

/// The ranges to write: those that are there, unchanged, then what is wanted beyond them. NSX takes additions
/// and refuses any change of a range that exists, so that `.11-.50` grown to `.11-.199` becomes
/// `.11-.50, .51-.199`.
///
/// # Errors
/// What is there and no longer wanted, in whole or in part: it stays as it is.
pub fn ranges_in_effect(observed: &[Range], wanted: &[Range]) -> Result<Vec<Range>, Vec<Range>> {
    let is_lost = |there: &&Range| !without(&[**there], wanted).is_empty();
    let lost: Vec<Range> = observed.iter().filter(is_lost).copied().collect();
    if !lost.is_empty() {
        return Err(lost);
    }
    let more = without(wanted, observed);
    Ok(observed.iter().copied().chain(more).collect())
}

/// The addresses of `ranges` that lie in none of `others`.
fn without(ranges: &[Range], others: &[Range]) -> Vec<Range> {
    others.iter().fold(ranges.to_vec(), |left, other| {
        left.iter().flat_map(|range| range.without(other)).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn spec(subnet: Option<SubnetSpec>) -> SegmentSpec {
        SegmentSpec {
            id: "vic-1".into(),
            display_name: "net".into(),
            tags: json!([]),
            transport_zone_path: "/tz".into(),
            connectivity_path: subnet.as_ref().map(|_| "/infra/tier-1s/edge".to_owned()),
            subnet,
            vlans: Vec::new(),
            source_replication: false,
            down: false,
        }
    }

    #[test]
    fn an_isolated_segment_declares_no_subnet_and_no_gateway() {
        let body = Value::Object(spec(None).intent().body);
        assert_eq!(
            body,
            json!({"display_name": "net", "tags": [], "transport_zone_path": "/tz"})
        );
    }

    #[test]
    fn a_served_segment_declares_its_dhcp() {
        let subnet = SubnetSpec {
            gateway: "10.30.0.1".parse().unwrap(),
            net: "10.30.0.0/24".parse().unwrap(),
            dns: vec!["10.20.0.53".parse().unwrap()],
            dhcp: Some(DhcpSpec {
                server_address: "10.30.0.2".parse().unwrap(),
                ranges: vec!["10.30.0.11-10.30.0.199".parse().unwrap()],
                lease_seconds: 3600,
                profile_path: "/infra/dhcp-server-configs/p".into(),
                routes: Vec::new(),
                options: Vec::new(),
                bindings: Vec::new(),
            }),
            relay_path: None,
        };
        let intent = spec(Some(subnet)).intent();
        assert_eq!(
            intent.body["subnets"],
            json!([{"gateway_address": "10.30.0.1/24", "dhcp_ranges": ["10.30.0.11-10.30.0.199"],
                "dhcp_config": {"resource_type": "SegmentDhcpV4Config", "server_address": "10.30.0.2/24",
                    "lease_time": 3600, "dns_servers": ["10.20.0.53"]}}])
        );
        assert_eq!(
            intent.body["dhcp_config_path"],
            json!("/infra/dhcp-server-configs/p")
        );
    }

    fn served() -> SubnetSpec {
        SubnetSpec {
            gateway: "10.30.0.1".parse().unwrap(),
            net: "10.30.0.0/24".parse().unwrap(),
            dns: Vec::new(),
            dhcp: Some(DhcpSpec {
                server_address: "10.30.0.2".parse().unwrap(),
                ranges: vec!["10.30.0.11-10.30.0.199".parse().unwrap()],
                lease_seconds: 600,
                profile_path: "/infra/dhcp-server-configs/p".into(),
                routes: vec![("10.99.0.0/16".parse().unwrap(), "10.30.0.254".parse().unwrap())],
                options: vec![(66, vec!["tftp.example.com".into()])],
                bindings: vec![BindingSpec {
                    name: "printer".into(),
                    mac: "02:00:00:00:00:01".into(),
                    address: "10.30.0.5".parse().unwrap(),
                    host_name: Some("printer".into()),
                }],
            }),
            relay_path: None,
        }
    }

    #[test]
    fn dhcp_tells_routes_and_options_and_keeps_addresses() {
        let intents = spec(Some(served())).intents();
        assert_eq!(
            intents[0].body["subnets"][0]["dhcp_config"]["options"],
            json!({"option121": {"static_routes": [{"network": "10.99.0.0/16", "next_hop": "10.30.0.254"}]},
                "others": [{"code": 66, "values": ["tftp.example.com"]}]})
        );
        assert_eq!(
            intents[1].path,
            "/infra/segments/vic-1/dhcp-static-binding-configs/printer"
        );
        assert_eq!(
            Value::Object(intents[1].body.clone()),
            json!({"display_name": "net printer", "tags": [], "resource_type": "DhcpV4StaticBindingConfig", "mac_address": "02:00:00:00:00:01",
                "ip_address": "10.30.0.5", "host_name": "printer", "lease_time": 600})
        );
    }

    #[test]
    fn requests_are_passed_on_to_the_servers_of_a_shared_profile() {
        let servers: Vec<Ipv4Addr> = vec!["10.20.0.67".parse().unwrap(), "10.20.0.68".parse().unwrap()];
        let relay = dhcp_relay("i", &servers);
        assert_eq!(
            relay.body["server_addresses"],
            json!(["10.20.0.67", "10.20.0.68"])
        );
        assert_ne!(relay.path, dhcp_relay("i", &servers[..1]).path);
        let subnet = SubnetSpec {
            dhcp: None,
            relay_path: Some(relay.path.clone()),
            ..served()
        };
        let intent = spec(Some(subnet)).intent();
        assert_eq!(intent.body["dhcp_config_path"], json!(relay.path));
        assert_eq!(
            intent.body["subnets"],
            json!([{"gateway_address": "10.30.0.1/24"}])
        );
    }

    #[test]
    fn what_differs_from_the_default_is_declared() {
        let plain = spec(None).intent().body;
        let cases = [
            (
                SegmentSpec {
                    vlans: vec!["100".into(), "200-299".into()],
                    ..spec(None)
                },
                "vlan_ids",
                json!(["100", "200-299"]),
            ),
            (
                SegmentSpec {
                    source_replication: true,
                    ..spec(None)
                },
                "replication_mode",
                json!("SOURCE"),
            ),
            (
                SegmentSpec {
                    down: true,
                    ..spec(None)
                },
                "admin_state",
                json!("DOWN"),
            ),
        ];
        for (spec, field, expected) in cases {
            assert_eq!(spec.intent().body[field], expected);
            assert!(!plain.contains_key(field), "{field}");
        }
    }

    #[test]
    fn ranges_only_grow() {
        let ranges = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<Range>>()
        };
        let there = ranges(&["10.0.0.1-10.0.0.5"]);
        let more = ranges(&["10.0.0.1-10.0.0.5", "10.0.0.8-10.0.0.9"]);
        assert_eq!(ranges_in_effect(&there, &more), Ok(more.clone()));
        assert_eq!(
            ranges_in_effect(&more, &there),
            Err(ranges(&["10.0.0.8-10.0.0.9"]))
        );
        assert_eq!(ranges_in_effect(&[], &there), Ok(there));
    }

    #[test]
    fn a_range_grows_by_what_lies_beyond_it() {
        let ranges = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<Range>>()
        };
        let cases = [
            (
                vec!["10.0.0.11-10.0.0.50"],
                vec!["10.0.0.11-10.0.0.199"],
                Ok(vec!["10.0.0.11-10.0.0.50", "10.0.0.51-10.0.0.199"]),
            ),
            (
                vec!["10.0.0.11-10.0.0.50"],
                vec!["10.0.0.5-10.0.0.60"],
                Ok(vec![
                    "10.0.0.11-10.0.0.50",
                    "10.0.0.5-10.0.0.10",
                    "10.0.0.51-10.0.0.60",
                ]),
            ),
            (
                vec!["10.0.0.1-10.0.0.5", "10.0.0.6-10.0.0.9"],
                vec!["10.0.0.1-10.0.0.9"],
                Ok(vec!["10.0.0.1-10.0.0.5", "10.0.0.6-10.0.0.9"]),
            ),
            (
                vec!["10.0.0.11-10.0.0.50"],
                vec!["10.0.0.12-10.0.0.99"],
                Err(vec!["10.0.0.11-10.0.0.50"]),
            ),
            (
                vec!["10.0.0.11-10.0.0.50"],
                vec![],
                Err(vec!["10.0.0.11-10.0.0.50"]),
            ),
            (
                vec!["255.255.255.250-255.255.255.255"],
                vec!["255.255.255.240-255.255.255.255"],
                Ok(vec![
                    "255.255.255.250-255.255.255.255",
                    "255.255.255.240-255.255.255.249",
                ]),
            ),
            (
                vec!["0.0.0.0-0.0.0.4"],
                vec!["0.0.0.0-0.0.0.9"],
                Ok(vec!["0.0.0.0-0.0.0.4", "0.0.0.5-0.0.0.9"]),
            ),
        ];
        for (there, wanted, expected) in cases {
            let expected = expected
                .map(|texts| ranges(&texts))
                .map_err(|texts| ranges(&texts));
            assert_eq!(
                ranges_in_effect(&ranges(&there), &ranges(&wanted)),
                expected,
                "{there:?} {wanted:?}"
            );
        }
    }

    fn some_ranges() -> impl Strategy<Value = Vec<Range>> {
        let range = (0_u8..40, 0_u8..12).prop_map(|(first, more)| Range {
            first: Ipv4Addr::new(10, 0, 0, first),
            last: Ipv4Addr::new(10, 0, 0, first + more),
        });
        prop::collection::vec(range, 0..5)
    }

    fn addresses(ranges: &[Range]) -> BTreeSet<u8> {
        (0..=255)
            .filter(|host| {
                ranges
                    .iter()
                    .any(|range| range.contains(Ipv4Addr::new(10, 0, 0, *host)))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn ranges_grow_to_exactly_what_is_wanted_or_not_at_all(there in some_ranges(), wanted in some_ranges()) {
            match ranges_in_effect(&there, &wanted) {
                Ok(ranges) => {
                    prop_assert_eq!(addresses(&ranges), addresses(&wanted));
                    prop_assert!(ranges.starts_with(&there), "what is there stays as it is");
                    prop_assert_eq!(ranges_in_effect(&ranges, &wanted), Ok(ranges.clone()), "nothing is left to do");
                }
                Err(lost) => {
                    prop_assert!(!addresses(&there).is_subset(&addresses(&wanted)));
                    prop_assert!(lost.iter().all(|range| there.contains(range)));
                }
            }
        }
    }
}
