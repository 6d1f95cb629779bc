//! What the scenario tests share.

pub mod access;
pub mod failure;
pub mod figures;
pub mod gate;
pub mod golden;
pub mod manifests;
pub mod outside;
pub mod play;
pub mod rules;
pub mod traffic;
pub mod world;

pub use failure::{Failure, Outcome, demand, equal};
pub use play::Play;
pub use world::World;
