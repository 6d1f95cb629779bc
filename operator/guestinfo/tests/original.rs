//! The configurations that VIC itself encoded: read, and written again.
//!
//! What is compared: every key of the original map against every key of ours, with its value; sealed values
//! are compared opened, `guestinfo.ovfEnv` (random) and the one foreign key, which is vSphere's answer file
//! setting, are left out. Equality is of whole maps, so no key may be missing, added or of another scope.
#![cfg(test)]

mod support;

use std::net::IpAddr;

use guestinfo::{Error, Map, Role, Secret, SecretKey, decode, encode};
use support::{FOREIGN, golden, opened, secret_key, wire};

fn assert_survives(original: &Map) {
    let config = decode(original).unwrap();
    let ours = encode(&config, &SecretKey::generate().unwrap()).unwrap();
    let mut theirs = opened(original);
    theirs.remove(FOREIGN);
    assert_eq!(opened(&ours), theirs);
    assert_eq!(decode(&ours).unwrap(), config);
}

#[test]
fn a_vch_as_made_by_vic_machine() {
    let golden = golden();
    assert_eq!(golden.complete.len(), 237);
    assert_survives(&golden.complete);
}

#[test]
fn a_vch_as_first_given_to_vsphere() {
    let golden = golden();
    assert_eq!(golden.at_create.len(), 158);
    assert_survives(&golden.at_create);
}

#[test]
fn a_vch_that_runs() {
    let golden = golden();
    let mut running = golden.complete;
    running.extend(golden.guest_written);
    assert_survives(&running);

    let config = decode(&running).unwrap();
    let public: IpAddr = [10, 66, 1, 50].into();
    assert_eq!(config.assigned_address(Role::Client), Some(public));
    assert_eq!(
        config.assigned_address(Role::Bridge),
        Some([172, 16, 0, 1].into())
    );
    assert_eq!(config.endpoint(Role::Public).unwrap().assigned.prefix(), Some(24));
    assert!(config.init.sessions.values().all(guestinfo::Session::is_started));
    assert_eq!(config.init.sessions.len(), 3);
}

/// Syslog, NFS, client certificates, routes and registries, which the VCH above has not. The encoder that
/// made this text was built with a newer Go than VIC's, whose `url.URL` has two more fields (`OmitHost`,
/// `RawFragment`); they are not in VIC's output, nor in this text, and must not appear in ours.
#[test]
fn every_optional_field() {
    let map = wire(include_str!("fixtures/every-field.txt"));
    assert_eq!(map.len(), 176, "175 lines and the secret key");
    assert_survives(&map);

    let config = decode(&map).unwrap();
    let certificate = config.cert.host_certificate.unwrap();
    assert_eq!(certificate.key.known().unwrap(), &"KEY".into());
    assert_eq!(certificate.cert, "CERT".into());
    assert_eq!(config.storage.volume_locations["nfs1"].raw_query, "uid=1&gid=2");
    assert_eq!(config.init.diagnostics.syslog.unwrap().address, "h:514");
}

#[test]
fn what_other_newer_encoders_add_is_foreign() {
    let mut map = wire(include_str!("fixtures/every-field.txt"));
    let expected = decode(&map).unwrap();
    for (key, value) in [
        ("guestinfo.vice./storage/image_stores|0/OmitHost", "false"),
        ("guestinfo.vice./storage/image_stores|0/RawFragment", "<nil>"),
        ("guestinfo.vice./init/networks|absent/static", "nonsense"),
        ("guestinfo.vice./contact/Admin", "0"),
        ("UpdateInProgress", "false"),
    ] {
        map.insert(key.to_owned(), value.to_owned());
    }
    assert_eq!(decode(&map).unwrap(), expected);
}

#[test]
fn secrets_open_to_what_the_original_sealed() {
    let golden = golden();
    let theirs: Map = opened(&golden.complete)
        .into_iter()
        .filter(|(k, _)| k.ends_with("@secret"))
        .collect();
    assert_eq!(theirs, golden.secrets);

    let config = decode(&golden.complete).unwrap();
    assert_eq!(config.connect.token.known().unwrap(), "Passw0rd!");
    let key = config
        .cert
        .host_certificate
        .as_ref()
        .unwrap()
        .key
        .known()
        .unwrap();
    assert!(key.0.starts_with(b"-----BEGIN RSA PRIVATE KEY-----"));
    let shown = format!("{config:?}");
    assert!(!shown.contains("Passw0rd!") && !shown.contains(&format!("{:?}", key.0)));
}

/// The first map's secrets are sealed with another key than the second's.
#[test]
fn a_key_of_another_encode_opens_nothing() {
    let golden = golden();
    let mut map = golden.complete.clone();
    map.insert(
        "guestinfo.ovfEnv".to_owned(),
        golden.at_create["guestinfo.ovfEnv"].clone(),
    );
    assert!(matches!(decode(&map), Err(Error::Open { key }) if key.ends_with("@secret")));
    map.insert("guestinfo.ovfEnv".to_owned(), "short".to_owned());
    assert_eq!(decode(&map), Err(Error::SecretKey));
}

/// vSphere's API hides `guestinfo.ovfEnv`: the configuration is readable but for its secrets, which are
/// then never overwritten by mistake.
#[test]
fn without_the_secret_key_secrets_stay_closed() {
    let mut map = golden().complete;
    let full = decode(&map).unwrap();
    map.remove("guestinfo.ovfEnv");
    let mut config = decode(&map).unwrap();
    assert_eq!(config.connect.token, Secret::Unopened);
    assert_eq!(
        config.cert.host_certificate.as_ref().unwrap().key,
        Secret::Unopened
    );
    assert!(matches!(
        encode(&config, &secret_key()),
        Err(Error::Unopened { .. })
    ));

    config.connect.token = full.connect.token.clone();
    config
        .cert
        .host_certificate
        .clone_from(&full.cert.host_certificate);
    assert_eq!(config, full);
}
