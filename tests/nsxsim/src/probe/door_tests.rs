//! Walks through interfaces, by static routes and advertisements.

use serde_json::{Value, json};

use super::testing::*;
use super::{Told, Verdict};
use crate::rules::testing::{NOW, ZONES, delete, patch, settle};
use crate::world::World;

const CONSUMERS: &str = "/infra/segments/consumers";
const LOCALE: &str = "/infra/tier-1s/vic-edge/locale-services/default";
const CLUSTER: &str = "/infra/sites/default/enforcement-points/default/edge-clusters/edge-cluster-1";

fn door(id: &str) -> String {
    format!("{LOCALE}/interfaces/{id}")
}

/// The site with an interface at 203.0.113.2 on a VLAN segment, where `consumer` is at .50; port 8080 of .10 leads to
/// port 80 of nginx.
fn with_consumers() -> World {
    let mut world = site();
    let vlan = json!({"transport_zone_path": format!("{ZONES}/vlan"), "vlan_ids": ["130"]});
    patch(&mut world, CONSUMERS, vlan).unwrap();
    let body =
        json!({"segment_path": CONSUMERS, "subnets": [{"ip_addresses": ["203.0.113.2"], "prefix_len": 24}]});
    patch(&mut world, &door("out"), body).unwrap();
    settle(&mut world);
    let mut inventory = world.inventory.clone();
    inventory
        .vms
        .push(vm("consumer", &segment_id(&world, CONSUMERS), "203.0.113.50"));
    world.replace_inventory(inventory, NOW);
    publish(&mut world, &json!({}));
    world
}

fn tune_edge(world: &mut World, body: Value) {
    patch(world, EDGE, body).unwrap();
    settle(world);
}

fn summary(told: &Told) -> (Verdict, Option<&str>, Option<&str>, Option<&str>) {
    (
        told.verdict,
        told.vm.as_deref(),
        told.translated.as_deref(),
        told.source.as_deref(),
    )
}

#[test]
fn neighbours_of_an_interface_come_in_by_it() {
    let mut world = with_consumers();
    // Nothing is advertised: only the interface leads in.
    tune_edge(&mut world, json!({"tier0_path": T0}));
    let nat = Some("10.30.0.11:80");
    let cases = [
        (
            "203.0.113.50",
            "203.0.113.10",
            8080,
            (Verdict::Delivered, Some("nginx"), nat, None),
        ),
        (
            "203.0.113.77",
            "203.0.113.10",
            8080,
            (Verdict::Delivered, Some("nginx"), nat, None),
        ),
        (
            "203.0.113.77",
            "203.0.113.10",
            81,
            (Verdict::NoRoute, None, None, None),
        ),
        (
            "203.0.113.77",
            "203.0.113.50",
            80,
            (Verdict::Delivered, Some("consumer"), None, None),
        ),
        (
            "203.0.113.77",
            "10.30.0.12",
            80,
            (Verdict::Delivered, Some("other"), None, None),
        ),
        (
            "203.0.113.77",
            "203.0.113.99",
            80,
            (Verdict::NoRoute, None, None, None),
        ),
        (
            "10.30.0.11",
            "203.0.113.50",
            80,
            (Verdict::Delivered, Some("consumer"), None, None),
        ),
        (
            "10.30.0.11",
            "203.0.113.77",
            80,
            (Verdict::Delivered, None, None, None),
        ),
        (
            "198.51.100.7",
            "203.0.113.10",
            8080,
            (Verdict::NoRoute, None, None, None),
        ),
    ];
    for (from, to, port, expected) in cases {
        let told = probe(&world, from, to, port);
        assert_eq!(summary(&told), expected, "{from} {to}:{port}: {:#?}", told.steps);
    }
    let told = probe(&world, "203.0.113.50", "203.0.113.10", 8080);
    let hop = told.hops.iter().find(|h| h.nat_rule.is_some()).unwrap();
    assert_eq!((hop.interface.clone(), hop.way), (Some(door("out")), "in"));
}

