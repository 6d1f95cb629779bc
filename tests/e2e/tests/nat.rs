//! What packets do: every kind of NAT rule and every way to treat the firewall, told by probes through the edge.

use e2e::manifests::{EDGE, dnat, grants, public, routed, rule, segment, tenants, vch};
use e2e::outside::{container, put};
use e2e::traffic::Packet;
use e2e::{Outcome, Play, World, demand, equal};
use lab::Options;
use lab::kinds::Key;
use serde_json::{Value, json};

/// Consumers outside.
const FRIEND: &str = "198.51.100.7";
const STRANGER: &str = "192.0.2.99";
/// The two containers.
const WEB: &str = "10.30.40.11";
const NEXT: &str = "10.30.40.12";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_go_where_rules_say() -> Outcome {
    let world = World::with_site(Options::named("nat")).await?;
    world.namespace("nat").await?;
    let containers = json!({"displayName": "nat", "networks": {"containers": [
        {"name": "web", "networkRef": {"name": "web"}, "trustLevel": "Open"}]}});
    let manifests = [
        public(&world.lab, "nat", 120),
        segment("nat", "bridge", &json!({})),
        routed("nat", "web", 40, &json!({})),
        vch(&world.lab, "nat", "vch", &containers),
    ];
    world.bring_up(&manifests).await?;
    for (name, ip) in [("web", WEB), ("next", NEXT)] {
        let request = json!({"action": "make", "vch": "nat", "name": name, "network": "web", "ip": ip, "image": "nginx"});
        container(&world.lab, &request).await?;
        // The gateway routes to the segment: without any rule an address inside is reached as it is.
        Packet::tcp(FRIEND, ip, 80).will_reach(&world, name).await?;
    }
    let mut play = Play::new();
    let w = &world;
    play.scene(w, "DNAT translates the port", port_translation(w))
        .await;
    play.scene(
        w,
        "DNAT of a range keeps the distance from its base",
        port_ranges(w),
    )
    .await;
    play.scene(w, "DNAT of all ports", all_ports(w)).await;
    play.scene(w, "a rule is of one protocol", protocols(w)).await;
    play.scene(w, "a rule for some peers", remote_limited(w)).await;
    play.scene(w, "the lower priority comes first", priority_order(w))
        .await;
    play.scene(w, "NoDNAT exempts", no_dnat(w)).await;
    play.scene(w, "SNAT hides the inside", snat(w)).await;
    play.scene(w, "NoSNAT exempts", no_snat(w)).await;
    play.scene(w, "Reflexive works both ways", reflexive(w)).await;
    play.scene(w, "Exclusive lets in these and no others", exclusive(w))
        .await;
    play.scene(w, "Exclusive on the internal address", exclusive_internal(w))
        .await;
    play.scene(w, "Additive opens what another rule closes", additive(w))
        .await;
    play.scene(w, "Unmanaged leaves it to others", unmanaged(w)).await;
    play.scene(w, "Bypass needs a grant and skips the firewall", bypass(w))
        .await;
    play.end()
}

/// Declares rules, waits until they are in effect, and returns their keys.
async fn declare(world: &World, rules: &[Value]) -> Outcome<Vec<Key>> {
    world.bring_up(rules).await
}

fn edge(from: &str, port: u16) -> Packet {
    Packet::tcp(from, EDGE, port)
}

async fn port_translation(world: &World) -> Outcome {
    let keys = declare(world, &[dnat("nat", "ports", 8080, WEB, &json!({}))]).await?;
    edge(FRIEND, 8080)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    edge(FRIEND, 80).is_lost(world).await?;
    // The translated port on the external address is not published by it.
    edge(FRIEND, 8081).is_lost(world).await?;
    // The target moves with the spec.
    world
        .change(
            &keys[0],
            &json!({"spec": {"internal": {"address": NEXT, "port": 8443}}}),
        )
        .await?;
    world.ready(&keys[0]).await?;
    edge(FRIEND, 8080)
        .reaches(world, "next", Some("10.30.40.12:8443"))
        .await?;
    world.remove(&keys).await?;
    edge(FRIEND, 8080).is_lost(world).await?;
    Ok(())
}

