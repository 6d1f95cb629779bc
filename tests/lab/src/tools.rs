//! The real programs: found where a developer has them, or built once from the modules that `tests/tools` pins.

use crate::error::{Context, Error, Result};
use crate::progress::Progress;
use crate::run_dir::workspace;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// How often a build says that it is under way.
const NEWS: Duration = Duration::from_secs(10);

/// A program that the laboratory uses as its makers wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// The store behind the kube-apiserver.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// Namespace deletion, garbage collection, service accounts.
    KubeControllerManager,
    /// The command line.
    Kubectl,
    /// Renders the charts.
    Helm,
}

impl Tool {
    /// All of them, small ones first.
    pub const ALL: [Self; 5] = [
        Self::Etcd,
        Self::Helm,
        Self::Kubectl,
        Self::KubeControllerManager,
        Self::KubeApiserver,
    ];

    /// The program's file name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
        }
    }

    /// Folder of `tests/tools` that pins it, the module whose version it has, and the package that is the program.
    fn source(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Etcd => ("etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
            Self::Helm => ("helm", "helm.sh/helm/v4", "helm.sh/helm/v4/cmd/helm"),
            Self::KubeApiserver => (
                "kubernetes",
                "k8s.io/kubernetes",
                "k8s.io/kubernetes/cmd/kube-apiserver",
            ),
            Self::KubeControllerManager => (
                "kubernetes",
                "k8s.io/kubernetes",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
            ),
            Self::Kubectl => ("kubernetes", "k8s.io/kubernetes", "k8s.io/kubernetes/cmd/kubectl"),
        }
    }

    fn version_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Etcd | Self::KubeApiserver | Self::KubeControllerManager => &["--version"],
            Self::Kubectl => &["version", "--client"],
            Self::Helm => &["version", "--template", "{{.Version}}"],
        }
    }

    fn folder(self) -> PathBuf {
        workspace().join("tests/tools").join(self.source().0)
    }

    /// The version that `tests/tools` pins.
    ///
    /// # Errors
    /// Its go.mod cannot be read or does not name the module.
    pub fn pinned(self) -> Result<Version> {
        let path = self.folder().join("go.mod");
        let text = fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
        let module = self.source().1;
        required(&text, module)
            .ok_or_else(|| Error::Other(format!("{} does not require {module}", path.display())))
    }

    /// The version that a program says it has; `None` if it does not run or does not say.
    async fn version_of(self, program: &Path) -> Option<Version> {
        let output = Command::new(program)
            .args(self.version_arguments())
            .stdin(Stdio::null())
            .output()
            .await
            .ok()?;
        stated(&String::from_utf8_lossy(&output.stdout))
    }
}

/// A version, as far as programs state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Patch; not every program states it.
    pub patch: Option<u32>,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim_start_matches('v').split(['.', '-', '+']);
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some(Self {
            major,
            minor,
            patch: parts.next().and_then(|patch| patch.parse().ok()),
        })
    }

    fn same_minor(self, other: Self) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

/// Where each program lies.
#[derive(Clone, Debug)]
pub struct Toolbox {
    programs: BTreeMap<Tool, PathBuf>,
}

impl Toolbox {
    /// Finds or builds all tools.
    ///
    /// # Errors
    /// Go is missing, or a build failed; with the end of its log.
    pub async fn provide(progress: &Progress) -> Result<Self> {
        let cache = cache_folder()?;
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let folders: Vec<&Path> = assets.iter().chain([&cache]).map(PathBuf::as_path).collect();
        let found = futures::future::join_all(Tool::ALL.map(|tool| find(tool, &folders))).await;
        let mut programs = BTreeMap::new();
        for (tool, found) in Tool::ALL.into_iter().zip(found) {
            let program = match found? {
                Some(program) => program,
                None => build(tool, &cache, progress).await?,
            };
            programs.insert(tool, program);
        }
        Ok(Self { programs })
    }

