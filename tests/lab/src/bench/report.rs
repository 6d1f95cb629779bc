//! What a benchmark found, as `bench --json` writes it.

use crate::poc::report::rounded;
use crate::sweep::report::Head;
use serde::Serialize;

/// The whole result. A file is written on failure too; then `ok` is false and `failures` say why. What was not reached
/// is absent (`null`).
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The common part; slowness is no failure.
    #[serde(flatten)]
    pub head: Head,
    /// What was measured: `nat`, `networks`.
    pub subject: String,
    /// How many objects.
    pub objects: usize,
    /// Over how many gateways.
    pub gateways: usize,
    /// Median of the floors: the same statuses, written by nobody but a client that does nothing else.
    pub floor_seconds: Option<f64>,
    /// Median of the times from the operator's start until every object was ready.
    pub ready_seconds: Option<f64>,
    /// `ready_seconds` by `floor_seconds`.
    pub ready_by_floor: Option<f64>,
    /// Writes to an object and Events about it, its creation left out.
    pub kube_writes_per_object: Option<f64>,
    /// Reconciles.
    pub reconciles_per_object: Option<f64>,
    /// The operator's processor time, milliseconds.
    pub client_cpu_ms_per_object: Option<f64>,
    /// The operator's calls to NSX that are no GET, in the median run.
    pub nsx_writes: Option<f64>,
    /// Its GETs.
    pub nsx_reads: Option<f64>,
    /// The client that writes (PATCH) and reads (GET) each NSX object by itself, ten at a time.
    pub per_object: Option<PerObject>,
    /// The operator started anew beside all that it made.
    pub warm_restart: Option<WarmRestart>,
    /// Nothing happens.
    pub rest: Option<Rest>,
    /// Edits and deletions by hand.
    pub drift: Option<Drift>,
    /// From the creation of one more rule, while all others are looked at again, until packets meet it.
    pub new_rule_under_load_seconds: Option<f64>,
    /// Everything deleted.
    pub delete: Option<Delete>,
    /// The most memory the operator held, in MiB.
    pub operator_peak_mib: Option<f64>,
    /// Each run of floor and ready.
    pub runs: Vec<RunReport>,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// How long the creation of the objects took, the operator being away.
    pub create_seconds: f64,
    /// From the operator's start until every object was ready.
    pub ready_seconds: f64,
    /// The floor on the same server, right after.
    pub floor_seconds: f64,
    /// See [`Report::kube_writes_per_object`].
    pub kube_writes_per_object: f64,
    /// See [`Report::reconciles_per_object`].
    pub reconciles_per_object: f64,
    /// See [`Report::client_cpu_ms_per_object`].
    pub client_cpu_ms_per_object: f64,
    /// Processor time of nsxsim in the same time, seconds.
    pub nsxsim_cpu_seconds: f64,
    /// See [`Report::nsx_writes`].
    pub nsx_writes: usize,
    /// See [`Report::nsx_reads`].
    pub nsx_reads: usize,
    /// Peak until then.
    pub operator_peak_mib: f64,
}

/// See [`Report::per_object`].
#[derive(Clone, Debug, Serialize)]
pub struct PerObject {
    /// Objects of the subject whose NSX objects were written.
    pub n: usize,
    /// How long that took.
    pub seconds: f64,
    /// Calls that it took, refused ones included.
    pub calls: usize,
}

/// See [`Report::warm_restart`].
#[derive(Clone, Debug, Serialize)]
pub struct WarmRestart {
    /// Until every object has been looked at.
    pub seconds: f64,
    /// GETs.
    pub nsx_reads: usize,
    /// Other calls, logging in left out.
    pub nsx_writes: usize,
    /// Logins.
    pub nsx_logins: usize,
    /// Writes to any object of the project's kinds, and Events about them.
    pub kube_writes: usize,
}

