//! What `vic-machine` has an option for, beside the shape of a VCH: registries, proxies, logs, containers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{AllowedRegistry, Host, NameConvention, NfsPath, ProxyException, ProxyUrl, Registry};

/// Registries that images are pulled from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Registries {
    /// Registries without TLS or with certificates that nobody verifies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub insecure: Vec<Registry>,
    /// The only registries that are allowed, beside the insecure ones; none, all are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed: Vec<AllowedRegistry>,
}

/// Proxies that the endpoint VM uses to pull images and to serve its admin portal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxies {
    /// For `http` URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<ProxyUrl>,
    /// For `https` URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<ProxyUrl>,
    /// Hosts that need no proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub no_proxy: Vec<ProxyException>,
}

/// What holds for all containers of a VCH.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSettings {
    /// How many may exist; absent, unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub limit: Option<i32>,
    /// How their VMs are named, with `{name}` or `{id}`. Absent: `{name}-{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_convention: Option<NameConvention>,
}

/// A syslog server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Syslog {
    /// How messages travel.
    pub protocol: SyslogProtocol,
    /// The server.
    pub host: Host,
    /// Its port. Absent: 514.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
}

/// How syslog messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SyslogProtocol {
    /// One datagram for each message.
    #[serde(rename = "UDP")]
    Udp,
    /// A connection.
    #[serde(rename = "TCP")]
    Tcp,
}

/// An NFS export for volumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NfsExport {
    /// The server; the Site must grant it.
    pub server: Host,
    /// The export's path.
    pub path: NfsPath,
    /// User that owns new volumes. Absent: VIC's default, 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub uid: Option<i64>,
    /// Group that owns new volumes. Absent: VIC's default, 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub gid: Option<i64>,
}
