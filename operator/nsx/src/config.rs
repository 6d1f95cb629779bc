//! Where the manager is, and how it is dealt with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Observer;
use crate::model::Tag;

/// Says whether this process may write now. Asked right before each request that changes something, repeated ones too.
pub type MayWrite = Arc<dyn Fn() -> bool + Send + Sync>;

/// One NSX manager cluster and the way into it.
#[derive(Clone)]
pub struct Config {
    /// Base URLs of the manager nodes or their virtual address, `https://host[:port]`, tried in this order.
    pub urls: Vec<String>,
    pub username: String,
    pub password: String,
    /// Decides which certificates are trusted.
    pub tls: rustls::ClientConfig,
    /// Shows up in NSX's audit log.
    pub user_agent: String,
    /// Objects that carry this tag are owned, and mirrored.
    pub owner_tag: Tag,
    /// Scope of the tag by whose value owned objects are looked up often, see [`crate::Engine::owned_with`].
    pub index_scope: String,
    /// Period of the delta read. Every sixtieth period everything owned is read in full.
    pub resync: Duration,
    /// Whether this process may write: what it holds that right by can be lost between two requests.
    pub may_write: MayWrite,
    /// Who is told of calls and batches; `Arc::new(())` tells nobody.
    pub observer: Arc<dyn Observer>,
}

impl fmt::Debug for Config {
    /// Leaves the password out, so that no log can hold it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .field("owner_tag", &self.owner_tag)
            .field("resync", &self.resync)
            .finish_non_exhaustive()
    }
}

/// What rarely needs a change. The defaults suit NSX's documented limits (100 requests a second, 40 at once).
#[derive(Debug, Clone)]
pub struct Tuning {
    /// How long the search index may show the past: inside it an absence or an old row proves nothing.
    pub lag: Duration,
    /// How long a batch may wait for more units while another one is in flight.
    pub linger: Duration,
    /// Children of one hierarchical PATCH; NSX takes 5,000 on a local manager, 1,000 on a global one.
    pub max_children: usize,
    /// Hierarchical `PATCHes` in flight at once.
    pub writers: usize,
    /// Requests a second: where the limiter starts, and what it never exceeds.
    pub rate: (f64, f64),
    /// Requests in flight: where the limiter starts, and what it never exceeds.
    pub concurrency: (usize, usize),
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Until a read is answered.
    pub read_timeout: Duration,
    /// Until a hierarchical PATCH is answered.
    pub write_timeout: Duration,
    /// How long a batch is retried on 429, 503 and broken connections before its units are told.
    pub patience: Duration,
    /// First and longest pause between looks at what NSX has not realized yet.
    pub poll: (Duration, Duration),
    /// A full read replaces every n-th delta read.
    pub full_every: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            lag: Duration::from_secs(10),
            linger: Duration::from_millis(250),
            max_children: 1000,
            writers: 2,
            rate: (20.0, 90.0),
            concurrency: (20, 32),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_mins(3),
            patience: Duration::from_mins(1),
            poll: (Duration::from_millis(200), Duration::from_secs(2)),
            full_every: 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_no_debug_output() {
        let roots = rustls::RootCertStore::empty();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = Config {
            urls: vec!["https://nsx.example".into()],
            username: "admin".into(),
            password: "hunter2".into(),
            tls,
            user_agent: "test".into(),
            owner_tag: Tag::new("vic-operator/instance", "a"),
            index_scope: "vic-operator/uid".into(),
            resync: Duration::from_mins(1),
            may_write: Arc::new(|| true),
            observer: Arc::new(()),
        };
        let shown = format!("{config:?} {config:#?}");
        assert!(
            shown.contains("nsx.example") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
