//! Virtual machines.

use super::Engine;
use crate::error::Error;
use crate::inventory::Inventory;
use crate::moref::Moref;
use crate::objects::{PowerState, Vm};
use crate::soap::Call;
use crate::spec::{Device, DeviceOp, VmSpec};

/// vCenter never shows this key again.
const HIDDEN_KEY: &str = "guestinfo.ovfEnv";

impl Engine {
    /// Makes a VM in a folder and a pool; vSphere chooses the host.
    ///
    /// # Errors
    /// [`Error::DuplicateName`] when the name is taken in the folder, or any other.
    pub async fn create_vm(&self, folder: &Moref, pool: &Moref, spec: &VmSpec) -> Result<Moref, Error> {
        let call = Call::write("CreateVM_Task", folder, |w| {
            spec.write(w, "config");
            w.moref("pool", pool);
        });
        let result = self.inner.hub.run_for_result(&self.inner.session, &call).await?;
        let vm = result.moref().ok_or_else(|| Error::Protocol {
            method: "CreateVM_Task".to_owned(),
            reason: "the task's result is no VM".to_owned(),
        })?;
        self.settle(&vm, |inventory| {
            inventory.vms.get(&vm).is_some_and(|vm| shows(vm, spec))
        })
        .await;
        Ok(vm)
    }

    /// Changes a VM.
    ///
    /// # Errors
    /// [`Error::InvalidPowerState`] for changes that need it to be off, or any other.
    pub async fn reconfigure_vm(&self, vm: &Moref, spec: &VmSpec) -> Result<(), Error> {
        self.run(&Call::write("ReconfigVM_Task", vm, |w| spec.write(w, "spec")))
            .await?;
        self.settle(vm, |inventory| {
            inventory.vms.get(vm).is_none_or(|vm| shows(vm, spec))
        })
        .await;
        Ok(())
    }

    /// Powers a VM on; one that is on already is fine.
    ///
    /// # Errors
    /// Whatever vCenter says against it.
    pub async fn power_on(&self, vm: &Moref) -> Result<(), Error> {
        self.power(&Call::write("PowerOnVM_Task", vm, |_| {}), PowerState::On)
            .await
    }

    /// Powers a VM off, as by pulling the plug; one that is off already is fine.
    ///
    /// # Errors
    /// Whatever vCenter says against it.
    pub async fn power_off(&self, vm: &Moref) -> Result<(), Error> {
        self.power(&Call::write("PowerOffVM_Task", vm, |_| {}), PowerState::Off)
            .await
    }

    async fn power(&self, call: &Call, wanted: PowerState) -> Result<(), Error> {
        let vm = &call.target;
        match self.run(call).await {
            Err(Error::InvalidPowerState { existing }) if existing == Some(wanted) => {}
            result => {
                result?;
            }
        }
        self.settle(vm, |inventory: &Inventory| {
            inventory.vms.get(vm).is_none_or(|vm| vm.power == wanted)
        })
        .await;
        Ok(())
    }
}

/// Whether a VM shows what a specification asks for, as far as that can be seen.
fn shows(vm: &Vm, spec: &VmSpec) -> bool {
    let extra_config = spec.extra_config.iter().filter(|(key, _)| key != HIDDEN_KEY);
    let mut options = extra_config.map(|(key, value)| (vm.extra_config.get(key), value));
    let mut cdroms = spec
        .devices
        .iter()
        .filter_map(|change| match (&change.device, change.op) {
            (Device::CdromIso { path, .. }, DeviceOp::Add | DeviceOp::Edit) => Some(path),
            _ => None,
        });
    spec.name.as_ref().is_none_or(|name| *name == vm.name)
        && spec.num_cpus.is_none_or(|cpus| cpus == vm.num_cpus)
        && spec.memory_mb.is_none_or(|memory| memory == vm.memory_mb)
        && cdroms.all(|path| vm.cdrom.as_ref() == Some(path))
        && options.all(|(found, wanted)| found.map_or("", String::as_str) == wanted)
}
