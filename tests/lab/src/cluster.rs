//! A Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager, with RBAC and an audit log.

use crate::error::{Context, Error, Result};
use crate::net::Network;
use crate::pki::{Authority, Identity, key_pair};
use crate::process::{Process, Stdout};
use crate::progress::Progress;
use crate::run_dir::RunDir;
use crate::tools::{Tool, Toolbox};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the control plane may take to serve on a busy machine.
const START: Duration = Duration::from_mins(3);
/// Pause between two looks at a readiness endpoint.
const LOOK: Duration = Duration::from_millis(100);

/// Garbage collection of the API server: more memory for half as much of a small machine's time again.
const GOGC: &str = "400";

/// What the audit log holds: writes to this project's kinds; with their bodies, Events (the only place that says what an
/// Event is about); and all that the operator asks for, which tells the rights that it uses.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
    resources: [{group: vic-operator.io}]
  - level: Request
    verbs: [create, update, patch]
    resources: [{group: '', resources: [events]}, {group: events.k8s.io}]
  - level: Metadata
    users: ['system:serviceaccount:vic-operator-system:vic-operator']
  - level: None
";

/// Controllers that a topology without pods needs.
const CONTROLLERS: &str = "namespace-controller,garbage-collector-controller,serviceaccount-controller,clusterrole-aggregation-controller";

/// A running control plane. Fields end in order: the server of the store last.
#[derive(Debug)]
pub struct Cluster {
    url: String,
    kubeconfig: PathBuf,
    audit: PathBuf,
    ca: PathBuf,
    controller_manager: Process,
    apiserver: Process,
    etcd: Process,
}

impl Cluster {
    /// Starts the three and waits until the API server is ready.
    ///
    /// # Errors
    /// One of them ended or was not ready in time; with the end of its log.
    pub async fn start(
        run: &RunDir,
        network: &Network,
        tools: &Toolbox,
        progress: &Progress,
    ) -> Result<Self> {
        let keys = Keys::write(run, network)?;
        progress.step("starting etcd");
        let (etcd, etcd_url) = start_etcd(run, network, tools).await?;
        progress.step("starting kube-apiserver");
        let (mut apiserver, url) = start_apiserver(run, network, tools, &keys, &etcd_url)?;
        let kubeconfig = write_kubeconfig(run, "kubeconfig", &url, &keys.ca, &keys.user(run, "admin"))?;
        wait_until_ready(&kubeconfig, &mut apiserver).await?;
        progress.step("starting kube-controller-manager");
        let controller_manager = start_controller_manager(run, network, tools, &keys, &url)?;
        let audit = run.join("audit.log");
        Ok(Self {
            url,
            kubeconfig,
            audit,
            ca: keys.ca,
            controller_manager,
            apiserver,
            etcd,
        })
    }

    /// The API server's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> &Path {
        &self.audit
    }

    /// A client of the administrator. It belongs to the runtime that makes it.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn client(&self) -> Result<kube::Client> {
        client(&self.kubeconfig).await
    }

    /// Writes a kubeconfig that presents a bearer token.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn token_kubeconfig(&self, run: &RunDir, name: &str, token: &str) -> Result<PathBuf> {
        write_kubeconfig(run, name, &self.url, &self.ca, &json!({ "token": token }))
    }

    /// The three processes.
    pub(crate) fn processes(&self) -> [&Process; 3] {
        [&self.etcd, &self.apiserver, &self.controller_manager]
    }
}

/// The files of the cluster's public key infrastructure.
struct Keys {
    ca: PathBuf,
}

impl Keys {
    fn write(run: &RunDir, network: &Network) -> Result<Self> {
        let authority = Authority::new("kubernetes")?;
        let ca = run.write("kube-ca.crt", authority.pem())?;
        let address = network.services().to_string();
        let names = [
            address.as_str(),
            "127.0.0.1",
            "localhost",
            "kubernetes.default.svc",
        ];
        write_identity(
            run,
            "kube-apiserver",
            &authority.server("kube-apiserver", &names)?,
        )?;
        write_identity(run, "admin", &authority.client("admin", "system:masters")?)?;
        let manager = authority.client("system:kube-controller-manager", "system:kube-controller-manager")?;
        write_identity(run, "kube-controller-manager", &manager)?;
        let (private, public) = key_pair()?;
        run.write("service-account.key", private)?;
        run.write("service-account.pub", public)?;
        Ok(Self { ca })
    }

    /// A kubeconfig's user who presents a certificate of the run.
    #[expect(
        clippy::unused_self,
        reason = "the certificates exist once the keys have been written"
    )]
    fn user(&self, run: &RunDir, name: &str) -> serde_json::Value {
        json!({
            "client-certificate": run.join(&format!("{name}.crt")),
            "client-key": run.join(&format!("{name}.key")),
        })
    }
}

/// Writes `<name>.crt` and `<name>.key`.
pub(crate) fn write_identity(run: &RunDir, name: &str, identity: &Identity) -> Result<(PathBuf, PathBuf)> {
    Ok((
        run.write(&format!("{name}.crt"), &identity.cert)?,
        run.write(&format!("{name}.key"), &identity.key)?,
    ))
}

/// A client by kubeconfig.
///
/// # Errors
/// The kubeconfig cannot be used.
pub async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    let what = || format!("use {}", kubeconfig.display());
    let parsed =
        Kubeconfig::read_from(kubeconfig).map_err(|error| Error::Other(format!("{}: {error}", what())))?;
    let config = kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|error| Error::Other(format!("{}: {error}", what())))?;
    kube::Client::try_from(config).context(what)
}

