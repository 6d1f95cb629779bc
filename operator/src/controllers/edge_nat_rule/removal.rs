//! Takes a rule away, and what only it used.

use topology::UID_SCOPE;
use vic_crds::{DeletionPolicy, EdgeNatRule, ManagementPolicy};

use super::claim;
use crate::context::Context;
use crate::controllers::common::{
    await_certainty, await_removal, deleted, ground, submit_removal, submit_retained,
};
use crate::failure::{DereferenceError, Failure};
use crate::kind::ObjectKey;

pub(super) async fn remove(rule: &EdgeNatRule, ctx: &Context, key: &ObjectKey) -> Result<(), Failure> {
    if rule.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe {
        return Ok(());
    }
    let ground = match ground(ctx, key, &rule.spec.site_ref) {
        // Without its Site nothing of it can have been made, or can be found any more.
        Err(DereferenceError::SiteMissing(_)) => return Ok(()),
        other => other?,
    };
    let Some(engine) = &ground.connected.nsx else {
        return Ok(());
    };
    let owner = ctx.owner(key, rule.metadata.uid.as_deref().unwrap_or_default());
    await_certainty(&ground.connected, &owner.uid).await?;
    let own = engine.owned_with(&nsx::Tag::new(UID_SCOPE, &owner.uid));
    let retain = rule.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain;
    if retain {
        submit_retained(&ground.connected, &owner.uid, &own).await?;
    } else {
        let changes = own.iter().map(deleted).collect();
        submit_removal(&ground.connected, &owner.uid, changes).await?;
    }
    await_removal(ctx, key, &ground, &owner.uid)?;
    claim::release(ctx, key, &ground.site, &ground.connected);
    Ok(())
}
