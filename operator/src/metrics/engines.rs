//! The figures of a Site's engines: what they tell of their calls. They outlive each connection.

use std::borrow::Cow;
use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::{Counters, Histograms, Labels, counters, histograms, label, table};

/// A vCenter method that waits for changes: how long says nothing.
const WAITING: &str = "WaitForUpdatesEx";

/// The families that observers of all Sites share.
#[derive(Clone, Debug)]
pub(super) struct Families {
    nsx_calls: Counters,
    nsx_seconds: Histograms,
    vcenter_calls: Counters,
    vcenter_seconds: Histograms,
    batch_objects: Histograms,
    batch_wait: Histograms,
}

impl Families {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            nsx_calls: counters(registry, table::NSX_CALLS),
            nsx_seconds: histograms(registry, table::NSX_CALL_SECONDS),
            vcenter_calls: counters(registry, table::VCENTER_CALLS),
            vcenter_seconds: histograms(registry, table::VCENTER_CALL_SECONDS),
            batch_objects: histograms(registry, table::BATCH_OBJECTS),
            batch_wait: histograms(registry, table::BATCH_WAIT),
        }
    }

    /// Gives each a sample, for without one it is not shown.
    #[cfg(test)]
    pub(super) fn touch(&self) {
        for family in [&self.nsx_calls, &self.vcenter_calls] {
            drop(family.get_or_create(&Vec::new()));
        }
        let histograms = [
            &self.nsx_seconds,
            &self.vcenter_seconds,
            &self.batch_objects,
            &self.batch_wait,
        ];
        for family in histograms {
            drop(family.get_or_create(&Vec::new()));
        }
    }

    /// The observer of one Site.
    pub(super) fn of_site(&self, site: &str) -> Arc<OfSite> {
        Arc::new(OfSite {
            site: site.to_owned(),
            families: self.clone(),
        })
    }
}

/// The observer of one Site's engines.
#[derive(Debug)]
pub(super) struct OfSite {
    site: String,
    families: Families,
}

impl OfSite {
    fn labels(&self, more: impl IntoIterator<Item = (&'static str, Cow<'static, str>)>) -> Labels {
        std::iter::once(("site", label(&self.site))).chain(more).collect()
    }
}

impl nsx::Observer for OfSite {
    fn called(&self, call: &nsx::Called<'_>) {
        let method = ("method", label(call.method));
        let labels = self.labels([
            method.clone(),
            ("path", label(call.template)),
            ("code", Cow::Owned(call.answer.to_string())),
        ]);
        self.families.nsx_calls.get_or_create(&labels).inc();
        self.families
            .nsx_seconds
            .get_or_create(&self.labels([method]))
            .observe(call.took.as_secs_f64());
    }

    fn batched(&self, batch: nsx::Batched) {
        let labels = self.labels([]);
        let objects = u32::try_from(batch.objects).unwrap_or(u32::MAX);
        self.families
            .batch_objects
            .get_or_create(&labels)
            .observe(f64::from(objects));
        self.families
            .batch_wait
            .get_or_create(&labels)
            .observe(batch.waited.as_secs_f64());
    }
}

impl vsphere::Observer for OfSite {
    fn called(&self, call: &vsphere::Called<'_>) {
        let method = ("method", label(call.method));
        let labels = self.labels([method.clone(), ("code", label(call.answer))]);
        self.families.vcenter_calls.get_or_create(&labels).inc();
        if call.method != WAITING {
            self.families
                .vcenter_seconds
                .get_or_create(&self.labels([method]))
                .observe(call.took.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Metrics;

    #[test]
    fn calls_are_counted_by_site_verb_and_code() {
        let metrics = Metrics::default();
        let call = |code| nsx::Called {
            method: "PATCH",
            template: "/policy/api/v1/infra",
            answer: code,
            took: Duration::from_millis(3),
        };
        // Two connections of the same Site, one after the other, are one series.
        metrics.nsx("poc").called(&call(nsx::Answer::Status(200)));
        metrics.nsx("poc").called(&call(nsx::Answer::Status(200)));
        metrics.nsx("poc").called(&call(nsx::Answer::Unanswered));
        metrics.nsx("poc").batched(nsx::Batched {
            units: 3,
            objects: 7,
            waited: Duration::from_millis(40),
        });
        for (method, answer) in [("WaitForUpdatesEx", "ok"), ("Login", "InvalidLogin")] {
            metrics.vcenter("poc").called(&vsphere::Called {
                method,
                answer,
                took: Duration::from_secs(100),
            });
        }
        let text = metrics.text();
        let patch =
            "vic_operator_nsx_calls_total{site=\"poc\",method=\"PATCH\",path=\"/policy/api/v1/infra\"";
        for line in [
            &format!("{patch},code=\"200\"}} 2"),
            &format!("{patch},code=\"unanswered\"}} 1"),
            "vic_operator_nsx_call_seconds_count{site=\"poc\",method=\"PATCH\"} 3",
            "vic_operator_nsx_batch_objects_sum{site=\"poc\"} 7.0",
            "vic_operator_nsx_batch_wait_seconds_bucket{le=\"0.1\",site=\"poc\"} 1",
            "vic_operator_vcenter_calls_total{site=\"poc\",method=\"Login\",code=\"InvalidLogin\"} 1",
            "vic_operator_vcenter_calls_total{site=\"poc\",method=\"WaitForUpdatesEx\",code=\"ok\"} 1",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(!text.contains("vcenter_call_seconds_count{site=\"poc\",method=\"WaitForUpdatesEx\"}"));
    }
}
