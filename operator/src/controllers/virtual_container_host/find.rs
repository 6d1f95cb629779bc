//! Finds in vCenter what is a VCH's own, and what is in its way. What is ours is known by its mark, or by
//! the id in its name while it has no mark yet: a crash between two calls leaves nothing that is not found.

use topology::Owner;
use vsphere::{DatastorePath, Folder, Inventory, Moref, Pool, PoolConfig, Vm};

use super::dereference::References;
use super::validate::Wanted;
use crate::context::Context;
use crate::endpoint::OWNER_KEY;
use crate::kind::ObjectKey;
use crate::wake::Topic;

/// The key that tells which network is a VCH's bridge.
const BRIDGE_KEY: &str = "guestinfo.vice./network/container_networks|bridge/Common/id";

/// A pool or folder of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) moref: Moref,
    pub(super) name: String,
    pub(super) parent: Option<Moref>,
    /// Whether it has our mark, not only our name.
    pub(super) marked: bool,
}

/// What exists of a VCH, and what is in its way.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) pool: Option<(Place, PoolConfig)>,
    pub(super) folder: Option<Place>,
    pub(super) vm: Option<Vm>,
    /// Containers that run, and those that do not.
    pub(super) running: usize,
    pub(super) stopped: usize,
    /// Disks of containers, with the name of their VM.
    pub(super) disks: Vec<(String, DatastorePath)>,
    /// What has a name that we need: a few words, and the object.
    pub(super) taken: Option<(String, Moref)>,
    /// Another VCH's endpoint VM on our bridge network.
    pub(super) bridge_user: Option<BridgeUser>,
}

/// What is a VCH's own.
#[derive(Clone, Copy, Default)]
pub(in crate::controllers) struct Own<'a> {
    pub(in crate::controllers) pool: Option<&'a Pool>,
    pub(super) folder: Option<&'a Folder>,
    pub(super) vm: Option<&'a Vm>,
}

/// The name of a pool or folder until it has its mark.
pub(super) fn birth_name(name: &str, owner: &Owner) -> String {
    format!("{name}~{}", owner.external_id())
}

fn is_own(name: &str, mark: Option<&str>, owner: &Owner) -> bool {
    match mark.and_then(Owner::from_mark) {
        Some(marked) => marked.is_same_object(owner),
        None => name.ends_with(&format!("~{}", owner.external_id())),
    }
}

fn is_marked(mark: Option<&str>) -> bool {
    mark.and_then(Owner::from_mark).is_some()
}

/// What is the owner's in this inventory.
pub(in crate::controllers) fn own<'a>(inventory: &'a Inventory, owner: &Owner) -> Own<'a> {
    let folder = inventory
        .folders
        .values()
        .find(|folder| is_own(&folder.name, folder.mark.as_deref(), owner));
    Own {
        pool: inventory
            .pools
            .values()
            .find(|pool| is_own(&pool.name, pool.mark.as_deref(), owner)),
        folder,
        vm: own_vm(inventory.vms.values(), owner, folder.map(|folder| &folder.moref)),
    }
}

/// The VM that carries our mark. A clone carries it too, and another VM's id: it is not ours, unless it lies
/// in our folder and nothing better does.
fn own_vm<'a>(vms: impl Iterator<Item = &'a Vm>, owner: &Owner, folder: Option<&Moref>) -> Option<&'a Vm> {
    let rank = |vm: &Vm| {
        let id = vm.extra_config.get(guestinfo::VCH_ID_KEY).map(String::as_str);
        let in_folder = folder.is_some() && vm.parent.as_ref() == folder;
        match id {
            Some(id) if id == vm.moref.to_string() => Some(0),
            Some(guestinfo::CREATING) => Some(1),
            _ if in_folder => Some(2),
            _ => None,
        }
    };
    vms.filter(|vm| {
        let mark = vm
            .extra_config
            .get(OWNER_KEY)
            .and_then(|mark| Owner::from_mark(mark));
        mark.is_some_and(|marked| marked.is_same_object(owner))
    })
    .filter_map(|vm| Some((rank(vm)?, &vm.moref, vm)))
    .min_by_key(|(rank, moref, _)| (*rank, (*moref).clone()))
    .map(|(_, _, vm)| vm)
}

/// Whether a VM is a container of some VCH.
pub(super) fn is_container(vm: &Vm) -> bool {
    guestinfo::Container::read(&vm.extra_config).is_some()
}

