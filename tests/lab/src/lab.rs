//! The laboratory as a whole.

use crate::audit::Audit;
use crate::cluster::Cluster;
use crate::error::{Context, Error, Result};
use crate::helm::Helm;
use crate::images::ImageServer;
use crate::iso::Image;
use crate::net::Network;
use crate::operator::{Operator, Settings};
use crate::overlay::Component;
use crate::programs::Programs;
use crate::progress::Progress;
use crate::run_dir::RunDir;
use crate::seed;
use crate::simulators::{BODIES, Simulator, password};
use crate::tools::{Tool, Toolbox};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Version that the generated images say they have.
pub const IMAGE_VERSION: &str = "V1.5.8-21000-2C978FE";

/// The programs of this process's laboratories: found and built once.
static TOOLS: OnceCell<Toolbox> = OnceCell::const_new();
static PROGRAMS: OnceCell<Programs> = OnceCell::const_new();

/// What a laboratory is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Part of the run directory's name.
    pub name: String,
    /// Whether the operator runs from the start.
    pub operator: bool,
    /// Whether the chart's admission policy, which gives new objects their finalizer, is installed.
    pub admission_policy: bool,
    /// Period of the operator's look at NSX.
    pub nsx_resync: Duration,
    /// Nodes of the NSX manager's cluster.
    pub nsx_nodes: usize,
    /// The operator's instance name, where the default is not wanted.
    pub instance: Option<String>,
    /// Whether the programs are built as for use, not for debugging.
    pub optimized: bool,
    /// Who is told of the steps.
    pub progress: Progress,
}

impl Options {
    /// Everything on, nothing told.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            operator: true,
            admission_policy: true,
            nsx_resync: Duration::from_secs(5),
            nsx_nodes: 1,
            instance: None,
            optimized: false,
            progress: Progress::quiet(),
        }
    }

    /// The values that the chart is installed with.
    fn values(&self) -> Vec<String> {
        let mut values = vec![
            format!("nsxResync={}s", self.nsx_resync.as_secs()),
            format!("admissionPolicy.enabled={}", self.admission_policy),
            // A person reads these logs.
            "log.format=text".to_owned(),
        ];
        values.extend(
            self.instance
                .as_ref()
                .map(|instance| format!("instance={instance}")),
        );
        values
    }
}

/// A running laboratory. Dropping it ends its processes in order: the operator first, so that it can log out, and the
/// store last.
#[derive(Debug)]
pub struct Lab {
    /// The operator, while it runs.
    pub operator: Option<Operator>,
    /// The vCenter.
    pub vcenter: Simulator,
    /// The NSX manager.
    pub nsx: Simulator,
    /// The ISO images.
    pub images: ImageServer,
    /// The Kubernetes control plane.
    pub cluster: Cluster,
    /// How the operator is started.
    pub operator_settings: Settings,
    /// helm, for this cluster.
    pub helm: Helm,
    tools: Toolbox,
    component: Component,
    network: Network,
    run: RunDir,
}

impl Lab {
    /// Builds what is missing, starts everything and seeds what a site has.
    ///
    /// # Errors
    /// A program could not be built, ended, or was not ready in time; with the end of the log that matters.
    pub async fn start(options: Options) -> Result<Self> {
        // Fails only if a provider is installed already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let progress = &options.progress;
        let (tools, programs) = tokio::try_join!(
            TOOLS.get_or_try_init(|| Toolbox::provide(progress)),
            PROGRAMS.get_or_try_init(|| Programs::build(progress, options.optimized)),
        )?;
        let run = RunDir::create(&options.name)?;
        progress.step(&format!("logs are in {}", run.path().display()));
        let network = Network::claim()?;
        let images = ImageServer::start(network.services(), release_images())?;
        let endpoint_password = password();
        let simulators = async {
            let nsx = Simulator::nsx(&run, programs, options.nsx_nodes).await?;
            let vcenter = Simulator::vcenter(&run, programs, &nsx, &network, &endpoint_password).await?;
            progress.step("nsxsim and vcsim serve");
            Ok::<_, Error>((nsx, vcenter))
        };
        let ((nsx, vcenter), cluster) =
            tokio::try_join!(simulators, Cluster::start(&run, &network, tools, progress))?;
        progress.step("seeding the cluster");
        let client = cluster.client().await?;
        seed::site(&client, &vcenter, &nsx, &endpoint_password).await?;
        let helm = Helm::new(tools, &run.join("helm")).with_cluster(cluster.kubeconfig());
        let values = options.values();
        let (_, launch) = tokio::try_join!(seed::crds(&client, &helm), seed::chart(&client, &helm, &values))?;
        // Exactly the rights that the chart gives: whatever the operator lacks fails here as it does in a cluster.
        seed::rights(&client, &launch.account).await?;
        let kubeconfig = seed::service_account(&run, &cluster, &client, &launch.account).await?;
        if options.admission_policy {
            seed::finalizer_policy(&client).await?;
        }
        let component = Component::new(run.path(), &vcenter.url, &nsx.url, &images, &network)?;
        component.write_copy(&run.join("poc"))?;
        let operator_settings = Settings {
            program: programs.operator.clone(),
            kubeconfig,
            nsx_resync: options.nsx_resync,
            launch,
        };
        let mut lab = Self {
            operator: None,
            vcenter,
            nsx,
            images,
            cluster,
            operator_settings,
            helm,
            tools: tools.clone(),
            component,
            network,
            run,
        };
        if options.operator {
            progress.step("starting the operator");
            lab.start_operator().await?;
        }
        progress.step("the laboratory is ready");
        Ok(lab)
    }