async fn port_ranges(world: &World) -> Outcome {
    let shifted = json!({"external": {"endPort": 9009}, "internal": {"port": 100}});
    let same = json!({"external": {"endPort": 7005}, "internal": {"port": null}});
    let rules = [
        dnat("nat", "shifted", 9000, WEB, &shifted),
        dnat("nat", "same", 7000, NEXT, &same),
    ];
    let keys = declare(world, &rules).await?;
    for (port, to) in [(9000, 100), (9003, 103), (9009, 109)] {
        edge(FRIEND, port)
            .reaches(world, "web", Some(&format!("{WEB}:{to}")))
            .await?;
    }
    for port in [7000, 7005] {
        edge(FRIEND, port)
            .reaches(world, "next", Some(&format!("{NEXT}:{port}")))
            .await?;
    }
    for port in [8999, 9010, 6999, 7006] {
        edge(FRIEND, port).is_lost(world).await?;
    }
    world.remove(&keys).await
}

async fn all_ports(world: &World) -> Outcome {
    let all = json!({"protocol": null, "external": {"address": "203.0.113.20", "port": null}, "internal": {"port": null}});
    let keys = declare(world, &[dnat("nat", "all", 1, WEB, &all)]).await?;
    for port in [1, 80, 65535] {
        Packet::tcp(FRIEND, "203.0.113.20", port)
            .reaches(world, "web", Some(&format!("{WEB}:{port}")))
            .await?;
        Packet::udp(FRIEND, "203.0.113.20", port)
            .reaches(world, "web", Some(&format!("{WEB}:{port}")))
            .await?;
    }
    world.remove(&keys).await
}

async fn protocols(world: &World) -> Outcome {
    let udp = json!({"protocol": "UDP"});
    let rules = [
        dnat("nat", "tcp", 5353, WEB, &json!({})),
        dnat("nat", "udp", 5353, NEXT, &udp),
    ];
    let keys = declare(world, &rules).await?;
    edge(FRIEND, 5353)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    Packet::udp(FRIEND, EDGE, 5353)
        .reaches(world, "next", Some("10.30.40.12:80"))
        .await?;
    world.remove(&keys[1..]).await?;
    Packet::udp(FRIEND, EDGE, 5353).is_lost(world).await?;
    world.remove(&keys[..1]).await
}

async fn remote_limited(world: &World) -> Outcome {
    let limited = json!({"remote": {"cidr": "198.51.100.0/24"}});
    let keys = declare(world, &[dnat("nat", "limited", 8082, WEB, &limited)]).await?;
    edge(FRIEND, 8082)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    edge(STRANGER, 8082)
        .meets(world, "not be delivered", |fate| fate.verdict != "delivered")
        .await?;
    world.remove(&keys).await
}

async fn priority_order(world: &World) -> Outcome {
    let first = json!({"priority": 100, "remote": {"cidr": "198.51.100.0/24"}, "firewall": {"mode": "Unmanaged", "allowFrom": null}});
    let rest = json!({"priority": 900, "firewall": {"mode": "Unmanaged", "allowFrom": null}});
    let rules = [
        dnat("nat", "rest", 8083, WEB, &rest),
        dnat("nat", "first", 8083, NEXT, &first),
    ];
    let keys = declare(world, &rules).await?;
    edge(FRIEND, 8083)
        .reaches(world, "next", Some("10.30.40.12:80"))
        .await?;
    edge(STRANGER, 8083)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    // The order turns with the numbers.
    world.change(&keys[0], &json!({"spec": {"priority": 50}})).await?;
    world.ready(&keys[0]).await?;
    edge(FRIEND, 8083)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    world.remove(&keys).await
}

async fn no_dnat(world: &World) -> Outcome {
    let spec = json!({
        "action": "NoDNAT", "protocol": "TCP", "external": {"address": EDGE, "port": 8084},
        "gateway": {"tier1": "vic-edge"}, "remote": {"cidr": "192.0.2.0/24"}, "priority": 10,
    });
    let unmanaged = json!({"firewall": {"mode": "Unmanaged", "allowFrom": null}});
    let rules = [
        dnat("nat", "for-all", 8084, WEB, &unmanaged),
        rule("nat", "but-not", &spec),
    ];
    let keys = declare(world, &rules).await?;
    edge(FRIEND, 8084)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    let fate = edge(STRANGER, 8084).is_lost(world).await?;
    equal("translated", fate.translated, None)?;
    world.remove(&keys).await
}

