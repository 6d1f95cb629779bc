//! NSX Policy API client and engine.
//!
//! An [`Engine`] stands for one NSX manager cluster. It keeps what this instance owns (and the NAT rules of the
//! gateways it works on) in a mirror that is read without any call, gathers changes into hierarchical `PATCHes`, and
//! tells what others changed. Everything it sends passes one limiter.

mod attributes;
mod batcher;
mod body;
mod client;
mod config;
mod core;
mod engine;
mod error;
mod flight;
mod gateways;
mod limiter;
mod mirror;
mod model;
mod observer;
mod overlay;
mod pace;
mod path;
mod query;
mod queue;
mod resolve;
mod row;
mod search;
mod session;
mod settle;
mod split;
mod sync;
mod table;
mod transport;
mod tree;

pub use config::{Config, MayWrite, Tuning};
pub use engine::Engine;
pub use error::{Class, Error, Refusal};
pub use gateways::Gateway;
pub use model::{Change, Health, Intent, Observed, Priority, Realization, Referable, Stats, Tag, Trouble};
pub use observer::{Answer, Batched, Called, Observer};
