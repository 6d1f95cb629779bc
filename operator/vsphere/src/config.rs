//! What an engine needs to know to connect.

use std::fmt;
use std::sync::Arc;

use crate::Observer;

/// Says whether this process may write now. Asked right before each call that changes something, repeated ones too.
pub type MayWrite = Arc<dyn Fn() -> bool + Send + Sync>;

/// How to reach one vCenter, and the datacenter to work in.
#[derive(Clone)]
pub struct Config {
    /// `https://host[:port]`.
    pub url: String,
    /// The datacenter: its reference, a unique name, or its inventory path.
    pub datacenter: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Trust, and the process's crypto provider.
    pub tls: rustls::ClientConfig,
    /// Sent with every request.
    pub user_agent: String,
    /// Name of the custom attribute that marks what is ours on pools and folders.
    pub mark_field: String,
    /// Whether this process may write: what it holds that right by can be lost between two calls.
    pub may_write: MayWrite,
    /// Who is told of requests; `Arc::new(())` tells nobody.
    pub observer: Arc<dyn Observer>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.url)
            .field("datacenter", &self.datacenter)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What vCenter says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Identifies the vCenter: morefs mean something only together with it.
    pub instance_uuid: String,
    /// Product version.
    pub version: String,
    /// API version.
    pub api_version: String,
    /// Build number.
    pub build: String,
    /// Name, version and build in one text.
    pub full_name: String,
}
