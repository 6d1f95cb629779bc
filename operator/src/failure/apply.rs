//! What *apply* can meet.

use super::engines::{nsx_verdict, vsphere_verdict};
use super::{Class, Verdict, verdict};
use crate::conditions::ConditionType;
use crate::images::ImageError;

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
    /// The endpoint VM is restarted for a change.
    #[error("endpoint VM {0} is restarted for a change; status.plan says for which")]
    Restarting(String),
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

pub(super) fn verdict_of(error: &ApplyError) -> Verdict {
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
        ApplyError::Restarting(_) => verdict("Restarting", Programmed, Class::Progress),
        ApplyError::ComponentFailed { .. } => verdict("ComponentFailed", Programmed, Class::Blocked),
        ApplyError::DockerApi { .. } => verdict("DockerAPIUnreachable", Programmed, Class::Transient),
        ApplyError::Certificates(_) => verdict("CertificatesInvalid", Programmed, Class::Blocked),
        ApplyError::Configuration(_) => verdict("ConfigurationInvalid", Programmed, Class::Terminal),
        ApplyError::LeaseHeld(_) => verdict("ServedElsewhere", Programmed, Class::Blocked),
        ApplyError::Degraded { reason, .. } => verdict(reason, Programmed, Class::Blocked),
        ApplyError::TimedOut(_) => verdict("TimedOut", Programmed, Class::Transient),
    }
}
