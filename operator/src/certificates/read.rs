//! Reads certificates: whether and for what they hold.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::X509Certificate;

fn with_certificate<R>(pem: &str, read: impl FnOnce(&X509Certificate<'_>) -> Option<R>) -> Option<R> {
    let (_, block) = parse_x509_pem(pem.as_bytes()).ok()?;
    read(&block.parse_x509().ok()?)
}

/// When a certificate expires; `None` if it cannot be read.
pub(super) fn expiry(pem: &str) -> Option<SystemTime> {
    with_certificate(pem, |certificate| {
        let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    })
}

/// The names a certificate is for, sorted; `None` if it cannot be read.
pub(super) fn names(pem: &str) -> Option<Vec<String>> {
    with_certificate(pem, |certificate| {
        let alternatives = certificate.subject_alternative_name().ok()??;
        let mut names: Vec<String> = alternatives.value.general_names.iter().filter_map(name).collect();
        names.sort();
        Some(names)
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