#[test]
fn an_interface_that_is_down_or_gone_leads_nowhere() {
    for gone in [false, true] {
        let mut world = with_consumers();
        tune_edge(&mut world, json!({"tier0_path": T0}));
        if gone {
            delete(&mut world, &door("out")).unwrap();
        } else {
            let down = json!({"segment_path": CONSUMERS, "admin_state": "DOWN",
                "subnets": [{"ip_addresses": ["203.0.113.2"], "prefix_len": 24}]});
            patch(&mut world, &door("out"), down).unwrap();
        }
        settle(&mut world);
        let told = probe(&world, "203.0.113.50", "203.0.113.10", 8080);
        assert_eq!(told.verdict, Verdict::NoRoute, "{gone}: {:#?}", told.steps);
    }
}

#[test]
fn rules_may_be_for_one_door_only() {
    // scope of the NAT rule, delivered by the interface, delivered over the Tier-0
    let cases = [
        (json!([]), true, true),
        (json!([EDGE]), true, true),
        (json!([LOCALE]), true, true),
        (json!([door("out")]), true, false),
    ];
    for (scope, beside, above) in cases {
        let mut world = with_consumers();
        publish(&mut world, &json!({"scope": scope}));
        let by = |from: &str| probe(&world, from, "203.0.113.10", 8080).verdict == Verdict::Delivered;
        assert_eq!(
            (by("203.0.113.50"), by("198.51.100.7")),
            (beside, above),
            "NAT {scope}"
        );
    }
    // scope of a dropping firewall rule: what it lets through
    let cases = [
        (json!([EDGE]), false, false),
        (json!([LOCALE]), false, false),
        (json!([door("out")]), false, true),
        (json!([T0]), true, false),
    ];
    for (scope, beside, above) in cases {
        let mut world = with_consumers();
        let rule = json!({"id": "r", "action": "DROP", "destination_groups": ["10.30.0.11", "203.0.113.10"],
            "scope": scope});
        patch(
            &mut world,
            "/infra/domains/default/gateway-policies/p",
            json!({"rules": [rule]}),
        )
        .unwrap();
        settle(&mut world);
        let by = |from: &str| probe(&world, from, "203.0.113.10", 8080).verdict == Verdict::Delivered;
        assert_eq!(
            (by("203.0.113.50"), by("198.51.100.7")),
            (beside, above),
            "firewall {scope}"
        );
    }
}

#[test]
fn the_hairpin_works_at_an_interface_too() {
    let mut world = with_consumers();
    let told = probe(&world, "10.30.0.12", "203.0.113.10", 8080);
    assert!(told.answer.is_some(), "{:#?}", told.steps);
    let snat =
        json!({"action": "SNAT", "source_network": "10.30.0.0/24", "translated_network": "203.0.113.3"});
    patch(&mut world, &nat("snat"), snat).unwrap();
    settle(&mut world);
    let told = probe(&world, "10.30.0.12", "203.0.113.10", 8080);
    assert_eq!(
        summary(&told),
        (
            Verdict::Delivered,
            Some("nginx"),
            Some("10.30.0.11:80"),
            Some("203.0.113.3")
        ),
        "{:#?}",
        told.steps
    );
    assert!(
        told.hops
            .iter()
            .filter(|h| h.nat_rule.is_some())
            .all(|h| h.interface.is_some())
    );
}

