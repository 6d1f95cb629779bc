//! What a failed HTTP request means.

use std::error::Error as StdError;
use std::io;

use rustls::CertificateError;

use super::call::Effect;
use crate::error::Error;

/// The error behind a request that brought no answer.
pub(crate) fn of_request(error: &reqwest::Error, method: &str, effect: Effect) -> Error {
    if let Some(reason) = distrust(error) {
        return Error::Untrusted { reason };
    }
    if effect == Effect::Write && !error.is_connect() && !error.is_builder() {
        return Error::OutcomeUnknown {
            method: method.to_owned(),
        };
    }
    let reason = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        root(error)
    };
    Error::Unreachable { reason }
}

/// Why the certificate is not trusted, if that is the cause. TLS errors come wrapped in I/O errors,
/// whose inner error is not part of the source chain.
fn distrust(error: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = cause
            .downcast_ref::<rustls::Error>()
            .or_else(|| inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()));
        if let Some(rustls::Error::InvalidCertificate(reason)) = tls {
            return Some(in_words(reason));
        }
        next = cause.source();
    }
    None
}

fn in_words(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => "it is not signed by a trusted authority".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is made out for another host name".to_owned()
        }
        CertificateError::ApplicationVerificationFailure => "it is not the expected one".to_owned(),
        other => other.to_string(),
    }
}

/// The innermost cause: "Connection refused", not "error sending request".
fn root(error: &reqwest::Error) -> String {
    let mut deepest: &(dyn StdError + 'static) = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}
