//! Compares a gateway with what NSX has of it.

use serde_json::Value;
use topology::{Change, Intent, Plan, UID_SCOPE};

use super::dereference::References;
use super::validate::{Router, Wanted};
use crate::failure::Failure;

/// Everything NSX shall have.
pub(super) fn intents(wanted: &Wanted) -> Vec<Intent> {
    let mut intents = match &wanted.router {
        Router::Made(spec) => spec.intents(),
        Router::Found { .. } => Vec::new(),
    };
    intents.extend(wanted.firewall.intents());
    intents
}

pub(super) fn plan(references: &References, wanted: &Wanted) -> Result<Plan<Change>, Failure> {
    let engine = references.ground.connected.nsx()?;
    let intents = intents(wanted);
    // Whatever carries this object's tag and is not asked for any more goes: an uplink, a rule, the DHCP profile.
    let tag = nsx::Tag::new(UID_SCOPE, &wanted.owner.uid);
    let obsolete: Vec<(String, String)> = engine
        .owned_with(&tag)
        .into_iter()
        .filter(|observed| intents.iter().all(|intent| intent.path != observed.path))
        .map(|observed| (observed.path, observed.resource_type))
        .collect();
    Ok(topology::nsx_plan(
        &intents,
        |path| engine.get(path).map(|observed| Value::clone(&observed.body)),
        &obsolete,
    ))
}
