//! The engine against the vCenter simulator of `tests/vcsim`, as an opaque server.

#[cfg(test)]
mod connecting;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod disturbance;
#[cfg(test)]
mod files;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod port_groups;
#[cfg(test)]
mod vms;
