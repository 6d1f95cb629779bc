//! What happens later: realization, removal, the index catching up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::Document;

/// Something that is due at a moment.
#[derive(Clone, Debug)]
pub enum Event {
    /// The realized entity shows up as `UNREALIZED`.
    Appear { path: String, generation: u64 },
    /// The intent takes effect, or fails to.
    Realize { path: String, generation: u64 },
    /// A deleted intent is gone.
    Purge { path: String, generation: u64 },
    /// Search learns of a state: the document, or that there is none any more.
    Index {
        key: String,
        document: Option<Arc<Document>>,
    },
    /// Segment ports follow the inventory.
    Ports,
}

/// Events by the moment they are due, in the order they were made.
#[derive(Default)]
pub struct Queue {
    events: BTreeMap<(u64, u64), Event>,
    serial: u64,
}

impl Queue {
    /// Plans an event for a moment, epoch milliseconds.
    pub fn push(&mut self, due: u64, event: Event) {
        self.serial = self.serial.saturating_add(1);
        self.events.insert((due, self.serial), event);
    }

    /// The next event that is due: its moment, its number, itself.
    pub fn pop(&mut self, now: u64) -> Option<(u64, u64, Event)> {
        let entry = self.events.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let ((due, serial), event) = entry.remove_entry();
        Some((due, serial, event))
    }

    /// When the next event is due.
    pub fn next_due(&self) -> Option<u64> {
        self.events.keys().next().map(|(due, _)| *due)
    }
}
