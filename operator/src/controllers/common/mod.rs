//! What the controllers of namespaced kinds share.

mod ground;
mod names;
mod nsx_writes;

pub(crate) use ground::{Ground, gateway_label, ground};
pub(crate) use names::{display_name, network, pin, pinned};
pub(crate) use nsx_writes::{
    await_certainty, await_removal, engine_change, realized, submit_as, submit_removal, submit_retained,
    take_use,
};
