//! VMs and vNICs as the compute manager tells them, and the segment ports that follow.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::document::Document;
use super::queue::Event;
use super::{Actor, World};

/// A full snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// All VMs.
    #[serde(default)]
    pub vms: Vec<Vm>,
}

/// One VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vm {
    /// Instance UUID.
    pub external_id: String,
    /// Name in vCenter.
    pub display_name: String,
    /// Managed object reference.
    #[serde(default)]
    pub moref: String,
    /// `VM_RUNNING`, `VM_STOPPED` or `VM_SUSPENDED`.
    pub power_state: String,
    /// Tags, set through the API.
    #[serde(default)]
    pub tags: Vec<Value>,
    /// Host name that the guest told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer_name: Option<String>,
    /// Operating system that the guest told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_name: Option<String>,
    /// vNICs.
    #[serde(default)]
    pub vifs: Vec<Vif>,
}

/// One vNIC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vif {
    /// UUID of the vNIC's external id.
    pub external_id: String,
    /// MAC address.
    #[serde(default)]
    pub mac: String,
    /// `realization_id` of the segment it is on.
    #[serde(default)]
    pub segment: Option<String>,
    /// Addresses the guest told.
    #[serde(default)]
    pub ips: Vec<String>,
}

impl World {
    /// Takes in a snapshot: search and fabric inventory follow at once, ports after a while. Tags set through the
    /// API stay with their VM.
    pub fn replace_inventory(&mut self, mut fresh: Inventory, now: u64) {
        for vm in &mut fresh.vms {
            if let Some(known) = self
                .inventory
                .vms
                .iter()
                .find(|v| v.external_id == vm.external_id)
                && vm.tags.is_empty()
            {
                vm.tags.clone_from(&known.tags);
            }
        }
        if fresh == self.inventory {
            return;
        }
        let gone: Vec<String> = self.inventory.vms.iter().map(|v| v.external_id.clone()).collect();
        self.inventory = fresh;
        for id in gone {
            self.index_vm(&id, now);
        }
        for id in self
            .inventory
            .vms
            .iter()
            .map(|v| v.external_id.clone())
            .collect::<Vec<_>>()
        {
            self.index_vm(&id, now);
        }
        self.queue
            .push(now.saturating_add(self.tuning.port_delay_ms), Event::Ports);
    }

    /// Sets a VM's tags; `false` if there is no such VM.
    pub fn tag_vm(&mut self, external_id: &str, tags: Vec<Value>, now: u64) -> bool {
        let Some(vm) = self
            .inventory
            .vms
            .iter_mut()
            .find(|v| v.external_id == external_id)
        else {
            return false;
        };
        vm.tags = tags;
        self.index_vm(external_id, now);
        true
    }

    fn index_vm(&mut self, external_id: &str, now: u64) {
        let due = now.saturating_add(self.tuning.search_delay_ms);
        let vm = self.inventory.vms.iter().find(|v| v.external_id == external_id);
        let document = vm.map(|v| Arc::new(Document::from(v.document())));
        self.queue.push(
            due,
            Event::Index {
                key: format!("vm:{external_id}"),
                document,
            },
        );
    }

    /// Makes and removes segment ports until they are as the vNICs are.
    pub fn settle_ports(&mut self, now: u64) {
        let system = Actor {
            user: "nsx_policy".into(),
            now,
        };
        let mut wanted: Vec<(String, Map<String, Value>)> = Vec::new();
        for (vm, vif) in self
            .inventory
            .vms
            .iter()
            .flat_map(|vm| vm.vifs.iter().map(move |vif| (vm, vif)))
        {
            let Some(segment) = vif.segment.as_deref().and_then(|id| self.segment_of(id)) else {
                continue;
            };
            let path = format!("{segment}/ports/default:{}", vif.external_id);
            let declared = json!({
                "display_name": format!("{}/{}", vm.display_name, vif.external_id),
                "resource_type": "SegmentPort",
                "attachment": {"id": vif.external_id},
                "address_bindings": [],
            });
            if let Value::Object(declared) = declared {
                wanted.push((path, declared));
            }
        }
        let automatic = |path: &str| crate::paths::id_of(path).starts_with("default:");
        let kept: BTreeSet<&str> = wanted.iter().map(|(path, _)| path.as_str()).collect();
        let gone: Vec<String> = self
            .store
            .of_kind("SegmentPort")
            .map(|o| o.path.clone())
            .filter(|p| automatic(p) && !kept.contains(p.as_str()))
            .collect();
        for path in gone {
            self.remove_port(&path, now);
        }
        for (path, declared) in wanted {
            if self.store.any(&path).is_none() {
                let object = self.compose(&path, "SegmentPort", declared, None, &system);
                self.store.put(object);
                self.plan_realization(&[path].into(), now);
            }
        }
    }

    /// A forced delete takes the segment's ports with it.
    pub fn detach_ports(&mut self, segment: &str, now: u64) {
        let ports: Vec<String> = self
            .store
            .below(segment)
            .filter(|o| o.kind == "SegmentPort")
            .map(|o| o.path.clone())
            .collect();
        for port in ports {
            self.remove_port(&port, now);
        }
    }

    fn remove_port(&mut self, path: &str, now: u64) {
        self.store.remove(path);
        let due = now.saturating_add(self.tuning.search_delay_ms);
        self.queue.push(
            due,
            Event::Index {
                key: path.to_owned(),
                document: None,
            },
        );
    }

    /// Path of the realized segment with this `realization_id`.
    pub fn segment_of(&self, realization_id: &str) -> Option<&str> {
        let found = self.store.live(self.store.switch(realization_id)?)?;
        found.realization.effective.as_ref().map(|_| found.path.as_str())
    }
}

impl Vm {
    /// The VM as the fabric inventory shows it.
    pub fn document(&self) -> Value {
        json!({
            "resource_type": "VirtualMachine",
            "external_id": self.external_id,
            "display_name": self.display_name,
            "power_state": self.power_state,
            "type": "REGULAR",
            "host_id": "00000000-0000-4000-8000-000000000001",
            "local_id_on_host": self.moref,
            "compute_ids": [
                format!("moIdOnHost:{}", self.moref),
                format!("instanceUuid:{}", self.external_id),
                format!("externalId:{}", self.external_id),
            ],
            "tags": self.tags,
            "guest_info": {"os_name": self.os_name, "computer_name": self.computer_name},
        })
    }
}

impl Vif {
    /// The vNIC as the fabric inventory shows it. `attached` when its segment port exists.
    pub fn document(&self, vm: &Vm, attached: bool) -> Value {
        let mut body = json!({
            "resource_type": "VirtualNetworkInterface",
            "external_id": self.external_id,
            "display_name": self.external_id,
            "owner_vm_id": vm.external_id,
            "host_id": "00000000-0000-4000-8000-000000000001",
            "vm_local_id_on_host": vm.moref,
            "device_key": "4000",
            "device_name": "Network adapter 1",
            "mac_address": self.mac,
            "ip_address_info": [{"source": "VM_TOOLS", "ip_addresses": self.ips}],
        });
        if attached && let Some(map) = body.as_object_mut() {
            map.insert("lport_attachment_id".into(), json!(self.external_id));
        }
        body
    }
}
