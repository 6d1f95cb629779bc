//! Limits of a resource pool.

use crate::xml::{Node, Writer};

/// How a pool competes with its siblings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Shares {
    /// Half of normal.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Twice normal.
    High,
    /// A number of one's own.
    Custom(i32),
}

/// Share of one resource, in MHz for CPU and in MB for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allocation {
    /// Guaranteed amount.
    pub reservation: i64,
    /// Upper bound; -1 is none.
    pub limit: i64,
    /// Whether the reservation may grow into the parent's.
    pub expandable: bool,
    /// Weight under contention.
    pub shares: Shares,
}

impl Default for Allocation {
    /// Nothing reserved, no limit, as vic-machine makes its pools.
    fn default() -> Self {
        Self {
            reservation: 0,
            limit: -1,
            expandable: true,
            shares: Shares::Normal,
        }
    }
}

/// Limits of a resource pool. Comparing two is a comparison of their meaning: the number that
/// vCenter computes for a level is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PoolConfig {
    /// CPU, in MHz.
    pub cpu: Allocation,
    /// Memory, in MB.
    pub memory: Allocation,
}

impl Allocation {
    pub(crate) fn from_node(node: &Node) -> Self {
        let shares = node.child("shares");
        let level = shares.and_then(|shares| shares.text_of("level"));
        Self {
            reservation: node.value("reservation").unwrap_or_default(),
            limit: node.value("limit").unwrap_or(-1),
            expandable: node.flag("expandableReservation").unwrap_or_default(),
            shares: match level {
                Some("low") => Shares::Low,
                Some("high") => Shares::High,
                Some("custom") => Shares::Custom(
                    shares
                        .and_then(|shares| shares.value("shares"))
                        .unwrap_or_default(),
                ),
                _ => Shares::Normal,
            },
        }
    }

    fn write(&self, w: &mut Writer, name: &str) {
        let (number, level) = match self.shares {
            Shares::Low => (0, "low"),
            Shares::Normal => (0, "normal"),
            Shares::High => (0, "high"),
            Shares::Custom(number) => (number, "custom"),
        };
        w.element(name, |w| {
            w.value("reservation", self.reservation);
            w.value("expandableReservation", self.expandable);
            w.value("limit", self.limit);
            w.element("shares", |w| {
                w.value("shares", number);
                w.value("level", level);
            });
        });
    }
}

impl PoolConfig {
    /// A `ResourceConfigSpec`. All values of both allocations are written: vCenter refuses a pool
    /// that leaves one out.
    pub(crate) fn write(&self, w: &mut Writer, name: &str) {
        w.element(name, |w| {
            self.cpu.write(w, "cpuAllocation");
            self.memory.write(w, "memoryAllocation");
        });
    }
}
