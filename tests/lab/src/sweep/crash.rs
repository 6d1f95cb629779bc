//! The crash sweep: a kill before and after each call of an undisturbed run.

use super::point::{self, CallId, Moment, Record};
use super::report::{CrashPoint, CrashReport, write};
use super::scenario::Scenario;
use super::stage::{Stage, told_shortly};
use super::{earlier, sampled};
use crate::error::Result;
use crate::poc::report::rounded;
use crate::progress::Progress;
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;

/// Attempts at a point whose call was never made: which calls are made depends a little on the clock.
const ATTEMPTS: u32 = 3;

/// What to sweep, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The scenario.
    pub scenario: Scenario,
    /// How many points are tried, spread over all; all without.
    pub sample: Option<usize>,
    /// Laboratories at once.
    pub jobs: usize,
    /// The file that is written, after each point.
    pub file: Option<PathBuf>,
    /// Whether points that converged by that file are left out.
    pub resume: bool,
    /// Who is told of the steps.
    pub progress: Progress,
}

/// What the jobs share.
struct Shared {
    options: Options,
    record: Record,
    waiting: Mutex<VecDeque<(CallId, Moment)>>,
    report: Mutex<CrashReport>,
    started: Instant,
}

/// A laboratory and what an undisturbed run came to in it: names of its own are in it.
type Ready = (Stage, Record);

/// Sweeps, and returns the report; what went wrong stands in it.
pub async fn run(options: Options) -> CrashReport {
    let started = Instant::now();
    let file = options.file.clone();
    let mut report = CrashReport {
        scenario: options.scenario.name().to_owned(),
        ..CrashReport::default()
    };
    match sweep(options, started).await {
        Ok(done) => report = done,
        Err(error) => report
            .head
            .fail("the crash sweep", "to run", told_shortly(&error)),
    }
    close(&mut report, started);
    if let Some(path) = file
        && let Err(error) = write(&report, &path)
    {
        report.head.fail("the report", "to be written", error.to_string());
        close(&mut report, started);
    }
    report
}

async fn sweep(options: Options, started: Instant) -> Result<CrashReport> {
    let mut report = CrashReport {
        scenario: options.scenario.name().to_owned(),
        ..CrashReport::default()
    };
    let known = match &options.file {
        Some(path) if options.resume => earlier(path)?,
        _ => None,
    };
    let mut stage = Stage::start("crash", &options.progress).await?;
    options.progress.step("recording the undisturbed run");
    let record = point::record(&mut stage, options.scenario).await?;
    report.calls = record.calls.iter().map(ToString::to_string).collect();
    let moments = record
        .calls
        .iter()
        .flat_map(|call| Moment::of(call).into_iter().map(|moment| (call.clone(), moment)));
    let points = chosen(moments.collect(), options.sample);
    report.points = points.len();
    let done = known.map(|known| converged(&known)).unwrap_or_default();
    let (past, waiting): (Vec<_>, VecDeque<_>) = {
        let (past, waiting): (Vec<_>, Vec<_>) = points
            .into_iter()
            .partition(|(call, moment)| done.contains(&named(call, *moment)));
        (past, waiting.into())
    };
    report.list = past
        .into_iter()
        .map(|(call, moment)| CrashPoint {
            call: call.to_string(),
            moment,
            converged: true,
            seconds: 0.0,
        })
        .collect();
    options.progress.step(&format!(
        "{} calls; {} points, of which {} are known to converge",
        report.calls.len(),
        report.points,
        report.list.len()
    ));
    let jobs = options.jobs.max(1);
    let shared = Arc::new(Shared {
        options,
        record,
        waiting: Mutex::new(waiting),
        report: Mutex::new(report),
        started,
    });
    let mut running = JoinSet::new();
    let mut first = Some((stage, shared.record.clone()));
    for _ in 0..jobs {
        running.spawn(job(Arc::clone(&shared), first.take()));
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            lock(&shared.report)
                .head
                .fail("a job", "to end", error.to_string());
        }
    }
    let report = lock(&shared.report).clone();
    Ok(report)
}

