//! The simulators of NSX and vCenter, each behind its own certificate authority.

use crate::cluster::write_identity;
use crate::control::Json;
use crate::error::{Error, Result};
use crate::net::Network;
use crate::pki::Authority;
use crate::process::{Process, Stdout};
use crate::programs::Programs;
use crate::run_dir::RunDir;
use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a simulator may take to serve on a busy machine.
const START: Duration = Duration::from_mins(1);
/// The run's file with the bodies that nsxsim was sent.
pub const BODIES: &str = "nsx-bodies.jsonl";

/// A simulator that serves: its public side, its control port, and who may log in.
#[derive(Debug)]
pub struct Simulator {
    /// `https://127.0.0.1:port`.
    pub url: String,
    /// What its nodes answer at, each by itself: one for a server that has no others.
    pub nodes: Vec<String>,
    /// The control port's URL.
    pub control_url: String,
    /// The account that the operator uses.
    pub username: String,
    /// Its password.
    pub password: String,
    /// The PEM of the authority that signed its certificate.
    pub ca: String,
    /// The file with that PEM.
    pub ca_file: PathBuf,
    /// The control port.
    pub control: Json,
    process: Process,
}

impl Simulator {
    /// Starts nsxsim with so many nodes behind its URL, which keeps what it is sent in the run's directory.
    ///
    /// # Errors
    /// It ended or was not ready in time; with the end of its log.
    pub async fn nsx(run: &RunDir, programs: &Programs, nodes: usize) -> Result<Self> {
        let mut command = Command::new(&programs.nsxsim);
        command.arg("--bodies").arg(run.join(BODIES));
        command.args(["--nodes", &nodes.to_string()]);
        Self::start(run, "nsxsim", "nsx", "admin", command).await
    }

    /// Starts vcsim, joined to `nsx`; the guests of its VCHs listen in the run's network.
    ///
    /// # Errors
    /// It ended or was not ready in time; with the end of its log.
    pub async fn vcenter(
        run: &RunDir,
        programs: &Programs,
        nsx: &Self,
        network: &Network,
        endpoint_password: &str,
    ) -> Result<Self> {
        let mut command = Command::new(&programs.vcsim);
        command.args(["--nsx-control", &nsx.control_url]);
        command.args(["--vch-network", &network.subnet().to_string()]);
        command.args(["--endpoint-password", endpoint_password]);
        Self::start(run, "vcsim", "vcenter", "administrator@vsphere.local", command).await
    }

    async fn start(
        run: &RunDir,
        name: &str,
        role: &str,
        username: &str,
        mut command: Command,
    ) -> Result<Self> {
        let authority = Authority::new(&format!("{role}-ca"))?;
        let ca_file = run.write(&format!("{role}-ca.crt"), authority.pem())?;
        let identity = authority.server(&format!("{role}.example.com"), &["127.0.0.1", "localhost"])?;
        let (cert, key) = write_identity(run, role, &identity)?;
        let password = password();
        command.arg("--cert").arg(cert).arg("--key").arg(key);
        command.args(["--username", username, "--password", &password]);
        let mut process = Process::spawn(run, name, command, Stdout::ReadyLine)?;
        let ready = process.ready_line(START).await?;
        let text = |field: &str| {
            let value = ready.get(field).and_then(Value::as_str).map(str::to_owned);
            value.ok_or_else(|| Error::Other(format!("{name} did not say its {field}: {ready}")))
        };
        let (url, control_url) = (text("url")?, text("control")?);
        let nodes: Vec<String> = match ready.get("nodes").and_then(Value::as_array) {
            Some(nodes) => nodes
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            None => vec![url.clone()],
        };
        Ok(Self {
            control: Json::plain(&control_url)?,
            url,
            nodes,
            control_url,
            username: username.to_owned(),
            password,
            ca: authority.pem().to_owned(),
            ca_file,
            process,
        })
    }

    /// Where it logs.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// A client of its public side with the operator's credentials, as an administrator of NSX would use it.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn admin(&self) -> Result<Json> {
        Json::secure(&self.url, &self.ca, &self.username, &self.password)
    }
}

/// A password that needs no quoting anywhere, with every class of character that a policy may ask for.
#[must_use]
pub fn password() -> String {
    let mut rng = rand::rng();
    let random: String = (0..20).map(|_| char::from(rng.sample(Alphanumeric))).collect();
    format!("Aa1.{random}")
}
