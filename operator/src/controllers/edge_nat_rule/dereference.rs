//! Finds the Site, the network and the gateway of a rule.

use std::sync::Arc;

use vic_crds::EdgeNatRule;

use crate::context::Context;
use crate::controllers::common::{Ground, gateway_label, ground};
use crate::facts::NetworkFacts;
use crate::failure::{DereferenceError, Failure, ValidateError};
use crate::kind::{Kind, ObjectKey};
use crate::wake::Topic;

/// Everything a rule refers to.
pub(super) struct References {
    pub(super) ground: Ground,
    /// The internal network, where the rule has an internal side.
    pub(super) network: Option<Arc<NetworkFacts>>,
    /// The gateway's policy path.
    pub(super) gateway: String,
    /// The gateway as a grant writes it.
    pub(super) gateway_label: String,
}

pub(super) async fn dereference(
    rule: &EdgeNatRule,
    ctx: &Context,
    key: &ObjectKey,
) -> Result<References, Failure> {
    let ground = ground(ctx, key, &rule.spec.site_ref)?;
    let (network, gateway, label) = match (&rule.spec.internal, &rule.spec.gateway) {
        (Some(internal), _) => {
            let facts = network(rule, ctx, key, &internal.network_ref.name)?;
            let gateway = facts
                .gateway_path
                .clone()
                .ok_or_else(|| no_gateway(&internal.network_ref.name))?;
            let label = label_of(&gateway);
            (Some(facts), gateway, label)
        }
        (None, Some(reference)) => (None, ground.gateway(reference).await?, gateway_label(reference)),
        // The API refuses a rule that has neither.
        (None, None) => return Err(no_gateway("").into()),
    };
    ctx.wake.watch(
        key,
        Topic::Claims {
            site: ground.site.clone(),
            gateway: gateway.clone(),
        },
    );
    ground
        .connected
        .nsx()?
        .watch_gateway(&gateway)
        .await
        .map_err(DereferenceError::Nsx)?;
    Ok(References {
        ground,
        network,
        gateway,
        gateway_label: label,
    })
}

fn network(
    rule: &EdgeNatRule,
    ctx: &Context,
    key: &ObjectKey,
    name: &str,
) -> Result<Arc<NetworkFacts>, DereferenceError> {
    let network = ObjectKey::new(Kind::ContainerNetwork, &key.namespace, name);
    ctx.wake.watch(key, Topic::Object(network.clone()));
    let reference = kube::runtime::reflector::ObjectRef::new(name).within(&key.namespace);
    if ctx.stores.networks.get(&reference).is_none() {
        return Err(DereferenceError::NetworkMissing(name.to_owned()));
    }
    ctx.facts
        .network(&network)
        .filter(|facts| facts.ready && facts.site == *rule.spec.site_ref.name)
        .ok_or_else(|| DereferenceError::NetworkNotReady(vec![name.to_owned()]))
}

fn no_gateway(network: &str) -> ValidateError {
    ValidateError::Invalid {
        field: "spec.internal.networkRef".to_owned(),
        rule: format!("ContainerNetwork {network} is connected to no gateway, so no rule can lead to it"),
    }
}

/// `/infra/tier-1s/vic-edge` as a grant writes it: `tier1/vic-edge`.
fn label_of(path: &str) -> String {
    let id = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("/infra/tier-0s/") {
        format!("tier0/{id}")
    } else {
        format!("tier1/{id}")
    }
}
