//! The generic encoding against what the original encoder made of test structures: every scope in every
//! other, lists, maps, and keys with separators in them.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;

use guestinfo::extraconfig::{
    Bytes, Decoder, Encoder, HIDDEN, Key, READ_ONLY, READ_WRITE, SECRET, Scope, Value,
};
use guestinfo::{Error, Map, Secret, Session, record};
use support::{opened, secret_key, wire};

record! {
    /// One field of each scope.
    struct Leaf {
        #[key("t", READ_ONLY)]
        read_only: String,
        #[key("w", READ_WRITE)]
        read_write: String,
        #[key("h", HIDDEN)]
        hidden: String,
        #[key("s", SECRET)]
        secret: String,
        #[key("Untagged")]
        untagged: String,
        /// Tagged, with an empty scope: that is hidden.
        #[key("ns", HIDDEN)]
        no_scope: String,
    }
}

record! {
    /// The test structure. The crate has no use for floats and times: their texts pass as they are.
    struct Top {
        #[key("Plain")]
        plain: String,
        #[key("a/b.c", READ_ONLY)]
        separators: Option<Leaf>,
        #[key("ro", READ_ONLY)]
        read_only: Option<Leaf>,
        #[key("rw", READ_WRITE)]
        read_write: Option<Leaf>,
        #[key("hid", HIDDEN)]
        hidden: Option<Leaf>,
        #[key("sec", SECRET)]
        secret: Option<Leaf>,
        #[key("np", READ_ONLY.non_persistent())]
        non_persistent: Option<Leaf>,
        #[key("sl", SECRET)]
        secret_list: Vec<Leaf>,
        #[key("m", READ_ONLY)]
        map: BTreeMap<String, Leaf>,
        #[key("ms", HIDDEN)]
        hidden_map: BTreeMap<String, i64>,
        #[key("ints", READ_WRITE)]
        integers: Vec<i64>,
        #[key("b", READ_ONLY.volatile())]
        boolean: bool,
        #[key("bytes", READ_ONLY)]
        bytes: Bytes,
        #[key("dur", READ_ONLY)]
        duration: i64,
        #[key("f", READ_ONLY)]
        float: String,
        #[key("time", READ_ONLY)]
        time: String,
        #[key("execs", READ_ONLY.non_persistent())]
        execs: BTreeMap<String, Session>,
    }
}

fn encode(value: &impl Value) -> Result<Map, Error> {
    let key = secret_key();
    let mut to = Encoder::new(&key);
    value.encode(&Key::root(), &mut to)?;
    Ok(to.finish())
}

fn decode<T: Value>(map: &Map) -> Result<Option<T>, Error> {
    T::decode(&Key::root(), &mut Decoder::new(map)?)
}

fn leaf() -> Leaf {
    let [read_only, read_write, hidden, secret, untagged, no_scope] =
        ["1", "2", "3", "4", "5", "6"].map(str::to_owned);
    Leaf {
        read_only,
        read_write,
        hidden,
        secret,
        untagged,
        no_scope,
    }
}

fn top() -> Top {
    let mut exec = Session {
        active: true,
        ..Session::default()
    };
    exec.command.args = vec!["x".to_owned()];
    Top {
        plain: "p".to_owned(),
        separators: Some(leaf()),
        read_only: Some(leaf()),
        read_write: Some(leaf()),
        hidden: Some(leaf()),
        secret: Some(leaf()),
        // Nothing can be hidden and non-persistent: those two fields are not stored.
        non_persistent: Some(Leaf {
            hidden: String::new(),
            no_scope: String::new(),
            ..leaf()
        }),
        secret_list: vec![leaf()],
        map: BTreeMap::from([("k.x".to_owned(), leaf())]),
        hidden_map: BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]),
        integers: vec![3, 4],
        boolean: true,
        bytes: "hi".into(),
        duration: 1_000_000_000,
        float: "1.5E+00".to_owned(),
        time: "2020-01-02 03:04:05.000006 +0000 UTC".to_owned(),
        execs: BTreeMap::from([("e1".to_owned(), exec)]),
    }
}

