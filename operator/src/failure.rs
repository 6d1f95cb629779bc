//! Why a reconcile did not reach Ready: one error enum per step, and one exhaustive mapping from each
//! error to the reason users read, the condition it falsifies and how it is retried.

use crate::conditions::{ConditionType, Summary, Truth};
use crate::images::ImageError;

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
    #[error("ContainerNetwork {0} does not exist in this namespace")]
    NetworkMissing(String),
    /// A network is not ready.
    #[error("waits for ContainerNetwork {}", .0.join(", "))]
    NetworkNotReady(Vec<String>),
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
        field: &'static str,
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

/// What *plan* can meet.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Someone else holds it.
    #[error("{0}")]
    Conflict(String),
    /// It is still used.
    #[error("{0}")]
    InUse(String),
    /// Containers run in a VCH that is to be deleted.
    #[error(
        "{count} containers still run in {vch}; stop them, or set spec.onDelete.runningContainers: Remove to delete them with it"
    )]
    ContainersRunning {
        /// How many.
        count: usize,
        /// The VCH's name.
        vch: String,
    },
}

/// What *apply* can meet.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// NSX refused or did not answer.
    #[error(transparent)]
    Nsx(#[from] nsx::Error),
    /// vCenter refused or did not answer.
    #[error(transparent)]
    VSphere(#[from] vsphere::Error),
    /// The kube-apiserver refused.
    #[error("the kube-apiserver refused: {0}")]
    Kube(#[from] kube::Error),
    /// An image could not be brought to a datastore.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Written, and not yet in effect.
    #[error("waits until {0}")]
    Realizing(String),
    /// Written, and NSX cannot bring it into effect.
    #[error("NSX could not realize {what}: {message}")]
    RealizationFailed {
        /// What.
        what: String,
        /// What NSX says.
        message: String,
    },
    /// The endpoint VM is starting.
    #[error("{0}")]
    Booting(String),
    /// A part of the endpoint VM did not start.
    #[error("{component} did not start in the endpoint VM: {message}")]
    ComponentFailed {
        /// The part.
        component: String,
        /// What it says.
        message: String,
    },
    /// The Docker API does not answer.
    #[error("the Docker API at {url} does not answer: {message}")]
    DockerApi {
        /// Where it was asked.
        url: String,
        /// What went wrong.
        message: String,
    },
    /// Certificates could not be made or read.
    #[error("certificates: {0}")]
    Certificates(String),
    /// VIC's configuration could not be encoded.
    #[error("the endpoint VM's configuration cannot be written: {0}")]
    Configuration(#[from] guestinfo::Error),
    /// Another replica writes for this Site.
    #[error("another replica of the operator serves Site {0}")]
    LeaseHeld(String),
    /// A connection that once stood has trouble.
    #[error("{sentence}")]
    Degraded {
        /// The kind of trouble.
        reason: &'static str,
        /// What the engine says.
        sentence: String,
    },
    /// It took too long.
    #[error("it took longer than {0} s and begins anew")]
    TimedOut(u64),
}

/// Any of the four.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// From *dereference*.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// From *validate*.
    #[error(transparent)]
    Validate(#[from] ValidateError),
    /// From *plan*.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// From *apply*.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// How a failure is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Under way: an event will tell.
    Progress,
    /// Passes by itself: with growing back-off.
    Transient,
    /// Waits for something else to change, which will tell; looked at again now and then.
    Blocked,
    /// Only the user can act.
    Terminal,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The reason in conditions, events and metrics.
    pub reason: &'static str,
    /// The condition that is False.
    pub condition: ConditionType,
    /// How it is retried.
    pub class: Class,
}

const fn verdict(reason: &'static str, condition: ConditionType, class: Class) -> Verdict {
    Verdict {
        reason,
        condition,
        class,
    }
}

impl Failure {
    /// The one mapping.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Dereference(error) => dereference(error),
            Self::Validate(error) => validate(error),
            Self::Plan(error) => plan(error),
            Self::Apply(error) => apply(error),
        }
    }

    /// What a status says of it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let verdict = self.verdict();
        let mut extra = Vec::new();
        if verdict.reason == "Conflict" {
            extra.push((ConditionType::Conflict, Truth::True, verdict.reason));
        }
        if let Self::Apply(ApplyError::DockerApi { .. }) = self {
            extra.push((ConditionType::DockerApiReachable, Truth::False, verdict.reason));
        }
        Summary {
            ready: Truth::False,
            reason: verdict.reason,
            message: sentence(&self.to_string()),
            failed: Some(verdict.condition),
            declined: None,
            reconciling: verdict.class != Class::Terminal,
            stalled: verdict.class == Class::Terminal,
            extra,
        }
    }
}

