//! Certificate authorities and certificates of a run.

use crate::error::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub cert: String,
    /// Its private key, PKCS#8.
    pub key: String,
}

impl Authority {
    /// A new authority of that common name.
    ///
    /// # Errors
    /// No key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let what = || format!("make the certificate authority {name}");
        let key = KeyPair::generate().context(what)?;
        let mut params = params(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).context(what)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// The authority's certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server's certificate for DNS names and IP addresses.
    ///
    /// # Errors
    /// A name is none, or no key can be made.
    pub fn server(&self, common_name: &str, names: &[&str]) -> Result<Identity> {
        let mut params = params(common_name, names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// A client's certificate; Kubernetes reads the user from the common name and a group from the organization. It is
    /// of X.509 v3, as rustls demands, because it has extensions.
    ///
    /// # Errors
    /// No key can be made.
    pub fn client(&self, user: &str, group: &str) -> Result<Identity> {
        let mut params = params(user, &[])?;
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Identity> {
        let what = || "issue a certificate".to_owned();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().context(what)?;
        let cert = params.signed_by(&key, &self.issuer).context(what)?;
        Ok(Identity {
            cert: cert.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A key pair without a certificate: (private, public), in PEM.
///
/// # Errors
/// No key can be made.
pub fn key_pair() -> Result<(String, String)> {
    let key = KeyPair::generate().context(|| "make a key".to_owned())?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn params(common_name: &str, names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).context(|| format!("names of {common_name}"))?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2050, 1, 1);
    Ok(params)
}
