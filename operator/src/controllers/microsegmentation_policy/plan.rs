//! Compares a policy with what NSX has of it.

use serde_json::Value;
use topology::{Change, Plan, UID_SCOPE};

use super::validate::Wanted;
use crate::controllers::common::Ground;
use crate::failure::Failure;

pub(super) fn plan(ground: &Ground, wanted: &Wanted) -> Result<Plan<Change>, Failure> {
    let engine = ground.connected.nsx()?;
    let intents = wanted.spec.intents();
    // Whatever carries this object's tag and is not asked for any more goes: rules that were taken out, and the
    // groups that only they named.
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