#[test]
fn static_routes_lead_out_by_an_interface() {
    let mut world = with_consumers();
    let outside = |world: &World| {
        let told = probe(world, "10.30.0.11", "198.51.100.7", 443);
        let last = told.hops.last().unwrap().clone();
        (told.verdict, last.at, last.interface)
    };
    assert_eq!(outside(&world), (Verdict::Delivered, T0.to_owned(), None));
    let route = json!({"network": "198.51.100.0/24", "next_hops": [{"ip_address": "203.0.113.254"}]});
    let path = format!("{EDGE}/static-routes/r");
    patch(&mut world, &path, route).unwrap();
    settle(&mut world);
    assert_eq!(
        outside(&world),
        (Verdict::Delivered, EDGE.to_owned(), Some(door("out")))
    );
    // Without a Tier-0 the outside comes in the same way.
    tune_edge(&mut world, json!({}));
    let told = probe(&world, "198.51.100.7", "203.0.113.10", 8080);
    assert_eq!(told.vm.as_deref(), Some("nginx"), "{:#?}", told.steps);
    assert_eq!(
        probe(&world, "192.0.2.9", "203.0.113.10", 8080).verdict,
        Verdict::NoRoute
    );
    delete(&mut world, &path).unwrap();
    settle(&mut world);
    assert_eq!(
        probe(&world, "198.51.100.7", "203.0.113.10", 8080).verdict,
        Verdict::NoRoute
    );
    assert_eq!(
        probe(&world, "10.30.0.11", "198.51.100.7", 443).verdict,
        Verdict::NoRoute
    );
}

#[test]
fn without_an_edge_cluster_a_gateway_only_routes() {
    let mut world = site();
    publish(&mut world, &json!({}));
    assert_eq!(from_outside(&world, 8080).verdict, Verdict::Delivered);
    delete(&mut world, LOCALE).unwrap();
    settle(&mut world);
    let told = from_outside(&world, 8080);
    assert_eq!(told.verdict, Verdict::NoRoute, "{:#?}", told.steps);
    let told = probe(&world, "198.51.100.7", "10.30.0.11", 80);
    assert_eq!(told.vm.as_deref(), Some("nginx"), "routes still");
    assert!(told.steps.iter().any(|s| s.contains("without an edge cluster")));
    patch(&mut world, LOCALE, json!({"edge_cluster_path": CLUSTER})).unwrap();
    settle(&mut world);
    assert_eq!(from_outside(&world, 8080).verdict, Verdict::Delivered);
}

#[test]
fn advertisement_rules_come_before_the_list() {
    let all = json!(["TIER1_CONNECTED", "TIER1_NAT"]);
    let rule = |action: &str, kinds: Value, subnets: Value, operator: &str| {
        json!({"name": "r", "action": action, "route_advertisement_types": kinds, "subnets": subnets,
            "prefix_operator": operator})
    };
    // types, rules, NAT reached, segment reached
    let cases = [
        (all.clone(), json!([]), true, true),
        (json!([]), json!([]), false, false),
        (json!(["TIER1_NAT"]), json!([]), true, false),
        (json!(["TIER1_CONNECTED"]), json!([]), false, true),
        (
            all.clone(),
            json!([rule("DENY", json!(["TIER1_CONNECTED"]), json!([]), "GE")]),
            true,
            false,
        ),
        (
            all.clone(),
            json!([rule("DENY", json!([]), json!(["10.0.0.0/8"]), "GE")]),
            true,
            false,
        ),
        (
            all.clone(),
            json!([rule("DENY", json!([]), json!(["10.0.0.0/8"]), "EQ")]),
            true,
            true,
        ),
        (
            all,
            json!([rule("DENY", json!([]), json!(["10.30.0.0/24"]), "EQ")]),
            true,
            false,
        ),
        (
            json!([]),
            json!([rule(
                "PERMIT",
                json!(["TIER1_NAT"]),
                json!(["203.0.113.0/24"]),
                "GE"
            )]),
            true,
            false,
        ),
        (
            json!([]),
            json!([rule(
                "PERMIT",
                json!(["TIER1_NAT"]),
                json!(["192.0.2.0/24"]),
                "GE"
            )]),
            false,
            false,
        ),
    ];
    for (types, rules, by_nat, by_route) in cases {
        let mut world = site();
        publish(&mut world, &json!({}));
        let body =
            json!({"tier0_path": T0, "route_advertisement_types": types, "route_advertisement_rules": rules});
        tune_edge(&mut world, body);
        let reached =
            |to: &str, port: u16| probe(&world, "198.51.100.7", to, port).verdict == Verdict::Delivered;
        let got = (reached("203.0.113.10", 8080), reached("10.30.0.11", 80));
        assert_eq!(got, (by_nat, by_route), "{types} {rules}");
    }
}