fn write_kubeconfig(
    run: &RunDir,
    name: &str,
    url: &str,
    ca: &Path,
    user: &serde_json::Value,
) -> Result<PathBuf> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": url, "certificate-authority": ca}}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    });
    let text = serde_yaml_ng::to_string(&config).context(|| "write a kubeconfig".to_owned())?;
    run.write(name, text)
}

async fn start_etcd(run: &RunDir, network: &Network, tools: &Toolbox) -> Result<(Process, String)> {
    let (client, peer) = (http(network)?, http(network)?);
    let mut command = Command::new(tools.path(Tool::Etcd));
    command
        .arg("--unsafe-no-fsync")
        .arg(flag("data-dir", run.join("etcd").display()))
        .args([
            flag("listen-client-urls", &client),
            flag("advertise-client-urls", &client),
        ])
        .args([
            flag("listen-peer-urls", &peer),
            flag("initial-advertise-peer-urls", &peer),
        ])
        .arg(flag("initial-cluster", format!("default={peer}")))
        .args(["--quota-backend-bytes=2147483648", "--log-level=warn"]);
    let mut etcd = Process::spawn(run, "etcd", command, Stdout::Log)?;
    let health = format!("{client}/health");
    let deadline = Instant::now() + START;
    while !reqwest::get(&health)
        .await
        .is_ok_and(|answer| answer.status().is_success())
    {
        pause(&mut etcd, deadline, "etcd").await?;
    }
    Ok((etcd, client))
}

fn start_apiserver(
    run: &RunDir,
    network: &Network,
    tools: &Toolbox,
    keys: &Keys,
    etcd: &str,
) -> Result<(Process, String)> {
    let port = network.port()?;
    let policy = run.write("audit-policy.yaml", AUDIT_POLICY)?;
    let file = |name: &str| run.join(name).display().to_string();
    let mut command = Command::new(tools.path(Tool::KubeApiserver));
    command
        .args([
            flag("etcd-servers", etcd),
            flag("bind-address", network.services()),
            flag("secure-port", port),
        ])
        // Advertised to nobody: with no endpoint reconciler it only has to be an address.
        .args([
            flag("advertise-address", network.services()),
            flag("endpoint-reconciler-type", "none"),
        ])
        .args([flag("tls-cert-file", file("kube-apiserver.crt"))])
        .args([flag("tls-private-key-file", file("kube-apiserver.key"))])
        .args([
            flag("client-ca-file", keys.ca.display()),
            flag("authorization-mode", "RBAC"),
        ])
        .args([flag("service-account-issuer", "https://kubernetes.default.svc")])
        .args([flag("service-account-key-file", file("service-account.pub"))])
        .args([flag(
            "service-account-signing-key-file",
            file("service-account.key"),
        )])
        .args([flag("service-cluster-ip-range", "10.96.0.0/24")])
        .args([
            flag("audit-log-path", file("audit.log")),
            flag("audit-policy-file", policy.display()),
        ])
        .args([flag("audit-log-maxsize", 2000)]);
    command.env("GOGC", GOGC);
    let apiserver = Process::spawn(run, "kube-apiserver", command, Stdout::Log)?;
    Ok((apiserver, format!("https://{}:{port}", network.services())))
}

fn start_controller_manager(
    run: &RunDir,
    network: &Network,
    tools: &Toolbox,
    keys: &Keys,
    url: &str,
) -> Result<Process> {
    let name = "kube-controller-manager";
    let kubeconfig = write_kubeconfig(
        run,
        &format!("{name}.kubeconfig"),
        url,
        &keys.ca,
        &keys.user(run, name),
    )?;
    let mut command = Command::new(tools.path(Tool::KubeControllerManager));
    command
        .args([
            flag("kubeconfig", kubeconfig.display()),
            flag("controllers", CONTROLLERS),
        ])
        .args([
            flag("bind-address", network.services()),
            flag("secure-port", network.port()?),
        ])
        .args([
            flag("cert-dir", run.join("controller-manager").display()),
            flag("leader-elect", false),
        ])
        // Each controller acts with the rights that Kubernetes' own roles give it.
        .arg(flag("use-service-account-credentials", true));
    Process::spawn(run, name, command, Stdout::Log)
}

/// Waits for the API server's `/readyz`.
async fn wait_until_ready(kubeconfig: &Path, apiserver: &mut Process) -> Result<()> {
    let client = client(kubeconfig).await?;
    let deadline = Instant::now() + START;
    loop {
        let request = axum::http::Request::get("/readyz").body(Vec::new());
        let request = request.map_err(|error| Error::Other(format!("ask for /readyz: {error}")))?;
        if client.request_text(request).await.is_ok() {
            return Ok(());
        }
        pause(apiserver, deadline, "kube-apiserver").await?;
    }
}

/// A short pause, unless the process has ended or its time is up.
async fn pause(process: &mut Process, deadline: Instant, name: &str) -> Result<()> {
    process.check()?;
    if Instant::now() > deadline {
        return Err(Error::program(
            format!("{name} was not ready within {} s", START.as_secs()),
            process.log(),
        ));
    }
    tokio::time::sleep(LOOK).await;
    Ok(())
}

fn http(network: &Network) -> Result<String> {
    Ok(format!("http://{}:{}", network.services(), network.port()?))
}

fn flag(name: &str, value: impl Display) -> String {
    format!("--{name}={value}")
}
