//! What *dereference* can meet.

use super::engines::nsx_verdict;
use super::{Class, Verdict, verdict};
use crate::conditions::ConditionType;

/// What *dereference* can meet.
#[derive(Debug, thiserror::Error)]
pub enum DereferenceError {
    /// The Site does not exist.
    #[error("Site {0} does not exist")]
    SiteMissing(String),
    /// The Site is not connected.
    #[error("Site {0} is not ready; its own status says why")]
    SiteNotReady(String),
    /// The Site has no NSX manager, and one is needed.
    #[error("Site {0} has no NSX manager (spec.nsx), and a segment or NAT rule needs one")]
    NsxAbsent(String),
    /// A network does not exist.
    #[error("ContainerNetwork {0} does not exist, or is not shared with this namespace")]
    NetworkMissing(String),
    /// A VCH does not exist.
    #[error("VirtualContainerHost {0} does not exist in this namespace")]
    HostMissing(String),
    /// A policy does not exist, or does not consent.
    #[error("MicrosegmentationPolicy {0} does not exist, or is not shared with this namespace")]
    PolicyMissing(String),
    /// A policy is not ready.
    #[error("waits for MicrosegmentationPolicy {0}")]
    PolicyNotReady(String),
    /// A network is not ready.
    #[error("waits for ContainerNetwork {}", .0.join(", "))]
    NetworkNotReady(Vec<String>),
    /// An edge gateway does not exist.
    #[error("EdgeGateway {0} does not exist in this namespace")]
    GatewayMissing(String),
    /// An edge gateway is not ready.
    #[error("waits for EdgeGateway {0}")]
    GatewayNotReady(String),
    /// A gateway cannot do what is asked of it.
    #[error("gateway {gateway} {why}; nothing was written to NSX")]
    GatewayUnsuitable {
        /// The gateway, such as `tier1/vic-edge`.
        gateway: String,
        /// What it lacks, as a clause that follows its name.
        why: &'static str,
    },
    /// A Secret or ConfigMap does not exist.
    #[error("{kind} {name} does not exist in the operator's namespace")]
    ReferenceMissing {
        /// `Secret` or `ConfigMap`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A Secret or ConfigMap lacks a key, or the key's content is not what it should be.
    #[error("{kind} {name}: key {key} {problem}")]
    ReferenceInvalid {
        /// `Secret` or `ConfigMap`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nothing outside has that name.
    #[error("{field}: no {what} {name} was found")]
    OutsideMissing {
        /// The field that names it.
        field: &'static str,
        /// What was looked for.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Several things outside have that name.
    #[error("{field}: {name} names {count} {what}s; give an id, a moref or a path")]
    OutsideAmbiguous {
        /// The field that names it.
        field: &'static str,
        /// What was looked for.
        what: &'static str,
        /// The name.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// The Site has no account that an endpoint VM may carry.
    #[error(
        "Site {0} has no endpointCredentialsRef, and an endpoint VM never carries the operator's own account"
    )]
    EndpointCredentialsAbsent(String),
    /// A name is needed and neither the object nor the Site's defaults give one.
    #[error("{field} is not set, and Site {site} has no default for it")]
    NoDefault {
        /// The field.
        field: &'static str,
        /// The Site.
        site: String,
    },
    /// What exists outside has not been read completely.
    #[error("reads what exists on Site {0}")]
    Loading(String),
    /// NSX did not answer as it should.
    #[error(transparent)]
    Nsx(#[from] nsx::Error),
    /// The kube-apiserver did not answer as it should.
    #[error("the kube-apiserver refused: {0}")]
    Kube(#[from] kube::Error),
}

pub(super) fn verdict_of(error: &DereferenceError) -> Verdict {
    use ConditionType::ResolvedRefs;
    match error {
        DereferenceError::SiteMissing(_) => verdict("SiteNotFound", ResolvedRefs, Class::Blocked),
        DereferenceError::SiteNotReady(_) => verdict("SiteNotReady", ResolvedRefs, Class::Blocked),
        DereferenceError::NsxAbsent(_) => verdict("NsxNotConfigured", ResolvedRefs, Class::Blocked),
        DereferenceError::NetworkMissing(_) => verdict("NetworkNotFound", ResolvedRefs, Class::Blocked),
        DereferenceError::HostMissing(_) => verdict("HostNotFound", ResolvedRefs, Class::Blocked),
        DereferenceError::PolicyMissing(_) => verdict("PolicyNotFound", ResolvedRefs, Class::Blocked),
        DereferenceError::PolicyNotReady(_) => verdict("PolicyNotReady", ResolvedRefs, Class::Blocked),
        DereferenceError::NetworkNotReady(_) => verdict("NetworkNotReady", ResolvedRefs, Class::Blocked),
        DereferenceError::GatewayMissing(_) => verdict("GatewayNotFound", ResolvedRefs, Class::Blocked),
        DereferenceError::GatewayNotReady(_) => verdict("GatewayNotReady", ResolvedRefs, Class::Blocked),
        DereferenceError::GatewayUnsuitable { .. } => {
            verdict("GatewayUnsuitable", ResolvedRefs, Class::Blocked)
        }
        DereferenceError::ReferenceMissing { .. } => {
            verdict("ReferenceNotFound", ResolvedRefs, Class::Blocked)
        }
        DereferenceError::ReferenceInvalid { .. } => {
            verdict("ReferenceInvalid", ResolvedRefs, Class::Blocked)
        }
        DereferenceError::OutsideMissing { .. } => verdict("NotFound", ResolvedRefs, Class::Blocked),
        DereferenceError::OutsideAmbiguous { .. } => verdict("Ambiguous", ResolvedRefs, Class::Blocked),
        DereferenceError::EndpointCredentialsAbsent(_) => {
            verdict("EndpointCredentialsMissing", ResolvedRefs, Class::Blocked)
        }
        DereferenceError::NoDefault { .. } => verdict("NoDefault", ResolvedRefs, Class::Blocked),
        DereferenceError::Loading(_) => verdict("Loading", ResolvedRefs, Class::Progress),
        DereferenceError::Nsx(error) => nsx_verdict(error, ResolvedRefs),
        DereferenceError::Kube(_) => verdict("KubernetesError", ResolvedRefs, Class::Transient),
    }
}
