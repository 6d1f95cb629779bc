//! What became of a rule.

use topology::{Change, Plan};
use vic_crds::{EdgeNatRule, EdgeNatRuleStatus, Protocol};

use super::allocation::pin_name;
use super::dereference::{References, Target};
use super::validate::Wanted;
use crate::conditions::{ConditionType, Summary, Truth};
use crate::context::Context;
use crate::controllers::common::{pin, realized};
use crate::failure::Failure;
use crate::kind::ObjectKey;
use crate::wake::Topic;

/// The columns, from the spec alone: they show whatever becomes of the rule.
pub(super) fn sides(rule: &EdgeNatRule, details: &mut EdgeNatRuleStatus) {
    let protocol = match rule.spec.protocol.unwrap_or_default() {
        Protocol::Tcp => "/TCP",
        Protocol::Udp => "/UDP",
        Protocol::Icmp => "/ICMP",
        Protocol::Any => "",
    };
    details.external = rule.spec.external.as_ref().map(|side| {
        let ports = match (side.port, side.end_port) {
            (Some(first), Some(last)) if last != first => format!(":{first}-{last}"),
            (Some(first), _) => format!(":{first}"),
            (None, _) => String::new(),
        };
        let address = match (&side.address, &side.allocation) {
            (Some(address), _) => address.to_string(),
            (None, Some(allocation)) => format!("{}/{}", allocation.pool, allocation.name),
            (None, None) => String::new(),
        };
        format!("{address}{ports}{protocol}")
    });
    details.internal = rule.spec.internal.as_ref().map(|side| {
        let port = side
            .port
            .or_else(|| rule.spec.external.as_ref().and_then(|external| external.port));
        let address = match (&side.container, &side.address) {
            (Some(container), _) => format!("{}/{}", container.vch_ref.name, container.name),
            (None, Some(address)) => address.to_string(),
            (None, None) => side.network_ref.to_string(),
        };
        port.map_or(address.clone(), |port| format!("{address}:{port}"))
    });
}

/// What is true of the rule once it is valid.
pub(super) fn describe(wanted: &Wanted, details: &mut EdgeNatRuleStatus) {
    details.rule_path = Some(wanted.spec.rule_path());
    pin(&mut details.resolved, "gateway", &wanted.spec.gateway_path);
    if let (Some(allocation), Some(net)) = (&wanted.spec.allocation, wanted.spec.external) {
        let address = topology::address_text(net);
        pin(&mut details.resolved, &pin_name(allocation), &address);
        // Which address it is matters more than what the rules call it.
        if let Some(shown) = &mut details.external {
            let name = format!("/{}", allocation.name);
            if let Some((_, rest)) = shown.split_once(&name) {
                *shown = format!("{address}{rest}");
            }
        }
    }
}

/// What `Observe` says.
pub(super) fn observed(plan: &Plan<Change>) -> Summary {
    if plan.is_empty() {
        return Summary::ready("Ready", "NSX has the rule as declared.");
    }
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

/// As a Service without endpoints: all is well, and there is nobody to send to.
fn dormant() -> Summary {
    Summary {
        extra: vec![(ConditionType::TargetResolved, Truth::False, "Dormant")],
        ..Summary::ready(
            "Dormant",
            "The container is not there, or has no address on the network; the rule is programmed as soon as it has.",
        )
    }
}

/// Whether the rule is in effect.
pub(super) fn effect(
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
    wanted: &Wanted,
) -> Result<Summary, Failure> {
    let engine = references.ground.connected.nsx()?;
    if wanted.dormant {
        return Ok(dormant());
    }
    for intent in wanted.spec.intents() {
        ctx.wake.watch(
            key,
            Topic::Nsx {
                site: references.ground.site.clone(),
                path: intent.path.clone(),
            },
        );
    }
    for path in wanted.spec.rule_paths() {
        realized(engine, &path, "the NAT rule")?;
    }
    for path in wanted.spec.firewall_paths() {
        realized(engine, &path, "the firewall rule")?;
    }
    let summary = Summary::ready("Ready", "The rule is in effect on the gateway.");
    Ok(match references.target {
        Target::Container(_) => Summary {
            extra: vec![(ConditionType::TargetResolved, Truth::True, "TargetResolved")],
            ..summary
        },
        Target::Written | Target::Awaited => summary,
    })
}
