//! The fault sweep: each fault in each phase.

use super::faults::{FAULTS, Fault, Lasting};
use super::report::{FaultCell, FaultReport, PhaseCalls, write};
use super::sampled;
use super::scenario::{Phase, Scenario};
use super::stage::{Life, Stage, told_shortly};
use super::state::State;
use crate::error::{Error, Result};
use crate::kinds::Key;
use crate::poc::report::rounded;
use crate::progress::Progress;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// Calls that a fault may cost, beyond twice those of the undisturbed phase: so many at once, and so many for each second
/// from its beginning to the end of the phase.
const ALLOWANCE: (usize, f64) = (40, 4.0);

/// What to sweep.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many cells are tried, spread over all; all without.
    pub sample: Option<usize>,
    /// Only faults whose name contains this.
    pub only: Option<String>,
    /// The file that is written, after each cell.
    pub file: Option<PathBuf>,
    /// Who is told of the steps.
    pub progress: Progress,
}

/// The undisturbed phases.
struct Usual {
    states: BTreeMap<Phase, State>,
    calls: BTreeMap<Phase, usize>,
    tuning: Value,
}

impl Usual {
    fn reported(&self) -> Vec<PhaseCalls> {
        let of = |(phase, calls): (&Phase, &usize)| PhaseCalls {
            phase: phase.to_string(),
            calls: *calls,
        };
        self.calls.iter().map(of).collect()
    }
}

/// Sweeps, and returns the report; what went wrong stands in it.
pub async fn run(options: Options) -> FaultReport {
    let started = Instant::now();
    let mut report = FaultReport::default();
    if let Err(error) = sweep(&options, &mut report, started).await {
        report
            .head
            .fail("the fault sweep", "to run", told_shortly(&error));
    }
    close(&mut report, started);
    if let Some(path) = &options.file
        && let Err(error) = write(&report, path)
    {
        report.head.fail("the report", "to be written", error.to_string());
        close(&mut report, started);
    }
    report
}

async fn sweep(options: &Options, report: &mut FaultReport, started: Instant) -> Result<()> {
    let wanted = |fault: &Fault| {
        options
            .only
            .as_ref()
            .is_none_or(|only| fault.name.contains(only.as_str()))
    };
    let cells: Vec<(Fault, Phase)> = FAULTS
        .into_iter()
        .filter(wanted)
        .flat_map(|fault| Phase::ALL.map(|phase| (fault, phase)))
        .collect();
    let cells = sampled(cells, options.sample);
    report.cells = cells.len();
    let mut stage: Option<(Stage, Usual)> = None;
    for (fault, phase) in cells {
        let (stage_now, usual) = if let Some(ready) = &mut stage {
            ready
        } else {
            let mut fresh = Stage::start("fault", &options.progress).await?;
            let usual = undisturbed(&mut fresh).await?;
            report.undisturbed = usual.reported();
            stage.insert((fresh, usual))
        };
        let mut cell = FaultCell {
            fault: fault.name.to_owned(),
            phase: phase.to_string(),
            converged: false,
            calls: 0,
            struck: 0,
            lasted: 0.0,
            seconds: 0.0,
            reason: None,
        };
        let outcome = live(stage_now, usual, &fault, phase, &mut cell).await;
        cell.converged = outcome.is_ok();
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        options.progress.step(&format!(
            "{verdict:6} {:6.1}s  {} in {phase}: {} calls, {} struck, {}",
            cell.seconds,
            fault.name,
            cell.calls,
            cell.struck,
            cell.reason.as_deref().unwrap_or("nothing to read")
        ));
        if let Err(error) = outcome {
            let log = stage_now.operator_log().display().to_string();
            let got = format!("{} ({log})", told_shortly(&error));
            options.progress.step(&got);
            report.head.fail(
                format!("{} in {phase}", fault.name),
                "nothing lost, nothing doubled, calls bounded, the reason in a condition",
                got,
            );
            stage = None;
        }
        report.list.push(cell);
        let mut so_far = report.clone();
        close(&mut so_far, started);
        so_far.head.ok = false;
        if let Some(path) = &options.file {
            write(&so_far, path)?;
        }
    }
    Ok(())
}

async fn undisturbed(stage: &mut Stage) -> Result<Usual> {
    let tuning = stage.lab.nsx.control.get("/tune").await?;
    let mut usual = Usual {
        states: BTreeMap::new(),
        calls: BTreeMap::new(),
        tuning,
    };
    // Twice: the first life finds nothing of what later ones find.
    for _ in 0..2 {
        let life = stage.life(Scenario::Networks)?;
        for phase in Phase::ALL {
            stage.forget().await?;
            let expected = stage.perform(&life, phase).await?;
            let end = stage.settle(&life, phase, &expected, None).await?;
            usual.states.insert(phase, end);
            usual.calls.insert(phase, calls(stage).await?);
        }
    }
    Ok(usual)
}

async fn calls(stage: &Stage) -> Result<usize> {
    let (nsx, vcenter) = stage.calls().await?;
    Ok(nsx.len() + vcenter.len())
}

