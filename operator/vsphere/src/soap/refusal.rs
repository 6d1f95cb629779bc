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

/// Why the certificate is not trusted, if that is the cause.
fn distrust(error: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = tls(cause) {
            return Some(in_words(reason));
        }
        next = cause.source();
    }
    None
}

/// The TLS error that this is or wraps: I/O errors wrap it, even each other, without naming it as
/// their source.
fn tls<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    cause.downcast_ref::<rustls::Error>().or_else(|| {
        let inner: &'a (dyn StdError + 'static) = cause.downcast_ref::<io::Error>()?.get_ref()?;
        tls(inner)
    })
}

fn in_words(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it is not signed by a trusted authority".to_owned()
        }
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
