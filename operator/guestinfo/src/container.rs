//! What a container's VM tells of its container. VIC writes these keys without the endpoint VM's `init`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Map;

/// The key by which a container's VM is known; its value is 64 hexadecimal digits.
const ID: &str = "guestinfo.vice./common/id";
/// Its name is hidden from the guest, as that of the endpoint VM is.
const NAME: &str = "common/name";
/// Where a VM shows its name to the guest.
const VISIBLE_NAME: &str = "guestinfo.vice./common/name";
/// Labels are one of the annotations, which the guest does not see: base64 of a JSON object.
const LABELS: &str = "annotations|docker.labels";

/// A container, as its VM's extraConfig tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Its name in Docker, without the slash.
    pub name: String,
    /// Its labels in Docker.
    pub labels: BTreeMap<String, String>,
}

impl Container {
    /// Reads the extraConfig of a VM; `None` where it is no container's. Labels that cannot be read are none: a
    /// container must not vanish because someone damaged an annotation.
    #[must_use]
    pub fn read(map: &Map) -> Option<Self> {
        let id = map.get(ID).filter(|id| is_id(id))?;
        let name = map.get(NAME).or_else(|| map.get(VISIBLE_NAME));
        Some(Self {
            id: id.clone(),
            name: name
                .map(|name| name.trim_start_matches('/').to_owned())
                .unwrap_or_default(),
            labels: map.get(LABELS).and_then(|text| labels(text)).unwrap_or_default(),
        })
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())
}

fn labels(text: &str) -> Option<BTreeMap<String, String>> {
    serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> Map {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn id() -> String {
        "0123456789abcdef".repeat(4)
    }

    #[test]
    fn a_container_tells_its_name_and_labels() {
        let encoded = STANDARD.encode(r#"{"app":"web","tier":"front end"}"#);
        let found = Container::read(&map(&[
            (ID, &id()),
            (NAME, "web-1"),
            ("annotations", "docker.autoremove|docker.labels"),
            (LABELS, &encoded),
        ]));
        let labels = [("app", "web"), ("tier", "front end")];
        let expected = Container {
            id: id(),
            name: "web-1".into(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn a_name_may_be_visible_and_labels_may_be_damaged() {
        for damaged in ["", "%%%", "bm8ganNvbg==", "WzFd"] {
            let found =
                Container::read(&map(&[(ID, &id()), (VISIBLE_NAME, "/db"), (LABELS, damaged)])).unwrap();
            assert_eq!((found.name.as_str(), found.labels.len()), ("db", 0), "{damaged}");
        }
        assert_eq!(Container::read(&map(&[(ID, &id())])).unwrap().name, "");
    }

    #[test]
    fn other_vms_are_no_containers() {
        let short = "ab".repeat(20);
        let endpoint = "VirtualMachine:vm-7";
        for map in [
            map(&[]),
            map(&[(NAME, "x")]),
            map(&[(ID, &short)]),
            map(&[(ID, endpoint)]),
            map(&[(ID, &"g".repeat(64))]),
        ] {
            assert_eq!(Container::read(&map), None);
        }
    }
}
