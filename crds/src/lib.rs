//! The API `vic-operator.io/v1alpha1`: what users write and what the operator answers in `status`.
//!
//! Types here say what can be *said*; whether it may be done is the operator's to decide. Beside this
//! crate's `Cargo.toml` lie the generated `*.yaml`, kept equal to [`generate::all`] by a test.

#![expect(
    clippy::duplicated_attributes,
    reason = "each printcolumn of a derive names the same arguments"
)]

pub mod common;
pub mod gateway;
pub mod generate;
pub mod microsegmentation;
pub mod nat;
pub mod network;
pub mod site;
pub mod text;
pub mod vch;

pub use common::*;
pub use gateway::*;
pub use microsegmentation::*;
pub use nat::*;
pub use network::*;
pub use site::*;
pub use text::*;
pub use vch::*;

/// The API group of every kind.
pub const GROUP: &str = "vic-operator.io";
/// The finalizer that every object carries from birth while an operator is installed.
pub const FINALIZER: &str = "vic-operator.io/finalizer";
/// Annotation: while it is `true` the operator leaves the object and what it declares alone.
pub const PAUSED_ANNOTATION: &str = "vic-operator.io/paused";
/// Annotation: any new value asks for a reconcile now.
pub const RECONCILE_ANNOTATION: &str = "vic-operator.io/reconcile-requested-at";
