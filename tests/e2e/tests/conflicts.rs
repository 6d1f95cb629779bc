//! Who may publish what: the older claim, rules made by others, and what a Site grants.

#![cfg(test)]

use e2e::manifests::{EDGE, RULE, dnat, grants, key, routed, rule, segment, tenants};
use e2e::outside::{Calls, Snapshot, delete, in_nsx, nat_rule_of, nat_rules, periods, put, text};
use e2e::{Outcome, Play, World, demand, equal};
use lab::Options;
use lab::kinds::{Key, condition, is_ready, told};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_what_another_holds() -> Outcome {
    let options = Options {
        nsx_resync: Duration::from_secs(2),
        ..Options::named("conflicts")
    };
    let world = World::with_site(options).await?;
    for (namespace, third) in [("red", 20), ("blue", 21)] {
        world.namespace(namespace).await?;
        world
            .bring_up(&[routed(namespace, "web", third, &json!({}))])
            .await?;
    }
    let mut play = Play::new();
    let w = &world;
    play.scene(w, "the older rule holds, the younger follows", older_holds(w))
        .await;
    play.scene(w, "a winner elsewhere is not named", winner_elsewhere(w))
        .await;
    play.scene(w, "of two at once exactly one wins", two_at_once(w))
        .await;
    play.scene(w, "a winner that moves away frees its claim", winner_moves(w))
        .await;
    play.scene(w, "what does not overlap does not clash", no_clash(w))
        .await;
    play.scene(w, "a rule made by hand holds", foreign_rule(w)).await;
    play.scene(
        w,
        "a rule made by hand later takes nothing away",
        foreign_comes_later(w),
    )
    .await;
    play.scene(w, "what the Site does not grant", async {
        let outcome = not_granted(w).await;
        grant(w, &json!({})).await?;
        outcome
    })
    .await;
    play.scene(w, "a namespace that no tenant names", no_tenant(w))
        .await;
    play.scene(w, "a namespace that two tenants name", two_tenants(w))
        .await;
    play.scene(w, "a grant that narrows leaves traffic alone", narrowed_grant(w))
        .await;
    play.end()
}

