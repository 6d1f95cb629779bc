//! The processes of the appliance.

use super::{Common, Diagnostics};
use crate::extraconfig::{READ_ONLY, READ_WRITE};

/// Id of the Docker API server's session.
pub const DOCKER_PERSONALITY: &str = "docker-personality";
/// Id of the port layer's session.
pub const PORT_LAYER: &str = "port-layer";
/// Id of the administration portal's session.
pub const VICADMIN: &str = "vicadmin";

/// Port of the Docker API with TLS.
pub const DOCKER_PORT_TLS: u16 = 2376;
/// Port of the Docker API without TLS.
pub const DOCKER_PORT_PLAIN: u16 = 2375;

const PORT_LAYER_PORT: u16 = 2377;

crate::record! {
    /// A process that the appliance runs (VIC's `SessionConfig`). Its log is `/var/log/vic/<id>.log`.
    pub struct Session {
        /// Id and name, both the session's name.
        #[key("common", READ_ONLY)]
        pub common: Common,
        /// Written by the guest: when it was made, started, stopped.
        #[key("detail", READ_WRITE)]
        pub detail: Detail,
        /// What to run.
        #[key("cmd", READ_ONLY)]
        pub command: Command,
        /// Unused for a VCH.
        #[key("attach", READ_ONLY)]
        pub attach: bool,
        /// Unused for a VCH.
        #[key("openstdin", READ_ONLY)]
        pub open_stdin: bool,
        /// Unused for a VCH.
        #[key("runblock", READ_WRITE)]
        pub run_block: bool,
        /// Whether the guest should run it.
        #[key("active", READ_ONLY)]
        pub active: bool,
        /// Unused for a VCH.
        #[key("tty", READ_ONLY)]
        pub tty: bool,
        /// Written by the guest: the last exit status.
        #[key("status", READ_WRITE)]
        pub exit_status: i64,
        /// Written by the guest: `true` once it runs, else why it does not. Empty: not yet known.
        #[key("started", READ_WRITE)]
        pub started: String,
        /// Whether the guest starts it again when it ends.
        #[key("restart", READ_ONLY)]
        pub restart: bool,
        /// Unused for a VCH.
        #[key("stopSignal", READ_ONLY)]
        pub stop_signal: String,
        /// Written by the guest, but for the debug level, which stays 0.
        #[key("diagnostics", READ_ONLY)]
        pub diagnostics: Diagnostics,
        /// The user it runs as; empty for root.
        #[key("User", READ_ONLY)]
        pub user: String,
        /// The group it runs as; empty for root.
        #[key("Group", READ_ONLY)]
        pub group: String,
    }
}

crate::record! {
    /// A command line.
    pub struct Command {
        /// The program.
        #[key("Path", READ_ONLY)]
        pub path: String,
        /// Its arguments, the program itself first.
        #[key("Args", READ_ONLY)]
        pub args: Vec<String>,
        /// `NAME=value`. `vic-machine configure` changes the order: compare as a set.
        #[key("Env", READ_ONLY)]
        pub env: Vec<String>,
        /// The working directory, if not the root.
        #[key("Dir", READ_ONLY)]
        pub dir: String,
    }
}

crate::record! {
    /// When a session began and ended, 0 for never.
    pub struct Detail {
        /// Made.
        #[key("createtime", READ_WRITE)]
        pub create_time: i64,
        /// Started.
        #[key("starttime", READ_WRITE)]
        pub start_time: i64,
        /// Ended.
        #[key("stoptime", READ_WRITE)]
        pub stop_time: i64,
    }
}

/// Proxies that the appliance's services use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// For `http` URLs.
    pub http: Option<String>,
    /// For `https` URLs.
    pub https: Option<String>,
    /// Hosts that need no proxy, joined with `,`.
    pub no_proxy: Option<String>,
}

impl Proxy {
    fn env(&self, http: &str, https: &str) -> Vec<String> {
        [
            (http, &self.http),
            (https, &self.https),
            ("NO_PROXY", &self.no_proxy),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")))
        .collect()
    }
}

/// Where the services inside the guest find vCenter and their objects in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// vCenter as `https://host`.
    pub target: String,
    /// Name of the datacenter.
    pub datacenter: String,
    /// Inventory path of the cluster, `/DC0/host/DC0_C0`.
    pub cluster: String,
    /// Inventory path of the pool in which the VCH's own pool was made.
    pub pool: String,
    /// Name of the datastore of images.
    pub image_datastore: String,
}

impl Session {
    /// The Docker API server, on [`DOCKER_PORT_TLS`] or [`DOCKER_PORT_PLAIN`]. Runs as root (iptables).
    #[must_use]
    pub fn docker_personality(port: u16, proxy: &Proxy) -> Self {
        let args = [
            format!("-port={port}"),
            format!("-port-layer-port={PORT_LAYER_PORT}"),
        ];
        let mut env = vec!["PATH=/sbin".to_owned(), "GOTRACEBACK=all".to_owned()];
        env.extend(proxy.env("HTTP_PROXY", "HTTPS_PROXY"));
        Self::service(DOCKER_PERSONALITY, "/sbin/docker-engine-server", args.into(), env)
    }

    /// The port layer, which makes container VMs. Runs as root.
    #[must_use]
    pub fn port_layer(placement: &Placement) -> Self {
        let args = ["--host=localhost".to_owned(), format!("--port={PORT_LAYER_PORT}")];
        let env = [
            format!("VC_URL={}", placement.target),
            format!("DC_PATH={}", placement.datacenter),
            format!("CS_PATH={}", placement.cluster),
            format!("POOL_PATH={}", placement.pool),
            format!("DS_PATH={}", placement.image_datastore),
        ];
        Self::service(PORT_LAYER, "/sbin/port-layer-server", args.into(), env.into())
    }

    /// The administration portal, as its own user.
    #[must_use]
    pub fn vicadmin(placement: &Placement, proxy: &Proxy) -> Self {
        let args = [
            format!("--dc={}", placement.datacenter),
            format!("--pool={}", placement.pool),
            format!("--cluster={}", placement.cluster),
        ];
        let mut env = vec!["PATH=/sbin:/bin".to_owned(), "GOTRACEBACK=all".to_owned()];
        env.extend(proxy.env("VICADMIN_HTTP_PROXY", "VICADMIN_HTTPS_PROXY"));
        let mut session = Self::service(VICADMIN, "/sbin/vicadmin", args.into(), env);
        "/home/vicadmin".clone_into(&mut session.command.dir);
        VICADMIN.clone_into(&mut session.user);
        VICADMIN.clone_into(&mut session.group);
        session
    }

    /// Whether the guest reports that the process runs.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started == "true"
    }

    fn service(id: &str, path: &str, mut args: Vec<String>, env: Vec<String>) -> Self {
        args.insert(0, path.to_owned());
        Self {
            common: Common {
                id: id.to_owned(),
                name: id.to_owned(),
                ..Common::default()
            },
            command: Command {
                path: path.to_owned(),
                args,
                env,
                dir: String::new(),
            },
            active: true,
            restart: true,
            ..Self::default()
        }
    }

    pub(super) fn keep_guest_state(&mut self, observed: &Self) {
        self.detail = observed.detail.clone();
        self.run_block = observed.run_block;
        self.exit_status = observed.exit_status;
        self.started.clone_from(&observed.started);
        self.diagnostics.keep_guest_state(&observed.diagnostics);
    }
}
