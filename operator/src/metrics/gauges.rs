//! Values of the moment, read when the page is asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::reflector::Store;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::table::Metric;
use super::{Counters, Labels, counters, label, register, table};
use crate::conditions::ready_status;
use crate::context::Context;
use crate::health::Health;
use crate::runner::Declared;
use crate::sites::Connected;

type Values = Family<Labels, Gauge<f64, AtomicU64>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Gauges {
    queue_units: Values,
    queue_age: Values,
    rate: Values,
    in_flight: Values,
    mirror: Values,
    connected: Values,
    lease: Values,
    objects: Values,
    watch_errors: Counters,
}

fn values(registry: &mut Registry, metric: Metric) -> Values {
    let family = Values::default();
    register(registry, metric, family.clone());
    family
}

/// A count as Prometheus takes it.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

impl Gauges {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let build = values(registry, table::BUILD);
        let version = vec![("version", Cow::Borrowed(env!("CARGO_PKG_VERSION")))];
        build.get_or_create(&version).set(1.0);
        Self {
            queue_units: values(registry, table::QUEUE_UNITS),
            queue_age: values(registry, table::QUEUE_AGE),
            rate: values(registry, table::NSX_RATE),
            in_flight: values(registry, table::NSX_IN_FLIGHT),
            mirror: values(registry, table::MIRROR_OBJECTS),
            connected: values(registry, table::CONNECTED),
            lease: values(registry, table::LEASE_HELD),
            objects: values(registry, table::OBJECTS),
            watch_errors: counters(registry, table::WATCH_ERRORS),
        }
    }

    fn all(&self) -> [&Values; 8] {
        [
            &self.queue_units,
            &self.queue_age,
            &self.rate,
            &self.in_flight,
            &self.mirror,
            &self.connected,
            &self.lease,
            &self.objects,
        ]
    }

    /// Gives each a sample, for without one it is not shown.
    #[cfg(test)]
    pub(super) fn touch(&self) {
        for family in self.all() {
            drop(family.get_or_create(&Vec::new()));
        }
        drop(self.watch_errors.get_or_create(&Vec::new()));
    }

    /// Reads everything anew; what is gone is shown no more.
    pub(super) fn refresh(&self, ctx: &Context) {
        for family in self.all() {
            family.clear();
        }
        for connected in ctx.sites.connections() {
            self.site(&connected);
        }
        let stores = &ctx.stores;
        self.count(&stores.sites);
        self.count(&stores.gateways);
        self.count(&stores.policies);
        self.count(&stores.networks);
        self.count(&stores.hosts);
        self.count(&stores.rules);
    }

    /// Carries over how often watches were interrupted.
    pub(super) fn set_watches(&self, health: &Health) {
        for (resource, errors) in health.watch_errors() {
            let counter = self
                .watch_errors
                .get_or_create_owned(&vec![("resource", Cow::Borrowed(resource))]);
            counter.inc_by(errors.saturating_sub(counter.get()));
        }
    }

    fn site(&self, connected: &Connected) {
        let site = || vec![("site", label(&connected.name))];
        let of = |system: &'static str| {
            let mut labels = site();
            labels.push(("system", Cow::Borrowed(system)));
            labels
        };
        let set = |family: &Values, labels: Labels, value: f64| {
            family.get_or_create(&labels).set(value);
        };
        set(&self.lease, site(), truth(connected.lease.is_held()));
        let well = *connected.vsphere.health().borrow() == vsphere::Health::Connected;
        set(&self.connected, of("vcenter"), truth(well));
        let mirrored = connected.vsphere.read(vsphere::Inventory::len);
        set(&self.mirror, of("vcenter"), number(mirrored));
        let Some(engine) = &connected.nsx else { return };
        let stats = engine.stats();
        let well = *engine.health().borrow() == nsx::Health::Connected;
        set(&self.connected, of("nsx"), truth(well));
        set(&self.mirror, of("nsx"), number(stats.mirrored));
        set(&self.queue_units, site(), number(stats.queued));
        set(&self.queue_age, site(), stats.oldest.as_secs_f64());
        set(&self.rate, site(), stats.rate);
        set(&self.in_flight, site(), number(stats.in_flight));
    }

    fn count<K: Declared>(&self, store: &Store<K>) {
        let mut found = BTreeMap::from([("True", 0), ("False", 0), ("Unknown", 0)]);
        for object in store.state() {
            let conditions: &[Condition] = object.current().map(K::conditions).unwrap_or_default();
            *found.entry(ready_status(conditions)).or_default() += 1;
        }
        for (ready, count) in found {
            let labels = vec![
                ("kind", Cow::Borrowed(K::KIND.name())),
                ("ready", Cow::Borrowed(ready)),
            ];
            self.objects.get_or_create(&labels).set(number(count));
        }
    }
}
