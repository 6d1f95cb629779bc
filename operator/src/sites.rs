//! Connected Sites: the engines every controller of that Site works with.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio_util::sync::{CancellationToken, DropGuard};
use topology::{Shared, Sharing};
use vic_crds::SiteSpec;

use crate::claims::Claims;
use crate::failure::{ApplyError, DereferenceError};
use crate::forwarding;
use crate::images::Images;
use crate::lease::Lease;
use crate::trust::Seen;
use crate::wake::Wake;

/// A user's name and password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.username)
    }
}

/// A connected Site.
pub struct Connected {
    /// The Site's name.
    pub name: String,
    /// The instance that this process acts for.
    pub instance: String,
    /// Its vCenter.
    pub vsphere: vsphere::Engine,
    /// What its vCenter showed as certificate.
    pub vcenter_seen: Seen,
    /// Its NSX manager.
    pub nsx: Option<nsx::Engine>,
    /// What an endpoint VM logs in to vCenter with.
    pub endpoint_credentials: Option<Credentials>,
    /// Who uses which shared object in NSX, by the UID of the user.
    pub sharing: Mutex<Sharing>,
    seeded: OnceLock<()>,
    completed: OnceLock<()>,
    /// What is claimed on its gateways.
    pub claims: Arc<Claims>,
    /// What was deleted in NSX for objects that are going, by their UID: policy paths.
    pub removals: Mutex<HashMap<String, Vec<String>>>,
    /// UIDs of objects of which this process knows everything that is in NSX, while the first reads may not show all.
    pub whole: Mutex<HashSet<String>>,
    /// Addresses that NSX took from its pools, by the allocation's policy path, once read.
    pub pool_addresses: Mutex<HashMap<String, Ipv4Addr>>,
    /// The edge clusters of gateways, once read.
    pub edge_clusters: Mutex<HashMap<String, Option<String>>>,
    /// Images on their way to datastores.
    pub images: Images,
    /// The right to write.
    pub lease: Lease,
    /// What the connection was made from: another value means connecting anew.
    pub fingerprint: String,
    _forwarding: DropGuard,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connected({})", self.name)
    }
}

/// The parts a connection is made of.
pub struct Parts {
    /// The Site's name.
    pub name: String,
    /// The instance that this process acts for.
    pub instance: String,
    /// Its vCenter.
    pub vsphere: vsphere::Engine,
    /// What its vCenter showed as certificate.
    pub vcenter_seen: Seen,
    /// Its NSX manager.
    pub nsx: Option<nsx::Engine>,
    /// What an endpoint VM logs in with.
    pub endpoint_credentials: Option<Credentials>,
    /// The right to write.
    pub lease: Lease,
    /// What the connection was made from.
    pub fingerprint: String,
}

impl Connected {
    /// Puts a connection together; from now on its changes wake those who watch them.
    #[must_use]
    pub fn new(parts: Parts, wake: &Arc<Wake>) -> Self {
        let (forwarding, claims) = (CancellationToken::new(), Arc::new(Claims::default()));
        let stop = || forwarding.clone();
        let to_vsphere = forwarding::vsphere(parts.name.clone(), parts.vsphere.clone(), wake.clone());
        tokio::spawn(stop().run_until_cancelled_owned(to_vsphere));
        if let Some(engine) = parts.nsx.clone() {
            let source = forwarding::Source {
                site: parts.name.clone(),
                instance: parts.instance.clone(),
                engine,
                claims: claims.clone(),
            };
            let to_nsx = forwarding::nsx(source, wake.clone());
            tokio::spawn(stop().run_until_cancelled_owned(to_nsx));
        }
        Self {
            name: parts.name,
            instance: parts.instance,
            vsphere: parts.vsphere,
            vcenter_seen: parts.vcenter_seen,
            nsx: parts.nsx,
            endpoint_credentials: parts.endpoint_credentials,
            sharing: Mutex::default(),
            seeded: OnceLock::new(),
            completed: OnceLock::new(),
            claims,
            removals: Mutex::default(),
            whole: Mutex::default(),
            pool_addresses: Mutex::default(),
            edge_clusters: Mutex::default(),
            images: Images::default(),
            lease: parts.lease,
            fingerprint: parts.fingerprint,
            _forwarding: forwarding.drop_guard(),
        }
    }

    /// The NSX manager.
    ///
    /// # Errors
    /// Where the Site has none.
    pub fn nsx(&self) -> Result<&nsx::Engine, DereferenceError> {
        self.nsx
            .as_ref()
            .ok_or_else(|| DereferenceError::NsxAbsent(self.name.clone()))
    }

    /// Whether this process may write; asked before each mutation.
    ///
    /// # Errors
    /// Where the Lease may have passed to another replica.
    pub fn may_write(&self) -> Result<(), ApplyError> {
        if self.lease.is_held() {
            Ok(())
        } else {
            Err(ApplyError::LeaseHeld(self.name.clone()))
        }
    }

    /// Whether everything that exists has been read: before that nothing is planned.
    ///
    /// # Errors
    /// Where it has not.
    pub fn loaded(&self) -> Result<(), DereferenceError> {
        let loaded = self.vsphere.is_loaded() && self.nsx.as_ref().is_none_or(nsx::Engine::is_loaded);
        if !loaded {
            return Err(DereferenceError::Loading(self.name.clone()));
        }
        self.seeded.get_or_init(|| self.seed_sharing());
        Ok(())
    }

