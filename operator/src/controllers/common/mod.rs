//! What the controllers of namespaced kinds share.

mod gateway;
mod ground;
mod names;
mod nsx_writes;

pub(crate) use gateway::Gateway;
pub(crate) use ground::{Ground, ground, vlan_range};
pub(crate) use names::{display_name, firewall_action, network, pin, pinned};
pub(crate) use nsx_writes::{
    await_certainty, await_removal, deleted, engine_change, realized, submit_as, submit_plan, submit_removal,
    submit_retained, take_use,
};
