//! Properties of any configuration.
#![cfg(test)]

#[path = "support/strategy.rs"]
mod strategy;
mod support;

use std::collections::BTreeSet;

use guestinfo::extraconfig::SECRET_KEY;
use guestinfo::{Error, Map, Secret, SecretKey, VchConfig, decode, delta, drift, encode};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use strategy::config;
use support::{opened, secret_key, written};

/// Every key of the format with `*` for entries and indices, as the original writes it: taken from its
/// output, and from its documentation for keys that only a guest writes or no user asked for.
fn table() -> BTreeSet<&'static str> {
    include_str!("fixtures/keys.txt").lines().collect()
}

/// A key with `*` for entries and indices. Names of entries have no separator here.
fn pattern(key: &str) -> String {
    let mut parts = key.split('|');
    let mut pattern = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(['/', '.', '~', '@']).unwrap_or(part.len());
        pattern.push_str("|*");
        pattern.push_str(&part[end..]);
    }
    pattern
}

fn patterns(map: &Map) -> BTreeSet<String> {
    map.keys()
        .filter(|key| *key != SECRET_KEY)
        .map(|key| pattern(key))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_encoded_is_decoded(config in config()) {
        let map = encode(&config, &secret_key()).unwrap();
        prop_assert_eq!(decode(&map).unwrap(), config);
        prop_assert!(map.values().all(|value| !value.is_empty()), "an empty value would delete its key");
    }

    #[test]
    fn no_key_has_another_scope_than_the_originals(config in config()) {
        let table = table();
        for pattern in patterns(&encode(&config, &secret_key()).unwrap()) {
            prop_assert!(table.contains(pattern.as_str()), "{pattern}");
        }
    }

    #[test]
    fn encodings_differ_by_their_sealing_only(config in config(), key in any::<[u8; 32]>()) {
        let one = encode(&config, &secret_key()).unwrap();
        let two = encode(&config, &SecretKey::from_bytes(key)).unwrap();
        prop_assert_eq!(opened(&one), opened(&two));
        prop_assert_ne!(&one, &two);
        prop_assert_eq!(drift(&one, &two), vec![]);
    }

    #[test]
    fn another_key_opens_nothing(config in config(), key in any::<[u8; 32]>()) {
        let other = SecretKey::from_bytes(key);
        prop_assume!(other != secret_key());
        let mut map = encode(&config, &secret_key()).unwrap();
        map.insert(SECRET_KEY.to_owned(), other.to_text());
        let refused = decode(&map).is_err_and(|error| matches!(error, Error::Open { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn no_secret_is_readable_without_the_key(config in config()) {
        let mut map = encode(&config, &secret_key()).unwrap();
        map.remove(SECRET_KEY);
        let mut closed = decode(&map).unwrap();
        prop_assert_eq!(&closed.connect.token, &Secret::Unopened);
        closed.connect.token = config.connect.token.clone();
        closed.cert.host_certificate.clone_from(&config.cert.host_certificate);
        prop_assert_eq!(closed, config);
    }

    #[test]
    fn a_delta_leads_to_the_new_configuration(old in config(), new in config()) {
        let (old, new) = (encode(&old, &secret_key()).unwrap(), encode(&new, &secret_key()).unwrap());
        prop_assert_eq!(written(&old, delta(&old, &new)), new);
    }

    /// All that a guest may write about the appliance lies under these keys, but for the networks' type.
    #[test]
    fn guest_state_is_kept_whole(observed in config()) {
        let guest = |key: &str| key.starts_with("guestinfo.vice..init.") && !key.ends_with(".network.type");
        let mut map = encode(&observed, &secret_key()).unwrap();
        map.retain(|key, _| !guest(key));
        let mut wanted = decode(&map).unwrap();
        wanted.keep_guest_state(&observed);
        prop_assert_eq!(wanted, observed);
    }

    #[test]
    fn separators_are_refused_wherever_they_would_break_a_list(
        config in config(),
        before in "[a-z]{0,3}",
        after in "[a-z]{0,3}",
        place in 0..6_usize,
    ) {
        let mut config = config;
        let text = format!("{before}|{after}");
        match place {
            0 => config.registry.insecure.push(text),
            1 => config.registry.whitelist.insert(0, text),
            2 => config.vic_machine_create_options.push(text),
            3 => drop(config.storage.volume_locations.insert(text, guestinfo::Url::default())),
            4 => drop(config.init.sessions.insert(text, guestinfo::Session::default())),
            _ => drop(config.network.container_networks.insert(text, guestinfo::Network::default())),
        }
        let refused = encode(&config, &secret_key()).unwrap_err();
        let named = matches!(refused, Error::Separator { .. } | Error::EntryName { .. });
        prop_assert!(named, "{}", refused);
    }

    /// Whatever a map holds under our keys, reading it ends in a value or an error, and it can be repaired.
    #[test]
    fn no_map_is_beyond_repair(
        config in config(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), "\\PC{0,8}"), 1..6),
    ) {
        let good = encode(&config, &secret_key()).unwrap();
        let mut bad = good.clone();
        for (at, value) in damage {
            let key = at.get(&good.keys().collect::<Vec<_>>()).to_owned().clone();
            bad.insert(key, value);
        }
        let _ = decode(&bad);
        prop_assert_eq!(written(&bad, delta(&bad, &good)), good);
    }
}

/// The other half of the scope property: all keys of the table are written by some configuration.
#[test]
fn every_key_of_the_table_is_written() {
    let mut runner = TestRunner::deterministic();
    let mut missing = table();
    for _ in 0..500 {
        let config: VchConfig = config().new_tree(&mut runner).unwrap().current();
        for pattern in patterns(&encode(&config, &secret_key()).unwrap()) {
            missing.remove(pattern.as_str());
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("never written: {missing:?}");
}
