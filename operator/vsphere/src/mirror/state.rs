//! The mirror's state machine: no I/O, no clock.

use std::collections::{HashMap, HashSet};

use crate::inventory::Inventory;
use crate::moref::Moref;
use crate::objects::Mirrored;
use crate::updates::{Kind, ObjectUpdate};
use crate::xml::Node;

/// What a single read brought.
#[derive(Clone, Debug)]
pub(super) enum Read {
    /// The object.
    Found(ObjectUpdate),
    /// It does not exist.
    Missing,
    /// Nothing is known.
    Failed,
}

/// The inventory, and what it takes to keep it.
pub(super) struct State {
    inventory: Inventory,
    mark_field: String,
    mark_key: Option<i32>,
    /// Objects sent since the full state was asked for; none when it is complete.
    syncing: Option<HashSet<Moref>>,
    /// Single reads under way, and whether an update of their object came in between.
    reads: HashMap<u64, (Moref, bool)>,
    next_read: u64,
}

impl State {
    /// Empty, and waiting for the full state.
    pub fn new(mark_field: String) -> Self {
        Self {
            inventory: Inventory::default(),
            mark_field,
            mark_key: None,
            syncing: Some(HashSet::new()),
            reads: HashMap::new(),
            next_read: 0,
        }
    }

    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    pub fn mark_key(&self) -> Option<i32> {
        self.mark_key
    }

    /// The full state follows. What is known stays readable meanwhile.
    pub fn begin_sync(&mut self) {
        self.syncing = Some(HashSet::new());
    }

    /// Takes over updates and says which objects are not what they were.
    pub fn take(&mut self, updates: Vec<ObjectUpdate>, complete: bool) -> Vec<Moref> {
        let mut changed = Vec::new();
        for update in updates {
            changed.extend(self.absorb(update));
        }
        if complete && let Some(sent) = self.syncing.take() {
            changed.extend(self.drop_all_but(&sent));
        }
        changed
    }

    /// Announces a read of one object; the ticket is for [`Self::end_read`].
    pub fn begin_read(&mut self, moref: &Moref) -> u64 {
        self.next_read += 1;
        self.reads.insert(self.next_read, (moref.clone(), false));
        self.next_read
    }

    /// Takes over what was read, unless a newer update came in between.
    pub fn end_read(&mut self, ticket: u64, read: Read) -> Vec<Moref> {
        match (self.reads.remove(&ticket), read) {
            (None | Some((_, true)), _) | (_, Read::Failed) => Vec::new(),
            (Some(_), Read::Found(update)) => self.absorb(update),
            (Some((moref, false)), Read::Missing) => self.absorb(ObjectUpdate {
                kind: Kind::Leave,
                moref,
                changes: Vec::new(),
            }),
        }
    }

    /// A definition of our attribute was found: derives all marks from it.
    pub fn set_mark_key(&mut self, key: i32) -> Vec<Moref> {
        let key = Some(key);
        if self.mark_key == key {
            return Vec::new();
        }
        self.mark_key = key;
        let mut changed = remark(&mut self.inventory.pools, key);
        changed.extend(remark(&mut self.inventory.folders, key));
        changed
    }

    /// The key of the definition of that name which applies to every type of object.
    fn key_in(&self, fields: &Node) -> Option<i32> {
        fields
            .children
            .iter()
            .find(|field| {
                field.text_of("name") == Some(&self.mark_field) && field.string("managedObjectType").is_none()
            })
            .and_then(|field| field.value("key"))
    }

    fn absorb(&mut self, update: ObjectUpdate) -> Vec<Moref> {
        if update.moref.kind == "CustomFieldsManager" {
            let fields = update.changes.iter().find(|(path, _)| path == "field");
            let key = fields.and_then(|(_, fields)| self.key_in(fields.as_ref()?));
            // A definition that is gone takes its values with it; those arrive by themselves.
            return key.map(|key| self.set_mark_key(key)).unwrap_or_default();
        }
        self.touch(&update);
        if self.apply(&update) {
            vec![update.moref]
        } else {
            Vec::new()
        }
    }