async fn loses(world: &World, loser: &Key, before: &Snapshot) -> Outcome<String> {
    let said = world.refused(loser, "Programmed", "Conflict").await?;
    let object = world.read(loser).await?;
    let conflict = condition(&object, "Conflict").map(|conflict| told(conflict, "status"));
    equal("condition Conflict", conflict, Some("True"))?;
    demand(said.contains("Nothing was written to NSX"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    Ok(said)
}

async fn older_holds(world: &World) -> Outcome {
    let older = world
        .create(&dnat("red", "nginx", 80, "10.30.20.11", &json!({})))
        .await?;
    world.ready(&older).await?;
    let before = Snapshot::take(&world.lab).await?;
    let younger = world
        .create(&dnat("red", "shop", 80, "10.30.20.40", &json!({})))
        .await?;
    let said = loses(world, &younger, &before).await?;
    equal(
        "the loser's sentence",
        said.as_str(),
        "203.0.113.10:80/TCP on tier1/vic-edge is already published by EdgeNatRule nginx. Nothing was written to NSX. \
         Choose another port or address, or delete that rule; this one follows by itself.",
    )?;
    demand(is_ready(&world.read(&older).await?), || {
        "the older rule is Ready".to_owned()
    })?;
    world.remove(&[older]).await?;
    let object = world.ready(&younger).await?;
    demand(
        condition(&object, "Conflict").is_none_or(|conflict| told(conflict, "status") != "True"),
        || "a rule that follows has no Conflict any more".to_owned(),
    )?;
    world.remove(&[younger]).await
}

async fn winner_elsewhere(world: &World) -> Outcome {
    let older = world
        .create(&dnat("red", "secretive", 81, "10.30.20.11", &json!({})))
        .await?;
    world.ready(&older).await?;
    let before = Snapshot::take(&world.lab).await?;
    let younger = world
        .create(&dnat("blue", "shop", 81, "10.30.21.40", &json!({})))
        .await?;
    let said = loses(world, &younger, &before).await?;
    demand(!said.contains("secretive") && !said.contains("red"), || {
        format!("names another tenant's rule: {said}")
    })?;
    world.remove(&[older]).await?;
    world.ready(&younger).await?;
    world.remove(&[younger]).await
}

async fn two_at_once(world: &World) -> Outcome {
    let manifests: Vec<Value> = (0..6)
        .map(|n| dnat("red", &format!("at-once-{n}"), 82, "10.30.20.11", &json!({})))
        .collect();
    let keys = world.create_all(&manifests).await?;
    let mut winners = Vec::new();
    for key in &keys {
        let object = world
            .until(key, "to win or lose", |object| {
                is_ready(object)
                    || condition(object, "Ready").is_some_and(|ready| told(ready, "reason") == "Conflict")
            })
            .await?;
        if is_ready(&object) {
            winners.push(key.clone());
        }
    }
    equal("winners", winners.len(), 1)?;
    let published: Vec<Value> = nat_rules(&world.lab)
        .await?
        .into_iter()
        .filter(|rule| text(rule, "translated_ports") == "82")
        .collect();
    equal("NAT rules for the port", published.len(), 1)?;
    // One after another takes over, until none is left.
    let mut waiting: Vec<Key> = keys
        .iter()
        .filter(|key| !winners.contains(key))
        .cloned()
        .collect();
    world.remove(&winners).await?;
    let next = world
        .eventually("the next to win", async || {
            let objects = world.objects();
            let ready = |key: &&Key| objects.get(key).is_some_and(|seen| is_ready(&seen.object));
            Ok(waiting
                .iter()
                .find(ready)
                .cloned()
                .ok_or_else(|| "all wait".to_owned()))
        })
        .await?;
    waiting.retain(|key| *key != next);
    world.remove(&waiting).await?;
    world.remove(&[next]).await
}

async fn winner_moves(world: &World) -> Outcome {
    let older = world
        .create(&dnat("red", "mover", 83, "10.30.20.11", &json!({})))
        .await?;
    world.ready(&older).await?;
    let before = Snapshot::take(&world.lab).await?;
    let younger = world
        .create(&dnat("red", "follower", 83, "10.30.20.40", &json!({})))
        .await?;
    loses(world, &younger, &before).await?;
    world
        .change(&older, &json!({"spec": {"external": {"port": 84}}}))
        .await?;
    world.all_ready(&[older.clone(), younger.clone()]).await?;
    // The mover cannot come back as long as the other holds it.
    world
        .change(&older, &json!({"spec": {"external": {"port": 83}}}))
        .await?;
    world.refused(&older, "Programmed", "Conflict").await?;
    demand(is_ready(&world.read(&younger).await?), || {
        "who holds it keeps it".to_owned()
    })?;
    world.remove(&[older, younger]).await
}

async fn no_clash(world: &World) -> Outcome {
    let ranges = json!({"external": {"port": 8500, "endPort": 8509}, "internal": {"port": 9500}});
    let manifests = [
        dnat("red", "range", 8500, "10.30.20.11", &ranges),
        dnat("red", "next-port", 8510, "10.30.20.11", &json!({})),
        dnat("red", "udp", 8500, "10.30.20.11", &json!({"protocol": "UDP"})),
        dnat(
            "red",
            "other-address",
            8500,
            "10.30.20.11",
            &json!({"external": {"address": "203.0.113.11"}}),
        ),
        dnat(
            "red",
            "other-priority",
            8500,
            "10.30.20.12",
            &json!({"priority": 100, "remote": {"cidr": "192.0.2.0/24"}}),
        ),
        dnat("blue", "near", 8511, "10.30.21.11", &json!({})),
    ];
    let keys = world.bring_up(&manifests).await?;
    let before = Snapshot::take(&world.lab).await?;
    let inside = world
        .create(&dnat("red", "inside", 8505, "10.30.20.40", &json!({})))
        .await?;
    loses(world, &inside, &before).await?;
    let any = json!({"protocol": "Any", "external": {"port": null}, "internal": {"port": null}});
    let all_ports = world
        .create(&dnat("red", "all-ports", 1, "10.30.20.40", &any))
        .await?;
    loses(world, &all_ports, &before).await?;
    world.remove(&[inside, all_ports]).await?;
    world.remove(&keys).await
}

const FOREIGN: &str = "/infra/tier-1s/vic-edge/nat/USER/nat-rules/by-hand";

/// A rule that an administrator made; same priority as ours.
async fn by_hand(world: &World) -> Outcome {
    let foreign = json!({
        "resource_type": "PolicyNatRule", "display_name": "by hand", "action": "DNAT", "destination_network": EDGE,
        "translated_network": "10.30.20.99", "sequence_number": 500, "firewall_match": "MATCH_EXTERNAL_ADDRESS",
    });
    put(&world.lab, FOREIGN, &foreign).await?;
    Calls::forget(&world.lab).await?;
    periods(world, 6).await?;
    Ok(())
}

async fn foreign_rule(world: &World) -> Outcome {
    by_hand(world).await?;
    let before = Snapshot::take(&world.lab).await?;
    let ours = world
        .create(&dnat("red", "against", 85, "10.30.20.11", &json!({})))
        .await?;
    let said = loses(world, &ours, &before).await?;
    demand(said.contains("does not own"), || said.clone())?;
    delete(&world.lab, FOREIGN).await?;
    world.ready(&ours).await?;
    demand(in_nsx(&world.lab, FOREIGN).await?.is_none(), || {
        "the rule by hand was made anew".to_owned()
    })?;
    world.remove(&[ours]).await
}

async fn foreign_comes_later(world: &World) -> Outcome {
    let ours = world
        .create(&dnat("red", "first", 86, "10.30.20.11", &json!({})))
        .await?;
    world.ready(&ours).await?;
    let path = nat_rule_of(&world.lab, "red", "first").await?;
    let before = in_nsx(&world.lab, &path).await?;
    by_hand(world).await?;
    equal("our rule", in_nsx(&world.lab, &path).await?, before)?;
    demand(is_ready(&world.read(&ours).await?), || {
        "who holds it keeps it".to_owned()
    })?;
    demand(in_nsx(&world.lab, FOREIGN).await?.is_some(), || {
        "what is not ours was deleted".to_owned()
    })?;
    world.remove(&[ours]).await?;
    delete(&world.lab, FOREIGN).await?;
    // NSX takes it away in its own time; the next scene begins without it.
    Calls::forget(&world.lab).await?;
    periods(world, 6).await?;
    Ok(())
}

async fn grant(world: &World, changes: &Value) -> Outcome {
    let granted = tenants(&grants(&world.lab, changes));
    world.resite(&json!({"tenants": granted})).await
}

async fn not_granted(world: &World) -> Outcome {
    grant(
        world,
        &json!({"gateways": null, "subnets": ["10.30.20.0/22"], "externalAddresses": [EDGE]}),
    )
    .await?;
    world.namespace("refused").await?;
    let before = Snapshot::take(&world.lab).await?;
    let open = |name: &str, changes: Value| dnat("red", name, 87, "10.30.20.11", &changes);
    let subnet = json!({"subnets": [{"gatewayAddress": "10.99.0.1/24"}]});
    let cases = [
        (
            routed("refused", "gateway", 22, &json!({})),
            "gateway tier1/vic-edge",
        ),
        (segment("refused", "subnet", &subnet), "subnet 10.99.0.0/24"),
        (open("rule-gateway", json!({})), "gateway tier1/vic-edge"),
    ];
    let mut keys = Vec::new();
    for (manifest, what) in &cases {
        let key = world.create(manifest).await?;
        let said = world.refused(&key, "Accepted", "NotAllowed").await?;
        demand(said.to_lowercase().contains(&what.to_lowercase()), || {
            format!("should name {what}: {said}")
        })?;
        keys.push(key);
    }
    // Networks that stand are only told of it; with the gateway granted again the rest shows.
    grant(world, &json!({"externalAddresses": [EDGE]})).await?;
    let more = [
        (
            open("address", json!({"external": {"address": "203.0.113.11"}})),
            "external address 203.0.113.11",
        ),
        (
            open(
                "bypass",
                json!({"external": {"port": 88}, "firewall": {"mode": "Bypass", "allowFrom": null}}),
            ),
            "Bypass",
        ),
    ];
    for (manifest, what) in &more {
        let key = world.create(manifest).await?;
        let said = world.refused(&key, "Accepted", "NotAllowed").await?;
        demand(said.to_lowercase().contains(&what.to_lowercase()), || {
            format!("should name {what}: {said}")
        })?;
        keys.push(key);
    }
    // Two of the refused ones have gone on by themselves, the others left no trace.
    world.all_ready(&[keys[0].clone(), keys[2].clone()]).await?;
    world.remove(&[keys[0].clone(), keys[2].clone()]).await?;
    before.comes_back(world, &[]).await?;
    let all = json!({"subnets": ["10.0.0.0/8"], "firewallBypass": "Allowed"});
    grant(world, &all).await?;
    let rest = [keys[1].clone(), keys[3].clone(), keys[4].clone()];
    world.all_ready(&rest).await?;
    world.remove(&rest).await
}

async fn no_tenant(world: &World) -> Outcome {
    world
        .labelled_namespace("stray", &json!({"team": "strangers"}))
        .await?;
    let before = Snapshot::take(&world.lab).await?;
    let network = world.create(&routed("stray", "web", 22, &json!({}))).await?;
    world.refused(&network, "Accepted", "NotAllowed").await?;
    before.is_unchanged(&world.lab).await?;
    // The namespace joins the team.
    world
        .lab
        .kubectl(&["label", "namespace", "stray", "team=e2e", "--overwrite"])
        .await?;
    world.ready(&network).await?;
    world.remove(&[network]).await
}

async fn two_tenants(world: &World) -> Outcome {
    let all = grants(&world.lab, &json!({}));
    let mut two = tenants(&all);
    let second = json!({"name": "second", "namespaces": {"names": ["both"]}, "allow": all});
    if let Some(list) = two.as_array_mut() {
        list.push(second);
    }
    world.resite(&json!({"tenants": two})).await?;
    world.namespace("both").await?;
    let before = Snapshot::take(&world.lab).await?;
    let network = world.create(&routed("both", "web", 23, &json!({}))).await?;
    let said = world.refused(&network, "Accepted", "SeveralTenants").await?;
    demand(said.contains("team") && said.contains("second"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    grant(world, &json!({})).await?;
    world.ready(&network).await?;
    world.remove(&[network]).await
}

async fn narrowed_grant(world: &World) -> Outcome {
    let spec = json!({
        "action": "SNAT", "external": {"address": "203.0.113.30"}, "internal": {"networkRef": {"name": "web"}},
    });
    let ours = world.create(&rule("red", "out", &spec)).await?;
    world.ready(&ours).await?;
    let before = Snapshot::take(&world.lab).await?;
    grant(world, &json!({"externalAddresses": [EDGE]})).await?;
    world.refused(&ours, "Accepted", "NotAllowed").await?;
    before.is_unchanged(&world.lab).await?;
    grant(world, &json!({})).await?;
    world.ready(&ours).await?;
    before.is_unchanged(&world.lab).await?;
    world.remove(&[key(RULE, "red", "out")]).await
}
