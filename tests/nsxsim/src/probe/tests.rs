//! Walks, each a sentence about what reaches whom.

use serde_json::{Value, json};

use super::testing::*;
use super::{Packet, Verdict, walk};
use crate::rules::testing::{NOW, delete, patch, settle};
use crate::world::World;

#[test]
fn a_dnat_rule_matches_translated_ports_and_leads_to_the_services_port() {
    let mut world = site();
    assert_eq!(
        from_outside(&world, 8080).verdict,
        Verdict::NoRoute,
        "nothing is published"
    );
    publish(&mut world, &json!({}));
    let told = from_outside(&world, 8080);
    assert_eq!(
        (told.verdict, told.vm.as_deref()),
        (Verdict::Delivered, Some("nginx")),
        "{:#?}",
        told.steps
    );
    assert_eq!(told.translated.as_deref(), Some("10.30.0.11:80"));
    assert_eq!(told.nat_rule, Some(nat("publish")));
    assert_eq!(
        from_outside(&world, 80).verdict,
        Verdict::NoRoute,
        "the service's port is not the one matched"
    );
}

type PortCase = (
    &'static [&'static str],
    Option<&'static str>,
    u16,
    Option<&'static str>,
);

#[test]
fn ports_of_dnat() {
    // service ports, translated_ports, port sent, expected translated destination
    let cases: [PortCase; 8] = [
        (&["80"], Some("8080"), 8080, Some("10.30.0.11:80")),
        (&["80-89"], Some("8080-8089"), 8083, Some("10.30.0.11:83")),
        (&["80"], Some("8080-8089"), 8083, Some("10.30.0.11:80")),
        (&["80-89"], Some("8080-8082"), 8081, None),
        (&["80"], None, 80, Some("10.30.0.11:80")),
        (&["80"], None, 81, None),
        (&["80", "443"], None, 443, Some("10.30.0.11:443")),
        (&["80", "443"], Some("8080"), 8080, None),
    ];
    for (ports, translated, sent, expected) in cases {
        let mut world = site();
        let service = service(&mut world, "s", ports);
        let mut rule = json!({"action": "DNAT", "destination_network": "203.0.113.10", "service": service,
            "translated_network": "10.30.0.11"});
        if let Some(translated) = translated {
            rule["translated_ports"] = json!(translated);
        }
        patch(&mut world, &nat("r"), rule).unwrap();
        settle(&mut world);
        let told = from_outside(&world, sent);
        assert_eq!(
            told.translated.as_deref(),
            expected,
            "{ports:?} {translated:?} {sent}: {:#?}",
            told.steps
        );
    }
}

#[test]
fn translated_ports_without_a_service_are_ignored() {
    let mut world = site();
    let rule = json!({"action": "DNAT", "destination_network": "203.0.113.10", "translated_network": "10.30.0.11",
        "translated_ports": "8080"});
    patch(&mut world, &nat("r"), rule).unwrap();
    settle(&mut world);
    assert_eq!(
        from_outside(&world, 22).translated.as_deref(),
        Some("10.30.0.11:22")
    );
}

#[test]
fn a_rule_is_for_its_protocol_its_sources_and_while_it_is_enabled() {
    let mut world = site();
    publish(&mut world, &json!({"source_network": "198.51.100.0/24"}));
    assert_eq!(from_outside(&world, 8080).verdict, Verdict::Delivered);
    assert_eq!(
        probe(&world, "192.0.2.1", "203.0.113.10", 8080).verdict,
        Verdict::NoRoute
    );
    let udp = packet("198.51.100.7", "203.0.113.10", Some(8080), "UDP");
    assert_eq!(walk(&world, &udp).unwrap().translated, None);
    publish(&mut world, &json!({"enabled": false}));
    assert_eq!(from_outside(&world, 8080).verdict, Verdict::NoRoute);
}

