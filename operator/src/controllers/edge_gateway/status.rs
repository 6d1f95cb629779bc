//! What became of a gateway, in its status and for those who use it.

use vic_crds::EdgeGatewayStatus;

use super::dereference::References;
use super::plan::intents;
use super::validate::{Router, Wanted};
use crate::conditions::{ConditionType, Summary, Truth};
use crate::context::Context;
use crate::controllers::common::{pin, realized};
use crate::facts::GatewayFacts;
use crate::failure::Failure;
use crate::kind::{Kind, ObjectKey};
use crate::wake::Topic;

/// What is true of the gateway whatever becomes of it.
pub(super) fn describe(wanted: &Wanted, details: &mut EdgeGatewayStatus) {
    details.used_by = None;
    details.gateway_path = Some(wanted.path());
    let Router::Made(spec) = &wanted.router else {
        return;
    };
    let addresses: Vec<String> = spec
        .uplinks
        .iter()
        .flat_map(|uplink| &uplink.addresses)
        .map(|(address, prefix)| format!("{address}/{prefix}"))
        .collect();
    details.uplinks = (!addresses.is_empty()).then(|| addresses.join(", "));
    for (name, path) in [
        ("tier0", &spec.tier0_path),
        ("edgeCluster", &spec.edge_cluster_path),
    ] {
        match path {
            Some(path) => pin(&mut details.resolved, name, path),
            None => drop(
                details
                    .resolved
                    .as_mut()
                    .and_then(|resolved| resolved.remove(name)),
            ),
        }
    }
}

/// What `Observe` says where NSX differs.
pub(super) fn drifted() -> Summary {
    Summary {
        ready: Truth::False,
        failed: Some(ConditionType::Programmed),
        extra: vec![(ConditionType::Drifted, Truth::True, "Drifted")],
        ..Summary::ready(
            "Drifted",
            "NSX differs from the spec, and managementPolicy is Observe; status.plan says what would be done.",
        )
    }
}

/// Whether the gateway is in effect.
pub(super) fn effect(ctx: &Context, references: &References, wanted: &Wanted) -> Result<Summary, Failure> {
    let engine = references.ground.connected.nsx()?;
    let key = ObjectKey::new(Kind::EdgeGateway, &wanted.owner.namespace, &wanted.owner.name);
    let intents = intents(wanted);
    for intent in &intents {
        let topic = Topic::Nsx {
            site: references.ground.site.clone(),
            path: intent.path.clone(),
        };
        ctx.wake.watch(&key, topic);
    }
    for intent in &intents {
        realized(engine, &intent.path, &intent.what())?;
    }
    Ok(Summary::ready("Ready", sentence(&wanted.router)))
}

/// What its users should know.
fn sentence(router: &Router) -> String {
    match router {
        Router::Made(spec) if spec.edge_cluster_path.is_none() => format!(
            "{} is in effect, and routes between its segments only: without an edge cluster there is no NAT and no firewall.",
            spec.display_name
        ),
        Router::Made(spec) => format!("{} is in effect.", spec.display_name),
        Router::Found { gateway, view } => match view.shortcomings().as_slice() {
            [] => format!(
                "Gateway {} is there, and takes NAT and firewall rules.",
                gateway.label
            ),
            lacks => format!("Gateway {} is there, and {}.", gateway.label, lacks.join("; it ")),
        },
    }
}

/// What others may know of the gateway. Once in effect it stays usable for as long as NSX has it: a change on its
/// way is no reason for networks and rules to wait.
pub(super) fn facts(
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
    wanted: &Wanted,
    in_effect: bool,
) -> GatewayFacts {
    let path = wanted.path();
    let was = ctx
        .facts
        .gateway(key)
        .is_some_and(|known| known.ready && known.path == path);
    let there = match (&wanted.router, &references.ground.connected.nsx) {
        (Router::Made(_), Some(engine)) => engine.get(&path).is_some(),
        _ => true,
    };
    let interfaces = match &wanted.router {
        Router::Made(spec) => spec
            .uplinks
            .iter()
            .map(|uplink| (uplink.network.clone(), spec.interface_path(&uplink.network)))
            .collect(),
        Router::Found { .. } => std::collections::BTreeMap::new(),
    };
    GatewayFacts {
        site: references.ground.site.clone(),
        ready: in_effect || (was && there),
        path,
        interfaces,
    }
}
