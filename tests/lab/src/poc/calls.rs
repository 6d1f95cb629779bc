//! The simulators' logs of calls.

use crate::control::Json;
use crate::error::{Context, Result};
use reqwest::Method;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A simulator's log.
#[derive(Debug, Deserialize)]
struct Log {
    log: Vec<Call>,
}

/// A call, as both simulators log it.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// Who: the session's user at vCenter, the program (`User-Agent`) at NSX.
    #[serde(default)]
    pub client: String,
    /// HTTP method, or the SOAP method's name.
    pub method: String,
    /// The path with its ids left out; SOAP has none.
    #[serde(default)]
    pub template: String,
    /// The path as it came; SOAP has none.
    #[serde(default)]
    pub path: String,
}

impl Call {
    /// Whether the operator made an NSX call.
    #[must_use]
    pub fn is_operators(&self) -> bool {
        self.client.starts_with("vic-operator/")
    }

    /// Whether an HTTP call may have changed something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }

    /// Whether a vCenter call counts: waiting for news and carrying an image's bytes do not.
    #[must_use]
    pub fn counts_at_vcenter(&self) -> bool {
        self.method != "WaitForUpdatesEx" && !self.method.starts_with("PUT ")
    }

    /// `METHOD /path/template`, or the SOAP method's name.
    #[must_use]
    pub fn name(&self) -> String {
        if self.template.is_empty() {
            self.method.clone()
        } else {
            format!("{} {}", self.method, self.template)
        }
    }
}

/// Forgets the calls so far.
///
/// # Errors
/// The control port does not answer.
pub async fn forget(control: &Json) -> Result<()> {
    control.call(Method::DELETE, "/calls", None).await.map(|_| ())
}

/// The calls since they were last forgotten.
///
/// # Errors
/// The control port does not answer as agreed.
pub async fn read(control: &Json) -> Result<Vec<Call>> {
    let log: Log =
        serde_json::from_value(control.get("/calls").await?).context(|| "a log of calls".to_owned())?;
    Ok(log.log)
}

/// Calls by name.
#[must_use]
pub fn counted<'a>(calls: impl IntoIterator<Item = &'a Call>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.name()).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, template: &str) -> Call {
        Call {
            client: "vic-operator/0.1.0".to_owned(),
            method: method.to_owned(),
            template: template.to_owned(),
            path: template.to_owned(),
        }
    }

    #[test]
    fn waiting_and_uploading_do_not_count_at_vcenter() {
        let calls = [
            call("WaitForUpdatesEx", ""),
            call("PUT /folder", ""),
            call("CreateVM_Task", ""),
        ];
        let counts = counted(calls.iter().filter(|call| call.counts_at_vcenter()));
        assert_eq!(counts, BTreeMap::from([("CreateVM_Task".to_owned(), 1)]));
    }

    #[test]
    fn every_method_of_nsx_but_get_writes() {
        let calls = [
            call("GET", "/a"),
            call("PATCH", "/a"),
            call("GET", "/a"),
            call("DELETE", "/b"),
        ];
        assert_eq!(calls.iter().filter(|call| call.is_write()).count(), 2);
        assert_eq!(counted(&calls)["GET /a"], 2);
    }
}
