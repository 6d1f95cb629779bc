//! What packets do: every kind of NAT rule and every way to treat the firewall, told by probes through the edge.

#![cfg(test)]

use e2e::manifests::{EDGE, dnat, grants, public, routed, rule, segment, tenants, vch};
use e2e::outside::{container, delete, firewall_rules_of, in_nsx, put};
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

/// Declares rules, waits until they are in effect, looks at them, and takes them away whatever was seen.
async fn with(world: &World, rules: &[Value], look: impl AsyncFnOnce(&[Key]) -> Outcome) -> Outcome {
    let keys = world.create_all(rules).await?;
    let seen = match world.all_ready(&keys).await {
        Ok(()) => look(&keys).await,
        Err(failure) => Err(failure),
    };
    world.remove(&keys).await?;
    if in_nsx(&world.lab, CLOSED).await?.is_some() {
        delete(&world.lab, CLOSED).await?;
    }
    seen
}

fn edge(from: &str, port: u16) -> Packet {
    Packet::tcp(from, EDGE, port)
}

/// Where packets for a container arrive.
fn at(address: &str, port: u16) -> String {
    format!("{address}:{port}")
}

async fn port_translation(world: &World) -> Outcome {
    with(
        world,
        &[dnat("nat", "ports", 8080, WEB, &json!({}))],
        async |keys| {
            edge(FRIEND, 8080)
                .reaches(world, "web", Some(&at(WEB, 80)))
                .await?;
            edge(FRIEND, 80).is_lost(world).await?;
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
                .reaches(world, "next", Some(&at(NEXT, 8443)))
                .await?;
            Ok(())
        },
    )
    .await?;
    edge(FRIEND, 8080).will_be_lost(world).await?;
    Ok(())
}

async fn port_ranges(world: &World) -> Outcome {
    let shifted = json!({"external": {"endPort": 9009}, "internal": {"port": 100}});
    let same = json!({"external": {"endPort": 7005}, "internal": {"port": null}});
    let rules = [
        dnat("nat", "shifted", 9000, WEB, &shifted),
        dnat("nat", "same", 7000, NEXT, &same),
    ];
    with(world, &rules, async |_| {
        for (port, to) in [(9000, 100), (9003, 103), (9009, 109)] {
            edge(FRIEND, port)
                .reaches(world, "web", Some(&at(WEB, to)))
                .await?;
        }
        for port in [7000, 7005] {
            edge(FRIEND, port)
                .reaches(world, "next", Some(&at(NEXT, port)))
                .await?;
        }
        for port in [8999, 9010, 6999, 7006] {
            edge(FRIEND, port).is_lost(world).await?;
        }
        Ok(())
    })
    .await
}

async fn all_ports(world: &World) -> Outcome {
    let all = json!({"protocol": null, "external": {"address": "203.0.113.20", "port": null}, "internal": {"port": null}});
    with(world, &[dnat("nat", "all", 1, WEB, &all)], async |_| {
        for port in [1, 80, 65535] {
            Packet::tcp(FRIEND, "203.0.113.20", port)
                .reaches(world, "web", Some(&at(WEB, port)))
                .await?;
            Packet::udp(FRIEND, "203.0.113.20", port)
                .reaches(world, "web", Some(&at(WEB, port)))
                .await?;
        }
        Ok(())
    })
    .await
}

async fn protocols(world: &World) -> Outcome {
    let udp = json!({"protocol": "UDP"});
    let both = [
        dnat("nat", "tcp", 5353, WEB, &json!({})),
        dnat("nat", "udp", 5353, NEXT, &udp),
    ];
    with(world, &both, async |_| {
        edge(FRIEND, 5353)
            .reaches(world, "web", Some(&at(WEB, 80)))
            .await?;
        Packet::udp(FRIEND, EDGE, 5353)
            .reaches(world, "next", Some(&at(NEXT, 80)))
            .await?;
        Ok(())
    })
    .await?;
    with(
        world,
        &[dnat("nat", "tcp-alone", 5354, WEB, &json!({}))],
        async |_| {
            edge(FRIEND, 5354)
                .reaches(world, "web", Some(&at(WEB, 80)))
                .await?;
            Packet::udp(FRIEND, EDGE, 5354).is_lost(world).await?;
            Ok(())
        },
    )
    .await
}

async fn remote_limited(world: &World) -> Outcome {
    let limited = json!({"remote": {"cidr": "198.51.100.0/24"}});
    with(
        world,
        &[dnat("nat", "limited", 8082, WEB, &limited)],
        async |_| {
            edge(FRIEND, 8082)
                .reaches(world, "web", Some(&at(WEB, 80)))
                .await?;
            edge(STRANGER, 8082)
                .meets(world, "not be translated", |fate| {
                    fate.verdict != "delivered" && fate.translated.is_none()
                })
                .await?;
            Ok(())
        },
    )
    .await
}

