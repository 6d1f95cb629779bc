//! One simulator per test, on loopback, with a certificate of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use vsphere::{Config, Engine, Inventory, Moref};

pub const USERNAME: &str = "administrator@vsphere.local";
pub const PASSWORD: &str = "correct horse";

/// A simulator, killed when dropped.
pub struct Lab {
    pub url: String,
    control: String,
    authority: CertificateDer<'static>,
    http: reqwest::Client,
    _directory: tempfile::TempDir,
    _process: Child,
}

/// The simulator that `VCSIM` names, or else one built once for this run. Without Go there is nothing to test against: that is only accepted
/// outside CI.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            if let Some(program) = std::env::var_os("VCSIM") {
                return Some(program.into());
            }
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vcsim");
            let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vcsim");
            let build = std::process::Command::new("go")
                .arg("build")
                .arg("-o")
                .arg(&program)
                .arg(".")
                .current_dir(source)
                .status();
            match build {
                Ok(status) => {
                    assert!(status.success(), "the simulator does not build");
                    Some(program)
                }
                Err(error) => {
                    assert!(std::env::var_os("CI").is_none(), "go is needed in CI: {error}");
                    eprintln!("skipped: go cannot be run ({error})");
                    None
                }
            }
        })
        .as_deref()
}

impl Lab {
    /// Starts a simulator; none where it cannot be built.
    pub async fn start() -> Option<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let program = tokio::task::spawn_blocking(program).await.unwrap()?;
        let directory = tempfile::tempdir().unwrap();
        let certified =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let certificate = directory.path().join("cert.pem");
        let key = directory.path().join("key.pem");
        std::fs::write(&certificate, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let mut process = Command::new(program)
            .arg("--cert")
            .arg(&certificate)
            .arg("--key")
            .arg(&key)
            .args(["--username", USERNAME, "--password", PASSWORD])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = tokio::time::timeout(Duration::from_mins(1), lines.next_line())
            .await
            .unwrap()
            .unwrap();
        let ready: Value = serde_json::from_str(&ready.unwrap()).unwrap();
        Some(Self {
            url: ready["url"].as_str().unwrap().to_owned(),
            control: ready["control"].as_str().unwrap().to_owned(),
            authority: certified.cert.der().clone(),
            http: reqwest::Client::new(),
            _directory: directory,
            _process: process,
        })
    }

    /// A configuration that trusts this simulator.
    pub fn config(&self) -> Config {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        self.config_with(roots)
    }

    /// A configuration with that trust.
    pub fn config_with(&self, roots: rustls::RootCertStore) -> Config {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Config {
            url: self.url.clone(),
            datacenter: "DC0".to_owned(),
            username: USERNAME.to_owned(),
            password: PASSWORD.to_owned(),
            tls,
            user_agent: "vic-operator-test".to_owned(),
            mark_field: "vic-operator".to_owned(),
            may_write: Arc::new(|| true),
            observer: Arc::new(()),
        }
    }

    /// An engine whose mirror is loaded.
    pub async fn engine(&self) -> Engine {
        let engine = Engine::connect(self.config()).await.unwrap();
        engine.loaded().await;
        engine
    }

    /// Speaks to the control port.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let response = self
            .http
            .post(format!("{}{path}", self.control))
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path} {body}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// What a human's hand does.
    pub async fn edit(&self, body: Value) {
        self.control("/edit", body).await;
    }

    /// Lets a method fail once.
    pub async fn fault(&self, method: &str, action: Value) {
        let mut fault = json!({"match": {"method": method}, "times": 1});
        for (key, value) in action.as_object().unwrap() {
            fault[key] = value.clone();
        }
        self.control("/faults", fault).await;
    }

    /// Lets everything work again.
    pub async fn end_faults(&self) {
        self.http
            .delete(format!("{}/faults", self.control))
            .send()
            .await
            .unwrap();
    }

    /// The methods called so far, in order, without the waits.
    pub async fn calls(&self) -> Vec<String> {
        let response = self
            .http
            .get(format!("{}/calls", self.control))
            .send()
            .await
            .unwrap();
        let calls: Value = response.json().await.unwrap();
        let log = calls["log"].as_array().unwrap();
        let methods = log
            .iter()
            .map(|entry| entry["method"].as_str().unwrap().to_owned());
        methods.filter(|method| method != "WaitForUpdatesEx").collect()
    }

    /// Forgets the calls so far.
    pub async fn forget_calls(&self) {
        self.http
            .delete(format!("{}/calls", self.control))
            .send()
            .await
            .unwrap();
    }
}

/// Waits until the mirror shows something, woken by its own notices.
pub async fn eventually(engine: &Engine, what: &str, mut condition: impl FnMut(&Inventory) -> bool) {
    let mut changes = engine.changes();
    let wait = async {
        while !engine.read(&mut condition) {
            // A lagging reader looks again at once.
            let _ = changes.recv().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

/// The switch that the simulator is born with.
pub fn switch(engine: &Engine) -> Moref {
    engine.read(|inventory| inventory.find_switch("DVS0").unwrap().moref.clone())
}

/// The pool that the simulator is born with.
pub fn pool(engine: &Engine) -> Moref {
    engine.read(|inventory| {
        inventory
            .find_pool("DC0_C0/Resources/Containers")
            .unwrap()
            .moref
            .clone()
    })
}

/// The datacenter's root folder of VMs.
pub fn vm_folder(engine: &Engine) -> Moref {
    engine.read(|inventory| inventory.datacenter().unwrap().vm_folder.clone().unwrap())
}
