//! The `vic-operator` program.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use vic_operator::controllers;
use vic_operator::import::{self, VicMachine};
use vic_operator::metrics::{self, Metrics};
use vic_operator::settings::Settings;

/// Declares vSphere Integrated Containers topologies in Kubernetes.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the controllers.
    Run(Run),
    /// Prints the CRDs.
    Crds,
    /// Prints manifests of what another tool made.
    #[command(subcommand)]
    Import(Import),
}

#[derive(Subcommand)]
enum Import {
    /// Of a VCH, from the command line of vic-machine create: `vic-operator import vic-machine -- create --target …`.
    VicMachine(VicMachine),
}

#[derive(Args)]
struct Run {
    /// The operator's own namespace, where Secrets and ConfigMaps of Sites lie.
    #[arg(long, env = "POD_NAMESPACE", default_value = "vic-operator-system")]
    namespace: String,
    /// Who this operator is towards vSphere and NSX; default the UID of namespace kube-system.
    #[arg(long)]
    instance: Option<String>,
    /// Who this process is among replicas; default the host's name.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// Period of the read that shows what others changed in NSX, such as 60s.
    #[arg(long, default_value = "60s", value_parser = period)]
    nsx_resync: Duration,
    /// Where metrics and health are served.
    #[arg(long, default_value = "127.0.0.1:8080")]
    metrics_address: SocketAddr,
    /// Log lines as JSON.
    #[arg(long)]
    log_json: bool,
}

fn period(text: &str) -> Result<Duration, String> {
    let seconds = vic_crds::Period::from(text)
        .seconds()
        .filter(|seconds| *seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text} is not a length of time such as 60s or 5m"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(run) => operate(run).await,
        Command::Crds => print_crds(),
        Command::Import(Import::VicMachine(command)) => match import_vic_machine(command).await {
            Ok(code) => return ExitCode::from(code),
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the operator ends");
            ExitCode::FAILURE
        }
    }
}

fn print_crds() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for crd in vic_crds::generate::all() {
        writeln!(out, "---\n{}", vic_crds::generate::yaml(&crd)?)?;
    }
    Ok(())
}

async fn import_vic_machine(command: VicMachine) -> Result<u8, Box<dyn Error>> {
    let said = import::run(command, |name| std::env::var(name).ok()).await;
    std::io::stdout().write_all(said.out.as_bytes())?;
    std::io::stderr().write_all(said.err.as_bytes())?;
    Ok(said.code)
}

async fn operate(run: Run) -> Result<(), Box<dyn Error>> {
    log_to_stderr(run.log_json);
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a crypto provider was installed before")?;
    let client = Client::try_default().await?;
    let settings = settings(run, &client).await?;
    let shutdown = CancellationToken::new();
    tokio::spawn(cancel_on_signal(shutdown.clone())?);
    let metrics = Arc::new(Metrics::default());
    let bound = metrics::serve(metrics.clone(), settings.metrics_address)?;
    tracing::info!(instance = settings.instance, identity = settings.identity, %bound, "the operator starts");
    writeln!(
        std::io::stdout(),
        "{}",
        serde_json::json!({"metrics": format!("http://{bound}")})
    )?;
    controllers::run(client, settings, metrics, shutdown).await;
    tracing::info!("the operator has drained and logged out");
    Ok(())
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    if json {
        builder.json().init();
    } else {
        builder.with_ansi(false).init();
    }
}

async fn settings(run: Run, client: &Client) -> Result<Settings, Box<dyn Error>> {
    let instance = match run.instance {
        Some(instance) => instance,
        None => Api::<Namespace>::all(client.clone())
            .get("kube-system")
            .await?
            .uid()
            .ok_or("namespace kube-system has no UID")?,
    };
    let identity = match run.identity {
        Some(identity) => identity,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")?
            .trim()
            .to_owned(),
    };
    Ok(Settings {
        namespace: run.namespace,
        instance,
        identity,
        nsx_resync: run.nsx_resync,
        metrics_address: run.metrics_address,
    })
}

fn cancel_on_signal(shutdown: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop: what is under way is drained");
        shutdown.cancel();
    })
}
