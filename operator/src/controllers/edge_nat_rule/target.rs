//! Where a rule's container is, as vCenter reports it.

use std::net::Ipv4Addr;

use guestinfo::Container;
use ipnet::Ipv4Net;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use vic_crds::ContainerRef;
use vsphere::{PowerState, Vm};

use crate::context::Context;
use crate::controllers::common::Ground;
use crate::controllers::virtual_container_host::find;
use crate::failure::DereferenceError;
use crate::kind::{Kind, ObjectKey};
use crate::wake::Topic;

/// The container's address on a network; `None` while vCenter reports none. Whatever may change that wakes the rule.
///
/// # Errors
/// Where there is no such container host.
pub(super) fn resolve(
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
    container: &ContainerRef,
    subnet: Option<Ipv4Net>,
) -> Result<Option<Ipv4Addr>, DereferenceError> {
    let name = &*container.vch_ref.name;
    let host = ObjectKey::new(Kind::VirtualContainerHost, &key.namespace, name);
    ctx.wake.watch(key, Topic::Object(host.clone()));
    let reference = ObjectRef::new(name).within(&key.namespace);
    let Some(vch) = ctx.stores.hosts.get(&reference) else {
        return Err(DereferenceError::HostMissing(name.to_owned()));
    };
    let owner = ctx.owner(&host, &vch.uid().unwrap_or_default());
    let look = || {
        ground.connected.vsphere.read(|inventory| {
            let own = find::own(inventory, &owner);
            let pool = own.pool.map(|pool| pool.moref.clone());
            let guests = find::guests(inventory, &own);
            let vm = named(&guests, &container.name);
            let address = vm.zip(subnet).and_then(|(vm, subnet)| address(vm, subnet));
            (pool, vm.map(|vm| vm.moref.clone()), address)
        })
    };
    let (pool, vm, _) = look();
    // The pool tells of machines that come, the machine of its own end.
    let missing = pool.is_none();
    for moref in pool.into_iter().chain(vm) {
        let topic = Topic::VSphere {
            site: ground.site.clone(),
            moref: moref.to_string(),
        };
        ctx.wake.watch(key, topic);
    }
    if missing {
        let topic = Topic::Inventory {
            site: ground.site.clone(),
        };
        ctx.wake.watch(key, topic);
    }
    // Looked at again, so that no change falls between.
    let (_, _, address) = look();
    Ok(address)
}

/// The container of that name, whether it runs or not.
fn named<'a>(guests: &[&'a Vm], name: &str) -> Option<&'a Vm> {
    let is_meant =
        |vm: &&&Vm| Container::read(&vm.extra_config).is_some_and(|container| container.name == name);
    guests.iter().find(is_meant).copied()
}

/// The address on that subnet of a container that runs.
fn address(vm: &Vm, subnet: Ipv4Net) -> Option<Ipv4Addr> {
    let addresses = vm.guest_addresses.iter().chain(&vm.guest_ip);
    addresses
        .filter(|_| vm.power == PowerState::On)
        .filter_map(|text| text.parse().ok())
        .filter(|address| subnet.contains(address))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::fixture::vm;

    fn container(name: &str, addresses: &[&str]) -> Vm {
        let id = "0123456789abcdef".repeat(4);
        Vm {
            power: PowerState::On,
            guest_addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
            ..vm(
                "vm-1",
                &[("guestinfo.vice./common/id", id.as_str()), ("common/name", name)],
            )
        }
    }

    #[test]
    fn a_container_is_where_it_runs_on_the_network_that_is_meant() {
        let subnet: Ipv4Net = "10.30.0.0/24".parse().unwrap();
        let off = Vm {
            power: PowerState::Off,
            ..container("api", &["10.30.0.12"])
        };
        let alone = Vm {
            guest_ip: Some("10.30.0.14".into()),
            ..container("api", &[])
        };
        let other_vm = Vm {
            extra_config: std::collections::BTreeMap::new(),
            ..container("api", &["10.30.0.15"])
        };
        let cases = [
            (
                "it runs",
                vec![container("api", &["10.30.0.12"])],
                Some("10.30.0.12"),
            ),
            ("nothing runs", vec![], None),
            ("another runs", vec![container("web", &["10.30.0.12"])], None),
            ("it is off", vec![off], None),
            ("it has no address yet", vec![container("api", &[])], None),
            (
                "it has one on another network",
                vec![container("api", &["172.16.0.2"])],
                None,
            ),
            (
                "it has several",
                vec![container("api", &["172.16.0.2", "fe80::1", "10.30.0.13"])],
                Some("10.30.0.13"),
            ),
            ("the guest tells one in all", vec![alone], Some("10.30.0.14")),
            ("a VM of that name is none", vec![other_vm], None),
        ];
        for (what, vms, expected) in cases {
            let guests: Vec<&Vm> = vms.iter().collect();
            let found = named(&guests, "api").and_then(|vm| address(vm, subnet));
            let found = found.map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{what}");
        }
    }
}
