//! Faults: of a call (`detail/XxxFault`) and of a task (`info.error`), typed the same way.

use std::fmt;

use crate::error::Error;
use crate::objects::{PowerState, unescape_name};
use crate::xml::Node;

/// A fault as vCenter reports it, where no variant of [`Error`] fits.
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
        if self.message.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.message)
        }
    }
}

/// Where a fault comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a> {
    /// The answer to this method.
    Call(&'a str),
    /// The end of a task.
    Task,
}

/// A fault with its properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Detail {
    fault: Fault,
    properties: Node,
}

impl Detail {
    /// Reads a `soap:Fault` element.
    pub fn from_call(fault: &Node) -> Self {
        let message = fault.text_of("faultstring").unwrap_or_default();
        let detail = fault.child("detail").and_then(|detail| detail.children.first());
        let kind = detail.map(|detail| match &detail.kind {
            Some(kind) => kind.clone(),
            None => detail
                .name
                .strip_suffix("Fault")
                .unwrap_or(&detail.name)
                .to_owned(),
        });
        Self::new(kind.unwrap_or_else(|| "UnknownFault".to_owned()), message, detail)
    }

    /// Reads a `LocalizedMethodFault`, as in `info.error` or a missing property.
    pub fn from_localized(localized: &Node) -> Self {
        let message = localized.text_of("localizedMessage").unwrap_or_default();
        let detail = localized.child("fault");
        let kind = detail.and_then(|detail| detail.kind.clone());
        Self::new(kind.unwrap_or_else(|| "MethodFault".to_owned()), message, detail)
    }

    fn new(kind: String, message: &str, properties: Option<&Node>) -> Self {
        let message = message.trim().trim_end_matches('.').to_owned();
        Self {
            fault: Fault { kind, message },
            properties: properties.cloned().unwrap_or_default(),
        }
    }

    /// The error that says the same.
    pub fn into_error(self, origin: Origin<'_>) -> Error {
        let Self { fault, properties: p } = self;
        match fault.kind.as_str() {
            "InvalidLogin" => Error::InvalidLogin,
            "NotAuthenticated" => Error::NotAuthenticated,
            "NoPermission" => no_permission(&p),
            "DuplicateName" => Error::DuplicateName {
                name: unescape_name(p.text_of("name").unwrap_or_default()),
                object: p.moref_of("object"),
            },
            "ConcurrentAccess" => Error::ConcurrentAccess,
            "ResourceInUse" => Error::ResourceInUse {
                name: p.string("name"),
            },
            "ManagedObjectNotFound" => Error::ManagedObjectNotFound {
                object: p.moref_of("obj"),
            },
            "InvalidPowerState" => Error::InvalidPowerState {
                existing: p.text_of("existingState").and_then(PowerState::from_wire),
            },
            "InvalidState" => Error::InvalidState {
                message: fault.message,
            },
            "FileNotFound" => Error::FileNotFound {
                path: p.string("file").unwrap_or_default(),
            },
            "FileAlreadyExists" => Error::FileAlreadyExists {
                path: p.string("file").unwrap_or_default(),
            },
            "InvalidArgument" => invalid(&p, "invalidProperty", fault),
            "InvalidName" | "InvalidProperty" => invalid(&p, "name", fault),
            "InvalidDatastorePath" => invalid(&p, "datastorePath", fault),
            // The kinds that vic-machine retries, and the subtypes of HostCommunication.
            "TaskInProgress"
            | "VAppTaskInProgress"
            | "NetworkDisruptedAndConfigRolledBack"
            | "FailToLockFaultToleranceVMs"
            | "HostCommunication"
            | "HostNotConnected"
            | "HostNotReachable" => Error::Busy { fault },
            _ => match origin {
                Origin::Call(method) => Error::Refused {
                    method: method.to_owned(),
                    fault,
                },
                Origin::Task => Error::TaskFailed { fault },
            },
        }
    }
}

/// The privilege is in `privilegeId`, and since vSphere 7.0 in `missingPrivileges` for each object.
fn no_permission(p: &Node) -> Error {
    let missing = p.child("missingPrivileges");
    Error::NoPermission {
        privilege: p
            .string("privilegeId")
            .or_else(|| missing.and_then(|m| m.string("privilegeIds"))),
        object: p
            .moref_of("object")
            .or_else(|| missing.and_then(|m| m.moref_of("entity"))),
    }
}

fn invalid(p: &Node, property: &str, fault: Fault) -> Error {
    Error::InvalidArgument {
        property: p.string(property).unwrap_or(fault.kind),
        message: fault.message,
    }
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
