//! The operator as a process of the laboratory.

use crate::error::{Error, Result};
use crate::process::{Process, Stdout};
use crate::run_dir::RunDir;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// The namespace in which the operator and the Secrets of Sites live.
pub const NAMESPACE: &str = "vic-operator-system";

/// How long the operator may take until its watches run.
const START: Duration = Duration::from_mins(2);

/// How the operator is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program.
    pub program: PathBuf,
    /// Whose rights it has.
    pub kubeconfig: PathBuf,
    /// Period of the look at NSX.
    pub nsx_resync: Duration,
    /// The instance's name, where the default (the UID of `kube-system`) is not wanted.
    pub instance: Option<String>,
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
        command
            .args([
                "run",
                "--namespace",
                NAMESPACE,
                "--metrics-address",
                "127.0.0.1:0",
                "--nsx-resync",
            ])
            .arg(format!("{}s", settings.nsx_resync.as_secs()))
            .env("KUBECONFIG", &settings.kubeconfig);
        if let Some(instance) = &settings.instance {
            command.args(["--instance", instance]);
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
    fn the_peak_is_read_from_the_kernels_table() {
        let status = "Name:\tvic-operator\nVmPeak:\t  999999 kB\nVmHWM:\t   51200 kB\nVmRSS:\t 100 kB\n";
        assert_eq!(peak_mib(status), Some(50.0));
        assert_eq!(peak_mib("Name:\tx\n"), None);
    }
}
