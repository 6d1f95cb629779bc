//! The operator as a process of the laboratory.

use crate::error::{Error, Result};
use crate::process::{Process, Stdout};
use crate::run_dir::RunDir;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// The namespace in which the operator and the Secrets of Sites live.
pub const NAMESPACE: &str = "vic-operator-system";

/// How long the operator may take until its watches run.
const START: Duration = Duration::from_mins(2);

/// Name of the one Pod that the laboratory plays.
const POD: &str = "vic-operator-lab";

/// What a Deployment has a kubelet run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// Name of the service account.
    pub account: String,
    /// Arguments of the program.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
}

impl Launch {
    /// What this Deployment has run.
    ///
    /// # Errors
    /// It has no container, or takes a variable from where only a kubelet could.
    pub fn of(deployment: &Deployment) -> Result<Self> {
        let pod = deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref());
        let lacks = |what: &str| Error::Other(format!("the operator's Deployment has no {what}"));
        let pod = pod.ok_or_else(|| lacks("Pod"))?;
        let container = pod.containers.first().ok_or_else(|| lacks("container"))?;
        let mut environment = Vec::new();
        for variable in container.env.iter().flatten() {
            let field = variable
                .value_from
                .as_ref()
                .and_then(|source| source.field_ref.as_ref())
                .map(|field| field.field_path.as_str());
            let value = match (field, &variable.value) {
                (Some("metadata.name"), _) => POD.to_owned(),
                (Some("metadata.namespace"), _) => NAMESPACE.to_owned(),
                (None, Some(value)) => value.clone(),
                _ => return Err(lacks(&format!("value for {} that is known here", variable.name))),
            };
            environment.push((variable.name.clone(), value));
        }
        Ok(Self {
            account: pod.service_account_name.clone().ok_or_else(|| lacks("account"))?,
            arguments: container.args.clone().unwrap_or_default(),
            environment,
        })
    }
}

/// How the operator is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program.
    pub program: PathBuf,
    /// Whose rights it has.
    pub kubeconfig: PathBuf,
    /// Period of the look at NSX.
    pub nsx_resync: Duration,
    /// What the chart's Deployment says.
    pub launch: Launch,
}

/// A running operator.
#[derive(Debug)]
pub struct Operator {
    metrics: String,
    process: Process,
}

impl Operator {
    /// Starts the operator and waits until its watches run.
    ///
    /// # Errors
    /// It ended or was not ready in time; with the end of its log.
    pub async fn start(run: &RunDir, settings: &Settings) -> Result<Self> {
        let mut command = Command::new(&settings.program);
        // Pods have addresses of their own; here several operators share one.
        let shared = |argument: &&String| argument.starts_with("--metrics-address=");
        command
            .args(
                settings
                    .launch
                    .arguments
                    .iter()
                    .filter(|argument| !shared(argument)),
            )
            .arg("--metrics-address=127.0.0.1:0")
            .envs(settings.launch.environment.iter().cloned())
            .env("KUBECONFIG", &settings.kubeconfig);
        if let Ok(level) = std::env::var("RUST_LOG") {
            command.env("RUST_LOG", level);
        }
        let mut process = Process::spawn(run, "operator", command, Stdout::ReadyLine)?;
        let ready = process.ready_line(START).await?;
        let metrics = ready.get("metrics").and_then(Value::as_str).map(str::to_owned);
        let metrics =
            metrics.ok_or_else(|| Error::Other(format!("the operator did not say its metrics: {ready}")))?;
        Ok(Self { metrics, process })
    }

    /// URL of its metrics.
    #[must_use]
    pub fn metrics(&self) -> &str {
        &self.metrics
    }

    /// Where it logs.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The most memory it has held so far, in MiB (`VmHWM`).
    #[must_use]
    pub fn peak_mib(&self) -> Option<f64> {
        peak_mib(&fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?)
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Asks it to drain and end; returns how it ended.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.process.stop()
    }

    /// Kills it without a word.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

fn peak_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kubelet_would_run_is_read_from_the_deployment() {
        let deployment = |env: Value| -> Deployment {
            let pod = serde_json::json!({
                "serviceAccountName": "vic-operator",
                "containers": [{"name": "operator", "args": ["run", "--nsx-resync=5s"], "env": env}],
            });
            let spec = serde_json::json!({"selector": {}, "template": {"spec": pod}});
            serde_json::from_value(serde_json::json!({"metadata": {}, "spec": spec})).unwrap()
        };
        let from = |path: &str| serde_json::json!({"fieldRef": {"fieldPath": path}});
        let launch = Launch::of(&deployment(serde_json::json!([
            {"name": "POD_NAMESPACE", "valueFrom": from("metadata.namespace")},
            {"name": "RUST_LOG", "value": "info"},
        ])))
        .unwrap();
        assert_eq!(launch.account, "vic-operator");
        assert_eq!(launch.arguments, ["run", "--nsx-resync=5s"]);
        let expected = [("POD_NAMESPACE", NAMESPACE), ("RUST_LOG", "info")];
        assert_eq!(
            launch.environment,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let unknown = serde_json::json!([{"name": "NODE", "valueFrom": from("spec.nodeName")}]);
        assert!(Launch::of(&deployment(unknown)).is_err());
    }

    #[test]
    fn the_peak_is_read_from_the_kernels_table() {
        let status = "Name:\tvic-operator\nVmPeak:\t  999999 kB\nVmHWM:\t   51200 kB\nVmRSS:\t 100 kB\n";
        assert_eq!(peak_mib(status), Some(50.0));
        assert_eq!(peak_mib("Name:\tx\n"), None);
    }
}
