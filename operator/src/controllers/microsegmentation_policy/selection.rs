//! What a selection means, as far as it can be told without asking anyone.

use std::collections::BTreeSet;

use guestinfo::Container;
use topology::{MachineMatch, Members, NameMatch};
use vic_crds::{AddressSelection, ContainerSelection, MachineSelection};

use crate::controllers::common::network;

/// Whether a container is meant: it meets all that is set.
pub(super) fn is_meant(selection: &ContainerSelection, container: &Container) -> bool {
    let named = selection.names.is_empty() || selection.names.iter().any(|name| **name == *container.name);
    let begins = selection
        .name_prefix
        .as_ref()
        .is_none_or(|prefix| container.name.starts_with(&**prefix));
    let labelled = selection
        .labels
        .iter()
        .all(|(key, value)| container.labels.get(key) == Some(value));
    named && begins && labelled
}

/// The VMs of the containers that are meant, by instance UUID. A VM that has none yet follows with the event
/// that tells it.
pub(super) fn machines<'a>(
    selection: &ContainerSelection,
    vms: impl Iterator<Item = &'a vsphere::Vm>,
) -> BTreeSet<String> {
    vms.filter(|vm| !vm.instance_uuid.is_empty())
        .filter(|vm| {
            Container::read(&vm.extra_config).is_some_and(|container| is_meant(selection, &container))
        })
        .map(|vm| vm.instance_uuid.clone())
        .collect()
}

/// VMs that NSX is to find itself.
pub(super) fn classic(selection: &MachineSelection) -> Members {
    let name = match (&selection.name, &selection.name_prefix) {
        (Some(name), _) => Some(NameMatch::Is(name.to_string())),
        (None, Some(prefix)) => Some(NameMatch::Begins(prefix.to_string())),
        (None, None) => None,
    };
    let tag = selection.tag.as_ref().map(|tag| {
        let scope = tag.scope.as_ref().map(ToString::to_string).unwrap_or_default();
        (scope, tag.value.to_string())
    });
    Members {
        matches: [MachineMatch { name, tag }].into(),
        ..Members::default()
    }
}

/// Addresses and networks.
pub(super) fn addresses(selection: &AddressSelection) -> Members {
    Members {
        addresses: selection.cidrs.iter().filter_map(|cidr| network(cidr)).collect(),
        ..Members::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::endpoint::fixture::vm;

    fn labels(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn selection(names: &[&str], prefix: Option<&str>, wanted: &[(&str, &str)]) -> ContainerSelection {
        ContainerSelection {
            vch_ref: vic_crds::ObjectRef { name: "vch".into() },
            names: names.iter().map(|name| (*name).into()).collect(),
            name_prefix: prefix.map(Into::into),
            labels: labels(wanted),
        }
    }

    fn container(name: &str, entries: &[(&str, &str)]) -> Container {
        Container {
            id: "a".repeat(64),
            name: name.into(),
            labels: labels(entries),
        }
    }

    #[test]
    fn a_container_must_meet_all_that_is_set() {
        let web = container("web-1", &[("app", "shop"), ("tier", "front")]);
        let cases = [
            (selection(&[], None, &[]), true),
            (selection(&["web-1"], None, &[]), true),
            (selection(&["db", "web-1"], None, &[]), true),
            (selection(&["web"], None, &[]), false),
            (selection(&[], Some("web-"), &[]), true),
            (selection(&[], Some("db"), &[]), false),
            (selection(&[], None, &[("app", "shop")]), true),
            (selection(&[], None, &[("app", "shop"), ("tier", "back")]), false),
            (selection(&[], None, &[("missing", "")]), false),
            (selection(&["web-1"], Some("db"), &[]), false),
            (selection(&["web-1"], Some("web"), &[("tier", "front")]), true),
        ];
        for (selection, expected) in cases {
            assert_eq!(is_meant(&selection, &web), expected, "{selection:?}");
        }
    }

    #[test]
    fn containers_are_known_by_their_vms_uuid_and_other_vms_are_not_meant() {
        let id = "ab".repeat(32);
        let of = |moref: &str, uuid: &str, entries: &[(&str, &str)]| {
            let mut vm = vm(moref, entries);
            vm.instance_uuid = uuid.to_owned();
            vm
        };
        let keys = [("guestinfo.vice./common/id", id.as_str()), ("common/name", "web")];
        let vms = [
            of("vm-1", "u-1", &keys),
            of("vm-2", "", &keys),
            of("vm-3", "u-3", &[("common/name", "web")]),
        ];
        assert_eq!(
            machines(&selection(&[], None, &[]), vms.iter()),
            ["u-1".to_owned()].into()
        );
        assert!(machines(&selection(&["db"], None, &[]), vms.iter()).is_empty());
    }
}
