//! The external address that a rule shares by name, taken from a pool of NSX.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{MutexGuard, PoisonError};

use serde_json::Value;
use topology::{AllocationSpec, Change, Plan};
use vic_crds::EdgeNatRule;

use super::dereference::References;
use crate::context::Context;
use crate::controllers::common::{engine_change, pinned, realized, submit_as, take_use};
use crate::failure::{ApplyError, Failure};
use crate::kind::ObjectKey;
use crate::sites::Connected;
use crate::wake::Topic;

/// The attribute of a realized allocation that holds its address.
const ATTRIBUTE: &str = "allocation_ip";

/// The address, once NSX has given one; asks for it where it has not been asked for.
///
/// # Errors
/// While NSX is at it, and where it refuses or its pool has none left.
pub(super) async fn take(
    rule: &EdgeNatRule,
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
    allocation: &AllocationSpec,
) -> Result<Ipv4Addr, Failure> {
    let connected = &references.ground.connected;
    let engine = connected.nsx()?;
    let path = allocation.path();
    let topic = Topic::Nsx {
        site: references.ground.site.clone(),
        path: path.clone(),
    };
    ctx.wake.watch(key, topic);
    let plan = plan(rule, engine, allocation);
    if !plan.is_empty() {
        known(connected).remove(&path);
        // Nobody may release what is being taken.
        let uid = rule.metadata.uid.as_deref().unwrap_or_default();
        take_use(connected, uid, &[allocation.shared()])?;
        let changes = plan
            .steps
            .into_iter()
            .map(|step| engine_change(step.action))
            .collect();
        submit_as(connected, uid, changes).await?;
    }
    if let Some(address) = given(connected, engine, &path) {
        return Ok(address);
    }
    realized(engine, &path, &format!("address {} of its pool", allocation.name))?;
    // Only what NSX realized tells the address: it is asked for once.
    let told = engine.realized_attribute(&path, ATTRIBUTE).await;
    let told = told.map_err(ApplyError::Nsx)?.and_then(|text| text.parse().ok());
    let address: Ipv4Addr = told.ok_or_else(|| {
        let waits = format!("NSX has taken address {} from its pool", allocation.name);
        Failure::from(ApplyError::Realizing(waits))
    })?;
    known(connected).insert(path, address);
    Ok(address)
}

/// What `Observe` knows: the address, if there is one, or what would be done.
pub(super) fn observe(
    rule: &EdgeNatRule,
    references: &References,
    allocation: &AllocationSpec,
) -> Result<Result<Ipv4Addr, Plan<Change>>, Failure> {
    let connected = &references.ground.connected;
    let engine = connected.nsx()?;
    let address = given(connected, engine, &allocation.path());
    Ok(address.ok_or_else(|| plan(rule, engine, allocation)))
}

/// What is known of the address without a call.
fn given(connected: &Connected, engine: &nsx::Engine, path: &str) -> Option<Ipv4Addr> {
    let observed = engine.get(path)?;
    if let Some(address) = known(connected).get(path) {
        return Some(*address);
    }
    AllocationSpec::address(&observed.body).filter(|_| observed.realization == nsx::Realization::Realized)
}

fn known(connected: &Connected) -> MutexGuard<'_, HashMap<String, Ipv4Addr>> {
    connected
        .pool_addresses
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Asks for the address that the rule had before, if it had one: someone may have released it by hand.
fn plan(rule: &EdgeNatRule, engine: &nsx::Engine, allocation: &AllocationSpec) -> Plan<Change> {
    let resolved = rule.status.as_ref().and_then(|status| status.resolved.as_ref());
    let before = pinned(resolved, &pin_name(allocation)).and_then(|text| text.parse().ok());
    if engine.get(&allocation.path()).is_some() {
        return Plan::default();
    }
    topology::nsx_plan(
        &[allocation.intent(before)],
        |path| engine.get(path).map(|observed| Value::clone(&observed.body)),
        &[],
    )
}

/// Under which name the address is remembered: another allocation has another address.
pub(super) fn pin_name(allocation: &AllocationSpec) -> String {
    format!("externalAddress.{}", allocation.name)
}
