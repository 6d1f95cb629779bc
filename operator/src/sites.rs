//! Connected Sites: the engines every controller of that Site works with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::{CancellationToken, DropGuard};
use topology::{Contender, Shared, Sharing};
use vic_crds::SiteSpec;

use crate::failure::{ApplyError, DereferenceError};
use crate::images::Images;
use crate::kind::{Kind, ObjectKey};
use crate::lease::Lease;
use crate::trust::Seen;
use crate::wake::{Topic, Wake};

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
    /// Claims of this instance's rules by gateway, granted (perhaps before NSX shows them) and waiting.
    pub claims: Mutex<HashMap<String, HashMap<ObjectKey, Contender>>>,
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
        let stop = CancellationToken::new();
        let site = parts.name.clone();
        tokio::spawn(stop.clone().run_until_cancelled_owned(forward_vsphere(
            site.clone(),
            parts.vsphere.clone(),
            wake.clone(),
        )));
        if let Some(engine) = parts.nsx.clone() {
            tokio::spawn(
                stop.clone()
                    .run_until_cancelled_owned(forward_nsx(site, engine, wake.clone())),
            );
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
            claims: Mutex::default(),
            images: Images::default(),
            lease: parts.lease,
            fingerprint: parts.fingerprint,
            _forwarding: stop.drop_guard(),
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

    /// What an earlier process shared is found again in NSX.
    fn seed_sharing(&self) {
        let owned = self.nsx.as_ref().map(nsx::Engine::owned).unwrap_or_default();
        let mut sharing = self.sharing.lock().unwrap_or_else(PoisonError::into_inner);
        for (user, uses) in uses_of(&owned) {
            sharing.replace(&user, &uses);
        }
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

/// All Sites of this process.
#[derive(Default)]
pub struct Sites {
    entries: RwLock<HashMap<String, Entry>>,
}

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

    /// Publishes a Site.
    pub fn publish(&self, name: &str, entry: Entry) {
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), entry);
    }

    /// A Site is gone; returns what stood there.
    pub fn forget(&self, name: &str) -> Option<Entry> {
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name)
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

/// Which shared objects of ours each owner's objects use.
fn uses_of(owned: &[nsx::Observed]) -> HashMap<String, Vec<Shared>> {
    let shared: HashMap<&str, &str> = owned
        .iter()
        .filter(|observed| topology::owner_of(&observed.body).is_none())
        .map(|observed| (observed.path.as_str(), observed.resource_type.as_str()))
        .collect();
    let mut uses: HashMap<String, Vec<Shared>> = HashMap::new();
    for observed in owned {
        let Some(owner) = topology::owner_of(&observed.body) else {
            continue;
        };
        let parent = observed.path.rsplit_once("/rules/").map(|(policy, _)| policy);
        let used = [
            observed.text("service"),
            observed.text("dhcp_config_path"),
            parent,
        ];
        for path in used.into_iter().flatten() {
            if let Some(resource_type) = shared.get(path) {
                uses.entry(owner.uid.clone())
                    .or_default()
                    .push((path.to_owned(), (*resource_type).to_owned()));
            }
        }
    }
    uses
}

fn site_topic(site: &str) -> Topic {
    Topic::Object(ObjectKey::new(Kind::Site, "", site))
}

async fn forward_vsphere(site: String, engine: vsphere::Engine, wake: Arc<Wake>) {
    let mut changes = engine.changes();
    let mut health = engine.health();
    let loaded = engine.clone();
    let loading = async move { loaded.loaded().await };
    tokio::pin!(loading);
    let mut waiting = true;
    loop {
        tokio::select! {
            () = &mut loading, if waiting => {
                waiting = false;
                wake.changed(&site_topic(&site));
            }
            changed = health.changed() => {
                if changed.is_err() { return; }
                wake.reconcile(ObjectKey::new(Kind::Site, "", &site));
            }
            received = changes.recv() => match received {
                Ok(morefs) => morefs.iter().for_each(|moref| wake_for(&site, &engine, moref, &wake)),
                // Something was missed: everyone on this Site looks for himself.
                Err(RecvError::Lagged(_)) => wake.changed(&site_topic(&site)),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

fn wake_for(site: &str, engine: &vsphere::Engine, moref: &vsphere::Moref, wake: &Wake) {
    let topic = |moref: &vsphere::Moref| Topic::VSphere {
        site: site.to_owned(),
        moref: moref.to_string(),
    };
    wake.changed(&topic(moref));
    match moref.kind.as_str() {
        "DistributedVirtualPortgroup" | "Network" | "OpaqueNetwork" => {
            wake.changed(&Topic::Networks {
                site: site.to_owned(),
            });
        }
        "VirtualMachine" => {
            let (pool, networks) = engine.read(|inventory| {
                inventory
                    .vms
                    .get(moref)
                    .map(|vm| (vm.pool.clone(), vm.networks.clone()))
                    .unwrap_or_default()
            });
            pool.iter()
                .chain(&networks)
                .for_each(|related| wake.changed(&topic(related)));
            wake.changed(&Topic::Inventory {
                site: site.to_owned(),
            });
        }
        "ResourcePool"
        | "VirtualApp"
        | "Folder"
        | "Datastore"
        | "VmwareDistributedVirtualSwitch"
        | "DistributedVirtualSwitch" => {
            wake.changed(&Topic::Inventory {
                site: site.to_owned(),
            });
        }
        _ => {}
    }
}

async fn forward_nsx(site: String, engine: nsx::Engine, wake: Arc<Wake>) {
    let mut changes = engine.changes();
    let mut health = engine.health();
    let loaded = engine.clone();
    let loading = async move { loaded.loaded().await };
    tokio::pin!(loading);
    let mut waiting = true;
    loop {
        tokio::select! {
            () = &mut loading, if waiting => {
                waiting = false;
                wake.changed(&site_topic(&site));
            }
            changed = health.changed() => {
                if changed.is_err() { return; }
                wake.reconcile(ObjectKey::new(Kind::Site, "", &site));
            }
            received = changes.recv() => match received {
                Ok(paths) => paths.iter().for_each(|path| {
                    if let Some((gateway, _)) = path.split_once("/nat/USER/nat-rules/") {
                        wake.changed(&Topic::Claims { site: site.clone(), gateway: gateway.to_owned() });
                    }
                    wake.changed(&Topic::Nsx { site: site.clone(), path: path.clone() });
                }),
                Err(RecvError::Lagged(_)) => wake.changed(&site_topic(&site)),
                Err(RecvError::Closed) => return,
            },
        }
    }
}
