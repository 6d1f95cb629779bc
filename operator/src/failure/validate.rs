//! What *validate* can meet.

use super::{Class, Verdict, verdict};
use crate::conditions::ConditionType;

/// What *validate* can meet.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// The Site's tenants allow this namespace nothing, or not this.
    #[error("{what} is not granted to namespace {namespace} by Site {site}; nothing was written")]
    NotAllowed {
        /// What was asked for, such as `VLAN 120`.
        what: String,
        /// The namespace.
        namespace: String,
        /// The Site.
        site: String,
    },
    /// Several tenant entries of the Site match the namespace.
    #[error("namespace {namespace} matches several tenants of Site {site}: {}", names.join(", "))]
    SeveralTenants {
        /// The namespace.
        namespace: String,
        /// The Site.
        site: String,
        /// The entries.
        names: Vec<String>,
    },
    /// A field breaks a rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// The field's path.
        field: String,
        /// The rule in plain words.
        rule: String,
    },
    /// An address does not lie on the network it names.
    #[error("{field}: {address} does not lie in the subnets of ContainerNetwork {network} ({subnets})")]
    AddressOutsideNetwork {
        /// The field's path.
        field: String,
        /// The address.
        address: String,
        /// The network.
        network: String,
        /// Its subnets.
        subnets: String,
    },
    /// The Site has no such release.
    #[error("version {version} is not among the releases of Site {site}")]
    ReleaseUnknown {
        /// The version.
        version: String,
        /// The Site.
        site: String,
    },
    /// Several of these, each a line.
    #[error("{}", lines(.0))]
    Several(Vec<ValidateError>),
    /// vCenter or NSX is too old.
    #[error("{what} {version} is older than {least}, the oldest this operator knows")]
    TooOld {
        /// `vCenter` or `NSX`.
        what: &'static str,
        /// Its version.
        version: String,
        /// The oldest that is known.
        least: &'static str,
    },
}

pub(super) fn verdict_of(error: &ValidateError) -> Verdict {
    use ConditionType::Accepted;
    match error {
        ValidateError::NotAllowed { .. } => verdict("NotAllowed", Accepted, Class::Terminal),
        ValidateError::SeveralTenants { .. } => verdict("SeveralTenants", Accepted, Class::Terminal),
        ValidateError::Invalid { .. } => verdict("Invalid", Accepted, Class::Terminal),
        ValidateError::AddressOutsideNetwork { .. } => {
            verdict("AddressOutsideNetwork", Accepted, Class::Terminal)
        }
        ValidateError::ReleaseUnknown { .. } => verdict("ReleaseUnknown", Accepted, Class::Terminal),
        ValidateError::TooOld { .. } => verdict("VersionNotSupported", Accepted, Class::Terminal),
        // The first names the reason.
        ValidateError::Several(all) => all
            .first()
            .map_or(verdict("Invalid", Accepted, Class::Terminal), verdict_of),
    }
}

fn lines(errors: &[ValidateError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
