//! SOAP 1.1 as vim25 speaks it.

mod fault;

pub use fault::Fault;