/// No firewall rule of ours.
fn open() -> Value {
    json!({"mode": "Unmanaged", "allowFrom": null})
}

async fn priority_order(world: &World) -> Outcome {
    let first = json!({"priority": 100, "remote": {"cidr": "198.51.100.0/24"}, "firewall": open()});
    let rest = json!({"priority": 900, "firewall": open()});
    let rules = [
        dnat("nat", "rest", 8083, WEB, &rest),
        dnat("nat", "first", 8083, NEXT, &first),
    ];
    with(world, &rules, async |keys| {
        edge(FRIEND, 8083)
            .reaches(world, "next", Some(&at(NEXT, 80)))
            .await?;
        edge(STRANGER, 8083)
            .reaches(world, "web", Some(&at(WEB, 80)))
            .await?;
        // The order turns with the numbers.
        world.change(&keys[0], &json!({"spec": {"priority": 50}})).await?;
        world.ready(&keys[0]).await?;
        edge(FRIEND, 8083)
            .reaches(world, "web", Some(&at(WEB, 80)))
            .await?;
        Ok(())
    })
    .await
}

async fn no_dnat(world: &World) -> Outcome {
    let spec = json!({
        "action": "NoDNAT", "protocol": "TCP", "external": {"address": EDGE, "port": 8084},
        "gateway": {"tier1": "vic-edge"}, "remote": {"cidr": "192.0.2.0/24"}, "priority": 10,
    });
    let for_all = dnat("nat", "for-all", 8084, WEB, &json!({"firewall": open()}));
    with(world, &[for_all, rule("nat", "but-not", &spec)], async |_| {
        edge(FRIEND, 8084)
            .reaches(world, "web", Some(&at(WEB, 80)))
            .await?;
        let fate = edge(STRANGER, 8084).is_lost(world).await?;
        equal("translated", fate.translated, None)
    })
    .await
}

/// Packets from inside: what the world sees as their source.
async fn leaves_as(world: &World, from: &str, to: &str, source: &str) -> Outcome {
    let what = format!("leave as {source}");
    Packet::tcp(from, to, 443)
        .meets(world, &what, |fate| {
            fate.verdict == "delivered" && fate.source().as_deref() == Some(source)
        })
        .await?;
    Ok(())
}

/// The whole of network `web` leaves as 203.0.113.30.
fn out(name: &str) -> Value {
    let spec = json!({
        "action": "SNAT", "external": {"address": "203.0.113.30"}, "internal": {"networkRef": {"name": "web"}},
    });
    rule("nat", name, &spec)
}

async fn snat(world: &World) -> Outcome {
    leaves_as(world, WEB, FRIEND, WEB).await?;
    with(world, &[out("out")], async |keys| {
        leaves_as(world, WEB, FRIEND, "203.0.113.30").await?;
        leaves_as(world, NEXT, FRIEND, "203.0.113.30").await?;
        // One address only, and towards one peer only.
        let narrow = json!({"spec": {"internal": {"address": WEB}, "remote": {"cidr": "198.51.100.0/24"}}});
        world.change(&keys[0], &narrow).await?;
        world.ready(&keys[0]).await?;
        leaves_as(world, WEB, FRIEND, "203.0.113.30").await?;
        leaves_as(world, WEB, STRANGER, WEB).await?;
        leaves_as(world, NEXT, FRIEND, NEXT).await
    })
    .await
}

async fn no_snat(world: &World) -> Outcome {
    let but = json!({
        "action": "NoSNAT", "internal": {"networkRef": {"name": "web"}}, "remote": {"cidr": "192.0.2.0/24"}, "priority": 10,
    });
    with(
        world,
        &[out("out-again"), rule("nat", "but-not-to", &but)],
        async |_| {
            leaves_as(world, WEB, FRIEND, "203.0.113.30").await?;
            leaves_as(world, WEB, STRANGER, WEB).await
        },
    )
    .await
}

async fn reflexive(world: &World) -> Outcome {
    let spec = json!({
        "action": "Reflexive", "external": {"address": "203.0.113.40"},
        "internal": {"networkRef": {"name": "web"}, "address": NEXT},
        "firewall": {"mode": "Exclusive", "allowFrom": [{"cidr": "198.51.100.0/24"}]},
    });
    with(world, &[rule("nat", "both-ways", &spec)], async |_| {
        Packet::tcp(FRIEND, "203.0.113.40", 8022)
            .reaches(world, "next", Some(&at(NEXT, 8022)))
            .await?;
        Packet::tcp(STRANGER, "203.0.113.40", 8022)
            .is_dropped(world)
            .await?;
        leaves_as(world, NEXT, FRIEND, "203.0.113.40").await?;
        leaves_as(world, WEB, FRIEND, WEB).await
    })
    .await
}

