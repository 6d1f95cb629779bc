//! Finds the Site, the Tier-0, the edge cluster and the uplinks' networks of a gateway.

use topology::GatewayView;
use vic_crds::{EdgeGateway, GatewayType, OutsideGateway, Tier1Backing, Uplink};

use crate::context::Context;
use crate::controllers::common::{Gateway, Ground, ground};
use crate::controllers::consent;
use crate::facts::SubnetFacts;
use crate::failure::{DereferenceError, Failure};
use crate::kind::ObjectKey;

/// Everything a gateway refers to.
pub(super) struct References {
    pub(super) ground: Ground,
    pub(super) backing: Backing,
}

/// What the gateway is.
pub(super) enum Backing {
    /// One to make.
    Tier1 {
        tier0: Option<Gateway>,
        edge_cluster: Option<EdgeCluster>,
        uplinks: Vec<Attachment>,
    },
    /// One that is there, and what it can do.
    Existing { gateway: Gateway, view: GatewayView },
}

/// Where the gateway's services run.
pub(super) struct EdgeCluster {
    /// Its policy path.
    pub(super) path: String,
    /// As the spec names it; absent where it is that of the Tier-0.
    pub(super) name: Option<String>,
}

/// The network of an uplink, as far as it is needed.
pub(super) struct Attachment {
    pub(super) network: String,
    /// Its segment's policy path, if it is a segment.
    pub(super) segment_path: Option<String>,
    /// Whether a gateway serves the network.
    pub(super) served: bool,
    pub(super) subnet: Option<SubnetFacts>,
}

pub(super) async fn dereference(
    gateway: &EdgeGateway,
    ctx: &Context,
    key: &ObjectKey,
) -> Result<References, Failure> {
    let ground = ground(ctx, key, &gateway.spec.site_ref)?;
    let backing = match gateway.spec.backing.kind {
        GatewayType::Tier1 => tier1(gateway, ctx, key, &ground).await?,
        GatewayType::Existing => existing(gateway, &ground).await?,
    };
    Ok(References { ground, backing })
}

async fn existing(gateway: &EdgeGateway, ground: &Ground) -> Result<Backing, DereferenceError> {
    // The API refuses the type without its body.
    let none = OutsideGateway {
        tier1: None,
        tier0: None,
    };
    let reference = gateway.spec.backing.existing.as_ref().unwrap_or(&none);
    let gateway = ground.outside_gateway(reference).await?;
    let view = ground.view_of(&gateway.path).await?;
    Ok(Backing::Existing { gateway, view })
}

async fn tier1(
    gateway: &EdgeGateway,
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
) -> Result<Backing, DereferenceError> {
    let engine = ground.connected.nsx()?;
    let none = Tier1Backing::default();
    let body = gateway.spec.backing.tier1.as_ref().unwrap_or(&none);
    let tier0 = match &body.tier0 {
        None => None,
        Some(name) => {
            let reference = OutsideGateway {
                tier1: None,
                tier0: Some(name.clone()),
            };
            Some(ground.outside_gateway(&reference).await?)
        }
    };
    let edge_cluster = match (&body.edge_cluster, &tier0) {
        (Some(name), _) => Some(EdgeCluster {
            path: engine.resolve(nsx::Referable::EdgeCluster, name).await?.path,
            name: Some(name.to_string()),
        }),
        (None, Some(tier0)) => {
            let view = ground.view_of(&tier0.path).await?;
            view.edge_cluster.map(|path| EdgeCluster { path, name: None })
        }
        (None, None) => None,
    };
    let uplinks = gateway
        .spec
        .uplinks
        .iter()
        .map(|uplink| attachment(uplink, ctx, key, &ground.site))
        .collect::<Result<_, _>>()?;
    Ok(Backing::Tier1 {
        tier0,
        edge_cluster,
        uplinks,
    })
}

fn attachment(
    uplink: &Uplink,
    ctx: &Context,
    key: &ObjectKey,
    site: &str,
) -> Result<Attachment, DereferenceError> {
    let facts = consent::network(ctx, key, site, &uplink.network_ref)?;
    Ok(Attachment {
        network: uplink.network_ref.to_string(),
        segment_path: facts.segment_path.clone(),
        served: facts.gateway_path.is_some(),
        subnet: facts.subnet.clone(),
    })
}
