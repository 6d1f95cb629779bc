//! NSX Policy API client and engine.
//!
//! An [`Engine`] stands for one NSX manager cluster. It keeps what this instance owns (and the NAT rules of the
//! gateways it works on) in a mirror that is read without any call, gathers changes into hierarchical PATCHes, and
//! tells what others changed. Everything it sends passes one limiter.

#![allow(dead_code)]

mod client;
mod config;
mod engine;
mod error;
mod limiter;
mod model;
mod pace;
mod path;
mod queue;
mod session;
mod split;
mod table;
mod transport;
mod tree;

pub use config::{Config, Tuning};
pub use engine::Engine;
pub use error::{Class, Error, Refusal};
pub use model::{Change, Health, Intent, Observed, Priority, Realization, Referable, Stats, Tag, Trouble};
