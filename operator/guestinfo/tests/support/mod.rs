//! What the tests share: reading fixtures and comparing maps with opened secrets.
#![allow(dead_code, reason = "each test program uses a part")]

use guestinfo::extraconfig::{NIL, SECRET_KEY, is_secret};
use guestinfo::{Map, SecretKey};

/// The secret key that fixtures are sealed with.
pub fn secret_key() -> SecretKey {
    SecretKey::from_bytes([7; 32])
}

/// A text fixture as it would be on the wire. The texts are the original encoder's output before the two
/// last steps, sealing and the mark for empty texts: these are added here.
pub fn wire(fixture: &str) -> Map {
    let mut map = Map::from([(SECRET_KEY.to_owned(), secret_key().to_text())]);
    for line in fixture.lines() {
        let (key, value) = line.split_once(" = ").expect("key = \"value\"");
        let value = match value.trim_matches('"') {
            plain if is_secret(key) => secret_key().seal(plain).unwrap(),
            "" => NIL.to_owned(),
            plain => plain.to_owned(),
        };
        map.insert(key.to_owned(), value);
    }
    map
}

/// The map with its secrets opened by the key it carries, and without that key: what two encodings of one
/// configuration have in common.
pub fn opened(map: &Map) -> Map {
    let key = SecretKey::parse(&map[SECRET_KEY]).expect("the map carries its secret key");
    let open = |(name, value): (&String, &String)| {
        let value = if is_secret(name) {
            key.open(value).expect("the secret opens")
        } else {
            value.clone()
        };
        (name.clone(), value)
    };
    map.iter()
        .filter(|(name, _)| *name != SECRET_KEY)
        .map(open)
        .collect()
}

/// The map after what [`guestinfo::delta`] said was written to it.
pub fn written(map: &Map, delta: Vec<(String, String)>) -> Map {
    let mut map = map.clone();
    for (key, value) in delta {
        if value.is_empty() {
            map.remove(&key).expect("only what is there is deleted");
        } else {
            map.insert(key, value);
        }
    }
    map
}

/// One VCH as `vic-machine` 1.5.8 made it.
pub struct Golden {
    /// As given to `CreateVM_Task`.
    pub at_create: Map,
    /// As it is before power on.
    pub complete: Map,
    /// The secrets of `complete`, opened by the original.
    pub secrets: Map,
    /// What the guest then writes.
    pub guest_written: Map,
}

/// The keys of [`Golden`]'s maps that are not the configuration's: vSphere's own.
pub const FOREIGN: &str = "answer.msg.serial.file.open";

pub fn golden() -> Golden {
    let file: serde_json::Value = serde_json::from_str(include_str!("../fixtures/vch.json")).unwrap();
    let map = |name: &str| serde_json::from_value(file[name].clone()).unwrap();
    Golden {
        at_create: map("extraConfigAtCreateVM"),
        complete: map("extraConfig"),
        secrets: map("secretsPlain"),
        guest_written: map("guestWritten"),
    }
}
