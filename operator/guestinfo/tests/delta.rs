//! What is written to a VM to bring it from one configuration to another.
#![cfg(test)]

mod support;

use guestinfo::extraconfig::SECRET_KEY;
use guestinfo::{Map, SecretKey, VchConfig, decode, delta, drift, encode};
use support::{FOREIGN, golden, opened, secret_key, written};

fn running() -> Map {
    let golden = golden();
    let mut map = golden.complete;
    map.extend(golden.guest_written);
    map
}

fn changed(map: &Map, change: impl FnOnce(&mut VchConfig)) -> Map {
    let mut config = decode(map).unwrap();
    change(&mut config);
    encode(&config, &SecretKey::generate().unwrap()).unwrap()
}

/// `vic-machine` adds 79 keys and changes 10 between the first spec and the last.
#[test]
fn the_final_reconfigure_of_a_new_vch() {
    let golden = golden();
    let delta = delta(&golden.at_create, &golden.complete);
    assert_eq!(delta.len(), 89);
    assert_eq!(written(&golden.at_create, delta), golden.complete);
}

#[test]
fn only_secrets_are_written_when_nothing_changed() {
    let current = running();
    let new = changed(&current, |_| ());
    let keys: Vec<String> = delta(&current, &new).into_iter().map(|(key, _)| key).collect();
    let secrets = golden().secrets.into_keys();
    assert_eq!(
        keys,
        [SECRET_KEY.to_owned()]
            .into_iter()
            .chain(secrets)
            .collect::<Vec<_>>()
    );
    assert_eq!(drift(&current, &new), []);
    assert_eq!(delta(&new, &new), []);
}

#[test]
fn what_the_new_configuration_lacks_is_deleted() {
    let current = running();
    let new = changed(&current, |config| {
        config.network.container_networks.remove("app");
        config.cert.host_certificate = None;
        config.storage.image_stores.clear();
    });
    let delta = delta(&current, &new);
    let deleted = |key: &str| delta.contains(&(key.to_owned(), String::new()));
    for key in [
        "guestinfo.vice./network/container_networks|app/pools|0/first",
        "guestinfo.vice..network.container_networks|app.type",
        "network/container_networks|app/Common/notes",
        "guestinfo.vice./cert/HostCertificate/Key@secret",
        "guestinfo.vice./storage/image_stores",
    ] {
        assert!(deleted(key), "{key}");
    }
    assert!(drift(&current, &new).contains(&(
        "guestinfo.vice./cert/HostCertificate/Key@secret".to_owned(),
        String::new()
    )));
    let mut after = written(&current, delta);
    assert_eq!(after.remove(FOREIGN).as_deref(), Some("Append"));
    assert_eq!(after, new);
}

#[test]
fn foreign_keys_are_left_alone() {
    let mut current = running();
    let foreign = [
        "UpdateInProgress",
        "svga.present",
        "guestinfo.vice./init/execs@non-persistent",
    ];
    for key in foreign {
        current.insert(key.to_owned(), "1".to_owned());
    }
    let after = written(
        &current,
        delta(&current, &encode(&VchConfig::default(), &secret_key()).unwrap()),
    );
    for key in foreign.into_iter().chain([FOREIGN]) {
        assert_eq!(after[key], current[key]);
    }
    assert_eq!(decode(&after).unwrap(), VchConfig::default());
}

#[test]
fn a_restart_clears_what_the_guest_wrote_and_a_comparison_keeps_it() {
    let current = running();
    let observed = decode(&current).unwrap();
    let wanted = decode(&golden().complete).unwrap();
    assert_ne!(observed, wanted);

    let fresh = encode(&wanted, &secret_key()).unwrap();
    let drifted = drift(&current, &fresh);
    let mut guest_keys: Vec<String> = golden().guest_written.into_keys().collect();
    let mut drifted_keys: Vec<String> = drifted.iter().map(|(key, _)| key.clone()).collect();
    guest_keys.sort();
    drifted_keys.sort();
    assert_eq!(drifted_keys, guest_keys);
    assert!(drifted.contains(&(
        "guestinfo.vice..init.sessions|vicadmin.started".into(),
        "<nil>".into()
    )));
    assert!(drifted.contains(&(
        "guestinfo.vice..init.networks|client.assigned.IP".into(),
        String::new()
    )));

    let mut kept = wanted;
    kept.keep_guest_state(&observed);
    assert_eq!(kept, observed);
    assert_eq!(drift(&current, &encode(&kept, &secret_key()).unwrap()), []);
}

#[test]
fn a_hand_edited_map_is_repaired() {
    let mut current = running();
    let new = changed(&current, |_| ());
    for (key, value) in [
        ("guestinfo.vice./init/diagnostics/debug", "high"),
        ("guestinfo.vice./init/networks|public/ip/IP", "10.0.0.1"),
        ("guestinfo.vice./storage/image_stores", "99999999999"),
        ("guestinfo.vice./network/container_networks", "app||x@y|other"),
        ("guestinfo.vice./init/sessions|vicadmin/cmd/Args", "7"),
        ("guestinfo.vice./network/container_networks|other/pools", "0"),
        ("guestinfo.vice./connect/token@secret", "plain"),
        ("guestinfo.ovfEnv", "broken"),
    ] {
        current.insert(key.to_owned(), value.to_owned());
    }
    assert!(decode(&current).is_err());
    let mut after = written(&current, delta(&current, &new));
    after.remove(FOREIGN);
    assert_eq!(opened(&after), opened(&new));
}
