//! Managed object references: how vCenter names an object.

use std::fmt;
use std::str::FromStr;

/// A managed object reference, such as `VirtualMachine:vm-42`.
///
/// It is stable for the object's life within one vCenter inventory, and means nothing in another:
/// keep it beside the vCenter's instance UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moref {
    /// The managed object's type, such as `VirtualMachine`.
    pub kind: String,
    /// The identifier within the type, such as `vm-42`.
    pub value: String,
}

impl Moref {
    /// A reference of the given type and identifier.
    pub fn new(kind: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            value: value.into(),
        }
    }
}

impl fmt::Display for Moref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

/// The text is not `Type:identifier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a managed object reference has the form Type:identifier")]
pub struct ParseMorefError;

impl FromStr for Moref {
    type Err = ParseMorefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((kind, value)) if !kind.is_empty() && !value.is_empty() => Ok(Self::new(kind, value)),
            _ => Err(ParseMorefError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_refuses_halves() {
        let moref: Moref = "VirtualMachine:vm-42".parse().unwrap();
        assert_eq!(moref, Moref::new("VirtualMachine", "vm-42"));
        assert_eq!(moref.to_string(), "VirtualMachine:vm-42");
        for bad in ["", "vm-42", ":vm-42", "VirtualMachine:"] {
            assert_eq!(bad.parse::<Moref>(), Err(ParseMorefError), "{bad}");
        }
    }
}
