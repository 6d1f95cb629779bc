//! What the engines' errors mean, whichever step meets them.

use super::{Class, Verdict, verdict};
use crate::conditions::ConditionType;

pub(super) fn nsx_verdict(error: &nsx::Error, condition: ConditionType) -> Verdict {
    let class = match error.class() {
        nsx::Class::Transient => Class::Transient,
        nsx::Class::Blocked => Class::Blocked,
        nsx::Class::Terminal => Class::Terminal,
    };
    match error {
        nsx::Error::Fenced => verdict("ServedElsewhere", condition, class),
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

pub(super) fn vsphere_verdict(error: &vsphere::Error, condition: ConditionType) -> Verdict {
    let class = match error.class() {
        vsphere::Class::Transient => Class::Transient,
        vsphere::Class::Blocked => Class::Blocked,
        vsphere::Class::Terminal => Class::Terminal,
    };
    match error {
        vsphere::Error::InvalidLogin | vsphere::Error::NotAuthenticated => {
            verdict("InvalidCredentials", condition, class)
        }
        vsphere::Error::Fenced => verdict("ServedElsewhere", condition, class),
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
