//! Addresses from pools and subnets from blocks.

use serde_json::{Value, json};

use crate::error::{IN_USE, NsxError, OVERLAP};
use crate::rules::testing::{NOW, delete, patch, settle, world};
use crate::world::World;

const POOL: &str = "/infra/ip-pools/p";
const BLOCK: &str = "/infra/ip-blocks/b";

fn subnet(id: &str) -> String {
    format!("{POOL}/ip-subnets/{id}")
}

fn allocation(id: &str) -> String {
    format!("{POOL}/ip-allocations/{id}")
}

fn ranges(list: &[(&str, &str)]) -> Value {
    let list: Vec<Value> = list
        .iter()
        .map(|(start, end)| json!({"start": start, "end": end}))
        .collect();
    json!({"resource_type": "IpAddressPoolStaticSubnet", "cidr": "203.0.113.0/24", "allocation_ranges": list})
}

/// A pool of .10 to .12, that gives released addresses at once.
fn with_pool() -> World {
    let mut world = world();
    patch(&mut world, POOL, json!({"ip_release_delay": 0})).unwrap();
    patch(
        &mut world,
        &subnet("s"),
        ranges(&[("203.0.113.10", "203.0.113.12")]),
    )
    .unwrap();
    settle(&mut world);
    world
}

fn ask(world: &mut World, id: &str, wanted: Option<&str>) {
    let body = wanted.map_or_else(|| json!({}), |ip| json!({"allocation_ip": ip}));
    patch(world, &allocation(id), body).unwrap();
    settle(world);
}

/// The address that the realized entity tells, or the alarm's code.
fn given(world: &World, id: &str) -> Result<String, i64> {
    let entity = world.realized_entities(&allocation(id)).unwrap().remove(0);
    match entity["extended_attributes"][0]["values"][0].as_str() {
        Some(address) if entity["state"] == "REALIZED" => {
            assert_eq!(entity["extended_attributes"][0]["key"], "allocation_ip");
            Ok(address.to_owned())
        }
        _ => Err(entity["alarms"][0]["error_details"]["error_code"]
            .as_i64()
            .unwrap()),
    }
}

#[test]
fn addresses_are_given_in_order_and_kept() {
    let mut world = with_pool();
    let cases = [
        ("a", None, Ok("203.0.113.10")),
        ("b", Some("203.0.113.11"), Ok("203.0.113.11")),
        ("c", Some("203.0.113.11"), Err(8212)),
        ("d", Some("203.0.113.99"), Err(8212)),
        ("e", None, Ok("203.0.113.12")),
        ("f", None, Err(8212)),
    ];
    for (id, wanted, expected) in cases {
        ask(&mut world, id, wanted);
        assert_eq!(given(&world, id).as_deref(), expected.as_deref(), "{id}");
    }
    ask(&mut world, "a", None);
    assert_eq!(given(&world, "a").as_deref(), Ok("203.0.113.10"), "written again");
    let read = world.read(&allocation("a")).unwrap();
    assert_eq!(
        read.get("allocation_ip"),
        None,
        "the intent says what was asked for"
    );
    let usage = &world.read(POOL).unwrap()["pool_usage"];
    let numbers = [
        "total_ips",
        "allocated_ip_allocations",
        "requested_ip_allocations",
        "available_ips",
    ];
    assert_eq!(numbers.map(|n| usage[n].as_u64().unwrap()), [3, 3, 6, 0]);
    let changed = patch(
        &mut world,
        &allocation("b"),
        json!({"allocation_ip": "203.0.113.12"}),
    );
    assert!(changed.unwrap_err().message().contains("cannot be changed"));
}

#[test]
fn a_released_address_rests_and_then_serves_who_waits() {
    let mut world = with_pool();
    patch(&mut world, POOL, json!({"ip_release_delay": 60_000})).unwrap();
    for id in ["a", "b", "c", "d"] {
        patch(&mut world, &allocation(id), json!({})).unwrap();
    }
    world.advance(NOW + 1_000);
    assert_eq!(given(&world, "d"), Err(8212));
    delete(&mut world, &allocation("b")).unwrap();
    world.advance(NOW + 2_000);
    assert_eq!(given(&world, "d"), Err(8212), "the address rests");
    world.advance(NOW + 62_001);
    assert_eq!(given(&world, "d").as_deref(), Ok("203.0.113.11"));
}

