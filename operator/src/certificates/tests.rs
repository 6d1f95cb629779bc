//! Certificates, and what a TLS client and server make of them.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use x509_parser::pem::parse_x509_pem;

use super::*;
use crate::trust::{Anchor, Identity, client_config};

const YEAR: Duration = Duration::new(365 * 86_400, 0);

fn wanted() -> Wanted {
    Wanted {
        organization: "vch1".to_owned(),
        common_name: None,
        address: Some([10, 20, 0, 10].into()),
        validity: YEAR,
    }
}

fn subject(pem: &str) -> String {
    let (_, block) = parse_x509_pem(pem.as_bytes()).unwrap();
    block.parse_x509().unwrap().subject().to_string()
}

/// A handshake in memory: what each side says at its end.
fn handshake(bundle: &Bundle, identity: Option<&Pair>, name: &str) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let authority = CertificateDer::from_pem_slice(bundle.authority.certificate.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let chain = vec![CertificateDer::from_pem_slice(bundle.server.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(bundle.server.key.as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let identity = identity.map(|pair| Identity {
        certificates: &pair.certificate,
        key: &pair.key,
    });
    let (client, _) = client_config(
        &Anchor::Authorities(bundle.authority.certificate.clone()),
        identity,
    )
    .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn server_and_client_know_each_other_and_nobody_else() {
    let now = SystemTime::now();
    let bundle = Bundle::make(&wanted(), now).unwrap();
    assert_eq!(handshake(&bundle, Some(&bundle.client), "10.20.0.10"), Ok(()));
    assert!(
        handshake(&bundle, Some(&bundle.client), "10.20.0.11").is_err(),
        "another address"
    );
    assert!(
        handshake(&bundle, None, "10.20.0.10").is_err(),
        "no client's certificate"
    );
    let other = Bundle::make(&wanted(), now).unwrap();
    assert!(
        handshake(&bundle, Some(&other.client), "10.20.0.10").is_err(),
        "another authority's client"
    );
    assert!(
        handshake(&bundle, Some(&bundle.server), "10.20.0.10").is_err(),
        "a server is no client"
    );
}

#[test]
fn subjects_and_names_are_vic_machines() {
    let cases = [
        (
            None,
            Some([10, 20, 0, 10]),
            "O=vch1, CN=10.20.0.10",
            vec!["10.20.0.10"],
        ),
        (
            Some("vch1.example.com"),
            None,
            "O=vch1, CN=vch1.example.com",
            vec!["vch1.example.com"],
        ),
        (
            Some("*.example.com"),
            Some([10, 20, 0, 10]),
            "O=vch1, CN=*.example.com",
            vec!["*.example.com", "10.20.0.10"],
        ),
        (None, None, "O=vch1, CN=vch1", vec!["vch1"]),
    ];
    for (common_name, address, subject_text, names) in cases {
        let wanted = Wanted {
            common_name: common_name.map(str::to_owned),
            address: address.map(Into::into),
            ..wanted()
        };
        let bundle = Bundle::make(&wanted, SystemTime::now()).unwrap();
        assert_eq!(subject(&bundle.server.certificate), subject_text);
        assert_eq!(read::names(&bundle.server.certificate).unwrap(), names);
        assert_eq!(
            subject(&bundle.authority.certificate),
            "O=vch1",
            "the authority has no common name"
        );
    }
}

#[test]
fn certificates_are_made_anew_only_when_they_must() {
    let now = SystemTime::now();
    let bundle = Bundle::make(&wanted(), now).unwrap();
    assert_eq!(bundle.renewed(&wanted(), now).unwrap(), bundle);

    let moved = Wanted {
        address: Some([10, 20, 0, 11].into()),
        ..wanted()
    };
    let renewed = bundle.renewed(&moved, now).unwrap();
    assert!(
        renewed.server != bundle.server
            && renewed.client == bundle.client
            && renewed.authority == bundle.authority
    );
    assert_eq!(
        handshake(&renewed, Some(&bundle.client), "10.20.0.11"),
        Ok(()),
        "clients go on with what they have"
    );

    let later = now + YEAR + Duration::from_secs(1);
    let renewed = bundle.renewed(&wanted(), later).unwrap();
    assert!(
        renewed.authority != bundle.authority
            && renewed.server != bundle.server
            && renewed.client != bundle.client
    );
    assert!(renewed.server_expires().unwrap() > later);

    let spoilt = Bundle {
        server: Pair {
            certificate: "spoilt".to_owned(),
            key: String::new(),
        },
        ..bundle.clone()
    };
    assert!(spoilt.renewed(&wanted(), now).unwrap().server_expires().is_some());
}

#[test]
fn a_bundle_survives_its_secret() {
    let bundle = Bundle::make(&wanted(), SystemTime::now()).unwrap();
    let fields = bundle.to_fields();
    assert_eq!(fields.len(), FIELDS.len());
    assert_eq!(
        Bundle::from_fields(|field| fields.get(field).cloned()).unwrap(),
        bundle
    );
    for missing in FIELDS {
        assert!(
            Bundle::from_fields(|field| fields.get(field).filter(|_| field != missing).cloned()).is_none(),
            "{missing}"
        );
    }
}

#[test]
fn a_fingerprint_changes_with_each_secret() {
    let bundle = Bundle::make(&wanted(), SystemTime::now()).unwrap();
    let print = bundle.fingerprint(&["user", "password"]);
    assert_eq!(print, bundle.fingerprint(&["user", "password"]));
    assert_ne!(print, bundle.fingerprint(&["user", "passwor"]));
    assert_ne!(print, bundle.fingerprint(&["userp", "assword"]));
    let salted = Bundle {
        salt: "other".to_owned(),
        ..bundle.clone()
    };
    assert_ne!(print, salted.fingerprint(&["user", "password"]));
}
