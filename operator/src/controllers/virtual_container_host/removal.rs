//! Takes a VCH away, in the one order in which nothing is lost or left: containers, then the endpoint VM's
//! files and itself, then folder and pool, then the Secrets. Each step looks for what is still there.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use topology::Owner;
use vic_crds::{
    DeletionPolicy, ManagementPolicy, RunningContainers, VirtualContainerHost, VirtualContainerHostStatus,
    Volumes,
};
use vsphere::{Engine, Moref, PowerState, Vm, VmSpec};

use super::find::{self, guests};
use super::{connection, containers, datastore};
use crate::certificates;
use crate::context::Context;
use crate::controllers::common::{Ground, ground};
use crate::endpoint::{OWNER_KEY, SECRETS_KEY};
use crate::failure::{ApplyError, DereferenceError, Failure, PlanError};
use crate::kind::ObjectKey;

pub(super) async fn remove(
    vch: &VirtualContainerHost,
    ctx: &Context,
    key: &ObjectKey,
    details: &mut VirtualContainerHostStatus,
) -> Result<(), Failure> {
    if vch.spec.management_policy.unwrap_or_default() == ManagementPolicy::Observe {
        return Ok(());
    }
    let owner = ctx.owner(key, vch.metadata.uid.as_deref().unwrap_or_default());
    let ground = match ground(ctx, key, &vch.spec.site_ref) {
        // Without its Site nothing of it can have been made, or can be found any more.
        Err(DereferenceError::SiteMissing(_)) => None,
        other => Some(other?),
    };
    if let Some(ground) = &ground {
        let removal = Removal {
            ground,
            engine: &ground.connected.vsphere,
            owner: &owner,
        };
        ground
            .connected
            .vsphere
            .read(|inventory| find::watch(ctx, key, &ground.site, &find::own(inventory, &owner)));
        if vch.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain {
            return removal.release().await;
        }
        removal.containers(vch, details).await?;
        removal.endpoint(vch, details).await?;
        removal.folder().await?;
        removal.pool().await?;
    }
    if vch.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Delete {
        let api = Api::<Secret>::namespaced(ctx.client.clone(), &ctx.settings.namespace);
        certificates::remove(&api, &owner)
            .await
            .map_err(ApplyError::Kube)?;
        connection::remove(ctx, vch, &owner).await?;
    }
    Ok(())
}

/// What is being removed, and with what.
pub(super) struct Removal<'a> {
    pub(super) ground: &'a Ground,
    pub(super) engine: &'a Engine,
    pub(super) owner: &'a Owner,
}

