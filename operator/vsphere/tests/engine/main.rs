//! The engine against the vCenter simulator of `tests/vcsim`, as an opaque server.

mod connecting;
mod cost;
mod disturbance;
mod files;
mod lab;
mod mirror;
mod pools;
mod port_groups;
mod vms;
