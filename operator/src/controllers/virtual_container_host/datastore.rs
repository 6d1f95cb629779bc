//! What a VCH leaves on datastores: container images, volumes, and what remains in its VM's directory.

use guestinfo::decode;
use vic_crds::{VirtualContainerHost, VirtualContainerHostStatus};
use vsphere::{DatastorePath, Inventory, Moref, Vm};

use super::removal::Removal;
use super::status::{DIRECTORY_PIN, FORMER_PIN, SEPARATOR};
use crate::controllers::common::pinned;
use crate::endpoint::hardware;
use crate::failure::{ApplyError, Failure};

/// Where VIC keeps images and its own records below an image store.
const IMAGES: &str = "VIC";
const RECORDS: &str = "kvStores";

/// The image store of an endpoint VM: the folder that its configuration names.
fn image_store(vm: &Vm) -> Option<DatastorePath> {
    let config = decode(&vm.extra_config).ok()?;
    let store = config.storage.image_stores.into_iter().next()?;
    let path = DatastorePath::new(store.host, &store.path);
    (!path.path.is_empty()).then_some(path)
}

/// Directories that other VMs' configurations name as image or volume store, or that hold their files.
fn used_by_others(inventory: &Inventory, own: Option<&Moref>) -> Vec<DatastorePath> {
    let others = inventory.vms.values().filter(|vm| Some(&vm.moref) != own);
    others
        .flat_map(|vm| hardware::directory(vm).into_iter().chain(stores(vm)))
        .collect()
}

/// The stores that an endpoint VM's configuration names; none for any other VM.
fn stores(vm: &Vm) -> Vec<DatastorePath> {
    if !vm.extra_config.contains_key(guestinfo::VCH_ID_KEY) {
        return Vec::new();
    }
    let volumes = decode(&vm.extra_config)
        .map(|config| config.storage.volume_locations)
        .unwrap_or_default();
    image_store(vm)
        .into_iter()
        .chain(volumes.values().filter_map(|url| url.path.parse().ok()))
        .collect()
}