#[test]
fn the_lowest_sequence_number_wins_and_no_dnat_exempts() {
    let mut world = site();
    let dnat = |to: &str, number: i64| {
        json!({"action": "DNAT", "destination_network": "203.0.113.10",
        "translated_network": to, "sequence_number": number})
    };
    patch(&mut world, &nat("late"), dnat("10.30.0.11", 20)).unwrap();
    patch(&mut world, &nat("early"), dnat("10.30.0.12", 10)).unwrap();
    settle(&mut world);
    assert_eq!(from_outside(&world, 80).vm.as_deref(), Some("other"));
    let exempt = json!({"action": "NO_DNAT", "destination_network": "203.0.113.10",
        "source_network": "198.51.100.7", "sequence_number": 1});
    patch(&mut world, &nat("exempt"), exempt).unwrap();
    settle(&mut world);
    let told = from_outside(&world, 80);
    assert_eq!(
        (told.verdict, told.translated, told.nat_rule),
        (Verdict::NoRoute, None, Some(nat("exempt")))
    );
    assert_eq!(
        probe(&world, "192.0.2.1", "203.0.113.10", 80).vm.as_deref(),
        Some("other")
    );
}

#[test]
fn reflexive_rules_map_both_ways() {
    let mut world = site();
    let rule = json!({"action": "REFLEXIVE", "source_network": "10.30.0.8/29", "translated_network": "203.0.113.8/29"});
    patch(&mut world, &nat("r"), rule).unwrap();
    settle(&mut world);
    let told = probe(&world, "198.51.100.7", "203.0.113.11", 80);
    assert_eq!(
        (told.vm.as_deref(), told.translated.as_deref()),
        (Some("nginx"), Some("10.30.0.11:80"))
    );
    let told = probe(&world, "10.30.0.12", "198.51.100.7", 443);
    assert_eq!(
        (told.verdict, told.source.as_deref()),
        (Verdict::Delivered, Some("203.0.113.12"))
    );
}

#[test]
fn source_nat_hides_the_inside() {
    let mut world = site();
    let snat = json!({"action": "SNAT", "source_network": "10.30.0.0/24", "translated_network": "203.0.113.1",
        "sequence_number": 10});
    let exempt =
        json!({"action": "NO_SNAT", "source_network": "10.30.0.0/24", "destination_network": "192.0.2.0/24"});
    patch(&mut world, &nat("snat"), snat).unwrap();
    patch(&mut world, &nat("exempt"), exempt).unwrap();
    settle(&mut world);
    let told = probe(&world, "10.30.0.11", "198.51.100.7", 443);
    assert_eq!(
        (told.verdict, told.source.as_deref(), told.vm),
        (Verdict::Delivered, Some("203.0.113.1"), None)
    );
    assert_eq!(probe(&world, "10.30.0.11", "192.0.2.9", 443).source, None);
    let inside = probe(&world, "10.30.0.11", "10.30.0.12", 443);
    assert_eq!(
        (inside.source, inside.vm.as_deref()),
        (None, Some("other")),
        "never on one segment"
    );
}

#[test]
fn the_hairpin_comes_back_through_the_uplink_and_needs_source_nat() {
    let mut world = site();
    publish(&mut world, &json!({}));
    let told = probe(&world, "10.30.0.12", "203.0.113.10", 8080);
    assert_eq!(
        (told.verdict, told.vm.as_deref()),
        (Verdict::NoRoute, None),
        "{:#?}",
        told.steps
    );
    assert!(
        told.answer
            .unwrap()
            .contains("answers 10.30.0.12 without passing")
    );
    let snat =
        json!({"action": "SNAT", "source_network": "10.30.0.0/24", "translated_network": "203.0.113.1"});
    patch(&mut world, &nat("snat"), snat).unwrap();
    settle(&mut world);
    let told = probe(&world, "10.30.0.12", "203.0.113.10", 8080);
    assert_eq!(
        (told.vm.as_deref(), told.source.as_deref(), told.answer),
        (Some("nginx"), Some("203.0.113.1"), None),
        "{:#?}",
        told.steps
    );
    let rules: Vec<Option<String>> = told.hops.iter().map(|h| h.nat_rule.clone()).collect();
    assert_eq!(rules, [None, Some(nat("snat")), Some(nat("publish")), None]);
}

