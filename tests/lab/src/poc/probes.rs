//! Packets through the edge.

use crate::control::Json;
use crate::error::{Context, Error, Result};
use crate::poc::report::{ProbeReport, Report};
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant};

/// The edge's address on the consumers' side.
pub const PUBLISHED: &str = "203.0.113.10";
/// A consumer whom a narrowed rule still lets in.
pub const ALLOWED: &str = "198.51.100.7";
/// A consumer whom it does not.
pub const FORBIDDEN: &str = "192.0.2.99";

/// How long NSX may take to learn of a new virtual machine from its compute manager.
const INVENTORY: Duration = Duration::from_secs(20);
/// Pause between two packets of a repeated probe.
const LOOK: Duration = Duration::from_millis(100);

/// A packet and what should become of it.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// What it shows.
    pub id: &'static str,
    /// Where it comes from.
    pub from: &'static str,
    /// The port of the published address that it goes to.
    pub port: u16,
    /// Where it should go after NAT.
    pub translated: Option<&'static str>,
    /// The container that should receive it.
    pub container: Option<&'static str>,
    /// What should become of it.
    pub verdict: &'static str,
}

impl Probe {
    /// A packet that NAT translates and that reaches a container.
    #[must_use]
    pub fn delivered(id: &'static str, port: u16, to: &'static str, container: &'static str) -> Self {
        Self {
            id,
            from: ALLOWED,
            port,
            translated: Some(to),
            container: Some(container),
            verdict: "delivered",
        }
    }

    /// A packet that NAT translates to an address at which nothing is yet.
    #[must_use]
    pub fn dormant(id: &'static str, port: u16, to: &'static str) -> Self {
        Self {
            id,
            from: ALLOWED,
            port,
            translated: Some(to),
            container: None,
            verdict: "no-route",
        }
    }

    /// A packet to a port that nobody published.
    #[must_use]
    pub fn unpublished(id: &'static str, port: u16) -> Self {
        Self {
            id,
            from: ALLOWED,
            port,
            translated: None,
            container: None,
            verdict: "no-route",
        }
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    translated: Option<String>,
    vm: Option<String>,
    verdict: String,
    rule: Option<String>,
}

impl Answer {
    /// What is not as the probe expects: (field, expected, got).
    fn mismatch(&self, probe: &Probe) -> Option<(&'static str, String, String)> {
        let shown = |value: Option<&str>| value.unwrap_or("nothing").to_owned();
        if self.verdict != probe.verdict {
            return Some(("verdict", probe.verdict.to_owned(), self.verdict.clone()));
        }
        if self.translated.as_deref() != probe.translated {
            return Some((
                "translated",
                shown(probe.translated),
                shown(self.translated.as_deref()),
            ));
        }
        // A container VM's name is the container's name and a part of its id.
        let right_vm = match (self.vm.as_deref(), probe.container) {
            (Some(vm), Some(container)) => vm == container || vm.starts_with(&format!("{container}-")),
            (vm, container) => vm.is_none() && container.is_none(),
        };
        if !right_vm {
            return Some(("vm", shown(probe.container), shown(self.vm.as_deref())));
        }
        (probe.verdict == "dropped" && self.rule.is_none())
            .then(|| ("rule", "the rule that dropped it".to_owned(), "none".to_owned()))
    }
}

/// Sends a packet and notes what became of it.
///
/// # Errors
/// The simulator does not answer.
pub async fn send(nsx: &Json, probe: Probe, report: &mut Report) -> Result<()> {
    let answer = ask(nsx, probe).await?;
    note(probe, answer, report);
    Ok(())
}

/// Sends a packet until it does as expected, for as long as NSX may take to learn of a new virtual machine.
///
/// # Errors
/// The simulator does not answer.
pub async fn send_until(nsx: &Json, probe: Probe, report: &mut Report) -> Result<()> {
    let deadline = Instant::now() + INVENTORY;
    let mut answer = ask(nsx, probe).await?;
    while answer.mismatch(&probe).is_some() && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        answer = ask(nsx, probe).await?;
    }
    note(probe, answer, report);
    Ok(())
}

async fn ask(nsx: &Json, probe: Probe) -> Result<Answer> {
    let packet = json!({ "from": probe.from, "to": PUBLISHED, "port": probe.port, "protocol": "TCP" });
    let answer = nsx.post("/probe", &packet).await?;
    serde_json::from_value(answer.clone())
        .context(|| format!("the answer to probe {}", probe.id))
        .map_err(|error| Error::Other(format!("{error}: {answer}")))
}

fn note(probe: Probe, answer: Answer, report: &mut Report) {
    if let Some((field, expected, got)) = answer.mismatch(&probe) {
        report.fail(format!("probe {}: {field}", probe.id), expected, got);
    }
    report.probes.push(ProbeReport {
        id: probe.id.to_owned(),
        from: probe.from.to_owned(),
        to: PUBLISHED.to_owned(),
        port: probe.port,
        protocol: "TCP".to_owned(),
        translated: answer.translated,
        vm: answer.vm,
        verdict: answer.verdict,
        rule: answer.rule,
        expected: probe.verdict.to_owned(),
    });
}

/// A probe in a line.
#[must_use]
pub fn told(probe: &ProbeReport) -> String {
    let translated = probe.translated.as_deref().unwrap_or("not translated");
    let vm = probe
        .vm
        .as_deref()
        .map(|vm| format!(" to {vm}"))
        .unwrap_or_default();
    let rule = probe
        .rule
        .as_deref()
        .map(|rule| format!(" by {rule}"))
        .unwrap_or_default();
    let from_to = format!("{} ─▶ {}:{}", probe.from, probe.to, probe.port);
    let mark = if probe.verdict == probe.expected {
        ""
    } else {
        "  UNEXPECTED"
    };
    format!(
        "{:28} {from_to:38} {translated:16} {}{vm}{rule}{mark}",
        probe.id, probe.verdict
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(translated: Option<&str>, vm: Option<&str>, verdict: &str, rule: Option<&str>) -> Answer {
        let owned = |value: Option<&str>| value.map(str::to_owned);
        Answer {
            translated: owned(translated),
            vm: owned(vm),
            verdict: verdict.to_owned(),
            rule: owned(rule),
        }
    }

    #[test]
    fn a_delivery_to_another_machine_or_by_another_translation_is_none() {
        let probe = Probe::delivered("p", 80, "10.30.0.11:80", "web");
        let delivered = |to, vm| {
            answer(Some(to), Some(vm), "delivered", None)
                .mismatch(&probe)
                .map(|found| found.0)
        };
        assert_eq!(delivered("10.30.0.11:80", "web-0f3a"), None);
        assert_eq!(delivered("10.30.0.11:80", "web"), None);
        assert_eq!(delivered("10.30.0.11:80", "webshop"), Some("vm"));
        assert_eq!(delivered("10.30.0.12:80", "web"), Some("translated"));
        assert_eq!(
            answer(None, None, "no-route", None).mismatch(&probe).unwrap().0,
            "verdict"
        );
    }

    #[test]
    fn a_dropped_packet_names_the_rule() {
        let probe = Probe {
            verdict: "dropped",
            container: None,
            ..Probe::delivered("p", 80, "10.30.0.11:80", "web")
        };
        assert_eq!(
            answer(Some("10.30.0.11:80"), None, "dropped", None)
                .mismatch(&probe)
                .unwrap()
                .0,
            "rule"
        );
        assert!(
            answer(Some("10.30.0.11:80"), None, "dropped", Some("/infra/r"))
                .mismatch(&probe)
                .is_none()
        );
    }
}
