//! Every metric: its name, what its labels are, and what it tells. The page, the reference in `docs/metrics.md` and the
//! chart's alerts and dashboard go by this list.

/// What kind of figure a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Only grows while the process lives; the page shows it with `_total`.
    Counter,
    /// A value of the moment.
    Gauge,
    /// How many values fell below each of these bounds.
    Histogram(&'static [f64]),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name without [`PREFIX`] and without what the page appends.
    pub name: &'static str,
    /// What kind of figure it is.
    pub shape: Shape,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// One sentence without a full stop.
    pub help: &'static str,
}

/// What every name begins with.
pub const PREFIX: &str = "vic_operator";

/// Seconds of what takes milliseconds to a minute.
const SHORT: Shape = Shape::Histogram(&[0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
/// Seconds of what takes a second to an hour.
const LONG: Shape = Shape::Histogram(&[
    0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
]);
/// Objects in one call.
const SIZES: Shape = Shape::Histogram(&[1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0]);

const fn metric(
    name: &'static str,
    shape: Shape,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        shape,
        labels,
        help,
    }
}

pub(super) const RECONCILES: Metric = metric(
    "reconciles",
    Shape::Counter,
    &["kind", "outcome"],
    "Reconciles by kind and the reason they ended with, as in the condition Ready",
);
pub(super) const RECONCILE_SECONDS: Metric =
    metric("reconcile_seconds", SHORT, &["kind"], "Duration of reconciles");
pub(super) const TIME_TO_READY: Metric = metric(
    "time_to_ready_seconds",
    LONG,
    &["kind"],
    "From the creation of an object to its first Ready, of objects that this process saw before their first status",
);
pub(super) const REPAIRS: Metric = metric(
    "drift_repairs",
    Shape::Counter,
    &["kind", "what", "verb"],
    "Changes made to what an unchanged, ready object declares, because it was edited or deleted outside; by the type of \
     the outside object and create, update or delete",
);
pub(super) const KUBE_WRITES: Metric = metric(
    "kubernetes_writes",
    Shape::Counter,
    &["kind", "what", "code"],
    "Writes to objects of this operator's kinds: status, finalizer or event, by HTTP status (0: no answer)",
);
pub(super) const WATCH_ERRORS: Metric = metric(
    "watch_errors",
    Shape::Counter,
    &["resource"],
    "Interruptions of the watches of the kube-apiserver",
);
pub(super) const NSX_CALLS: Metric = metric(
    "nsx_calls",
    Shape::Counter,
    &["site", "method", "path", "code"],
    "HTTP requests to NSX by path template and status, or unreachable, untrusted, unanswered, abandoned",
);
pub(super) const NSX_CALL_SECONDS: Metric = metric(
    "nsx_call_seconds",
    SHORT,
    &["site", "method"],
    "Duration of HTTP requests to NSX",
);
pub(super) const VCENTER_CALLS: Metric = metric(
    "vcenter_calls",
    Shape::Counter,
    &["site", "method", "code"],
    "Requests to vCenter by SOAP method (or PUT /folder) and ok, the fault's type, a status such as http-503, or a word",
);
pub(super) const VCENTER_CALL_SECONDS: Metric = metric(
    "vcenter_call_seconds",
    SHORT,
    &["site", "method"],
    "Duration of requests to vCenter, waits for changes left out",
);
pub(super) const BATCH_OBJECTS: Metric = metric(
    "nsx_batch_objects",
    SIZES,
    &["site"],
    "Objects in one hierarchical PATCH to NSX",
);
pub(super) const BATCH_WAIT: Metric = metric(
    "nsx_batch_wait_seconds",
    SHORT,
    &["site"],
    "How long the change that waited longest for its batch was in the queue",
);
pub(super) const QUEUE_UNITS: Metric = metric(
    "nsx_queue_units",
    Shape::Gauge,
    &["site"],
    "Objects' changes that wait for a batch",
);
pub(super) const QUEUE_AGE: Metric = metric(
    "nsx_queue_age_seconds",
    Shape::Gauge,
    &["site"],
    "How long the first change in the queue has waited",
);
pub(super) const NSX_RATE: Metric = metric(
    "nsx_rate_limit",
    Shape::Gauge,
    &["site"],
    "Requests a second that the limiter allows now",
);
pub(super) const NSX_IN_FLIGHT: Metric = metric(
    "nsx_calls_in_flight",
    Shape::Gauge,
    &["site"],
    "Requests to NSX that are out now",
);
pub(super) const MIRROR_OBJECTS: Metric = metric(
    "mirror_objects",
    Shape::Gauge,
    &["site", "system"],
    "Outside objects held in memory, of system nsx or vcenter",
);
pub(super) const CONNECTED: Metric = metric(
    "site_connected",
    Shape::Gauge,
    &["site", "system"],
    "1 while the manager of that system (nsx, vcenter) answers as it should, else 0",
);
pub(super) const LEASE_HELD: Metric = metric(
    "site_lease_held",
    Shape::Gauge,
    &["site"],
    "1 while this process is surely the one that writes for the Site",
);
pub(super) const OBJECTS: Metric = metric(
    "objects",
    Shape::Gauge,
    &["kind", "ready"],
    "Objects by kind and the status of their condition Ready: True, False or Unknown",
);
pub(super) const BUILD: Metric = metric(
    "build",
    Shape::Gauge,
    &["version"],
    "Always 1; the version is the operator's",
);

/// All of them.
pub const ALL: [Metric; 21] = [
    RECONCILES,
    RECONCILE_SECONDS,
    TIME_TO_READY,
    REPAIRS,
    KUBE_WRITES,
    WATCH_ERRORS,
    NSX_CALLS,
    NSX_CALL_SECONDS,
    VCENTER_CALLS,
    VCENTER_CALL_SECONDS,
    BATCH_OBJECTS,
    BATCH_WAIT,
    QUEUE_UNITS,
    QUEUE_AGE,
    NSX_RATE,
    NSX_IN_FLIGHT,
    MIRROR_OBJECTS,
    CONNECTED,
    LEASE_HELD,
    OBJECTS,
    BUILD,
];

impl Metric {
    /// The names under which the page shows it.
    #[must_use]
    pub fn series(&self) -> Vec<String> {
        let name = format!("{PREFIX}_{}", self.name);
        match self.shape {
            Shape::Counter => vec![format!("{name}_total")],
            Shape::Gauge => vec![name],
            Shape::Histogram(_) => ["bucket", "sum", "count"]
                .map(|end| format!("{name}_{end}"))
                .to_vec(),
        }
    }
}

/// The reference of all metrics, as `docs/metrics.md` holds it.
#[must_use]
pub fn reference() -> String {
    let row = |metric: &Metric| {
        let (name, shape) = match metric.shape {
            Shape::Counter => (format!("{PREFIX}_{}_total", metric.name), "counter"),
            Shape::Gauge => (format!("{PREFIX}_{}", metric.name), "gauge"),
            Shape::Histogram(_) => (format!("{PREFIX}_{}", metric.name), "histogram"),
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!(
            "| `{name}` | {shape} | {} | {} |\n",
            labels.join(", "),
            metric.help
        )
    };
    let rows: Vec<String> = ALL.iter().map(row).collect();
    let head = "| metric | type | labels | what it tells |\n|---|---|---|---|\n";
    format!("{head}{}", rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_those_of_the_field() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len(), "no name twice");
        for metric in ALL {
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(plain(metric.name), "{}", metric.name);
            assert!(metric.labels.iter().all(|label| plain(label)), "{}", metric.name);
            assert!(
                !metric.help.ends_with('.') && !metric.help.contains('|'),
                "{}",
                metric.name
            );
            let seconds = metric.help.starts_with("Duration") || metric.help.starts_with("How long");
            assert!(!seconds || metric.name.ends_with("_seconds"), "{}", metric.name);
            if let Shape::Histogram(bounds) = metric.shape {
                assert!(bounds.is_sorted(), "{}", metric.name);
            }
        }
    }

    #[test]
    fn the_reference_is_current() {
        crate::testing::page_has("metrics.md", "metrics", &reference());
    }
}
