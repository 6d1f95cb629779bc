//! Trust in servers: by certificate authorities or by the SHA-256 thumbprint of one certificate, never
//! by neither. What a server showed is kept, because a VCH's configuration pins it.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What a server is trusted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// PEM certificates of authorities.
    Authorities(String),
    /// Thumbprint of the server's own certificate, upper case and colons.
    Sha256(String),
    /// The same as vSphere's tools write it: only to find the certificate that one of them was told to trust.
    Sha1(String),
}

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No usable certificate in the bundle.
    #[error("holds no certificate that could be read")]
    NoCertificate,
    /// The client's certificate and key do not fit.
    #[error("the client's certificate and key do not fit: {0}")]
    Identity(#[from] Error),
}

/// The last certificate that a server showed and that was trusted.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Mutex<Option<Vec<u8>>>>);

impl Seen {
    /// SHA-1 thumbprint as vSphere writes it: upper case, bytes separated by colons.
    #[must_use]
    pub fn sha1_thumbprint(&self) -> Option<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().map(|der| colons(&Sha1::digest(der)))
    }

    /// SHA-256 thumbprint in the same form.
    #[must_use]
    pub fn sha256_thumbprint(&self) -> Option<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().map(|der| colons(&Sha256::digest(der)))
    }
}

/// Who a client is: PEM certificate chain and key.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The chain.
    pub certificates: &'a str,
    /// The key.
    pub key: &'a str,
}

/// A client's TLS configuration and what it will see.
///
/// # Errors
/// Where the bundle holds no certificate, or the identity's parts do not fit.
pub fn client_config(
    anchor: &Anchor,
    identity: Option<Identity<'_>>,
) -> Result<(ClientConfig, Seen), TrustError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let seen = Seen::default();
    let check = match anchor {
        Anchor::Authorities(pem) => Check::Authorities(authorities(pem, &provider)?),
        Anchor::Sha256(thumbprint) => Check::Sha256(thumbprint.clone()),
        Anchor::Sha1(thumbprint) => Check::Sha1(thumbprint.clone()),
    };
    let verifier = Arc::new(Verifier {
        check,
        provider: provider.clone(),
        seen: seen.clone(),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(identity.certificates)?;
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
                .map_err(|_| Error::General("the key is not PEM".into()))?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    Ok((config, seen))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or(TrustError::NoCertificate)
}

fn authorities(pem: &str, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|_| TrustError::NoCertificate)?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|_| TrustError::NoCertificate)
}

fn colons(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":")
}

#[derive(Debug)]
enum Check {
    Authorities(Arc<WebPkiServerVerifier>),
    Sha256(String),
    Sha1(String),
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
    seen: Seen,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = match &self.check {
            Check::Authorities(inner) => {
                inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?
            }
            Check::Sha256(expected) if colons(&Sha256::digest(end_entity)) == *expected => {
                ServerCertVerified::assertion()
            }
            Check::Sha1(expected) if colons(&Sha1::digest(end_entity)) == *expected => {
                ServerCertVerified::assertion()
            }
            Check::Sha256(_) | Check::Sha1(_) => {
                return Err(Error::InvalidCertificate(
                    CertificateError::ApplicationVerificationFailure,
                ));
            }
        };
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.to_vec());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn self_signed() -> (rcgen::Certificate, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(vec!["vcenter.example.com".to_owned()]).unwrap();
        let der = made.cert.der().clone();
        (made.cert, der)
    }

    fn verifier(anchor: &Anchor) -> Verifier {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let check = match anchor {
            Anchor::Authorities(pem) => Check::Authorities(authorities(pem, &provider).unwrap()),
            Anchor::Sha256(text) => Check::Sha256(text.clone()),
            Anchor::Sha1(text) => Check::Sha1(text.clone()),
        };
        Verifier {
            check,
            provider,
            seen: Seen::default(),
        }
    }

    fn verify(verifier: &Verifier, der: &CertificateDer<'_>) -> bool {
        let name = ServerName::try_from("vcenter.example.com").unwrap();
        verifier
            .verify_server_cert(der, &[], &name, &[], UnixTime::now())
            .is_ok()
    }

    #[test]
    fn a_thumbprint_trusts_its_certificate_and_no_other() {
        let (_, der) = self_signed();
        let (_, other) = self_signed();
        let verifier = verifier(&Anchor::Sha256(colons(&Sha256::digest(&der))));
        assert!(!verify(&verifier, &other));
        assert_eq!(
            verifier.seen.sha1_thumbprint(),
            None,
            "what is not trusted is not kept"
        );
        assert!(verify(&verifier, &der));
        assert_eq!(verifier.seen.sha1_thumbprint(), Some(colons(&Sha1::digest(&der))));
        assert_eq!(
            verifier.seen.sha256_thumbprint(),
            Some(colons(&Sha256::digest(&der)))
        );
    }

    #[test]
    fn the_shorter_thumbprint_finds_the_same_certificate() {
        let (_, der) = self_signed();
        let (_, other) = self_signed();
        let verifier = verifier(&Anchor::Sha1(colons(&Sha1::digest(&der))));
        assert!(!verify(&verifier, &other));
        assert!(verify(&verifier, &der));
        assert_eq!(
            verifier.seen.sha256_thumbprint(),
            Some(colons(&Sha256::digest(&der)))
        );
    }

    #[test]
    fn an_authority_that_did_not_sign_is_not_trusted() {
        let (_, der) = self_signed();
        let (other, _) = self_signed();
        assert!(!verify(&verifier(&Anchor::Authorities(other.pem())), &der));
    }

    #[test]
    fn a_bundle_without_certificates_is_refused() {
        let refused = client_config(&Anchor::Authorities("nothing".into()), None);
        assert!(matches!(refused, Err(TrustError::NoCertificate)));
    }
}