    /// Starts the operator if it does not run.
    ///
    /// # Errors
    /// It ended or was not ready in time; with the end of its log.
    pub async fn start_operator(&mut self) -> Result<&mut Operator> {
        let operator = match self.operator.take() {
            Some(operator) => operator,
            None => self.spawn_operator().await?,
        };
        Ok(self.operator.insert(operator))
    }

    /// Starts an operator that the laboratory does not keep: its owner may end it while the laboratory is in use.
    ///
    /// # Errors
    /// It ended or was not ready in time; with the end of its log.
    pub async fn spawn_operator(&self) -> Result<Operator> {
        Operator::start(&self.run, &self.operator_settings).await
    }

    /// Asks the operator to drain and end, as a Pod's termination does.
    pub fn stop_operator(&mut self) {
        self.operator = None;
    }

    /// Kills the operator without a word.
    pub fn kill_operator(&mut self) {
        if let Some(mut operator) = self.operator.take() {
            operator.kill();
        }
    }

    /// Waits until one of the processes ends of itself, and tells which, with the end of its log.
    pub async fn died(&self) -> Error {
        let simulators = [self.nsx.process(), self.vcenter.process()];
        let operator = self.operator.as_ref().map(Operator::process);
        let all = self
            .cluster
            .processes()
            .into_iter()
            .chain(simulators)
            .chain(operator);
        futures::future::select_all(all.map(|process| Box::pin(process.died())))
            .await
            .0
    }

    /// Does something that needs the laboratory's processes.
    ///
    /// # Errors
    /// Its own, or the death of a process.
    pub async fn while_alive<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            error = self.died() => Err(error),
        }
    }

    /// A client of the cluster's administrator, for the runtime that makes it.
    ///
    /// # Errors
    /// The kubeconfig cannot be used.
    pub async fn client(&self) -> Result<kube::Client> {
        self.cluster.client().await
    }

    /// The run's network and addresses.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The run's directory.
    #[must_use]
    pub fn run(&self) -> &RunDir {
        &self.run
    }

    /// The run's own overlay of `examples/poc`.
    #[must_use]
    pub fn overlay(&self) -> PathBuf {
        self.run.join("poc")
    }

    /// The component that overlay is made with.
    #[must_use]
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// The API server's record of writes.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::new(self.cluster.audit())
    }

    /// The file with the bodies that NSX was sent so far, one JSON object a line.
    #[must_use]
    pub fn recorded_bodies(&self) -> PathBuf {
        self.run.join(BODIES)
    }

    /// The path of a tool.
    #[must_use]
    pub fn tool(&self, tool: Tool) -> PathBuf {
        self.tools.path(tool)
    }

    /// Runs kubectl as the administrator and returns what it printed.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub async fn kubectl<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let said: Vec<String> = arguments
            .iter()
            .map(|argument| argument.as_ref().display().to_string())
            .collect();
        let what = || format!("kubectl {}", said.join(" "));
        let mut command = Command::new(self.tool(Tool::Kubectl));
        command
            .args(arguments)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .current_dir(self.run.path());
        let output = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context(what)?;
        if !output.status.success() {
            let tail = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Program {
                what: format!("{}: {}", what(), output.status),
                tail,
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What another program needs to know to use this laboratory.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.display().to_string();
        let metrics = self
            .operator
            .as_ref()
            .map(|operator| operator.metrics().to_owned());
        vec![
            ("KUBECONFIG", path(self.cluster.kubeconfig())),
            ("VCENTER_URL", self.vcenter.url.clone()),
            ("VCENTER_USERNAME", self.vcenter.username.clone()),
            ("VCENTER_PASSWORD", self.vcenter.password.clone()),
            ("VCENTER_CA", path(&self.vcenter.ca_file)),
            ("NSX_URL", self.nsx.url.clone()),
            ("NSX_USERNAME", self.nsx.username.clone()),
            ("NSX_PASSWORD", self.nsx.password.clone()),
            ("NSX_CA", path(&self.nsx.ca_file)),
            ("VCSIM_CONTROL", self.vcenter.control_url.clone()),
            ("NSXSIM_CONTROL", self.nsx.control_url.clone()),
            ("VCH_NETWORK", self.network.subnet().to_string()),
            ("ISO_URL", self.images.url().to_owned()),
            ("OPERATOR_METRICS", metrics.unwrap_or_default()),
            ("KUBECTL", path(&self.tool(Tool::Kubectl))),
        ]
    }
}

fn release_images() -> Vec<Image> {
    vec![
        Image::new("appliance.iso", "VIC APPLIANCE", IMAGE_VERSION),
        Image::new("bootstrap.iso", "VIC BOOTSTRAP", IMAGE_VERSION),
    ]
}
