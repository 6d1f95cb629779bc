//! A laboratory for many points: one control plane and one pair of simulators, of which only the operator is restarted.

use super::baseline::Baseline;
use super::scenario::{Phase, Scenario, key_of};
use super::state::{self, State};
use crate::error::{Context, Error, Result};
use crate::kinds::{Key, condition, is_ready, told};
use crate::kubegate::KubeGate;
use crate::lab::{Lab, Options};
use crate::operator::Operator;
use crate::poc::calls::{self, Call};
use crate::poc::report::Kept;
use crate::progress::Progress;
use crate::watch::{Listener, Objects, Watch};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a phase may take to come to its end, disturbed or not.
pub const PATIENCE: Duration = Duration::from_mins(3);
/// Pause between two looks at what nothing tells of.
const LOOK: Duration = Duration::from_millis(100);
/// Period of the operator's look at NSX.
const PERIOD: Duration = Duration::from_secs(2);
/// Reason that `Ready` is born with, and those that say that all is under way.
const UNTROUBLED: [&str; 6] = ["", "Pending", "Ready", "Realizing", "Booting", "Loading"];

/// See the module.
pub struct Stage {
    /// The laboratory; its operator is this stage's.
    pub lab: Lab,
    /// The gate between the operator and the kube-apiserver.
    pub gate: KubeGate,
    operator: Option<Operator>,
    client: kube::Client,
    watch: Watch,
    topology: Vec<Value>,
    before: Option<Baseline>,
    reasons: Reasons,
    next: u32,
}

/// What objects said since they were last asked, other than that all is well or under way: `reason (object)`.
type Reasons = Arc<Mutex<BTreeSet<String>>>;

/// One life of a scenario.
#[derive(Clone, Debug)]
pub struct Life {
    /// What it consists of.
    pub scenario: Scenario,
    /// End of its names.
    pub suffix: String,
    manifests: Vec<Value>,
    /// Its objects.
    pub keys: Vec<Key>,
}

impl Stage {
    /// Starts everything and waits until the Site is ready.
    ///
    /// # Errors
    /// The laboratory does not start, or the Site does not connect.
    pub async fn start(name: &str, progress: &Progress) -> Result<Self> {
        let options = Options {
            operator: false,
            nsx_resync: PERIOD,
            progress: progress.clone(),
            ..Options::named(name)
        };
        let mut lab = Lab::start(options).await?;
        let gate = KubeGate::start(&lab.operator_settings.kubeconfig).await?;
        lab.operator_settings.kubeconfig = gate.kubeconfig(lab.run(), &lab.operator_settings.kubeconfig)?;
        let client = lab.client().await?;
        let reasons = Reasons::default();
        let watch = Watch::start(&client, &listening(&reasons));
        let topology = topology(&lab).await?;
        let operator = Some(lab.spawn_operator().await?);
        let mut stage = Self {
            before: None,
            lab,
            gate,
            operator,
            client,
            watch,
            topology,
            reasons,
            next: 1,
        };
        stage.connect().await?;
        Ok(stage)
    }

    async fn connect(&mut self) -> Result<()> {
        let of_kind = |kind: &str| {
            let found = self
                .topology
                .iter()
                .find(|manifest| manifest.get("kind").and_then(Value::as_str) == Some(kind));
            found
                .cloned()
                .ok_or_else(|| Error::Other(format!("examples/poc has no {kind}")))
        };
        let (namespace, site) = (of_kind("Namespace")?, of_kind("Site")?);
        let what = || "prepare the stage".to_owned();
        let namespace: Namespace = serde_json::from_value(namespace).context(what)?;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .context(what)?;
        let key = self.create(&site).await?;
        self.ready(&[(key, 1)]).await?;
        // What a connection itself brings about is part of the stage.
        self.before = Some(Baseline::take(&self.lab, &self.client).await?);
        Ok(())
    }

    /// Where the operator logs.
    #[must_use]
    pub fn operator_log(&self) -> std::path::PathBuf {
        self.lab.run().log("operator")
    }

    /// Kills the operator without a word.
    pub fn kill_operator(&mut self) {
        if let Some(mut operator) = self.operator.take() {
            operator.kill();
        }
    }

    /// Starts an operator, if none runs.
    ///
    /// # Errors
    /// It ended or was not ready in time.
    pub async fn start_operator(&mut self) -> Result<()> {
        if self.operator.is_none() {
            self.operator = Some(self.lab.spawn_operator().await?);
        }
        Ok(())
    }