#[test]
fn the_original_encoders_output() {
    let original = wire(include_str!("fixtures/vectors.txt"));
    assert_eq!(original.len(), 84, "83 lines and the secret key");
    assert_eq!(decode::<Top>(&original).unwrap(), Some(top()));
    assert_eq!(opened(&encode(&top()).unwrap()), opened(&original));
}

/// Keys that the original computes for the fields a controller waits for.
#[test]
fn keys_of_nested_fields() {
    let walk = |path: &[(&str, Option<Scope>)], entry: &str| {
        let mut key = Key::root();
        for (name, scope) in path {
            key = match *name {
                "|" => key.entry(entry),
                name => key.child(name, *scope).unwrap(),
            };
        }
        key.to_string()
    };
    let (ro, rw) = (Some(READ_ONLY), Some(READ_WRITE));
    let started = [("init", ro), ("sessions", ro), ("|", None), ("started", rw)];
    assert_eq!(
        walk(&started, "vicadmin"),
        "guestinfo.vice..init.sessions|vicadmin.started"
    );
    let assigned = [
        ("init", ro),
        ("networks", ro),
        ("|", None),
        ("assigned", rw),
        ("IP", None),
    ];
    assert_eq!(
        walk(&assigned, "public"),
        "guestinfo.vice..init.networks|public.assigned.IP"
    );
}

#[test]
fn suffixes_stay_at_the_end() {
    let execs = Key::root()
        .child("execs", Some(READ_ONLY.non_persistent()))
        .unwrap();
    let args = execs
        .entry("e1")
        .child("cmd", None)
        .unwrap()
        .child("Args", None)
        .unwrap()
        .joined();
    assert_eq!(
        args.to_string(),
        "guestinfo.vice./execs|e1/cmd/Args~@non-persistent"
    );
    let secret = execs.child("s", Some(SECRET)).unwrap();
    assert_eq!(
        secret.to_string(),
        "guestinfo.vice./execs/s@secret@non-persistent"
    );
    assert_eq!(
        secret.child("t", Some(READ_ONLY)).unwrap().scope(),
        READ_ONLY.non_persistent()
    );
    assert_eq!(execs.child("h", Some(HIDDEN)), None);
}

record! {
    /// Values whose stored form has corners.
    struct Corners {
        #[key("text", READ_ONLY)]
        text: String,
        #[key("list", READ_ONLY)]
        list: Vec<String>,
        #[key("map", READ_ONLY)]
        map: BTreeMap<String, i64>,
        #[key("other", READ_ONLY)]
        leaf: Option<Leaf>,
        #[key("sealed", SECRET)]
        sealed: String,
    }
}

#[test]
fn empty_values() {
    let corners = Corners {
        list: vec![String::new()],
        ..Corners::default()
    };
    let map = encode(&corners).unwrap();
    let texts: Vec<(&str, &str)> = map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    // Empty maps, lists and absent records leave nothing; an empty secret is sealed as it is.
    assert_eq!(
        texts[1..4],
        [
            ("guestinfo.vice./list", "0"),
            ("guestinfo.vice./list~", "<nil>"),
            (
                "guestinfo.vice./sealed@secret",
                map["guestinfo.vice./sealed@secret"].as_str()
            ),
        ]
    );
    assert_eq!(texts[4..], [("guestinfo.vice./text", "<nil>")]);
    assert_eq!(secret_key().open(texts[3].1).unwrap(), "");
    assert_eq!(decode(&map).unwrap(), Some(corners));
    assert_eq!(decode::<Corners>(&Map::new()).unwrap(), None);
    let deleted = Map::from([("guestinfo.vice./text".to_owned(), String::new())]);
    assert_eq!(
        decode::<Corners>(&deleted).unwrap(),
        None,
        "an empty value is how a key is deleted"
    );
}