#[test]
fn an_answer_needs_a_way_back() {
    let mut world = site();
    let out = |world: &World| probe(world, "10.30.0.11", "198.51.100.7", 443);
    assert_eq!(
        out(&world).verdict,
        Verdict::Delivered,
        "the segment is advertised"
    );
    tune_edge(
        &mut world,
        json!({"tier0_path": T0, "route_advertisement_types": ["TIER1_NAT"]}),
    );
    let told = out(&world);
    assert_eq!(told.verdict, Verdict::NoRoute, "{:#?}", told.steps);
    assert!(
        told.answer
            .unwrap()
            .contains("does not advertise TIER1_CONNECTED")
    );
    let snat =
        json!({"action": "SNAT", "source_network": "10.30.0.0/24", "translated_network": "203.0.113.1"});
    patch(&mut world, &nat("snat"), snat).unwrap();
    settle(&mut world);
    assert_eq!(out(&world).source.as_deref(), Some("203.0.113.1"));
    tune_edge(
        &mut world,
        json!({"tier0_path": T0, "route_advertisement_types": ["TIER1_CONNECTED"]}),
    );
    let told = out(&world);
    assert!(told.answer.unwrap().contains("does not advertise TIER1_NAT"));
}

#[test]
fn a_tier0_has_doors_and_translates_too() {
    let mut world = site();
    let vlan = json!({"transport_zone_path": format!("{ZONES}/vlan"), "vlan_ids": ["7"]});
    patch(&mut world, "/infra/segments/up", vlan).unwrap();
    let up = format!("{T0}/locale-services/default/interfaces/up");
    let body = json!({"type": "EXTERNAL", "segment_path": "/infra/segments/up",
        "edge_path": format!("{CLUSTER}/edge-nodes/edge-1"),
        "subnets": [{"ip_addresses": ["192.0.2.2"], "prefix_len": 24}]});
    patch(&mut world, &up, body).unwrap();
    let rule = format!("{T0}/nat/USER/nat-rules/r");
    let dnat = json!({"action": "DNAT", "destination_network": "203.0.113.10", "translated_network": "10.30.0.11",
        "scope": [up]});
    patch(&mut world, &rule, dnat).unwrap();
    settle(&mut world);
    for from in ["192.0.2.9", "198.51.100.7"] {
        let told = probe(&world, from, "203.0.113.10", 80);
        assert_eq!(told.vm.as_deref(), Some("nginx"), "{from}: {:#?}", told.steps);
        let hop = told.hops.iter().find(|h| h.nat_rule.is_some()).unwrap();
        assert_eq!(
            (hop.at.as_str(), hop.interface.as_deref()),
            (T0, Some(up.as_str()))
        );
    }
    // From below the address is the Tier-0's own: out and in again, and the answer needs source NAT.
    let told = probe(&world, "10.30.0.12", "203.0.113.10", 80);
    assert!(told.answer.is_some(), "{:#?}", told.steps);
    let snat = json!({"action": "SNAT", "source_network": "10.30.0.0/24", "translated_network": "192.0.2.2"});
    patch(&mut world, &format!("{T0}/nat/USER/nat-rules/s"), snat).unwrap();
    settle(&mut world);
    let told = probe(&world, "10.30.0.12", "203.0.113.10", 80);
    assert_eq!(told.vm.as_deref(), Some("nginx"), "{:#?}", told.steps);
}
