//! Finds what a VCH refers to: its Site, pool, datastores, networks and release, and the other VCHs.

use std::collections::BTreeMap;
use std::sync::Arc;

use vic_crds::VirtualContainerHost;
use vsphere::{DatastorePath, Inventory, Moref, NetworkKind, NicBacking};

use super::claims::Claims;
use crate::context::{Context, network_refs};
use crate::controllers::common::{Ground, ground, pinned};
use crate::controllers::consent;
use crate::controllers::container_network::outside;
use crate::endpoint::{Attachment, Login, VolumePlace, VolumeSpec};
use crate::facts::NetworkFacts;
use crate::failure::{DereferenceError, Failure};
use crate::kind::{Kind, ObjectKey};

/// Everything a VCH refers to.
pub(super) struct References {
    pub(super) ground: Ground,
    pub(super) place: Place,
    pub(super) datastore: Found,
    /// With the datastore of those that lie on one.
    pub(super) volumes: Vec<(VolumeSpec, Option<Moref>)>,
    /// By the reference to the `ContainerNetwork`, as the spec writes it.
    pub(super) networks: BTreeMap<String, NetworkUse>,
    pub(super) login: Login,
    pub(super) others: Vec<Claims>,
}

/// Something in vCenter, by reference and name.
pub(super) struct Found {
    pub(super) moref: Moref,
    pub(super) name: String,
}

/// Where in vCenter a VCH is made.
pub(super) struct Place {
    /// The parent of its pool, as the spec or the Site names it.
    pub(super) pool: Found,
    /// Inventory paths from the root: `/DC0/host/DC0_C0/Resources/Containers`, `/DC0/host/DC0_C0`.
    pub(super) pool_path: String,
    pub(super) cluster_path: String,
    /// Name of the datacenter.
    pub(super) datacenter: String,
    /// The root of its VM folders.
    pub(super) vm_folder: Moref,
}

/// A network and how a NIC is connected to it.
pub(super) struct NetworkUse {
    pub(super) facts: Arc<NetworkFacts>,
    pub(super) attachment: Attachment,
}

pub(super) fn dereference(
    vch: &VirtualContainerHost,
    ctx: &Context,
    key: &ObjectKey,
) -> Result<References, Failure> {
    let ground = ground(ctx, key, &vch.spec.site_ref)?;
    let networks = networks(vch, ctx, key, &ground)?;
    let login = login(&ground)?;
    let engine = &ground.connected.vsphere;
    let (place, datastore, volumes) = engine.read(|inventory| {
        Ok::<_, DereferenceError>((
            place(vch, &ground, inventory)?,
            datastore(vch, &ground, inventory)?,
            volumes(vch, inventory)?,
        ))
    })?;
    let others = others(ctx, key, &ground);
    Ok(References {
        ground,
        place,
        datastore,
        volumes,
        networks,
        login,
        others,
    })
}

fn networks(
    vch: &VirtualContainerHost,
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
) -> Result<BTreeMap<String, NetworkUse>, DereferenceError> {
    let mut found = BTreeMap::new();
    let mut waiting = Vec::new();
    for reference in network_refs(vch) {
        let usable = match consent::network(ctx, key, &ground.site, reference) {
            Ok(facts) => Some(facts),
            Err(DereferenceError::NetworkNotReady(_)) => None,
            Err(error) => return Err(error),
        };
        let name = reference.to_string();
        let attachment = usable.as_ref().and_then(|facts| {
            let moref: Moref = facts.moref.as_deref()?.parse().ok()?;
            ground
                .connected
                .vsphere
                .read(|inventory| attachment(inventory, &moref))
        });
        match (usable, attachment) {
            (Some(facts), Some(attachment)) => {
                found.insert(name, NetworkUse { facts, attachment });
            }
            _ if waiting.contains(&name) => {}
            _ => waiting.push(name),
        }
    }
    if waiting.is_empty() {
        Ok(found)
    } else {
        Err(DereferenceError::NetworkNotReady(waiting))
    }
}

/// How a NIC is connected to a network; `None` if vCenter does not show it.
fn attachment(inventory: &Inventory, moref: &Moref) -> Option<Attachment> {
    let backing = if let Some(group) = inventory.port_groups.get(moref) {
        let switch = inventory.switches.get(group.switch.as_ref()?)?;
        NicBacking::PortGroup {
            key: group.key.clone(),
            switch_uuid: switch.uuid.clone(),
        }
    } else {
        let network = inventory.networks.get(moref)?;
        match &network.kind {
            NetworkKind::Standard => NicBacking::Standard {
                name: network.name.clone(),
            },
            NetworkKind::Opaque { id, kind } => NicBacking::Opaque {
                id: id.clone(),
                kind: kind.clone(),
            },
        }
    };
    Some(Attachment {
        moref: moref.to_string(),
        backing,
    })
}