/// One life with the fault in one of its phases.
async fn live(
    stage: &mut Stage,
    usual: &Usual,
    fault: &Fault,
    phase: Phase,
    cell: &mut FaultCell,
) -> Result<()> {
    let life = stage.life(Scenario::Networks)?;
    let before = Phase::ALL
        .into_iter()
        .filter(|earlier| *earlier < phase && (*earlier == Phase::Create || phase != Phase::Delete));
    for earlier in before {
        let expected = stage.perform(&life, earlier).await?;
        stage
            .settle(&life, earlier, &expected, usual.states.get(&earlier))
            .await?;
    }
    stage.forget().await?;
    let begun = Instant::now();
    fault.begin(&stage.lab).await?;
    let expected = stage.perform(&life, phase).await?;
    let told = strike(stage, usual, fault, &life, phase, &expected).await;
    cell.lasted = rounded(begun.elapsed().as_secs_f64());
    cell.struck = fault.end(&stage.lab, &usual.tuning).await?;
    told?;
    let settled = stage
        .settle(&life, phase, &expected, usual.states.get(&phase))
        .await;
    cell.seconds = rounded(begun.elapsed().as_secs_f64());
    cell.calls = calls(stage).await?;
    let reasons = stage.reasons();
    cell.reason = (!reasons.is_empty()).then(|| reasons.join(", "));
    settled?;
    judge(fault, cell, usual.calls.get(&phase).copied().unwrap_or_default())?;
    if phase != Phase::Delete {
        stage.perform(&life, Phase::Delete).await?;
        stage.settle(&life, Phase::Delete, &[], None).await?;
    }
    stage.untroubled().await
}

/// Lets the fault last as long as it should.
async fn strike(
    stage: &Stage,
    usual: &Usual,
    fault: &Fault,
    life: &Life,
    phase: Phase,
    expected: &[(Key, i64)],
) -> Result<()> {
    match fault.lasting {
        Lasting::UntilTold(reason) => stage.told(reason).await,
        // The fault's own setting would count as left behind.
        Lasting::Throughout if phase == Phase::Delete => stage.gone(life).await,
        Lasting::Once | Lasting::Throughout => stage
            .settle(life, phase, expected, usual.states.get(&phase))
            .await
            .map(|_| ()),
    }
}

/// Whether what a cell showed is what the fault should bring about.
fn judge(fault: &Fault, cell: &FaultCell, usual: usize) -> Result<()> {
    let (at_once, a_second) = ALLOWANCE;
    let more = cell.calls.saturating_sub(2 * usual + at_once);
    if f64::from(u32::try_from(more).unwrap_or(u32::MAX)) > a_second * cell.seconds {
        return Err(Error::Other(format!(
            "{} calls in {} s; undisturbed they are {usual}",
            cell.calls, cell.seconds
        )));
    }
    let struck = cell.struck > 0 || fault.lasting == Lasting::Throughout;
    if !struck {
        return Err(Error::Other("the fault never struck".to_owned()));
    }
    let reason = cell.reason.as_deref().unwrap_or_default();
    match fault.lasting {
        Lasting::UntilTold(expected) if !reason.contains(expected) => Err(Error::Other(format!(
            "no condition says {expected}, but: {reason}"
        ))),
        _ => Ok(()),
    }
}

fn close(report: &mut FaultReport, started: Instant) {
    report.converged = report.list.iter().filter(|cell| cell.converged).count();
    report.head.finish(started.elapsed().as_secs_f64());
    report.head.ok &= report.converged == report.cells && report.cells > 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(calls: usize, struck: usize, reason: Option<&str>) -> FaultCell {
        FaultCell {
            fault: "x".to_owned(),
            phase: "create".to_owned(),
            converged: true,
            calls,
            struck,
            lasted: 1.0,
            seconds: 10.0,
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn a_cell_is_judged_by_calls_strikes_and_reason() {
        let told = &FAULTS[0];
        assert_eq!(told.lasting, Lasting::UntilTold("NsxUnavailable"));
        let reason = Some("NsxUnavailable (Site)");
        assert!(judge(told, &cell(100, 3, reason), 10).is_ok());
        let cases = [
            (cell(101, 3, reason), "101 calls"),
            (cell(50, 0, reason), "never struck"),
            (cell(50, 3, Some("Conflict (Site)")), "NsxUnavailable"),
            (cell(50, 3, None), "NsxUnavailable"),
        ];
        for (cell, part) in cases {
            let error = judge(told, &cell, 10).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let quiet = FAULTS
            .iter()
            .find(|fault| fault.lasting == Lasting::Throughout)
            .unwrap();
        assert!(
            judge(quiet, &cell(50, 0, None), 10).is_ok(),
            "a lagging index strikes nobody"
        );
    }

    #[test]
    fn a_sweep_is_ok_when_every_cell_converged() {
        let mut report = FaultReport {
            cells: 2,
            list: vec![cell(1, 1, None)],
            ..FaultReport::default()
        };
        close(&mut report, Instant::now());
        assert!(!report.head.ok);
        report.list.push(cell(1, 1, None));
        close(&mut report, Instant::now());
        assert!(report.head.ok);
    }
}
