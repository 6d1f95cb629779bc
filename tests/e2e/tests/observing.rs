//! What the operator tells of its work is what the others saw: figures, log lines, Events.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::figures::{Figures, page};
use e2e::manifests::{POC, RULE, dhcp, dnat, key, public, routed, segment, site_key, vch};
use e2e::outside::{Calls, Snapshot, delete, nat_rule_of, periods, put};
use e2e::{Outcome, Play, World, demand, equal};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use lab::Options;
use lab::audit::{Mark, cost};
use lab::kinds::{KINDS, Key};
use reqwest::Method;
use serde_json::{Value, json};

/// Requests by their names, and by how they were answered.
type Tally = BTreeMap<(String, String), u64>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_tells_what_the_others_saw() -> Outcome {
    let options = Options {
        nsx_resync: Duration::from_secs(2),
        ..Options::named("observing")
    };
    let world = World::with_site(options).await?;
    world.namespace("seen").await?;
    let manifests = [
        public(&world.lab, "seen", 120),
        segment("seen", "bridge", &json!({})),
        routed("seen", "web", 70, &dhcp(70)),
        dnat("seen", "nginx", 8070, "10.30.70.11", &json!({})),
        dnat("seen", "next", 8071, "10.30.70.12", &json!({})),
        vch(&world.lab, "seen", "vch", &json!({"displayName": "seen"})),
    ];
    let keys = world.bring_up(&manifests).await?;
    let mut play = Play::new();
    let w = &world;
    play.scene(w, "an object that comes up", comes_up(w, &keys)).await;
    play.scene(w, "each call to NSX by template and status", nsx_calls(w))
        .await;
    play.scene(w, "each call to vCenter by method and answer", vcenter_calls(w))
        .await;
    play.scene(w, "the state of the moment", moment(w)).await;
    play.scene(w, "what was edited by hand", drift(w)).await;
    play.scene(w, "a manager that refuses", refusals(w)).await;
    play.scene(w, "a transition has one line and one Event", transitions(w))
        .await;
    play.scene(w, "an end", ends(w, &keys)).await;
    play.end()
}

fn whole(number: f64) -> u64 {
    format!("{number:.0}").parse().unwrap_or(u64::MAX)
}

/// Times to ready and writes: one of each for each object.
async fn comes_up(world: &World, keys: &[Key]) -> Outcome {
    let figures = Figures::read(&world.lab).await?;
    for (kind, count) in [
        ("Site", 1),
        ("ContainerNetwork", 3),
        ("EdgeNatRule", 2),
        ("VirtualContainerHost", 1),
    ] {
        let labels = [("kind", kind)];
        let ready = figures.sum("time_to_ready_seconds_count", &labels);
        equal(&format!("times to ready of {kind}"), whole(ready), count)?;
        let reconciled = figures.sum("reconciles_total", &labels);
        let timed = figures.sum("reconcile_seconds_count", &labels);
        demand(reconciled >= ready, || {
            format!("{reconciled} reconciles of {kind}")
        })?;
        equal(
            &format!("timed reconciles of {kind}"),
            whole(timed),
            whole(reconciled),
        )?;
    }
    let writes = world.lab.audit().since(Mark::START)?;
    let all = keys.iter().cloned().chain([site_key(POC)]);
    let audited: usize = all.map(|key| cost(&writes, &key)).sum();
    let told = figures.sum("kubernetes_writes_total", &[]);
    equal(
        "writes that the audit log knows",
        whole(told),
        u64::try_from(audited)?,
    )
}

fn text<'a>(call: &'a Value, field: &str) -> &'a str {
    call.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// `{segment-id}` and the like are `{id}` to the operator, which does not know the vendor's names.
fn without_names(template: &str) -> String {
    let parts = template.split('/');
    let told = parts.map(|part| if part.starts_with('{') { "{id}" } else { part });
    told.collect::<Vec<_>>().join("/")
}

/// The operator's calls in a simulator's log.
async fn logged(
    control: &lab::control::Json,
    name: impl Fn(&Value) -> Option<(String, String)>,
) -> Outcome<Tally> {
    let report = control.get("/calls").await?;
    let log = report
        .get("log")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut tally = Tally::new();
    for call in log.iter().filter_map(name) {
        *tally.entry(call).or_default() += 1;
    }
    Ok(tally)
}

/// Waits until the operator has told exactly what the simulator saw, at a moment in which nothing is under way.
async fn agree(
    world: &World,
    what: &str,
    seen: impl AsyncFn() -> Outcome<Tally>,
    told: impl Fn(&Figures) -> Tally,
) -> Outcome {
    world
        .eventually(what, async || {
            let before = seen().await?;
            let figures = told(&Figures::read(&world.lab).await?);
            Ok(if before != seen().await? {
                Err("calls are under way".to_owned())
            } else if figures == before {
                Ok(())
            } else {
                Err(format!(
                    "the operator tells {figures:#?}, the simulator saw {before:#?}"
                ))
            })
        })
        .await
}

