//! Kills at random moments of the reference topology's life.

use super::baseline::Baseline;
use super::report::{KillPoint, KillReport, write};
use super::stage::told_shortly;
use super::state::{self, State};
use crate::error::Result;
use crate::kinds::{Key, is_ready};
use crate::lab::{Lab, Options as LabOptions};
use crate::operator::Operator;
use crate::poc::drift::Tampering;
use crate::poc::report::{Kept, rounded};
use crate::progress::Progress;
use crate::watch::{Listener, Objects, Watch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a phase may take to come to its end after a kill.
const PATIENCE: Duration = Duration::from_mins(3);
/// Pause between two looks at what nothing tells of.
const LOOK: Duration = Duration::from_millis(200);
/// Period of the operator's look at NSX.
const PERIOD: Duration = Duration::from_secs(2);
/// Objects of the reference topology, the Site among them.
const OBJECTS: usize = 8;

/// How to kill.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whole lives of the topology; in each the operator is killed while it creates, while it repairs and while it deletes.
    pub rounds: u32,
    /// What the moments are drawn from; random without.
    pub seed: Option<u64>,
    /// The file that is written.
    pub file: Option<PathBuf>,
    /// Who is told of the steps.
    pub progress: Progress,
}

/// How long the phases take undisturbed: kills fall into them.
struct Lengths {
    create: Duration,
    repair: Duration,
    delete: Duration,
}

/// The laboratory of a run.
struct Ground {
    lab: Lab,
    operator: Option<Operator>,
    client: kube::Client,
    watch: Watch,
    before: Baseline,
    /// What the topology came to undisturbed.
    reference: Option<State>,
}

/// Kills, and returns the report; what went wrong stands in it.
pub async fn run(options: Options) -> KillReport {
    let started = Instant::now();
    let seed = options.seed.unwrap_or_else(rand::random);
    let mut report = KillReport {
        seed,
        rounds: options.rounds,
        ..KillReport::default()
    };
    options.progress.step(&format!("the seed is {seed}"));
    if let Err(error) = rounds(&options, &mut report).await {
        report.head.fail("the kills", "to go on", told_shortly(&error));
    }
    if report.points.is_empty() {
        report.head.fail("kills", "at least one", "none");
    }
    report.head.finish(started.elapsed().as_secs_f64());
    if let Some(path) = &options.file
        && let Err(error) = write(&report, path)
    {
        report.head.fail("the report", "to be written", error.to_string());
        report.head.finish(started.elapsed().as_secs_f64());
    }
    report
}

async fn rounds(options: &Options, report: &mut KillReport) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(report.seed);
    let mut ground = Ground::start(&options.progress).await?;
    options.progress.step("the topology's life, undisturbed");
    ground.undisturbed().await?;
    let lengths = ground.undisturbed().await?;
    for round in 1..=options.rounds {
        let tampering = Tampering::ALL
            .get(rng.random_range(0..Tampering::ALL.len()))
            .copied()
            .unwrap_or(Tampering::NatEdited);
        let moment = |rng: &mut StdRng, length: Duration| length.mul_f64(rng.random_range(0.0..1.1));
        let moments = [
            moment(&mut rng, lengths.create),
            moment(&mut rng, lengths.repair),
            moment(&mut rng, lengths.delete),
        ];
        let points = ground.round(round, tampering, moments).await;
        let failed = points
            .iter()
            .any(|point| !point.converged || !point.left_behind.is_empty());
        for point in points {
            let clean = point.converged && point.left_behind.is_empty();
            let verdict = if clean { "ok" } else { "FAILED" };
            options
                .progress
                .step(&format!("{verdict:6} {:6.1}s  {}", point.seconds, point.at));
            if !clean {
                let log = ground.lab.run().log("operator");
                let got = format!("{} ({})", point.left_behind.join("; "), log.display());
                options.progress.step(&got);
                report
                    .head
                    .fail(point.at.clone(), "converged, nothing left behind", got);
            }
            report.points.push(point);
        }
        if let Some(path) = &options.file {
            write(report, path)?;
        }
        if failed {
            // The next round must not suffer.
            ground = Ground::start(&options.progress).await?;
            ground.undisturbed().await?;
            ground.undisturbed().await?;
        }
    }
    report.kept = ground.left().await?.1;
    Ok(())
}

impl Ground {
    async fn start(progress: &Progress) -> Result<Self> {
        let lab = Lab::start(LabOptions {
            operator: false,
            nsx_resync: PERIOD,
            progress: progress.clone(),
            ..LabOptions::named("kill")
        })
        .await?;
        let client = lab.client().await?;
        let silent: Listener = Arc::new(|_: &str| {});
        let watch = Watch::start(&client, &silent);
        let before = Baseline::take(&lab, &client).await?;
        let operator = Some(lab.spawn_operator().await?);
        Ok(Self {
            before,
            reference: None,
            operator,
            client,
            watch,
            lab,
        })
    }

    async fn apply(&self) -> Result<()> {
        let overlay = self.lab.overlay();
        let apply = ["apply".as_ref(), "-k".as_ref(), overlay.as_os_str()];
        // A control plane that is short of time is asked once more, as its user would.
        if self.lab.kubectl(&apply).await.is_ok() {
            return Ok(());
        }
        self.lab.kubectl(&apply).await.map(|_| ())
    }

