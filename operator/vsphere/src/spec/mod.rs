//! What is asked of vCenter: desired configurations, and how they are written in the schema's order.

pub(crate) mod filter;
mod pool;
mod portgroup;
mod vm;

pub use pool::{Allocation, PoolConfig, Shares};
pub use portgroup::{Binding, PortGroupSpec};
pub use vm::{Device, DeviceChange, DeviceOp, NicBacking, VmSpec};

#[cfg(test)]
mod golden_tests;
