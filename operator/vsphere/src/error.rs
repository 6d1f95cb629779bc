//! The one error type of this crate, its retry class, and the sentence a user reads.

use crate::moref::Moref;
use crate::objects::PowerState;
use crate::soap::Fault;

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Passes by itself, or by planning anew on the mirror: try again.
    Transient,
    /// Waits for somebody or something else: credentials, trust, a permission, a name that is taken.
    Blocked,
    /// The same request will always be refused.
    Terminal,
}

/// Why a call to vCenter did not do what was asked. Displays as one sentence for users.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, a timeout, or the connection broke before the request was sent.
    #[error("vCenter cannot be reached: {reason}.")]
    Unreachable {
        /// What the connection said.
        reason: String,
    },
    /// The server's certificate is not trusted by the given trust.
    #[error("The certificate of vCenter is not trusted: {reason}.")]
    Untrusted {
        /// What verification said.
        reason: String,
    },
    /// vCenter refused the user name or the password.
    #[error("vCenter refused the user name or the password.")]
    InvalidLogin,
    /// The session was lost, and a new login did not help.
    #[error("vCenter does not accept the session, even after a new login.")]
    NotAuthenticated,
    /// The user lacks a privilege.
    #[error("vCenter refuses this for lack of the privilege {} on {}.", or(privilege.as_ref(), "(unnamed)"), or(object.as_ref(), "the object"))]
    NoPermission {
        /// The privilege's id, such as `DVPortgroup.Create`.
        privilege: Option<String>,
        /// The object it is missing on.
        object: Option<Moref>,
    },
    /// The name is taken in the same parent.
    #[error("The name {name} is already in use in vCenter.")]
    DuplicateName {
        /// The name that is taken.
        name: String,
        /// The object that has it, where vCenter tells.
        object: Option<Moref>,
    },
    /// The object changed since it was read (stale `configVersion`).
    #[error("The object was changed by somebody else at the same time.")]
    ConcurrentAccess,
    /// The object is in use and cannot be changed or removed.
    #[error("{} is still in use.", or(name.as_ref(), "The object"))]
    ResourceInUse {
        /// Its name, where vCenter tells.
        name: Option<String>,
    },
    /// The object does not exist (any more).
    #[error("{} does not exist in vCenter.", or(object.as_ref(), "The object"))]
    ManagedObjectNotFound {
        /// The missing object, where vCenter tells.
        object: Option<Moref>,
    },
    /// The object's state does not allow this.
    #[error("The state of the object does not allow this{}.", said(message))]
    InvalidState {
        /// vCenter's own words.
        message: String,
    },
    /// The virtual machine's power state does not allow this.
    #[error("The virtual machine is {}, which does not allow this.", or(existing.as_ref(), "in another power state"))]
    InvalidPowerState {
        /// The power state it has, where vCenter tells.
        existing: Option<PowerState>,
    },
    /// A file or directory does not exist.
    #[error("The file {path} does not exist.")]
    FileNotFound {
        /// The datastore path, where vCenter tells.
        path: String,
    },
    /// A file or directory exists already.
    #[error("The file {path} exists already.")]
    FileAlreadyExists {
        /// The datastore path, where vCenter tells.
        path: String,
    },
    /// An argument is not acceptable.
    #[error("vCenter refuses the value of {property}{}.", said(message))]
    InvalidArgument {
        /// The property that is refused.
        property: String,
        /// vCenter's own words.
        message: String,
    },
    /// Another task has the object, or a host does not answer: the kinds vic-machine retries too.
    #[error("vCenter is busy with the object ({}).", fault.kind)]
    Busy {
        /// The fault.
        fault: Fault,
    },
    /// A task ended in a fault that has no variant of its own.
    #[error("A task of vCenter failed with {fault}.")]
    TaskFailed {
        /// The fault of `info.error`.
        fault: Fault,
    },
    /// A call was refused with a fault that has no variant of its own.
    #[error("vCenter refused the call {method} with {fault}.")]
    Refused {
        /// The method.
        method: String,
        /// The fault.
        fault: Fault,
    },
    /// The request was sent, but what became of it is not known. The mirror will show it.
    #[error("The connection broke during {method}; what became of it is not known yet.")]
    OutcomeUnknown {
        /// The method.
        method: String,
    },
    /// vCenter answered with an HTTP status that is not of the API, such as 503 while it starts.
    #[error("vCenter answered with HTTP status {status} to {method}.")]
    Http {
        /// The status code.
        status: u16,
        /// The method.
        method: String,
    },
    /// The answer could not be understood.
    #[error("vCenter's answer to {method} could not be understood: {reason}.")]
    Protocol {
        /// The method.
        method: String,
        /// What was wrong with it.
        reason: String,
    },
    /// This process may not be the one that writes any more; nothing was sent.
    #[error("Another replica of the operator may be the one that writes to vCenter now.")]
    Fenced,
    /// The text has characters that XML cannot carry.
    #[error("A value has characters that cannot be sent to vCenter.")]
    Unsendable,
    /// The configured address is not an `https://` URL.
    #[error("{url} is not an https address.")]
    InvalidUrl {
        /// The address as configured.
        url: String,
    },
    /// The datacenter does not exist, or the name fits several.
    #[error("The datacenter {datacenter} {problem}.")]
    Datacenter {
        /// As configured.
        datacenter: String,
        /// `does not exist` or `is not unique`.
        problem: &'static str,
    },
    /// The datastore of a path is not known.
    #[error("The datastore {datastore} does not exist.")]
    UnknownDatastore {
        /// Its name.
        datastore: String,
    },
    /// The source of an upload failed.
    #[error("The upload of {path} ended early: {reason}.")]
    UploadSource {
        /// The datastore path.
        path: String,
        /// What the source said.
        reason: String,
    },
    /// The file has another size than was sent.
    #[error("The upload of {path} is not whole: {found} of {expected} bytes arrived.")]
    UploadIncomplete {
        /// The datastore path.
        path: String,
        /// Bytes sent.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The engine was shut down.
    #[error("The connection to vCenter was closed.")]
    Closed,
}

