//! Makes keys and certificates, with the subjects and names that vic-machine gives them.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};

use super::{CertificateError, Pair, Wanted, seconds};

/// Certificates hold since a day ago: clocks differ.
const BEFORE: Duration = Duration::new(86_400, 0);

/// An authority that signs only what is of this VCH; it has no common name.
pub(super) fn authority(wanted: &Wanted, now: SystemTime) -> Result<Pair, CertificateError> {
    let mut params = params(wanted, None, now)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = rsa()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// The certificate of the Docker endpoint, for the names it is reached by.
pub(super) fn server(authority: &Pair, wanted: &Wanted, now: SystemTime) -> Result<Pair, CertificateError> {
    let names = wanted.names();
    let mut params = params(wanted, wanted.common_name.as_ref().or(names.first()), now)?;
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    signed(authority, params)
}

/// The certificate of Docker clients.
pub(super) fn client(authority: &Pair, wanted: &Wanted, now: SystemTime) -> Result<Pair, CertificateError> {
    let mut params = params(wanted, Some(&wanted.organization), now)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    signed(authority, params)
}

fn signed(authority: &Pair, mut params: CertificateParams) -> Result<Pair, CertificateError> {
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let key = rsa()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn rsa() -> Result<KeyPair, CertificateError> {
    Ok(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?)
}

fn params(
    wanted: &Wanted,
    common_name: Option<&String>,
    now: SystemTime,
) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(Vec::new())?;
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, wanted.organization.as_str());
    if let Some(common_name) = common_name {
        name.push(DnType::CommonName, common_name.as_str());
    }
    params.distinguished_name = name;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(seconds(now)).saturating_sub(BEFORE);
    params.not_after = epoch + Duration::from_secs(seconds(now)).saturating_add(wanted.validity);
    Ok(params)
}
