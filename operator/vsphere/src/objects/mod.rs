//! What the mirror holds: one type per kind of object, filled from property changes.

mod compute;
mod network;
mod pool;
mod storage;
mod vm;

pub use compute::{Cluster, Datacenter, Host};
pub use network::{Network, NetworkKind, PortGroup, PortGroupBacking, Switch, Vlan};
pub use pool::{Folder, Pool};
pub use storage::Datastore;
pub use vm::{ConnectionState, DeviceInfo, Nic, PowerState, Vm};

use crate::moref::Moref;
use crate::xml::Node;

/// An object of the mirror.
pub trait Entity {
    /// Its reference.
    fn moref(&self) -> &Moref;
    /// Its name, unescaped.
    fn name(&self) -> &str;
    /// The object above it in the inventory, if that is mirrored.
    fn parent(&self) -> Option<&Moref>;
}

/// An object that is filled property by property, as the PropertyCollector reports them.
pub(crate) trait Mirrored: Entity + Clone + PartialEq {
    /// An object of which nothing but the reference is known.
    fn empty(moref: Moref) -> Self;

    /// Takes over the new value of one property path; `None` means that it is unset or unreadable.
    fn set(&mut self, path: &str, value: Option<&Node>);

    /// Derives the mark from the custom attributes, given the key of our definition.
    fn derive_mark(&mut self, _key: Option<i32>) {}
}

/// Names come percent-encoded: `%`, `/` and `\`, in any case of the digits.
pub(crate) fn unescape_name(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        let (before, tail) = rest.split_at(at);
        plain.push_str(before);
        let code = tail.get(..3).map(str::to_ascii_lowercase);
        let (character, used) = match code.as_deref() {
            Some("%25") => ('%', 3),
            Some("%2f") => ('/', 3),
            Some("%5c") => ('\\', 3),
            _ => ('%', 1),
        };
        plain.push(character);
        rest = tail.get(used..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

/// The form in which a name is sent. vCenter escapes what it must, except that it takes a `%` before
/// two hexadecimal digits for an escape sequence; only that one is escaped here.
pub(crate) fn escape_name(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut rest = name.chars();
    while let Some(character) = rest.next() {
        wire.push(character);
        let is_sequence = rest
            .as_str()
            .get(..2)
            .is_some_and(|code| code.chars().all(|c| c.is_ascii_hexdigit()));
        if character == '%' && is_sequence {
            wire.push_str("25");
        }
    }
    wire
}

/// The form in which a name stands in an inventory path, and in which vCenter keeps it.
pub(crate) fn path_name(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2f").replace('\\', "%5c")
}

fn name_from(value: Option<&Node>) -> String {
    value.map(|node| unescape_name(&node.text)).unwrap_or_default()
}

fn text_from(value: Option<&Node>) -> String {
    value.map(|node| node.text.clone()).unwrap_or_default()
}

fn optional_text(value: Option<&Node>) -> Option<String> {
    value
        .map(|node| node.text.clone())
        .filter(|text| !text.is_empty())
}

fn number_from<T: std::str::FromStr + Default>(value: Option<&Node>) -> T {
    value
        .and_then(|node| node.text.trim().parse().ok())
        .unwrap_or_default()
}

fn flag_from(value: Option<&Node>) -> bool {
    value.and_then(Node::boolean).unwrap_or_default()
}

fn moref_from(value: Option<&Node>) -> Option<Moref> {
    value.and_then(Node::moref)
}

fn morefs_from(value: Option<&Node>) -> Vec<Moref> {
    value.map(Node::morefs).unwrap_or_default()
}

/// Writes the plain part of [`Entity`] for a type with the fields `moref`, `name` and `parent`.
macro_rules! entity {
    ($type:ty) => {
        impl $crate::objects::Entity for $type {
            fn moref(&self) -> &$crate::moref::Moref {
                &self.moref
            }
            fn name(&self) -> &str {
                &self.name
            }
            fn parent(&self) -> Option<&$crate::moref::Moref> {
                self.parent.as_ref()
            }
        }
    };
}
pub(crate) use entity;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod names {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_unescaped_once() {
        for (wire, plain) in [
            ("plain", "plain"),
            ("a%2fb", "a/b"),
            ("a%2Fb%5Cc", "a/b\\c"),
            ("100%25", "100%"),
            ("%252f", "%2f"),
            ("odd%", "odd%"),
            ("odd%2", "odd%2"),
            ("%zz", "%zz"),
            ("%ü", "%ü"),
        ] {
            assert_eq!(unescape_name(wire), plain, "{wire}");
        }
    }

    /// What vCenter makes of a name, by its documentation of `ManagedEntity.name`.
    fn kept(sent: &str) -> String {
        let is_sequence = |rest: &str| {
            rest.get(..2)
                .is_some_and(|code| code.chars().all(|c| c.is_ascii_hexdigit()))
        };
        let mut kept = String::new();
        for (at, character) in sent.char_indices() {
            match character {
                '/' => kept.push_str("%2f"),
                '\\' => kept.push_str("%5c"),
                '%' if !is_sequence(&sent[at + 1..]) => kept.push_str("%25"),
                other => kept.push(other),
            }
        }
        kept
    }

    #[test]
    fn only_what_would_be_misread_is_escaped() {
        for (name, wire) in [
            ("a/b", "a/b"),
            ("100% x", "100% x"),
            ("%2f", "%252f"),
            ("%%41", "%%2541"),
            ("%", "%"),
        ] {
            assert_eq!(escape_name(name), wire);
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_the_way_there_and_back(name in "([%/\\\\0-9a-g]|\\PC){0,20}") {
            prop_assert_eq!(unescape_name(&kept(&escape_name(&name))), name);
        }
    }
}
