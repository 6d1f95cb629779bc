//! The manager's HTTPS side and the simulator's control port.

pub mod actions;
pub mod answer;
pub mod auth;
pub mod bodies;
mod calls;
pub mod control;
pub mod fabric;
pub mod faults;
pub mod holds;
pub mod limits;
pub mod manager;
pub mod nodes;
pub mod pipeline;
pub mod policy;
pub mod request;
pub mod runtime;
pub mod serve;
pub mod shared;
pub mod statistics;
pub mod template;
