//! The distributed firewall, and services of every kind.

use serde_json::{Value, json};

use super::testing::*;
use super::{Packet, Verdict, walk};
use crate::rules::testing::{NOW, patch, settle};
use crate::world::World;

const DOMAIN: &str = "/infra/domains/default";
const NGINX: &str = "/infra/domains/default/groups/nginx";
const OTHER: &str = "/infra/domains/default/groups/other";

fn policy(id: &str) -> String {
    format!("{DOMAIN}/security-policies/{id}")
}

fn group(world: &mut World, path: &str, expression: &Value) {
    patch(world, path, json!({"expression": [expression]})).unwrap();
}

fn tag(value: &str) -> Value {
    json!({"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag", "operator": "EQUALS",
        "value": value})
}

/// The site with a group for each VM, by tag.
fn grouped() -> World {
    let mut world = site();
    group(&mut world, NGINX, &tag("app|nginx"));
    group(&mut world, OTHER, &tag("app|other"));
    settle(&mut world);
    world
}

fn rule(fields: &Value) -> Value {
    let mut rule = json!({"id": "r", "action": "DROP"});
    rule.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    rule
}

/// Is a packet from `other` to `nginx` delivered, and one the other way?
fn both_ways(world: &World) -> (bool, bool) {
    let reaches = |from: &str, to: &str| probe(world, from, to, 80).verdict == Verdict::Delivered;
    (
        reaches("10.30.0.12", "10.30.0.11"),
        reaches("10.30.0.11", "10.30.0.12"),
    )
}

#[test]
fn sides_scopes_and_directions_of_a_rule() {
    let by_address = "/infra/domains/default/groups/by-address";
    // the rule's fields, the policy's scope, other to nginx, nginx to other
    let cases = [
        (json!({}), json!([]), false, false),
        (json!({"disabled": true}), json!([]), true, true),
        (json!({"source_groups": [OTHER]}), json!([]), false, true),
        (json!({"destination_groups": [OTHER]}), json!([]), true, false),
        (
            json!({"source_groups": [OTHER], "sources_excluded": true}),
            json!([]),
            true,
            false,
        ),
        (
            json!({"destination_groups": [OTHER], "destinations_excluded": true}),
            json!([]),
            false,
            true,
        ),
        (json!({"source_groups": ["10.30.0.12"]}), json!([]), false, true),
        (json!({"source_groups": [by_address]}), json!([]), false, true),
        (
            json!({"direction": "IN", "scope": [NGINX]}),
            json!([]),
            false,
            true,
        ),
        (
            json!({"direction": "OUT", "scope": [NGINX]}),
            json!([]),
            true,
            false,
        ),
        (json!({"scope": [NGINX]}), json!([]), false, false),
        (json!({"direction": "IN"}), json!([NGINX]), false, true),
        (
            json!({"direction": "IN", "scope": [OTHER]}),
            json!([NGINX]),
            false,
            true,
        ),
        // A group of addresses only is applied nowhere.
        (json!({"scope": [by_address]}), json!([]), true, true),
        (json!({"ip_protocol": "IPV6"}), json!([]), true, true),
        (json!({"ip_protocol": "IPV4"}), json!([]), false, false),
        (
            json!({"services": ["/infra/services/HTTP"]}),
            json!([]),
            false,
            false,
        ),
        (
            json!({"services": ["/infra/services/SSH"]}),
            json!([]),
            true,
            true,
        ),
        (json!({"action": "ALLOW"}), json!([]), true, true),
        (
            json!({"action": "REJECT", "logged": true}),
            json!([]),
            false,
            false,
        ),
    ];
    for (fields, scope, in_, out) in cases {
        let mut world = grouped();
        let ips = json!({"resource_type": "IPAddressExpression", "ip_addresses": ["10.30.0.12"]});
        group(&mut world, by_address, &ips);
        let body = json!({"rules": [rule(&fields)], "scope": scope});
        patch(&mut world, &policy("p"), body).unwrap();
        settle(&mut world);
        assert_eq!(both_ways(&world), (in_, out), "{fields} {scope}");
    }
}