/// Allow `sources`, then drop the rest, for one destination and port.
fn exclusive(world: &mut World, sources: &[&str], destination: &str, port: &str) {
    let entry =
        json!({"resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP", "destination_ports": [port]});
    let rule = |id: &str, action: &str, sources: Value, number: i64| {
        json!({"id": id, "action": action, "source_groups": sources, "destination_groups": [destination],
            "service_entries": [entry], "scope": [EDGE], "sequence_number": number, "direction": "IN"})
    };
    let rules = json!([
        rule("drop", "DROP", json!(["ANY"]), 2),
        rule("allow", "ALLOW", json!(sources), 1)
    ]);
    patch(
        world,
        "/infra/domains/default/gateway-policies/p",
        json!({"rules": rules}),
    )
    .unwrap();
    settle(world);
}

#[test]
fn the_firewall_sees_what_its_match_says() {
    // firewall_match, destination and port the rules name, verdict for an outsider
    let cases = [
        ("MATCH_INTERNAL_ADDRESS", "10.30.0.11", "80", Verdict::Dropped),
        (
            "MATCH_INTERNAL_ADDRESS",
            "203.0.113.10",
            "8080",
            Verdict::Delivered,
        ),
        ("MATCH_EXTERNAL_ADDRESS", "203.0.113.10", "8080", Verdict::Dropped),
        ("MATCH_EXTERNAL_ADDRESS", "10.30.0.11", "80", Verdict::Delivered),
        ("BYPASS", "10.30.0.11", "80", Verdict::Delivered),
        ("BYPASS", "203.0.113.10", "8080", Verdict::Delivered),
    ];
    for (matching, destination, port, expected) in cases {
        let mut world = site();
        publish(&mut world, &json!({"firewall_match": matching}));
        exclusive(&mut world, &["198.51.100.0/24"], destination, port);
        let told = probe(&world, "192.0.2.1", "203.0.113.10", 8080);
        assert_eq!(
            told.verdict, expected,
            "{matching} {destination}: {:#?}",
            told.steps
        );
        assert_eq!(
            from_outside(&world, 8080).verdict,
            Verdict::Delivered,
            "{matching}: an allowed source"
        );
    }
}

#[test]
fn a_dropped_packet_names_its_rule() {
    let mut world = site();
    publish(&mut world, &json!({}));
    exclusive(&mut world, &["198.51.100.0/24"], "10.30.0.11", "80");
    let told = probe(&world, "192.0.2.1", "203.0.113.10", 8080);
    assert_eq!(
        told.rule.as_deref(),
        Some("/infra/domains/default/gateway-policies/p/rules/drop")
    );
    assert_eq!(
        (told.vm, told.translated.as_deref()),
        (None, Some("10.30.0.11:80"))
    );
    let allowed = from_outside(&world, 8080);
    assert_eq!(
        allowed.rule.as_deref(),
        Some("/infra/domains/default/gateway-policies/p/rules/allow")
    );
    patch(
        &mut world,
        EDGE,
        json!({"tier0_path": T0, "disable_firewall": true,
        "route_advertisement_types": ["TIER1_NAT"]}),
    )
    .unwrap();
    settle(&mut world);
    assert_eq!(
        probe(&world, "192.0.2.1", "203.0.113.10", 8080).verdict,
        Verdict::Delivered,
        "switched off"
    );
}

#[test]
fn an_allow_rule_alone_restricts_nobody() {
    let mut world = site();
    publish(&mut world, &json!({}));
    let rule =
        json!({"id": "allow", "action": "ALLOW", "source_groups": ["198.51.100.0/24"], "scope": [EDGE]});
    patch(
        &mut world,
        "/infra/domains/default/gateway-policies/p",
        json!({"rules": [rule]}),
    )
    .unwrap();
    settle(&mut world);
    let told = probe(&world, "192.0.2.1", "203.0.113.10", 8080);
    assert_eq!(told.verdict, Verdict::Delivered);
    assert!(told.rule.unwrap().ends_with("default_rule"));
}

