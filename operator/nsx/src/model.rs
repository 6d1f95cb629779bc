//! What goes in and comes out of the engine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

/// An NSX tag: a scope (at most 128 characters) and a value (at most 256).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    pub scope: String,
    pub tag: String,
}

impl Tag {
    pub fn new(scope: impl Into<String>, tag: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            tag: tag.into(),
        }
    }

    /// Whether `body` carries this tag, scope and value in one pair.
    #[must_use]
    pub fn is_on(&self, body: &Value) -> bool {
        tags_of(body).any(|(scope, tag)| scope == self.scope && tag == self.tag)
    }
}

/// The `(scope, tag)` pairs of an object. NSX leaves an empty half out.
pub(crate) fn tags_of(body: &Value) -> impl Iterator<Item = (&str, &str)> {
    fn half<'a>(tag: &'a Value, key: &str) -> &'a str {
        tag.get(key).and_then(Value::as_str).unwrap_or_default()
    }
    let tags = body.get("tags").and_then(Value::as_array);
    tags.into_iter()
        .flatten()
        .map(|tag| (half(tag, "scope"), half(tag, "tag")))
}

/// One object as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Policy path, for example `/infra/segments/web`.
    pub path: String,
    /// NSX type of the body, for example `Segment` or `DhcpV4StaticBindingConfig`.
    pub resource_type: String,
    /// The declared fields. `id` and `resource_type` are added by the engine; a field that is left out goes
    /// back to NSX's default, because a PATCH replaces the object.
    pub body: Map<String, Value>,
}

/// One step of a unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Create or replace.
    Put(Intent),
    /// Remove. Removing what is not there succeeds.
    Delete { path: String, resource_type: String },
}

impl Change {
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Put(intent) => &intent.path,
            Self::Delete { path, .. } => path,
        }
    }

    #[must_use]
    pub fn resource_type(&self) -> &str {
        match self {
            Self::Put(intent) => &intent.resource_type,
            Self::Delete { resource_type, .. } => resource_type,
        }
    }

    #[must_use]
    pub fn is_delete(&self) -> bool {
        matches!(self, Self::Delete { .. })
    }
}

/// Whose turn it is when calls are scarce: `User` goes ahead of `Background`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    User,
    Background,
}

/// One object as NSX has it, as far as is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub path: String,
    pub resource_type: String,
    /// The object with every field NSX filled in; for a pending own write the declared fields over the
    /// read-only fields of the last read.
    pub body: Arc<Value>,
    pub realization: Realization,
    /// An own write that NSX accepted and no read has confirmed yet.
    pub pending: bool,
}

impl Observed {
    /// The object's id: the last element of its path.
    #[must_use]
    pub fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// A text field of the body, `None` if absent or of another type.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field)?.as_str()
    }
}

/// How far NSX has brought an accepted object into effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Realization {
    /// NSX has not said.
    Unknown,
    InProgress,
    Realized,
    Failed {
        /// NSX's own sentence.
        message: String,
    },
}

/// What a reference may point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Referable {
    Tier0,
    Tier1,
    TransportZone,
    EdgeCluster,
    Group,
    IpPool,
}

impl Referable {
    /// The policy path of the collection that holds objects of this kind.
    #[must_use]
    pub fn collection(self) -> &'static str {
        match self {
            Self::Tier0 => "/infra/tier-0s",
            Self::Tier1 => "/infra/tier-1s",
            Self::TransportZone => "/infra/sites/default/enforcement-points/default/transport-zones",
            Self::EdgeCluster => "/infra/sites/default/enforcement-points/default/edge-clusters",
            Self::Group => "/infra/domains/default/groups",
            Self::IpPool => "/infra/ip-pools",
        }
    }

    pub(crate) fn resource_type(self) -> &'static str {
        match self {
            Self::Tier0 => "Tier0",
            Self::Tier1 => "Tier1",
            Self::TransportZone => "PolicyTransportZone",
            Self::EdgeCluster => "PolicyEdgeCluster",
            Self::Group => "Group",
            Self::IpPool => "IpAddressPool",
        }
    }
}

impl fmt::Display for Referable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tier0 => "Tier-0 gateway",
            Self::Tier1 => "Tier-1 gateway",
            Self::TransportZone => "transport zone",
            Self::EdgeCluster => "edge cluster",
            Self::Group => "group",
            Self::IpPool => "IP pool",
        })
    }
}

/// Whether the manager can be worked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Connected,
    /// A plain sentence for users, and what kind of trouble it is.
    Degraded(String, Trouble),
}

/// Why a manager is [`Health::Degraded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Its certificate is not trusted.
    Untrusted,
    /// It refuses the credentials.
    Unauthorized,
    /// No manager node answers.
    Unreachable,
    /// It keeps answering 429 or 503.
    Busy,
    /// It answers with server errors, or with something that is not NSX.
    Faulty,
}

/// Figures for metrics; a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stats {
    /// HTTP requests sent since start, logins included.
    pub calls: u64,
    /// Of these, answered 429 or 503.
    pub pushed_back: u64,
    /// Calls that are out now.
    pub in_flight: usize,
    /// Requests per second the limiter allows now.
    pub rate: f64,
    /// Units waiting for a batch.
    pub queued: usize,
    /// How long the first of them has waited.
    pub oldest: Duration,
    /// Objects in the mirror.
    pub mirrored: usize,
}
