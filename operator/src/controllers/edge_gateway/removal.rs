//! Takes a gateway away, once nothing uses it.

use topology::UID_SCOPE;
use vic_crds::{DeletionPolicy, EdgeGateway, EdgeGatewayStatus, ManagementPolicy};

use crate::context::Context;
use crate::controllers::common::{
    await_certainty, await_removal, deleted, ground, submit_removal, submit_retained,
};
use crate::controllers::site::in_use;
use crate::failure::{DereferenceError, Failure, PlanError};
use crate::kind::ObjectKey;
use crate::wake::Topic;

pub(super) async fn remove(
    gateway: &EdgeGateway,
    ctx: &Context,
    key: &ObjectKey,
    details: &mut EdgeGatewayStatus,
) -> Result<(), Failure> {
    let users = ctx.users_of_gateway(key);
    for user in &users {
        ctx.wake.watch(key, Topic::Object(user.clone()));
    }
    details.used_by = in_use(&users);
    if let Some(text) = &details.used_by {
        return Err(PlanError::InUse(text.clone()).into());
    }
    if gateway.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe {
        return Ok(());
    }
    let ground = match ground(ctx, key, &gateway.spec.site_ref) {
        // Without its Site nothing of it can have been made, or can be found any more.
        Err(DereferenceError::SiteMissing(_)) => return Ok(()),
        other => other?,
    };
    let Some(engine) = &ground.connected.nsx else {
        return Ok(());
    };
    let owner = ctx.owner(key, gateway.metadata.uid.as_deref().unwrap_or_default());
    await_certainty(&ground.connected, &owner.uid).await?;
    let own = engine.owned_with(&nsx::Tag::new(UID_SCOPE, &owner.uid));
    let retain = gateway.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain;
    if retain {
        submit_retained(&ground.connected, &owner.uid, &own).await?;
    } else if !own.is_empty() {
        let changes = own.iter().map(deleted).collect();
        submit_removal(&ground.connected, &owner.uid, changes).await?;
    }
    await_removal(ctx, key, &ground, &owner.uid)
}
