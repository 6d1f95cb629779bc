//! Clients that no one here wrote, in Python: `tests/outside`, with the packages that its requirements pin.

use crate::error::{Context, Error, Result};
use crate::progress::Progress;
use crate::run_dir::workspace;
use crate::tools::{cache_folder, locked, run_visibly};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The operator's `User-Agent`, as far as it does not change with versions.
pub const OPERATOR: &str = "vic-operator/";
/// What people are told who have no Python.
const NEEDED: &str = "the outside clients need Python 3 with venv: run python3";

/// A Python interpreter with the packages that `tests/outside/requirements.txt` pins.
#[derive(Clone, Debug)]
pub struct Clients {
    python: PathBuf,
}

/// What the vendor's types and the type facts say of recorded bodies.
#[derive(Debug, Deserialize)]
pub struct BodyReport {
    /// Calls with a body.
    pub calls: u64,
    /// Bodies that differ.
    pub bodies: u64,
    /// Objects in them, by type.
    pub types: BTreeMap<String, u64>,
    /// What does not fit.
    pub faults: Vec<BodyFault>,
}

/// Something in a body that NSX's makers would not know.
#[derive(Debug, Deserialize)]
pub struct BodyFault {
    /// Method and path.
    pub call: String,
    /// Who objects: `types` (vcf-nsx) or `schema` (the facts).
    pub by: String,
    /// Where in the body, and why.
    pub fault: String,
}

impl BodyReport {
    /// The faults for a person, a line each; `None` if there are none.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let lines: Vec<String> = self
            .faults
            .iter()
            .map(|fault| format!("{} ({}): {}", fault.call, fault.by, fault.fault))
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl Clients {
    /// Finds or installs them, one installation at a time on this machine.
    ///
    /// # Errors
    /// Python 3 or its venv is missing, or a package cannot be had; with the end of the log.
    pub async fn provide(progress: &Progress) -> Result<Self> {
        let cache = cache_folder()?;
        fs::create_dir_all(&cache).context(|| format!("make {}", cache.display()))?;
        let requirements = folder().join("requirements.txt");
        let pins = fs::read(&requirements).context(|| format!("read {}", requirements.display()))?;
        let version = Command::new("python3").arg("--version").output();
        let version = version.context(|| NEEDED.to_owned())?.stdout;
        let digest = Sha256::new()
            .chain_update(&pins)
            .chain_update(&version)
            .finalize();
        let name = format!("python-{digest:x}");
        let venv = cache.join(name.get(..19).unwrap_or(&name));
        if !is_complete(&venv) {
            let _lock = locked(&cache.join("python.lock"), progress, "the outside clients").await?;
            if !is_complete(&venv) {
                install(&venv, &requirements, progress).await?;
            }
        }
        Ok(Self {
            python: venv.join("bin/python"),
        })
    }

    /// The same where CI is set. Elsewhere `None` and a word on standard error if they cannot be had: a developer without
    /// a package registry at hand still has all other tests.
    ///
    /// # Errors
    /// As [`Self::provide`], where CI is set.
    pub async fn provide_if_possible(progress: &Progress) -> Result<Option<Self>> {
        match Self::provide(progress).await {
            Ok(clients) => Ok(Some(clients)),
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("NOT CHECKED by the outside clients: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The interpreter.
    #[must_use]
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Runs one of the programs of `tests/outside/clients` to its end.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Result<Output> {
        Command::new(&self.python)
            // The source tree stays as it is, and no compiled file of another version is used.
            .args(["-B", "-W", "ignore"])
            .arg(folder().join("clients").join(program))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .context(|| format!("run {program}"))
    }

    /// Holds what was recorded in these files against the vendor's types; only calls of clients whose `User-Agent` begins
    /// with `client`. Files that are not there have recorded nothing.
    ///
    /// # Errors
    /// The program does not come to its end.
    pub fn check_bodies(&self, files: &[PathBuf], client: &str) -> Result<BodyReport> {
        let mut arguments = vec![OsStr::new("--client"), OsStr::new(client), OsStr::new("--")];
        let there = files.iter().filter(|file| file.is_file());
        arguments.extend(there.map(|file| file.as_os_str()));
        let output = self.run("bodies.py", &arguments)?;
        serde_json::from_slice(&output.stdout).map_err(|error| Error::Program {
            what: format!("bodies.py tells no report: {error}"),
            tail: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// `tests/outside`.
fn folder() -> PathBuf {
    workspace().join("tests/outside")
}

/// The file that tells of a whole installation.
fn mark(venv: &Path) -> PathBuf {
    venv.join("complete")
}

fn is_complete(venv: &Path) -> bool {
    mark(venv).is_file() && venv.join("bin/python").exists()
}

async fn install(venv: &Path, requirements: &Path, progress: &Progress) -> Result<()> {
    progress.long("installing the outside clients (vcf-nsx, vmware-nsxlib, pyVmomi), once for this machine");
    let what = "the outside clients";
    let log = venv.with_extension("log");
    let mut make = tokio::process::Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(venv);
    run_visibly(make, what, NEEDED, &log, progress).await?;
    let mut pip = tokio::process::Command::new(venv.join("bin/python"));
    // All that is needed is in the list: nothing else may come along.
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--no-deps",
    ]);
    pip.arg("-r").arg(requirements);
    run_visibly(pip, what, NEEDED, &log, progress).await?;
    let mark = mark(venv);
    fs::write(&mark, "").context(|| format!("write {}", mark.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_to_one_version() {
        let text = fs::read_to_string(folder().join("requirements.txt")).unwrap();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        assert!(lines.len() > 3);
        for line in lines {
            let (name, version) = line
                .split_once("==")
                .unwrap_or_else(|| panic!("{line} is not pinned"));
            assert!(
                !name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()),
                "{line}"
            );
            assert!(!version.contains(['*', ',', '>', '<']), "{line}");
        }
    }

    #[test]
    fn an_installation_counts_when_it_came_to_its_end() {
        let venv = tempfile::tempdir().unwrap();
        fs::create_dir(venv.path().join("bin")).unwrap();
        fs::write(venv.path().join("bin/python"), "").unwrap();
        assert!(!is_complete(venv.path()));
        fs::write(mark(venv.path()), "").unwrap();
        assert!(is_complete(venv.path()));
    }

    #[test]
    fn faults_are_told_with_the_call_and_who_objects() {
        let told = serde_json::json!({"calls": 2, "bodies": 1, "types": {"Segment": 1}, "faults": []});
        let mut report: BodyReport = serde_json::from_value(told).unwrap();
        assert_eq!(report.complaint(), None);
        report.faults.push(BodyFault {
            call: "PATCH /infra".into(),
            by: "types".into(),
            fault: ".x: Infra has no such field".into(),
        });
        assert_eq!(
            report.complaint().unwrap(),
            "PATCH /infra (types): .x: Infra has no such field"
        );
    }
}
