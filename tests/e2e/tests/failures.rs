//! What can be wrong with a Site, a network or a rule: each says so in one sentence, writes nothing, and goes on by
//! itself when the cause is gone.

#![cfg(test)]

use std::net::{Ipv4Addr, SocketAddr};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use e2e::gate::Gate;
use e2e::manifests::{NETWORK, dhcp, dnat, grants, key, routed, segment, site, tenants, vlan};
use e2e::outside::{Snapshot, edit, in_vcenter, text};
use e2e::{Failure, Outcome, Play, World, demand, equal};
use lab::Options;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_and_recovers_by_itself() -> Outcome {
    let world = World::with_site(Options::named("failures")).await?;
    let mut play = Play::new();
    let w = &world;
    play.scene(
        w,
        "wrong credentials for vCenter",
        wrong_credentials(w, "vcenter"),
    )
    .await;
    play.scene(w, "wrong credentials for NSX", wrong_credentials(w, "nsx"))
        .await;
    play.scene(
        w,
        "a Secret and a ConfigMap that do not exist",
        missing_references(w),
    )
    .await;
    play.scene(w, "an untrusted certificate of vCenter", untrusted(w, "vcenter"))
        .await;
    play.scene(w, "an untrusted certificate of NSX", untrusted(w, "nsx"))
        .await;
    play.scene(w, "a thumbprint that is another's", another_thumbprint(w))
        .await;
    play.scene(w, "an unreachable NSX", unreachable_nsx(w)).await;
    play.scene(
        w,
        "a Secret that turns wrong while objects live on the Site",
        credentials_turn_wrong(w),
    )
    .await;
    play.scene(w, "a name of a port group that is taken", taken_port_group(w))
        .await;
    play.scene(w, "a switch that does not exist", missing_switch(w))
        .await;
    play.scene(w, "a network that does not exist", missing_network(w))
        .await;
    play.scene(
        w,
        "an existing network that nobody has made yet",
        missing_existing_network(w),
    )
    .await;
    play.scene(w, "a VLAN that is not granted", vlan_not_granted(w))
        .await;
    play.scene(w, "an address outside its network", address_outside(w))
        .await;
    play.scene(w, "a default name that is too long", name_too_long(w))
        .await;
    play.scene(w, "DHCP ranges that shrink", ranges_shrink(w)).await;
    play.end()
}

/// Whichever of the two servers a scene is about.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers hand over what they have just made"
)]
fn spec_of(server: &str, changes: Value) -> Value {
    json!({ server: changes })
}

async fn wrong_credentials(world: &World, server: &str) -> Outcome {
    let simulator = if server == "nsx" {
        &world.lab.nsx
    } else {
        &world.lab.vcenter
    };
    let secret = format!("wrong-{server}");
    world
        .credentials(&secret, &simulator.username, "not the password")
        .await?;
    let before = Snapshot::take(&world.lab).await?;
    let changes = spec_of(server, json!({"credentialsRef": {"name": secret}}));
    let key = world.create(&site(&world.lab, &secret, &changes)?).await?;
    let said = world.refused(&key, "Programmed", "InvalidCredentials").await?;
    demand(!said.contains("not the password"), || {
        format!("a password in a status: {said}")
    })?;
    before.is_unchanged(&world.lab).await?;
    world
        .credentials(&secret, &simulator.username, &simulator.password)
        .await?;
    world.ready(&key).await?;
    world.remove(&[key]).await?;
    before.comes_back(world, &[]).await
}