/// Whether one directory is the other, or lies in it, or holds it.
fn touch(one: &DatastorePath, other: &DatastorePath) -> bool {
    let within = |inner: &str, outer: &str| {
        inner == outer
            || inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    one.datastore == other.datastore && (within(&one.path, &other.path) || within(&other.path, &one.path))
}

async fn delete(removal: &Removal<'_>, path: &DatastorePath) -> Result<(), Failure> {
    // A datastore's root is nobody's own.
    if path.path.is_empty() {
        return Ok(());
    }
    removal.may_write()?;
    Ok(removal
        .engine
        .delete_path(path)
        .await
        .map_err(ApplyError::VSphere)?)
}

/// The images of this VCH, and the store itself where nothing of anyone else's is left in it.
pub(super) async fn remove_images(removal: &Removal<'_>, vm: &Vm) -> Result<(), Failure> {
    let Some(store) = image_store(vm) else {
        return Ok(());
    };
    // What lies in the VM's own directory goes with it.
    if hardware::directory(vm).as_ref() == Some(&store) || vm.uuid.is_empty() {
        return Ok(());
    }
    delete(removal, &store.join(IMAGES).join(&vm.uuid)).await?;
    let shared = removal.engine.read(|inventory| {
        used_by_others(inventory, Some(&vm.moref))
            .iter()
            .any(|other| touch(other, &store))
    });
    if shared {
        return Ok(());
    }
    delete(removal, &store.join(RECORDS)).await?;
    if is_empty(removal, &store).await? {
        delete(removal, &store).await?;
    }
    Ok(())
}

/// Whether nothing but empty directories of VIC's is left in an image store.
async fn is_empty(removal: &Removal<'_>, store: &DatastorePath) -> Result<bool, Failure> {
    let list = async |directory: &DatastorePath| removal.engine.search_directory(directory, "*").await;
    let left = list(store).await.map_err(ApplyError::VSphere)?;
    match left.as_slice() {
        [] => Ok(true),
        [one] if one.name == IMAGES => Ok(list(&store.join(IMAGES))
            .await
            .map_err(ApplyError::VSphere)?
            .is_empty()),
        _ => Ok(false),
    }
}

/// The volume stores of this VCH that are nobody else's.
pub(super) async fn remove_volumes(
    removal: &Removal<'_>,
    vch: &VirtualContainerHost,
    vm: Option<&Vm>,
) -> Result<(), Failure> {
    let declared = vch.spec.storage.iter().flat_map(|storage| &storage.volume_stores);
    let mut directories: Vec<DatastorePath> = removal.engine.read(|inventory| {
        let name = |text: &str| {
            inventory
                .find_datastore(text)
                .map_or_else(|_| text.to_owned(), |found| found.name.clone())
        };
        declared
            .filter_map(|store| {
                Some(DatastorePath::new(
                    name(store.datastore.as_deref()?),
                    store.path.as_deref()?,
                ))
            })
            .collect()
    });
    let observed = vm
        .and_then(|vm| decode(&vm.extra_config).ok())
        .map(|config| config.storage.volume_locations);
    directories.extend(
        observed
            .iter()
            .flat_map(|volumes| volumes.values())
            .filter_map(|url| url.path.parse().ok()),
    );
    directories.sort();
    directories.dedup();
    let own = vm.map(|vm| &vm.moref);
    let others = removal.engine.read(|inventory| used_by_others(inventory, own));
    for directory in directories {
        if others.iter().any(|other| touch(other, &directory)) {
            tracing::warn!(directory = %directory, "a volume store is kept: another VCH or VM uses it");
        } else {
            delete(removal, &directory).await?;
        }
    }
    Ok(())
}

/// What is left in the endpoint VM's directory, such as the log of its serial port, and in those of the VMs
/// that it replaced.
pub(super) async fn remove_directories(
    removal: &Removal<'_>,
    vm: Option<&Vm>,
    details: &VirtualContainerHostStatus,
) -> Result<(), Failure> {
    let mut directories = remembered(details);
    directories.extend(vm.and_then(hardware::directory));
    directories.sort();
    directories.dedup();
    let own = vm.map(|vm| &vm.moref);
    let others = removal.engine.read(|inventory| used_by_others(inventory, own));
    for directory in directories {
        if !others.iter().any(|other| touch(other, &directory)) {
            delete(removal, &directory).await?;
        }
    }
    Ok(())
}

/// The directories that a status remembers.
fn remembered(details: &VirtualContainerHostStatus) -> Vec<DatastorePath> {
    let pins =
        [DIRECTORY_PIN, FORMER_PIN].map(|pin| pinned(details.resolved.as_ref(), pin).unwrap_or_default());
    pins.iter()
        .flat_map(|texts| texts.split(SEPARATOR))
        .filter_map(|text| text.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use guestinfo::{SecretKey, Url, VchConfig, encode};

    use super::*;
    use crate::endpoint::fixture::vm;

    fn endpoint(images: &str, volume: &str) -> Vm {
        let mut config = VchConfig::default();
        config.init.common.id = "VirtualMachine:vm-1".to_owned();
        config.storage.image_stores = vec![Url::image_store("LocalDS_0", images)];
        config
            .storage
            .volume_locations
            .insert("default".to_owned(), Url::volume_store("LocalDS_0", volume));
        Vm {
            extra_config: encode(&config, &SecretKey::generate().unwrap()).unwrap(),
            ..vm("vm-1", &[])
        }
    }

    #[test]
    fn directories_touch_when_one_holds_the_other() {
        let path = |text: &str| text.parse::<DatastorePath>().unwrap();
        let cases = [
            ("[ds] a", "[ds] a", true),
            ("[ds] a/b", "[ds] a", true),
            ("[ds] a", "[ds] a/b/c", true),
            ("[ds] a", "[ds] ab", false),
            ("[ds] a", "[other] a", false),
            ("[ds] a/b", "[ds] a/c", false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(touch(&path(one), &path(other)), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_configuration_names_its_stores() {
        let paths = |vm: &Vm| stores(vm).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            paths(&endpoint("images", "volumes")),
            ["[LocalDS_0] images", "[LocalDS_0] volumes"]
        );
        assert_eq!(
            paths(&endpoint("", "volumes")),
            ["[LocalDS_0] volumes"],
            "a datastore's root is no store of one's own"
        );
        assert!(paths(&vm("vm-2", &[])).is_empty());
    }

    #[test]
    fn others_are_all_but_oneself() {
        let mut inventory = Inventory::default();
        let mine = endpoint("images", "volumes");
        let other = Vm {
            moref: Moref::new("VirtualMachine", "vm-2"),
            vm_path: "[LocalDS_0] web/web.vmx".to_owned(),
            ..vm("vm-2", &[])
        };
        inventory.vms.insert(mine.moref.clone(), mine.clone());
        inventory.vms.insert(other.moref.clone(), other);
        let others = used_by_others(&inventory, Some(&mine.moref));
        assert_eq!(
            others.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["[LocalDS_0] web"]
        );
        assert_eq!(used_by_others(&inventory, None).len(), 4);
    }
}