    /// A program's path.
    #[must_use]
    pub fn path(&self, tool: Tool) -> PathBuf {
        self.programs
            .get(&tool)
            .cloned()
            .unwrap_or_else(|| PathBuf::from(tool.name()))
    }
}

/// `$XDG_CACHE_HOME/vic-operator/tools/<Kubernetes version>`.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|value| Path::new(value).is_absolute())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .ok_or_else(|| Error::Other("neither XDG_CACHE_HOME nor HOME is set".to_owned()))?;
    Ok(cache
        .join("vic-operator/tools")
        .join(Tool::KubeApiserver.pinned()?.to_string()))
}

/// The first program of the pinned minor version in one of the folders.
async fn find(tool: Tool, folders: &[&Path]) -> Result<Option<PathBuf>> {
    let pinned = tool.pinned()?;
    for folder in folders {
        let program = folder.join(tool.name());
        if program.is_file()
            && tool
                .version_of(&program)
                .await
                .is_some_and(|version| version.same_minor(pinned))
        {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

/// Builds a program into the cache, one build at a time on this machine.
async fn build(tool: Tool, cache: &Path, progress: &Progress) -> Result<PathBuf> {
    fs::create_dir_all(cache).context(|| format!("make {}", cache.display()))?;
    let _lock = locked(&cache.join("lock"), progress, tool.name()).await?;
    if let Some(program) = find(tool, &[cache]).await? {
        return Ok(program);
    }
    let version = tool.pinned()?;
    let (_, _, package) = tool.source();
    let program = cache.join(tool.name());
    let partial = cache.join(format!("{}.partial", tool.name()));
    progress.long(&format!(
        "building {} {version} from source, once for this machine",
        tool.name()
    ));
    let mut command = Command::new("go");
    command
        .current_dir(tool.folder())
        .env("CGO_ENABLED", "0")
        .args(["build", "-v", "-trimpath", "-ldflags"])
        .arg(format!(
            "-s -w -X k8s.io/component-base/version.gitVersion={version}"
        ))
        .arg("-o")
        .arg(&partial)
        .arg(package);
    run_visibly(
        command,
        tool.name(),
        &format!("building {} needs Go 1.26 or later: run go", tool.name()),
        &cache.join(format!("{}.log", tool.name())),
        progress,
    )
    .await?;
    fs::rename(&partial, &program).context(|| format!("put {} in place", program.display()))?;
    match tool.version_of(&program).await {
        Some(built) if built.same_minor(version) => Ok(program),
        built => Err(Error::Other(format!(
            "{} was built as {version} but says it is {}",
            program.display(),
            built.map_or("nothing".to_owned(), |built| built.to_string())
        ))),
    }
}

/// Holds `path` against other processes; says so when it has to wait.
///
/// # Errors
/// The file cannot be made or locked.
pub(crate) async fn locked(path: &Path, progress: &Progress, what: &str) -> Result<File> {
    let context = || format!("lock {}", path.display());
    let file = File::create(path).context(context)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error).context(context),
    }
    progress.long(&format!("waiting for another build before that of {what}"));
    let waited = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    waited
        .map_err(|error| Error::Other(format!("{}: {error}", context())))?
        .context(context)
}

/// Runs a build, its messages in `log`, counting their lines on the progress; `needed` is told where its program is missing.
///
/// # Errors
/// The program is missing, or failed; with the end of the log.
pub(crate) async fn run_visibly(
    mut command: Command,
    name: &str,
    needed: &str,
    log: &Path,
    progress: &Progress,
) -> Result<()> {
    let mut file = tokio::fs::File::create(log)
        .await
        .context(|| format!("write {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().context(|| needed.to_owned())?;
    let mut lines_told: u32 = 0;
    let mut told = Instant::now();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = file.write_all(format!("{line}\n").as_bytes()).await;
            lines_told += 1;
            if told.elapsed() >= NEWS {
                told = Instant::now();
                progress.long(&format!("  {name}: {lines_told} steps done"));
            }
        }
    }
    let _ = file.flush().await;
    let status = child
        .wait()
        .await
        .context(|| format!("wait for the build of {name}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::program(
            format!("the build of {name} failed ({status})"),
            log,
        ))
    }
}

