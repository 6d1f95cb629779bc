//! What a VCH claims for itself alone: its bridge network, its fixed addresses, and the addresses it gives
//! to containers. Two VCHs that want the same do not both get it.

use std::net::Ipv4Addr;

use guestinfo::{Role, VchConfig};
use topology::Range;
use vic_crds::{SharedRef, VirtualContainerHost};

/// What one VCH claims; networks by their reference in vCenter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) namespace: String,
    pub(super) name: String,
    /// When it was declared, RFC 3339.
    pub(super) created: String,
    pub(super) bridge: Option<String>,
    pub(super) addresses: Vec<(String, Ipv4Addr)>,
    pub(super) ranges: Vec<(String, Range)>,
}

/// A claim that another VCH was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) message: String,
    /// Namespace and name of the other.
    pub(super) to: (String, String),
}

impl Claims {
    /// What a declaration claims, as far as its networks are known.
    pub(super) fn of(vch: &VirtualContainerHost, moref_of: impl Fn(&SharedRef) -> Option<String>) -> Self {
        let networks = &vch.spec.networks;
        let roles = [
            Some(&networks.public),
            networks.client.as_ref(),
            networks.management.as_ref(),
        ];
        let addresses = roles.into_iter().flatten().filter_map(|role| {
            let address = role.fixed.as_ref()?.address.parse().ok()?;
            Some((moref_of(&role.network_ref)?, address))
        });
        let ranges = networks.containers.iter().flat_map(|attached| {
            let moref = moref_of(&attached.network_ref);
            let ranges = attached
                .address_ranges
                .iter()
                .filter_map(|range| range.parse().ok());
            ranges.filter_map(move |range| Some((moref.clone()?, range)))
        });
        Self {
            namespace: vch.metadata.namespace.clone().unwrap_or_default(),
            name: vch.metadata.name.clone().unwrap_or_default(),
            created: vch
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0.to_string())
                .unwrap_or_default(),
            bridge: moref_of(&networks.bridge.network_ref),
            addresses: addresses.collect(),
            ranges: ranges.collect(),
        }
    }

    /// Without what the VCH has already: who has something keeps it.
    pub(super) fn without_held(mut self, held: &VchConfig) -> Self {
        let bridge = held
            .endpoint(Role::Bridge)
            .map(|endpoint| &endpoint.network.common.id);
        if self.bridge.as_ref() == bridge {
            self.bridge = None;
        }
        self.addresses.retain(|(moref, address)| {
            !held.init.networks.values().any(|endpoint| {
                endpoint.network.common.id == *moref && endpoint.ip.address() == Some((*address).into())
            })
        });
        self.ranges.retain(|(moref, range)| {
            !held.network.container_networks.values().any(|network| {
                let has = |end: Option<guestinfo::Ip>, wanted: Ipv4Addr| {
                    end.map(guestinfo::Ip::address) == Some(wanted.into())
                };
                network.common.id == *moref
                    && network
                        .pools
                        .iter()
                        .any(|pool| has(pool.first, range.first) && has(pool.last, range.last))
            })
        });
        self
    }

    /// Whether others may not have what is claimed here.
    ///
    /// # Errors
    /// Where one of them wants it too and is older; of two of the same age, the first by name.
    pub(super) fn check(&self, others: &[Self]) -> Result<(), Lost> {
        others
            .iter()
            .filter(|other| other.precedes(self))
            .try_for_each(|other| self.against(other))
    }

    fn precedes(&self, other: &Self) -> bool {
        let rank = |claims: &Self| {
            (
                claims.created.clone(),
                claims.namespace.clone(),
                claims.name.clone(),
            )
        };
        rank(self) < rank(other)
    }

    fn against(&self, other: &Self) -> Result<(), Lost> {
        // Who it is concerns only its own namespace.
        let whom = if other.namespace == self.namespace {
            format!("VirtualContainerHost {}", other.name)
        } else {
            "a VirtualContainerHost of another namespace".to_owned()
        };
        let lost = |message: String| {
            Err(Lost {
                message: format!("{message} {whom}; nothing was written"),
                to: (other.namespace.clone(), other.name.clone()),
            })
        };
        if self.bridge.is_some() && self.bridge == other.bridge {
            return lost("the bridge network must be dedicated, and it is already the bridge of".to_owned());
        }
        if let Some((_, address)) = self
            .addresses
            .iter()
            .find(|claim| other.addresses.contains(claim))
        {
            return lost(format!("address {address} is already that of"));
        }
        let overlapping = |(moref, range): &&(String, Range)| {
            other
                .ranges
                .iter()
                .any(|(theirs, taken)| theirs == moref && taken.overlaps(range))
        };
        if let Some((_, range)) = self.ranges.iter().find(overlapping) {
            return lost(format!("the range {range} overlaps one of"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use guestinfo::{IpRange, NetAddress, Network, NetworkEndpoint};

    use super::*;

    fn claims(namespace: &str, name: &str, created: &str) -> Claims {
        Claims {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            created: created.to_owned(),
            bridge: Some("dvportgroup-1".to_owned()),
            addresses: vec![("dvportgroup-2".to_owned(), [10, 20, 0, 10].into())],
            ranges: vec![(
                "dvportgroup-3".to_owned(),
                "10.30.0.200-10.30.0.220".parse().unwrap(),
            )],
        }
    }

    const EARLY: &str = "2026-01-01T00:00:00Z";
    const LATE: &str = "2026-01-02T00:00:00Z";

    #[test]
    fn the_older_has_it_then_the_first_by_name() {
        let cases = [
            (claims("a", "x", LATE), claims("a", "y", EARLY), true),
            (claims("a", "x", EARLY), claims("a", "y", LATE), false),
            (claims("a", "x", EARLY), claims("a", "y", EARLY), false),
            (claims("a", "y", EARLY), claims("a", "x", EARLY), true),
        ];
        for (mine, other, lost) in cases {
            assert_eq!(mine.check(&[other]).is_err(), lost, "{mine:?}");
        }
    }

    #[test]
    fn each_claim_is_told_by_itself() {
        let mine = claims("a", "x", LATE);
        let free = Claims {
            bridge: None,
            addresses: Vec::new(),
            ranges: Vec::new(),
            ..claims("a", "old", EARLY)
        };
        assert_eq!(mine.check(std::slice::from_ref(&free)), Ok(()));
        let cases = [
            (
                Claims {
                    bridge: mine.bridge.clone(),
                    ..free.clone()
                },
                "bridge network must be dedicated",
            ),
            (
                Claims {
                    addresses: mine.addresses.clone(),
                    ..free.clone()
                },
                "address 10.20.0.10",
            ),
            (
                Claims {
                    ranges: vec![(
                        "dvportgroup-3".to_owned(),
                        "10.30.0.210-10.30.0.250".parse().unwrap(),
                    )],
                    ..free.clone()
                },
                "range 10.30.0.200-10.30.0.220",
            ),
        ];
        for (other, text) in cases {
            let lost = mine.check(&[free.clone(), other]).unwrap_err();
            assert!(
                lost.message.contains(text) && lost.message.contains("VirtualContainerHost old"),
                "{}",
                lost.message
            );
            assert_eq!(lost.to, ("a".to_owned(), "old".to_owned()));
        }
        let elsewhere = Claims {
            addresses: vec![("dvportgroup-9".to_owned(), [10, 20, 0, 10].into())],
            ranges: vec![(
                "dvportgroup-9".to_owned(),
                "10.30.0.200-10.30.0.220".parse().unwrap(),
            )],
            ..free
        };
        assert_eq!(
            mine.check(&[elsewhere]),
            Ok(()),
            "the same addresses on another network"
        );
    }

    #[test]
    fn another_namespaces_vch_is_not_named() {
        let lost = claims("a", "x", LATE)
            .check(&[claims("b", "secret", EARLY)])
            .unwrap_err();
        assert!(!lost.message.contains("secret"), "{}", lost.message);
    }

    #[test]
    fn what_a_vch_has_it_keeps() {
        let mut held = VchConfig::default();
        held.init.add_network(NetworkEndpoint::bridge("dvportgroup-1"));
        let address = NetAddress::host([10, 20, 0, 10].into(), 24);
        held.init.add_network(NetworkEndpoint::fixed(
            Role::Public,
            "dvportgroup-2",
            address,
            None,
        ));
        held.network.add(Network {
            pools: vec![IpRange::between([10, 30, 0, 200].into(), [10, 30, 0, 220].into())],
            ..Network::external("web", "dvportgroup-3")
        });
        let mine = claims("a", "x", LATE);
        assert_eq!(
            mine.clone().without_held(&held).check(&[claims("a", "y", EARLY)]),
            Ok(())
        );
        let nothing = VchConfig::default();
        assert!(
            mine.without_held(&nothing)
                .check(&[claims("a", "y", EARLY)])
                .is_err()
        );
    }
}