fn nsx_name(call: &Value) -> Option<(String, String)> {
    let template = without_names(text(call, "template"));
    let name = format!("{} {template}", text(call, "method"));
    let status = call.get("status").and_then(Value::as_u64)?;
    text(call, "client")
        .starts_with("vic-operator/")
        .then(|| (name, status.to_string()))
}

fn nsx_told(figures: &Figures) -> Tally {
    let named = figures.all("nsx_calls_total").map(|(labels, count)| {
        let name = format!("{} {}", labels["method"], labels["path"]);
        ((name, labels["code"].clone()), whole(count))
    });
    named.collect()
}

async fn nsx_calls(world: &World) -> Outcome {
    let control = &world.lab.nsx.control;
    agree(
        world,
        "the same calls to NSX",
        async || logged(control, nsx_name).await,
        nsx_told,
    )
    .await?;
    let figures = Figures::read(&world.lab).await?;
    let patches = figures.sum("nsx_calls_total", &[("method", "PATCH")]);
    let batches = figures.sum("nsx_batch_objects_count", &[("site", POC)]);
    equal("batches: one PATCH each", whole(batches), whole(patches))?;
    let objects = figures.sum("nsx_batch_objects_sum", &[("site", POC)]);
    demand(objects >= batches, || {
        format!("{objects} objects in {batches} batches")
    })
}

async fn vcenter_calls(world: &World) -> Outcome {
    // How many waits have ended is a matter of the moment.
    let counts = |method: &str| !method.is_empty() && method != "WaitForUpdatesEx";
    let name = |call: &Value| {
        let method = text(call, "method").to_owned();
        let well = call
            .get("status")
            .and_then(Value::as_u64)
            .is_some_and(|status| status < 300);
        let answer = if well { "ok" } else { "refused" };
        counts(&method).then(|| (method, answer.to_owned()))
    };
    let told = |figures: &Figures| {
        let mut tally = Tally::new();
        for (labels, count) in figures.all("vcenter_calls_total") {
            let answer = if labels["code"] == "ok" { "ok" } else { "refused" };
            if counts(&labels["method"]) {
                *tally
                    .entry((labels["method"].clone(), answer.to_owned()))
                    .or_default() += whole(count);
            }
        }
        tally
    };
    let control = &world.lab.vcenter.control;
    agree(
        world,
        "the same calls to vCenter",
        async || logged(control, name).await,
        told,
    )
    .await?;
    let figures = Figures::read(&world.lab).await?;
    let timed = figures.sum("vcenter_call_seconds_count", &[("method", "CreateVM_Task")]);
    equal("timed calls that made a VM", whole(timed), 1)
}

async fn moment(world: &World) -> Outcome {
    for path in ["/healthz", "/readyz"] {
        equal(path, page(&world.lab, path).await?, (200_u16, "ok\n".to_owned()))?;
    }
    let figures = Figures::read(&world.lab).await?;
    let value = |name: &str, labels: &[(&str, &str)]| whole(figures.sum(name, labels));
    for system in ["nsx", "vcenter"] {
        equal(
            system,
            value("site_connected", &[("site", POC), ("system", system)]),
            1,
        )?;
        let mirrored = value("mirror_objects", &[("site", POC), ("system", system)]);
        demand(mirrored >= 5, || {
            format!("{mirrored} objects of {system} are mirrored")
        })?;
    }
    equal("leases held", value("site_lease_held", &[("site", POC)]), 1)?;
    equal("changes in the queue", value("nsx_queue_units", &[]), 0)?;
    equal("the queue's age", value("nsx_queue_age_seconds", &[]), 0)?;
    equal("processes", value("build", &[]), 1)?;
    for kind in KINDS {
        let counted = figures
            .all("objects")
            .any(|(labels, _)| labels["kind"] == kind.name);
        demand(counted, || {
            format!("objects of kind {} are not counted", kind.name)
        })?;
    }
    equal(
        "rules that are ready",
        value("objects", &[("kind", "EdgeNatRule"), ("ready", "True")]),
        2,
    )?;
    equal("objects that are not", value("objects", &[("ready", "False")]), 0)?;
    demand(value("nsx_rate_limit", &[]) > 0, || {
        "no rate is allowed".to_owned()
    })
}

async fn repairs(world: &World, what: &str, verb: &str) -> Outcome<u64> {
    let labels = [("kind", "EdgeNatRule"), ("what", what), ("verb", verb)];
    Ok(whole(
        Figures::read(&world.lab)
            .await?
            .sum("drift_repairs_total", &labels),
    ))
}

