//! Finding an object by what a user writes: its reference, a unique name, or its inventory path.

use std::collections::HashMap;

use crate::inventory::Inventory;
use crate::moref::Moref;
use crate::objects::{
    Cluster, Datastore, Entity, Folder, Host, Network, Pool, PortGroup, Switch, Vm, unescape_name,
};

/// Why a text does not lead to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lookup {
    /// Nothing fits.
    #[error("does not exist")]
    Missing,
    /// So many fit.
    #[error("is not unique: {0} objects fit")]
    Ambiguous(usize),
}

/// A network that a VM can be connected to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnyNetwork<'a> {
    /// A distributed port group.
    PortGroup(&'a PortGroup),
    /// A standard or opaque network.
    Network(&'a Network),
}

macro_rules! finders {
    ($($name:ident in $map:ident: $type:ty, $what:literal;)*) => {
        $(
            #[doc = concat!("The ", $what, " with that reference (`Type:id` or the id alone), that unique name, or that inventory path below the datacenter.")]
            ///
            /// # Errors
            /// [`Lookup::Missing`] or [`Lookup::Ambiguous`].
            pub fn $name(&self, text: &str) -> Result<&$type, Lookup> {
                self.find(&self.$map, text)
            }
        )*
    };
}

impl Inventory {
    finders! {
        find_cluster in clusters: Cluster, "cluster";
        find_host in hosts: Host, "host";
        find_datastore in datastores: Datastore, "datastore";
        find_switch in switches: Switch, "distributed switch";
        find_port_group in port_groups: PortGroup, "port group";
        find_plain_network in networks: Network, "standard or opaque network";
        find_pool in pools: Pool, "resource pool";
        find_folder in folders: Folder, "folder";
        find_vm in vms: Vm, "virtual machine";
    }

    /// The network of any kind with that reference, unique name or path.
    ///
    /// # Errors
    /// [`Lookup::Missing`] or [`Lookup::Ambiguous`].
    pub fn find_network(&self, text: &str) -> Result<AnyNetwork<'_>, Lookup> {
        let group = self.find_port_group(text);
        let network = self.find_plain_network(text);
        match fits(&group) + fits(&network) {
            0 => Err(Lookup::Missing),
            1 => group
                .map(AnyNetwork::PortGroup)
                .or(network.map(AnyNetwork::Network)),
            many => Err(Lookup::Ambiguous(many)),
        }
    }

    /// The pool that is meant, as by [`Inventory::find_pool`]; a cluster stands for its root pool.
    ///
    /// # Errors
    /// [`Lookup::Missing`] or [`Lookup::Ambiguous`].
    pub fn find_compute(&self, text: &str) -> Result<&Pool, Lookup> {
        match self.find_pool(text) {
            Err(Lookup::Missing) => {
                let root = self.find_cluster(text)?.root_pool.as_ref();
                root.and_then(|root| self.pools.get(root)).ok_or(Lookup::Missing)
            }
            found => found,
        }
    }

    /// The inventory path of an object, from the datacenter's name down: `DC0/host/DC0_C0/Resources`.
    #[must_use]
    pub fn path(&self, moref: &Moref) -> Option<String> {
        self.names(moref).map(|names| names.join("/"))
    }

    fn find<'a, T: Entity>(&self, map: &'a HashMap<Moref, T>, text: &str) -> Result<&'a T, Lookup> {
        let id = text.split_once(':').map_or(text, |(_, id)| id);
        let by_reference = map.values().find(|object| {
            let moref = object.moref();
            moref.value == id && (id == text || moref.to_string() == text)
        });
        if let Some(object) = by_reference {
            return Ok(object);
        }
        let by_name: Vec<&T> = map.values().filter(|object| object.name() == text).collect();
        match by_name.as_slice() {
            [one] => return Ok(one),
            [] => {}
            many => return Err(Lookup::Ambiguous(many.len())),
        }
        let path: Vec<String> = text
            .split('/')
            .filter(|part| !part.is_empty())
            .map(unescape_name)
            .collect();
        let by_path: Vec<&T> = map
            .values()
            .filter(|object| self.is_at(object.moref(), &path))
            .collect();
        match by_path.as_slice() {
            [one] => Ok(one),
            [] => Err(Lookup::Missing),
            many => Err(Lookup::Ambiguous(many.len())),
        }
    }

    /// Whether the path leads to the object, with or without the datacenter and its root folder.
    fn is_at(&self, moref: &Moref, path: &[String]) -> bool {
        let Some((last, _)) = path.split_last() else {
            return false;
        };
        if self.entity(moref).is_none_or(|object| object.name() != last) {
            return false;
        }
        self.names(moref).is_some_and(|names| {
            (0..=2)
                .filter_map(|from| names.get(from..))
                .any(|names| names == path)
        })
    }

    /// Names from the datacenter down to the object.
    fn names(&self, moref: &Moref) -> Option<Vec<String>> {
        /// Deeper than vCenter allows; a bound against a loop in what was reported.
        const MAX_DEPTH: usize = 64;
        let mut names = Vec::new();
        let mut next = Some(moref);
        while let Some(at) = next {
            let object = self.entity(at)?;
            names.push(object.name().to_owned());
            if at.kind == "Datacenter" || names.len() > MAX_DEPTH {
                break;
            }
            next = object.parent();
        }
        names.reverse();
        Some(names)
    }
}

fn fits<T>(found: &Result<T, Lookup>) -> usize {
    match found {
        Ok(_) => 1,
        Err(Lookup::Missing) => 0,
        Err(Lookup::Ambiguous(many)) => *many,
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