/// The VMs in our pool and folder, without our own.
pub(in crate::controllers) fn guests<'a>(inventory: &'a Inventory, own: &Own<'_>) -> Vec<&'a Vm> {
    let pool = own.pool.map(|pool| &pool.moref);
    let folder = own.folder.map(|folder| &folder.moref);
    let inside = |vm: &&Vm| {
        (pool.is_some() && vm.pool.as_ref() == pool) || (folder.is_some() && vm.parent.as_ref() == folder)
    };
    inventory
        .vms
        .values()
        .filter(inside)
        .filter(|vm| own.vm.is_none_or(|own| own.moref != vm.moref))
        .collect()
}

/// What exists of a VCH; from now on its changes reconcile it.
pub(super) fn state(ctx: &Context, key: &ObjectKey, references: &References, wanted: &Wanted) -> State {
    let engine = &references.ground.connected.vsphere;
    engine.read(|inventory| watch(ctx, key, &references.ground.site, &own(inventory, &wanted.owner)));
    engine.read(|inventory| read(inventory, wanted))
}

/// Registers that a change of what is ours reconciles its owner.
pub(in crate::controllers) fn watch(ctx: &Context, key: &ObjectKey, site: &str, own: &Own<'_>) {
    let morefs = [
        own.pool.map(|pool| &pool.moref),
        own.folder.map(|folder| &folder.moref),
        own.vm.map(|vm| &vm.moref),
    ];
    for moref in morefs.into_iter().flatten() {
        ctx.wake.watch(
            key,
            Topic::VSphere {
                site: site.to_owned(),
                moref: moref.to_string(),
            },
        );
    }
}

fn read(inventory: &Inventory, wanted: &Wanted) -> State {
    let own = own(inventory, &wanted.owner);
    let containers: Vec<&Vm> = guests(inventory, &own)
        .into_iter()
        .filter(|vm| is_container(vm))
        .collect();
    let disks = containers.iter().flat_map(|vm| disks(vm)).collect();
    let (running, stopped): (Vec<_>, Vec<_>) = containers
        .into_iter()
        .partition(|vm| vm.power == vsphere::PowerState::On);
    State {
        pool: own.pool.map(|pool| {
            let place = Place {
                moref: pool.moref.clone(),
                name: pool.name.clone(),
                parent: pool.parent.clone(),
                marked: is_marked(pool.mark.as_deref()),
            };
            (place, pool.config)
        }),
        folder: own.folder.map(|folder| Place {
            moref: folder.moref.clone(),
            name: folder.name.clone(),
            parent: folder.parent.clone(),
            marked: is_marked(folder.mark.as_deref()),
        }),
        vm: own.vm.cloned(),
        running: running.len(),
        stopped: stopped.len(),
        disks,
        taken: taken(inventory, wanted, &own),
        bridge_user: bridge_user(inventory, wanted, &own),
    }
}

fn disks(vm: &Vm) -> impl Iterator<Item = (String, DatastorePath)> {
    vm.devices
        .iter()
        .filter(|device| device.kind == "VirtualDisk")
        .filter_map(|device| Some((vm.name.clone(), device.file.as_deref()?.parse().ok()?)))
}

/// What has the name that our pool, folder or VM shall have.
fn taken(inventory: &Inventory, wanted: &Wanted, own: &Own<'_>) -> Option<(String, Moref)> {
    let name = &wanted.endpoint.name;
    let pool = inventory
        .child_pool(&wanted.pool_parent, name)
        .filter(|pool| own.pool.is_none_or(|own| own.moref != pool.moref))
        .map(|pool| ("a resource pool", &pool.moref));
    let folder = inventory
        .child_folder(&wanted.vm_folder, name)
        .filter(|folder| own.folder.is_none_or(|own| own.moref != folder.moref))
        .map(|folder| ("a folder", &folder.moref));
    let folders = [Some(&wanted.vm_folder), own.folder.map(|folder| &folder.moref)];
    let vm = folders
        .into_iter()
        .flatten()
        .flat_map(|folder| inventory.vms_in_folder(folder))
        .find(|vm| vm.name == *name && own.vm.is_none_or(|own| own.moref != vm.moref))
        .map(|vm| ("a VM", &vm.moref));
    pool.or(folder)
        .or(vm)
        .map(|(what, moref)| (what.to_owned(), moref.clone()))
}

/// Who has our network as its bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BridgeUser {
    pub(super) moref: Moref,
    /// Whose it is, where its VM says so.
    pub(super) owner: Option<Owner>,
}

impl BridgeUser {
    /// What the owner of a namespace may know of it.
    pub(super) fn named_in(&self, namespace: &str) -> String {
        match &self.owner {
            Some(owner) if owner.namespace == namespace => format!("{} {}", owner.kind, owner.name),
            Some(_) => "a VCH of another namespace".to_owned(),
            None => format!("another VCH ({})", self.moref),
        }
    }
}

