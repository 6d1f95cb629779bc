//! Finds the Site, the switch, the transport zone and the gateway that a network names.

use std::sync::PoisonError;

use vic_crds::{BackingType, ContainerNetwork, SegmentBacking};

use crate::context::Context;
use crate::controllers::common::{Ground, ground, pinned};
use crate::failure::{DereferenceError, Failure};
use crate::kind::ObjectKey;
use crate::wake::Topic;

/// Everything a network refers to.
pub(super) struct References {
    pub(super) ground: Ground,
    pub(super) carrier: Carrier,
}

/// Where a network is made.
pub(super) enum Carrier {
    /// On a distributed switch.
    Switch(vsphere::Moref),
    /// In a transport zone, at a gateway perhaps.
    Zone {
        transport_zone: String,
        gateway: Option<Gateway>,
    },
    /// Nowhere: it exists.
    Nowhere,
}

/// The gateway of a segment.
pub(super) struct Gateway {
    /// The gateway itself.
    pub(super) itself: crate::controllers::common::Gateway,
    /// The edge cluster it runs on, which its DHCP server runs on too.
    pub(super) edge_cluster: Option<String>,
}

pub(super) async fn dereference(
    network: &ContainerNetwork,
    ctx: &Context,
    key: &ObjectKey,
) -> Result<References, Failure> {
    let ground = ground(ctx, key, &network.spec.site_ref)?;
    ctx.wake.watch(
        key,
        Topic::Networks {
            site: ground.site.clone(),
        },
    );
    let carrier = match network.spec.backing.kind {
        BackingType::PortGroup => Carrier::Switch(switch(network, &ground)?),
        BackingType::Segment => zone(network, ctx, key, &ground).await?,
        BackingType::Existing => Carrier::Nowhere,
    };
    Ok(References { ground, carrier })
}

fn switch(network: &ContainerNetwork, ground: &Ground) -> Result<vsphere::Moref, DereferenceError> {
    const FIELD: &str = "spec.backing.portGroup.distributedSwitch";
    let own = network
        .spec
        .backing
        .port_group
        .as_ref()
        .and_then(|body| body.distributed_switch.as_deref());
    let resolved = network
        .status
        .as_ref()
        .and_then(|status| status.resolved.as_ref());
    let default = ground
        .spec
        .defaults
        .as_ref()
        .and_then(|defaults| defaults.distributed_switch.as_deref());
    let name = ground.name_of(FIELD, own, pinned(resolved, "distributedSwitch"), default)?;
    ground
        .connected
        .vsphere
        .read(|inventory| inventory.find_switch(&name).map(|switch| switch.moref.clone()))
        .map_err(|problem| outside(FIELD, "distributed switch", &name, problem))
}

/// An outside name that does not lead to one object.
pub(in crate::controllers) fn outside(
    field: &'static str,
    what: &'static str,
    name: &str,
    problem: vsphere::Lookup,
) -> DereferenceError {
    let name = name.to_owned();
    match problem {
        vsphere::Lookup::Missing => DereferenceError::OutsideMissing { field, what, name },
        vsphere::Lookup::Ambiguous(count) => DereferenceError::OutsideAmbiguous {
            field,
            what,
            name,
            count,
        },
    }
}

async fn zone(
    network: &ContainerNetwork,
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
) -> Result<Carrier, DereferenceError> {
    const FIELD: &str = "spec.backing.segment.transportZone";
    let engine = ground.connected.nsx()?;
    let none = SegmentBacking::default();
    let segment = network.spec.backing.segment.as_ref().unwrap_or(&none);
    let resolved = network
        .status
        .as_ref()
        .and_then(|status| status.resolved.as_ref());
    let default = ground
        .spec
        .defaults
        .as_ref()
        .and_then(|defaults| defaults.overlay_transport_zone.as_deref());
    let pinned_zone = pinned(resolved, "transportZone").and_then(|path| path.rsplit('/').next());
    let name = ground.name_of(FIELD, segment.transport_zone.as_deref(), pinned_zone, default)?;
    let transport_zone = engine.resolve(nsx::Referable::TransportZone, &name).await?.path;
    let gateway = match &segment.gateway {
        None => None,
        Some(reference) => {
            let itself = ground.gateway(ctx, key, reference).await?;
            let same = pinned(resolved, "gateway") == Some(&itself.path);
            let edge_cluster = match pinned(resolved, "edgeCluster").filter(|_| same) {
                Some(path) => Some(path.to_owned()),
                None => edge_cluster_of(ground, engine, &itself.path).await?,
            };
            Some(Gateway { itself, edge_cluster })
        }
    };
    Ok(Carrier::Zone {
        transport_zone,
        gateway,
    })
}

/// Asked once: until the network is realized its status cannot remember it.
async fn edge_cluster_of(
    ground: &Ground,
    engine: &nsx::Engine,
    gateway: &str,
) -> Result<Option<String>, nsx::Error> {
    let known = || {
        ground
            .connected
            .edge_clusters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    if let Some(edge_cluster) = known().get(gateway).cloned() {
        return Ok(edge_cluster);
    }
    let edge_cluster = engine.edge_cluster_of(gateway).await?;
    known().insert(gateway.to_owned(), edge_cluster.clone());
    Ok(edge_cluster)
}
