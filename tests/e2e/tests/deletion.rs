//! What goes, in which order, what stays on purpose, and who is told to hold it up.

#![cfg(test)]

use e2e::manifests::{
    EDGE, HOST, NETWORK, POC, RULE, dhcp, dnat, key, key_of, public, routed, segment, site, site_key, vch,
    vlan,
};
use e2e::outside::{
    KEPT, Snapshot, container, delete, edit, in_nsx, in_vcenter, marked_in_nsx, nat_rule_of, nat_rules, text,
};
use e2e::{Failure, Outcome, Play, World, demand, equal};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::Api;
use lab::Options;
use lab::kinds::Key;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_goes_whole() -> Outcome {
    let world = World::start(Options::named("deletion")).await?;
    let mut play = Play::new();
    let w = &world;
    play.scene(
        w,
        "everything at once, as it was written",
        all_at_once(w, "forward"),
    )
    .await;
    play.scene(
        w,
        "everything at once, the Site first",
        all_at_once(w, "backward"),
    )
    .await;
    play.scene(w, "the namespace and the Site at once", namespace_and_site(w))
        .await;
    play.scene(w, "before anything was made", before_anything_was_made(w))
        .await;
    play.scene(w, "an object whose Site never was", orphan(w)).await;
    play.scene(w, "what is in use says by whom", in_use(w)).await;
    play.scene(w, "a network that a VM is attached to", attached(w))
        .await;
    play.scene(w, "what is retained stays without our marks", retained(w))
        .await;
    play.scene(w, "volumes go only when told to", volumes(w)).await;
    play.end()
}

/// Everything of a small topology but its namespace; the Site first.
fn topology(world: &World, namespace: &str) -> Outcome<Vec<Value>> {
    Ok(vec![
        site(&world.lab, POC, &json!({}))?,
        public(&world.lab, namespace, 120),
        segment(namespace, "bridge", &json!({})),
        routed(namespace, "web", 60, &dhcp(60)),
        vch(
            &world.lab,
            namespace,
            "vch",
            &json!({"onDelete": {"runningContainers": "Remove"}}),
        ),
        dnat(namespace, "nginx", 80, "10.30.60.11", &json!({})),
        dnat(namespace, "next", 8080, "10.30.60.12", &json!({})),
    ])
}

async fn bring_up(world: &World, namespace: &str) -> Outcome<(Vec<Value>, Vec<Key>)> {
    world.namespace(namespace).await?;
    let manifests = topology(world, namespace)?;
    world.bring_up(&manifests).await?;
    let keys = manifests.iter().filter_map(key_of).collect();
    Ok((manifests, keys))
}

async fn all_at_once(world: &World, namespace: &str) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let (mut manifests, keys) = bring_up(world, namespace).await?;
    if namespace == "forward" {
        manifests.reverse();
    }
    let file = world.file(namespace, &manifests)?;
    world
        .lab
        .kubectl(&[
            "delete".as_ref(),
            "--wait=false".as_ref(),
            "-f".as_ref(),
            file.as_os_str(),
        ])
        .await?;
    world.gone(&keys).await?;
    before.comes_back(world, &KEPT).await?;
    equal(
        "what carries our marks in NSX",
        marked_in_nsx(&world.lab).await?,
        Vec::<String>::new(),
    )?;
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), namespace);
    demand(secrets.get_opt("vch-docker").await?.is_none(), || {
        "the connection Secret is left".to_owned()
    })
}

/// A terminating namespace refuses new Secrets and Events.
async fn namespace_and_site(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let (_, keys) = bring_up(world, "terminating").await?;
    world
        .lab
        .kubectl(&["delete", "--wait=false", "namespace", "terminating"])
        .await?;
    world
        .lab
        .kubectl(&["delete", "--wait=false", "site", POC])
        .await?;
    world.gone(&keys).await?;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    world
        .eventually("the namespace to be gone", async || {
            let namespace = namespaces.get_opt("terminating").await?;
            Ok(namespace.map_or(Ok(()), |namespace| Err(format!("{:?}", namespace.status))))
        })
        .await?;
    before.comes_back(world, &KEPT).await
}

/// Created and deleted in one breath: nothing is left of what was just being made.
async fn before_anything_was_made(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    world.namespace("hasty").await?;
    let keys = world.create_all(&topology(world, "hasty")?).await?;
    for key in keys.iter().rev() {
        world.delete(key).await?;
    }
    world.gone(&keys).await?;
    before.comes_back(world, &KEPT).await
}