#[test]
fn categories_policies_and_rules_have_their_order() {
    let allow = |category: &str, number: i64| json!({"category": category, "sequence_number": number, "rules": [{"id": "r", "action": "ALLOW"}]});
    let drop = |category: &str, number: i64| json!({"category": category, "sequence_number": number, "rules": [{"id": "r", "action": "DROP"}]});
    let jump = json!({"category": "Environment", "rules": [
        {"id": "j", "action": "JUMP_TO_APPLICATION", "sequence_number": 1},
        {"id": "d", "action": "DROP", "sequence_number": 2}]});
    let ordered = |first: &str, second: &str| {
        json!({"rules": [{"id": "b", "action": second, "sequence_number": 20},
            {"id": "a", "action": first, "sequence_number": 10}]})
    };
    // policies, does a packet pass
    let cases = [
        (vec![allow("Application", 1), drop("Application", 2)], true),
        (vec![allow("Application", 2), drop("Application", 1)], false),
        (vec![allow("Emergency", 9), drop("Infrastructure", 1)], true),
        (vec![drop("Environment", 9), allow("Application", 1)], false),
        (vec![drop("Ethernet", 1)], true),
        (vec![jump.clone()], true),
        (vec![jump, drop("Application", 1)], false),
        (vec![ordered("ALLOW", "DROP")], true),
        (vec![ordered("DROP", "ALLOW")], false),
    ];
    for (policies, passes) in cases {
        let mut world = grouped();
        for (at, body) in policies.iter().enumerate() {
            patch(&mut world, &policy(&format!("p{at}")), body.clone()).unwrap();
        }
        settle(&mut world);
        assert_eq!(both_ways(&world).0, passes, "{policies:?}");
    }
}

#[test]
fn isolation_holds_at_the_vnic_behind_nat_too() {
    let mut world = grouped();
    publish(&mut world, &json!({}));
    let rules = json!({"rules": [
        {"id": "in", "action": "ALLOW", "source_groups": ["198.51.100.0/24"], "sequence_number": 1},
        {"id": "rest", "action": "DROP", "sequence_number": 2, "logged": true}], "scope": [NGINX]});
    patch(&mut world, &policy("isolate"), rules).unwrap();
    settle(&mut world);
    assert_eq!(from_outside(&world, 8080).vm.as_deref(), Some("nginx"));
    let told = probe(&world, "192.0.2.7", "203.0.113.10", 8080);
    assert_eq!(
        (told.verdict, told.rule, told.action.as_deref()),
        (
            Verdict::Dropped,
            Some(format!("{}/rules/rest", policy("isolate"))),
            Some("DROP")
        )
    );
    let last = told.hops.last().unwrap();
    assert_eq!(
        (last.at.as_str(), last.way, last.logged),
        ("vNIC of 10.30.0.11", "in", true)
    );
    assert_eq!(both_ways(&world), (false, false));
}

#[test]
fn a_moved_tag_moves_the_rules() {
    let mut world = grouped();
    let rules = json!({"rules": [{"id": "r", "action": "DROP", "destination_groups": [NGINX]}]});
    patch(&mut world, &policy("p"), rules).unwrap();
    settle(&mut world);
    assert_eq!(both_ways(&world), (false, true));
    assert!(world.tag_vm("id-nginx", vec![], NOW));
    assert!(world.tag_vm("id-other", vec![json!({"scope": "app", "tag": "nginx"})], NOW));
    assert_eq!(both_ways(&world), (true, false));
}

#[test]
fn a_projects_policies_are_for_its_own_segments() {
    let mut world = grouped();
    let project = "/orgs/default/projects/p";
    patch(&mut world, project, json!({})).unwrap();
    let policy = format!("{project}/infra/domains/default/security-policies/p");
    patch(
        &mut world,
        &policy,
        json!({"rules": [{"id": "r", "action": "DROP"}]}),
    )
    .unwrap();
    let path = format!("{project}/infra/segments/inner");
    patch(
        &mut world,
        &path,
        json!({"subnets": [{"gateway_address": "10.50.0.1/24"}]}),
    )
    .unwrap();
    settle(&mut world);
    assert_eq!(both_ways(&world), (true, true));
    let mut inventory = world.inventory.clone();
    let id = segment_id(&world, &path);
    inventory
        .vms
        .extend([vm("in-1", &id, "10.50.0.5"), vm("in-2", &id, "10.50.0.6")]);
    world.replace_inventory(inventory, NOW);
    let told = probe(&world, "10.50.0.5", "10.50.0.6", 80);
    assert_eq!(
        (told.verdict, told.rule),
        (Verdict::Dropped, Some(format!("{policy}/rules/r")))
    );
}

/// A packet with what services look at.
fn packet_of(
    protocol: &str,
    port: Option<u16>,
    source_port: Option<u16>,
    icmp: (Option<u8>, Option<u8>),
) -> Packet {
    Packet {
        source_port,
        icmp_type: icmp.0,
        icmp_code: icmp.1,
        ..packet("10.30.0.12", "10.30.0.11", port, protocol)
    }
}

const NONE: (Option<u8>, Option<u8>) = (None, None);

