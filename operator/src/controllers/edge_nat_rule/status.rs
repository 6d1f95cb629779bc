//! What became of a rule.

use topology::{Change, Plan};
use vic_crds::{EdgeNatRule, EdgeNatRuleStatus, Protocol};

use super::dereference::References;
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
        format!("{}{ports}{protocol}", side.address)
    });
    details.internal = rule.spec.internal.as_ref().map(|side| {
        let port = side
            .port
            .or_else(|| rule.spec.external.as_ref().and_then(|external| external.port));
        let address = side
            .address
            .as_ref()
            .map_or_else(|| side.network_ref.to_string(), ToString::to_string);
        port.map_or(address.clone(), |port| format!("{address}:{port}"))
    });
}

/// What is true of the rule once it is valid.
pub(super) fn describe(wanted: &Wanted, details: &mut EdgeNatRuleStatus) {
    details.rule_path = Some(wanted.spec.rule_path());
    pin(&mut details.resolved, "gateway", &wanted.spec.gateway_path);
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

/// Whether the rule is in effect.
pub(super) fn effect(
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
    wanted: &Wanted,
) -> Result<Summary, Failure> {
    let engine = references.ground.connected.nsx()?;
    for intent in wanted.spec.intents() {
        ctx.wake.watch(
            key,
            Topic::Nsx {
                site: references.ground.site.clone(),
                path: intent.path.clone(),
            },
        );
    }
    realized(engine, &wanted.spec.rule_path(), "the NAT rule")?;
    for path in wanted.spec.firewall_paths() {
        realized(engine, &path, "the firewall rule")?;
    }
    Ok(Summary::ready("Ready", "The rule is in effect on the gateway."))
}