async fn orphan(world: &World) -> Outcome {
    world.namespace("orphan").await?;
    let nowhere = json!({"siteRef": {"name": "nowhere"}});
    let manifests = [
        vlan("orphan", "lan", 130, &nowhere),
        dnat("orphan", "nginx", 80, "10.30.60.11", &nowhere),
        vch(&world.lab, "orphan", "vch", &nowhere),
    ];
    let keys = world.create_all(&manifests).await?;
    for key in &keys {
        world.refused(key, "ResolvedRefs", "SiteNotFound").await?;
    }
    world.remove(&keys).await
}

fn used_by(object: &kube::api::DynamicObject) -> String {
    object
        .data
        .pointer("/status/usedBy")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

async fn in_use(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    world.namespace("used").await?;
    let manifests = [
        site(&world.lab, POC, &json!({}))?,
        routed("used", "web", 61, &json!({})),
        dnat("used", "nginx", 80, "10.30.61.11", &json!({})),
    ];
    world.bring_up(&manifests).await?;
    let (poc, web, nginx) = (
        site_key(POC),
        key(NETWORK, "used", "web"),
        key(RULE, "used", "nginx"),
    );
    world.delete(&poc).await?;
    world.delete(&web).await?;
    let said = world.refused(&web, "Programmed", "InUse").await?;
    equal(
        "the network's sentence",
        said.as_str(),
        "1 object still uses it: EdgeNatRule used/nginx.",
    )?;
    equal(
        "status.usedBy",
        used_by(&world.read(&web).await?),
        "1 object still uses it: EdgeNatRule used/nginx",
    )?;
    let said = world.refused(&poc, "Programmed", "InUse").await?;
    demand(
        said.starts_with("2 objects still use it") && said.contains("used/web"),
        || said.clone(),
    )?;
    // While they wait all goes on working, and a rule may still change.
    world
        .change(&nginx, &json!({"spec": {"internal": {"address": "10.30.61.12"}}}))
        .await?;
    world.ready(&nginx).await?;
    let rule = in_nsx(&world.lab, &nat_rule_of(&world.lab, "used", "nginx").await?)
        .await?
        .unwrap_or_default();
    equal(
        "the rule's target",
        text(&rule, "translated_network"),
        "10.30.61.12",
    )?;
    world.delete(&nginx).await?;
    world.gone(&[nginx, web, poc]).await?;
    before.comes_back(world, &[]).await
}

/// A VM that nothing in Kubernetes knows of keeps a network from going.
async fn attached(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    let (_, keys) = bring_up(world, "attached").await?;
    // Nobody but vCenter knows of this one: its host lets go of the network and is retained.
    let host = key(HOST, "attached", "vch");
    world
        .change(&host, &json!({"spec": {"deletionPolicy": "Retain"}}))
        .await?;
    world.ready(&host).await?;
    world.remove(&[host]).await?;
    let lan = key(NETWORK, "attached", "public");
    world.delete(&lan).await?;
    let said = world.refused(&lan, "Programmed", "InUse").await?;
    demand(said.contains("attached-vch"), || said.clone())?;
    for kind in ["VirtualMachine", "ResourcePool", "Folder"] {
        edit(
            &world.lab,
            &json!({"what": "destroy", "type": kind, "name": "attached-vch"}),
        )
        .await?;
    }
    world.gone(std::slice::from_ref(&lan)).await?;
    let rest: Vec<Key> = keys
        .into_iter()
        .filter(|key| *key != lan && key.kind != HOST)
        .collect();
    world.remove(&rest).await?;
    // What a hand destroys may leave a log behind.
    before
        .comes_back(world, &[KEPT[0], KEPT[1], "/files/[LocalDS_0] attached-vch/"])
        .await
}

async fn retained(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    world.namespace("kept").await?;
    let retain = |value: Value| e2e::manifests::merged(value, &json!({"spec": {"deletionPolicy": "Retain"}}));
    let manifests = [
        site(&world.lab, POC, &json!({}))?,
        retain(vlan("kept", "lan", 131, &json!({}))),
        retain(routed("kept", "web", 62, &dhcp(62))),
        retain(dnat("kept", "nginx", 80, "10.30.62.11", &json!({}))),
    ];
    let keys = world.bring_up(&manifests).await?;
    let network = world.read(&key(NETWORK, "kept", "web")).await?;
    let segment = network
        .data
        .pointer("/status/segmentPath")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let rule = nat_rule_of(&world.lab, "kept", "nginx").await?;
    world.remove(&keys).await?;

    let group = in_vcenter(&world.lab, "port_groups", "kept-lan")
        .await?
        .unwrap_or_default();
    equal(
        "the VLAN of the port group that stays",
        text(&group, "vlan"),
        "131",
    )?;
    let description = text(&group, "description");
    demand(!description.contains("vic-operator"), || {
        format!("it keeps our mark: {description}")
    })?;
    for path in [&segment, &rule] {
        demand(in_nsx(&world.lab, path).await?.is_some(), || {
            format!("{path} should have stayed")
        })?;
    }
    equal(
        "what carries our marks in NSX",
        marked_in_nsx(&world.lab).await?,
        Vec::<String>::new(),
    )?;

    // What was retained is foreign now: the same rule again is a conflict with it.
    let again = [
        site(&world.lab, POC, &json!({}))?,
        routed("kept", "other", 63, &json!({})),
        dnat(
            "kept",
            "again",
            80,
            "10.30.63.11",
            &json!({"internal": {"networkRef": {"name": "other"}}}),
        ),
    ];
    let keys = world.create_all(&again).await?;
    world.refused(&keys[2], "Programmed", "Conflict").await?;
    world.remove(&keys).await?;
    clear(world, &before).await
}

/// Takes away by hand what was retained, as its owner would: rules first, then what they refer to.
async fn clear(world: &World, before: &Snapshot) -> Outcome {
    edit(
        &world.lab,
        &json!({"what": "destroy", "type": "DistributedVirtualPortgroup", "name": "kept-lan"}),
    )
    .await?;
    for rule in nat_rules(&world.lab).await? {
        demand(text(&rule, "destination_network") == EDGE, || {
            format!("a rule that is not of this scene: {rule}")
        })?;
        delete(&world.lab, text(&rule, "path")).await?;
    }
    let later = Snapshot::take(&world.lab).await?;
    // In the order of dependence; what is gone with another is no fault.
    for part in [
        "gateway-policies",
        "/infra/segments/",
        "/infra/services/",
        "dhcp-server-configs",
    ] {
        for change in before.changes(&later) {
            let path = change
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .replace("//", "/");
            let path = path
                .find("/infra/")
                .map(|at| path[at..].to_owned())
                .unwrap_or_default();
            if path.contains(part) && in_nsx(&world.lab, &path).await.is_ok_and(|found| found.is_some()) {
                delete(&world.lab, &path).await?;
            }
        }
    }
    before.comes_back(world, &[]).await
}

async fn volumes(world: &World) -> Outcome {
    let before = Snapshot::take(&world.lab).await?;
    world.namespace("volumes").await?;
    let networks = [
        site(&world.lab, POC, &json!({}))?,
        public(&world.lab, "volumes", 120),
        segment("volumes", "bridge", &json!({})),
    ];
    let mut keys = world.bring_up(&networks).await?;
    for (policy, stays) in [("Retain", true), ("Delete", false)] {
        let path = format!("volumes-{}", policy.to_lowercase());
        let stores = json!({
            "storage": {"volumeStores": [{"name": "default", "datastore": "LocalDS_0", "path": path}]},
            "onDelete": {"volumes": policy, "runningContainers": "Remove"},
            "displayName": "volumes",
        });
        let host = world.create(&vch(&world.lab, "volumes", "vch", &stores)).await?;
        world.ready(&host).await?;
        container(&world.lab, &json!({"action": "make", "vch": "volumes", "name": "db", "network": "bridge", "image": "postgres"}))
            .await?;
        world.remove(&[host]).await?;
        let changes = before.changes(&Snapshot::take(&world.lab).await?);
        let there = changes.iter().any(|change| change.contains(&path));
        demand(there == stays, || {
            format!("onDelete.volumes {policy}: {changes:?}")
        })?;
    }
    keys.reverse();
    world.remove(&keys).await?;
    before
        .comes_back(world, &[KEPT[0], KEPT[1], "volumes-retain"])
        .await
}

#[test]
fn a_failure_reads_as_a_sentence() {
    assert_eq!(format!("{:?}", Failure("it stayed".to_owned())), "it stayed");
}
