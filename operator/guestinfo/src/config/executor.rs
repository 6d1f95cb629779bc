//! The appliance itself: identity, version, diagnostics.

use std::collections::BTreeMap;

use super::{NetworkEndpoint, Session};
use crate::extraconfig::{HIDDEN, READ_ONLY, READ_WRITE};

/// The id of a VCH whose VM has no moref yet.
pub const CREATING: &str = "CreatingVCH";

/// The schema level of VIC 1.5.8's configuration, counted in its migration plugins.
pub const PLUGIN_VERSION: i64 = 10;

crate::record! {
    /// The appliance (VIC's `ExecutorConfig`).
    pub struct Executor {
        /// Who it is.
        #[key("common", READ_ONLY)]
        pub common: ExecutorCommon,
        /// Unused for a VCH: 0.
        #[key("createtime", READ_WRITE)]
        pub create_time: i64,
        /// Debug level, syslog, and what the guest records about itself.
        #[key("diagnostics", READ_ONLY)]
        pub diagnostics: Diagnostics,
        /// The processes to run, by id. Absent until the VM has its final configuration.
        #[key("sessions", READ_ONLY)]
        pub sessions: BTreeMap<String, Session>,
        /// The network roles, by [`Role`](super::Role) name; `vic-machine` always writes all four.
        #[key("networks", READ_ONLY)]
        pub networks: BTreeMap<String, NetworkEndpoint>,
        /// Unused for a VCH.
        #[key("layerid", READ_ONLY)]
        pub layer_id: String,
        /// Unused for a VCH.
        #[key("imageid", READ_ONLY)]
        pub image_id: String,
        /// Unused for a VCH.
        #[key("repo", READ_ONLY)]
        pub repo: String,
        /// The release that made this configuration. Written with the very first spec: `vic-machine ls`
        /// panics on a VCH without it.
        #[key("version", READ_ONLY)]
        pub version: Version,
        /// Whether the guest answers on the interface a request came in by.
        #[key("asymrouting", READ_ONLY)]
        pub asymmetric_routing: bool,
        /// Unused for a VCH.
        #[key("hostname", READ_ONLY)]
        pub hostname: String,
        /// Unused for a VCH.
        #[key("domainname", READ_ONLY)]
        pub domainname: String,
    }
}

impl Executor {
    /// Adds an endpoint under its role's name.
    pub fn add_network(&mut self, endpoint: NetworkEndpoint) {
        self.networks
            .insert(endpoint.network.common.name.clone(), endpoint);
    }

    /// Adds a process under its id.
    pub fn add_session(&mut self, session: Session) {
        self.sessions.insert(session.common.id.clone(), session);
    }
}

crate::record! {
    /// Identity of the appliance; unlike [`Common`] its name is not visible in the guest.
    pub struct ExecutorCommon {
        /// Empty for a VCH.
        #[key("ExecutionEnvironment")]
        pub execution_environment: String,
        /// The VM's own moref as `VirtualMachine:vm-42`, or [`CREATING`]. A VM is a VCH only if this holds.
        #[key("id", READ_ONLY)]
        pub id: String,
        /// The VCH's name.
        #[key("name", HIDDEN)]
        pub name: String,
        /// Free text.
        #[key("notes", HIDDEN)]
        pub notes: String,
    }
}

crate::record! {
    /// Identity of a session, an endpoint or a network.
    pub struct Common {
        /// Empty for a VCH.
        #[key("ExecutionEnvironment")]
        pub execution_environment: String,
        /// Session: its name. Endpoint: the PCI slot of its NIC, decimal. Network: its moref as text.
        #[key("id", READ_ONLY)]
        pub id: String,
        /// Session: its name. Endpoint: the interface's name in the guest. Network: role or alias.
        #[key("name", READ_ONLY)]
        pub name: String,
        /// Free text.
        #[key("notes", HIDDEN)]
        pub notes: String,
    }
}

crate::record! {
    /// What to log, and what went wrong.
    pub struct Diagnostics {
        /// 0 none to 3; above 2 crashed sessions are not restarted.
        #[key("debug", READ_ONLY)]
        pub debug: i64,
        /// Written by the guest: how often it was restarted after an error.
        #[key("resurrections", READ_WRITE)]
        pub resurrections: i64,
        /// Written by the guest: how restarted processes ended.
        #[key("exitlogs", READ_WRITE)]
        pub exit_logs: Vec<ExitLog>,
        /// Where the guest sends its logs to.
        #[key("syslog", READ_ONLY)]
        pub syslog: Option<Syslog>,
    }
}

impl Diagnostics {
    pub(super) fn keep_guest_state(&mut self, observed: &Self) {
        self.resurrections = observed.resurrections;
        self.exit_logs.clone_from(&observed.exit_logs);
    }
}

crate::record! {
    /// How a process ended, as the guest saw it.
    pub struct ExitLog {
        /// When, in Go's notation: `2020-01-02 03:04:05.000006 +0000 UTC`.
        #[key("Time")]
        pub time: String,
        /// Exit status of the process.
        #[key("ExitStatus")]
        pub exit_status: i64,
        /// Why, if the guest knows.
        #[key("Message")]
        pub message: String,
    }
}

crate::record! {
    /// A syslog server.
    pub struct Syslog {
        /// `udp` or `tcp`.
        #[key("Network")]
        pub network: String,
        /// `host:port`.
        #[key("RAddr")]
        pub address: String,
    }
}

crate::record! {
    /// A release of VIC.
    pub struct Version {
        /// `v1.5.8`
        #[key("Version")]
        pub version: String,
        /// Abbreviated commit.
        #[key("GitCommit")]
        pub git_commit: String,
        /// `2021/06/15@03:07:29`
        #[key("BuildDate")]
        pub build_date: String,
        /// Decides whether a VCH counts as up to date.
        #[key("BuildNumber")]
        pub build_number: String,
        /// Empty in a release.
        #[key("State")]
        pub state: String,
        /// [`PLUGIN_VERSION`] for 1.5.8.
        #[key("PluginVersion")]
        pub plugin_version: i64,
    }
}

impl Version {
    /// `v1.5.8-21000-2c978fe`: how VIC names a release in files and messages.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}-{}-{}", self.version, self.build_number, self.git_commit)
    }
}
