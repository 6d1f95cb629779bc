//! Leads from what changes in vSphere and NSX to the objects that want to know.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::claims::Claims;
use crate::kind::{Kind, ObjectKey};
use crate::wake::{Topic, Wake};

/// Forwards the changes of a vCenter until its engine ends.
pub async fn vsphere(site: String, engine: vsphere::Engine, wake: Arc<Wake>) {
    let (changes, health) = (engine.changes(), engine.health());
    let tell = |moref: &vsphere::Moref| tell_of_moref(&site, &engine, moref, &wake);
    forward(&site, &wake, engine.loaded(), changes, health, tell).await;
}

/// An NSX manager whose changes are forwarded.
pub struct Source {
    /// The Site.
    pub site: String,
    /// The instance that this process acts for.
    pub instance: String,
    /// The manager.
    pub engine: nsx::Engine,
    /// What is claimed on its gateways.
    pub claims: Arc<Claims>,
}

/// Forwards the changes of an NSX manager until its engine ends.
pub async fn nsx(source: Source, wake: Arc<Wake>) {
    let engine = &source.engine;
    let (changes, health) = (engine.changes(), engine.health());
    let tell = |path: &String| source.tell_of_path(path, &wake);
    forward(&source.site, &wake, engine.loaded(), changes, health, tell).await;
}

async fn forward<T: Clone, H>(
    site: &str,
    wake: &Wake,
    loaded: impl Future<Output = ()>,
    mut changes: broadcast::Receiver<Arc<[T]>>,
    mut health: watch::Receiver<H>,
    tell: impl Fn(&T),
) {
    let site_key = ObjectKey::new(Kind::Site, "", site);
    let everyone = Topic::Object(site_key.clone());
    let mut loading = Some(std::pin::pin!(loaded));
    loop {
        tokio::select! {
            () = async { if let Some(loaded) = loading.as_mut() { loaded.as_mut().await } }, if loading.is_some() => {
                loading = None;
                wake.changed(&everyone);
            }
            alive = health.changed() => {
                if alive.is_err() {
                    return;
                }
                wake.reconcile(site_key.clone());
            }
            received = changes.recv() => match received {
                Ok(news) => news.iter().for_each(&tell),
                // Something was missed: everyone on this Site looks for himself.
                Err(RecvError::Lagged(_)) => wake.changed(&everyone),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

fn tell_of_moref(site: &str, engine: &vsphere::Engine, moref: &vsphere::Moref, wake: &Wake) {
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
        | "DistributedVirtualSwitch" => wake.changed(&Topic::Inventory {
            site: site.to_owned(),
        }),
        _ => {}
    }
}

impl Source {
    fn tell_of_path(&self, path: &str, wake: &Wake) {
        let site = || self.site.clone();
        if let Some((gateway, _)) = path.split_once("/nat/USER/nat-rules/")
            && self.claims.follow(gateway, path, &self.engine, &self.instance)
        {
            wake.changed(&Topic::Claims {
                site: site(),
                gateway: gateway.to_owned(),
            });
        }
        wake.changed(&Topic::Nsx {
            site: site(),
            path: path.to_owned(),
        });
    }
}
