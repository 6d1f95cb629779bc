//! The directory of one run: logs, keys, kubeconfigs and the list of its processes.

use crate::error::{Context, Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Runs that are over and whose logs are kept.
const KEPT_RUNS: usize = 40;

/// Ends what a run left behind when its laboratory vanished without a word: waits until standard input closes, then
/// kills, newest first, the listed processes that still carry the run's directory in their arguments or environment.
const GUARDIAN: &str = r#"
read -r word
[ "$word" = done ] && exit 0
sort -rn "$1/pids" 2>/dev/null | while read -r pid; do
  if cat "/proc/$pid/cmdline" "/proc/$pid/environ" 2>/dev/null | tr '\0' '\n' | grep -qF "$1"; then kill -KILL "$pid"; fi
done
rm -rf "$1/etcd"
"#;

/// The repository's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// Cargo's target directory.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

/// `target/lab/<run>`, locked while the run lives.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    pids: PathBuf,
    guardian: Child,
    _lock: File,
}

impl RunDir {
    /// Makes the directory of a new run and its guardian, and removes the oldest finished runs.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn create(name: &str) -> Result<Self> {
        let parent = runs();
        fs::create_dir_all(&parent).context(|| format!("make {}", parent.display()))?;
        prune(&parent);
        let stamp = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
        let path = (0..100)
            .map(|n| parent.join(format!("{stamp}-{name}-{}-{n}", std::process::id())))
            .find(|path| fs::create_dir(path).is_ok())
            .ok_or_else(|| Error::Other(format!("no run directory can be made in {}", parent.display())))?;
        let lock = File::create(path.join("lock")).context(|| "make the run's lock".to_owned())?;
        lock.try_lock()
            .map_err(|error| Error::Other(format!("lock {}: {error}", path.display())))?;
        let guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "lab-guardian"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group_zero()
            .spawn()
            .context(|| "start the run's guardian".to_owned())?;
        Ok(Self {
            pids: path.join("pids"),
            path,
            guardian,
            _lock: lock,
        })
    }

    /// The directories of runs that are under way or whose logs are kept, oldest first.
    #[must_use]
    pub fn kept() -> Vec<PathBuf> {
        found(&runs())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or directory of the run.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where a process of the run logs.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.log"))
    }

    /// Writes a file of the run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.join(name);
        fs::write(&path, contents).context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// What the guardian sees when the laboratory is killed.
    #[cfg(test)]
    pub(crate) fn vanish(&mut self) {
        self.guardian.stdin = None;
    }

    /// Notes a process for the guardian.
    pub(crate) fn note(&self, pid: u32) -> Result<()> {
        let what = || format!("note a process in {}", self.pids.display());
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.pids)
            .context(what)?;
        writeln!(file, "{pid}").context(what)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // All processes have been stopped by now, and waited for: the guardian has nothing left to do.
        if let Some(mut stdin) = self.guardian.stdin.take() {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.guardian.wait();
        let _ = fs::remove_dir_all(self.path.join("etcd"));
    }
}

/// Puts a child in a process group of its own, so that a Ctrl-C in the terminal reaches the laboratory alone and the
/// processes end in order.
pub(crate) trait OwnGroup {
    /// The group is the child's own.
    fn process_group_zero(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    fn process_group_zero(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}

/// Where all runs are.
fn runs() -> PathBuf {
    target().join("lab").join("runs")
}

/// The runs in `parent`, oldest first.
fn found(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten();
    let mut runs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    runs.sort();
    runs
}

/// Removes the oldest runs whose lock nobody holds.
fn prune(parent: &Path) {
    let runs = found(parent);
    let excess = runs.len().saturating_sub(KEPT_RUNS);
    for run in runs.into_iter().take(excess) {
        let over = File::open(run.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if over {
            let _ = fs::remove_dir_all(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_where_the_workspace_manifest_lies() {
        let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn pruning_keeps_the_newest_runs_and_those_in_use() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..KEPT_RUNS + 3 {
            let run = dir.path().join(format!("{n:03}"));
            fs::create_dir(&run).unwrap();
            File::create(run.join("lock")).unwrap();
        }
        let held = File::open(dir.path().join("000/lock")).unwrap();
        held.lock().unwrap();
        prune(dir.path());
        let mut left: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left.len(), KEPT_RUNS + 1);
        assert_eq!(left[0], "000", "in use, although the oldest");
        assert_eq!(left[1], "003");
    }
}
