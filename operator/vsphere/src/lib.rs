//! vCenter as the operator uses it: one session, a mirror of one datacenter that is fed by
//! `WaitForUpdatesEx`, and changes that are awaited without polling.
//!
//! [`Engine::connect`] logs in and starts the mirror. [`Engine::read`] never does I/O; every change
//! returns when the mirror shows it.

mod config;
mod datacenter;
mod engine;
mod error;
mod files;
mod health;
mod inventory;
mod lookup;
mod mirror;
mod moref;
mod objects;
mod observer;
mod session;
mod soap;
mod spec;
mod takeover;
mod tasks;
#[cfg(test)]
mod testing;
mod updates;
mod xml;

pub use config::{About, Config, MayWrite};
pub use engine::Engine;
pub use error::{Class, Error};
pub use files::{DatastorePath, FileInfo, ParseDatastorePathError};
pub use health::{Degradation, Health};
pub use inventory::Inventory;
pub use lookup::{AnyNetwork, Lookup};
pub use moref::{Moref, ParseMorefError};
pub use objects::{
    Cluster, ConnectionState, Datacenter, Datastore, DeviceInfo, Entity, Folder, Host, Network, NetworkKind,
    Nic, Pool, PortGroup, PortGroupBacking, PowerState, Switch, Vlan, Vm,
};
pub use observer::{Called, Observer};
pub use soap::Fault;
pub use spec::{
    Allocation, Binding, Device, DeviceChange, DeviceOp, NicBacking, PoolConfig, PortGroupSpec, Shares,
    VmSpec,
};
