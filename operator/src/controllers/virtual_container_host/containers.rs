//! Powers off and destroys VMs without taking away disks that are not theirs alone: a container's volumes
//! are disks of its VM, and vSphere destroys a VM with its disks.

use futures::{StreamExt, TryStreamExt, stream};
use vsphere::{Class, Device, DeviceChange, DeviceInfo, DeviceOp, Moref, PowerState, Vm, VmSpec};

use super::removal::Removal;
use crate::endpoint::hardware;
use crate::failure::{ApplyError, Failure};

/// Containers that are removed at once.
const AT_ONCE: usize = 8;

/// Powers off and destroys containers.
pub(super) async fn remove(removal: &Removal<'_>, containers: Vec<Vm>) -> Result<(), Failure> {
    let off: Vec<_> = containers.iter().map(|vm| power_off(removal, vm)).collect();
    at_once(off).await?;
    destroy(removal, &containers).await
}

async fn at_once(work: Vec<impl Future<Output = Result<(), Failure>>>) -> Result<(), Failure> {
    stream::iter(work).buffer_unordered(AT_ONCE).try_collect().await
}

/// Powers a VM off, unless it is off.
pub(super) async fn power_off(removal: &Removal<'_>, vm: &Vm) -> Result<(), Failure> {
    if vm.power == PowerState::Off {
        return Ok(());
    }
    removal.may_write()?;
    done(removal.engine.power_off(&vm.moref).await)
}

/// Destroys VMs that are off, and keeps the disks that lie elsewhere than in their own directories. VIC protects
/// its VMs from being destroyed; those that stay after all are protected again.
pub(super) async fn destroy(removal: &Removal<'_>, vms: &[Vm]) -> Result<(), Failure> {
    if vms.is_empty() {
        return Ok(());
    }
    removal.may_write()?;
    let morefs: Vec<Moref> = vms.iter().map(|vm| vm.moref.clone()).collect();
    if let Err(error) = removal.engine.unprotect(&morefs).await {
        if error.class() == Class::Transient {
            return Err(ApplyError::VSphere(error).into());
        }
        // Whoever is protected nevertheless is refused below.
        tracing::warn!(%error, "VMs could not be freed to be destroyed");
    }
    let destroyed = at_once(vms.iter().map(|vm| destroy_one(removal, vm)).collect()).await;
    if destroyed.is_err() {
        protect_again(removal, &morefs).await;
    }
    destroyed
}

/// A deletion that failed must not leave containers that anybody can destroy.
async fn protect_again(removal: &Removal<'_>, vms: &[Moref]) {
    let left = removal.engine.read(|inventory| {
        vms.iter()
            .filter(|vm| inventory.vms.contains_key(vm))
            .cloned()
            .collect::<Vec<_>>()
    });
    for vm in left {
        if let Err(error) = removal.engine.protect(&vm).await {
            tracing::warn!(%vm, %error, "a VM is not protected any more");
        }
    }
}

async fn destroy_one(removal: &Removal<'_>, vm: &Vm) -> Result<(), Failure> {
    let detached: Vec<DeviceChange> = foreign_disks(vm).map(detach).collect();
    if !detached.is_empty() {
        removal.may_write()?;
        let spec = VmSpec {
            devices: detached,
            ..VmSpec::default()
        };
        done(removal.engine.reconfigure_vm(&vm.moref, &spec).await)?;
    }
    removal.may_write()?;
    done(removal.engine.destroy(&vm.moref).await)
}

/// A VM that vanished meanwhile is what was wanted.
fn done(outcome: Result<(), vsphere::Error>) -> Result<(), Failure> {
    match outcome {
        Err(vsphere::Error::ManagedObjectNotFound { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(ApplyError::VSphere(error).into()),
    }
}

/// Disks that are not in the VM's own directory: volumes, and layers of images.
fn foreign_disks(vm: &Vm) -> impl Iterator<Item = &DeviceInfo> {
    let directory = hardware::directory(vm);
    vm.devices
        .iter()
        .filter(|device| device.kind == "VirtualDisk")
        .filter(move |disk| {
            let parent = disk
                .file
                .as_deref()
                .and_then(|file| file.parse::<vsphere::DatastorePath>().ok()?.parent());
            parent.is_none() || parent != directory
        })
}

fn detach(disk: &DeviceInfo) -> DeviceChange {
    DeviceChange {
        op: DeviceOp::Remove,
        device: Device::Disk { key: disk.key },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::fixture::vm;

    #[test]
    fn only_disks_of_its_own_directory_go_with_a_vm() {
        let disk = |key: i32, file: Option<&str>| DeviceInfo {
            key,
            kind: "VirtualDisk".to_owned(),
            controller_key: Some(1000),
            unit: Some(0),
            file: file.map(str::to_owned),
        };
        let cdrom = DeviceInfo {
            kind: "VirtualCdrom".to_owned(),
            ..disk(3000, Some("[LocalDS_0] elsewhere/x.iso"))
        };
        let vm = Vm {
            devices: vec![
                disk(2000, Some("[LocalDS_0] vch1/vch1.vmdk")),
                disk(2001, Some("[LocalDS_0] vch1-volumes/volumes/data/data.vmdk")),
                disk(2002, Some("[Other] vch1/vch1.vmdk")),
                disk(2003, None),
                cdrom,
            ],
            ..vm("vm-1", &[])
        };
        let keys: Vec<i32> = foreign_disks(&vm).map(|disk| disk.key).collect();
        assert_eq!(keys, [2001, 2002, 2003]);
    }
}