#[test]
fn categories_and_policies_have_their_order() {
    let mut world = site();
    publish(&mut world, &json!({}));
    let policy = |category: &str, number: i64, action: &str| {
        json!({"category": category, "sequence_number": number,
            "rules": [{"id": "r", "action": action, "scope": [EDGE]}]})
    };
    let path = |id: &str| format!("/infra/domains/default/gateway-policies/{id}");
    patch(
        &mut world,
        &path("local-2"),
        policy("LocalGatewayRules", 2, "DROP"),
    )
    .unwrap();
    patch(
        &mut world,
        &path("local-1"),
        policy("LocalGatewayRules", 1, "ALLOW"),
    )
    .unwrap();
    settle(&mut world);
    assert_eq!(from_outside(&world, 8080).verdict, Verdict::Delivered);
    patch(&mut world, &path("emergency"), policy("Emergency", 99, "REJECT")).unwrap();
    settle(&mut world);
    let told = from_outside(&world, 8080);
    assert_eq!(
        (told.verdict, told.rule),
        (Verdict::Dropped, Some(path("emergency/rules/r")))
    );
    let mut other = policy("Emergency", 99, "REJECT");
    other["rules"][0]["scope"] = json!([T0]);
    patch(&mut world, &path("emergency"), other).unwrap();
    settle(&mut world);
    assert!(
        from_outside(&world, 8080)
            .steps
            .iter()
            .any(|s| s.starts_with(T0) && s.contains("rejected"))
    );
    assert_eq!(
        from_outside(&world, 8080).verdict,
        Verdict::Dropped,
        "the Tier-0 stands in front"
    );
}

#[test]
fn only_what_is_realized_counts() {
    let mut world = site();
    publish(&mut world, &json!({}));
    let moved =
        json!({"action": "DNAT", "destination_network": "203.0.113.10", "translated_network": "10.30.0.12"});
    patch(&mut world, &nat("publish"), moved).unwrap();
    assert_eq!(
        from_outside(&world, 8080).vm.as_deref(),
        Some("nginx"),
        "the earlier rule is in effect"
    );
    settle(&mut world);
    assert_eq!(from_outside(&world, 8080).vm.as_deref(), Some("other"));
    delete(&mut world, &nat("publish")).unwrap();
    assert_eq!(
        from_outside(&world, 8080).verdict,
        Verdict::Delivered,
        "not gone yet"
    );
    settle(&mut world);
    assert_eq!(from_outside(&world, 8080).verdict, Verdict::NoRoute);
}

#[test]
fn what_the_tier1_does_not_advertise_stays_unknown() {
    let mut world = site();
    publish(&mut world, &json!({}));
    assert_eq!(
        probe(&world, "198.51.100.7", "10.30.0.11", 80).vm.as_deref(),
        Some("nginx"),
        "routed"
    );
    patch(&mut world, EDGE, json!({"tier0_path": T0})).unwrap();
    settle(&mut world);
    let told = from_outside(&world, 8080);
    assert_eq!(told.verdict, Verdict::NoRoute);
    assert!(
        told.steps
            .iter()
            .any(|s| s.contains("does not advertise TIER1_NAT")),
        "{:#?}",
        told.steps
    );
    let told = probe(&world, "198.51.100.7", "10.30.0.11", 80);
    assert!(
        told.steps
            .iter()
            .any(|s| s.contains("does not advertise TIER1_CONNECTED")),
        "{:#?}",
        told.steps
    );
}

#[test]
fn nobody_answers_for_a_vm_that_is_off_or_elsewhere() {
    let mut world = site();
    publish(&mut world, &json!({}));
    let mut inventory = world.inventory.clone();
    inventory.vms[0].power_state = "VM_STOPPED".into();
    world.replace_inventory(inventory.clone(), NOW);
    assert_eq!(from_outside(&world, 8080).verdict, Verdict::NoRoute);
    inventory.vms[0].power_state = "VM_RUNNING".into();
    inventory.vms[0].vifs[0].segment = None;
    world.replace_inventory(inventory, NOW);
    let told = from_outside(&world, 8080);
    assert_eq!(
        (told.verdict, told.vm, told.translated.as_deref()),
        (Verdict::NoRoute, None, Some("10.30.0.11:80"))
    );
}

