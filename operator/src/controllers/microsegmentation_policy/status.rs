//! What became of a policy.

use std::fmt::Write;

use topology::{Change, Plan};
use vic_crds::{
    ContainerSelection, MicrosegmentationPolicy, MicrosegmentationPolicyStatus, SubjectSelection,
};

use super::dereference::References;
use super::validate::Wanted;
use crate::conditions::{ConditionType, Summary, Truth};
use crate::context::Context;
use crate::controllers::common::realized;
use crate::failure::Failure;
use crate::kind::ObjectKey;
use crate::wake::Topic;

/// The columns, from the spec alone: they show whatever becomes of the policy.
pub(super) fn sides(policy: &MicrosegmentationPolicy, details: &mut MicrosegmentationPolicyStatus) {
    let subject: Vec<String> = policy.spec.subject.iter().map(words).collect();
    details.subject = Some(subject.join(", "));
    details.rules = Some(format!(
        "{} in, {} out",
        policy.spec.ingress.len(),
        policy.spec.egress.len()
    ));
}

/// A selection in a few words.
fn words(wanted: &SubjectSelection) -> String {
    let containers = wanted.containers.as_ref().map(container_words);
    let network = wanted.network.as_ref().map(|network| {
        let of = network
            .network_ref
            .namespace
            .as_ref()
            .map(|namespace| format!("{namespace}/"));
        format!("network {}{}", of.unwrap_or_default(), network.network_ref.name)
    });
    let machines = wanted.virtual_machines.as_ref().map(|machines| {
        let name = machines.name.as_ref().map(ToString::to_string);
        let name = name.or_else(|| machines.name_prefix.as_ref().map(|prefix| format!("{prefix}*")));
        let tag = machines.tag.as_ref().map(|tag| format!("tag {}", tag.value));
        let parts: Vec<String> = name.into_iter().chain(tag).collect();
        format!("VMs {}", parts.join(" "))
    });
    let group = wanted.group.as_ref().map(|group| format!("group {}", group.name));
    containers.or(network).or(machines).or(group).unwrap_or_default()
}

fn container_words(wanted: &ContainerSelection) -> String {
    let mut text = format!("{}/", wanted.vch_ref.name);
    let names: Vec<&str> = wanted.names.iter().map(|name| &**name).collect();
    text.push_str(&names.join("|"));
    // Writing into a String cannot fail.
    let _ = match &wanted.name_prefix {
        Some(prefix) => write!(text, "{prefix}*"),
        None if names.is_empty() => write!(text, "*"),
        None => Ok(()),
    };
    for (key, value) in &wanted.labels {
        let _ = write!(text, " {key}={value}");
    }
    text
}

/// What is true of the policy once it is valid.
pub(super) fn describe(wanted: &Wanted, details: &mut MicrosegmentationPolicyStatus) {
    details.policy_path = Some(wanted.spec.policy_path());
}

/// What `Observe` says.
pub(super) fn observed(plan: &Plan<Change>) -> Summary {
    if plan.is_empty() {
        return Summary::ready("Ready", "NSX has the policy as declared.");
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

/// Whether the policy is in effect.
pub(super) fn effect(
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
    wanted: &Wanted,
) -> Result<Summary, Failure> {
    let engine = references.ground.connected.nsx()?;
    let intents = wanted.spec.intents();
    for intent in &intents {
        let site = references.ground.site.clone();
        ctx.wake.watch(
            key,
            Topic::Nsx {
                site,
                path: intent.path.clone(),
            },
        );
    }
    for intent in &intents {
        realized(engine, &intent.path, &intent.what())?;
    }
    Ok(in_effect(wanted.spec.subject.is_empty(), &wanted.empty))
}

/// A selection of nobody is legal: whoever comes to fit it is governed from then on.
fn in_effect(nobody: bool, empty: &[String]) -> Summary {
    if nobody {
        return Summary {
            extra: vec![(ConditionType::TargetResolved, Truth::False, "NothingSelected")],
            ..Summary::ready(
                "NothingSelected",
                "Nothing fits spec.subject at the moment; whatever comes to fit it is governed from then on.",
            )
        };
    }
    let message = match empty {
        [] => "The policy is in effect.".to_owned(),
        fields => format!(
            "The policy is in effect; nobody fits {} at the moment.",
            fields.join(", ")
        ),
    };
    Summary::ready("Ready", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subject_is_shown_in_a_few_words() {
        let cases = [
            (
                json!({"type": "Containers", "containers": {"vchRef": {"name": "vch1"}}}),
                "vch1/*",
            ),
            (
                json!({"type": "Containers", "containers": {"vchRef": {"name": "vch1"}, "names": ["web", "db"]}}),
                "vch1/web|db",
            ),
            (
                json!({"type": "Containers", "containers": {"vchRef": {"name": "vch1"}, "namePrefix": "web-", "labels": {"app": "shop"}}}),
                "vch1/web-* app=shop",
            ),
            (
                json!({"type": "Network", "network": {"networkRef": {"name": "app"}}}),
                "network app",
            ),
            (
                json!({"type": "Network", "network": {"networkRef": {"name": "app", "namespace": "b"}}}),
                "network b/app",
            ),
            (
                json!({"type": "VirtualMachines", "virtualMachines": {"namePrefix": "db-", "tag": {"scope": "role", "value": "db"}}}),
                "VMs db-* tag db",
            ),
            (json!({"type": "Group", "group": {"name": "ops"}}), "group ops"),
        ];
        for (wanted, expected) in cases {
            assert_eq!(words(&serde_json::from_value(wanted).unwrap()), expected);
        }
    }

    #[test]
    fn a_selection_of_nobody_is_ready_and_says_so() {
        let nobody = in_effect(true, &[]);
        assert_eq!((nobody.ready, nobody.reason), (Truth::True, "NothingSelected"));
        assert_eq!(
            nobody.extra,
            [(ConditionType::TargetResolved, Truth::False, "NothingSelected")]
        );
        let some = in_effect(false, &["spec.ingress[web].from".to_owned()]);
        assert_eq!(some.reason, "Ready");
        assert!(
            some.message.contains("nobody fits spec.ingress[web].from"),
            "{}",
            some.message
        );
        assert_eq!(in_effect(false, &[]).message, "The policy is in effect.");
    }
}
