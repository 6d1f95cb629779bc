//! What every reconcile has at hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::PartialObjectMeta;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;
use vic_crds::{
    ContainerNetwork, EdgeGateway, EdgeNatRule, GatewayRef, MicrosegmentationPolicy, NetworkSelection,
    SharedRef, Site, VirtualContainerHost,
};

use crate::facts::Facts;
use crate::kind::{Kind, ObjectKey};
use crate::metrics::Metrics;
use crate::openings::Openings;
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::sites::Sites;
use crate::tracker::Tracker;
use crate::wake::Wake;

/// The caches of the watches.
#[derive(Clone)]
pub struct Stores {
    /// Sites.
    pub sites: Store<Site>,
    /// Edge gateways.
    pub gateways: Store<EdgeGateway>,
    /// Networks.
    pub networks: Store<ContainerNetwork>,
    /// Virtual container hosts.
    pub hosts: Store<VirtualContainerHost>,
    /// NAT rules.
    pub rules: Store<EdgeNatRule>,
    /// Policies of the distributed firewall.
    pub policies: Store<MicrosegmentationPolicy>,
    /// Namespaces, for the tenants' selectors.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Whether all of them hold what exists.
    pub filled: Filled,
}

/// Tells when all caches hold what exists. Before that nothing may be concluded from an object's absence: a
/// Site that is not in its cache yet is not one that is gone. (A [`Store`] can be waited for itself, but it
/// wakes only one of those who wait, and its own controller is one of them.)
#[derive(Clone, Debug)]
pub struct Filled {
    caches: Vec<CancellationToken>,
    shutdown: CancellationToken,
}

impl Filled {
    /// Until `shutdown`, waits for the caches that [`Filled::cache`] is asked for.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self {
            caches: Vec::new(),
            shutdown,
        }
    }

    /// One more cache; the token is cancelled when it holds what exists.
    pub fn cache(&mut self) -> CancellationToken {
        let filled = CancellationToken::new();
        self.caches.push(filled.clone());
        filled
    }

    /// Waits for all of them; false if the process shuts down before.
    pub async fn wait(&self) -> bool {
        let all = async {
            for cache in &self.caches {
                cache.cancelled().await;
            }
        };
        self.shutdown.run_until_cancelled(all).await.is_some()
    }
}

/// What every reconcile has at hand.
pub struct Context {
    /// The kube-apiserver.
    pub client: Client,
    /// This process's settings.
    pub settings: Settings,
    /// The caches.
    pub stores: Stores,
    /// Connected Sites.
    pub sites: Sites,
    /// What controllers tell each other.
    pub facts: Facts,
    /// Who wants to know about what.
    pub wake: Arc<Wake>,
    /// What is remembered of objects.
    pub tracker: Arc<Tracker>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Events.
    pub recorder: Recorder,
    /// Writes to the kube-apiserver that nobody waits for, and the bound of all.
    pub outbox: Arc<Outbox>,
    /// Which kinds are reconciled yet.
    pub openings: Openings,
}

