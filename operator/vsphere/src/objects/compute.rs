//! Datacenters, clusters and hosts.

use super::{Mirrored, entity, flag_from, moref_from, morefs_from, name_from, text_from};
use crate::moref::Moref;
use crate::xml::Node;

/// The datacenter that the engine works in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datacenter {
    /// Reference.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The folder above, outside the mirror.
    pub parent: Option<Moref>,
    /// Root of the VM folders.
    pub vm_folder: Option<Moref>,
    /// Root of the compute resources.
    pub host_folder: Option<Moref>,
    /// Root of the datastores.
    pub datastore_folder: Option<Moref>,
    /// Root of the networks.
    pub network_folder: Option<Moref>,
}

entity!(Datacenter);

impl Mirrored for Datacenter {
    fn empty(moref: Moref) -> Self {
        Self {
            moref,
            name: String::new(),
            parent: None,
            vm_folder: None,
            host_folder: None,
            datastore_folder: None,
            network_folder: None,
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match path {
            "name" => self.name = name_from(value),
            "parent" => self.parent = moref_from(value),
            "vmFolder" => self.vm_folder = moref_from(value),
            "hostFolder" => self.host_folder = moref_from(value),
            "datastoreFolder" => self.datastore_folder = moref_from(value),
            "networkFolder" => self.network_folder = moref_from(value),
            _ => {}
        }
    }
}

/// A cluster, or a standalone host's compute resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Reference: `ClusterComputeResource` or `ComputeResource`.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The host folder above.
    pub parent: Option<Moref>,
    /// Its root resource pool (`Resources`).
    pub root_pool: Option<Moref>,
    /// Its hosts.
    pub hosts: Vec<Moref>,
    /// Datastores that its hosts mount.
    pub datastores: Vec<Moref>,
    /// Networks that its hosts reach.
    pub networks: Vec<Moref>,
    /// Whether DRS is on; without it no pool can be made in a cluster. Always false on a standalone host.
    pub drs: bool,
}

entity!(Cluster);

impl Mirrored for Cluster {
    fn empty(moref: Moref) -> Self {
        Self {
            moref,
            name: String::new(),
            parent: None,
            root_pool: None,
            hosts: Vec::new(),
            datastores: Vec::new(),
            networks: Vec::new(),
            drs: false,
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match path {
            "name" => self.name = name_from(value),
            "parent" => self.parent = moref_from(value),
            "resourcePool" => self.root_pool = moref_from(value),
            "host" => self.hosts = morefs_from(value),
            "datastore" => self.datastores = morefs_from(value),
            "network" => self.networks = morefs_from(value),
            "configurationEx" => {
                let drs = value.and_then(|config| config.child("drsConfig"));
                self.drs = drs.and_then(|drs| drs.flag("enabled")).unwrap_or_default();
            }
            _ => {}
        }
    }
}

/// An ESXi host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Reference.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The compute resource it belongs to.
    pub parent: Option<Moref>,
    /// Connection state, such as `connected`.
    pub connection_state: String,
    /// Whether it is in maintenance mode.
    pub maintenance: bool,
}

entity!(Host);

impl Host {
    /// Whether it can run something now.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.connection_state == "connected" && !self.maintenance
    }
}

impl Mirrored for Host {
    fn empty(moref: Moref) -> Self {
        Self {
            moref,
            name: String::new(),
            parent: None,
            connection_state: String::new(),
            maintenance: false,
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match path {
            "name" => self.name = name_from(value),
            "parent" => self.parent = moref_from(value),
            "runtime.connectionState" => self.connection_state = text_from(value),
            "runtime.inMaintenanceMode" => self.maintenance = flag_from(value),
            _ => {}
        }
    }
}
