//! Datastores.

use super::{Mirrored, entity, flag_from, moref_from, name_from, number_from};
use crate::moref::Moref;
use crate::xml::Node;

/// A datastore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datastore {
    /// Reference.
    pub moref: Moref,
    /// Name.
    pub name: String,
    /// The folder or storage pod above.
    pub parent: Option<Moref>,
    /// Whether some host can use it.
    pub accessible: bool,
    /// Free space in bytes, as vCenter last looked.
    pub free: u64,
    /// Capacity in bytes.
    pub capacity: u64,
    /// Hosts that mount it.
    pub hosts: Vec<Moref>,
    /// The object that lists its files.
    pub(crate) browser: Option<Moref>,
}

entity!(Datastore);

impl Mirrored for Datastore {
    fn empty(moref: Moref) -> Self {
        Self {
            moref,
            name: String::new(),
            parent: None,
            accessible: false,
            free: 0,
            capacity: 0,
            hosts: Vec::new(),
            browser: None,
        }
    }

    fn set(&mut self, path: &str, value: Option<&Node>) {
        match path {
            "name" => self.name = name_from(value),
            "parent" => self.parent = moref_from(value),
            "summary.accessible" => self.accessible = flag_from(value),
            "summary.freeSpace" => self.free = number_from(value),
            "summary.capacity" => self.capacity = number_from(value),
            "host" => self.hosts = mounts(value),
            "browser" => self.browser = moref_from(value),
            _ => {}
        }
    }
}

/// `host` is an array of mounts, each with the host as `key`.
fn mounts(value: Option<&Node>) -> Vec<Moref> {
    let mounts = value.map(|node| node.children.as_slice()).unwrap_or_default();
    mounts.iter().filter_map(|mount| mount.moref_of("key")).collect()
}
