//! Executes a VCH's plan, step by step. Each step can be the last one this process makes: the next finds
//! what was made.

use guestinfo::{Map, SecretKey, delta, encode};
use topology::Plan;
use vsphere::{Class, Engine, Moref, Vm};

use super::find::{State, birth_name};
use super::plan::{Action, own_keys, recall};
use super::validate::Wanted;
use crate::certificates::Bundle;
use crate::context::Context;
use crate::controllers::common::Ground;
use crate::endpoint::config::config;
use crate::endpoint::{BootImages, VmPlace, hardware};
use crate::failure::{ApplyError, Failure};
use crate::metrics::Repairs;
use crate::wake::Topic;

pub(super) async fn apply(
    ctx: &Context,
    ground: &Ground,
    wanted: &Wanted,
    state: &State,
    bundle: &Bundle,
    plan: Plan<Action>,
    repairs: &Repairs,
) -> Result<(), Failure> {
    let mut work = Work {
        ctx,
        ground,
        wanted,
        bundle,
        engine: &ground.connected.vsphere,
        pool: state.pool.as_ref().map(|(pool, _)| pool.moref.clone()),
        folder: state.folder.as_ref().map(|folder| folder.moref.clone()),
        vm: state.vm.as_ref().map(|vm| vm.moref.clone()),
        boot: state.vm.as_ref().and_then(|vm| recall(wanted, vm)),
    };
    for step in plan.steps {
        let told = repairs.step(&step);
        tracing::info!(vch = %wanted.key(), what = step.what, reason = step.reason, verb = ?step.verb, "vch");
        work.execute(&step.action).await?;
        told.done();
    }
    Ok(())
}

struct Work<'a> {
    ctx: &'a Context,
    ground: &'a Ground,
    wanted: &'a Wanted,
    bundle: &'a Bundle,
    engine: &'a Engine,
    pool: Option<Moref>,
    folder: Option<Moref>,
    vm: Option<Moref>,
    boot: Option<BootImages>,
}

/// What a step needs was there when it was planned, and is gone: the next reconcile plans anew.
fn gone() -> ApplyError {
    ApplyError::VSphere(vsphere::Error::ManagedObjectNotFound { object: None })
}

