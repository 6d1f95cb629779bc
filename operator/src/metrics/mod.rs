//! Figures for Prometheus, and the small server that shows them.

#[cfg(test)]
mod chart_tests;
mod engines;
mod gauges;
mod serve;
pub mod table;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric as Registrable, Registry};
use topology::{Plan, Step};

use crate::context::Context;
use crate::health::Health;
use crate::kind::Kind;
use gauges::Gauges;
pub use serve::serve;
use table::{Metric, PREFIX, Shape};

type Labels = Vec<(&'static str, Cow<'static, str>)>;
type Counters = Family<Labels, Counter>;
type Histograms = Family<Labels, Histogram, Buckets>;

/// Makes the histograms of one metric.
#[derive(Clone, Copy, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// A label's value.
fn label(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

/// Registers a metric under its name.
fn register(registry: &mut Registry, metric: Metric, family: impl Registrable) {
    registry.register(metric.name, metric.help, family);
}

fn counters(registry: &mut Registry, metric: Metric) -> Counters {
    let family = Counters::default();
    register(registry, metric, family.clone());
    family
}

fn histograms(registry: &mut Registry, metric: Metric) -> Histograms {
    let bounds = match metric.shape {
        Shape::Histogram(bounds) => bounds,
        Shape::Counter | Shape::Gauge => &[],
    };
    let family = Histograms::new_with_constructor(Buckets(bounds));
    register(registry, metric, family.clone());
    family
}

/// The process's figures, and its health.
pub struct Metrics {
    registry: Mutex<Registry>,
    reconciles: Counters,
    durations: Histograms,
    time_to_ready: Histograms,
    repairs: Counters,
    writes: Counters,
    engines: engines::Families,
    gauges: Gauges,
    context: OnceLock<Weak<Context>>,
    /// Whether the process lives and works.
    pub health: Arc<Health>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let all = &mut registry;
        let (reconciles, durations) = (
            counters(all, table::RECONCILES),
            histograms(all, table::RECONCILE_SECONDS),
        );
        let time_to_ready = histograms(all, table::TIME_TO_READY);
        let (repairs, writes) = (counters(all, table::REPAIRS), counters(all, table::KUBE_WRITES));
        Self {
            reconciles,
            durations,
            time_to_ready,
            repairs,
            writes,
            engines: engines::Families::new(all),
            gauges: Gauges::new(all),
            context: OnceLock::new(),
            health: Arc::default(),
            registry: Mutex::new(registry),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// From now on the page shows what this context holds.
    pub fn show(&self, context: &Arc<Context>) {
        // A process has one context; a second one would be a programming error without harm.
        let _ = self.context.set(Arc::downgrade(context));
    }

    /// A reconcile begins.
    #[must_use]
    pub fn reconcile_started(&self) -> Instant {
        Instant::now()
    }

    /// A reconcile ended with a reason.
    pub fn reconcile_ended(&self, started: Instant, kind: Kind, outcome: &'static str) {
        let kind = Cow::Borrowed(kind.name());
        self.reconciles
            .get_or_create(&vec![("kind", kind.clone()), ("outcome", Cow::Borrowed(outcome))])
            .inc();
        self.durations
            .get_or_create(&vec![("kind", kind)])
            .observe(started.elapsed().as_secs_f64());
    }

    /// An object was ready for the first time, so long after its creation.
    pub fn first_ready(&self, kind: Kind, took: Duration) {
        self.time_to_ready
            .get_or_create(&vec![("kind", Cow::Borrowed(kind.name()))])
            .observe(took.as_secs_f64());
    }

    /// A write to an object of ours was answered: `what` is `status`, `finalizer` or `event`.
    pub fn kube_wrote<T>(&self, kind: Kind, what: &'static str, outcome: &kube::Result<T>) {
        let code = match outcome {
            Ok(_) => 200,
            Err(kube::Error::Api(status)) => status.code,
            Err(_) => 0,
        };
        let labels = vec![
            ("kind", Cow::Borrowed(kind.name())),
            ("what", Cow::Borrowed(what)),
            ("code", Cow::Owned(code.to_string())),
        ];
        self.writes.get_or_create(&labels).inc();
    }

    /// Counts the steps of a plan as repairs, if `in_effect`: the object was ready as it stands, so that only somebody
    /// else can be the reason for them.
    #[must_use]
    pub fn repairs(&self, kind: Kind, in_effect: bool) -> Repairs {
        Repairs {
            family: in_effect.then(|| self.repairs.clone()),
            kind,
        }
    }

    /// Who counts the calls to a Site's NSX.
    #[must_use]
    pub fn nsx(&self, site: &str) -> Arc<dyn nsx::Observer> {
        self.engines.of_site(site)
    }

    /// Who counts the calls to a Site's vCenter.
    #[must_use]
    pub fn vcenter(&self, site: &str) -> Arc<dyn vsphere::Observer> {
        self.engines.of_site(site)
    }

    /// The page of figures.
    fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauges.set_watches(&self.health);
        if let Some(context) = self.context.get().and_then(Weak::upgrade) {
            self.gauges.refresh(&context);
        }
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

/// Counts the steps of one plan; see [`Metrics::repairs`].
#[derive(Clone, Debug)]
pub struct Repairs {
    family: Option<Counters>,
    kind: Kind,
}

/// What a change is made to, in the words of the system that holds it.
pub trait Subject {
    /// `Segment`, `VirtualMachine`: one of few.
    fn subject(&self) -> &str;
}

impl Subject for topology::Change {
    fn subject(&self) -> &str {
        match self {
            Self::Put(intent) => intent.resource_type,
            Self::Delete { resource_type, .. } => resource_type,
        }
    }
}

impl Repairs {
    /// Whose steps they are.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// One step, to be counted once it is done.
    #[must_use]
    pub fn step<A: Subject>(&self, step: &Step<A>) -> Steps {
        self.all([step])
    }

    /// The steps of a plan that is executed as one, to be counted once it is.
    #[must_use]
    pub fn steps<A: Subject>(&self, plan: &Plan<A>) -> Steps {
        self.all(&plan.steps)
    }

    fn all<'a, A: Subject + 'a>(&self, steps: impl IntoIterator<Item = &'a Step<A>>) -> Steps {
        let labels = |step: &Step<A>| {
            vec![
                ("kind", Cow::Borrowed(self.kind.name())),
                ("what", label(step.action.subject())),
                ("verb", Cow::Owned(step.verb.to_string())),
            ]
        };
        let counted = self.family.as_ref();
        let found = counted.map(|family| (family.clone(), steps.into_iter().map(labels).collect()));
        Steps(found)
    }
}

/// Steps that are under way.
#[derive(Debug)]
pub struct Steps(Option<(Counters, Vec<Labels>)>);

impl Steps {
    /// They were executed.
    pub fn done(self) {
        if let Some((family, steps)) = self.0 {
            for labels in &steps {
                family.get_or_create(labels).inc();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use topology::Verb;

    #[test]
    fn what_happened_is_counted_by_its_labels() {
        let metrics = Metrics::default();
        metrics.reconcile_ended(metrics.reconcile_started(), Kind::Site, "Ready");
        metrics.first_ready(Kind::EdgeNatRule, Duration::from_millis(700));
        let step = Step {
            verb: Verb::Create,
            what: "NAT rule nginx".to_owned(),
            reason: "it does not exist".to_owned(),
            action: topology::Change::Delete {
                path: "/infra/x".to_owned(),
                resource_type: "PolicyNatRule".to_owned(),
            },
        };
        metrics.repairs(Kind::EdgeNatRule, true).step(&step).done();
        // Not done, and not a repair.
        drop(metrics.repairs(Kind::EdgeNatRule, true).step(&step));
        metrics.repairs(Kind::EdgeNatRule, false).step(&step).done();
        metrics.kube_wrote(Kind::Site, "status", &Ok(()));
        let gone = kube::Error::Api(Box::new(kube::core::Status {
            code: 404,
            ..kube::core::Status::default()
        }));
        metrics.kube_wrote::<()>(Kind::Site, "status", &Err(gone));
        let text = metrics.text();
        for line in [
            "vic_operator_reconciles_total{kind=\"Site\",outcome=\"Ready\"} 1",
            "vic_operator_time_to_ready_seconds_bucket{le=\"1.0\",kind=\"EdgeNatRule\"} 1",
            "vic_operator_drift_repairs_total{kind=\"EdgeNatRule\",what=\"PolicyNatRule\",verb=\"create\"} 1",
            "vic_operator_kubernetes_writes_total{kind=\"Site\",what=\"status\",code=\"200\"} 1",
            "vic_operator_kubernetes_writes_total{kind=\"Site\",what=\"status\",code=\"404\"} 1",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
    }

    #[test]
    fn the_page_shows_every_metric_of_the_table_and_no_other() {
        let metrics = Metrics::default();
        for family in [&metrics.reconciles, &metrics.repairs, &metrics.writes] {
            drop(family.get_or_create(&Vec::new()));
        }
        for family in [&metrics.durations, &metrics.time_to_ready] {
            drop(family.get_or_create(&Vec::new()));
        }
        metrics.engines.touch();
        metrics.gauges.touch();
        let text = metrics.text();
        let shown: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        let listed: Vec<String> = table::ALL
            .iter()
            .map(|metric| format!("{PREFIX}_{}", metric.name))
            .collect();
        let mut sorted = (shown.clone(), listed);
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1);
    }
}
