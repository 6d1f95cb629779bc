//! Takes a policy away: its rules, its groups and itself, at once.

use topology::UID_SCOPE;
use vic_crds::{DeletionPolicy, ManagementPolicy, MicrosegmentationPolicy};

use crate::context::Context;
use crate::controllers::common::{await_removal, ground, submit_removal, submit_retained};
use crate::failure::{DereferenceError, Failure};
use crate::kind::ObjectKey;

pub(super) async fn remove(
    policy: &MicrosegmentationPolicy,
    ctx: &Context,
    key: &ObjectKey,
) -> Result<(), Failure> {
    if policy.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe {
        return Ok(());
    }
    let ground = match ground(ctx, key, &policy.spec.site_ref) {
        // Without its Site nothing of it can have been made, or can be found any more.
        Err(DereferenceError::SiteMissing(_)) => return Ok(()),
        other => other?,
    };
    let Some(engine) = &ground.connected.nsx else {
        return Ok(());
    };
    let owner = ctx.owner(key, policy.metadata.uid.as_deref().unwrap_or_default());
    let own = engine.owned_with(&nsx::Tag::new(UID_SCOPE, &owner.uid));
    if policy.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain {
        submit_retained(&ground.connected, &owner.uid, &own).await?;
    } else if !own.is_empty() {
        submit_removal(&ground.connected, &owner.uid, deletions(&own)).await?;
    }
    await_removal(ctx, key, &ground, &owner.uid)
}

/// Rules go with their policy: what is named beside its parent would be deleted twice.
fn deletions(own: &[nsx::Observed]) -> Vec<nsx::Change> {
    let parent_goes = |path: &str| {
        own.iter().any(|other| {
            path.strip_prefix(other.path.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        })
    };
    own.iter()
        .filter(|observed| !parent_goes(&observed.path))
        .map(|observed| nsx::Change::Delete {
            path: observed.path.clone(),
            resource_type: observed.resource_type.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_rule_goes_with_its_policy_and_a_group_by_itself() {
        let observed = |path: &str| nsx::Observed {
            path: path.to_owned(),
            resource_type: "X".to_owned(),
            body: Arc::default(),
            realization: nsx::Realization::Unknown,
            pending: false,
        };
        let own = [
            "/d/security-policies/p",
            "/d/security-policies/p/rules/a",
            "/d/groups/p",
            "/d/security-policies/p2",
        ]
        .map(observed);
        let paths: Vec<String> = deletions(&own)
            .iter()
            .map(|change| change.path().to_owned())
            .collect();
        assert_eq!(
            paths,
            ["/d/security-policies/p", "/d/groups/p", "/d/security-policies/p2"]
        );
    }
}