impl Work<'_> {
    async fn execute(&mut self, action: &Action) -> Result<(), ApplyError> {
        self.ground.connected.may_write()?;
        match action {
            Action::BringImages => self.bring_images().await,
            Action::CreatePool | Action::MarkPool | Action::UpdatePool { .. } => self.pool(action).await,
            Action::CreateFolder | Action::MarkFolder | Action::RenameFolder => self.folder(action).await,
            Action::MakeDirectory(path) => Ok(self.engine.make_directory(path).await?),
            Action::CreateVm => self.create_vm().await,
            Action::ProtectVm => self.protect_vm().await,
            Action::RenameVm => Ok(self
                .engine
                .rename(self.vm.as_ref().ok_or_else(gone)?, self.name())
                .await?),
            Action::PowerOff => Ok(self.engine.power_off(self.vm.as_ref().ok_or_else(gone)?).await?),
            Action::ConfigureVm => self.configure_vm().await,
            Action::PowerOn => Ok(self.engine.power_on(self.vm.as_ref().ok_or_else(gone)?).await?),
        }
    }

    fn name(&self) -> &str {
        &self.wanted.endpoint.name
    }

    /// From now on a change of the object reconciles the VCH.
    fn watch(&self, moref: &Moref) {
        let topic = Topic::VSphere {
            site: self.ground.site.clone(),
            moref: moref.to_string(),
        };
        self.ctx.wake.watch(&self.wanted.key(), topic);
    }

    async fn bring_images(&mut self) -> Result<(), ApplyError> {
        let connected = &self.ground.connected;
        let may_write = || connected.may_write();
        let Wanted { images, release, .. } = self.wanted;
        self.boot = Some(
            connected
                .images
                .bring(self.engine, &may_write, images, release)
                .await?,
        );
        Ok(())
    }

    async fn pool(&mut self, action: &Action) -> Result<(), ApplyError> {
        if *action == Action::CreatePool {
            let name = birth_name(self.name(), &self.wanted.owner);
            let pool = self
                .engine
                .create_pool(&self.wanted.pool_parent, &name, &self.wanted.pool)
                .await?;
            self.watch(&pool);
            self.pool = Some(pool);
            return Ok(());
        }
        let pool = self.pool.as_ref().ok_or_else(gone)?;
        match action {
            Action::MarkPool => self.engine.set_mark(pool, &self.wanted.owner.mark()).await?,
            Action::UpdatePool { name, limits } => {
                let name = name.then_some(self.name());
                self.engine
                    .update_pool(pool, name, limits.then_some(&self.wanted.pool))
                    .await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn folder(&mut self, action: &Action) -> Result<(), ApplyError> {
        if *action == Action::CreateFolder {
            let name = birth_name(self.name(), &self.wanted.owner);
            let folder = self.engine.create_folder(&self.wanted.vm_folder, &name).await?;
            self.watch(&folder);
            self.folder = Some(folder);
            return Ok(());
        }
        let folder = self.folder.as_ref().ok_or_else(gone)?;
        match action {
            Action::MarkFolder => self.engine.set_mark(folder, &self.wanted.owner.mark()).await?,
            Action::RenameFolder => self.engine.rename(folder, self.name()).await?,
            _ => {}
        }
        Ok(())
    }

    /// The whole configuration of a VM, sealed with a key of its own, and our keys beside it.
    fn configuration(&self, id: &str, directory: Option<&str>) -> Result<(Map, BootImages), ApplyError> {
        let boot = self.boot.clone().ok_or_else(gone)?;
        let place = VmPlace {
            id,
            pool: self.pool.as_ref().ok_or_else(gone)?,
            directory,
        };
        let config = config(
            &self.wanted.endpoint,
            &place,
            &boot,
            self.wanted.server_keys(self.bundle),
        );
        Ok((encode(&config, &SecretKey::generate()?)?, boot))
    }

    async fn create_vm(&mut self) -> Result<(), ApplyError> {
        let (configuration, boot) = self.configuration(guestinfo::CREATING, None)?;
        let keys = configuration
            .into_iter()
            .chain(own_keys(self.wanted, self.bundle))
            .collect();
        let spec = hardware::birth(&self.wanted.endpoint, &boot, keys);
        let (folder, pool) = (
            self.folder.as_ref().ok_or_else(gone)?,
            self.pool.as_ref().ok_or_else(gone)?,
        );
        let vm = self.engine.create_vm(folder, pool, &spec).await?;
        self.watch(&vm);
        self.vm = Some(vm);
        Ok(())
    }

    /// An account without the privilege makes an unprotected VM rather than none, as vic-machine does.
    async fn protect_vm(&self) -> Result<(), ApplyError> {
        let vm = self.vm.as_ref().ok_or_else(gone)?;
        match self.engine.protect(vm).await {
            Err(error) if error.class() != Class::Transient => {
                tracing::warn!(vch = %self.wanted.key(), %error, "the endpoint VM is not protected from being destroyed");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    async fn configure_vm(&mut self) -> Result<(), ApplyError> {
        let moref = self.vm.clone().ok_or_else(gone)?;
        let vm: Vm = self
            .engine
            .read(|inventory| inventory.vms.get(&moref).cloned())
            .ok_or_else(gone)?;
        let directory = hardware::directory(&vm);
        let (configuration, boot) = self.configuration(
            &moref.to_string(),
            directory.as_ref().map(|directory| directory.path.as_str()),
        )?;
        let mut keys = delta(&vm.extra_config, &configuration);
        let own = own_keys(self.wanted, self.bundle);
        keys.extend(
            own.into_iter()
                .filter(|(key, value)| vm.extra_config.get(key) != Some(value)),
        );
        let spec = hardware::change(&self.wanted.endpoint, &boot, &vm, keys);
        Ok(self.engine.reconfigure_vm(&moref, &spec).await?)
    }
}
