//! What a run of the reference topology found, as `poc --json` writes it.

use crate::error::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The whole result. A file is written on failure too; then `ok` is false and `failures` say why.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
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
    /// From the first apply until every object was ready.
    pub seconds_to_ready: Option<f64>,
    /// Each object's way to ready.
    pub objects: Vec<ObjectReport>,
    /// Packets sent through the edge, in order.
    pub probes: Vec<ProbeReport>,
    /// Edits by hand, and how long they lasted.
    pub drift: Vec<DriftReport>,
    /// The period of the operator's look at NSX.
    pub period_seconds: u64,
    /// Calls of the operator from the first apply until every object was ready.
    pub calls: Calls,
    /// What was there after the deletion and not before the first apply, or the other way round.
    pub left_behind: LeftBehind,
    /// What stays on purpose.
    pub kept: Vec<Kept>,
    /// The most memory the operator held, in MiB.
    pub operator_peak_mib: Option<f64>,
}

/// Something that was not as expected.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What was looked at.
    pub what: String,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub got: String,
}

/// The machine a run ran on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// Load average of the last minute, at the end.
    pub load: f64,
}

/// An object's way to ready.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectReport {
    /// Its kind.
    pub kind: String,
    /// Its namespace, unless the kind has none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// From its creation until it was ready.
    pub seconds: f64,
    /// Writes to it and Events about it in that time, its creation left out.
    pub kube_writes: usize,
}

/// A packet and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeReport {
    /// What the probe shows.
    pub id: String,
    /// Source address.
    pub from: String,
    /// Destination address.
    pub to: String,
    /// Destination port.
    pub port: u16,
    /// Protocol.
    pub protocol: String,
    /// Destination after NAT.
    pub translated: Option<String>,
    /// The virtual machine it reached.
    pub vm: Option<String>,
    /// `delivered`, `dropped` or `no-route`.
    pub verdict: String,
    /// The firewall rule that decided.
    pub rule: Option<String>,
    /// The verdict that was expected.
    pub expected: String,
}

/// An edit by hand.
#[derive(Clone, Debug, Serialize)]
pub struct DriftReport {
    /// What was edited.
    pub what: String,
    /// How long the edit lasted.
    pub seconds: f64,
    /// Whether it was undone.
    pub repaired: bool,
}

/// Calls by method: of NSX with the path's template, of vCenter by name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Calls {
    /// `GET /policy/api/v1/...`.
    pub nsx: BTreeMap<String, u64>,
    /// `CreateVM_Task`.
    pub vcenter: BTreeMap<String, u64>,
}

/// What a topology left behind, by system.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LeftBehind {
    /// In NSX.
    pub nsx: Vec<String>,
    /// In vCenter.
    pub vcenter: Vec<String>,
    /// In Kubernetes.
    pub kube: Vec<String>,
}

/// Something that stays on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Where: `nsx`, `vcenter` or `kube`.
    pub system: String,
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Report {
    /// An empty report of a run whose operator looks at NSX in that period.
    #[must_use]
    pub fn new(period_seconds: u64) -> Self {
        Self {
            ok: false,
            version: 1,
            seconds: 0.0,
            failures: Vec::new(),
            machine: Machine::here(),
            seconds_to_ready: None,
            objects: Vec::new(),
            probes: Vec::new(),
            drift: Vec::new(),
            period_seconds,
            calls: Calls::default(),
            left_behind: LeftBehind::default(),
            kept: Vec::new(),
            operator_peak_mib: None,
        }
    }

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

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        crate::sweep::report::write(self, path)
    }
}

impl Machine {
    /// This machine, now.
    #[must_use]
    pub fn here() -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load
            .split_whitespace()
            .next()
            .and_then(|load| load.parse().ok())
            .unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load,
        }
    }
}

/// Seconds to the millisecond.
#[must_use]
pub fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
