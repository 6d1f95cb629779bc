//! What is measured besides the way to ready: a restart, rest, edits by hand, one more rule, deletion.

use super::report::{Delete, Drift, Rest, WarmRestart};
use super::subject::{self, NAMESPACE, SITE, Subject};
use super::{Bench, PERIOD, READY, nsx, process};
use crate::error::{Context, Error, Result};
use crate::kinds::{Kind, is_ready};
use crate::poc::calls::{self, Call};
use crate::poc::report::rounded;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Objects that are edited, and as many that are deleted.
const HANDS: usize = 100;
/// The scope of the tag that all of the operator's objects carry.
const INSTANCE: &str = "vic-operator/instance";
/// Objects of the subject whose NSX objects the client that calls once for each writes.
const ONE_BY_ONE: usize = 1000;
/// How long something of one object may take.
const CHANGE: Duration = Duration::from_mins(5);
const LOOK: Duration = Duration::from_millis(20);

impl Bench<'_> {
    /// What the objects stand on: gateways, the Site, a network behind each gateway.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        let admin = self.lab.nsx.admin()?;
        self.lab.nsx.control.post("/tune", &nsx::tuning()).await?;
        nsx::make_gateways(&admin).await?;
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let namespace = Namespace {
            metadata: kube::api::ObjectMeta {
                name: Some(NAMESPACE.to_owned()),
                ..Default::default()
            },
            ..Namespace::default()
        };
        let made = namespaces.create(&PostParams::default(), &namespace).await;
        made.context(|| "create the namespace".to_owned())?;
        let sites = kind("Site")?.all(&self.client);
        let site = serde_json::from_value(self.site()?).context(|| "the Site".to_owned())?;
        let made = sites.create(&PostParams::default(), &site).await;
        made.context(|| "create the Site".to_owned())?;
        let networks = kind("ContainerNetwork")?.within(&self.client, NAMESPACE);
        for manifest in self.plan.subject.ground() {
            let network = serde_json::from_value(manifest).context(|| "a network".to_owned())?;
            let made = networks.create(&PostParams::default(), &network).await;
            made.context(|| "create a network".to_owned())?;
        }
        let started = Instant::now();
        loop {
            let listed = networks.list(&kube::api::ListParams::default()).await;
            let listed = listed.context(|| "list the networks".to_owned())?;
            let site = sites.get(SITE).await.context(|| "read the Site".to_owned())?;
            if is_ready(&site) && listed.items.iter().all(is_ready) {
                break;
            }
            if started.elapsed() > CHANGE {
                let said = listed.items.iter().map(crate::watch::state).next();
                let text = format!(
                    "the ground is not ready: {}; {said:?}",
                    crate::watch::state(&site)
                );
                return Err(Error::Other(text));
            }
            tokio::time::sleep(LOOK).await;
        }
        self.lab.stop_operator();
        Ok(())
    }

    fn site(&self) -> Result<Value> {
        let image = |name: &str| {
            self.lab
                .images
                .image(name)
                .map(|(url, sha256)| json!({"url": url, "sha256": sha256}))
        };
        Ok(json!({
            "apiVersion": "vic-operator.io/v1alpha1", "kind": "Site", "metadata": {"name": SITE},
            "spec": {
                "vcenter": {
                    "url": self.lab.vcenter.url, "datacenter": "DC0",
                    "credentialsRef": {"name": "vcenter-credentials"},
                    "endpointCredentialsRef": {"name": "vcenter-endpoint"},
                    "trust": {"caBundleRef": {"name": "vcenter-ca"}},
                },
                "nsx": {
                    "urls": [self.lab.nsx.url], "credentialsRef": {"name": "nsx-credentials"},
                    "trust": {"caBundleRef": {"name": "nsx-ca"}},
                },
                "defaults": {
                    "resourcePool": "DC0_C0/Resources/Containers", "datastore": "LocalDS_0",
                    "distributedSwitch": "DVS0", "overlayTransportZone": "overlay",
                },
                "releases": [{
                    "version": "v1.5.8", "applianceISO": image("appliance.iso")?, "bootstrapISO": image("bootstrap.iso")?,
                }],
                "tenants": tenants(&[]),
            },
        }))
    }

    /// Everything that needs all objects in place; ends with their deletion, the operator stopped.
    pub(super) async fn stages(&mut self) -> Result<()> {
        let ours = nsx::tagged(&self.lab.nsx.control, INSTANCE).await?;
        Self::say(&format!("NSX has {} objects of ours", ours.len()));
        self.warm_restart().await?;
        self.rest().await?;
        self.drift(&ours).await?;
        if self.plan.subject == Subject::Nat {
            self.one_more().await?;
        }
        self.delete().await?;
        self.lab.stop_operator();
        let n = self.plan.count.min(ONE_BY_ONE);
        let mut few = ours;
        few.retain(|held| of_the_first(held, n, self.plan.subject));
        let admin = self.lab.nsx.admin()?;
        Self::say(&format!("{} NSX objects one by one", few.len()));
        self.report.per_object = Some(nsx::one_by_one(&admin, n, &few).await?);
        Ok(())
    }

    fn note_peak(&mut self, peak: f64) {
        let before = self.report.operator_peak_mib.unwrap_or_default();
        self.report.operator_peak_mib = Some(rounded(before.max(peak)));
    }

    async fn warm_restart(&mut self) -> Result<()> {
        let cost = self.cost().await?;
        self.note_peak(cost.peak_mib);
        // What was written last must be older than the index is behind.
        tokio::time::sleep(Duration::from_secs(15)).await;
        self.lab.stop_operator();
        calls::forget(&self.lab.nsx.control).await?;
        let mut mark = self.lab.audit().mark()?;
        let started = Instant::now();
        self.lab.start_operator().await?;
        let all = u64::try_from(self.plan.count).unwrap_or_default();
        while self.cost().await?.ready < all {
            if started.elapsed() > READY {
                return Err(Error::Other(
                    "a restarted operator does not find all objects ready".to_owned(),
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        let seconds = rounded(started.elapsed().as_secs_f64());
        // What it would write in vain would come within a moment.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let nsx = self.nsx_calls().await?;
        Self::say(&format!("{:?}", calls::counted(&nsx)));
        let logins = |call: &&Call| call.path.contains("/session/");
        let restart = WarmRestart {
            seconds,
            nsx_reads: nsx.iter().filter(|call| !call.is_write()).count(),
            nsx_writes: nsx.iter().filter(|call| call.is_write() && !logins(call)).count(),
            nsx_logins: nsx.iter().filter(logins).count(),
            kube_writes: self.lab.audit().follow(&mut mark)?.len(),
        };
        Self::say(&format!("{restart:?}"));
        self.report.warm_restart = Some(restart);
        Ok(())
    }

    async fn rest(&mut self) -> Result<()> {
        let operator = self
            .lab
            .operator
            .as_ref()
            .map(crate::operator::Operator::id)
            .unwrap_or_default();
        calls::forget(&self.lab.nsx.control).await?;
        calls::forget(&self.lab.vcenter.control).await?;
        let cpu = process::cpu_seconds(operator)?;
        let minutes = self.plan.rest_minutes;
        Self::say(&format!("watching it at rest for {minutes} minutes"));
        tokio::time::sleep(Duration::from_secs(60 * u64::from(minutes))).await;
        let vcenter = calls::read(&self.lab.vcenter.control).await?;
        let nsx = self.nsx_calls().await?;
        Self::say(&format!("{:?}", calls::counted(&nsx)));
        let rest = Rest {
            minutes: f64::from(minutes),
            nsx_calls: nsx.len(),
            vcenter_calls: vcenter
                .iter()
                .filter(|call| call.client == self.lab.vcenter.username && call.counts_at_vcenter())
                .count(),
            cpu_seconds: rounded(process::cpu_seconds(operator)? - cpu),
        };
        Self::say(&format!("{rest:?}"));
        self.report.rest = Some(rest);
        Ok(())
    }

    async fn drift(&mut self, ours: &[nsx::Held]) -> Result<()> {
        let kind = self.plan.subject.nsx_type();
        let held: Vec<nsx::Held> = ours
            .iter()
            .filter(|(_, held, body)| held == kind && of_subject(body, self.plan.subject))
            .cloned()
            .collect();
        let hands = HANDS.min(held.len() / 2);
        let (edited, rest) = held.split_at(hands);
        let deleted = rest.get(..hands).unwrap_or_default();
        let admin = self.lab.nsx.admin()?;
        nsx::tamper(&admin, edited, deleted).await?;
        calls::forget(&self.lab.nsx.control).await?;
        let started = Instant::now();
        let touched: Vec<&nsx::Held> = edited.iter().chain(deleted).collect();
        let paths: Vec<String> = touched.iter().map(|(path, _, _)| path.clone()).collect();
        let limit = PERIOD + CHANGE;
        loop {
            let now = nsx::look(&self.lab.nsx.control, &paths).await?;
            let repaired = |(path, _, before): &&nsx::Held| {
                now.get(path)
                    .is_some_and(|now| now.get("display_name") == before.get("display_name"))
            };
            let left = touched.iter().filter(|held| !repaired(held)).count();
            if left == 0 {
                break;
            }
            if started.elapsed() > limit {
                return Err(Error::Other(format!("{left} edits by hand are not repaired")));
            }
            tokio::time::sleep(LOOK).await;
        }
        let drift = Drift {
            edited: edited.len(),
            deleted: deleted.len(),
            period_seconds: PERIOD.as_secs(),
            seconds: rounded(started.elapsed().as_secs_f64()),
            nsx_calls: self.nsx_calls().await?.len(),
        };
        Self::say(&format!("{drift:?}"));
        self.report.drift = Some(drift);
        Ok(())
    }

    /// One rule more while all others are looked at again, because the Site's grants have changed.
    async fn one_more(&mut self) -> Result<()> {
        let before = self.cost().await?;
        let sites = kind("Site")?.all(&self.client);
        let wider = json!({"spec": {"tenants": tenants(&["203.0.113.0/24"])}});
        let changed = sites
            .patch(SITE, &PatchParams::default(), &Patch::Merge(&wider))
            .await;
        changed.context(|| "change the Site".to_owned())?;
        let started = Instant::now();
        let rule = json!({
            "apiVersion": "vic-operator.io/v1alpha1", "kind": "EdgeNatRule",
            "metadata": {"name": "late", "namespace": NAMESPACE},
            "spec": {
                "siteRef": {"name": SITE}, "action": "DNAT", "protocol": "TCP",
                "external": {"address": "100.127.0.1", "port": 80},
                "internal": {"networkRef": {"name": "web-0"}, "address": "10.40.200.1", "port": 80},
                "firewall": {"mode": "Exclusive", "allowFrom": [{"cidr": "0.0.0.0/0"}]},
            },
        });
        self.objects.create_one(rule).await?;
        let packet = json!({"from": "198.51.100.7", "to": "100.127.0.1", "port": 80, "protocol": "TCP"});
        loop {
            let told = self.lab.nsx.control.post("/probe", &packet).await?;
            if told.get("translated").and_then(Value::as_str) == Some("10.40.200.1:80") {
                break;
            }
            if started.elapsed() > CHANGE {
                return Err(Error::Other(format!("the late rule is not in effect: {told}")));
            }
            tokio::time::sleep(LOOK).await;
        }
        let seconds = rounded(started.elapsed().as_secs_f64());
        let looked = self.cost().await?.reconciles - before.reconciles;
        Self::say(&format!(
            "one more rule after {seconds} s; {looked} reconciles meanwhile"
        ));
        self.report.new_rule_under_load_seconds = Some(seconds);
        Ok(())
    }

    async fn delete(&mut self) -> Result<()> {
        calls::forget(&self.lab.nsx.control).await?;
        Self::say("deleting everything");
        let started = Instant::now();
        self.objects.delete().await?;
        let delete = Delete {
            seconds: rounded(started.elapsed().as_secs_f64()),
            nsx_writes: self
                .nsx_calls()
                .await?
                .iter()
                .filter(|call| call.is_write())
                .count(),
        };
        Self::say(&format!("{delete:?}"));
        self.report.delete = Some(delete);
        let peak = self.cost().await?.peak_mib;
        self.note_peak(peak);
        Ok(())
    }
}

fn kind(name: &str) -> Result<Kind> {
    Kind::named(name).ok_or_else(|| Error::Other(format!("no kind {name}")))
}

fn tenants(more_addresses: &[&str]) -> Value {
    let mut allow = subject::grants();
    if let Some(addresses) = allow.get_mut("externalAddresses").and_then(Value::as_array_mut) {
        addresses.extend(more_addresses.iter().map(|text| json!(text)));
    }
    json!([{"name": "bench", "namespaces": {"names": [NAMESPACE]}, "allow": allow}])
}

/// The name of the custom resource that an object in NSX was made for.
fn made_for(body: &serde_json::Map<String, Value>) -> Option<&str> {
    let tags = body.get("tags")?.as_array()?;
    let name = tags
        .iter()
        .find(|tag| tag.get("scope").and_then(Value::as_str) == Some("vic-operator/name"))?;
    name.get("tag")?.as_str()
}

fn of_subject(body: &serde_json::Map<String, Value>, subject: Subject) -> bool {
    made_for(body).is_some_and(|name| subject.number(name).is_some())
}

/// Whether an object belongs to one of the first `n`, or is shared by them.
fn of_the_first((_, kind, body): &nsx::Held, n: usize, subject: Subject) -> bool {
    match made_for(body) {
        Some(name) => subject.number(name).is_some_and(|number| number < n),
        None => kind != "Segment",
    }
}
