//! The charts, as helm handles them.

use crate::error::{Context, Error, Result};
use crate::operator::NAMESPACE;
use crate::run_dir::workspace;
use crate::tools::{Tool, Toolbox};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// A chart of this project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// `charts/vic-operator-crds`: the API.
    Crds,
    /// `charts/vic-operator`: the operator.
    Operator,
}

impl Chart {
    /// Its name, which is that of its release, too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crds => "vic-operator-crds",
            Self::Operator => "vic-operator",
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        workspace().join("charts").join(self.name())
    }
}

/// helm, with a home of its own and perhaps a cluster.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    home: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// helm without a cluster: it renders and checks charts.
    #[must_use]
    pub fn new(tools: &Toolbox, home: &Path) -> Self {
        Self {
            program: tools.path(Tool::Helm),
            home: home.to_path_buf(),
            kubeconfig: None,
        }
    }

    /// The same, for a cluster.
    #[must_use]
    pub fn with_cluster(mut self, kubeconfig: &Path) -> Self {
        self.kubeconfig = Some(kubeconfig.to_path_buf());
        self
    }

    /// Installs a chart into the operator's namespace; `values` are of the form `name=value`.
    ///
    /// # Errors
    /// helm refuses the values, or the API server an object; with what helm said.
    pub async fn install(&self, chart: Chart, values: &[String]) -> Result<String> {
        self.run(&on_chart("install", chart, values)).await
    }

    /// Renders a chart for a cluster that knows these further kinds, such as `group/version/Kind`.
    ///
    /// # Errors
    /// As helm says.
    pub async fn template(&self, chart: Chart, values: &[String], kinds: &[&str]) -> Result<String> {
        let mut arguments = on_chart("template", chart, values);
        arguments.extend(
            kinds
                .iter()
                .flat_map(|kind| ["--api-versions", kind])
                .map(str::to_owned),
        );
        self.run(&arguments).await
    }

    /// Takes a chart away.
    ///
    /// # Errors
    /// As helm says.
    pub async fn uninstall(&self, chart: Chart) -> Result<String> {
        let arguments = ["uninstall", chart.name(), "--namespace", NAMESPACE];
        self.run(&arguments.map(str::to_owned)).await
    }

    /// Checks a chart; warnings count.
    ///
    /// # Errors
    /// What helm finds.
    pub async fn lint(&self, chart: Chart) -> Result<String> {
        let folder = chart.folder().display().to_string();
        self.run(&["lint".to_owned(), "--strict".to_owned(), folder])
            .await
    }

    async fn run(&self, arguments: &[String]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        for home in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(home, &self.home);
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        } else {
            command.args(["--kube-version", &Tool::KubeApiserver.pinned()?.to_string()]);
        }
        let output = command.output().await.context(|| "run helm".to_owned())?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            return Err(Error::Program {
                what: format!("helm {}: {}", arguments.join(" "), output.status),
                tail: String::from_utf8_lossy(&said).into_owned(),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The arguments of a command on a chart in the operator's namespace.
fn on_chart(command: &str, chart: Chart, values: &[String]) -> Vec<String> {
    let folder = chart.folder().display().to_string();
    let head = [command, chart.name(), folder.as_str(), "--namespace", NAMESPACE];
    let mut arguments = head.map(str::to_owned).to_vec();
    for value in values {
        // A value of the form name:=JSON is taken as such.
        match value.split_once(":=") {
            Some((name, json)) => arguments.extend(["--set-json".to_owned(), format!("{name}={json}")]),
            None => arguments.extend(["--set".to_owned(), value.clone()]),
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_or_json() {
        let values = ["log.format=text".to_owned(), "tolerations:=[{}]".to_owned()];
        let arguments = on_chart("install", Chart::Crds, &values);
        assert_eq!(arguments[..2], ["install", "vic-operator-crds"]);
        assert_eq!(
            arguments[5..],
            ["--set", "log.format=text", "--set-json", "tolerations=[{}]"]
        );
        assert!(Chart::Crds.folder().join("Chart.yaml").is_file());
    }
}
