//! Takes a network away, once nothing uses it.

use topology::Owner;
use vic_crds::{BackingType, ContainerNetwork, ContainerNetworkStatus, DeletionPolicy, ManagementPolicy};
use vsphere::PortGroupSpec;

use super::dereference::References;
use super::plan::own_port_group;
use super::validate::Wanted;
use crate::conditions::Summary;
use crate::context::Context;
use crate::controllers::common::{
    Ground, await_certainty, await_removal, deleted, ground, submit_as, submit_removal, submit_retained,
};
use crate::controllers::site::in_use;
use crate::failure::{ApplyError, DereferenceError, Failure, PlanError};
use crate::kind::{Kind, ObjectKey};
use crate::wake::Topic;

/// What the description of a retained port group says in place of our mark.
const RETAINED: &str = "Retained when its declaration was deleted";

pub(super) async fn remove(
    network: &ContainerNetwork,
    ctx: &Context,
    key: &ObjectKey,
    details: &mut ContainerNetworkStatus,
) -> Result<(), Failure> {
    let users = ctx.users_of_network(key);
    for user in &users {
        ctx.wake.watch(key, Topic::Object(user.clone()));
    }
    details.used_by = in_use(&users);
    if let Some(text) = &details.used_by {
        return Err(PlanError::InUse(text.clone()).into());
    }
    if network.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe {
        return Ok(());
    }
    let ground = match ground(ctx, key, &network.spec.site_ref) {
        // Without its Site nothing of it can have been made, or can be found any more.
        Err(DereferenceError::SiteMissing(_)) => return Ok(()),
        other => other?,
    };
    let owner = ctx.owner(key, network.metadata.uid.as_deref().unwrap_or_default());
    let retain = network.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain;
    match network.spec.backing.kind {
        BackingType::PortGroup => port_group(ctx, key, &ground, &owner, retain).await,
        BackingType::Segment => segment(ctx, key, &ground, &owner, retain).await,
        BackingType::Existing => Ok(()),
    }
}

async fn port_group(
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
    owner: &Owner,
    retain: bool,
) -> Result<(), Failure> {
    let engine = &ground.connected.vsphere;
    let Some(group) = engine.read(|inventory| own_port_group(inventory, owner).cloned()) else {
        return Ok(());
    };
    ctx.wake.watch(
        key,
        Topic::VSphere {
            site: ground.site.clone(),
            moref: group.moref.to_string(),
        },
    );
    ground.connected.may_write()?;
    if retain {
        let vsphere::Vlan::Id(vlan_id) = group.vlan else {
            return Ok(());
        };
        let spec = PortGroupSpec {
            name: group.name.clone(),
            // An empty text could be read as "leave it as it is".
            description: RETAINED.to_owned(),
            vlan_id,
            num_ports: group.num_ports,
            binding: vsphere::Binding::Early,
        };
        let done = engine
            .reconfigure_port_group(&group.moref, &group.config_version, &spec)
            .await;
        return done.map_err(|error| ApplyError::VSphere(error).into());
    }
    still_attached(engine, &group)?;
    engine.destroy(&group.moref).await.map_err(ApplyError::VSphere)?;
    Ok(())
}

fn still_attached(engine: &vsphere::Engine, group: &vsphere::PortGroup) -> Result<(), PlanError> {
    let mut names: Vec<String> = engine.read(|inventory| {
        group
            .vms
            .iter()
            .map(|vm| {
                inventory
                    .vms
                    .get(vm)
                    .map_or_else(|| vm.to_string(), |vm| vm.name.clone())
            })
            .collect()
    });
    names.sort();
    match names.len() {
        0 => Ok(()),
        1 => Err(PlanError::InUse(format!(
            "VM {} is still attached to port group {}",
            names.join(""),
            group.name
        ))),
        count => Err(PlanError::InUse(format!(
            "{count} VMs are still attached to port group {}: {}",
            group.name,
            names.join(", ")
        ))),
    }
}

async fn segment(
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
    owner: &Owner,
    retain: bool,
) -> Result<(), Failure> {
    let engine = ground.connected.nsx()?;
    let path = topology::segment_path(&owner.external_id());
    ctx.wake.watch(
        key,
        Topic::Nsx {
            site: ground.site.clone(),
            path: path.clone(),
        },
    );
    await_certainty(&ground.connected, &owner.uid).await?;
    let Some(observed) = engine.get(&path) else {
        return await_removal(ctx, key, ground, &owner.uid);
    };
    if retain {
        let own = own_objects(engine, owner, observed);
        return submit_retained(&ground.connected, &owner.uid, &own).await;
    }
    let changes = deletions(ground, engine, owner, &observed)?;
    submit_removal(&ground.connected, &owner.uid, changes).await?;
    await_removal(ctx, key, ground, &owner.uid)
}

/// A segment in the way of what it shall be is deleted, once no VM is attached; the next reconcile makes it anew.
pub(super) async fn make_room(
    ctx: &Context,
    references: &References,
    wanted: &Wanted,
) -> Result<Summary, Failure> {
    let ground = &references.ground;
    let engine = ground.connected.nsx()?;
    let owner = &wanted.owner;
    let path = topology::segment_path(&owner.external_id());
    let key = ObjectKey::new(Kind::ContainerNetwork, &owner.namespace, &owner.name);
    ctx.wake.watch(
        &key,
        Topic::Nsx {
            site: ground.site.clone(),
            path: path.clone(),
        },
    );
    if let Some(observed) = engine.get(&path) {
        let changes = deletions(ground, engine, owner, &observed)?;
        tracing::info!(segment = wanted.display_name, "is deleted to be made anew");
        submit_as(&ground.connected, &owner.uid, changes).await?;
    }
    let waits = format!("segment {} is gone and can be made anew", wanted.display_name);
    Err(ApplyError::Realizing(waits).into())
}

/// The segment and what lies below it, unless a VM is attached.
fn deletions(
    ground: &Ground,
    engine: &nsx::Engine,
    owner: &Owner,
    observed: &nsx::Observed,
) -> Result<Vec<nsx::Change>, PlanError> {
    let joined = observed.text("realization_id").map(str::to_owned);
    let group = ground.connected.vsphere.read(|inventory| {
        inventory
            .port_groups
            .values()
            .find(|group| group.logical_switch_uuid.is_some() && group.logical_switch_uuid == joined)
            .cloned()
    });
    if let Some(group) = group {
        still_attached(&ground.connected.vsphere, &group)?;
    }
    Ok(own_objects(engine, owner, observed.clone())
        .iter()
        .map(deleted)
        .collect())
}

/// The segment, whichever UID it was made under, and what lies below it.
fn own_objects(engine: &nsx::Engine, owner: &Owner, segment: nsx::Observed) -> Vec<nsx::Observed> {
    let mut own = engine.owned_with(&nsx::Tag::new(topology::UID_SCOPE, &owner.uid));
    if own.iter().all(|object| object.path != segment.path) {
        own.push(segment);
    }
    own
}
