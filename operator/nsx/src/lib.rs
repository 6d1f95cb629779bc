//! NSX Policy API client and engine.
//!
//! An [`Engine`] stands for one NSX manager cluster. It keeps what this instance owns (and the NAT rules of the
//! gateways it works on) in a mirror that is read without any call, gathers changes into hierarchical PATCHes, and
//! tells what others changed. Everything it sends passes one limiter.

#![allow(dead_code)]

mod config;
mod engine;
mod error;
mod model;
mod table;

pub use config::{Config, Tuning};
pub use engine::Engine;
pub use error::{Class, Error, Refusal};
pub use model::{Change, Health, Intent, Observed, Priority, Realization, Referable, Stats, Tag, Trouble};
