//! Faults of NSX and vCenter, as the control ports take them.

use super::point::System;
use crate::error::Result;
use crate::lab::Lab;
use serde_json::{Value, json};

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// It strikes once; nobody need read of it.
    Once,
    /// It strikes again and again until a condition gives this reason.
    UntilTold(&'static str),
    /// It lasts until the phase is over; nobody need read of it.
    Throughout,
}

/// A fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Its name in reports.
    pub name: &'static str,
    /// Whose it is.
    pub system: System,
    /// How long it lasts.
    pub lasting: Lasting,
    rules: fn() -> Vec<Value>,
    tuning: fn() -> Option<Value>,
}

/// Methods by which the operator changes what the scenario has in vCenter.
const TASKS: [&str; 3] = [
    "AddDVPortgroup_Task",
    "ReconfigureDVPortgroup_Task",
    "Destroy_Task",
];
/// Time after which an answer counts as lost, and some more.
const STALL_MS: u64 = 75_000;
/// A page of a proxy.
const PAGE: &str = "<html><body><h1>Sign in</h1></body></html>";

const fn nsx(name: &'static str, lasting: Lasting, rules: fn() -> Vec<Value>) -> Fault {
    Fault {
        name,
        system: System::Nsx,
        lasting,
        rules,
        tuning: || None,
    }
}

const fn vcenter(name: &'static str, lasting: Lasting, rules: fn() -> Vec<Value>) -> Fault {
    Fault {
        system: System::Vcenter,
        ..nsx(name, lasting, rules)
    }
}

use Lasting::{Once, Throughout, UntilTold};

/// All faults.
pub const FAULTS: [Fault; 17] = [
    nsx("nsx-429-storm", UntilTold("NsxUnavailable"), || {
        vec![policy(
            0,
            &overload(429, "Client 'admin' exceeded request rate of 100 per second"),
        )]
    }),
    nsx("nsx-503", UntilTold("NsxUnavailable"), || {
        vec![policy(
            0,
            &overload(503, "Client 'admin' exceeded request concurrency of 40"),
        )]
    }),
    nsx("nsx-412", UntilTold("NsxUnavailable"), || {
        vec![writes(0, &stale())]
    }),
    nsx("nsx-412-once", Once, || vec![writes(1, &stale())]),
    nsx("nsx-dropped-after-commit", UntilTold("NsxUnreachable"), || {
        vec![writes(0, &json!("drop-after-commit"))]
    }),
    nsx("nsx-dropped-after-commit-once", Once, || {
        vec![writes(1, &json!("drop-after-commit"))]
    }),
    nsx("nsx-html-body", UntilTold("Nsx"), || {
        vec![policy(0, &json!({"status": 200, "body": PAGE}))]
    }),
    nsx("nsx-login-expired", Once, || {
        vec![writes(1, &json!("expire-session"))]
    }),
    nsx("nsx-login-never-kept", UntilTold("Nsx"), || {
        vec![policy(0, &json!("expire-session"))]
    }),
    Fault {
        tuning: || Some(json!({"search_delay_ms": 10_000})),
        ..nsx("nsx-search-lag-10s", Throughout, Vec::new)
    },
    vcenter(
        "vcenter-not-authenticated",
        UntilTold("InvalidCredentials"),
        || tasks(-1, &json!({"action": "fault", "fault": "NotAuthenticated"})),
    ),
    vcenter("vcenter-login-expired", Once, || {
        tasks(1, &json!({"action": "expire-session"}))
    }),
    vcenter(
        "vcenter-concurrent-access",
        UntilTold("VCenterUnavailable"),
        || tasks(-1, &json!({"action": "fault", "fault": "ConcurrentAccess"})),
    ),
    vcenter("vcenter-task-failure", UntilTold("VCenterUnavailable"), || {
        tasks(-1, &json!({"action": "task-fault", "fault": "SystemError"}))
    }),
    vcenter("vcenter-task-failure-after-commit", Once, || {
        tasks(
            1,
            &json!({"action": "task-fault", "fault": "SystemError", "commit": true}),
        )
    }),
    vcenter("vcenter-dropped-after-commit", Once, || {
        tasks(1, &json!({"action": "drop-after-commit"}))
    }),
    vcenter("vcenter-stalled-connection", UntilTold("VCenter"), || {
        tasks(-1, &json!({"action": "delay", "delay_ms": STALL_MS}))
    }),
];

