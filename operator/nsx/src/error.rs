//! What can go wrong, and what it means for whoever asked.

use crate::model::Referable;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Passes by itself: try again with back-off.
    Transient,
    /// Something else must change first, in NSX or in another declaration: try again slowly, or when it does.
    Blocked,
    /// The same request will always be refused: only another declaration helps.
    Terminal,
}

/// What NSX said when it refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// NSX's error code, 0 if it gave none.
    pub code: u64,
    /// NSX's sentence, never empty.
    pub message: String,
    /// What else it said: the other `related_errors` of a hierarchical call. Used to find the culprit.
    pub related: Vec<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let message = self.message.trim_end_matches('.');
        match self.code {
            0 => write!(f, "{message} (HTTP {})", self.status),
            code => write!(f, "{message} (NSX error {code})"),
        }
    }
}

/// Every way a call to NSX can fail. The text is one sentence for users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    // -- the way to the manager
    /// No node of the manager accepts a connection.
    #[error("NSX manager {url} cannot be reached: {cause}")]
    Unreachable { url: String, cause: String },
    /// The certificate is not trusted.
    #[error("the certificate of NSX manager {url} is not trusted: {cause}")]
    Untrusted { url: String, cause: String },
    /// User name or password are wrong, or the account is locked. No login is tried for some minutes after.
    #[error("NSX manager {url} refuses the user name or password")]
    Unauthorized { url: String },
    /// A read was not answered in time, or the connection broke.
    #[error("NSX manager {url} did not answer: {cause}")]
    NoAnswer { url: String, cause: String },
    /// A write was sent and its answer never came: it may have landed or not.
    #[error("NSX manager {url} did not confirm a change: {cause}")]
    AmbiguousWrite { url: String, cause: String },
    /// HTML, an empty body or broken JSON where JSON was due: a proxy or another server answers.
    #[error("{url} does not answer as NSX does (HTTP {status}): {excerpt}")]
    Unparsable {
        url: String,
        status: u16,
        excerpt: String,
    },
    /// The node sends its clients elsewhere; credentials are never carried to an address nobody configured.
    #[error("NSX manager {url} redirects to {location}; declare that address instead")]
    Redirected { url: String, location: String },
    /// A fresh session was refused again.
    #[error("NSX manager {url} does not keep its sessions")]
    SessionLost { url: String },
    /// The client could not be built from its configuration.
    #[error("the NSX client cannot be set up: {cause}")]
    Setup { cause: String },
    /// The engine was shut down.
    #[error("the connection to NSX is being closed")]
    ShuttingDown,

    // -- what is never sent
    /// This process may not be the one that writes any more.
    #[error("another replica of the operator may be the one that writes to NSX now")]
    Fenced,
    /// A path or a type that a hierarchical call cannot carry, or a unit that contradicts itself.
    #[error("{path} cannot be written: {cause}")]
    Unplaceable { path: String, cause: String },
    /// A unit with more children than one call takes.
    #[error("a change of {count} objects is more than one call to NSX takes ({limit})")]
    TooLarge { count: usize, limit: usize },
    /// A reference leads nowhere.
    #[error("NSX has no {kind} {name}")]
    Unresolved { kind: Referable, name: String },
    /// Several objects bear the name.
    #[error("{count} objects are called {name} in NSX, so {kind} {name} is ambiguous; use the id")]
    Ambiguous {
        kind: Referable,
        name: String,
        count: usize,
    },

    // -- the error table
    /// 400/500012: the path, its parent or a path the object refers to does not exist.
    #[error("NSX knows no such path: {0}")]
    InvalidPath(Refusal),
    /// 400/500030: it has children or is referenced.
    #[error("NSX does not delete what is in use: {0}")]
    InUse(Refusal),
    /// 400/500045: the object of that name is still being deleted.
    #[error("NSX is still deleting the object of that name: {0}")]
    DeletePending(Refusal),
    /// 400/500087, 500232, 100148 and 404/500090: stale, or something it depends on is missing.
    #[error("the object changed in NSX meanwhile: {0}")]
    Stale(Refusal),
    /// 400/500105.
    #[error("addresses overlap: {0}")]
    Overlap(Refusal),
    /// 400/500127: created twice.
    #[error("the object exists in NSX already: {0}")]
    AlreadyExists(Refusal),
    /// 400/503040: VMs are attached to the segment.
    #[error("virtual machines are still attached to the segment: {0}")]
    SegmentInUse(Refusal),
    /// 400/503101: the segment is attached to another interface.
    #[error("the segment is already attached to an interface: {0}")]
    SegmentAttached(Refusal),
    /// 400/8327 and 640873.
    #[error("VLANs overlap: {0}")]
    VlanOverlap(Refusal),
    /// 400/612504.
    #[error("the VIF has been restored already: {0}")]
    VifRestored(Refusal),
    /// 400/508128.
    #[error("NSX does not mix these modes: {0}")]
    MixedMode(Refusal),
    /// 400/508134 and 508135.
    #[error("a reserved range stands in the way: {0}")]
    ReservedRange(Refusal),
    /// 400/520100: passes where deletions are under way.
    #[error("the address block has no room: {0}")]
    NoCapacity(Refusal),
    /// 400/660000 to 660011.
    #[error("NSX does not mix these kinds of address allocation: {0}")]
    MixedAllocation(Refusal),
    /// 404.
    #[error("NSX has no such object: {0}")]
    NotFound(Refusal),
    /// 401/403 on a fresh session: the account lacks a right, or the object is protected.
    #[error("the NSX account may not do this: {0}")]
    Forbidden(Refusal),
    /// 403/505.
    #[error("NSX has no licence for this: {0}")]
    Unlicensed(Refusal),
    /// 409.
    #[error("NSX is changing the same object: {0}")]
    Concurrent(Refusal),
    /// 412.
    #[error("the object was changed in NSX by someone else: {0}")]
    RevisionMismatch(Refusal),
    /// 413, or 503/60576 and 400/255 for searches: the body or page is too large.
    #[error("the call is too large for NSX: {0}")]
    PageTooLarge(Refusal),
    /// 400/60508, 60514 and 60515: the search index is not ready.
    #[error("the search index of NSX is not ready: {0}")]
    IndexNotReady(Refusal),
    /// 429.
    #[error("NSX limits the rate of calls: {0}")]
    RateLimited(Refusal),
    /// 503.
    #[error("NSX is busy or not ready: {0}")]
    Busy(Refusal),
    /// 500/98: the manager does not reach a server behind it.
    #[error("the NSX manager does not reach one of its own servers: {0}")]
    BackendDown(Refusal),
    /// 500/99.
    #[error("NSX does not trust a certificate: {0}")]
    CertificateRefused(Refusal),
    /// 500/607 and 610.
    #[error("NSX gave up a transaction: {0}")]
    TransactionAborted(Refusal),
    /// Any other 5xx.
    #[error("NSX failed: {0}")]
    ServerFault(Refusal),
    /// Any other 4xx.
    #[error("NSX refused: {0}")]
    Refused(Refusal),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::AmbiguousWrite { .. }
            | Self::Unparsable { .. }
            | Self::SessionLost { .. }
            | Self::ShuttingDown
            | Self::DeletePending(_)
            | Self::Stale(_)
            | Self::AlreadyExists(_)
            | Self::NoCapacity(_)
            | Self::Concurrent(_)
            | Self::RevisionMismatch(_)
            | Self::PageTooLarge(_)
            | Self::IndexNotReady(_)
            | Self::RateLimited(_)
            | Self::Busy(_)
            | Self::BackendDown(_)
            | Self::TransactionAborted(_)
            | Self::ServerFault(_) => Class::Transient,
            Self::Untrusted { .. }
            | Self::Unauthorized { .. }
            | Self::Redirected { .. }
            | Self::Fenced
            | Self::Unresolved { .. }
            | Self::Ambiguous { .. }
            | Self::InvalidPath(_)
            | Self::InUse(_)
            | Self::SegmentInUse(_)
            | Self::NotFound(_)
            | Self::Forbidden(_)
            | Self::Unlicensed(_)
            | Self::CertificateRefused(_) => Class::Blocked,
            Self::Setup { .. }
            | Self::Unplaceable { .. }
            | Self::TooLarge { .. }
            | Self::Overlap(_)
            | Self::SegmentAttached(_)
            | Self::VlanOverlap(_)
            | Self::VifRestored(_)
            | Self::MixedMode(_)
            | Self::ReservedRange(_)
            | Self::MixedAllocation(_)
            | Self::Refused(_) => Class::Terminal,
        }
    }

    /// Whether the call says nothing about its content: the same call may succeed a moment later, and splitting
    /// it would not help.
    pub(crate) fn retry_whole(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::NoAnswer { .. }
                | Self::AmbiguousWrite { .. }
                | Self::Unparsable { .. }
                | Self::SessionLost { .. }
                | Self::Concurrent(_)
                | Self::IndexNotReady(_)
                | Self::RateLimited(_)
                | Self::Busy(_)
                | Self::BackendDown(_)
                | Self::TransactionAborted(_)
                | Self::ServerFault(_)
        )
    }

    /// Whether neither this call nor any other will get through now.
    pub(crate) fn shuts_out(&self) -> bool {
        matches!(
            self,
            Self::Untrusted { .. }
                | Self::Unauthorized { .. }
                | Self::Redirected { .. }
                | Self::Setup { .. }
                | Self::Fenced
                | Self::ShuttingDown
        )
    }

    /// What NSX said, if it is NSX that refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::InvalidPath(r)
            | Self::InUse(r)
            | Self::DeletePending(r)
            | Self::Stale(r)
            | Self::Overlap(r)
            | Self::AlreadyExists(r)
            | Self::SegmentInUse(r)
            | Self::SegmentAttached(r)
            | Self::VlanOverlap(r)
            | Self::VifRestored(r)
            | Self::MixedMode(r)
            | Self::ReservedRange(r)
            | Self::NoCapacity(r)
            | Self::MixedAllocation(r)
            | Self::NotFound(r)
            | Self::Forbidden(r)
            | Self::Unlicensed(r)
            | Self::Concurrent(r)
            | Self::RevisionMismatch(r)
            | Self::PageTooLarge(r)
            | Self::IndexNotReady(r)
            | Self::RateLimited(r)
            | Self::Busy(r)
            | Self::BackendDown(r)
            | Self::CertificateRefused(r)
            | Self::TransactionAborted(r)
            | Self::ServerFault(r)
            | Self::Refused(r) => Some(r),
            _ => None,
        }
    }
}