/// The version that a go.mod requires of a module.
fn required(go_mod: &str, module: &str) -> Option<Version> {
    go_mod.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|&word| word == "require");
        if words.next()? == module {
            Version::parse(words.next()?)
        } else {
            None
        }
    })
}

/// The first word of a program's answer that is a version.
fn stated(answer: &str) -> Option<Version> {
    answer.split_whitespace().find_map(Version::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: u32, minor: u32, patch: Option<u32>) -> Version {
        Version { major, minor, patch }
    }

    #[test]
    fn versions_are_read_from_what_each_program_says() {
        assert_eq!(stated("Kubernetes v1.36.3\n"), Some(version(1, 36, Some(3))));
        assert_eq!(
            stated("etcd Version: 3.6.8\nGit SHA: x\nGo Version: go1.26.8"),
            Some(version(3, 6, Some(8)))
        );
        assert_eq!(
            stated("Client Version: v1.36.3\nKustomize Version: v5.8.1"),
            Some(version(1, 36, Some(3)))
        );
        assert_eq!(stated("v4.3"), Some(version(4, 3, None)));
        assert_eq!(
            stated("Kubernetes v1.37.0-alpha.1+1234"),
            Some(version(1, 37, Some(0)))
        );
        assert_eq!(stated("not a version"), None);
    }

    #[test]
    fn only_the_minor_version_has_to_agree() {
        let pinned = version(1, 36, Some(3));
        assert!(version(1, 36, None).same_minor(pinned));
        assert!(!version(1, 35, Some(3)).same_minor(pinned));
        assert!(!version(2, 36, Some(3)).same_minor(pinned));
    }

    #[test]
    fn a_go_mod_pins_its_module_in_a_block_or_alone_but_not_by_a_longer_name() {
        let block = "require (\n\tk8s.io/kubernetes-x v1.1.1\n\tk8s.io/kubernetes v1.36.3 // indirect\n)\n";
        assert_eq!(
            required(block, "k8s.io/kubernetes"),
            Some(version(1, 36, Some(3)))
        );
        assert_eq!(
            required("require helm.sh/helm/v4 v4.3.1\n", "helm.sh/helm/v4"),
            Some(version(4, 3, Some(1)))
        );
        assert_eq!(
            required("replace k8s.io/kubernetes => ../x\n", "k8s.io/kubernetes"),
            None
        );
    }

    #[test]
    fn every_tool_is_pinned() {
        for tool in Tool::ALL {
            let pinned = tool.pinned().unwrap();
            assert!(pinned.patch.is_some(), "{} {pinned}", tool.name());
        }
    }

    #[tokio::test]
    async fn the_first_program_of_the_pinned_minor_version_is_used() {
        let (assets, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pinned = Tool::Kubectl.pinned().unwrap();
        let install = |folder: &Path, minor: u32| {
            let program = folder.join("kubectl");
            let script = format!("#!/bin/sh\necho Client Version: v{}.{minor}.99\n", pinned.major);
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            program
        };
        let folders = [assets.path(), cache.path()];
        assert_eq!(find(Tool::Kubectl, &folders).await.unwrap(), None);
        install(assets.path(), pinned.minor - 1);
        let cached = install(cache.path(), pinned.minor);
        assert_eq!(
            find(Tool::Kubectl, &folders).await.unwrap(),
            Some(cached),
            "the other is too old"
        );
        let asset = install(assets.path(), pinned.minor);
        assert_eq!(find(Tool::Kubectl, &folders).await.unwrap(), Some(asset));
    }
}