impl Context {
    /// Labels of a namespace; empty where it is not known.
    #[must_use]
    pub fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let found = self.stores.namespaces.get(&ObjectRef::new(namespace));
        found
            .and_then(|found| found.metadata.labels.clone())
            .unwrap_or_default()
    }

    /// The identity of an object towards vSphere and NSX.
    #[must_use]
    pub fn owner(&self, key: &ObjectKey, uid: &str) -> topology::Owner {
        topology::Owner {
            instance: self.settings.instance.clone(),
            kind: key.kind.name().to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: uid.to_owned(),
        }
    }

    /// Every object that refers to a Site.
    #[must_use]
    pub fn users_of_site(&self, site: &str) -> Vec<ObjectKey> {
        let mut users = Vec::new();
        users.extend(named(Kind::EdgeNatRule, &self.stores.rules, |rule| {
            *rule.spec.site_ref.name == *site
        }));
        users.extend(named(
            Kind::MicrosegmentationPolicy,
            &self.stores.policies,
            |policy| *policy.spec.site_ref.name == *site,
        ));
        users.extend(named(Kind::VirtualContainerHost, &self.stores.hosts, |host| {
            *host.spec.site_ref.name == *site
        }));
        users.extend(named(Kind::ContainerNetwork, &self.stores.networks, |net| {
            *net.spec.site_ref.name == *site
        }));
        users.extend(named(Kind::EdgeGateway, &self.stores.gateways, |gateway| {
            *gateway.spec.site_ref.name == *site
        }));
        users
    }

    /// Every object that refers to an edge gateway.
    #[must_use]
    pub fn users_of_gateway(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let refers = |namespace: Option<&str>, reference: Option<&GatewayRef>| {
            let named = reference.and_then(|gateway| gateway.reference.as_ref());
            namespace == Some(&*key.namespace) && named.is_some_and(|named| *named.name == *key.name)
        };
        let mut users = named(Kind::EdgeNatRule, &self.stores.rules, |rule| {
            refers(rule.metadata.namespace.as_deref(), rule.spec.gateway.as_ref())
        });
        users.extend(named(Kind::ContainerNetwork, &self.stores.networks, |net| {
            let segment = net.spec.backing.segment.as_ref();
            let gateway = segment.and_then(|segment| segment.gateway.as_ref());
            refers(net.metadata.namespace.as_deref(), gateway)
        }));
        users
    }

    /// Every object that refers to a network.
    #[must_use]
    pub fn users_of_network(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut users = Vec::new();
        users.extend(named(Kind::EdgeNatRule, &self.stores.rules, |rule| {
            rule.spec
                .internal
                .as_ref()
                .is_some_and(|side| names(&side.network_ref, rule, key))
        }));
        users.extend(named(
            Kind::MicrosegmentationPolicy,
            &self.stores.policies,
            |policy| networks_of(policy).any(|selection| names(&selection.network_ref, policy, key)),
        ));
        users.extend(named(Kind::VirtualContainerHost, &self.stores.hosts, |host| {
            network_refs(host).any(|reference| names(reference, host, key))
        }));
        users.extend(named(Kind::EdgeGateway, &self.stores.gateways, |gateway| {
            gateway
                .spec
                .uplinks
                .iter()
                .any(|uplink| names(&uplink.network_ref, gateway, key))
        }));
        users
    }
}

impl Context {
    /// Whether other namespaces may use a network.
    #[must_use]
    pub fn is_shared(&self, network: &ObjectKey) -> bool {
        let reference = ObjectRef::new(&network.name).within(&network.namespace);
        self.stores
            .networks
            .get(&reference)
            .is_some_and(|found| found.spec.shared_with.is_some())
    }
}

/// The whole networks that a policy speaks of.
fn networks_of(policy: &MicrosegmentationPolicy) -> impl Iterator<Item = &NetworkSelection> {
    let spec = &policy.spec;
    let ingress = spec.ingress.iter().flat_map(|rule| &rule.from);
    let egress = spec.egress.iter().flat_map(|rule| &rule.to);
    let peers = ingress.chain(egress).filter_map(|peer| peer.network.as_ref());
    spec.subject
        .iter()
        .filter_map(|subject| subject.network.as_ref())
        .chain(peers)
}

/// The networks that a VCH refers to.
pub fn network_refs(host: &VirtualContainerHost) -> impl Iterator<Item = &SharedRef> {
    let networks = &host.spec.networks;
    let roles = [
        Some(&networks.public),
        networks.client.as_ref(),
        networks.management.as_ref(),
    ];
    std::iter::once(&networks.bridge.network_ref)
        .chain(roles.into_iter().flatten().map(|role| &role.network_ref))
        .chain(networks.containers.iter().map(|attached| &attached.network_ref))
}

/// Whether a reference in `user` means the object of that key.
fn names<K: kube::Resource>(reference: &SharedRef, user: &K, key: &ObjectKey) -> bool {
    let own = user.meta().namespace.as_deref().unwrap_or_default();
    *reference.name == *key.name && reference.namespace.as_deref().unwrap_or(own) == key.namespace
}

fn named<K>(kind: Kind, store: &Store<K>, wanted: impl Fn(&K) -> bool) -> Vec<ObjectKey>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let mut found: Vec<ObjectKey> = store
        .state_filter(|object| wanted(object))
        .iter()
        .map(|object| {
            let meta = object.meta();
            ObjectKey::new(
                kind,
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_waits_until_the_last_cache_is_filled() {
        let mut filled = Filled::new(CancellationToken::new());
        let (first, second) = (filled.cache(), filled.cache());
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let filled = filled.clone();
                tokio::spawn(async move { filled.wait().await })
            })
            .collect();
        second.cancel();
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        first.cancel();
        for task in waiting {
            assert!(task.await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_shutdown_ends_the_wait() {
        let shutdown = CancellationToken::new();
        let mut filled = Filled::new(shutdown.clone());
        let _never = filled.cache();
        shutdown.cancel();
        assert!(!filled.wait().await);
    }
}
