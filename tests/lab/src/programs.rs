//! The project's own programs, built from the source at hand.

use crate::error::{Context, Error, Result};
use crate::progress::Progress;
use crate::run_dir::{target, workspace};
use crate::tools::locked;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Names the folder of programs that are built already.
const FOLDER: &str = "LAB_PROGRAMS";

/// Where the project's programs lie.
#[derive(Clone, Debug)]
pub struct Programs {
    /// NSX Manager simulator.
    pub nsxsim: PathBuf,
    /// vCenter simulator.
    pub vcsim: PathBuf,
    /// The operator.
    pub operator: PathBuf,
}

impl Programs {
    /// Builds what is not up to date, `optimized` or for debugging; or takes all from the folder that the environment's `LAB_PROGRAMS` names, so that
    /// a measurement can run on another profile than tests do.
    ///
    /// # Errors
    /// A build failed; with the end of its log.
    pub async fn build(progress: &Progress, optimized: bool) -> Result<Self> {
        if let Some(folder) = std::env::var_os(FOLDER) {
            return Self::in_folder(&workspace().join(folder));
        }
        let folder = target().join("lab/bin");
        fs::create_dir_all(&folder).context(|| format!("make {}", folder.display()))?;
        progress.step("building nsxsim, vic-operator and vcsim");
        let (rust, vcsim) = tokio::join!(cargo(&folder, progress, optimized), go(&folder, progress));
        let rust = rust?;
        let program = |name: &str| {
            rust.iter()
                .find(|path| path.file_name().is_some_and(|file| file == name))
                .cloned()
                .ok_or_else(|| Error::Other(format!("cargo built no program {name}")))
        };
        Ok(Self {
            nsxsim: program("nsxsim")?,
            operator: program("vic-operator")?,
            vcsim: vcsim?,
        })
    }
}

impl Programs {
    fn in_folder(folder: &Path) -> Result<Self> {
        let program = |name: &str| {
            let path = folder.join(name);
            let missing = || {
                Error::Other(format!(
                    "{FOLDER} names {}, which has no {name}",
                    folder.display()
                ))
            };
            path.is_file().then_some(path).ok_or_else(missing)
        };
        Ok(Self {
            nsxsim: program("nsxsim")?,
            vcsim: program("vcsim")?,
            operator: program("vic-operator")?,
        })
    }
}

/// Builds the Rust programs; cargo itself keeps builds of one target directory apart, and tells its progress where
/// someone looks.
async fn cargo(folder: &Path, progress: &Progress, optimized: bool) -> Result<Vec<PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let log = folder.join(format!("cargo-{}.log", std::process::id()));
    let log_file = || {
        fs::File::create(&log)
            .map(Stdio::from)
            .context(|| format!("write {}", log.display()))
    };
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--bins", "-p", "nsxsim", "-p", "vic-operator"])
        .args(optimized.then_some("--release"))
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(if progress.is_shown() {
            Stdio::inherit()
        } else {
            log_file()?
        })
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context(|| "run cargo".to_owned())?
        // `output()` would take standard error away from where it goes.
        .wait_with_output()
        .await
        .context(|| "wait for cargo".to_owned())?;
    if !output.status.success() {
        let what = "cargo could not build nsxsim and vic-operator";
        return Err(if progress.is_shown() {
            Error::Other(what.to_owned())
        } else {
            Error::program(what, &log)
        });
    }
    let _ = fs::remove_file(&log);
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

/// The programs that cargo's messages name.
fn executables(messages: &str) -> Vec<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .collect()
}

/// Builds vcsim beside the old one and puts it in its place, so that a running one is not disturbed.
async fn go(folder: &Path, progress: &Progress) -> Result<PathBuf> {
    let _lock = locked(&folder.join("vcsim.lock"), progress, "vcsim").await?;
    let (program, partial, log) = (
        folder.join("vcsim"),
        folder.join("vcsim.partial"),
        folder.join("vcsim.log"),
    );
    let status = Command::new("go")
        .current_dir(workspace().join("tests/vcsim"))
        .args(["build", "-o"])
        .args([partial.as_os_str(), ".".as_ref()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).context(|| format!("write {}", log.display()))?)
        .kill_on_drop(true)
        .status()
        .await
        .context(|| "building vcsim needs Go 1.26 or later: run go".to_owned())?;
    if !status.success() {
        return Err(Error::program("go could not build vcsim", &log));
    }
    fs::rename(&partial, &program).context(|| format!("put {} in place", program.display()))?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_programs_has_to_hold_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["nsxsim", "vcsim"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let error = Programs::in_folder(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("which has no vic-operator"), "{error}");
        fs::write(folder.path().join("vic-operator"), "").unwrap();
        assert_eq!(
            Programs::in_folder(folder.path()).unwrap().vcsim,
            folder.path().join("vcsim")
        );
    }

    #[test]
    fn programs_are_found_in_cargos_messages_wherever_the_target_directory_is() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"nsx\"},\"executable\":null}\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"nsxsim\"},\"executable\":\"/t/debug/nsxsim\"}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\nnot json\n",
        );
        assert_eq!(executables(messages), [PathBuf::from("/t/debug/nsxsim")]);
    }
}
