//! The manager's state and its rules, without any I/O: time comes in as an argument.

pub mod compose;
pub mod document;
pub mod events;
pub mod hierarchy;
pub mod index;
pub mod inventory;
pub mod list;
pub mod object;
pub mod pools;
pub mod queue;
pub mod read;
pub mod realized;
pub mod seed;
pub mod statistics;
pub mod store;
pub mod tenancy;
pub mod tree;
pub mod tuning;
pub mod verdict;
pub mod write;

use std::collections::BTreeMap;

use crate::schema::Schema;
use index::Index;
use inventory::Inventory;
use pools::Pools;
use queue::Queue;
use statistics::Statistics;
use store::Store;
use tuning::Tuning;

/// Overlay ids that the system hands out start above this.
const FIRST_OVERLAY_ID: u64 = 65_536;

/// The manager's state.
pub struct World {
    /// Type facts.
    pub schema: &'static Schema,
    /// Intents.
    pub store: Store,
    /// Knobs.
    pub tuning: Tuning,
    /// VMs and their vNICs, as the compute manager told.
    pub inventory: Inventory,
    /// What search knows.
    pub index: Index,
    /// What is due.
    pub queue: Queue,
    /// Number of the last change to the set of realized segments.
    pub switches: u64,
    /// Overlay ids that the system gave to realized segments that name none, by path.
    pub overlay_ids: BTreeMap<String, u64>,
    /// The last overlay id that the system gave.
    pub last_overlay_id: u64,
    /// Addresses and subnets that are given.
    pub pools: Pools,
    /// What rules have counted.
    pub statistics: Statistics,
    /// Number of the last write.
    pub generation: u64,
    /// This cluster's id.
    pub cluster_id: String,
    /// When it was started, epoch milliseconds.
    pub started: u64,
}

/// Who writes, and when.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Name of the user.
    pub user: String,
    /// Epoch milliseconds.
    pub now: u64,
}

impl World {
    /// A manager as it is found on site: built-in objects, transport zones, an edge cluster, a Tier-0 and a Tier-1.
    ///
    /// # Errors
    /// When the embedded type facts or the seed are broken.
    pub fn new(now: u64) -> Result<Self, String> {
        let mut world = Self {
            schema: Schema::embedded()?,
            store: Store::default(),
            tuning: Tuning::default(),
            inventory: Inventory::default(),
            index: Index::default(),
            queue: Queue::default(),
            switches: 1,
            overlay_ids: BTreeMap::new(),
            last_overlay_id: FIRST_OVERLAY_ID,
            pools: Pools::default(),
            statistics: Statistics::default(),
            generation: 0,
            cluster_id: new_uuid(),
            started: now,
        };
        seed::plant(&mut world, now)?;
        Ok(world)
    }
}

/// A fresh UUID, version 4.
pub fn new_uuid() -> String {
    let bytes: u128 = rand::random();
    let value = (bytes & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{value:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

#[cfg(test)]
mod tests;
