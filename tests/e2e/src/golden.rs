//! Compares two descriptions of the same thing, leaf by leaf, against a list of what may differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Texts by the path of their leaf.
pub type Flat = BTreeMap<String, String>;

/// How a leaf may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It says the same of another place: the expected text, translated.
    Translated,
    /// The same items between `|` in another order.
    Order,
    /// Both have one, each its own.
    Own,
    /// Only the expected side has it.
    Missing,
    /// Only the other side has it.
    Added,
}

/// Leaves that may differ, and why.
#[derive(Clone, Copy, Debug)]
pub struct MayDiffer {
    /// Their paths; `*` stands for any text.
    pub at: &'static str,
    /// How they differ.
    pub how: How,
    /// Why that is right.
    pub why: &'static str,
}

/// Shorthand for an entry of a list.
#[must_use]
pub const fn may(at: &'static str, how: How, why: &'static str) -> MayDiffer {
    MayDiffer { at, how, why }
}

/// Adds the leaves of a value under a path. Devices in a list are known by type and slot or bus, other members by
/// their number; numbers and booleans are their texts; what is empty is nothing.
pub fn flatten(at: &str, value: &Value, into: &mut Flat) {
    match value {
        Value::Null => {}
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| flatten(&format!("{at}/{name}"), value, into)),
        Value::Array(members) => {
            for (number, member) in members.iter().enumerate() {
                let name = device(member).unwrap_or_else(|| number.to_string());
                flatten(&format!("{at}/{name}"), member, into);
            }
        }
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            into.insert(at.to_owned(), text.clone());
        }
        Value::Number(_) | Value::Bool(_) => {
            into.insert(at.to_owned(), value.to_string());
        }
    }
}

/// What a device, or a change of one, is known by.
fn device(value: &Value) -> Option<String> {
    let device = value.get("device").filter(|device| device.is_object());
    let device = device.unwrap_or(value);
    let kind = device.get("_type")?.as_str()?;
    let place = ["/slotInfo/pciSlotNumber", "/busNumber"]
        .iter()
        .find_map(|pointer| device.pointer(pointer))
        .map(|place| format!("[{}]", place.as_str().unwrap_or_default()));
    Some(format!("{kind}{}", place.unwrap_or_default()))
}

/// Whether a path has the form of a pattern.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((head, rest)) => path.strip_prefix(head).is_some_and(|path| {
            (0..=path.len())
                .filter_map(|from| path.get(from..))
                .any(|path| matches(rest, path))
        }),
    }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut items: Vec<&str> = text.split('|').collect();
    items.sort_unstable();
    items
}

/// Differences that the list does not explain, and entries of the list that explain nothing.
pub fn unexplained(
    expected: &Flat,
    got: &Flat,
    list: &[MayDiffer],
    translate: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut used = vec![false; list.len()];
    let mut found = Vec::new();
    let paths: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
    for path in paths {
        let (want, have) = (expected.get(path), got.get(path));
        if want == have {
            continue;
        }
        let explains = |how: How| match (how, want, have) {
            (How::Translated, Some(want), Some(have)) => translate(want) == *have,
            (How::Order, Some(want), Some(have)) => sorted(want) == sorted(have),
            (How::Own, Some(_), Some(_)) | (How::Missing, Some(_), None) | (How::Added, None, Some(_)) => {
                true
            }
            _ => false,
        };
        let entry = list
            .iter()
            .position(|entry| matches(entry.at, path) && explains(entry.how));
        match entry.and_then(|entry| used.get_mut(entry)) {
            Some(used) => *used = true,
            None => found.push(format!("{path}: expected {want:?}, got {have:?}")),
        }
    }
    let idle = list.iter().zip(used).filter(|(_, used)| !used);
    found.extend(
        idle.map(|(entry, _)| format!("{} ({:?}): nothing differs so any more", entry.at, entry.how)),
    );
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(value: &Value) -> Flat {
        let mut flat = Flat::new();
        flatten("", value, &mut flat);
        flat
    }

    #[test]
    fn devices_are_known_by_type_and_place_and_not_by_their_order() {
        let nic = |slot: &str, group: &str| {
            json!({"operation": "add", "device": {"_type": "VirtualVmxnet3", "key": "-1", "group": group,
                "slotInfo": {"pciSlotNumber": slot}}})
        };
        let one = flat(&json!([nic("1184", "a"), nic("1216", "b")]));
        let other = flat(&json!([nic("1216", "b"), nic("1184", "a")]));
        assert_eq!(one, other);
        assert_eq!(one["/VirtualVmxnet3[1216]/device/group"], "b");
        assert_eq!(
            flat(&json!({"on": true, "n": 4, "none": null, "empty": {}})).len(),
            2
        );
    }

    #[test]
    fn a_star_is_any_text() {
        for (pattern, path, fits) in [
            ("a/*/c", "a/b/c", true),
            ("a/*", "a/", true),
            ("*", "anything", true),
            ("*@secret", "x@secret", true),
            ("a/*/c", "a/b/d", false),
            ("a", "ab", false),
            ("*b*b", "abb", true),
        ] {
            assert_eq!(matches(pattern, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn only_what_the_list_explains_may_differ_and_all_of_it_does() {
        let expected = flat(&json!({"ip": "10.0.0.1", "env": "a|b", "id": "1", "log": "x", "same": "s"}));
        let got = flat(&json!({"ip": "127.0.0.1", "env": "b|a", "id": "2", "mark": "m", "same": "s"}));
        let translate = |text: &str| text.replace("10.", "127.");
        let list = [
            may("/ip", How::Translated, ""),
            may("/env", How::Order, ""),
            may("/id", How::Own, ""),
            may("/log", How::Missing, ""),
            may("/mark", How::Added, ""),
        ];
        assert!(unexplained(&expected, &got, &list, translate).is_empty());
        for (left_out, _) in list.iter().enumerate() {
            let mut list = list.to_vec();
            list.remove(left_out);
            assert_eq!(unexplained(&expected, &got, &list, translate).len(), 1);
        }
        let mut more = list.to_vec();
        more.push(may("/same", How::Own, ""));
        let idle = unexplained(&expected, &got, &more, translate);
        assert!(idle[0].contains("nothing differs so any more"), "{idle:?}");
        let wrong = unexplained(&expected, &got, &list, str::to_owned);
        assert_eq!(wrong.len(), 2, "the translation is checked: {wrong:?}");
    }
}
