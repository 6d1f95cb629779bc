//! Resource pools (vApps too) and folders: the objects whose mark is a custom attribute.

use std::collections::BTreeMap;

use super::{Mirrored, entity, moref_from, morefs_from, name_from};
use crate::moref::Moref;
use crate::spec::{Allocation, PoolConfig};
use crate::xml::Node;

/// The values of custom attributes, by the key of their definition.
pub(crate) type CustomValues = BTreeMap<i32, String>;

fn custom_values(value: Option<&Node>) -> CustomValues {
    let values = value.map(|node| node.children.as_slice()).unwrap_or_default();
    values
        .iter()
        .filter_map(|value| Some((value.value("key")?, value.string("value")?)))
        .collect()
}

/// A resource pool or vApp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Reference: `ResourcePool` or `VirtualApp`.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The pool above, or the cluster for a root pool.
    pub parent: Option<Moref>,
    /// The compute resource whose capacity it shares.
    pub owner: Option<Moref>,
    /// Its limits, as vCenter keeps them.
    pub config: PoolConfig,
    /// VMs directly in it.
    pub vms: Vec<Moref>,
    /// Pools directly in it.
    pub pools: Vec<Moref>,
    /// The ownership mark: our custom attribute.
    pub mark: Option<String>,
    pub(crate) custom: CustomValues,
}

entity!(Pool);

impl Mirrored for Pool {
    fn empty(moref: Moref) -> Self {
        Self {
            moref,
            name: String::new(),
            parent: None,
            owner: None,
            config: PoolConfig::default(),
            vms: Vec::new(),
            pools: Vec::new(),
            mark: None,
            custom: CustomValues::new(),
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match path {
            "name" => self.name = name_from(value),
            "parent" => self.parent = moref_from(value),
            "owner" => self.owner = moref_from(value),
            "config.cpuAllocation" => self.config.cpu = value.map(Allocation::from_node).unwrap_or_default(),
            "config.memoryAllocation" => {
                self.config.memory = value.map(Allocation::from_node).unwrap_or_default();
            }
            "vm" => self.vms = morefs_from(value),
            "resourcePool" => self.pools = morefs_from(value),
            "customValue" => self.custom = custom_values(value),
            _ => {}
        }
    }

    fn derive_mark(&mut self, key: Option<i32>) {
        self.mark = mark_of(&self.custom, key);
    }
}

/// An inventory folder of any type (storage pods count as folders).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Reference: `Folder` or `StoragePod`.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The folder above, or the datacenter for its four root folders.
    pub parent: Option<Moref>,
    /// The ownership mark: our custom attribute.
    pub mark: Option<String>,
    /// What lies directly in it.
    pub children: Vec<Moref>,
    pub(crate) custom: CustomValues,
}

entity!(Folder);

impl Mirrored for Folder {
    fn empty(moref: Moref) -> Self {
        Self {
            moref,
            name: String::new(),
            parent: None,
            mark: None,
            children: Vec::new(),
            custom: CustomValues::new(),
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match path {
            "name" => self.name = name_from(value),
            "parent" => self.parent = moref_from(value),
            "childEntity" => self.children = morefs_from(value),
            "customValue" => self.custom = custom_values(value),
            _ => {}
        }
    }

    fn derive_mark(&mut self, key: Option<i32>) {
        self.mark = mark_of(&self.custom, key);
    }
}

fn mark_of(values: &CustomValues, key: Option<i32>) -> Option<String> {
    values.get(&key?).cloned()
}