async fn exclusive(world: &World) -> Outcome {
    let narrow =
        json!({"firewall": {"allowFrom": [{"cidr": "198.51.100.0/25"}, {"cidr": "203.0.113.0/24"}]}});
    let rules = [
        dnat("nat", "narrow", 8085, WEB, &narrow),
        dnat("nat", "beside", 8086, WEB, &json!({})),
    ];
    with(world, &rules, async |keys| {
        edge(FRIEND, 8085)
            .reaches(world, "web", Some(&at(WEB, 80)))
            .await?;
        for stranger in [STRANGER, "198.51.100.200"] {
            edge(stranger, 8085).is_dropped(world).await?;
            edge(stranger, 8086)
                .reaches(world, "web", Some(&at(WEB, 80)))
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
            .reaches(world, "web", Some(&at(WEB, 80)))
            .await?;
        Ok(())
    })
    .await
}

async fn exclusive_internal(world: &World) -> Outcome {
    let narrow =
        json!({"firewall": {"allowFrom": [{"cidr": "198.51.100.0/24"}], "match": "InternalAddress"}});
    with(world, &[dnat("nat", "inner", 8087, WEB, &narrow)], async |_| {
        edge(FRIEND, 8087)
            .reaches(world, "web", Some(&at(WEB, 80)))
            .await?;
        edge(STRANGER, 8087).is_dropped(world).await?;
        Ok(())
    })
    .await
}

const CLOSED: &str = "/infra/domains/default/gateway-policies/closed-by-hand";

/// What an administrator closed: the edge's address, behind whatever is more particular. Waits until it shows at `port`.
async fn close(world: &World, port: u16) -> Outcome {
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
    let fate = edge(STRANGER, port).will_be_dropped(world).await?;
    demand(
        fate.rule.as_deref().is_some_and(|rule| rule.starts_with(CLOSED)),
        || format!("{fate:?}"),
    )
}

fn friends() -> Value {
    json!({"mode": "Additive", "allowFrom": [{"cidr": "198.51.100.0/24"}]})
}

async fn additive(world: &World) -> Outcome {
    with(
        world,
        &[dnat(
            "nat",
            "additive",
            8088,
            WEB,
            &json!({"firewall": friends()}),
        )],
        async |_| {
            edge(STRANGER, 8088)
                .reaches(world, "web", Some(&at(WEB, 80)))
                .await?;
            close(world, 8088).await?;
            edge(FRIEND, 8088)
                .reaches(world, "web", Some(&at(WEB, 80)))
                .await?;
            Ok(())
        },
    )
    .await
}

async fn unmanaged(world: &World) -> Outcome {
    with(
        world,
        &[dnat("nat", "unmanaged", 8089, WEB, &json!({"firewall": open()}))],
        async |keys| {
            equal(
                "firewall rules",
                firewall_rules_of(&world.lab, "nat", "unmanaged").await?,
                Vec::<Value>::new(),
            )?;
            edge(STRANGER, 8089).will_reach(world, "web").await?;
            close(world, 8089).await?;
            edge(FRIEND, 8089).is_dropped(world).await?;
            // Another mode later: its rules come, and go again.
            world
                .change(&keys[0], &json!({"spec": {"firewall": friends()}}))
                .await?;
            world.ready(&keys[0]).await?;
            edge(FRIEND, 8089)
                .reaches(world, "web", Some(&at(WEB, 80)))
                .await?;
            world
                .change(&keys[0], &json!({"spec": {"firewall": open()}}))
                .await?;
            world.ready(&keys[0]).await?;
            edge(FRIEND, 8089).will_be_dropped(world).await?;
            Ok(())
        },
    )
    .await
}

async fn bypass(world: &World) -> Outcome {
    let skips = json!({"firewall": {"mode": "Bypass", "allowFrom": null}});
    let key = world.create(&dnat("nat", "bypass", 8090, WEB, &skips)).await?;
    world.refused(&key, "Accepted", "NotAllowed").await?;
    edge(FRIEND, 8090)
        .meets(world, "not be translated", |fate| fate.translated.is_none())
        .await?;
    world.remove(&[key]).await?;
    let allowed = grants(&world.lab, &json!({"firewallBypass": "Allowed"}));
    world.resite(&json!({"tenants": tenants(&allowed)})).await?;
    let unmanaged = dnat("nat", "beside-bypass", 8091, WEB, &json!({"firewall": open()}));
    with(
        world,
        &[dnat("nat", "bypass", 8090, WEB, &skips), unmanaged],
        async |_| {
            edge(STRANGER, 8091).will_reach(world, "web").await?;
            close(world, 8091).await?;
            edge(STRANGER, 8090)
                .reaches(world, "web", Some(&at(WEB, 80)))
                .await?;
            Ok(())
        },
    )
    .await
}
