//! The operator: controllers that make vSphere and NSX match what is declared in Kubernetes.
//!
//! Each kind is reconciled in five steps (`controllers/<kind>/`): *dereference* gathers what the object
//! refers to, *validate* turns its spec into a type that cannot be wrong, *plan* compares that with the
//! engines' mirrors, *apply* executes the plan, *status* says what came of it.

pub mod certificates;
pub mod changes;
pub mod claims;
pub mod collect;
pub mod conditions;
pub mod context;
pub mod controllers;
pub mod docker;
pub mod endpoint;
pub mod facts;
pub mod failure;
pub mod forwarding;
pub mod health;
pub mod images;
pub mod import;
pub mod kind;
pub mod kube_io;
pub mod lease;
pub mod metrics;
pub mod openings;
pub mod outbox;
pub mod rights;
pub mod runner;
pub mod settings;
pub mod sites;
#[cfg(test)]
mod testing;
pub mod tracker;
pub mod trust;
pub mod wake;
