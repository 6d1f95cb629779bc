//! Benchmarks: what thousands of objects cost, measured against the floor that the server sets.
//!
//! The operator is away while the objects are made; it is then started, and the clock runs until the last is ready. The
//! floor is the same server being written the same statuses by a client that does nothing else. Both alternate.

mod nsx;
mod objects;
mod process;
pub mod report;
mod stages;
pub mod subject;

use crate::audit::{Mark, Write};
use crate::error::{Error, Result};
use crate::lab::{Lab, Options};
use crate::poc::calls::{self, Call};
use crate::poc::report::rounded;
use crate::progress::Progress;
use objects::Objects;
use report::{Report, RunReport, float};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use subject::Subject;

/// How long the objects may take to be ready.
const READY: Duration = Duration::from_mins(15);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Period of the operator's look at NSX: what it has by default.
const PERIOD: Duration = Duration::from_mins(1);

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Objects of which kind.
    pub subject: Subject,
    /// How many.
    pub count: usize,
    /// Runs of floor and ready.
    pub runs: usize,
    /// How long the operator is watched at rest, in minutes.
    pub rest_minutes: u32,
}

/// Measures. What went wrong stands in the report.
pub async fn run(plan: Plan) -> Report {
    let started = Instant::now();
    let mut report = Report::new(plan.subject.name(), plan.count, subject::GATEWAYS);
    let options = Options {
        progress: Progress::shown(),
        nsx_resync: PERIOD,
        optimized: true,
        ..Options::named("bench")
    };
    let outcome = match Lab::start(options).await {
        Ok(lab) => measure(lab, plan, &mut report).await,
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        report.head.fail("the benchmark", "to go on", error.to_string());
    }
    report.finish(started.elapsed().as_secs_f64());
    report
}

async fn measure(lab: Lab, plan: Plan, report: &mut Report) -> Result<()> {
    let client = lab.client().await?;
    let objects = Objects::new(&client, plan.subject, plan.count);
    let mut bench = Bench {
        lab,
        client,
        objects,
        plan,
        report,
    };
    bench.prepare().await?;
    for run in 1..=plan.runs {
        let (measured, statuses) = bench.ready(run).await?;
        if run == plan.runs {
            bench.stages().await?;
        } else {
            bench.objects.delete().await?;
            bench.lab.stop_operator();
        }
        bench.floor(measured, &statuses).await?;
    }
    Ok(())
}

struct Bench<'a> {
    lab: Lab,
    client: kube::Client,
    objects: Objects,
    plan: Plan,
    report: &'a mut Report,
}

/// Statuses as the operator wrote them, by name.
type Statuses = Vec<(String, serde_json::Value)>;

impl Bench<'_> {
    fn say(text: &str) {
        println!("  {text}");
    }

    /// Makes the objects, starts the operator, and waits until all are ready.
    async fn ready(&mut self, run: usize) -> Result<(RunReport, Statuses)> {
        let count = self.plan.count;
        Self::say(&format!("run {run}: making {count} objects"));
        let creating = Instant::now();
        self.objects.create().await?;
        let create_seconds = rounded(creating.elapsed().as_secs_f64());
        calls::forget(&self.lab.nsx.control).await?;
        let nsxsim = self.lab.nsx.process().id();
        let simulated = process::cpu_seconds(nsxsim)?;
        let mark = self.lab.audit().mark()?;
        Self::say("starting the operator");
        let started = Instant::now();
        self.lab.start_operator().await?;
        let (ready_seconds, writes) = self.all_ready(mark, started).await?;
        let cost = self.cost().await?;
        let nsx = self.nsx_calls().await?;
        let measured = RunReport {
            create_seconds,
            ready_seconds: rounded(ready_seconds),
            floor_seconds: 0.0,
            kube_writes_per_object: rounded(float(writes) / float(count)),
            reconciles_per_object: rounded(cost.reconciles / float(count)),
            client_cpu_ms_per_object: rounded(cost.cpu_seconds * 1000.0 / float(count)),
            nsxsim_cpu_seconds: rounded(process::cpu_seconds(nsxsim)? - simulated),
            nsx_writes: nsx.iter().filter(|call| call.is_write()).count(),
            nsx_reads: nsx.iter().filter(|call| !call.is_write()).count(),
            operator_peak_mib: rounded(cost.peak_mib),
        };
        Self::say(&format!("{measured:?}"));
        Ok((measured, self.objects.statuses().await?))
    }

    /// Waits until every object is ready; returns when that was, after `started`, and how many writes it took.
    async fn all_ready(&self, mut mark: Mark, started: Instant) -> Result<(f64, usize)> {
        let kind = self.plan.subject.kind();
        let audit = self.lab.audit();
        let (mut written, mut writes, mut seconds) = (HashSet::new(), 0, 0.0);
        let counts = |write: &&Write| write.is_about_kind(kind) && !write.is_creation();
        loop {
            let news = audit.follow(&mut mark)?;
            let news: Vec<&Write> = news.iter().filter(counts).collect();
            if !news.is_empty() {
                writes += news.len();
                seconds = started.elapsed().as_secs_f64();
                written.extend(news.iter().filter_map(|write| write.object().map(str::to_owned)));
            }
            if written.len() >= self.plan.count && news.is_empty() {
                let waiting = self.objects.not_ready().await?;
                if waiting.is_empty() {
                    return Ok((seconds, writes));
                }
            }
            if started.elapsed() > READY {
                let waiting = self.objects.not_ready().await?;
                let first: Vec<&String> = waiting.iter().take(5).collect();
                return Err(Error::Other(format!(
                    "{} objects are not ready: {first:?}",
                    waiting.len()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes the statuses to fresh objects, as the operator did, and nothing else.
    async fn floor(&mut self, mut measured: RunReport, statuses: &Statuses) -> Result<()> {
        Self::say("the floor: making the objects again");
        self.objects.create().await?;
        measured.floor_seconds = rounded(self.objects.write(statuses).await?);
        Self::say(&format!("the floor took {} s", measured.floor_seconds));
        self.objects.purge().await?;
        self.report.runs.push(measured);
        Ok(())
    }

    async fn nsx_calls(&self) -> Result<Vec<Call>> {
        let mut calls = calls::read(&self.lab.nsx.control).await?;
        calls.retain(Call::is_operators);
        Ok(calls)
    }

    async fn cost(&self) -> Result<Cost> {
        let operator = self
            .lab
            .operator
            .as_ref()
            .ok_or_else(|| Error::Other("the operator does not run".to_owned()))?;
        let kind = self.plan.subject.kind().name;
        let (reconciles, ready) = process::reconciles(operator.metrics(), kind).await?;
        Ok(Cost {
            reconciles: u32::try_from(reconciles).map_or(f64::MAX, f64::from),
            ready,
            cpu_seconds: process::cpu_seconds(operator.id())?,
            peak_mib: operator.peak_mib().unwrap_or_default(),
        })
    }
}

/// What the operator has cost since it was started.
struct Cost {
    reconciles: f64,
    /// Reconciles that found an object ready.
    ready: u64,
    cpu_seconds: f64,
    peak_mib: f64,
}
