//! The reference topology's life, measured: applied, served, edited by hand, taken away.

pub mod calls;
pub mod drawing;
pub mod drift;
pub mod left_behind;
pub mod probes;
pub mod report;

use crate::audit::{Mark, cost};
use crate::error::{Error, Result};
use crate::kinds::{Key, Kind, is_ready};
use crate::lab::Lab;
use crate::watch::{Listener, Objects, Watch, state};
use drift::Tampering;
use kube::api::{DeleteParams, Patch, PatchParams};
use probes::{ALLOWED, FORBIDDEN, Probe};
use report::{DriftReport, ObjectReport, Report, rounded};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the whole topology may take to be ready, or to go.
const TOPOLOGY: Duration = Duration::from_mins(5);
/// How long a change of one object may take.
const CHANGE: Duration = Duration::from_secs(90);
/// Pause between two looks at what is left.
const LOOK: Duration = Duration::from_millis(250);
/// Objects of the reference topology.
const OBJECTS: usize = 8;
/// The team's namespace.
const TEAM: &str = "containers";

/// A run over a laboratory that nobody else uses.
pub struct Run<'a> {
    lab: &'a Lab,
    client: kube::Client,
    watch: Watch,
    listener: Listener,
    started: Instant,
    before: Option<Baseline>,
    /// What has been found so far.
    pub report: Report,
}

/// What was there before the first apply.
struct Baseline {
    nsx: Value,
    vcenter: Value,
    kube: BTreeSet<String>,
}

