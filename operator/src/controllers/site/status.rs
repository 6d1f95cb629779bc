//! What a Site's status says of its servers.

use vic_crds::{ServerStatus, SiteStatus};

use crate::failure::ApplyError;
use crate::sites::Connected;

pub(super) fn describe(connected: &Connected, details: &mut SiteStatus) {
    let about = connected.vsphere.about();
    details.vcenter = Some(ServerStatus {
        version: about.version,
        id: about.instance_uuid,
    });
    details.nsx = connected.nsx.as_ref().map(|engine| ServerStatus {
        version: engine.version(),
        id: engine.cluster_id(),
    });
}

/// What troubles a connection that once stood.
pub(super) fn health(connected: &Connected) -> Result<(), ApplyError> {
    if let vsphere::Health::Degraded(sentence, kind) = connected.vsphere.health().borrow().clone() {
        let reason = match kind {
            vsphere::Degradation::Untrusted => "Untrusted",
            vsphere::Degradation::Credentials => "InvalidCredentials",
            vsphere::Degradation::Permission => "NoPermission",
            vsphere::Degradation::Unreachable => "VCenterUnreachable",
            vsphere::Degradation::Malfunction => "VCenterUnavailable",
        };
        return Err(ApplyError::Degraded { reason, sentence });
    }
    let Some(engine) = &connected.nsx else {
        return Ok(());
    };
    if let nsx::Health::Degraded(sentence, kind) = engine.health().borrow().clone() {
        let reason = match kind {
            nsx::Trouble::Untrusted => "Untrusted",
            nsx::Trouble::Unauthorized => "InvalidCredentials",
            nsx::Trouble::Unreachable => "NsxUnreachable",
            nsx::Trouble::Busy | nsx::Trouble::Faulty => "NsxUnavailable",
        };
        return Err(ApplyError::Degraded { reason, sentence });
    }
    Ok(())
}
