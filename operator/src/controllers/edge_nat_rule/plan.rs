//! Compares a rule with what NSX has of it.

use serde_json::Value;
use topology::{Change, Intent, Plan, Shared, UID_SCOPE};

use super::dereference::References;
use super::validate::Wanted;
use crate::failure::Failure;

/// Everything NSX shall have of the rule: nothing while its container is awaited.
pub(super) fn intents(wanted: &Wanted) -> Vec<Intent> {
    if wanted.dormant {
        Vec::new()
    } else {
        wanted.spec.intents()
    }
}

/// Shared objects that the rule uses. A pool address stays taken while the container is awaited.
pub(super) fn uses(wanted: &Wanted) -> Vec<Shared> {
    if wanted.dormant {
        let allocation = wanted.spec.allocation.as_ref();
        allocation
            .map(topology::AllocationSpec::shared)
            .into_iter()
            .collect()
    } else {
        wanted.spec.shared_uses()
    }
}

/// `unused`: shared objects that go with this change.
pub(super) fn plan(
    references: &References,
    wanted: &Wanted,
    unused: Vec<Shared>,
) -> Result<Plan<Change>, Failure> {
    let engine = references.ground.connected.nsx()?;
    let intents = intents(wanted);
    // Whatever carries this object's tag and is not asked for any more goes: firewall rules of another
    // mode, or the whole rule on a gateway that the network has left.
    let tag = nsx::Tag::new(UID_SCOPE, &wanted.owner.uid);
    let mut obsolete: Vec<(String, String)> = engine
        .owned_with(&tag)
        .into_iter()
        .filter(|observed| intents.iter().all(|intent| intent.path != observed.path))
        .map(|observed| (observed.path, observed.resource_type))
        .collect();
    obsolete.extend(unused);
    Ok(topology::nsx_plan(
        &intents,
        |path| engine.get(path).map(|observed| Value::clone(&observed.body)),
        &obsolete,
    ))
}
