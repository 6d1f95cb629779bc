//! The chart's rights are the rights the operator needs: no fewer, and none besides.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use e2e::access::{Grant, Need, bind, give, is_refused, may, of_the_operator};
use e2e::figures::{Figures, page};
use e2e::manifests::{
    HOST, POC, RULE, SITE, address, dhcp, dnat, key, public, routed, segment, site, site_key, vch,
};
use e2e::{Failure, Outcome, Play, World, demand, equal};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::{Api, DynamicObject, PostParams};
use lab::Options;
use lab::audit::Mark;
use lab::kinds::{KINDS, is_ready};
use serde::Deserialize;
use serde_json::{Value, json};

const OPERATOR: &str = "system:serviceaccount:vic-operator-system:vic-operator";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_has_the_rights_it_needs_and_no_others() -> Outcome {
    let mut world = World::with_site(Options::named("rights")).await?;
    let mut play = Play::new();
    play.scene(
        &world,
        "each right is used, and nothing is refused",
        each_right_is_used(&world),
    )
    .await;
    play.scene(
        &world,
        "without any one right a request is refused",
        each_right_is_needed(&world),
    )
    .await;
    play.scene(&world, "people have what their role says", people(&world))
        .await;
    play.upheaval(
        &mut world,
        "without the right to watch it is not ready",
        async |world: &mut World| unwatched(world).await,
    )
    .await;
    play.scene(
        &world,
        "without the right to write a status nothing is ready",
        unwritten(&world),
    )
    .await;
    play.end()
}

/// A life in which the operator does all that it can do, the Site's end included.
async fn each_right_is_used(world: &World) -> Outcome {
    world.namespace("rights").await?;
    let lab = &world.lab;
    let manifests = [
        public(lab, "rights", 120),
        segment("rights", "bridge", &json!({})),
        routed("rights", "web", 60, &dhcp(60)),
        dnat("rights", "nginx", 8060, "10.30.60.11", &json!({})),
        vch(lab, "rights", "vch", &json!({"displayName": "rights"})),
    ];
    let keys = world.bring_up(&manifests).await?;
    // Another address asks for another certificate; another name for another Secret.
    let changes = json!({"spec": {
        "networks": {"public": {"static": {"address": address(lab, 50)}}},
        "connectionSecretRef": {"name": "renamed"},
    }});
    world.change(&key(HOST, "rights", "vch"), &changes).await?;
    world.ready(&key(HOST, "rights", "vch")).await?;
    // The same Event twice is one Event that counts.
    let nginx = key(RULE, "rights", "nginx");
    for _ in 0..2 {
        let external = |address: &str| json!({"spec": {"external": {"address": address}}});
        world.change(&nginx, &external("198.51.100.7")).await?;
        world.refused(&nginx, "Accepted", "NotAllowed").await?;
        world.change(&nginx, &external("203.0.113.10")).await?;
        world.ready(&nginx).await?;
    }
    world.remove(&keys).await?;
    refused_ones(world).await?;
    world.remove(&[site_key(POC)]).await?;
    let granted = of_the_operator(&world.client).await?;
    world
        .eventually("every right to be used", async || {
            let needs = needs(world)?;
            let unused: Vec<String> = granted
                .iter()
                .filter(|grant| !needs.iter().any(|need| grant.permits(need)))
                .map(Grant::to_string)
                .collect();
            Ok(if unused.is_empty() {
                Ok(())
            } else {
                Err(unused.join("; "))
            })
        })
        .await?;
    let requests = lab.audit().of_the_operator(Mark::START)?;
    let refused: Vec<_> = requests.iter().filter(|request| request.forbidden).collect();
    demand(refused.is_empty(), || format!("refused: {refused:#?}"))?;
    // It has no second life: no other role grants it anything, so what it did is what the chart lets it do.
    for need in needs(world)? {
        demand(granted.iter().any(|grant| grant.permits(&need)), || {
            format!("{need:?} was allowed by another role than the chart's")
        })?;
    }
    world.create(&site(lab, POC, &json!({}))?).await?;
    world.ready(&site_key(POC)).await?;
    Ok(())
}