impl<'a> Run<'a> {
    /// Prepares a run; `listener` is told what the objects do.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn new(lab: &'a Lab, listener: Listener) -> Result<Self> {
        let client = lab.client().await?;
        let watch = Watch::start(&client, &listener);
        let report = Report::new(lab.operator_settings.nsx_resync.as_secs());
        Ok(Self {
            lab,
            client,
            watch,
            listener,
            started: Instant::now(),
            before: None,
            report,
        })
    }

    /// Applies the topology, brings its containers up, and shows what the firewall does when fewer are let in.
    ///
    /// # Errors
    /// It did not become ready, or a process died.
    pub async fn bring_up(&mut self) -> Result<()> {
        let lab = self.lab;
        lab.while_alive(async {
            self.converge().await?;
            self.probe_before().await?;
            self.run_containers().await?;
            self.narrow().await
        })
        .await
    }

    /// Does everything and closes the report; what went wrong stands in it.
    pub async fn complete(&mut self) {
        let lab = self.lab;
        let work = async {
            self.converge().await?;
            self.apply_again().await?;
            self.probe_before().await?;
            self.run_containers().await?;
            self.narrow().await?;
            self.tamper().await?;
            self.take_away().await
        };
        if let Err(error) = lab.while_alive(work).await {
            self.report.fail("the run", "to go on", error.to_string());
        }
        self.finish();
    }

    /// Closes the report.
    pub fn finish(&mut self) {
        self.report.operator_peak_mib = self
            .lab
            .operator
            .as_ref()
            .and_then(crate::operator::Operator::peak_mib)
            .map(rounded);
        self.report.finish(self.started.elapsed().as_secs_f64());
    }

    /// The objects as they are now.
    #[must_use]
    pub fn objects(&self) -> Objects {
        self.watch.now()
    }

    fn say(&self, text: &str) {
        (self.listener)(text);
    }

    async fn converge(&mut self) -> Result<()> {
        let lab = self.lab;
        self.before = Some(Baseline {
            nsx: lab.nsx.control.get("/dump").await?,
            vcenter: lab.vcenter.control.get("/dump").await?,
            kube: left_behind::inventory(&self.client).await?,
        });
        calls::forget(&lab.nsx.control).await?;
        calls::forget(&lab.vcenter.control).await?;
        let mark = lab.audit().mark()?;
        let applied = Instant::now();
        self.say("kubectl apply -k examples/poc");
        self.apply().await?;
        let objects = self.all_ready("the topology to be ready").await?;
        self.report.seconds_to_ready = Some(rounded(applied.elapsed().as_secs_f64()));
        self.report.calls.nsx = calls::counted(&calls::read(&lab.nsx.control).await?);
        let vcenter = calls::read(&lab.vcenter.control).await?;
        let own = vcenter
            .iter()
            .filter(|call| call.client == lab.vcenter.username && call.counts_at_vcenter());
        self.report.calls.vcenter = calls::counted(own);
        self.report.objects = self.described(&objects, mark)?;
        Ok(())
    }

    fn described(&self, objects: &Objects, mark: Mark) -> Result<Vec<ObjectReport>> {
        let writes = self.lab.audit().since(mark)?;
        let describe = |(key, seen): (&Key, &crate::watch::Seen)| ObjectReport {
            kind: key.kind.name.to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            seconds: rounded(
                seen.ready
                    .map_or(0.0, |ready| ready.duration_since(seen.born).as_secs_f64()),
            ),
            kube_writes: cost(&writes, key),
        };
        Ok(objects.iter().map(describe).collect())
    }

    async fn apply(&self) -> Result<String> {
        self.lab
            .kubectl(&["apply".as_ref(), "-k".as_ref(), self.lab.overlay().as_os_str()])
            .await
    }

    async fn all_ready(&self, what: &str) -> Result<Objects> {
        let ready = |objects: &Objects| {
            objects.len() >= OBJECTS && objects.values().all(|seen| is_ready(&seen.object))
        };
        self.watch.until(what, TOPOLOGY, ready).await
    }

    /// A second apply changes nothing anywhere.
    async fn apply_again(&mut self) -> Result<()> {
        let lab = self.lab;
        calls::forget(&lab.nsx.control).await?;
        calls::forget(&lab.vcenter.control).await?;
        let mark = lab.audit().mark()?;
        let said = self.apply().await?;
        for line in said.lines().filter(|line| !line.ends_with(" unchanged")) {
            self.report.fail("a second apply", "unchanged", line);
        }
        let writes = lab.audit().since(mark)?;
        if !writes.is_empty() {
            self.report
                .fail("kube writes after a second apply", "none", format!("{writes:?}"));
        }
        let nsx = calls::read(&lab.nsx.control).await?;
        let nsx = calls::counted(nsx.iter().filter(|call| call.is_write()));
        let vcenter = calls::read(&lab.vcenter.control).await?;
        let own = vcenter
            .iter()
            .filter(|call| call.client == lab.vcenter.username && call.counts_at_vcenter());
        let outside = [nsx, calls::counted(own)];
        if outside.iter().any(|calls| !calls.is_empty()) {
            self.report
                .fail("calls after a second apply", "none", format!("{outside:?}"));
        }
        Ok(())
    }

    async fn probe_before(&mut self) -> Result<()> {
        let nsx = &self.lab.nsx.control;
        probes::send(
            nsx,
            Probe::dormant("nginx-before", 80, "10.30.0.11:80"),
            &mut self.report,
        )
        .await?;
        probes::send(
            nsx,
            Probe::dormant("nginx-next-before", 8080, "10.30.0.12:80"),
            &mut self.report,
        )
        .await?;
        probes::send(
            nsx,
            Probe::unpublished("unpublished-before", 22),
            &mut self.report,
        )
        .await
    }

    async fn run_containers(&mut self) -> Result<()> {
        let lab = self.lab;
        for (name, ip) in [("web", "10.30.0.11"), ("next", "10.30.0.12")] {
            self.say(&format!(
                "docker run --name {name} --net vic-container-network --ip {ip} nginx"
            ));
            let container = json!({
                "action": "make", "vch": "vch1", "name": name, "network": "vic-container-network",
                "ip": ip, "image": "nginx",
            });
            lab.vcenter.control.post("/containers", &container).await?;
        }
        let nsx = &lab.nsx.control;
        probes::send_until(
            nsx,
            Probe::delivered("nginx-after", 80, "10.30.0.11:80", "web"),
            &mut self.report,
        )
        .await?;
        let next = Probe::delivered("nginx-next-after", 8080, "10.30.0.12:80", "next");
        probes::send_until(nsx, next, &mut self.report).await?;
        probes::send(nsx, Probe::unpublished("unpublished-after", 22), &mut self.report).await
    }

    /// Lets fewer in, then nobody, then all again.
    async fn narrow(&mut self) -> Result<()> {
        let nsx = &self.lab.nsx.control;
        let key = Key {
            kind: rule_kind()?,
            namespace: Some(TEAM.to_owned()),
            name: "nginx".to_owned(),
        };
        let api = key.kind.within(&self.client, TEAM);
        self.say("narrowing nginx to 198.51.100.0/24");
        let spec = json!({"spec": {"firewall": {"allowFrom": [{"cidr": "198.51.100.0/24"}]}}});
        let narrowed = api
            .patch("nginx", &PatchParams::default(), &Patch::Merge(&spec))
            .await;
        let narrowed = narrowed
            .map_err(|error| Error::Other(format!("narrow nginx: {error}")))?
            .metadata
            .generation;
        let in_effect = |objects: &Objects| {
            objects
                .get(&key)
                .is_some_and(|seen| seen.object.metadata.generation >= narrowed && is_ready(&seen.object))
        };
        self.watch
            .until("the narrowed rule to be ready", CHANGE, in_effect)
            .await?;
        let allowed = Probe::delivered("narrowed-allowed", 80, "10.30.0.11:80", "web");
        probes::send(
            nsx,
            Probe {
                from: ALLOWED,
                ..allowed
            },
            &mut self.report,
        )
        .await?;
        let forbidden = Probe {
            id: "narrowed-forbidden",
            from: FORBIDDEN,
            container: None,
            verdict: "dropped",
            ..allowed
        };
        probes::send(nsx, forbidden, &mut self.report).await?;

        self.say("kubectl delete edgenatrule nginx");
        let deleted = api.delete("nginx", &DeleteParams::default()).await;
        deleted.map_err(|error| Error::Other(format!("delete nginx: {error}")))?;
        self.watch
            .until("the rule to go", CHANGE, |objects| !objects.contains_key(&key))
            .await?;
        // NSX accepts a deletion at once and takes the rule away in its own time.
        probes::send_until(
            nsx,
            Probe {
                from: FORBIDDEN,
                ..Probe::unpublished("removed", 80)
            },
            &mut self.report,
        )
        .await?;

        self.say("kubectl apply -k examples/poc");
        self.apply().await?;
        self.all_ready("the rule to be back").await?;
        let restored = Probe::delivered("restored", 80, "10.30.0.11:80", "web");
        probes::send(
            nsx,
            Probe {
                from: FORBIDDEN,
                ..restored
            },
            &mut self.report,
        )
        .await
    }

    async fn tamper(&mut self) -> Result<()> {
        for tampering in Tampering::ALL {
            self.say(&format!("tampering: {}", tampering.name()));
            let started = Instant::now();
            let lasted = tampering.inflict(self.lab).await?;
            let seconds = rounded(lasted.unwrap_or_else(|| started.elapsed()).as_secs_f64());
            self.report.drift.push(DriftReport {
                what: tampering.name().to_owned(),
                seconds,
                repaired: lasted.is_some(),
            });
            if lasted.is_none() {
                self.report.fail(
                    format!("drift {}", tampering.name()),
                    "repaired",
                    format!("not within {seconds} s"),
                );
            }
            self.all_ready(&format!("the topology to be ready after {}", tampering.name()))
                .await?;
        }
        let nsx = &self.lab.nsx.control;
        let repaired = Probe::delivered("repaired", 80, "10.30.0.11:80", "web");
        probes::send(
            nsx,
            Probe {
                from: FORBIDDEN,
                ..repaired
            },
            &mut self.report,
        )
        .await
    }

    async fn take_away(&mut self) -> Result<()> {
        self.say("kubectl delete -k examples/poc");
        let overlay = self.lab.overlay();
        let delete = [
            "delete".as_ref(),
            "-k".as_ref(),
            overlay.as_os_str(),
            "--timeout=300s".as_ref(),
        ];
        if let Err(error) = self.lab.kubectl(&delete).await {
            let waiting: Vec<String> = self
                .objects()
                .iter()
                .map(|(key, seen)| format!("{key}: {}", state(&seen.object)))
                .collect();
            self.report
                .fail("deletion", "to end", format!("{error}\n{}", waiting.join("\n")));
        }
        let Some(before) = self.before.take() else {
            return Ok(());
        };
        // NSX takes objects away in the background after it has accepted their deletion.
        let deadline = Instant::now() + CHANGE;
        loop {
            let left = self.left(&before).await?;
            let clean = left
                .iter()
                .all(|(system, found)| left_behind::sorted(system, found.clone()).0.is_empty());
            if clean || Instant::now() > deadline {
                self.settle(left);
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn left(&self, before: &Baseline) -> Result<Vec<(&'static str, Vec<String>)>> {
        let nsx = left_behind::differences(&before.nsx, &self.lab.nsx.control.get("/dump").await?);
        let vcenter =
            left_behind::differences(&before.vcenter, &self.lab.vcenter.control.get("/dump").await?);
        let now = left_behind::inventory(&self.client).await?;
        let came = now.difference(&before.kube).map(|name| format!("+ {name}"));
        let went = before.kube.difference(&now).map(|name| format!("- {name}"));
        Ok(vec![
            ("nsx", nsx),
            ("vcenter", vcenter),
            ("kube", came.chain(went).collect()),
        ])
    }

    fn settle(&mut self, found: Vec<(&'static str, Vec<String>)>) {
        for (system, differences) in found {
            let (left, kept) = left_behind::sorted(system, differences);
            self.report.kept.extend(kept);
            if !left.is_empty() {
                self.report
                    .fail(format!("left behind in {system}"), "nothing", left.join("; "));
            }
            match system {
                "nsx" => self.report.left_behind.nsx = left,
                "vcenter" => self.report.left_behind.vcenter = left,
                _ => self.report.left_behind.kube = left,
            }
        }
    }
}

fn rule_kind() -> Result<Kind> {
    Kind::named("EdgeNatRule").ok_or_else(|| Error::Other("no kind EdgeNatRule".to_owned()))
}

/// A listener that prints each line with the seconds since now.
#[must_use]
pub fn printing() -> Listener {
    let started = Instant::now();
    Arc::new(move |text| println!("{:7.1}s  {text}", started.elapsed().as_secs_f64()))
}