/// The text as one sentence: a capital at its head, unless a name stands there that has none, and a full stop at its end.
fn sentence(text: &str) -> String {
    if ["vCenter", "vSphere", "spec."]
        .iter()
        .any(|name| text.starts_with(name))
    {
        return format!("{}.", text.trim_end_matches('.'));
    }
    let mut chars = text.trim_end_matches('.').chars();
    let head = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{head}{}.", chars.as_str())
}

fn dereference(error: &DereferenceError) -> Verdict {
    use ConditionType::ResolvedRefs;
    match error {
        DereferenceError::SiteMissing(_) => verdict("SiteNotFound", ResolvedRefs, Class::Blocked),
        DereferenceError::SiteNotReady(_) => verdict("SiteNotReady", ResolvedRefs, Class::Blocked),
        DereferenceError::NsxAbsent(_) => verdict("NsxNotConfigured", ResolvedRefs, Class::Blocked),
        DereferenceError::NetworkMissing(_) => verdict("NetworkNotFound", ResolvedRefs, Class::Blocked),
        DereferenceError::NetworkNotReady(_) => verdict("NetworkNotReady", ResolvedRefs, Class::Blocked),
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

fn validate(error: &ValidateError) -> Verdict {
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
    }
}

fn plan(error: &PlanError) -> Verdict {
    use ConditionType::Programmed;
    match error {
        PlanError::Conflict(_) => verdict("Conflict", Programmed, Class::Blocked),
        PlanError::InUse(_) => verdict("InUse", Programmed, Class::Blocked),
        PlanError::ContainersRunning { .. } => verdict("ContainersRunning", Programmed, Class::Blocked),
    }
}

fn apply(error: &ApplyError) -> Verdict {
    use ConditionType::Programmed;
    match error {
        ApplyError::Nsx(error) => nsx_verdict(error, Programmed),
        ApplyError::VSphere(error) | ApplyError::Image(ImageError::VSphere(error)) => {
            vsphere_verdict(error, Programmed)
        }
        ApplyError::Kube(_) => verdict("KubernetesError", Programmed, Class::Transient),
        ApplyError::Image(ImageError::Checksum { .. }) => {
            verdict("ChecksumMismatch", Programmed, Class::Blocked)
        }
        ApplyError::Image(ImageError::Version { .. }) => verdict("WrongImage", Programmed, Class::Blocked),
        ApplyError::Image(ImageError::Download { .. }) => {
            verdict("DownloadFailed", Programmed, Class::Transient)
        }
        ApplyError::Realizing(_) => verdict("Realizing", Programmed, Class::Progress),
        ApplyError::RealizationFailed { .. } => verdict("RealizationFailed", Programmed, Class::Blocked),
        ApplyError::Booting(_) => verdict("Booting", Programmed, Class::Progress),
        ApplyError::ComponentFailed { .. } => verdict("ComponentFailed", Programmed, Class::Blocked),
        ApplyError::DockerApi { .. } => verdict("DockerAPIUnreachable", Programmed, Class::Transient),
        ApplyError::Certificates(_) => verdict("CertificatesInvalid", Programmed, Class::Blocked),
        ApplyError::Configuration(_) => verdict("ConfigurationInvalid", Programmed, Class::Terminal),
        ApplyError::LeaseHeld(_) => verdict("ServedElsewhere", Programmed, Class::Blocked),
        ApplyError::Degraded { reason, .. } => verdict(reason, Programmed, Class::Blocked),
        ApplyError::TimedOut(_) => verdict("TimedOut", Programmed, Class::Transient),
    }
}

fn nsx_verdict(error: &nsx::Error, condition: ConditionType) -> Verdict {
    let class = match error.class() {
        nsx::Class::Transient => Class::Transient,
        nsx::Class::Blocked => Class::Blocked,
        nsx::Class::Terminal => Class::Terminal,
    };
    match error {
        nsx::Error::Unauthorized { .. } => verdict("InvalidCredentials", condition, class),
        nsx::Error::Untrusted { .. } => verdict("Untrusted", condition, class),
        nsx::Error::Unreachable { .. } | nsx::Error::NoAnswer { .. } => {
            verdict("NsxUnreachable", condition, class)
        }
        nsx::Error::Unresolved { .. } => verdict("NotFound", condition, class),
        nsx::Error::Ambiguous { .. } => verdict("Ambiguous", condition, class),
        // The object of that name is on its way out: nothing is wrong with the manager.
        nsx::Error::DeletePending(_) => verdict("Realizing", condition, class),
        // Ports and references linger for a while after their owners: nothing tells of their end.
        nsx::Error::InUse(_) | nsx::Error::SegmentInUse(_) => verdict("InUse", condition, Class::Transient),
        _ if class == Class::Transient => verdict("NsxUnavailable", condition, class),
        _ => verdict("NsxRefused", condition, class),
    }
}

fn vsphere_verdict(error: &vsphere::Error, condition: ConditionType) -> Verdict {
    let class = match error.class() {
        vsphere::Class::Transient => Class::Transient,
        vsphere::Class::Blocked => Class::Blocked,
        vsphere::Class::Terminal => Class::Terminal,
    };
    match error {
        vsphere::Error::InvalidLogin | vsphere::Error::NotAuthenticated => {
            verdict("InvalidCredentials", condition, class)
        }
        vsphere::Error::Untrusted { .. } => verdict("Untrusted", condition, class),
        vsphere::Error::Unreachable { .. } => verdict("VCenterUnreachable", condition, class),
        vsphere::Error::NoPermission { .. } => verdict("NoPermission", condition, class),
        vsphere::Error::DuplicateName { .. } => verdict("Conflict", condition, class),
        vsphere::Error::ResourceInUse { .. } => verdict("InUse", condition, class),
        vsphere::Error::Datacenter { .. } => verdict("NotFound", condition, class),
        _ if class == Class::Transient => verdict("VCenterUnavailable", condition, class),
        _ => verdict("VCenterRefused", condition, class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_falsifies_its_own_condition() {
        let cases: [(Failure, &str, ConditionType, Class); 5] = [
            (
                DereferenceError::SiteMissing("poc".into()).into(),
                "SiteNotFound",
                ConditionType::ResolvedRefs,
                Class::Blocked,
            ),
            (
                ValidateError::NotAllowed {
                    what: "VLAN 9".into(),
                    namespace: "a".into(),
                    site: "poc".into(),
                }
                .into(),
                "NotAllowed",
                ConditionType::Accepted,
                Class::Terminal,
            ),
            (
                PlanError::Conflict("taken".into()).into(),
                "Conflict",
                ConditionType::Programmed,
                Class::Blocked,
            ),
            (
                ApplyError::Realizing("it is there".into()).into(),
                "Realizing",
                ConditionType::Programmed,
                Class::Progress,
            ),
            (
                ApplyError::VSphere(vsphere::Error::InvalidLogin).into(),
                "InvalidCredentials",
                ConditionType::Programmed,
                Class::Blocked,
            ),
        ];
        for (failure, reason, condition, class) in cases {
            assert_eq!(
                failure.verdict(),
                Verdict {
                    reason,
                    condition,
                    class
                },
                "{failure}"
            );
        }
    }

    #[test]
    fn a_summary_is_one_plain_sentence() {
        let summary = Failure::from(PlanError::Conflict("port group Docker-Public exists".into())).summary();
        assert_eq!(summary.message, "Port group Docker-Public exists.");
        assert!(summary.reconciling && !summary.stalled);
        assert_eq!(summary.extra.len(), 1, "a conflict has a condition of its own");
    }
}