fn l4(protocol: &str, to: &Value, from: &Value) -> Value {
    json!({"resource_type": "L4PortSetServiceEntry", "l4_protocol": protocol, "destination_ports": to,
        "source_ports": from})
}

fn tcp(port: u16) -> Packet {
    packet_of("TCP", Some(port), None, NONE)
}

fn udp(port: u16) -> Packet {
    packet_of("UDP", Some(port), None, NONE)
}

/// Each entry, by its service and inline, means the packet or does not.
fn mean_all(cases: Vec<(Value, Packet, bool)>) {
    for (entry, packet, means) in cases {
        let mut world = site();
        let mut named = entry.clone();
        named["id"] = json!("e");
        named["display_name"] = json!("e");
        patch(
            &mut world,
            "/infra/services/s",
            json!({"service_entries": [named]}),
        )
        .unwrap();
        let by_service = json!({"id": "r", "action": "DROP", "services": ["/infra/services/s"]});
        let inline = json!({"id": "r", "action": "DROP", "service_entries": [entry]});
        let is_nested = entry["resource_type"] == "NestedServiceServiceEntry";
        for rule in [by_service, inline]
            .into_iter()
            .take(if is_nested { 1 } else { 2 })
        {
            patch(&mut world, &policy("p"), json!({"rules": [rule]})).unwrap();
            settle(&mut world);
            let dropped = walk(&world, &packet).unwrap().verdict == Verdict::Dropped;
            assert_eq!(dropped, means, "{entry} {packet:?}");
        }
    }
}

#[test]
fn services_of_ports() {
    let (any, some) = (json!([]), json!(["100-200", "300"]));
    let sent_from = |port: Option<u16>| packet_of("TCP", Some(9), port, NONE);
    let from = |range: &str| l4("TCP", &json!([]), &json!([range]));
    mean_all(vec![
        (l4("TCP", &json!(["80"]), &any), tcp(80), true),
        (l4("TCP", &json!(["80"]), &any), tcp(81), false),
        (l4("TCP", &json!(["80"]), &any), udp(80), false),
        (l4("UDP", &some, &any), udp(150), true),
        (l4("UDP", &some, &any), udp(250), false),
        (l4("TCP", &any, &any), tcp(9), true),
        (from("1000-2000"), sent_from(Some(1500)), true),
        (from("1000-2000"), sent_from(Some(99)), false),
        (from("1000-2000"), sent_from(None), false),
    ]);
}

#[test]
fn services_of_other_kinds() {
    let icmp = |fields: Value| {
        let mut entry = json!({"resource_type": "ICMPTypeServiceEntry", "protocol": "ICMPv4"});
        let map = entry.as_object_mut().unwrap();
        map.extend(fields.as_object().unwrap().clone());
        entry
    };
    let number = |n: u8| json!({"resource_type": "IPProtocolServiceEntry", "protocol_number": n});
    let alg = |name: &str, port: &str| json!({"resource_type": "ALGTypeServiceEntry", "alg": name, "destination_ports": [port]});
    let nested =
        json!({"resource_type": "NestedServiceServiceEntry", "nested_service_path": "/infra/services/HTTP"});
    let ether = json!({"resource_type": "EtherTypeServiceEntry", "ether_type": 2054});
    let ping = || packet_of("ICMP", None, None, NONE);
    let unreachable = |code: u8| packet_of("ICMP", None, None, (Some(3), Some(code)));
    mean_all(vec![
        (icmp(json!({})), ping(), true),
        (icmp(json!({"icmp_type": 8})), ping(), true),
        (icmp(json!({"icmp_type": 0})), ping(), false),
        (
            icmp(json!({"icmp_type": 3, "icmp_code": 1})),
            unreachable(1),
            true,
        ),
        (
            icmp(json!({"icmp_type": 3, "icmp_code": 1})),
            unreachable(2),
            false,
        ),
        (icmp(json!({"protocol": "ICMPv6"})), ping(), false),
        (number(47), packet_of("47", None, None, NONE), true),
        (number(47), packet_of("50", None, None, NONE), false),
        (number(6), tcp(1), true),
        (alg("FTP", "21"), tcp(21), true),
        (alg("TFTP", "69"), udp(69), true),
        (alg("TFTP", "69"), tcp(69), false),
        (nested.clone(), tcp(80), true),
        (nested, tcp(443), false),
        (ether, tcp(1), false),
        (json!({"resource_type": "IGMPTypeServiceEntry"}), tcp(1), false),
    ]);
}

#[test]
fn families_do_not_mix() {
    let mixed = packet("10.30.0.12", "fd00::1", Some(80), "TCP");
    assert!(walk(&site(), &mixed).unwrap_err().contains("two families"));
}
