//! Edge gateways: of one's own, with what stands behind them, and existing ones that are checked.

#![cfg(test)]

use e2e::manifests::{dnat, edge_gateway, existing_gateway, grants, public, routed, segment, tenants, vch};
use e2e::outside::{Snapshot, container, delete, in_nsx, put, text};
use e2e::traffic::Packet;
use e2e::{Failure, Outcome, Play, World, demand, equal};
use lab::Options;
use lab::kinds::{condition, told};
use serde_json::{Value, json};

/// A consumer outside, and one that no rule speaks of.
const FRIEND: &str = "198.51.100.7";
const STRANGER: &str = "192.0.2.99";
/// The container behind the gateway.
const WEB: &str = "10.30.70.11";
/// Where the Tier-0 and its edges are.
const CLUSTER: &str = "/infra/sites/default/enforcement-points/default/edge-clusters/edge-cluster-1";
const TIER0: &str = "/infra/tier-0s/vic-t0";
const BARE: &str = "/infra/tier-1s/bare";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_are_made_checked_and_taken_away() -> Outcome {
    let world = World::with_site(Options::named("gateways")).await?;
    world.namespace("gw").await?;
    let mut play = Play::new();
    let w = &world;
    play.scene(w, "a Tier-0 that is not granted", not_granted(w))
        .await;
    let allowed = grants(
        &world.lab,
        &json!({"gateways": [{"tier1": "vic-edge"}, {"tier0": "vic-t0"}, {"tier1": "bare"}]}),
    );
    world.resite(&json!({"tenants": tenants(&allowed)})).await?;
    play.scene(
        w,
        "a network waits for its gateway, and works behind it",
        own_gateway(w),
    )
    .await;
    play.scene(w, "the default posture lets in what rules allow", posture(w))
        .await;
    play.scene(w, "an edit by hand is put back", edited(w)).await;
    play.scene(w, "a gateway in use stays, and says for whom", in_use(w))
        .await;
    play.scene(
        w,
        "an existing gateway without edges says so, and so does a rule on it",
        unsuitable(w),
    )
    .await;
    play.scene(w, "a gateway that only routes", only_routes(w)).await;
    play.scene(w, "what cannot be made names its field", invalid(w))
        .await;
    play.end()
}

async fn not_granted(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let key = world.create(&edge_gateway("gw", "own", &json!({}))).await?;
    let message = world.refused(&key, "Accepted", "NotAllowed").await?;
    demand(message.starts_with("Gateway tier0/vic-t0"), || message.clone())?;
    before.is_unchanged(&world.lab).await?;
    world.remove(&[key]).await
}

/// A segment behind gateway `edge`, of the namespace.
fn behind() -> Value {
    routed(
        "gw",
        "web",
        70,
        &json!({"backing": {"segment": {"gateway": {"tier1": null, "ref": {"name": "edge"}}}}}),
    )
}

async fn own_gateway(world: &World) -> Outcome {
    let network = world.create(&behind()).await?;
    world.refused(&network, "ResolvedRefs", "GatewayNotFound").await?;
    let gateway = world.create(&edge_gateway("gw", "edge", &json!({}))).await?;
    let ready = world.ready(&gateway).await?;
    let path = path_of(&ready.data)?;
    world.ready(&network).await?;
    let tier1 = in_nsx(&world.lab, &path).await?.unwrap_or_default();
    equal("its Tier-0", text(&tier1, "tier0_path"), TIER0)?;
    let services = in_nsx(&world.lab, &format!("{path}/locale-services/default")).await?;
    let services = services.unwrap_or_default();
    equal("its edges", text(&services, "edge_cluster_path"), CLUSTER)?;
    let hosts = [
        public(&world.lab, "gw", 120),
        segment("gw", "bridge", &json!({})),
        vch(
            &world.lab,
            "gw",
            "vch",
            &json!({"displayName": "gw", "networks": {"containers": [
                {"name": "web", "networkRef": {"name": "web"}, "trustLevel": "Open"}]}}),
        ),
    ];
    world.bring_up(&hosts).await?;
    let request =
        json!({"action": "make", "vch": "gw", "name": "web", "network": "web", "ip": WEB, "image": "nginx"});
    container(&world.lab, &request).await?;
    let rule = world.create(&dnat("gw", "nginx", 8080, WEB, &json!({}))).await?;
    world.ready(&rule).await?;
    Packet::tcp(FRIEND, e2e::manifests::EDGE, 8080)
        .will_reach(world, "web")
        .await?;
    Ok(())
}

fn path_of(object: &Value) -> Outcome<String> {
    let path = object.pointer("/status/gatewayPath").and_then(Value::as_str);
    path.map(str::to_owned)
        .ok_or_else(|| Failure(format!("no gatewayPath: {object}")))
}

fn edge() -> lab::kinds::Key {
    e2e::manifests::key(e2e::manifests::EDGE_GATEWAY, "gw", "edge")
}