/// Packets from inside: what the world sees as their source.
async fn leaves_as(world: &World, from: &str, to: &str, source: Option<&str>) -> Outcome {
    let fate = Packet::tcp(from, to, 443).fate(world).await?;
    let seen = fate
        .translated
        .as_deref()
        .map(|text| text.split(':').next().unwrap_or_default().to_owned());
    demand(seen.as_deref() == source, || {
        format!("{from} to {to} should leave as {source:?}: {fate:#?}")
    })
}

async fn snat(world: &World) -> Outcome {
    let spec = json!({
        "action": "SNAT", "external": {"address": "203.0.113.30"}, "internal": {"networkRef": {"name": "web"}},
    });
    leaves_as(world, WEB, FRIEND, None).await?;
    let keys = declare(world, &[rule("nat", "out", &spec)]).await?;
    leaves_as(world, WEB, FRIEND, Some("203.0.113.30")).await?;
    leaves_as(world, NEXT, FRIEND, Some("203.0.113.30")).await?;
    // One address only, and towards one peer only.
    let narrow = json!({"spec": {"internal": {"address": WEB}, "remote": {"cidr": "198.51.100.0/24"}}});
    world.change(&keys[0], &narrow).await?;
    world.ready(&keys[0]).await?;
    leaves_as(world, WEB, FRIEND, Some("203.0.113.30")).await?;
    leaves_as(world, WEB, STRANGER, None).await?;
    leaves_as(world, NEXT, FRIEND, None).await?;
    world.remove(&keys).await?;
    leaves_as(world, WEB, FRIEND, None).await
}

async fn no_snat(world: &World) -> Outcome {
    let out = json!({
        "action": "SNAT", "external": {"address": "203.0.113.30"}, "internal": {"networkRef": {"name": "web"}},
    });
    let but = json!({
        "action": "NoSNAT", "internal": {"networkRef": {"name": "web"}}, "remote": {"cidr": "192.0.2.0/24"}, "priority": 10,
    });
    let keys = declare(
        world,
        &[rule("nat", "out", &out), rule("nat", "but-not-to", &but)],
    )
    .await?;
    leaves_as(world, WEB, FRIEND, Some("203.0.113.30")).await?;
    leaves_as(world, WEB, STRANGER, None).await?;
    world.remove(&keys).await
}

async fn reflexive(world: &World) -> Outcome {
    let spec = json!({
        "action": "Reflexive", "external": {"address": "203.0.113.40"},
        "internal": {"networkRef": {"name": "web"}, "address": NEXT},
        "firewall": {"mode": "Exclusive", "allowFrom": [{"cidr": "198.51.100.0/24"}]},
    });
    let keys = declare(world, &[rule("nat", "both-ways", &spec)]).await?;
    Packet::tcp(FRIEND, "203.0.113.40", 8022)
        .reaches(world, "next", Some("10.30.40.12:8022"))
        .await?;
    Packet::tcp(STRANGER, "203.0.113.40", 8022)
        .is_dropped(world)
        .await?;
    leaves_as(world, NEXT, FRIEND, Some("203.0.113.40")).await?;
    leaves_as(world, WEB, FRIEND, None).await?;
    world.remove(&keys).await
}

async fn exclusive(world: &World) -> Outcome {
    let narrow =
        json!({"firewall": {"allowFrom": [{"cidr": "198.51.100.0/25"}, {"cidr": "203.0.113.0/24"}]}});
    let rules = [
        dnat("nat", "narrow", 8085, WEB, &narrow),
        dnat("nat", "beside", 8086, WEB, &json!({})),
    ];
    let keys = declare(world, &rules).await?;
    edge(FRIEND, 8085)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    for stranger in [STRANGER, "198.51.100.200"] {
        edge(stranger, 8085).is_dropped(world).await?;
        edge(stranger, 8086)
            .reaches(world, "web", Some("10.30.40.11:80"))
            .await?;
    }
    // Widened again, and nothing of the old rules is left.
    world
        .change(
            &keys[0],
            &json!({"spec": {"firewall": {"allowFrom": [{"cidr": "0.0.0.0/0"}]}}}),
        )
        .await?;
    world.ready(&keys[0]).await?;
    edge(STRANGER, 8085)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    world.remove(&keys).await
}