impl Removal<'_> {
    /// Leaves everything where it is, without our marks.
    async fn release(&self) -> Result<(), Failure> {
        let (pool, folder, vm) = self.engine.read(|inventory| {
            let own = find::own(inventory, self.owner);
            let marked = |mark: Option<&String>| mark.is_some_and(|mark| !mark.is_empty());
            (
                own.pool
                    .filter(|pool| marked(pool.mark.as_ref()))
                    .map(|pool| pool.moref.clone()),
                own.folder
                    .filter(|folder| marked(folder.mark.as_ref()))
                    .map(|folder| folder.moref.clone()),
                own.vm.map(|vm| vm.moref.clone()),
            )
        });
        if let Some(vm) = vm {
            let cleared = [OWNER_KEY, SECRETS_KEY].map(|key| (key.to_owned(), String::new()));
            let spec = VmSpec {
                extra_config: cleared.into(),
                ..VmSpec::default()
            };
            self.may_write()?;
            self.engine
                .reconfigure_vm(&vm, &spec)
                .await
                .map_err(ApplyError::VSphere)?;
        }
        for marked in folder.into_iter().chain(pool) {
            self.may_write()?;
            self.engine
                .set_mark(&marked, "")
                .await
                .map_err(ApplyError::VSphere)?;
        }
        Ok(())
    }

    pub(super) fn may_write(&self) -> Result<(), ApplyError> {
        self.ground.connected.may_write()
    }

    /// Running containers hold everything up, unless the spec says that they go too.
    async fn containers(
        &self,
        vch: &VirtualContainerHost,
        details: &mut VirtualContainerHostStatus,
    ) -> Result<(), Failure> {
        let (found, name) = self.engine.read(|inventory| {
            let own = find::own(inventory, self.owner);
            let found: Vec<Vm> = guests(inventory, &own)
                .into_iter()
                .filter(|vm| find::is_container(vm))
                .cloned()
                .collect();
            (found, own.pool.map(|pool| pool.name.clone()))
        });
        let count = found.iter().filter(|vm| vm.power == PowerState::On).count();
        details.containers = Some(format!("{count} running"));
        let policy = vch
            .spec
            .on_delete
            .as_ref()
            .and_then(|policy| policy.running_containers)
            .unwrap_or_default();
        if count > 0 && policy == RunningContainers::Block {
            let vch = name.unwrap_or_else(|| self.owner.name.clone());
            return Err(PlanError::ContainersRunning { count, vch }.into());
        }
        containers::remove(self, found).await
    }

    /// The endpoint VM, after all that only it tells where to find.
    async fn endpoint(
        &self,
        vch: &VirtualContainerHost,
        details: &VirtualContainerHostStatus,
    ) -> Result<(), Failure> {
        let vm = self
            .engine
            .read(|inventory| find::own(inventory, self.owner).vm.cloned());
        if let Some(vm) = &vm {
            containers::power_off(self, vm).await?;
            datastore::remove_images(self, vm).await?;
        }
        if vch
            .spec
            .on_delete
            .as_ref()
            .and_then(|policy| policy.volumes)
            .unwrap_or_default()
            == Volumes::Delete
        {
            datastore::remove_volumes(self, vch, vm.as_ref()).await?;
        }
        if let Some(vm) = &vm {
            containers::destroy(self, std::slice::from_ref(vm)).await?;
        }
        datastore::remove_directories(self, vm.as_ref(), details).await
    }

    async fn folder(&self) -> Result<(), Failure> {
        let Some((folder, name, inside)) = self.engine.read(|inventory| {
            let folder = find::own(inventory, self.owner).folder?;
            let inside: Vec<String> = folder
                .children
                .iter()
                .filter_map(|child| inventory.entity(child))
                .map(|child| child.name().to_owned())
                .collect();
            Some((folder.moref.clone(), folder.name.clone(), inside))
        }) else {
            return Ok(());
        };
        self.destroy_empty(&folder, &format!("folder {name}"), inside)
            .await
    }

    async fn pool(&self) -> Result<(), Failure> {
        let Some((pool, name, inside)) = self.engine.read(|inventory| {
            let pool = find::own(inventory, self.owner).pool?;
            let vms = inventory.vms_in_pool(&pool.moref).map(|vm| vm.name.clone());
            let pools = inventory
                .pools
                .values()
                .filter(|child| child.parent.as_ref() == Some(&pool.moref));
            let inside: Vec<String> = vms.chain(pools.map(|child| child.name.clone())).collect();
            Some((pool.moref.clone(), pool.name.clone(), inside))
        }) else {
            return Ok(());
        };
        self.destroy_empty(&pool, &format!("resource pool {name}"), inside)
            .await
    }

    /// Destroying a folder destroys what lies in it: only an empty one may go.
    async fn destroy_empty(&self, moref: &Moref, what: &str, inside: Vec<String>) -> Result<(), Failure> {
        occupied(what, inside)?;
        self.may_write()?;
        Ok(self.engine.destroy(moref).await.map_err(ApplyError::VSphere)?)
    }
}

/// What lies in a pool or folder of ours and is not ours stays, and the pool or folder with it.
fn occupied(what: &str, mut inside: Vec<String>) -> Result<(), PlanError> {
    const NAMED: usize = 5;
    if inside.is_empty() {
        return Ok(());
    }
    inside.sort();
    let count = inside.len();
    inside.truncate(NAMED);
    let more = if count > NAMED { ", …" } else { "" };
    Err(PlanError::InUse(format!(
        "{what} still holds what this operator did not make: {}{more}",
        inside.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_named() {
        assert!(occupied("folder vch1", Vec::new()).is_ok());
        let names: Vec<String> = (0..7).rev().map(|n| format!("vm{n}")).collect();
        let text = occupied("folder vch1", names).unwrap_err().to_string();
        assert_eq!(
            text,
            "folder vch1 still holds what this operator did not make: vm0, vm1, vm2, vm3, vm4, …"
        );
    }
}
