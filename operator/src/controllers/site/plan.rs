//! Decides whether the connection that stands will do.

use std::sync::Arc;

use super::validate::Wanted;
use crate::sites::{Connected, Entry};

/// What becomes of a Site's connection.
pub(super) enum Connection {
    /// It stays.
    Keep(Arc<Connected>),
    /// It is made, in place of another one perhaps.
    Make {
        /// The connection that ends.
        replaced: Option<Arc<Connected>>,
    },
}

pub(super) fn plan(current: Option<Entry>, wanted: &Wanted) -> Connection {
    match current.and_then(|entry| entry.connected) {
        Some(connected) if connected.fingerprint == wanted.fingerprint => Connection::Keep(connected),
        replaced => Connection::Make { replaced },
    }
}