/// What the endpoint VM logs in to vCenter with.
fn login(ground: &Ground) -> Result<Login, DereferenceError> {
    let credentials = ground.connected.endpoint_credentials.as_ref();
    let credentials =
        credentials.ok_or_else(|| DereferenceError::EndpointCredentialsAbsent(ground.site.clone()))?;
    let thumbprint = ground.connected.vcenter_seen.sha1_thumbprint();
    Ok(Login {
        username: credentials.username.clone(),
        password: credentials.password.clone(),
        thumbprint: thumbprint.ok_or_else(|| DereferenceError::Loading(ground.site.clone()))?,
    })
}

fn place(
    vch: &VirtualContainerHost,
    ground: &Ground,
    inventory: &Inventory,
) -> Result<Place, DereferenceError> {
    const FIELD: &str = "spec.compute.resourcePool";
    let own = vch
        .spec
        .compute
        .as_ref()
        .and_then(|compute| compute.resource_pool.as_deref());
    let default = ground
        .spec
        .defaults
        .as_ref()
        .and_then(|defaults| defaults.resource_pool.as_deref());
    let name = ground.name_of(FIELD, own, pin_of(vch, "resourcePool"), default)?;
    let pool = inventory
        .find_compute(&name)
        .map_err(|problem| outside(FIELD, "resource pool", &name, problem))?;
    let loading = || DereferenceError::Loading(ground.site.clone());
    let path = |moref: &Moref| inventory.path(moref).map(|path| format!("/{path}"));
    let datacenter = inventory.datacenter().ok_or_else(loading)?;
    Ok(Place {
        pool_path: path(&pool.moref).ok_or_else(loading)?,
        cluster_path: pool.owner.as_ref().and_then(path).ok_or_else(loading)?,
        pool: Found {
            moref: pool.moref.clone(),
            name,
        },
        datacenter: datacenter.name.clone(),
        vm_folder: datacenter.vm_folder.clone().ok_or_else(loading)?,
    })
}

fn datastore(
    vch: &VirtualContainerHost,
    ground: &Ground,
    inventory: &Inventory,
) -> Result<Found, DereferenceError> {
    const FIELD: &str = "spec.storage.datastore";
    let own = vch
        .spec
        .storage
        .as_ref()
        .and_then(|storage| storage.datastore.as_deref());
    let default = ground
        .spec
        .defaults
        .as_ref()
        .and_then(|defaults| defaults.datastore.as_deref());
    let name = ground.name_of(FIELD, own, pin_of(vch, "datastore"), default)?;
    find_datastore(inventory, FIELD, &name)
}

fn find_datastore(inventory: &Inventory, field: &'static str, name: &str) -> Result<Found, DereferenceError> {
    let found = inventory
        .find_datastore(name)
        .map_err(|problem| outside(field, "datastore", name, problem))?;
    Ok(Found {
        moref: found.moref.clone(),
        name: found.name.clone(),
    })
}

fn volumes(
    vch: &VirtualContainerHost,
    inventory: &Inventory,
) -> Result<Vec<(VolumeSpec, Option<Moref>)>, DereferenceError> {
    let stores = vch.spec.storage.iter().flat_map(|storage| &storage.volume_stores);
    stores
        .map(|store| {
            let (place, datastore) = if let Some(export) = &store.nfs {
                (nfs(export), None)
            } else {
                let name = store.datastore.as_deref().unwrap_or_default();
                let found = find_datastore(inventory, "spec.storage.volumeStores", name)?;
                let path = store.path.as_deref().unwrap_or_default();
                let directory = DatastorePath::new(found.name, path);
                (VolumePlace::Directory(directory), Some(found.moref))
            };
            let name = store.name.to_string();
            Ok((VolumeSpec { name, place }, datastore))
        })
        .collect()
}

fn nfs(export: &vic_crds::NfsExport) -> VolumePlace {
    let ids = [("uid", export.uid), ("gid", export.gid)];
    let query: Vec<String> = ids
        .into_iter()
        .filter_map(|(name, id)| Some(format!("{name}={}", id?)))
        .collect();
    VolumePlace::Nfs {
        server: export.server.to_string(),
        path: export.path.to_string(),
        query: query.join("&"),
    }
}

fn pin_of<'a>(vch: &'a VirtualContainerHost, name: &str) -> Option<&'a str> {
    pinned(
        vch.status.as_ref().and_then(|status| status.resolved.as_ref()),
        name,
    )
}

/// What the other VCHs of this Site claim.
fn others(ctx: &Context, key: &ObjectKey, ground: &Ground) -> Vec<Claims> {
    ctx.stores
        .hosts
        .state_filter(|host| *host.spec.site_ref.name == ground.site)
        .iter()
        .map(|host| {
            let namespace = host.metadata.namespace.as_deref().unwrap_or_default();
            let named = ObjectKey::new(Kind::VirtualContainerHost, namespace, "");
            Claims::of(host, |reference| {
                let network = consent::key_of_shared(Kind::ContainerNetwork, &named, reference);
                ctx.facts.network(&network)?.moref.clone()
            })
        })
        .filter(|claims| (&claims.namespace, &claims.name) != (&key.namespace, &key.name))
        .collect()
}
