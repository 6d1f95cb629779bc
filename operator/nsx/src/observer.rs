//! What whoever keeps figures is told: each exchange over HTTP, and each batch.

use std::fmt;
use std::time::Duration;

/// Keeps figures of one manager cluster. Called on the way of each call: it must neither block nor fail.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// An exchange is over; logins and logouts are exchanges, too.
    fn called(&self, _call: &Called<'_>) {}
    /// A batch goes out as a hierarchical PATCH.
    fn batched(&self, _batch: Batched) {}
}

/// Keeps nothing.
impl Observer for () {}

/// One exchange.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path with ids replaced by `{id}`: a small number of different texts.
    pub template: &'a str,
    /// How it ended.
    pub answer: Answer,
    /// From the request to the whole answer.
    pub took: Duration,
}

/// How an exchange ended. Displays as a label: the status, or a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// No connection: nothing was sent.
    Unreachable,
    /// No connection because of the certificate: nothing was sent.
    Untrusted,
    /// Sent, perhaps received, not answered.
    Unanswered,
    /// Nobody waited for the answer any more.
    Abandoned,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Untrusted => f.write_str("untrusted"),
            Self::Unanswered => f.write_str("unanswered"),
            Self::Abandoned => f.write_str("abandoned"),
        }
    }
}

/// A batch as it goes out for the first time; repetitions and the halves of a split are not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batched {
    /// Callers that share it.
    pub units: usize,
    /// Objects that it writes or deletes.
    pub objects: usize,
    /// How long the one that waited longest was in the queue.
    pub waited: Duration,
}