/// vCenter's own words, which are often none.
fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

fn or<T: ToString>(value: Option<&T>, otherwise: &str) -> String {
    value.map_or_else(|| otherwise.to_owned(), ToString::to_string)
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::NotAuthenticated
            | Self::ConcurrentAccess
            | Self::ManagedObjectNotFound { .. }
            | Self::InvalidState { .. }
            | Self::InvalidPowerState { .. }
            | Self::FileNotFound { .. }
            | Self::Busy { .. }
            | Self::TaskFailed { .. }
            | Self::Refused { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Http { .. }
            | Self::Protocol { .. }
            | Self::UploadSource { .. }
            | Self::UploadIncomplete { .. }
            | Self::Closed => Class::Transient,
            Self::Untrusted { .. }
            | Self::InvalidLogin
            | Self::Fenced
            | Self::NoPermission { .. }
            | Self::DuplicateName { .. }
            | Self::ResourceInUse { .. }
            | Self::FileAlreadyExists { .. }
            | Self::Datacenter { .. }
            | Self::UnknownDatastore { .. } => Class::Blocked,
            Self::InvalidArgument { .. } | Self::Unsendable | Self::InvalidUrl { .. } => Class::Terminal,
        }
    }

    /// What a metric calls it: the type of vCenter's fault where there is one, else a word. Names no object.
    #[must_use]
    pub fn label(&self) -> String {
        let word = match self {
            Self::Busy { fault } | Self::TaskFailed { fault } | Self::Refused { fault, .. } => {
                return fault.kind.clone();
            }
            Self::Http { status, .. } => return format!("http-{status}"),
            Self::Unreachable { .. } => "unreachable",
            Self::Untrusted { .. } => "untrusted",
            Self::InvalidLogin => "InvalidLogin",
            Self::NotAuthenticated => "NotAuthenticated",
            Self::NoPermission { .. } => "NoPermission",
            Self::DuplicateName { .. } => "DuplicateName",
            Self::ConcurrentAccess => "ConcurrentAccess",
            Self::ResourceInUse { .. } => "ResourceInUse",
            Self::ManagedObjectNotFound { .. } => "ManagedObjectNotFound",
            Self::InvalidState { .. } => "InvalidState",
            Self::InvalidPowerState { .. } => "InvalidPowerState",
            Self::FileNotFound { .. } => "FileNotFound",
            Self::FileAlreadyExists { .. } => "FileAlreadyExists",
            Self::InvalidArgument { .. } => "InvalidArgument",
            Self::OutcomeUnknown { .. } => "unanswered",
            Self::Protocol { .. } => "not-understood",
            Self::UploadSource { .. } | Self::UploadIncomplete { .. } => "incomplete",
            Self::Unsendable
            | Self::InvalidUrl { .. }
            | Self::Datacenter { .. }
            | Self::UnknownDatastore { .. }
            | Self::Fenced
            | Self::Closed => "not-sent",
        };
        word.to_owned()
    }

    /// Whether the object, or the file, that the call was about does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::ManagedObjectNotFound { .. } | Self::FileNotFound { .. }
        )
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
