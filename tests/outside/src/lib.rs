//! Programs by clients that no one here wrote, and what they have to say of the simulators and of the operator.

use lab::outside::Clients;
use lab::programs::Programs;
use lab::progress::Progress;
use lab::run_dir::RunDir;
use lab::simulators::Simulator;
use lab::{Error, Result};
use serde_json::Value;

/// The clients and an NSX manager of their own.
#[derive(Debug)]
pub struct Stage {
    /// The clients.
    pub clients: Clients,
    /// The manager.
    pub nsx: Simulator,
    /// Where it logs, and keeps what it was sent.
    pub run: RunDir,
}

impl Stage {
    /// Starts a manager; `None` where the clients cannot be had and nobody insists on them.
    ///
    /// # Errors
    /// Something cannot be built, installed or started.
    pub async fn set(name: &str) -> Result<Option<Self>> {
        // Refused where another test of this process was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let progress = Progress::quiet();
        let Some(clients) = Clients::provide_if_possible(&progress).await? else {
            return Ok(None);
        };
        let programs = Programs::build(&progress, false).await?;
        let run = RunDir::create(name)?;
        let nsx = Simulator::nsx(&run, &programs, 1).await?;
        Ok(Some(Self { clients, nsx, run }))
    }

    /// What a program says that talks to the manager.
    ///
    /// # Errors
    /// It finds a fault, or does not come to its end.
    pub fn told(&self, program: &str) -> Result<Value> {
        let nsx = &self.nsx;
        let ca = nsx.ca_file.display().to_string();
        let arguments = [
            ["--url", &nsx.url],
            ["--control", &nsx.control_url],
            ["--ca", &ca],
            ["--username", &nsx.username],
            ["--password", &nsx.password],
        ];
        told(&self.clients, program, arguments.as_flattened())
    }
}

/// The report of a program; one with faults is an error that tells them.
///
/// # Errors
/// It finds a fault, or does not come to its end.
pub fn told(clients: &Clients, program: &str, arguments: &[&str]) -> Result<Value> {
    let output = clients.run(program, arguments)?;
    let report: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    match report {
        Some(report) if output.status.success() => Ok(report),
        Some(report) => Err(Error::Other(format!(
            "{program}: {}",
            lines(report.get("faults"))
        ))),
        None => Err(Error::Program {
            what: format!("{program}: {}", output.status),
            tail: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

fn lines(faults: Option<&Value>) -> String {
    let faults = faults.and_then(Value::as_array).into_iter().flatten();
    let texts: Vec<&str> = faults.filter_map(Value::as_str).collect();
    texts.join("\n")
}
