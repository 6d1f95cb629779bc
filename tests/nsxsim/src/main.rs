//! The nsxsim program: prints one line of JSON when it serves, logs to stderr.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An NSX Manager to test against.
#[derive(Parser)]
struct Arguments {
    /// Certificate chain, PEM.
    #[arg(long)]
    cert: PathBuf,
    /// Private key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// Address of the manager's HTTPS.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of the control port.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Nodes of the manager's cluster; with more than one, `listen` is their virtual address.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Account.
    #[arg(long, default_value = "admin")]
    username: String,
    /// Password of the account.
    #[arg(long, default_value = "VMware1!VMware1!")]
    password: String,
    /// Keep the bodies of calls that may change something in this file, one JSON object a line.
    #[arg(long)]
    bodies: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already")?;
    let chain = CertificateDer::pem_file_iter(&arguments.cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&arguments.key)?;
    let mut tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let simulator = nsxsim::Simulator::start(nsxsim::Config {
        listen: arguments.listen,
        control: arguments.control,
        username: arguments.username,
        password: arguments.password,
        nodes: arguments.nodes,
        tls,
        bodies: arguments.bodies,
    })
    .await?;
    println!(
        "{}",
        serde_json::json!({"url": simulator.url, "control": simulator.control, "nodes": simulator.nodes})
    );
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
