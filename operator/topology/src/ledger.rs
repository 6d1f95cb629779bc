//! Every claim on one gateway, found by what it could clash with instead of by looking at all of them: ten thousand
//! rules ask once each.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::claims::Claim;
use crate::winner::Contender;

/// Where a claim is filed. Two claims that clash lie in the same spot, or one of them in a wider one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Spot {
    /// One port of one address.
    Port { inbound: bool, address: u32, port: u16 },
    /// Several ports of one address, or all.
    Address { inbound: bool, address: u32 },
    /// Several addresses, or all.
    Wide { inbound: bool },
}

impl Spot {
    fn of(claim: &Claim) -> Self {
        let inbound = claim.inbound;
        let Some(net) = claim.address.filter(|net| net.prefix_len() == 32) else {
            return Self::Wide { inbound };
        };
        let address = u32::from(net.addr());
        match claim.ports.filter(|ports| ports.first == ports.last) {
            Some(ports) => Self::Port {
                inbound,
                address,
                port: ports.first,
            },
            None => Self::Address { inbound, address },
        }
    }
}

/// The claims on one gateway, each under the key of who makes it.
#[derive(Clone, Debug)]
pub struct Ledger<K> {
    contenders: HashMap<K, Contender>,
    spots: BTreeMap<Spot, Vec<K>>,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self {
            contenders: HashMap::new(),
            spots: BTreeMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> Ledger<K> {
    /// What is entered under a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&Contender> {
        self.contenders.get(key)
    }

    /// Enters a claim; returns the one that stood there.
    pub fn enter(&mut self, key: K, contender: Contender) -> Option<Contender> {
        let before = self.strike(&key);
        self.spots
            .entry(Spot::of(&contender.claim))
            .or_default()
            .push(key.clone());
        self.contenders.insert(key, contender);
        before
    }

    /// Takes a claim out; returns it.
    pub fn strike(&mut self, key: &K) -> Option<Contender> {
        let contender = self.contenders.remove(key)?;
        let spot = Spot::of(&contender.claim);
        if let Some(keys) = self.spots.get_mut(&spot) {
            keys.retain(|other| other != key);
            if keys.is_empty() {
                self.spots.remove(&spot);
            }
        }
        Some(contender)
    }

    /// The claims that clash with this one.
    pub fn rivals(&self, claim: &Claim) -> impl Iterator<Item = (&K, &Contender)> {
        let claim = claim.clone();
        self.near(Spot::of(&claim))
            .into_iter()
            .filter_map(|key| Some((key, self.contenders.get(key)?)))
            .filter(move |(_, contender)| contender.claim.overlaps(&claim))
    }

    /// Who could clash with a claim filed there.
    fn near(&self, spot: Spot) -> Vec<&K> {
        let at = |spot: Spot| self.spots.get(&spot).into_iter().flatten();
        let ports = |inbound, address, first, last| {
            let port = |port| Spot::Port {
                inbound,
                address,
                port,
            };
            self.spots
                .range(port(first)..=port(last))
                .flat_map(|(_, keys)| keys)
        };
        match spot {
            Spot::Port {
                inbound,
                address,
                port,
            } => ports(inbound, address, port, port)
                .chain(at(Spot::Address { inbound, address }))
                .chain(at(Spot::Wide { inbound }))
                .collect(),
            Spot::Address { inbound, address } => ports(inbound, address, 0, u16::MAX)
                .chain(at(spot))
                .chain(at(Spot::Wide { inbound }))
                .collect(),
            Spot::Wide { .. } => self.spots.values().flatten().collect(),
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
