//! The inventory of one datacenter as the mirror holds it.

use std::collections::HashMap;

use crate::moref::Moref;
use crate::objects::{
    Cluster, Datacenter, Datastore, Entity, Folder, Host, Network, Pool, PortGroup, Switch, Vm,
};

/// Everything below one datacenter, by reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// The datacenter itself (one).
    pub datacenters: HashMap<Moref, Datacenter>,
    /// Clusters and standalone hosts' compute resources.
    pub clusters: HashMap<Moref, Cluster>,
    /// Hosts.
    pub hosts: HashMap<Moref, Host>,
    /// Datastores.
    pub datastores: HashMap<Moref, Datastore>,
    /// Distributed switches.
    pub switches: HashMap<Moref, Switch>,
    /// Distributed port groups, uplink groups included.
    pub port_groups: HashMap<Moref, PortGroup>,
    /// Standard and opaque networks.
    pub networks: HashMap<Moref, Network>,
    /// Resource pools and vApps.
    pub pools: HashMap<Moref, Pool>,
    /// Folders and storage pods.
    pub folders: HashMap<Moref, Folder>,
    /// Virtual machines.
    pub vms: HashMap<Moref, Vm>,
}

impl Inventory {
    /// How many objects there are, of all types.
    #[must_use]
    pub fn len(&self) -> usize {
        self.datacenters.len()
            + self.clusters.len()
            + self.hosts.len()
            + self.datastores.len()
            + self.switches.len()
            + self.port_groups.len()
            + self.networks.len()
            + self.pools.len()
            + self.folders.len()
            + self.vms.len()
    }

    /// Whether nothing has been read yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Any object of the mirror.
    #[must_use]
    pub fn entity(&self, moref: &Moref) -> Option<&dyn Entity> {
        fn of<'a, T: Entity>(map: &'a HashMap<Moref, T>, moref: &Moref) -> Option<&'a dyn Entity> {
            map.get(moref).map(|object| -> &'a dyn Entity { object })
        }
        match moref.kind.as_str() {
            "VirtualMachine" => of(&self.vms, moref),
            "ResourcePool" | "VirtualApp" => of(&self.pools, moref),
            "Folder" | "StoragePod" => of(&self.folders, moref),
            "DistributedVirtualPortgroup" => of(&self.port_groups, moref),
            "Network" | "OpaqueNetwork" => of(&self.networks, moref),
            "DistributedVirtualSwitch" | "VmwareDistributedVirtualSwitch" => of(&self.switches, moref),
            "Datastore" => of(&self.datastores, moref),
            "HostSystem" => of(&self.hosts, moref),
            "ComputeResource" | "ClusterComputeResource" => of(&self.clusters, moref),
            "Datacenter" => of(&self.datacenters, moref),
            _ => None,
        }
    }

    /// The datacenter, once it has been read.
    #[must_use]
    pub fn datacenter(&self) -> Option<&Datacenter> {
        self.datacenters.values().next()
    }

    /// The port groups of a switch.
    pub fn port_groups_of(&self, switch: &Moref) -> impl Iterator<Item = &PortGroup> {
        self.port_groups
            .values()
            .filter(move |group| group.switch.as_ref() == Some(switch))
    }

    /// The VMs directly in a folder.
    pub fn vms_in_folder(&self, folder: &Moref) -> impl Iterator<Item = &Vm> {
        self.vms
            .values()
            .filter(move |vm| vm.parent.as_ref() == Some(folder))
    }

    /// The VMs directly in a pool.
    pub fn vms_in_pool(&self, pool: &Moref) -> impl Iterator<Item = &Vm> {
        self.vms.values().filter(move |vm| vm.pool.as_ref() == Some(pool))
    }

    /// The pool of that name directly in a pool.
    #[must_use]
    pub fn child_pool(&self, parent: &Moref, name: &str) -> Option<&Pool> {
        self.pools
            .values()
            .find(|pool| pool.parent.as_ref() == Some(parent) && pool.name == name)
    }

    /// The folder of that name directly in a folder.
    #[must_use]
    pub fn child_folder(&self, parent: &Moref, name: &str) -> Option<&Folder> {
        self.folders
            .values()
            .find(|folder| folder.parent.as_ref() == Some(parent) && folder.name == name)
    }

    /// The datastore of that name; names of datastores are unique within a datacenter.
    #[must_use]
    pub fn datastore_named(&self, name: &str) -> Option<&Datastore> {
        self.datastores.values().find(|datastore| datastore.name == name)
    }
}
