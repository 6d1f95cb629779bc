//! What the sweeps found, as their commands write it.

use super::point::Moment;
use crate::error::{Context, Result};
use crate::poc::report::{Failure, Kept, Machine, rounded};
use serde::Serialize;
use std::path::Path;

/// What every file begins with.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    /// Whether everything was as expected.
    pub ok: bool,
    /// Version of this format.
    pub version: u32,
    /// Length of the run, in seconds.
    pub seconds: f64,
    /// What was not as expected.
    pub failures: Vec<Failure>,
    /// The machine it ran on.
    pub machine: Machine,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            ok: false,
            version: 1,
            seconds: 0.0,
            failures: Vec::new(),
            machine: Machine::here(),
        }
    }
}

impl Head {
    /// Notes something unexpected.
    pub fn fail(&mut self, what: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) {
        self.failures.push(Failure {
            what: what.into(),
            expected: expected.into(),
            got: got.into(),
        });
    }

    /// Closes the report after a run of that many seconds.
    pub fn finish(&mut self, seconds: f64) {
        self.seconds = rounded(seconds);
        self.machine = Machine::here();
        self.ok = self.failures.is_empty();
    }
}

/// `cargo lab kill`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KillReport {
    /// The common part.
    #[serde(flatten)]
    pub head: Head,
    /// What the moments were drawn from: the same seed kills at the same ones.
    pub seed: u64,
    /// Whole lives of the reference topology.
    pub rounds: u32,
    /// The kills.
    pub points: Vec<KillPoint>,
    /// What stays on purpose.
    pub kept: Vec<Kept>,
}

/// A kill.
#[derive(Clone, Debug, Serialize)]
pub struct KillPoint {
    /// Round, phase and time in it.
    pub at: String,
    /// Whether the topology came where it should.
    pub converged: bool,
    /// How long that took from the restart, in seconds.
    pub seconds: f64,
    /// What is there that should not be.
    pub left_behind: Vec<String>,
}

/// `cargo lab crash-sweep`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CrashReport {
    /// The common part.
    #[serde(flatten)]
    pub head: Head,
    /// What was swept.
    pub scenario: String,
    /// The calls of the undisturbed run, in phases, by system and name; the number tells which of that name.
    pub calls: Vec<String>,
    /// Calls times moments; fewer with a sample.
    pub points: usize,
    /// Points that came where the undisturbed run came.
    pub converged: usize,
    /// What points left behind.
    pub left_behind: Vec<String>,
    /// What stays on purpose.
    pub kept: Vec<Kept>,
    /// The points.
    pub list: Vec<CrashPoint>,
}

/// A kill at a call.
#[derive(Clone, Debug, Serialize)]
pub struct CrashPoint {
    /// The call.
    pub call: String,
    /// When the operator was killed, and what happened then.
    pub moment: Moment,
    /// Whether the state came to equal that of the undisturbed run, and nothing was left after the deletion.
    pub converged: bool,
    /// How long the point took, in seconds.
    pub seconds: f64,
}

/// `cargo lab fault-sweep`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FaultReport {
    /// The common part.
    #[serde(flatten)]
    pub head: Head,
    /// Faults times phases; fewer with a sample.
    pub cells: usize,
    /// Cells that came where the undisturbed run came.
    pub converged: usize,
    /// Calls of the undisturbed phases.
    pub undisturbed: Vec<PhaseCalls>,
    /// The cells.
    pub list: Vec<FaultCell>,
}

/// Calls of an undisturbed phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseCalls {
    /// The phase.
    pub phase: String,
    /// The operator's calls to NSX and vCenter.
    pub calls: usize,
}

/// A fault in a phase.
#[derive(Clone, Debug, Serialize)]
pub struct FaultCell {
    /// The fault.
    pub fault: String,
    /// The phase.
    pub phase: String,
    /// Whether the state came to equal that of the undisturbed run, and nothing was left after the deletion.
    pub converged: bool,
    /// The operator's calls to NSX and vCenter in the phase.
    pub calls: usize,
    /// How many of them the fault struck; of a lagging index none.
    pub struck: usize,
    /// How long the fault lasted, in seconds.
    pub lasted: f64,
    /// How long the phase took, in seconds.
    pub seconds: f64,
    /// The reason that a condition gave, with its object; none where the fault passed before anyone could read of it.
    pub reason: Option<String>,
}

/// Writes a report as JSON.
///
/// # Errors
/// The file cannot be written.
pub fn write(report: &impl Serialize, path: &Path) -> Result<()> {
    let what = || format!("write {}", path.display());
    let text = serde_json::to_string_pretty(report).context(what)?;
    std::fs::write(path, format!("{text}\n")).context(what)
}
