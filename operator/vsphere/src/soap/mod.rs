//! SOAP 1.1 as vim25 speaks it: calls, faults, and their way over HTTPS.

mod call;
mod fault;
mod refusal;
mod transport;

pub use fault::Fault;

pub(crate) use call::{Call, Effect};
pub(crate) use fault::{Detail, Origin};
pub(crate) use transport::{Patience, Transport};