/// See [`Report::rest`].
#[derive(Clone, Debug, Serialize)]
pub struct Rest {
    /// How long it was watched.
    pub minutes: f64,
    /// Calls to NSX.
    pub nsx_calls: usize,
    /// Calls to vCenter.
    pub vcenter_calls: usize,
    /// The operator's processor time.
    pub cpu_seconds: f64,
}

/// See [`Report::drift`].
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    /// Objects edited by hand.
    pub edited: usize,
    /// Objects deleted by hand.
    pub deleted: usize,
    /// The period of the operator's look at NSX.
    pub period_seconds: u64,
    /// From the last edit until the last was repaired.
    pub seconds: f64,
    /// The operator's calls in that time.
    pub nsx_calls: usize,
}

/// See [`Report::delete`].
#[derive(Clone, Debug, Serialize)]
pub struct Delete {
    /// Until the last object was gone.
    pub seconds: f64,
    /// Calls to NSX that are no GET.
    pub nsx_writes: usize,
}

impl Report {
    /// An empty report.
    #[must_use]
    pub fn new(subject: &str, objects: usize, gateways: usize) -> Self {
        Self {
            head: Head::default(),
            subject: subject.to_owned(),
            objects,
            gateways,
            floor_seconds: None,
            ready_seconds: None,
            ready_by_floor: None,
            kube_writes_per_object: None,
            reconciles_per_object: None,
            client_cpu_ms_per_object: None,
            nsx_writes: None,
            nsx_reads: None,
            per_object: None,
            warm_restart: None,
            rest: None,
            drift: None,
            new_rule_under_load_seconds: None,
            delete: None,
            operator_peak_mib: None,
            runs: Vec::new(),
        }
    }

    /// Closes the report after that many seconds: medians of the runs.
    pub fn finish(&mut self, seconds: f64) {
        self.head.finish(seconds);
        self.floor_seconds = self.median(|run| run.floor_seconds);
        self.ready_seconds = self.median(|run| run.ready_seconds);
        let both = self.ready_seconds.zip(self.floor_seconds);
        self.ready_by_floor = both.map(|(ready, floor)| rounded(ready / floor));
        self.kube_writes_per_object = self.median(|run| run.kube_writes_per_object);
        self.reconciles_per_object = self.median(|run| run.reconciles_per_object);
        self.client_cpu_ms_per_object = self.median(|run| run.client_cpu_ms_per_object);
        self.nsx_writes = self.median(|run| float(run.nsx_writes));
        self.nsx_reads = self.median(|run| float(run.nsx_reads));
    }

    fn median(&self, field: impl Fn(&RunReport) -> f64) -> Option<f64> {
        let mut values: Vec<f64> = self.runs.iter().map(field).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().map(rounded)
    }
}

/// A count as a number among others.
#[must_use]
pub fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_run_counts() {
        let run = |ready_seconds, floor_seconds, nsx_writes| RunReport {
            create_seconds: 1.0,
            ready_seconds,
            floor_seconds,
            kube_writes_per_object: 1.0,
            reconciles_per_object: 2.0,
            client_cpu_ms_per_object: 1.5,
            nsxsim_cpu_seconds: 1.0,
            nsx_writes,
            nsx_reads: 10,
            operator_peak_mib: 50.0,
        };
        let mut report = Report::new("nat", 10, 10);
        report.runs = vec![run(9.0, 4.0, 30), run(3.0, 2.0, 10), run(6.0, 3.0, 20)];
        report.finish(20.0);
        assert!(report.head.ok);
        let found = [
            report.ready_seconds,
            report.floor_seconds,
            report.ready_by_floor,
            report.nsx_writes,
        ];
        assert_eq!(found, [6.0, 3.0, 2.0, 20.0].map(Some));
        let mut none = Report::new("nat", 10, 10);
        none.head.fail("the laboratory", "to start", "etcd ended");
        none.finish(1.0);
        assert_eq!((none.head.ok, none.ready_seconds), (false, None));
    }
}
