//! Finds the Site, the network, the gateway, the target and the pool of a rule.

use std::net::Ipv4Addr;
use std::sync::Arc;

use topology::{AllocationSpec, GatewayView};
use vic_crds::{EdgeNatRule, InterfaceRef};

use super::target;
use crate::context::Context;
use crate::controllers::common::{Gateway, Ground, ground};
use crate::controllers::consent;
use crate::facts::NetworkFacts;
use crate::failure::{DereferenceError, Failure, ValidateError};
use crate::kind::ObjectKey;

/// Everything a rule refers to.
pub(super) struct References {
    pub(super) ground: Ground,
    /// The internal network, where the rule has an internal side.
    pub(super) network: Option<Arc<NetworkFacts>>,
    /// The gateway.
    pub(super) gateway: Gateway,
    /// What it can do.
    pub(super) view: GatewayView,
    /// Interfaces that the rule is limited to, as policy paths.
    pub(super) scope: Vec<String>,
    /// Where the rule points, if that is a container.
    pub(super) target: Target,
    /// The pool address that the rule publishes on.
    pub(super) allocation: Option<AllocationSpec>,
}

/// Where a rule points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Where the spec says.
    Written,
    /// At a container.
    Container(Ipv4Addr),
    /// At a container that is not there, or has no address.
    Awaited,
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
    let engine = ground.connected.nsx()?;
    engine
        .watch_gateway(&gateway.path)
        .await
        .map_err(DereferenceError::Nsx)?;
    let view = ground.view_of(&gateway.path).await?;
    let scope = scope(rule, ctx, key, &gateway)?;
    let target = target_of(rule, ctx, key, &ground, network.as_deref())?;
    let allocation = allocation(rule, ctx, key, &ground).await?;
    Ok(References {
        ground,
        network,
        gateway,
        view,
        scope,
        target,
        allocation,
    })
}

fn no_gateway(network: &str) -> ValidateError {
    ValidateError::Invalid {
        field: "spec.internal.networkRef".to_owned(),
        rule: format!("ContainerNetwork {network} is connected to no gateway, so no rule can lead to it"),
    }
}

fn target_of(
    rule: &EdgeNatRule,
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
    network: Option<&NetworkFacts>,
) -> Result<Target, DereferenceError> {
    let container = rule
        .spec
        .internal
        .as_ref()
        .and_then(|side| side.container.as_ref());
    let Some(container) = container else {
        return Ok(Target::Written);
    };
    let subnet = network
        .and_then(|facts| facts.subnet.as_ref())
        .map(|subnet| subnet.net);
    let address = target::resolve(ctx, key, ground, container, subnet)?;
    Ok(address.map_or(Target::Awaited, Target::Container))
}

async fn allocation(
    rule: &EdgeNatRule,
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
) -> Result<Option<AllocationSpec>, DereferenceError> {
    let declared = rule
        .spec
        .external
        .as_ref()
        .and_then(|side| side.allocation.as_ref());
    let Some(declared) = declared else { return Ok(None) };
    let engine = ground.connected.nsx()?;
    let pool = engine.resolve(nsx::Referable::IpPool, &declared.pool).await?;
    Ok(Some(AllocationSpec {
        instance: ctx.settings.instance.clone(),
        namespace: key.namespace.clone(),
        pool_path: pool.path,
        name: declared.name.to_string(),
    }))
}

/// The interfaces that a rule names must be on its own gateway.
fn scope(
    rule: &EdgeNatRule,
    ctx: &Context,
    key: &ObjectKey,
    gateway: &Gateway,
) -> Result<Vec<String>, ValidateError> {
    let declared = rule.spec.scope.iter().enumerate();
    declared
        .map(|(place, interface)| {
            interface_path(interface, ctx, key, gateway).map_err(|rule| ValidateError::Invalid {
                field: format!("spec.scope[{place}]"),
                rule,
            })
        })
        .collect()
}

fn interface_path(
    interface: &InterfaceRef,
    ctx: &Context,
    key: &ObjectKey,
    gateway: &Gateway,
) -> Result<String, String> {
    let label = &gateway.label;
    match (&interface.path, &interface.network_ref) {
        (Some(path), _) if path.starts_with(&format!("{}/", gateway.path)) => Ok(path.to_string()),
        (Some(path), _) => Err(format!("{path} is no interface of {label}")),
        (None, Some(network)) => {
            let name = &*network.name;
            let facts = ctx
                .facts
                .gateway_at(&key.namespace, &gateway.path)
                .and_then(|(_, facts)| facts.interfaces.get(name).cloned());
            facts.ok_or_else(|| {
                format!(
                    "{label} is no EdgeGateway of this namespace with an uplink on ContainerNetwork {name}"
                )
            })
        }
        // The API refuses a reference that names neither.
        (None, None) => Err("names no interface".to_owned()),
    }
}
