//! The engine.
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::{broadcast, watch};

use crate::{About, Config, DatastorePath, Error, FileInfo, Health, Inventory, Moref, PoolConfig, PortGroupSpec, VmSpec};

/// The connection to one vCenter and the mirror of one datacenter. Cheap to clone.
#[derive(Clone)]
pub struct Engine;

#[allow(unused, missing_docs)]
impl Engine {
    pub async fn connect(config: Config) -> Result<Self, Error> { Err(Error::Closed) }
    pub fn about(&self) -> About { About::default() }
    pub fn health(&self) -> watch::Receiver<Health> { watch::channel(Health::Connected).1 }
    pub fn is_loaded(&self) -> bool { false }
    pub async fn loaded(&self) {}
    pub fn read<R>(&self, f: impl FnOnce(&Inventory) -> R) -> R { f(&Inventory::default()) }
    pub fn changes(&self) -> broadcast::Receiver<Arc<[Moref]>> { broadcast::channel(1).1 }
    pub async fn add_port_group(&self, switch: &Moref, spec: &PortGroupSpec) -> Result<Moref, Error> { Err(Error::Closed) }
    pub async fn reconfigure_port_group(&self, pg: &Moref, config_version: &str, spec: &PortGroupSpec) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn create_pool(&self, parent: &Moref, name: &str, config: &PoolConfig) -> Result<Moref, Error> { Err(Error::Closed) }
    pub async fn update_pool(&self, pool: &Moref, name: Option<&str>, config: Option<&PoolConfig>) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn create_folder(&self, parent: &Moref, name: &str) -> Result<Moref, Error> { Err(Error::Closed) }
    pub async fn rename(&self, object: &Moref, name: &str) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn set_mark(&self, object: &Moref, mark: &str) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn create_vm(&self, folder: &Moref, pool: &Moref, spec: &VmSpec) -> Result<Moref, Error> { Err(Error::Closed) }
    pub async fn reconfigure_vm(&self, vm: &Moref, spec: &VmSpec) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn power_on(&self, vm: &Moref) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn power_off(&self, vm: &Moref) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn destroy(&self, object: &Moref) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn make_directory(&self, path: &DatastorePath) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn search_directory(&self, dir: &DatastorePath, pattern: &str) -> Result<Vec<FileInfo>, Error> { Err(Error::Closed) }
    pub async fn delete_path(&self, path: &DatastorePath) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn move_file(&self, from: &DatastorePath, to: &DatastorePath) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn upload(&self, to: &DatastorePath, size: u64, body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn shutdown(&self) {}
}
