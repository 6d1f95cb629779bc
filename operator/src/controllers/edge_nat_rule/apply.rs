//! Hands a rule's plan to NSX, as one unit.

use topology::{Change, Plan};

use crate::controllers::common::{Ground, submit_plan};
use crate::failure::Failure;
use crate::metrics::Repairs;

pub(super) async fn apply(
    ground: &Ground,
    uid: &str,
    plan: Plan<Change>,
    repairs: &Repairs,
) -> Result<(), Failure> {
    submit_plan(&ground.connected, uid, plan, repairs).await
}
