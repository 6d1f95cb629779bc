//! What a tenant may use.

use ipnet::Ipv4Net;

/// Grants; what is not listed is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Parents of VCH pools.
    pub resource_pools: Vec<String>,
    /// Datastores.
    pub datastores: Vec<String>,
    /// NFS servers.
    pub nfs_servers: Vec<String>,
    /// VLANs, first and last.
    pub vlans: Vec<(u16, u16)>,
    /// Networks that subnets must lie in.
    pub subnets: Vec<Ipv4Net>,
    /// Gateways, such as `tier1/vic-edge`.
    pub gateways: Vec<String>,
    /// Edge clusters for gateways of one's own.
    pub edge_clusters: Vec<String>,
    /// External addresses.
    pub external_addresses: Vec<Ipv4Net>,
    /// Existing networks.
    pub existing_networks: Vec<String>,
    /// Whether a rule may bypass the gateway firewall.
    pub firewall_bypass: bool,
    /// Existing groups that policies may name.
    pub groups: Vec<String>,
    /// Whether policies may govern the traffic of others.
    pub others_as_subjects: bool,
}

impl Grants {
    /// Whether the VLAN may be used.
    #[must_use]
    pub fn allows_vlan(&self, vlan: u16) -> bool {
        self.vlans
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&vlan))
    }

    /// Whether all of the subnet lies in granted ones.
    #[must_use]
    pub fn allows_subnet(&self, net: &Ipv4Net) -> bool {
        covered(&self.subnets, *net)
    }

    /// Whether the gateway may be used.
    #[must_use]
    pub fn allows_gateway(&self, label: &str) -> bool {
        self.gateways.iter().any(|granted| granted == label)
    }

    /// Whether gateways of one's own may run on the edge cluster.
    #[must_use]
    pub fn allows_edge_cluster(&self, name: &str) -> bool {
        self.edge_clusters.iter().any(|granted| granted == name)
    }

    /// Whether the external address, or all of the network, may be used.
    #[must_use]
    pub fn allows_external(&self, net: &Ipv4Net) -> bool {
        covered(&self.external_addresses, *net)
    }

    /// Whether the pool may be a parent.
    #[must_use]
    pub fn allows_pool(&self, name: &str) -> bool {
        self.resource_pools.iter().any(|granted| granted == name)
    }

    /// Whether the datastore may be used.
    #[must_use]
    pub fn allows_datastore(&self, name: &str) -> bool {
        self.datastores.iter().any(|granted| granted == name)
    }

    /// Whether volumes may lie on the NFS server.
    #[must_use]
    pub fn allows_nfs(&self, server: &str) -> bool {
        self.nfs_servers
            .iter()
            .any(|granted| granted.eq_ignore_ascii_case(server))
    }

    /// Whether the existing network may be used.
    #[must_use]
    pub fn allows_existing(&self, name: &str) -> bool {
        self.existing_networks.iter().any(|granted| granted == name)
    }

    /// Whether policies may name the group.
    #[must_use]
    pub fn allows_group(&self, name: &str) -> bool {
        self.groups.iter().any(|granted| granted == name)
    }
}

/// Whether the granted networks hold every address of `net`, one alone or neighbours together.
fn covered(granted: &[Ipv4Net], net: Ipv4Net) -> bool {
    Ipv4Net::aggregate(&granted.to_vec())
        .iter()
        .any(|granted| granted.contains(&net))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A network is granted exactly when each of its addresses is.
        #[test]
        fn a_network_is_granted_address_by_address(
            granted in prop::collection::vec((0_u8..=63, 26_u8..=32), 0..10),
            (host, width) in (0_u8..=63, 26_u8..=32),
        ) {
            let net = |(host, width): (u8, u8)| Ipv4Net::new([203, 0, 113, host].into(), width).unwrap().trunc();
            let granted: Vec<Ipv4Net> = granted.into_iter().map(net).collect();
            let wanted = net((host, width));
            let each = wanted.hosts().chain([wanted.network(), wanted.broadcast()]);
            let expected = each.into_iter().all(|address| granted.iter().any(|net| net.contains(&address)));
            let grants = Grants { subnets: granted.clone(), external_addresses: granted, ..Grants::default() };
            prop_assert_eq!(grants.allows_subnet(&wanted), expected);
            prop_assert_eq!(grants.allows_external(&wanted), expected);
        }
    }

    #[test]
    fn nothing_is_allowed_that_is_not_listed() {
        let none = Grants::default();
        assert!(
            !none.allows_vlan(1)
                && !none.allows_gateway("tier1/a")
                && !none.allows_nfs("nfs.example.com")
                && !none.allows_subnet(&"10.0.0.0/24".parse().unwrap())
        );
        let some = Grants {
            vlans: vec![(120, 120), (200, 299)],
            subnets: vec!["10.20.0.0/16".parse().unwrap()],
            external_addresses: vec!["203.0.113.10/32".parse().unwrap()],
            nfs_servers: vec!["NFS.example.com".to_owned()],
            ..Grants::default()
        };
        assert!(some.allows_nfs("nfs.example.com") && !some.allows_nfs("example.com"));
        for (vlan, allowed) in [(119, false), (120, true), (250, true), (300, false)] {
            assert_eq!(some.allows_vlan(vlan), allowed, "{vlan}");
        }
        for (net, allowed) in [
            ("10.20.3.0/24", true),
            ("10.20.0.0/16", true),
            ("10.0.0.0/8", false),
        ] {
            assert_eq!(some.allows_subnet(&net.parse().unwrap()), allowed, "{net}");
        }
        assert!(some.allows_external(&"203.0.113.10/32".parse().unwrap()));
        assert!(
            !some.allows_external(&"203.0.113.0/28".parse().unwrap()),
            "all of a network must be granted"
        );
    }
}