async fn exclusive_internal(world: &World) -> Outcome {
    let narrow =
        json!({"firewall": {"allowFrom": [{"cidr": "198.51.100.0/24"}], "match": "InternalAddress"}});
    let keys = declare(world, &[dnat("nat", "inner", 8087, WEB, &narrow)]).await?;
    edge(FRIEND, 8087)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    edge(STRANGER, 8087).is_dropped(world).await?;
    world.remove(&keys).await
}

const CLOSED: &str = "/infra/domains/default/gateway-policies/closed-by-hand";

/// What an administrator closed: port 8088 and 8089 of the edge's address, behind whatever is more particular.
async fn close(world: &World) -> Outcome {
    let policy = json!({
        "resource_type": "GatewayPolicy", "display_name": "closed by hand", "category": "LocalGatewayRules",
        "sequence_number": 900_000,
        "rules": [{
            "resource_type": "Rule", "id": "closed", "display_name": "closed", "action": "DROP",
            "source_groups": ["ANY"], "destination_groups": [EDGE], "services": ["ANY"],
            "scope": ["/infra/tier-1s/vic-edge"], "direction": "IN_OUT", "ip_protocol": "IPV4", "sequence_number": 10,
        }],
    });
    put(&world.lab, CLOSED, &policy).await?;
    edge(FRIEND, 22)
        .meets(world, "be dropped by the hand's rule", |fate| {
            fate.verdict != "delivered"
        })
        .await?;
    Ok(())
}

async fn additive(world: &World) -> Outcome {
    let friends = json!({"firewall": {"mode": "Additive", "allowFrom": [{"cidr": "198.51.100.0/24"}]}});
    let keys = declare(world, &[dnat("nat", "additive", 8088, WEB, &friends)]).await?;
    edge(STRANGER, 8088)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    close(world).await?;
    edge(FRIEND, 8088)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    let fate = edge(STRANGER, 8088).is_dropped(world).await?;
    demand(
        fate.rule.as_deref().is_some_and(|rule| rule.starts_with(CLOSED)),
        || format!("{fate:?}"),
    )?;
    e2e::outside::delete(&world.lab, CLOSED).await?;
    world.remove(&keys).await
}

async fn unmanaged(world: &World) -> Outcome {
    let open = json!({"firewall": {"mode": "Unmanaged", "allowFrom": null}});
    let keys = declare(world, &[dnat("nat", "unmanaged", 8089, WEB, &open)]).await?;
    equal(
        "firewall rules",
        e2e::outside::firewall_rules_of(&world.lab, "nat", "unmanaged").await?,
        Vec::<Value>::new(),
    )?;
    edge(STRANGER, 8089)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    close(world).await?;
    edge(STRANGER, 8089).is_dropped(world).await?;
    // Another mode later: its rules come, and go again.
    let friends = json!({"mode": "Additive", "allowFrom": [{"cidr": "198.51.100.0/24"}]});
    world
        .change(&keys[0], &json!({"spec": {"firewall": friends}}))
        .await?;
    world.ready(&keys[0]).await?;
    edge(FRIEND, 8089)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    world
        .change(
            &keys[0],
            &json!({"spec": {"firewall": {"mode": "Unmanaged", "allowFrom": null}}}),
        )
        .await?;
    world.ready(&keys[0]).await?;
    edge(FRIEND, 8089).is_dropped(world).await?;
    e2e::outside::delete(&world.lab, CLOSED).await?;
    world.remove(&keys).await
}

async fn bypass(world: &World) -> Outcome {
    let skips = json!({"firewall": {"mode": "Bypass", "allowFrom": null}});
    let key = world.create(&dnat("nat", "bypass", 8090, WEB, &skips)).await?;
    world.refused(&key, "Accepted", "NotAllowed").await?;
    edge(FRIEND, 8090).is_lost(world).await?;
    let allowed = grants(&world.lab, &json!({"firewallBypass": "Allowed"}));
    world.resite(&json!({"tenants": tenants(&allowed)})).await?;
    world.ready(&key).await?;
    close(world).await?;
    edge(STRANGER, 8090)
        .reaches(world, "web", Some("10.30.40.11:80"))
        .await?;
    e2e::outside::delete(&world.lab, CLOSED).await?;
    world.remove(&[key]).await
}
