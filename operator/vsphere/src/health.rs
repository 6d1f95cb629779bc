//! Whether vCenter answers, in words a Site's status can carry.

use crate::error::Error;

/// The state of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Calls succeed and the mirror is fed.
    Connected,
    /// They do not: a plain sentence, and the reason by kind.
    Degraded(String, Degradation),
}

/// Why a connection is degraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Degradation {
    /// The certificate is not trusted.
    Untrusted,
    /// User name or password are refused.
    Credentials,
    /// A privilege is missing.
    Permission,
    /// No answer.
    Unreachable,
    /// An answer that makes no sense, or a refusal of what must work.
    Malfunction,
}

impl Health {
    /// The health that an error of the connection's own work tells.
    pub(crate) fn of(error: &Error) -> Self {
        let kind = match error {
            Error::Untrusted { .. } => Degradation::Untrusted,
            Error::InvalidLogin | Error::NotAuthenticated => Degradation::Credentials,
            Error::NoPermission { .. } => Degradation::Permission,
            Error::Unreachable { .. } | Error::OutcomeUnknown { .. } | Error::Http { .. } => {
                Degradation::Unreachable
            }
            _ => Degradation::Malfunction,
        };
        Self::Degraded(error.to_string(), kind)
    }
}
