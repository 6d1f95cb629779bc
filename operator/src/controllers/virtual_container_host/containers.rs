//! Powers off and destroys VMs without taking away disks that are not theirs alone: a container's volumes
//! are disks of its VM, and vSphere destroys a VM with its disks.

use futures::{StreamExt, TryStreamExt, stream};
use vsphere::{Device, DeviceChange, DeviceInfo, DeviceOp, PowerState, Vm, VmSpec};

use super::removal::Removal;
use crate::endpoint::hardware;
use crate::failure::{ApplyError, Failure};

/// Containers that are removed at once.
const AT_ONCE: usize = 8;

/// Powers off and destroys containers.
pub(super) async fn remove(removal: &Removal<'_>, containers: Vec<Vm>) -> Result<(), Failure> {
    stream::iter(containers)
        .map(|vm| async move {
            power_off(removal, &vm).await?;
            destroy(removal, &vm).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Powers a VM off, unless it is off.
pub(super) async fn power_off(removal: &Removal<'_>, vm: &Vm) -> Result<(), Failure> {
    if vm.power == PowerState::Off {
        return Ok(());
    }
    removal.may_write()?;
    done(removal.engine.power_off(&vm.moref).await)
}

/// Destroys a VM that is off, and keeps the disks that lie elsewhere than in its own directory.
pub(super) async fn destroy(removal: &Removal<'_>, vm: &Vm) -> Result<(), Failure> {
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