    async fn delete(&self) -> Result<()> {
        let overlay = self.lab.overlay();
        let delete = [
            "delete".as_ref(),
            "-k".as_ref(),
            overlay.as_os_str(),
            "--wait=false".as_ref(),
        ];
        self.lab.kubectl(&delete).await.map(|_| ())
    }

    /// Waits until the topology is ready, and as it came to be undisturbed: nothing more, nothing less.
    async fn ready(&self) -> Result<State> {
        let ready = |objects: &Objects| {
            objects.len() >= OBJECTS && objects.values().all(|seen| is_ready(&seen.object))
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let until = self.watch.until("the topology to be ready", PATIENCE, ready);
            let objects = self.lab.while_alive(until).await?;
            let state = self.state(&objects).await?;
            let differences = self
                .reference
                .as_ref()
                .map(|reference| state::differences(reference, &state))
                .unwrap_or_default();
            if differences.is_empty() {
                return Ok(state);
            }
            if Instant::now() > deadline {
                let differences = differences.join("\n");
                return Err(super::wrong(format!(
                    "the state is another than undisturbed: {differences}"
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn gone(&self) -> Result<()> {
        let gone = self
            .watch
            .until("the topology to be gone", PATIENCE, Objects::is_empty);
        self.lab.while_alive(gone).await?;
        let deadline = Instant::now() + PATIENCE;
        // NSX takes objects away in the background, and the namespace goes last.
        while !self.left().await?.0.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn left(&self) -> Result<(Vec<String>, Vec<Kept>)> {
        self.before.left(&self.lab, &self.client).await
    }

    async fn state(&self, objects: &Objects) -> Result<State> {
        let nsx = self.lab.nsx.control.get("/dump").await?;
        let vcenter = self.lab.vcenter.control.get("/dump").await?;
        let keys: Vec<Key> = objects.keys().cloned().collect();
        Ok(state::of(&nsx, &vcenter, objects, &keys, ""))
    }

    async fn undisturbed(&mut self) -> Result<Lengths> {
        let begun = Instant::now();
        self.apply().await?;
        // The second life finds images and definitions that the first one brought.
        self.reference = None;
        self.reference = Some(self.ready().await?);
        let create = begun.elapsed();
        let begun = Instant::now();
        Tampering::NatEdited.inflict(&self.lab).await?;
        let repair = begun.elapsed();
        let begun = Instant::now();
        self.delete().await?;
        self.gone().await?;
        Ok(Lengths {
            create,
            repair,
            delete: begun.elapsed(),
        })
    }

    /// One life with a kill in each phase.
    async fn round(&mut self, round: u32, tampering: Tampering, moments: [Duration; 3]) -> Vec<KillPoint> {
        let [create, repair, delete] = moments;
        let mut points = Vec::new();
        let name =
            |phase: &str, moment: Duration| format!("round {round}, {phase}, +{:.3} s", moment.as_secs_f64());
        let outcome = self.struck(create, async |ground| {
            ground.apply().await?;
            ground.ready().await.map(|_| ())
        });
        let outcome = outcome.await;
        points.push(point(name("create", create), &outcome, Vec::new()));
        if outcome.is_err() {
            return points;
        }
        let outcome = self.struck(repair, async |ground| {
            let lasted = tampering.inflict(&ground.lab).await?;
            let repaired = lasted.map(|_| ());
            repaired.ok_or_else(|| super::wrong(format!("{} was not repaired", tampering.name())))?;
            ground.ready().await.map(|_| ())
        });
        let outcome = outcome.await;
        points.push(point(name(tampering.name(), repair), &outcome, Vec::new()));
        if outcome.is_err() {
            return points;
        }
        let outcome = self.struck(delete, async |ground| {
            ground.delete().await?;
            ground.gone().await
        });
        let outcome = outcome.await;
        let left = match self.left().await {
            Ok((left, _)) => left,
            Err(error) => vec![error.to_string()],
        };
        points.push(point(name("delete", delete), &outcome, left));
        points
    }

    /// Does a phase, kills the operator that long after its beginning, and starts it anew at once. Returns how long the
    /// phase then took from the restart.
    async fn struck(
        &mut self,
        moment: Duration,
        phase: impl AsyncFn(&Self) -> Result<()>,
    ) -> Result<Duration> {
        let mut operator = self.operator.take();
        let ground = &*self;
        let kill = async {
            tokio::time::sleep(moment).await;
            if let Some(operator) = operator.as_mut() {
                operator.kill();
            }
            let restarted = Instant::now();
            ground
                .lab
                .spawn_operator()
                .await
                .map(|operator| (operator, restarted))
        };
        let (done, killed) = tokio::join!(phase(ground), kill);
        let (operator, restarted) = killed?;
        // A phase may be over before its kill: then the operator that came must still find all as it should be.
        let lasted = restarted.elapsed();
        self.operator = Some(operator);
        done.map(|()| lasted)
    }
}

fn point(at: String, outcome: &Result<Duration>, mut left_behind: Vec<String>) -> KillPoint {
    if let Err(error) = outcome {
        left_behind.insert(0, told_shortly(error));
    }
    KillPoint {
        at,
        converged: outcome.is_ok(),
        seconds: rounded(outcome.as_ref().map_or(0.0, Duration::as_secs_f64)),
        left_behind,
    }
}