/// The gateway before NSX refuses without a `httpStatus`, and with its code as a text.
fn overload(status: u16, message: &str) -> Value {
    let body = json!({"module_name": "common-services", "error_message": message, "error_code": "102"});
    json!({"status": status, "body": body})
}

fn stale() -> Value {
    let message = "The object was modified by somebody else";
    let body = json!({
        "httpStatus": "PRECONDITION_FAILED", "error_code": 604, "module_name": "policy", "error_message": message,
    });
    json!({"status": 412, "body": body})
}

/// A fault of every call below the policy API; zero times is always.
fn policy(times: u32, action: &Value) -> Value {
    json!({"match": {"path": "/policy", "client": "vic-operator/"}, "times": times, "action": action})
}

/// A fault of every write below the policy API; zero times is always.
fn writes(times: u32, action: &Value) -> Value {
    let matched = json!({"method": "PATCH", "path": "/policy", "client": "vic-operator/"});
    json!({"match": matched, "times": times, "action": action})
}

/// A rule for each method that changes something; -1 times is always.
fn tasks(times: i32, action: &Value) -> Vec<Value> {
    let rule = |method: &str| {
        let mut rule = json!({"match": {"method": method}, "times": times});
        if let (Some(rule), Some(action)) = (rule.as_object_mut(), action.as_object()) {
            rule.extend(action.clone());
        }
        rule
    };
    TASKS.into_iter().map(rule).collect()
}

impl Fault {
    /// Lets it strike from now on.
    ///
    /// # Errors
    /// The control port refuses it.
    pub async fn begin(&self, lab: &Lab) -> Result<()> {
        let control = match self.system {
            System::Vcenter => &lab.vcenter.control,
            System::Nsx | System::Kube => &lab.nsx.control,
        };
        for rule in (self.rules)() {
            control.post("/faults", &rule).await?;
        }
        if let Some(tuning) = (self.tuning)() {
            control.post("/tune", &tuning).await?;
        }
        Ok(())
    }

    /// Takes it away; returns how often it struck. `usual` is the tuning of NSX before.
    ///
    /// # Errors
    /// A control port does not answer.
    pub async fn end(&self, lab: &Lab, usual: &Value) -> Result<usize> {
        let mut struck = 0;
        for control in [&lab.nsx.control, &lab.vcenter.control] {
            struck += hits(&control.get("/faults").await?);
            control.call(reqwest::Method::DELETE, "/faults", None).await?;
        }
        if (self.tuning)().is_some() {
            lab.nsx.control.post("/tune", usual).await?;
        }
        Ok(struck)
    }
}

/// The hits of a control port's faults: one lists them under a name, the other as they are.
fn hits(faults: &Value) -> usize {
    let list = faults.get("faults").unwrap_or(faults).as_array();
    let hits = list
        .into_iter()
        .flatten()
        .filter_map(|fault| fault.get("hits")?.as_u64());
    hits.filter_map(|hits| usize::try_from(hits).ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_told_apart_and_each_fault_does_something() {
        let names: BTreeSet<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), FAULTS.len());
        for fault in FAULTS {
            assert!(
                !(fault.rules)().is_empty() || (fault.tuning)().is_some(),
                "{}",
                fault.name
            );
            assert_ne!(fault.system, System::Kube);
        }
    }

    #[test]
    fn hits_are_counted_in_both_forms() {
        let list = json!([{"hits": 2}, {"hits": 3}]);
        assert_eq!(hits(&json!({"faults": list})), 5);
        assert_eq!(hits(&list), 5);
    }
}
