//! The laboratory: everything a user of vic-operator has, on loopback, from one call.
//!
//! [`Lab::start`] starts etcd, kube-apiserver and kube-controller-manager (the real programs), the NSX and vCenter
//! simulators, a server of ISO images and the operator, seeds what a site has, and hands out clients for all of them.
//! [`poc::run`] applies the reference topology and measures what happens. The binary `lab` puts both on the command line.

pub mod audit;
pub mod bench;
pub mod cluster;
pub mod control;
pub mod error;
pub mod helm;
pub mod images;
pub mod iso;
pub mod kinds;
pub mod kubegate;
pub mod lab;
pub mod net;
pub mod operator;
pub mod outside;
pub mod overlay;
pub mod pki;
pub mod poc;
pub mod process;
pub mod programs;
pub mod progress;
pub mod run_dir;
pub mod seed;
pub mod simulators;
pub mod sweep;
pub mod tools;
pub mod watch;

pub use error::{Error, Result};
pub use lab::{Lab, Options};