    /// A life under names that were never used here.
    ///
    /// # Errors
    /// The reference topology lacks an object of the scenario.
    pub fn life(&mut self, scenario: Scenario) -> Result<Life> {
        let suffix = format!("-x{:04}", self.next);
        self.next += 1;
        let manifests = scenario.manifests(&self.topology, &suffix)?;
        let keys = manifests.iter().filter_map(key_of).collect();
        Ok(Life {
            scenario,
            suffix,
            manifests,
            keys,
        })
    }

    fn api(&self, key: &Key) -> Api<DynamicObject> {
        match &key.namespace {
            Some(namespace) => key.kind.within(&self.client, namespace),
            None => key.kind.all(&self.client),
        }
    }

    async fn create(&self, manifest: &Value) -> Result<Key> {
        let what = || format!("create {manifest}");
        let key = key_of(manifest).ok_or_else(|| Error::Other(what()))?;
        let object: DynamicObject = serde_json::from_value(manifest.clone()).context(what)?;
        self.api(&key)
            .create(&PostParams::default(), &object)
            .await
            .context(what)?;
        Ok(key)
    }

    /// Does what a user does in a phase, and waits for nothing. Returns the generations that the objects come to have.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn perform(&self, life: &Life, phase: Phase) -> Result<Vec<(Key, i64)>> {
        let mut expected = Vec::new();
        match phase {
            Phase::Create => {
                for manifest in &life.manifests {
                    expected.push((self.create(manifest).await?, 1));
                }
            }
            Phase::Change => {
                for (key, change) in life.keys.iter().zip(life.scenario.changes()) {
                    let what = || format!("change {key}");
                    let api = self.api(key);
                    let object = if change.is_null() {
                        api.get(&key.name).await.context(what)?
                    } else {
                        api.patch(&key.name, &PatchParams::default(), &Patch::Merge(&change))
                            .await
                            .context(what)?
                    };
                    expected.push((key.clone(), object.metadata.generation.unwrap_or_default()));
                }
            }
            Phase::Delete => {
                for key in &life.keys {
                    let what = || format!("delete {key}");
                    self.api(key)
                        .delete(&key.name, &DeleteParams::default())
                        .await
                        .context(what)?;
                }
            }
        }
        Ok(expected)
    }

    async fn ready(&self, expected: &[(Key, i64)]) -> Result<Objects> {
        let met = |objects: &Objects| {
            expected.iter().all(|(key, generation)| {
                objects.get(key).is_some_and(|seen| {
                    seen.object.metadata.generation >= Some(*generation) && is_ready(&seen.object)
                })
            })
        };
        let ready = self.watch.until("to be ready", PATIENCE, met);
        self.lab.while_alive(ready).await
    }

    /// Waits until a phase has come to its end, and to the state that an undisturbed run came to, where that is known.
    /// Returns the state; of a deletion it is empty.
    ///
    /// # Errors
    /// It does not in time: with what differs, or what is left.
    pub async fn settle(
        &self,
        life: &Life,
        phase: Phase,
        expected: &[(Key, i64)],
        reference: Option<&State>,
    ) -> Result<State> {
        if phase == Phase::Delete {
            self.gone(life).await?;
            self.clean().await?;
            return Ok(State::new());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let objects = self.ready(expected).await?;
            let state = self.state(life, &objects).await?;
            let Some(reference) = reference else {
                return Ok(state);
            };
            let differences = state::differences(reference, &state);
            if differences.is_empty() {
                return Ok(state);
            }
            if Instant::now() > deadline {
                return Err(Error::Other(format!(
                    "the state is another than undisturbed: {}",
                    differences.join("\n")
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a life's custom resources are gone.
    ///
    /// # Errors
    /// One stays.
    pub async fn gone(&self, life: &Life) -> Result<()> {
        let none = |objects: &Objects| life.keys.iter().all(|key| !objects.contains_key(key));
        let gone = self.watch.until("to be gone", PATIENCE, none);
        self.lab.while_alive(gone).await.map(|_| ())
    }

    async fn state(&self, life: &Life, objects: &Objects) -> Result<State> {
        let nsx = self.lab.nsx.control.get("/dump").await?;
        let vcenter = self.lab.vcenter.control.get("/dump").await?;
        Ok(state::of(&nsx, &vcenter, objects, &life.keys, &life.suffix))
    }

    /// Waits until everything is as before the first point, but for what is kept on purpose.
    ///
    /// # Errors
    /// Something stays: with its place.
    async fn clean(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (left, _) = self.left().await?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::Other(format!("left behind: {}", left.join("; "))));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What is there and was not before the first point, or the other way round; and what of it is kept on purpose.
    ///
    /// # Errors
    /// A system does not tell.
    pub async fn left(&self) -> Result<(Vec<String>, Vec<Kept>)> {
        match &self.before {
            Some(before) => before.left(&self.lab, &self.client).await,
            None => Ok((Vec::new(), Vec::new())),
        }
    }

    /// Forgets calls and reasons.
    ///
    /// # Errors
    /// A control port does not answer.
    pub async fn forget(&self) -> Result<()> {
        calls::forget(&self.lab.nsx.control).await?;
        calls::forget(&self.lab.vcenter.control).await?;
        self.gate.forget();
        self.reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        Ok(())
    }

    /// The operator's calls to NSX and to vCenter since they were forgotten, but for waiting for news.
    ///
    /// # Errors
    /// A control port does not answer.
    pub async fn calls(&self) -> Result<(Vec<Call>, Vec<Call>)> {
        let mut nsx = calls::read(&self.lab.nsx.control).await?;
        nsx.retain(Call::is_operators);
        let mut vcenter = calls::read(&self.lab.vcenter.control).await?;
        vcenter.retain(|call| call.client == self.lab.vcenter.username && call.method != "WaitForUpdatesEx");
        Ok((nsx, vcenter))
    }

    /// What objects said since it was forgotten, other than that all is well or under way.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.iter().cloned().collect()
    }

    /// Waits until any object gives a reason that contains this.
    ///
    /// # Errors
    /// None does in time: with what they say instead.
    pub async fn told(&self, reason: &str) -> Result<()> {
        let says = |objects: &Objects| {
            let mut reasons = objects
                .values()
                .filter_map(|seen| condition(&seen.object, "Ready"));
            reasons.any(|ready| told(ready, "reason").contains(reason))
        };
        let what = format!("to say {reason}");
        let says = self.watch.until(&what, PATIENCE, says);
        self.lab.while_alive(says).await.map(|_| ())
    }

    /// Waits until no object says such a reason any more.
    ///
    /// # Errors
    /// One goes on.
    pub async fn untroubled(&self) -> Result<()> {
        let all = |objects: &Objects| objects.values().all(|seen| is_untroubled(&seen.object));
        let quiet = self.watch.until("to be in no trouble", PATIENCE, all);
        self.lab.while_alive(quiet).await.map(|_| ())
    }
}

fn is_untroubled(object: &DynamicObject) -> bool {
    let reason = condition(object, "Ready").map(|ready| told(ready, "reason"));
    UNTROUBLED.contains(&reason.unwrap_or_default())
}

/// Gathers reasons from the lines that a watch tells.
fn listening(reasons: &Reasons) -> Listener {
    let reasons = Arc::clone(reasons);
    Arc::new(move |line: &str| {
        if let Some(told) = reason_of(line) {
            reasons
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(told);
        }
    })
}

/// `EdgeNatRule a/b: deleting, Ready=False NsxUnavailable: NSX ...` is `NsxUnavailable (EdgeNatRule)`.
fn reason_of(line: &str) -> Option<String> {
    let kind = line.split(' ').next()?;
    let ready = line.split_once("Ready=")?.1;
    let reason = ready.split_once(' ')?.1.split(':').next()?.trim();
    (!UNTROUBLED.contains(&reason)).then(|| format!("{reason} ({kind})"))
}

/// The reference topology with the run's own addresses, a manifest each.
async fn topology(lab: &Lab) -> Result<Vec<Value>> {
    let overlay = lab.overlay();
    let text = lab.kubectl(&["kustomize".as_ref(), overlay.as_os_str()]).await?;
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).context(|| "read the reference topology".to_owned()))
        .collect()
}

/// Cuts an error to what a report can hold.
#[must_use]
pub fn told_shortly(error: &Error) -> String {
    const MOST: usize = 2000;
    error.to_string().chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_from_what_a_watch_tells() {
        let cases = [
            (
                "EdgeNatRule a/b: deleting, Ready=False NsxUnavailable: NSX is busy.",
                Some("NsxUnavailable (EdgeNatRule)"),
            ),
            ("Site poc: Ready=True Ready: Connected.", None),
            ("ContainerNetwork a/b: Ready=Unknown Pending", None),
            ("ContainerNetwork a/b: gone", None),
            (
                "Site poc: Ready=False VCenterUnreachable",
                Some("VCenterUnreachable (Site)"),
            ),
        ];
        for (line, reason) in cases {
            assert_eq!(reason_of(line).as_deref(), reason, "{line}");
        }
    }
}