async fn drift(world: &World) -> Outcome {
    let all = Figures::read(&world.lab).await?.sum("drift_repairs_total", &[]);
    equal("repairs before anything was touched", whole(all), 0)?;
    let before = Snapshot::take(&world.lab).await?;
    let path = nat_rule_of(&world.lab, "seen", "nginx").await?;
    put(&world.lab, &path, &json!({"translated_network": "10.30.70.99"})).await?;
    before.comes_back(world, &[]).await?;
    world.ready(&key(RULE, "seen", "nginx")).await?;
    equal(
        "NAT rules that were edited",
        repairs(world, "PolicyNatRule", "update").await?,
        1,
    )?;
    delete(&world.lab, &path).await?;
    world
        .eventually("a deletion to be repaired", async || {
            let count = repairs(world, "PolicyNatRule", "create").await?;
            Ok(if count == 1 {
                Ok(())
            } else {
                Err(count.to_string())
            })
        })
        .await?;
    world.ready(&key(RULE, "seen", "nginx")).await?;
    let all = Figures::read(&world.lab).await?.sum("drift_repairs_total", &[]);
    equal("repairs in all", whole(all), 2)
}

async fn refusals(world: &World) -> Outcome {
    Calls::forget(&world.lab).await?;
    let fault = json!({
        "match": {"method": "GET", "path": "/policy/api/v1/search/query"}, "times": 2, "action": {"status": 503},
    });
    let refused = async || -> Outcome<u64> {
        let figures = Figures::read(&world.lab).await?;
        Ok(whole(figures.sum("nsx_calls_total", &[("code", "503")])))
    };
    let before = refused().await?;
    world
        .lab
        .nsx
        .control
        .call(Method::POST, "/faults", Some(&fault))
        .await?;
    world
        .eventually("two refusals to be told", async || {
            let told = refused().await? - before;
            Ok(if told == 2 { Ok(()) } else { Err(told.to_string()) })
        })
        .await?;
    world
        .lab
        .nsx
        .control
        .call(Method::DELETE, "/faults", None)
        .await?;
    periods(world, 4).await?;
    equal("refusals when it is well again", refused().await? - before, 2)
}

/// Lines of the operator's log about transitions of an object.
fn transition_lines(world: &World, name: &str) -> Outcome<Vec<String>> {
    let log = std::fs::read_to_string(world.operator_log())?;
    let wanted = format!("name=\"{name}\"");
    let lines = log
        .lines()
        .filter(|line| line.contains(": transition ") && line.contains(&wanted));
    Ok(lines.map(str::to_owned).collect())
}

async fn transitions(world: &World) -> Outcome {
    let rule = key(RULE, "seen", "told");
    world
        .create(&dnat("seen", "told", 8072, "10.30.70.13", &json!({})))
        .await?;
    world.ready(&rule).await?;
    let external = |address: &str| json!({"spec": {"external": {"address": address}}});
    world.change(&rule, &external("198.51.100.7")).await?;
    world.refused(&rule, "Accepted", "NotAllowed").await?;
    world.change(&rule, &external("203.0.113.10")).await?;
    world.ready(&rule).await?;
    let events: Api<Event> = Api::namespaced(world.client.clone(), "seen");
    let expected = [("Warning", "NotAllowed"), ("Normal", "Ready")];
    world
        .eventually("an Event for each transition after the first", async || {
            let listed = events.list(&ListParams::default()).await?.items;
            let mut about: Vec<&Event> = listed
                .iter()
                .filter(|event| {
                    event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some("told")
                })
                .collect();
            about.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
            let told: Vec<(String, String)> = about
                .iter()
                .map(|event| {
                    (
                        event.type_.clone().unwrap_or_default(),
                        event.reason.clone().unwrap_or_default(),
                    )
                })
                .collect();
            let same = told.len() == expected.len()
                && told
                    .iter()
                    .zip(expected)
                    .all(|(told, expected)| (told.0.as_str(), told.1.as_str()) == expected);
            Ok(if same { Ok(()) } else { Err(format!("{told:?}")) })
        })
        .await?;
    let lines = transition_lines(world, "told")?;
    let reasons = ["Ready", "NotAllowed", "Ready"];
    let told: Vec<&String> = lines
        .iter()
        .filter(|line| {
            reasons
                .iter()
                .any(|reason| line.contains(&format!("reason=\"{reason}\"")))
        })
        .collect();
    demand(
        told.len() == reasons.len()
            && told
                .iter()
                .zip(reasons)
                .all(|(line, reason)| line.contains(&format!("reason=\"{reason}\""))),
        || format!("{lines:#?}"),
    )?;
    demand(
        told[1].contains("kind=\"EdgeNatRule\" namespace=\"seen\""),
        || told[1].clone(),
    )?;
    world.remove(&[rule]).await
}

/// What is gone is no longer counted.
async fn ends(world: &World, keys: &[Key]) -> Outcome {
    world.remove(keys).await?;
    world.remove(&[site_key(POC)]).await?;
    let figures = Figures::read(&world.lab).await?;
    equal("objects", whole(figures.sum("objects", &[])), 0)?;
    equal("connections", figures.all("site_connected").count(), 0)?;
    // The Site's calls are remembered, its logout included.
    let logout = |name: &str| name == "POST /api/session/destroy";
    let control = &world.lab.nsx.control;
    let log = logged(control, |call| nsx_name(call).filter(|(name, _)| logout(name))).await?;
    let mut told = nsx_told(&figures);
    told.retain(|(name, _), _| logout(name));
    equal("logouts", told, log)
}