async fn missing_references(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let changes = json!({
        "vcenter": {"credentialsRef": {"name": "later"}},
        "nsx": {"trust": {"caBundleRef": {"name": "later"}}},
    });
    let key = world.create(&site(&world.lab, "later", &changes)?).await?;
    let said = world.refused(&key, "ResolvedRefs", "ReferenceNotFound").await?;
    demand(said.contains("later"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    let vcenter = &world.lab.vcenter;
    world
        .credentials("later", &vcenter.username, &vcenter.password)
        .await?;
    world.authorities("later", &world.lab.nsx.ca).await?;
    world.ready(&key).await?;
    world.remove(&[key]).await
}

async fn untrusted(world: &World, server: &str) -> Outcome {
    let (right, wrong) = (&world.lab.nsx.ca, &world.lab.vcenter.ca);
    let (right, wrong) = if server == "nsx" {
        (right, wrong)
    } else {
        (wrong, right)
    };
    let name = format!("trust-{server}");
    world.authorities(&name, wrong).await?;
    let before = Snapshot::take(&world.lab).await?;
    let changes = spec_of(server, json!({"trust": {"caBundleRef": {"name": name}}}));
    let key = world.create(&site(&world.lab, &name, &changes)?).await?;
    world.refused(&key, "Programmed", "Untrusted").await?;
    before.is_unchanged(&world.lab).await?;
    world.authorities(&name, right).await?;
    world.ready(&key).await?;
    world.remove(&[key]).await
}

async fn another_thumbprint(world: &World) -> Outcome {
    let wrong = ["AB"; 32].join(":");
    let changes = json!({"vcenter": {"trust": {"caBundleRef": null, "sha256": wrong}}});
    let before = Snapshot::take(&world.lab).await?;
    let key = world.create(&site(&world.lab, "thumbprint", &changes)?).await?;
    world.refused(&key, "Programmed", "Untrusted").await?;
    before.is_unchanged(&world.lab).await?;
    let right = thumbprint(&std::fs::read_to_string(world.lab.run().join("vcenter.crt"))?)?;
    world
        .change(&key, &json!({"spec": {"vcenter": {"trust": {"sha256": right}}}}))
        .await?;
    world.ready(&key).await?;
    world.remove(&[key]).await
}

/// The SHA-256 thumbprint of the first certificate of a PEM text.
fn thumbprint(pem: &str) -> Outcome<String> {
    let lines = pem.lines().skip(1).take_while(|line| !line.starts_with("-----"));
    let der = BASE64_STANDARD.decode(lines.collect::<String>())?;
    let bytes = Sha256::digest(der);
    Ok(bytes
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":"))
}

async fn unreachable_nsx(world: &World) -> Outcome {
    let free: SocketAddr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
    let mut gate = Gate::shut_before(&world.lab.nsx.url, free)?;
    let before = Snapshot::take(&world.lab).await?;
    let site_key = world
        .create(&site(&world.lab, "far", &json!({"nsx": {"urls": [gate.url()]}}))?)
        .await?;
    world.refused(&site_key, "Programmed", "NsxUnreachable").await?;
    before.is_unchanged(&world.lab).await?;
    gate.open()?;
    world.ready(&site_key).await?;

    // Once it stands, too; what is declared meanwhile waits and goes on by itself.
    gate.shut().await;
    world.refused(&site_key, "Programmed", "NsxUnreachable").await?;
    world.namespace("far").await?;
    let far = json!({"siteRef": {"name": "far"}});
    let network = world.create(&segment("far", "island", &far)).await?;
    world
        .until(&network, "not to be ready", |object| {
            !lab::kinds::is_ready(object)
        })
        .await?;
    gate.open()?;
    world.all_ready(&[site_key.clone(), network.clone()]).await?;
    world.remove(&[network, site_key]).await?;
    before.comes_back(world, &[]).await
}

async fn credentials_turn_wrong(world: &World) -> Outcome {
    let vcenter = &world.lab.vcenter;
    world
        .credentials("turning", &vcenter.username, &vcenter.password)
        .await?;
    world.namespace("turning").await?;
    let changes = json!({"vcenter": {"credentialsRef": {"name": "turning"}}});
    let site_key = world.create(&site(&world.lab, "turning", &changes)?).await?;
    let network = vlan("turning", "lan", 111, &json!({"siteRef": {"name": "turning"}}));
    let network = world.create(&network).await?;
    world.all_ready(&[site_key.clone(), network.clone()]).await?;
    let before = Snapshot::take(&world.lab).await?;
    world.credentials("turning", &vcenter.username, "expired").await?;
    world
        .refused(&site_key, "Programmed", "InvalidCredentials")
        .await?;
    // Nothing of what lives on the Site is touched for it.
    let changes = before.changes(&Snapshot::take(&world.lab).await?);
    demand(changes.iter().all(|change| change.contains("/sessions/")), || {
        changes.join("; ")
    })?;
    world
        .credentials("turning", &vcenter.username, &vcenter.password)
        .await?;
    world.all_ready(&[site_key.clone(), network.clone()]).await?;
    world.remove(&[network, site_key]).await
}

async fn taken_port_group(world: &World) -> Outcome {
    world.namespace("taken").await?;
    let dump = world.lab.vcenter.control.get("/dump").await?;
    let groups = dump
        .get("port_groups")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let foreign = groups
        .iter()
        .find(|group| !text(group, "name").contains("Uplink"));
    let foreign = foreign.ok_or_else(|| Failure(format!("vcsim has no foreign port group: {groups:?}")))?;
    let (moref, name) = (text(foreign, "moref"), text(foreign, "name"));
    let rename = |from: &str, to: &str| json!({"what": "rename", "type": "DistributedVirtualPortgroup", "name": from, "to": to});
    edit(&world.lab, &rename(name, "Taken")).await?;

    let before = Snapshot::take(&world.lab).await?;
    let key = world
        .create(&vlan("taken", "lan", 112, &json!({"displayName": "Taken"})))
        .await?;
    let said = world.refused(&key, "Programmed", "Conflict").await?;
    demand(said.contains("Taken") && said.contains(moref), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    edit(&world.lab, &rename("Taken", name)).await?;
    world.ready(&key).await?;
    let own = in_vcenter(&world.lab, "port_groups", "Taken").await?;
    equal(
        "the VLAN of the new port group",
        own.as_ref().map(|group| text(group, "vlan")),
        Some("112"),
    )?;
    world.remove(&[key]).await
}

async fn missing_switch(world: &World) -> Outcome {
    world.namespace("switch").await?;
    let before = Snapshot::take(&world.lab).await?;
    let nowhere = json!({"backing": {"portGroup": {"distributedSwitch": "DVS9"}}});
    let key = world.create(&vlan("switch", "lan", 113, &nowhere)).await?;
    let said = world.refused(&key, "ResolvedRefs", "NotFound").await?;
    demand(said.contains("DVS9"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    world
        .change(
            &key,
            &json!({"spec": {"backing": {"portGroup": {"distributedSwitch": "DVS0"}}}}),
        )
        .await?;
    world.ready(&key).await?;
    world.remove(&[key]).await?;
    before.comes_back(world, &[]).await
}

async fn missing_network(world: &World) -> Outcome {
    world.namespace("nonet").await?;
    let before = Snapshot::take(&world.lab).await?;
    let rule = world
        .create(&dnat("nonet", "nginx", 8100, "10.30.10.11", &json!({})))
        .await?;
    let said = world.refused(&rule, "ResolvedRefs", "NetworkNotFound").await?;
    demand(said.contains("web"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    let network = world.create(&routed("nonet", "web", 10, &json!({}))).await?;
    world.all_ready(&[network.clone(), rule.clone()]).await?;
    world.remove(&[rule, network]).await?;
    before.comes_back(world, &[]).await
}

async fn missing_existing_network(world: &World) -> Outcome {
    world.namespace("existing").await?;
    let granted = grants(
        &world.lab,
        &json!({"existingNetworks": ["Made-Later", "existing-lan"]}),
    );
    world.resite(&json!({"tenants": tenants(&granted)})).await?;
    let mut manifest = segment("existing", "seen", &json!({"displayName": null}));
    manifest["spec"]["backing"] = json!({"type": "Existing", "existing": {"network": "existing-lan"}});
    let seen = world.create(&manifest).await?;
    let said = world.refused(&seen, "ResolvedRefs", "NotFound").await?;
    demand(said.contains("existing-lan"), || said.clone())?;
    // Someone makes it: another object of ours will do, as the one that only looks cannot tell.
    let maker = world.create(&vlan("existing", "lan", 114, &json!({}))).await?;
    world.ready(&maker).await?;
    let object = world.ready(&seen).await?;
    equal(
        "status.portGroup.name",
        object
            .data
            .pointer("/status/portGroup/name")
            .and_then(Value::as_str),
        Some("existing-lan"),
    )?;
    world.remove(&[seen]).await?;
    demand(
        in_vcenter(&world.lab, "port_groups", "existing-lan")
            .await?
            .is_some(),
        || "it was deleted".to_owned(),
    )?;
    world.remove(&[maker]).await
}

async fn vlan_not_granted(world: &World) -> Outcome {
    world.namespace("vlan").await?;
    let before = Snapshot::take(&world.lab).await?;
    let key = world.create(&vlan("vlan", "lan", 900, &json!({}))).await?;
    let said = world.refused(&key, "Accepted", "NotAllowed").await?;
    demand(said.contains("VLAN 900"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    let granted = grants(&world.lab, &json!({"vlanIDs": ["100-199", "900"]}));
    world.resite(&json!({"tenants": tenants(&granted)})).await?;
    world.ready(&key).await?;
    world.remove(&[key]).await?;
    before.comes_back(world, &[]).await
}

async fn address_outside(world: &World) -> Outcome {
    world.namespace("outside").await?;
    let half = json!({"subnets": [{"gatewayAddress": "10.30.12.1/25"}]});
    let network = world.create(&routed("outside", "web", 12, &half)).await?;
    world.ready(&network).await?;
    let before = Snapshot::take(&world.lab).await?;
    let rule = world
        .create(&dnat("outside", "nginx", 8101, "10.30.12.200", &json!({})))
        .await?;
    let said = world.refused(&rule, "Accepted", "AddressOutsideNetwork").await?;
    demand(
        said.contains("10.30.12.200") && said.contains("10.30.12.0/25"),
        || said.clone(),
    )?;
    before.is_unchanged(&world.lab).await?;
    world
        .change(
            &network,
            &json!({"spec": {"subnets": [{"gatewayAddress": "10.30.12.1/24"}]}}),
        )
        .await?;
    world.all_ready(&[network.clone(), rule.clone()]).await?;
    world.remove(&[rule, network]).await
}

async fn name_too_long(world: &World) -> Outcome {
    let namespace = "a-namespace-with-a-name-that-is-as-long-as-a-name-can-be-here";
    world.namespace(namespace).await?;
    let before = Snapshot::take(&world.lab).await?;
    let key = world
        .create(&vlan(
            namespace,
            "and-a-network-with-a-long-name",
            115,
            &json!({}),
        ))
        .await?;
    let said = world.refused(&key, "Accepted", "Invalid").await?;
    demand(said.contains("displayName"), || said.clone())?;
    before.is_unchanged(&world.lab).await?;
    world
        .change(&key, &json!({"spec": {"displayName": "Short"}}))
        .await?;
    world.ready(&key).await?;
    world.remove(&[key]).await
}

/// Admitted and answered in status: the old ranges stay in effect.
async fn ranges_shrink(world: &World) -> Outcome {
    world.namespace("ranges").await?;
    let network = world.create(&routed("ranges", "web", 13, &dhcp(13))).await?;
    world.ready(&network).await?;
    let before = Snapshot::take(&world.lab).await?;
    let mut fewer = dhcp(13);
    fewer["subnets"][0]["dhcp"]["ranges"] = json!(["10.30.13.11-10.30.13.99"]);
    world.change(&network, &json!({"spec": fewer})).await?;
    let object = world
        .until(&network, "to say RangesGrowOnly", |object| {
            lab::kinds::condition(object, "Accepted").is_some_and(|accepted| {
                lab::kinds::told(accepted, "status") == "False"
                    && lab::kinds::told(accepted, "reason") == "RangesGrowOnly"
            })
        })
        .await?;
    demand(lab::kinds::is_ready(&object), || {
        "the old ranges are in effect and Ready".to_owned()
    })?;
    equal(
        "status.dhcpRanges",
        object.data.pointer("/status/dhcpRanges"),
        Some(&json!(["10.30.13.11-10.30.13.199"])),
    )?;
    before.is_unchanged(&world.lab).await?;
    world.change(&network, &json!({"spec": dhcp(13)})).await?;
    world
        .until(&network, "to be accepted again", |object| {
            lab::kinds::condition(object, "Accepted")
                .is_some_and(|known| lab::kinds::told(known, "status") == "True")
        })
        .await?;
    world.remove(&[key(NETWORK, "ranges", "web")]).await
}