async fn posture(world: &World) -> Outcome {
    Packet::tcp(STRANGER, WEB, 443).will_reach(world, "web").await?;
    let firewall = json!({"spec": {"firewall": {"defaultPosture": "Drop", "rules": [
        {"name": "https", "action": "Allow", "direction": "In", "from": [{"cidr": "198.51.100.0/24"}],
         "to": [{"cidr": "10.30.70.0/24"}], "ports": [{"protocol": "TCP", "port": 443}]}]}}});
    world.change(&edge(), &firewall).await?;
    world.ready(&edge()).await?;
    Packet::tcp(FRIEND, WEB, 443).reaches(world, "web", None).await?;
    for (from, port) in [(STRANGER, 443), (FRIEND, 80)] {
        let fate = Packet::tcp(from, WEB, port).is_dropped(world).await?;
        let rule = fate.rule.unwrap_or_default();
        demand(rule.ends_with("/rules/default_posture"), || rule.clone())?;
    }
    // Rules of NAT come before.
    Packet::tcp(STRANGER, e2e::manifests::EDGE, 8080)
        .will_reach(world, "web")
        .await?;
    world
        .change(&edge(), &json!({"spec": {"firewall": null}}))
        .await?;
    world.ready(&edge()).await?;
    Packet::tcp(STRANGER, WEB, 443).will_reach(world, "web").await?;
    Ok(())
}

async fn edited(world: &World) -> Outcome {
    let object = world.read(&edge()).await?;
    let path = path_of(&object.data)?;
    let before = Snapshot::take(&world.lab).await?;
    put(
        &world.lab,
        &path,
        &json!({"route_advertisement_types": ["TIER1_CONNECTED"], "failover_mode": "PREEMPTIVE"}),
    )
    .await?;
    before.comes_back(world, &[]).await
}

async fn in_use(world: &World) -> Outcome {
    let path = path_of(&world.read(&edge()).await?.data)?;
    world.delete(&edge()).await?;
    let message = world.refused(&edge(), "Programmed", "InUse").await?;
    demand(message.contains("ContainerNetwork gw/web"), || message.clone())?;
    let users = [
        (e2e::manifests::RULE, "nginx"),
        (e2e::manifests::HOST, "vch"),
        (e2e::manifests::NETWORK, "web"),
    ];
    container(
        &world.lab,
        &json!({"action": "remove", "vch": "gw", "name": "web"}),
    )
    .await?;
    for (kind, name) in users {
        world.remove(&[e2e::manifests::key(kind, "gw", name)]).await?;
    }
    world.gone(&[edge()]).await?;
    equal("the Tier-1", in_nsx(&world.lab, &path).await?, None)
}

/// A Tier-1 that someone made by hand, without edges.
async fn bare(world: &World) -> Outcome {
    let tier1 = json!({
        "resource_type": "Tier1", "display_name": "bare", "tier0_path": TIER0,
        "route_advertisement_types": ["TIER1_CONNECTED", "TIER1_NAT"],
    });
    put(&world.lab, BARE, &tier1).await
}

async fn unsuitable(world: &World) -> Outcome {
    bare(world).await?;
    let existing = existing_gateway("gw", "bare", &json!({"tier1": "bare"}));
    let network = routed(
        "gw",
        "bare-web",
        71,
        &json!({"backing": {"segment": {"gateway": {"tier1": null, "ref": {"name": "bare"}}}}}),
    );
    let keys = world.bring_up(&[existing, network]).await?;
    let object = world.read(&keys[0]).await?;
    let ready = condition(&object, "Ready").map(|ready| told(ready, "message").to_owned());
    demand(
        ready
            .as_ref()
            .is_some_and(|message| message.contains("has no edge cluster")),
        || format!("{ready:?}"),
    )?;
    let to = json!({"internal": {"networkRef": {"name": "bare-web"}}});
    let before = Snapshot::take(&world.lab).await?;
    let rule = world
        .create(&dnat("gw", "nowhere", 8081, "10.30.71.11", &to))
        .await?;
    let message = world.refused(&rule, "ResolvedRefs", "GatewayUnsuitable").await?;
    demand(message.contains("edge cluster"), || message.clone())?;
    before.is_unchanged(&world.lab).await?;
    // Somebody gives it edges: the rule follows by itself.
    let services = json!({"resource_type": "LocaleServices", "edge_cluster_path": CLUSTER});
    put(&world.lab, &format!("{BARE}/locale-services/default"), &services).await?;
    world.ready(&rule).await?;
    world.remove(&[rule]).await?;
    world.remove(&[keys[1].clone(), keys[0].clone()]).await?;
    demand(in_nsx(&world.lab, BARE).await?.is_some(), || {
        "an existing gateway was deleted".to_owned()
    })?;
    delete(&world.lab, &format!("{BARE}/locale-services/default")).await?;
    delete(&world.lab, BARE).await
}

async fn only_routes(world: &World) -> Outcome {
    let alone = json!({"backing": {"tier1": null}});
    let key = world.create(&edge_gateway("gw", "alone", &alone)).await?;
    let object = world.ready(&key).await?;
    let ready = condition(&object, "Ready").map(|ready| told(ready, "message").to_owned());
    demand(
        ready.as_ref().is_some_and(|message| message.contains("no NAT")),
        || format!("{ready:?}"),
    )?;
    world.remove(&[key]).await
}

async fn invalid(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let cases = [
        (
            json!({"backing": {"tier1": null}, "firewall": {"defaultPosture": "Drop"}}),
            "spec.firewall",
        ),
        (
            json!({"uplinks": [{"networkRef": {"name": "public"}, "addresses": ["203.0.113.2/24"]}]}),
            "spec.uplinks[0].networkRef",
        ),
        (
            json!({"backing": {"tier1": {"dhcp": {"leaseTime": "5s"}}}}),
            "spec.backing.tier1.dhcp.leaseTime",
        ),
    ];
    for (changes, field) in cases {
        let key = world.create(&edge_gateway("gw", "odd", &changes)).await?;
        let message = world.refused(&key, "Accepted", "Invalid").await?;
        demand(message.starts_with(field), || message.clone())?;
        world.remove(&[key]).await?;
    }
    before.is_unchanged(&world.lab).await
}
