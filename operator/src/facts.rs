//! What one controller knows and another needs, published in memory: no cache of the kube-apiserver
//! stands between, so nothing is ever a write behind.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::Ipv4Net;

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

/// Facts by object.
#[derive(Default)]
pub struct Facts {
    networks: RwLock<HashMap<ObjectKey, Arc<NetworkFacts>>>,
}

impl Facts {
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

    /// A network is gone; tells whether it was known.
    pub fn forget_network(&self, key: &ObjectKey) -> bool {
        self.networks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key)
            .is_some()
    }
}