    fn touch(&mut self, update: &ObjectUpdate) {
        for (moref, overtaken) in self.reads.values_mut() {
            *overtaken |= *moref == update.moref;
        }
        if let Some(sent) = &mut self.syncing {
            match update.kind {
                Kind::Enter | Kind::Modify => sent.insert(update.moref.clone()),
                Kind::Leave => sent.remove(&update.moref),
            };
        }
    }

    fn apply(&mut self, update: &ObjectUpdate) -> bool {
        let inventory = &mut self.inventory;
        let key = self.mark_key;
        match update.moref.kind.as_str() {
            "VirtualMachine" => merge(&mut inventory.vms, update, key),
            "ResourcePool" | "VirtualApp" => merge(&mut inventory.pools, update, key),
            "Folder" | "StoragePod" => merge(&mut inventory.folders, update, key),
            "DistributedVirtualPortgroup" => merge(&mut inventory.port_groups, update, key),
            "Network" | "OpaqueNetwork" => merge(&mut inventory.networks, update, key),
            "DistributedVirtualSwitch" | "VmwareDistributedVirtualSwitch" => {
                merge(&mut inventory.switches, update, key)
            }
            "Datastore" => merge(&mut inventory.datastores, update, key),
            "HostSystem" => merge(&mut inventory.hosts, update, key),
            "ComputeResource" | "ClusterComputeResource" => merge(&mut inventory.clusters, update, key),
            "Datacenter" => merge(&mut inventory.datacenters, update, key),
            _ => false,
        }
    }

    fn drop_all_but(&mut self, sent: &HashSet<Moref>) -> Vec<Moref> {
        fn sweep<T>(objects: &mut HashMap<Moref, T>, sent: &HashSet<Moref>, gone: &mut Vec<Moref>) {
            objects.retain(|moref, _| {
                let keep = sent.contains(moref);
                if !keep {
                    gone.push(moref.clone());
                }
                keep
            });
        }
        let mut gone = Vec::new();
        let inventory = &mut self.inventory;
        sweep(&mut inventory.datacenters, sent, &mut gone);
        sweep(&mut inventory.clusters, sent, &mut gone);
        sweep(&mut inventory.hosts, sent, &mut gone);
        sweep(&mut inventory.datastores, sent, &mut gone);
        sweep(&mut inventory.switches, sent, &mut gone);
        sweep(&mut inventory.port_groups, sent, &mut gone);
        sweep(&mut inventory.networks, sent, &mut gone);
        sweep(&mut inventory.pools, sent, &mut gone);
        sweep(&mut inventory.folders, sent, &mut gone);
        sweep(&mut inventory.vms, sent, &mut gone);
        gone
    }
}

/// Applies an update to the objects of one type and says whether that changed anything.
/// `Enter` replaces: a server may send it for an object that is known, after a new login for all.
fn merge<T: Mirrored>(objects: &mut HashMap<Moref, T>, update: &ObjectUpdate, key: Option<i32>) -> bool {
    let old = objects.get(&update.moref);
    let base = match update.kind {
        Kind::Leave => return objects.remove(&update.moref).is_some(),
        Kind::Enter => None,
        Kind::Modify => old.cloned(),
    };
    let mut new = base.unwrap_or_else(|| T::empty(update.moref.clone()));
    for (path, value) in &update.changes {
        new.set(path, value.as_ref());
    }
    new.derive_mark(key);
    if old == Some(&new) {
        return false;
    }
    objects.insert(update.moref.clone(), new);
    true
}

fn remark<T: Mirrored>(objects: &mut HashMap<Moref, T>, key: Option<i32>) -> Vec<Moref> {
    let mut changed = Vec::new();
    for (moref, object) in objects {
        let before = object.clone();
        object.derive_mark(key);
        if *object != before {
            changed.push(moref.clone());
        }
    }
    changed
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
