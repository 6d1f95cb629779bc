//! Finds the Site, the network and the gateway of a rule.

use std::sync::Arc;

use topology::GatewayView;
use vic_crds::EdgeNatRule;

use crate::context::Context;
use crate::controllers::common::{Gateway, Ground, ground};
use crate::controllers::consent;
use crate::facts::NetworkFacts;
use crate::failure::{DereferenceError, Failure, ValidateError};
use crate::kind::ObjectKey;
use crate::wake::Topic;

/// Everything a rule refers to.
pub(super) struct References {
    pub(super) ground: Ground,
    /// The internal network, where the rule has an internal side.
    pub(super) network: Option<Arc<NetworkFacts>>,
    /// The gateway.
    pub(super) gateway: Gateway,
    /// What it can do.
    pub(super) view: GatewayView,
}

pub(super) async fn dereference(
    rule: &EdgeNatRule,
    ctx: &Context,
    key: &ObjectKey,
) -> Result<References, Failure> {
    let ground = ground(ctx, key, &rule.spec.site_ref)?;
    let (network, gateway) = match (&rule.spec.internal, &rule.spec.gateway) {
        (Some(internal), _) => {
            let facts = consent::network(ctx, key, &ground.site, &internal.network_ref)?;
            let path = facts
                .gateway_path
                .as_ref()
                .ok_or_else(|| no_gateway(&internal.network_ref.to_string()))?;
            let gateway = ground.gateway_at(ctx, &key.namespace, path);
            (Some(facts), gateway)
        }
        (None, Some(reference)) => (None, ground.gateway(ctx, key, reference).await?),
        // The API refuses a rule that has neither.
        (None, None) => return Err(no_gateway("").into()),
    };
    ctx.wake.watch(
        key,
        Topic::Claims {
            site: ground.site.clone(),
            gateway: gateway.path.clone(),
        },
    );
    ground
        .connected
        .nsx()?
        .watch_gateway(&gateway.path)
        .await
        .map_err(DereferenceError::Nsx)?;
    let view = ground.view_of(&gateway.path).await?;
    Ok(References {
        ground,
        network,
        gateway,
        view,
    })
}

fn no_gateway(network: &str) -> ValidateError {
    ValidateError::Invalid {
        field: "spec.internal.networkRef".to_owned(),
        rule: format!("ContainerNetwork {network} is connected to no gateway, so no rule can lead to it"),
    }
}