#[test]
fn what_the_format_cannot_carry_is_refused() {
    let refused = |corners: Corners| encode(&corners).unwrap_err();
    let list = |items: &[&str]| Corners {
        list: items.iter().map(ToString::to_string).collect(),
        ..Corners::default()
    };
    let map = |names: &[&str]| Corners {
        map: names.iter().map(|name| ((*name).to_owned(), 1)).collect(),
        ..Corners::default()
    };
    let error = refused(list(&["a", "b|c"]));
    assert_eq!(
        error,
        Error::Separator {
            key: "guestinfo.vice./list".into(),
            value: "b|c".into()
        }
    );
    for name in ["", "a|b", "a@b"] {
        let error = Error::EntryName {
            key: "guestinfo.vice./map".into(),
            name: name.into(),
        };
        assert_eq!(refused(map(&[name])), error);
    }
    assert!(matches!(refused(map(&["a", "A"])), Error::Clash { .. }));
    assert!(matches!(refused(list(&["<nil>"])), Error::NilText { .. }));
    let text = |text: &str| Corners {
        text: text.to_owned(),
        ..Corners::default()
    };
    assert!(matches!(refused(text("<nil>")), Error::NilText { .. }));

    for fine in [
        text("a|b"),
        list(&["", ""]),
        list(&["a", "<nil>"]),
        map(&["a.b", "a/c"]),
    ] {
        assert_eq!(decode(&encode(&fine).unwrap()).unwrap(), Some(fine));
    }
    let sealed = Corners {
        sealed: "<nil>".to_owned(),
        ..Corners::default()
    };
    assert_eq!(decode(&encode(&sealed).unwrap()).unwrap(), Some(sealed));
}

record! {
    /// A secret where none is expected.
    struct Misplaced {
        #[key("text", READ_ONLY)]
        text: Secret<String>,
    }
}

#[test]
fn only_sealed_values_need_a_secret_key() {
    let map = Map::from([("guestinfo.vice./text".to_owned(), "plain".to_owned())]);
    let text = Secret::Known("plain".to_owned());
    assert_eq!(decode(&map).unwrap(), Some(Misplaced { text }));
}

/// Two names that differ by separator only share their descendants' keys.
#[test]
fn names_that_share_keys_are_refused() {
    let map = BTreeMap::from([("a.b".to_owned(), leaf()), ("a/b".to_owned(), leaf())]);
    assert!(matches!(
        encode(&Top {
            map,
            ..Top::default()
        }),
        Err(Error::Clash { .. })
    ));
}

#[test]
fn malformed_texts_are_reported_with_their_key() {
    let cases = [
        ("guestinfo.vice./b", "yes", "true or false"),
        ("guestinfo.vice./b", "<nil>", "true or false"),
        ("guestinfo.vice./dur", "1s", "an integer"),
        ("guestinfo.vice./bytes", "h", "base64"),
        (
            "guestinfo.vice..ints",
            "2",
            "the index of the list's last element",
        ),
        (
            "guestinfo.vice..ints",
            "-1",
            "the index of the list's last element",
        ),
        ("guestinfo.vice..ints~", "3|x", "an integer"),
    ];
    for (key, value, expected) in cases {
        let mut map = wire(include_str!("fixtures/vectors.txt"));
        map.insert(key.to_owned(), value.to_owned())
            .expect("an existing key");
        let error = decode::<Top>(&map).unwrap_err();
        let Error::Value { expected: found, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*found, expected);
        assert!(error.to_string().starts_with("guestinfo.vice."), "{error}");
    }
}

/// The length of a list is written by the guest in some cases: it must not make us allocate at will.
#[test]
fn lengths_beyond_the_map_are_refused() {
    for length in ["84", "18446744073709551615", "9999999999999999999999"] {
        let mut map = wire(include_str!("fixtures/vectors.txt"));
        map.insert(
            "guestinfo.vice./sl@secret".to_owned(),
            secret_key().seal(length).unwrap(),
        );
        let error = decode::<Top>(&map).unwrap_err();
        assert!(
            matches!(&error, Error::Value { value, .. } if value == "***"),
            "{error}"
        );
    }
}