/// The endpoint VM of another VCH, made by whomever, that has our network as its bridge. Who has it keeps
/// it: if that is our own VM, nobody else's is in the way.
fn bridge_user(inventory: &Inventory, wanted: &Wanted, own: &Own<'_>) -> Option<BridgeUser> {
    let bridge = &wanted.endpoint.bridge.attachment.moref;
    let uses = |vm: &Vm| vm.extra_config.get(BRIDGE_KEY) == Some(bridge);
    if own.vm.is_some_and(uses) {
        return None;
    }
    let other = inventory
        .vms
        .values()
        .find(|vm| uses(vm) && own.vm.is_none_or(|own| own.moref != vm.moref));
    other.map(|vm| BridgeUser {
        moref: vm.moref.clone(),
        owner: vm
            .extra_config
            .get(OWNER_KEY)
            .and_then(|mark| Owner::from_mark(mark)),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::endpoint::fixture::vm;

    pub(in super::super) fn owner(name: &str) -> Owner {
        Owner {
            instance: "lab".to_owned(),
            kind: "VirtualContainerHost".to_owned(),
            namespace: "containers".to_owned(),
            name: name.to_owned(),
            uid: "1".to_owned(),
        }
    }

    #[test]
    fn a_pool_is_ours_by_mark_or_by_the_id_in_its_name() {
        let mine = owner("vch1");
        let other = owner("vch2");
        let again = Owner {
            uid: "2".to_owned(),
            ..mine.clone()
        };
        let elsewhere = Owner {
            instance: "other".to_owned(),
            ..mine.clone()
        };
        let cases = [
            ("vch1", Some(mine.mark()), true),
            ("renamed by hand", Some(mine.mark()), true),
            ("vch1", Some(again.mark()), true),
            ("vch1", Some(other.mark()), false),
            ("vch1", Some(elsewhere.mark()), false),
            ("vch1", None, false),
            ("vch1", Some("someone's note".to_owned()), false),
            (&birth_name("vch1", &mine), None, true),
            (&birth_name("older name", &mine), None, true),
            (&birth_name("vch1", &other), None, false),
            (&birth_name("vch1", &mine), Some(other.mark()), false),
        ];
        for (name, mark, ours) in cases {
            assert_eq!(is_own(name, mark.as_deref(), &mine), ours, "{name} {mark:?}");
        }
        assert!(
            birth_name(&"x".repeat(31), &mine).len() <= 80,
            "vCenter's longest name"
        );
    }

    #[test]
    fn a_vm_is_ours_by_mark_and_a_clone_is_not() {
        let mine = owner("vch1");
        let mark = mine.mark();
        let id = guestinfo::VCH_ID_KEY;
        let original = vm("vm-1", &[(OWNER_KEY, &mark), (id, "VirtualMachine:vm-1")]);
        let clone = vm("vm-0", &[(OWNER_KEY, &mark), (id, "VirtualMachine:vm-1")]);
        let half = vm("vm-2", &[(OWNER_KEY, &mark), (id, guestinfo::CREATING)]);
        let folder = Moref::new("Folder", "group-1");
        let edited = Vm {
            parent: Some(folder.clone()),
            ..vm("vm-3", &[(OWNER_KEY, &mark), (id, "edited by hand")])
        };
        let foreign = vm(
            "vm-4",
            &[(OWNER_KEY, &owner("vch2").mark()), (id, "VirtualMachine:vm-4")],
        );
        let cases: [(&[&Vm], Option<&str>); 5] = [
            (&[&clone, &original, &foreign], Some("vm-1")),
            (&[&clone, &half], Some("vm-2")),
            (&[&clone, &foreign], None),
            (&[&edited], Some("vm-3")),
            (&[], None),
        ];
        for (vms, expected) in cases {
            let found = own_vm(vms.iter().copied(), &mine, Some(&folder));
            assert_eq!(found.map(|vm| vm.moref.value.as_str()), expected);
        }
        assert_eq!(own_vm([&edited].into_iter(), &mine, None), None);
    }

    #[test]
    fn a_container_has_an_id_of_64_digits() {
        let id = "0123456789abcdef".repeat(4);
        for (value, is) in [
            (id.as_str(), true),
            ("VirtualMachine:vm-1", false),
            ("", false),
            (&id[1..], false),
        ] {
            assert_eq!(
                is_container(&vm("vm-1", &[("guestinfo.vice./common/id", value)])),
                is,
                "{value}"
            );
        }
        assert!(!is_container(&Vm {
            extra_config: BTreeMap::new(),
            ..vm("vm-1", &[])
        }));
    }
}
