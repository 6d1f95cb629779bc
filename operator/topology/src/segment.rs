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
        let dhcp = self.subnet.as_ref().and_then(|subnet| subnet.dhcp.as_ref());
        let fields = json!({
            "display_name": self.display_name,
            "tags": self.tags,
            "transport_zone_path": self.transport_zone_path,
            "connectivity_path": self.connectivity_path,
            "dhcp_config_path": dhcp.map(|dhcp| dhcp.profile_path.clone()),
            "subnets": self.subnet.as_ref().map(|subnet| vec![subnet.body()]),
        });
        Intent::new(self.path(), "Segment", fields)
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

    fn dhcp_config(&self, dhcp: &DhcpSpec) -> Value {
        let dns: Vec<String> = self.dns.iter().map(ToString::to_string).collect();
        let mut config = json!({
            "resource_type": "SegmentDhcpV4Config",
            "server_address": self.with_prefix(dhcp.server_address),
            "lease_time": dhcp.lease_seconds,
        });
        if let (false, Some(fields)) = (dns.is_empty(), config.as_object_mut()) {
            fields.insert("dns_servers".into(), json!(dns));
        }
        config
    }

    fn with_prefix(&self, address: Ipv4Addr) -> String {
        format!("{address}/{}", self.net.prefix_len())
    }
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
            }),
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