/// One object of each kind in a namespace that is granted nothing: it is refused in its status, and goes.
async fn refused_ones(world: &World) -> Outcome {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/admission/bases.yaml");
    let text = std::fs::read_to_string(path)?;
    let bases: Vec<Value> = serde_yaml_ng::Deserializer::from_str(&text)
        .map(Value::deserialize)
        .collect::<Result<_, _>>()?;
    for kind in KINDS.into_iter().filter(|kind| *kind != SITE) {
        let base = bases.iter().find(|base| base["kind"] == kind.name);
        let base = base.ok_or_else(|| Failure(format!("bases.yaml has no {}", kind.name)))?;
        let key = world.create(base).await?;
        let observed = |object: &DynamicObject| object.data.pointer("/status/observedGeneration").is_some();
        world.until(&key, "to have a status", observed).await?;
        world.remove(&[key]).await?;
    }
    Ok(())
}

fn needs(world: &World) -> Outcome<BTreeSet<Need>> {
    let requests = world.lab.audit().of_the_operator(Mark::START)?;
    Ok(requests.iter().flat_map(Need::of).collect())
}

/// For each single right a user who has all others: of the requests that the operator made, exactly those that need this
/// right are refused to him.
async fn each_right_is_needed(world: &World) -> Outcome {
    let granted = of_the_operator(&world.client).await?;
    let mut samples: BTreeMap<&Grant, Need> = BTreeMap::new();
    for need in needs(world)? {
        if let Some(grant) = granted.iter().find(|grant| grant.permits(&need)) {
            samples.entry(grant).or_insert(need);
        }
    }
    equal(
        "rights that requests were made with",
        samples.len(),
        granted.len(),
    )?;
    let name = |at: usize| format!("without-{at}");
    for (at, left_out) in granted.iter().enumerate() {
        let others: Vec<Grant> = granted
            .iter()
            .filter(|grant| *grant != left_out)
            .cloned()
            .collect();
        give(&world.client, &name(at), &others).await?;
    }
    for (at, left_out) in granted.iter().enumerate() {
        let user = name(at);
        world
            .eventually(
                &format!("{user}, who lacks {left_out}, to have the rest"),
                async || {
                    for (grant, need) in samples.iter().filter(|(grant, _)| **grant != left_out) {
                        if !may(&world.client, &user, need).await? {
                            return Ok(Err(grant.to_string()));
                        }
                    }
                    Ok(Ok(()))
                },
            )
            .await?;
        let need = &samples[left_out];
        let (refused, said) = is_refused(&world.client, &user, need).await?;
        demand(refused && said.contains(&format!("cannot {}", need.verb)), || {
            format!("without {left_out} {need:?} was answered {said}")
        })?;
    }
    println!("          {} rights, each needed", granted.len());
    Ok(())
}

/// Whether a role for people lets them write a kind.
fn writes(role: &str, plural: &str) -> bool {
    match role {
        "vic-network-user" => ["virtualcontainerhosts", "edgenatrules"].contains(&plural),
        "vic-network-admin" => plural != "sites",
        _ => false,
    }
}

/// What users who hold a role in one namespace may do there.
async fn people(world: &World) -> Outcome {
    world.namespace("people").await?;
    for role in [
        "vic-viewer",
        "vic-network-user",
        "vic-network-admin",
        "edit",
        "admin",
    ] {
        bind(&world.client, role, role, "people").await?;
    }
    let need = |verb: &str, plural: &str| Need {
        verb: verb.to_owned(),
        group: "vic-operator.io".to_owned(),
        version: "v1alpha1".to_owned(),
        plural: plural.to_owned(),
        subresource: None,
        namespace: Some("people".to_owned()),
        name: None,
    };
    let of_vic = |role: &str| role.starts_with("vic-");
    for role in [
        "vic-viewer",
        "vic-network-user",
        "vic-network-admin",
        "edit",
        "admin",
    ] {
        if of_vic(role) {
            world
                .eventually(&format!("{role} to be bound"), async || {
                    let bound = may(&world.client, role, &need("list", "edgenatrules")).await?;
                    Ok(if bound {
                        Ok(())
                    } else {
                        Err("it is not".to_owned())
                    })
                })
                .await?;
        }
        for kind in KINDS {
            for (verb, expected) in [
                ("get", of_vic(role)),
                ("watch", of_vic(role)),
                ("create", writes(role, kind.plural)),
                ("delete", writes(role, kind.plural)),
            ] {
                let allowed = may(&world.client, role, &need(verb, kind.plural)).await?;
                equal(&format!("{role}: {verb} {}", kind.plural), allowed, expected)?;
            }
        }
        let mut elsewhere = need("list", "edgenatrules");
        elsewhere.namespace = Some("default".to_owned());
        equal(
            "rights elsewhere",
            may(&world.client, role, &elsewhere).await?,
            false,
        )?;
    }
    Ok(())
}