/// All points, or a sample; those of calls that write before any of calls that only ask.
fn chosen(points: Vec<(CallId, Moment)>, sample: Option<usize>) -> Vec<(CallId, Moment)> {
    let (asking, writing): (Vec<_>, Vec<_>) = points.into_iter().partition(|(call, _)| call.asks());
    let rest = sample.map(|wanted| wanted.saturating_sub(writing.len()));
    let mut chosen = sampled(writing, sample);
    chosen.extend(sampled(asking, rest));
    chosen
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn named(call: &CallId, moment: Moment) -> String {
    format!("{call} {moment:?}").to_lowercase()
}

/// The points of an earlier report that converged.
fn converged(report: &Value) -> BTreeSet<String> {
    let text = |point: &Value, field: &str| {
        point
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase()
    };
    let points = report.get("list").and_then(Value::as_array);
    points
        .into_iter()
        .flatten()
        .filter(|point| point.get("converged") == Some(&Value::Bool(true)))
        .map(|point| format!("{} {}", text(point, "call"), text(point, "moment")))
        .collect()
}

/// Takes points until none wait. A laboratory in which a point failed is given up: the next ones must not suffer.
async fn job(shared: Arc<Shared>, mut stage: Option<Ready>) {
    loop {
        let Some((call, moment)) = lock(&shared.waiting).pop_front() else {
            return note_kept(&shared, stage).await;
        };
        let begun = Instant::now();
        let mut outcome = Ok(());
        for _ in 0..ATTEMPTS {
            outcome = attempt(&shared, &mut stage, &call, moment).await;
            match &outcome {
                Err(error) if error.to_string().ends_with("was never made") => {}
                _ => break,
            }
        }
        let seconds = rounded(begun.elapsed().as_secs_f64());
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        shared
            .options
            .progress
            .step(&format!("{verdict:6} {seconds:6.1}s  {call} {moment:?}"));
        let mut report = lock(&shared.report);
        report.list.push(CrashPoint {
            call: call.to_string(),
            moment,
            converged: outcome.is_ok(),
            seconds,
        });
        if let Err(error) = outcome {
            let log = stage
                .as_ref()
                .map(|(stage, _)| stage.operator_log().display().to_string());
            let told = told_shortly(&error);
            if let Some((_, left)) = told.split_once("left behind: ") {
                report.left_behind.push(format!("{call} {moment:?}: {left}"));
            }
            let got = format!("{told} ({})", log.unwrap_or_default());
            shared.options.progress.step(&got);
            report.head.fail(
                format!("{call} {moment:?}"),
                "to converge and leave nothing behind",
                got,
            );
            stage = None;
        }
        let mut so_far = report.clone();
        drop(report);
        close(&mut so_far, shared.started);
        so_far.head.ok = false;
        if let Some(path) = &shared.options.file
            && let Err(error) = write(&so_far, path)
        {
            shared
                .options
                .progress
                .step(&format!("the report so far: {error}"));
        }
    }
}

async fn attempt(shared: &Shared, ready: &mut Option<Ready>, call: &CallId, moment: Moment) -> Result<()> {
    let (stage, record) = if let Some(ready) = ready {
        ready
    } else {
        let mut fresh = Stage::start("crash", &shared.options.progress).await?;
        let record = point::record(&mut fresh, shared.record.scenario).await?;
        ready.insert((fresh, record))
    };
    point::run(stage, record, call, moment).await
}

async fn note_kept(shared: &Shared, stage: Option<Ready>) {
    let Some((stage, _)) = stage else { return };
    let left = stage.left().await;
    let mut report = lock(&shared.report);
    match left {
        Ok((left, kept)) => {
            report.left_behind.extend(left);
            report.kept.extend(kept);
        }
        Err(error) => report.head.fail("what is left", "to be told", error.to_string()),
    }
}

fn close(report: &mut CrashReport, started: Instant) {
    report.kept.sort_by(|one, two| one.what.cmp(&two.what));
    report.kept.dedup();
    report.converged = report.list.iter().filter(|point| point.converged).count();
    report.head.finish(started.elapsed().as_secs_f64());
    report.head.ok &= report.left_behind.is_empty() && report.converged == report.points && report.points > 0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::point::System;
    use crate::sweep::scenario::Phase;

    #[test]
    fn a_resumed_sweep_knows_the_points_that_converged() {
        let call = CallId {
            phase: Phase::Create,
            system: System::Nsx,
            name: "PATCH /infra".to_owned(),
            nth: 2,
        };
        let point = |moment, converged| CrashPoint {
            call: call.to_string(),
            moment,
            converged,
            seconds: 1.0,
        };
        let report = CrashReport {
            list: vec![point(Moment::Before, true), point(Moment::After, false)],
            ..CrashReport::default()
        };
        let known = converged(&serde_json::to_value(&report).unwrap());
        assert!(known.contains(&named(&call, Moment::Before)), "{known:?}");
        assert!(!known.contains(&named(&call, Moment::After)));
    }

    #[test]
    fn a_sample_is_of_what_writes_first() {
        let call = |name: &str, nth| CallId {
            phase: Phase::Create,
            system: System::Nsx,
            name: name.to_owned(),
            nth,
        };
        let names = ["GET /a", "PATCH /b", "GET /c", "PATCH /d"];
        let points: Vec<_> = names.map(|name| (call(name, 1), Moment::Before)).to_vec();
        let called = |sample| -> Vec<String> {
            let taken = chosen(points.clone(), sample).into_iter();
            taken.map(|(call, _)| call.name).collect()
        };
        assert_eq!(called(Some(1)), ["PATCH /b"]);
        assert_eq!(called(Some(3)), ["PATCH /b", "PATCH /d", "GET /a"]);
        assert_eq!(called(None), ["PATCH /b", "PATCH /d", "GET /a", "GET /c"]);
    }

    #[test]
    fn a_sweep_that_tried_nothing_is_not_ok() {
        let mut report = CrashReport::default();
        close(&mut report, Instant::now());
        assert!(!report.head.ok);
        report.points = 1;
        report.list.push(CrashPoint {
            call: String::new(),
            moment: Moment::Before,
            converged: true,
            seconds: 0.0,
        });
        close(&mut report, Instant::now());
        assert!(report.head.ok);
        report.left_behind.push("nsx: + /x".to_owned());
        close(&mut report, Instant::now());
        assert!(!report.head.ok);
    }
}