#[test]
fn a_disconnected_segment_has_no_way_out_or_in() {
    let mut world = site();
    publish(&mut world, &json!({}));
    let off = json!({"transport_zone_path": format!("{}/overlay", crate::rules::testing::ZONES),
        "connectivity_path": EDGE, "subnets": [{"gateway_address": "10.30.0.1/24"}],
        "advanced_config": {"connectivity": "OFF"}});
    patch(&mut world, "/infra/segments/web", off).unwrap();
    settle(&mut world);
    assert_eq!(from_outside(&world, 8080).verdict, Verdict::NoRoute);
    assert_eq!(
        probe(&world, "10.30.0.11", "198.51.100.7", 80).verdict,
        Verdict::NoRoute
    );
    assert_eq!(
        probe(&world, "10.30.0.11", "10.30.0.12", 80).vm.as_deref(),
        Some("other"),
        "the wire remains"
    );
}

#[test]
fn segments_of_one_gateway_reach_each_other_without_its_firewall() {
    let mut world = site();
    let path = format!("{EDGE}/segments/second");
    patch(
        &mut world,
        &path,
        json!({"subnets": [{"gateway_address": "10.31.0.1/24"}]}),
    )
    .unwrap();
    settle(&mut world);
    let mut inventory = world.inventory.clone();
    inventory
        .vms
        .push(vm("third", &segment_id(&world, &path), "10.31.0.5"));
    world.replace_inventory(inventory, NOW);
    let drop = json!({"rules": [{"id": "r", "action": "DROP", "scope": [EDGE]}]});
    patch(&mut world, "/infra/domains/default/gateway-policies/p", drop).unwrap();
    settle(&mut world);
    assert_eq!(
        probe(&world, "10.30.0.11", "10.31.0.5", 80).vm.as_deref(),
        Some("third")
    );
    assert_eq!(
        probe(&world, "10.30.0.11", "198.51.100.7", 80).verdict,
        Verdict::Dropped,
        "the uplink has it"
    );
}

#[test]
fn the_distributed_firewall_stands_at_every_vnic() {
    let mut world = site();
    let group = "/infra/domains/default/groups/web";
    let tag = json!({"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag",
        "operator": "EQUALS", "value": "app|nginx"});
    patch(&mut world, group, json!({"expression": [tag]})).unwrap();
    let rule = json!({"id": "r", "action": "DROP", "destination_groups": [group], "services": ["/infra/services/SSH"]});
    let policy = "/infra/domains/default/security-policies/p";
    patch(&mut world, policy, json!({"rules": [rule]})).unwrap();
    settle(&mut world);
    let told = probe(&world, "10.30.0.12", "10.30.0.11", 22);
    assert_eq!(
        (told.verdict, told.rule),
        (Verdict::Dropped, Some(format!("{policy}/rules/r")))
    );
    assert_eq!(
        probe(&world, "10.30.0.12", "10.30.0.11", 80).verdict,
        Verdict::Delivered
    );
    assert_eq!(
        probe(&world, "10.30.0.11", "10.30.0.12", 22).verdict,
        Verdict::Delivered
    );
}

#[test]
fn icmp_has_no_port_and_packets_must_make_sense() {
    let mut world = site();
    let rule = json!({"action": "DNAT", "destination_network": "203.0.113.10", "translated_network": "10.30.0.11",
        "service": "/infra/services/ICMP-ALL"});
    patch(&mut world, &nat("ping"), rule).unwrap();
    settle(&mut world);
    let packet = |protocol: &str, port| packet("198.51.100.7", "203.0.113.10", port, protocol);
    let told = walk(&world, &packet("ICMP", None)).unwrap();
    assert_eq!(
        (told.vm.as_deref(), told.translated.as_deref()),
        (Some("nginx"), Some("10.30.0.11"))
    );
    assert!(walk(&world, &packet("TCP", None)).is_err());
    assert!(walk(&world, &packet("GRE", None)).is_err());
    let nonsense = Packet {
        from: "x".into(),
        ..packet("TCP", Some(1))
    };
    assert!(walk(&world, &nonsense).is_err());
}
