//! A site to send packets through.

use serde_json::{Value, json};

use super::{Packet, Told, walk};
use crate::rules::testing::{NOW, patch, settle, web_segment, world};
use crate::world::World;
use crate::world::inventory::{Inventory, Vif, Vm};

pub const EDGE: &str = "/infra/tier-1s/vic-edge";
pub const T0: &str = "/infra/tier-0s/vic-t0";

pub fn nat(id: &str) -> String {
    format!("{EDGE}/nat/USER/nat-rules/{id}")
}

pub fn vm(name: &str, segment: &str, ip: &str) -> Vm {
    let vif = Vif {
        external_id: format!("vif-{name}"),
        mac: "00:50:56:00:00:01".into(),
        segment: Some(segment.into()),
        ips: vec![ip.into()],
    };
    Vm {
        external_id: format!("id-{name}"),
        display_name: name.into(),
        moref: String::new(),
        power_state: "VM_RUNNING".into(),
        computer_name: None,
        os_name: None,
        tags: vec![json!({"scope": "app", "tag": name})],
        vifs: vec![vif],
    }
}

pub fn segment_id(world: &World, path: &str) -> String {
    world.read(path).unwrap()["realization_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Two VMs on 10.30.0.0/24 behind the seeded Tier-1: `nginx` at .11, `other` at .12.
pub fn site() -> World {
    let mut world = world();
    web_segment(&mut world);
    settle(&mut world);
    let id = segment_id(&world, "/infra/segments/web");
    let vms = vec![vm("nginx", &id, "10.30.0.11"), vm("other", &id, "10.30.0.12")];
    world.replace_inventory(Inventory { vms }, NOW);
    settle(&mut world);
    world
}

pub fn service(world: &mut World, id: &str, ports: &[&str]) -> String {
    let path = format!("/infra/services/{id}");
    let entry = json!({"resource_type": "L4PortSetServiceEntry", "id": "e", "display_name": "e", "l4_protocol": "TCP",
        "destination_ports": ports});
    patch(world, &path, json!({"service_entries": [entry]})).unwrap();
    path
}

/// Port 8080 of 203.0.113.10 leads to port 80 of nginx.
pub fn publish(world: &mut World, extra: &Value) {
    let service = service(world, "to-80", &["80"]);
    let mut rule = json!({"action": "DNAT", "destination_network": "203.0.113.10", "service": service,
        "translated_network": "10.30.0.11", "translated_ports": "8080"});
    rule.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    patch(world, &nat("publish"), rule).unwrap();
    settle(world);
}

pub fn packet(from: &str, to: &str, port: Option<u16>, protocol: &str) -> Packet {
    Packet {
        from: from.into(),
        to: to.into(),
        port,
        source_port: None,
        protocol: protocol.into(),
        icmp_type: None,
        icmp_code: None,
    }
}

pub fn probe(world: &World, from: &str, to: &str, port: u16) -> Told {
    walk(world, &packet(from, to, Some(port), "TCP")).unwrap()
}

pub fn from_outside(world: &World, port: u16) -> Told {
    probe(world, "198.51.100.7", "203.0.113.10", port)
}
