//! What one controller knows and another needs, published in memory: no cache of the kube-apiserver
//! stands between, so nothing is ever a write behind.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::Ipv4Net;
use topology::Members;

use crate::kind::ObjectKey;

/// A network as others may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFacts {
    /// The Site it lies on.
    pub site: String,
    /// Whether it is in effect, outside and in full.
    pub ready: bool,
    /// Name in vSphere.
    pub name: String,
    /// The network in vCenter, once it is there.
    pub moref: Option<String>,
    /// The segment's policy path, for a segment.
    pub segment_path: Option<String>,
    /// The gateway it is connected to, as a policy path.
    pub gateway_path: Option<String>,
    /// Its subnet.
    pub subnet: Option<SubnetFacts>,
}

/// A subnet as others may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetFacts {
    /// The network's addresses.
    pub net: Ipv4Net,
    /// The gateway's own address.
    pub gateway: Ipv4Addr,
    /// Name servers.
    pub dns_servers: Vec<Ipv4Addr>,
    /// What DHCP hands out, first and last.
    pub dhcp: Vec<(Ipv4Addr, Ipv4Addr)>,
}

/// An edge gateway as others may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayFacts {
    /// The Site it lies on.
    pub site: String,
    /// Whether it is in effect.
    pub ready: bool,
    /// Its policy path.
    pub path: String,
    /// Interfaces by the name of the network they are on, as policy paths.
    pub interfaces: BTreeMap<String, String>,
}

/// Facts by object.
#[derive(Default)]
pub struct Facts {
    subjects: RwLock<HashMap<ObjectKey, Arc<Members>>>,
    networks: RwLock<HashMap<ObjectKey, Arc<NetworkFacts>>>,
    gateways: RwLock<HashMap<ObjectKey, Arc<GatewayFacts>>>,
}

impl Facts {
    /// What is known of an edge gateway.
    pub fn gateway(&self, key: &ObjectKey) -> Option<Arc<GatewayFacts>> {
        self.gateways
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// The edge gateway of a namespace that lies at a policy path.
    pub fn gateway_at(&self, namespace: &str, path: &str) -> Option<(ObjectKey, Arc<GatewayFacts>)> {
        let gateways = self.gateways.read().unwrap_or_else(PoisonError::into_inner);
        let found = gateways
            .iter()
            .find(|(key, facts)| key.namespace == namespace && facts.path == path);
        found.map(|(key, facts)| (key.clone(), facts.clone()))
    }

    /// Publishes what is known of an edge gateway; tells whether that is news.
    pub fn publish_gateway(&self, key: &ObjectKey, facts: GatewayFacts) -> bool {
        let mut gateways = self.gateways.write().unwrap_or_else(PoisonError::into_inner);
        if gateways.get(key).is_some_and(|known| **known == facts) {
            return false;
        }
        gateways.insert(key.clone(), Arc::new(facts));
        true
    }

    /// An edge gateway is gone.
    pub fn forget_gateway(&self, key: &ObjectKey) {
        self.gateways
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// What is known of a network.
    pub fn network(&self, key: &ObjectKey) -> Option<Arc<NetworkFacts>> {
        self.networks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Publishes what is known of a network; tells whether that is news.
    pub fn publish_network(&self, key: &ObjectKey, facts: NetworkFacts) -> bool {
        let mut networks = self.networks.write().unwrap_or_else(PoisonError::into_inner);
        if networks.get(key).is_some_and(|known| **known == facts) {
            return false;
        }
        networks.insert(key.clone(), Arc::new(facts));
        true
    }

    /// Whom a policy governs.
    pub fn subject(&self, key: &ObjectKey) -> Option<Arc<Members>> {
        self.subjects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Publishes whom a policy governs; tells whether that is news.
    pub fn publish_subject(&self, key: &ObjectKey, members: &Members) -> bool {
        let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
        if subjects.get(key).is_some_and(|known| **known == *members) {
            return false;
        }
        subjects.insert(key.clone(), Arc::new(members.clone()));
        true
    }

    /// A policy is gone.
    pub fn forget_subject(&self, key: &ObjectKey) {
        self.subjects
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// A network is gone; tells whether it was known.
    pub fn forget_network(&self, key: &ObjectKey) -> bool {
        self.networks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key)
            .is_some()
    }
}
