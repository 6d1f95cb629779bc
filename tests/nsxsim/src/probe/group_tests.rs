//! Who is in a group.

use serde_json::{Value, json};

use super::group::members;
use crate::rules::testing::{NOW, patch, settle, web_segment, world};
use crate::world::World;
use crate::world::inventory::{Inventory, Vif, Vm};

fn site() -> World {
    let mut world = world();
    web_segment(&mut world);
    settle(&mut world);
    let segment = world.read("/infra/segments/web").unwrap()["realization_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let vm = |name: &str, ip: &str, on: Option<&str>, tags: Value| Vm {
        external_id: format!("id-{name}"),
        display_name: name.into(),
        moref: String::new(),
        power_state: "VM_RUNNING".into(),
        computer_name: None,
        os_name: None,
        tags: tags.as_array().unwrap().clone(),
        vifs: vec![Vif {
            external_id: format!("vif-{name}"),
            mac: format!("00:50:56:00:00:{}", ip.rsplit('.').next().unwrap()),
            segment: on.map(str::to_owned),
            ips: vec![ip.into()],
        }],
    };
    let web = json!([{"scope": "app", "tag": "web"}, {"scope": "env", "tag": "prod"}]);
    let vms = vec![
        vm("web-1", "10.30.0.11", Some(&segment), web),
        vm(
            "web-2",
            "10.30.0.12",
            Some(&segment),
            json!([{"scope": "app", "tag": "web"}]),
        ),
        vm(
            "db-1",
            "10.99.0.13",
            None,
            json!([{"scope": "env", "tag": "prod"}]),
        ),
    ];
    world.replace_inventory(Inventory { vms }, NOW);
    settle(&mut world);
    world
}

fn tag(value: &str) -> Value {
    json!({"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag", "operator": "EQUALS", "value": value})
}

fn joined(operator: &str, parts: &[Value]) -> Value {
    let between = json!({"resource_type": "ConjunctionOperator", "conjunction_operator": operator});
    let mut list = Vec::new();
    for part in parts {
        if !list.is_empty() {
            list.push(between.clone());
        }
        list.push(part.clone());
    }
    json!(list)
}

#[test]
fn expressions_choose_their_members() {
    let name = |operator: &str, value: &str| json!({"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Name", "operator": operator, "value": value});
    let cases: Vec<(Value, &[&str])> = vec![
        (json!([]), &[]),
        (json!([tag("app|web")]), &["web-1", "web-2"]),
        (json!([tag("env|web")]), &[]),
        (json!([tag("prod")]), &["web-1", "db-1"]),
        (joined("AND", &[tag("app|web"), tag("env|prod")]), &["web-1"]),
        (
            joined("OR", &[tag("app|web"), tag("env|prod")]),
            &["web-1", "web-2", "db-1"],
        ),
        (json!([name("STARTSWITH", "web")]), &["web-1", "web-2"]),
        (json!([name("NOTEQUALS", "web-1")]), &["web-2", "db-1"]),
        (json!([name("IN", "web-1, db-1")]), &["web-1", "db-1"]),
        (
            json!([{"resource_type": "IPAddressExpression", "ip_addresses": ["10.30.0.0/24"]}]),
            &["web-1", "web-2"],
        ),
        (
            json!([{"resource_type": "PathExpression", "paths": ["/infra/segments/web"]}]),
            &["web-1", "web-2"],
        ),
        (
            json!([{"resource_type": "PathExpression", "paths": ["/infra/segments/web/ports/default:vif-web-2"]}]),
            &["web-2"],
        ),
        (
            json!([{"resource_type": "ExternalIDExpression", "member_type": "VirtualMachine", "external_ids": ["id-db-1"]}]),
            &["db-1"],
        ),
        (
            json!([{"resource_type": "MACAddressExpression", "mac_addresses": ["00:50:56:00:00:13"]}]),
            &["db-1"],
        ),
        (
            json!([{"resource_type": "NestedExpression", "expressions": joined("AND", &[tag("app|web"), tag("env|prod")])}]),
            &["web-1"],
        ),
    ];
    for (expression, expected) in cases {
        let mut world = site();
        let path = "/infra/domains/default/groups/g";
        patch(&mut world, path, json!({"expression": expression})).unwrap();
        let group = world.store.live(path).unwrap().body.clone();
        let found: Vec<&str> = members(&world, &group)
            .machines
            .iter()
            .map(|vm| vm.display_name.as_str())
            .collect();
        assert_eq!(found, expected, "{expression}");
    }
}

#[test]
fn groups_hold_groups_and_tell_addresses() {
    let mut world = site();
    let inner = "/infra/domains/default/groups/inner";
    let outer = "/infra/domains/default/groups/outer";
    patch(&mut world, inner, json!({"expression": [tag("app|web")]})).unwrap();
    let parts = [
        json!({"resource_type": "PathExpression", "paths": [inner]}),
        json!({"resource_type": "IPAddressExpression", "ip_addresses": ["192.0.2.0/24"]}),
    ];
    patch(&mut world, outer, json!({"expression": joined("OR", &parts)})).unwrap();
    settle(&mut world);
    let group = world.store.live(outer).unwrap().body.clone();
    let found = members(&world, &group);
    assert_eq!(found.addresses, ["192.0.2.0/24", "10.30.0.11", "10.30.0.12"]);
    assert_eq!(found.interfaces.len(), 2);
}