    /// Waits until [`Connected::loaded`] is well.
    pub async fn read(&self) {
        let nsx = async {
            if let Some(engine) = &self.nsx {
                engine.loaded().await;
            }
        };
        tokio::join!(self.vsphere.loaded(), nsx);
    }

    /// What an earlier process shared is found again in NSX.
    fn seed_sharing(&self) {
        let Some(engine) = &self.nsx else { return };
        let mut found = Uses::default();
        engine.each_owned(|observed| found.note(&observed));
        let mut sharing = self.sharing.lock().unwrap_or_else(PoisonError::into_inner);
        for (user, uses) in found.by_user() {
            // Who was reconciled since is known better.
            if !sharing.knows(&user) {
                sharing.replace(&user, &uses);
            }
        }
    }

    /// Once it is sure that NSX has shown what an earlier process wrote: finds what the first read did not show.
    pub fn complete_sharing(&self) {
        self.completed.get_or_init(|| self.seed_sharing());
    }

    /// Drains what is under way and logs out.
    pub async fn disconnect(&self) {
        if let Some(engine) = &self.nsx {
            engine.shutdown().await;
        }
        self.vsphere.shutdown().await;
    }
}

/// A Site as its controller last saw it.
#[derive(Clone)]
pub struct Entry {
    /// Its spec.
    pub spec: Arc<SiteSpec>,
    /// Its connection, while it is ready.
    pub connected: Option<Arc<Connected>>,
}

impl Entry {
    fn same_as(&self, other: &Self) -> bool {
        let same_connection = match (&self.connected, &other.connected) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_connection && self.spec == other.spec
    }
}

/// All Sites of this process.
#[derive(Default)]
pub struct Sites {
    entries: RwLock<HashMap<String, Entry>>,
    refusals: Mutex<HashMap<String, Refusal>>,
}

/// Credentials that were refused: knocking again and again would lock the account.
#[derive(Clone, Debug)]
struct Refusal {
    fingerprint: String,
    sentence: String,
    pause: Duration,
    until: Instant,
}

/// First and longest pause before refused credentials are tried again.
const REFUSAL_PAUSE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(15));

impl Sites {
    /// A Site, if it is known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Entry> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// Publishes a Site; tells whether that is news: everything on a Site looks at itself when it is.
    pub fn publish(&self, name: &str, entry: Entry) -> bool {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.get(name).is_some_and(|known| known.same_as(&entry)) {
            return false;
        }
        entries.insert(name.to_owned(), entry);
        true
    }

    /// A Site is gone; returns what stood there.
    pub fn forget(&self, name: &str) -> Option<Entry> {
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name)
    }

    /// Notes that these credentials were refused, and with which words.
    pub fn refused(&self, name: &str, fingerprint: &str, sentence: String) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, longest) = REFUSAL_PAUSE;
        let again = refusals
            .get(name)
            .filter(|known| known.fingerprint == fingerprint);
        let pause = again.map_or(first, |known| known.pause.saturating_mul(2).min(longest));
        let refusal = Refusal {
            fingerprint: fingerprint.to_owned(),
            sentence,
            pause,
            until: Instant::now() + pause,
        };
        refusals.insert(name.to_owned(), refusal);
    }

    /// The words with which these very credentials were refused a short while ago.
    #[must_use]
    pub fn refusal(&self, name: &str, fingerprint: &str) -> Option<String> {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let known = refusals.get(name)?;
        (known.fingerprint == fingerprint && Instant::now() < known.until).then(|| known.sentence.clone())
    }

    /// Every connection, for shutting down.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<Connected>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .values()
            .filter_map(|entry| entry.connected.clone())
            .collect()
    }
}

/// Which shared objects of ours each owner's objects use, found in one walk over all.
#[derive(Default)]
struct Uses {
    /// Shared objects: path and type.
    shared: HashMap<String, String>,
    /// User and the path of what it refers to.
    references: Vec<(String, String)>,
}

impl Uses {
    fn note(&mut self, object: &nsx::Observed) {
        let Some(owner) = topology::owner_of(&object.body) else {
            self.shared
                .insert(object.path.clone(), object.resource_type.clone());
            return;
        };
        let parent = object.path.rsplit_once("/rules/").map(|(policy, _)| policy);
        let address = topology::allocation_of(&object.body);
        let references = [
            object.text("service"),
            object.text("dhcp_config_path"),
            parent,
            address,
        ];
        for path in references.into_iter().flatten() {
            self.references.push((owner.uid.clone(), path.to_owned()));
        }
    }

    fn by_user(self) -> HashMap<String, Vec<Shared>> {
        let mut found: HashMap<String, Vec<Shared>> = HashMap::new();
        for (user, path) in self.references {
            if let Some(resource_type) = self.shared.get(&path) {
                found.entry(user).or_default().push((path, resource_type.clone()));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_credentials_rest_and_others_do_not() {
        let sites = Sites::default();
        assert_eq!(sites.refusal("poc", "a"), None);
        sites.refused("poc", "a", "no".to_owned());
        assert_eq!(sites.refusal("poc", "a").as_deref(), Some("no"));
        assert_eq!(
            sites.refusal("poc", "b"),
            None,
            "a corrected Secret is tried at once"
        );
        assert_eq!(sites.refusal("other", "a"), None);
    }
}