#[test]
fn a_pool_and_what_it_gives_may_come_in_one_call() {
    let mut world = world();
    patch(&mut world, POOL, json!({})).unwrap();
    patch(&mut world, &allocation("a"), json!({})).unwrap();
    settle(&mut world);
    assert_eq!(given(&world, "a"), Err(8212), "no subnet yet");
    let body = ranges(&[("203.0.113.10", "203.0.113.12")]);
    patch(&mut world, &subnet("s"), body).unwrap();
    settle(&mut world);
    assert_eq!(given(&world, "a").as_deref(), Ok("203.0.113.10"));
}

#[test]
fn what_is_held_stays() {
    let mut world = with_pool();
    ask(&mut world, "a", None);
    let code = |r: Result<(), NsxError>| r.unwrap_err().code;
    assert_eq!(code(delete(&mut world, &subnet("s"))), json!(IN_USE));
    assert_eq!(code(delete(&mut world, POOL)), json!(IN_USE));
    delete(&mut world, &allocation("a")).unwrap();
    settle(&mut world);
    delete(&mut world, &subnet("s")).unwrap();
    settle(&mut world);
    delete(&mut world, POOL).unwrap();
}

#[test]
fn what_a_static_subnet_may_be() {
    let with = |field: &str, value: Value| {
        let mut body = ranges(&[("203.0.113.20", "203.0.113.29")]);
        body[field] = value;
        body
    };
    let cases = [
        (ranges(&[("203.0.113.20", "203.0.113.29")]), None),
        (
            ranges(&[("203.0.113.29", "203.0.113.20")]),
            Some("ends before it starts"),
        ),
        (ranges(&[("203.0.113.20", "203.0.114.29")]), Some("not within")),
        (
            ranges(&[("203.0.113.20", "203.0.113.29"), ("203.0.113.29", "203.0.113.30")]),
            Some("given twice"),
        ),
        (ranges(&[("203.0.113.12", "203.0.113.14")]), Some("overlaps with")),
        (with("gateway_ip", json!("203.0.113.1")), None),
        (with("gateway_ip", json!("192.0.2.1")), Some("gateway_ip")),
        (with("cidr", json!("203.0.113.0")), Some("not a CIDR")),
        (
            with("dns_nameservers", json!(["192.0.2.1", "192.0.2.1"])),
            Some("twice"),
        ),
    ];
    for (body, expected) in cases {
        let result = patch(&mut with_pool(), &subnet("t"), body.clone());
        match (expected, result) {
            (None, Ok(())) => {}
            (Some(words), Err(e)) => assert!(e.message().contains(words), "{body}: {}", e.message()),
            (expected, got) => panic!("{body}: expected {expected:?}, got {got:?}"),
        }
    }
    let mut world = with_pool();
    let clash = patch(
        &mut world,
        &subnet("t"),
        ranges(&[("203.0.113.12", "203.0.113.14")]),
    );
    assert_eq!(clash.unwrap_err().code, json!(OVERLAP));
}

#[test]
fn subnets_are_cut_out_of_blocks() {
    let mut world = world();
    assert!(
        patch(&mut world, BLOCK, json!({})).is_err(),
        "a block has addresses"
    );
    patch(&mut world, BLOCK, json!({"cidr": "198.51.100.0/28"})).unwrap();
    patch(&mut world, POOL, json!({})).unwrap();
    let cut = |size: u64| json!({"resource_type": "IpAddressPoolBlockSubnet", "ip_block_path": BLOCK, "size": size});
    for (size, good) in [(8, true), (6, false), (2, false)] {
        assert_eq!(patch(&mut world, &subnet("a"), cut(size)).is_ok(), good, "{size}");
    }
    patch(&mut world, &subnet("b"), cut(4)).unwrap();
    patch(&mut world, &subnet("c"), cut(8)).unwrap();
    settle(&mut world);
    let nets = ["a", "b", "c"].map(|id| world.read(&subnet(id)).unwrap()["cidr"].clone());
    assert_eq!(
        nets,
        [json!("198.51.100.0/29"), json!("198.51.100.8/30"), Value::Null]
    );
    let failed = world.realized_entities(&subnet("c")).unwrap();
    assert_eq!(failed[0]["alarms"][0]["error_details"]["error_code"], 8212);
    let usage = world.block_usage(world.store.live(BLOCK).unwrap());
    assert_eq!(
        (&usage["used_ips_count"], &usage["available_ips_count"]),
        (&json!("12"), &json!("4"))
    );
    ask(&mut world, "x", None);
    assert_eq!(
        given(&world, "x").as_deref(),
        Ok("198.51.100.2"),
        "behind the gateway"
    );
    assert!(patch(&mut world, &subnet("a"), cut(4)).is_err(), "its size stays");
    assert!(delete(&mut world, BLOCK).is_err(), "it is in use");
}
