//! Faults: of a call, of a task, of a missing property.

use std::fmt;

use crate::xml::Node;

/// A fault as vCenter reports it, where no variant of [`crate::Error`] fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Type of the fault, such as `InsufficientResourcesFault`.
    pub kind: String,
    /// vCenter's own words; often empty.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, " ({})", self.message) }
    }
}

#[allow(dead_code)]
pub(crate) struct Detail(Node);