/// Takes verbs on a resource from the operator's role until what is returned is put back.
async fn without(world: &World, resource: &str, verbs: &[&str]) -> Outcome<ClusterRole> {
    let api: Api<ClusterRole> = Api::all(world.client.clone());
    let before = api.get("vic-operator").await?;
    let mut reduced = before.clone();
    let mut kept_rule = None;
    for rule in reduced.rules.iter_mut().flatten() {
        let mut named = rule.resources.clone().unwrap_or_default();
        if !named.iter().any(|name| name == resource) {
            continue;
        }
        // The others keep what they have, by a rule of their own.
        named.retain(|name| name != resource);
        let kept: Vec<String> = rule
            .verbs
            .iter()
            .filter(|verb| !verbs.contains(&verb.as_str()))
            .cloned()
            .collect();
        rule.resources = Some(named);
        kept_rule = (!kept.is_empty()).then(|| PolicyRule {
            resources: Some(vec![resource.to_owned()]),
            verbs: kept,
            ..rule.clone()
        });
        break;
    }
    reduced.rules.get_or_insert_default().extend(kept_rule);
    api.replace("vic-operator", &PostParams::default(), &reduced)
        .await?;
    for verb in verbs {
        has_right(world, resource, verb, false).await?;
    }
    Ok(before)
}

async fn give_back(world: &World, role: ClusterRole) -> Outcome {
    let api: Api<ClusterRole> = Api::all(world.client.clone());
    let mut now = api.get("vic-operator").await?;
    now.rules = role.rules;
    api.replace("vic-operator", &PostParams::default(), &now).await?;
    Ok(())
}

/// Waits until the API server goes by the role as it is now.
async fn has_right(world: &World, resource: &str, verb: &str, expected: bool) -> Outcome {
    let (plural, subresource) = resource.split_once('/').unzip();
    let need = Need {
        verb: verb.to_owned(),
        group: "vic-operator.io".to_owned(),
        version: "v1alpha1".to_owned(),
        plural: plural.unwrap_or(resource).to_owned(),
        subresource: subresource.map(str::to_owned),
        namespace: None,
        name: None,
    };
    world
        .eventually(&format!("{verb} {resource}: {expected}"), async || {
            let allowed = may(&world.client, OPERATOR, &need).await?;
            Ok(if allowed == expected {
                Ok(())
            } else {
                Err(allowed.to_string())
            })
        })
        .await
}

async fn unwatched(world: &mut World) -> Outcome {
    let role = without(world, "edgenatrules", &["list", "watch"]).await?;
    world.lab.stop_operator();
    world.lab.start_operator().await?;
    let says = async |expected: &str| {
        world
            .eventually(&format!("/readyz to say {expected:?}"), async || {
                let (_, text) = page(&world.lab, "/readyz").await?;
                Ok(if text.trim() == expected {
                    Ok(())
                } else {
                    Err(text)
                })
            })
            .await
    };
    says("the cache of edgenatrules is not filled yet").await?;
    equal("/healthz", page(&world.lab, "/healthz").await?.0, 200)?;
    give_back(world, role).await?;
    says("ok").await?;
    let figures = Figures::read(&world.lab).await?;
    let errors = figures.sum("watch_errors_total", &[("resource", "edgenatrules")]);
    demand(errors >= 1.0, || format!("{errors} interruptions are counted"))?;
    world.ready(&site_key(POC)).await?;
    Ok(())
}

async fn unwritten(world: &World) -> Outcome {
    let role = without(world, "edgenatrules/status", &["patch"]).await?;
    world.namespace("unwritten").await?;
    let network = routed("unwritten", "web", 61, &json!({}));
    world.bring_up(&[network]).await?;
    let nat = world
        .create(&dnat("unwritten", "nginx", 8061, "10.30.61.11", &json!({})))
        .await?;
    world
        .eventually("a status to be refused", async || {
            let figures = Figures::read(&world.lab).await?;
            let labels = [("kind", "EdgeNatRule"), ("what", "status"), ("code", "403")];
            let refused = figures.sum("kubernetes_writes_total", &labels);
            Ok(if refused > 0.0 {
                Ok(())
            } else {
                Err("none is".to_owned())
            })
        })
        .await?;
    demand(!is_ready(&world.read(&nat).await?), || {
        "it is ready all the same".to_owned()
    })?;
    give_back(world, role).await?;
    world.ready(&nat).await?;
    world.remove(&[nat]).await
}
