//! Writes to NSX: on behalf of whom, what is shared, and when they are in effect.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use topology::{Shared, Sharing};

use super::ground::Ground;
use crate::context::Context;
use crate::failure::{ApplyError, Failure};
use crate::kind::ObjectKey;
use crate::metrics::Repairs;
use crate::sites::Connected;
use crate::wake::Topic;

/// How long a removal waits in one go until it is sure what there is to remove.
const CERTAINTY: Duration = Duration::from_secs(20);

fn sharing(connected: &Connected) -> MutexGuard<'_, Sharing> {
    connected.sharing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on `uid` uses these shared objects; returns those it gave up and nobody uses any more.
///
/// # Errors
/// While another object's write takes one of them away: what is made meanwhile would go with it.
pub(crate) fn take_use(
    connected: &Connected,
    uid: &str,
    wanted: &[Shared],
) -> Result<Vec<Shared>, ApplyError> {
    let mut sharing = sharing(connected);
    if let Some((path, _)) = sharing.leaving(uid, wanted) {
        return Err(ApplyError::Realizing(format!(
            "{path} is gone and can be made anew"
        )));
    }
    Ok(sharing.replace(uid, wanted))
}

/// Hands over the changes of a write that may take shared objects away.
///
/// # Errors
/// As [`submit`].
pub(crate) async fn submit_as(
    connected: &Connected,
    uid: &str,
    changes: Vec<nsx::Change>,
) -> Result<(), Failure> {
    let outcome = submit(connected, changes).await;
    sharing(connected).settle(uid);
    // From now on the mirror holds everything of it, by reading or by own writes.
    if outcome.is_ok() && connected.nsx.as_ref().is_some_and(|engine| !engine.is_sure()) {
        whole(connected).insert(uid.to_owned());
    }
    outcome
}

/// Hands over a plan as one unit, and counts its steps if they are repairs.
///
/// # Errors
/// As [`submit`].
pub(crate) async fn submit_plan(
    connected: &Connected,
    uid: &str,
    plan: topology::Plan<topology::Change>,
    repairs: &Repairs,
) -> Result<(), Failure> {
    let counted = repairs.steps(&plan);
    for step in &plan.steps {
        tracing::info!(kind = repairs.kind().name(), what = step.what, reason = step.reason, verb = %step.verb, "step");
    }
    let steps = plan.steps.into_iter();
    submit_as(
        connected,
        uid,
        steps.map(|step| engine_change(step.action)).collect(),
    )
    .await?;
    counted.done();
    Ok(())
}

/// Hands over the removal of everything `uid` has, with the shared objects it was the last to use.
///
/// # Errors
/// As [`submit`]; then it still uses what it used.
pub(crate) async fn submit_removal(
    connected: &Connected,
    uid: &str,
    mut changes: Vec<nsx::Change>,
) -> Result<(), Failure> {
    let (unused, before) = sharing(connected).remove(uid);
    changes.extend(
        unused
            .into_iter()
            .map(|(path, resource_type)| nsx::Change::Delete { path, resource_type }),
    );
    if changes.is_empty() {
        return Ok(());
    }
    let paths = changes.iter().map(|change| change.path().to_owned()).collect();
    let outcome = submit(connected, changes).await;
    let mut sharing = sharing(connected);
    if outcome.is_err() {
        sharing.replace(uid, &before);
    } else {
        removals(connected).insert(uid.to_owned(), paths);
    }
    sharing.settle(uid);
    outcome
}

/// Leaves objects where they are, without our tags; shared ones too, where `uid` was the last to use them.
///
/// # Errors
/// As [`submit`]; then it still uses what it used.
pub(crate) async fn submit_retained(
    connected: &Connected,
    uid: &str,
    objects: &[nsx::Observed],
) -> Result<(), Failure> {
    let engine = connected.nsx()?;
    let (unused, before) = sharing(connected).remove(uid);
    let shared = unused.iter().filter_map(|(path, _)| engine.get(path));
    let changes = objects
        .iter()
        .cloned()
        .chain(shared)
        .map(|object| untagged(&object))
        .collect();
    let outcome = submit(connected, changes).await;
    let mut sharing = sharing(connected);
    if outcome.is_err() {
        sharing.replace(uid, &before);
    }
    sharing.settle(uid);
    outcome
}

/// The removal of what NSX has.
pub(crate) fn deleted(observed: &nsx::Observed) -> nsx::Change {
    nsx::Change::Delete {
        path: observed.path.clone(),
        resource_type: observed.resource_type.clone(),
    }
}

/// The object as it is, without our tags.
fn untagged(object: &nsx::Observed) -> nsx::Change {
    nsx::Change::Put(nsx::Intent {
        path: object.path.clone(),
        resource_type: object.resource_type.clone(),
        body: topology::without_tags(&object.body),
    })
}

fn removals(connected: &Connected) -> MutexGuard<'_, HashMap<String, Vec<String>>> {
    connected.removals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds a removal up until all that was written of the object is known: an earlier process may have been killed right
/// after a write, and the index that the mirror was read from lags.
///
/// # Errors
/// While that is not sure, for a time that the caller repeats.
pub(crate) async fn await_certainty(connected: &Connected, uid: &str) -> Result<(), Failure> {
    let Some(engine) = &connected.nsx else {
        return Ok(());
    };
    if whole(connected).contains(uid) || removals(connected).contains_key(uid) {
        return Ok(());
    }
    if tokio::time::timeout(CERTAINTY, engine.sure()).await.is_ok() {
        connected.complete_sharing();
        return Ok(());
    }
    let what = "the search index of NSX shows all that was written before the operator started";
    Err(ApplyError::Realizing(what.to_owned()).into())
}

fn whole(connected: &Connected) -> MutexGuard<'_, HashSet<String>> {
    connected.whole.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds an object up until NSX has really taken away what it had: traffic flows until then.
///
/// # Errors
/// While NSX is at it.
pub(crate) fn await_removal(
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
    uid: &str,
) -> Result<(), Failure> {
    let Some(engine) = &ground.connected.nsx else {
        return Ok(());
    };
    let paths = removals(&ground.connected).get(uid).cloned().unwrap_or_default();
    for path in &paths {
        let topic = Topic::Nsx {
            site: ground.site.clone(),
            path: path.clone(),
        };
        ctx.wake.watch(key, topic);
    }
    if let Some(path) = paths.iter().find(|path| engine.is_deleting(path)) {
        return Err(ApplyError::Realizing(format!("NSX has taken {path} away")).into());
    }
    removals(&ground.connected).remove(uid);
    Ok(())
}

/// Hands NSX changes to the engine, after asking whether this process may still write.
///
/// # Errors
/// As NSX says, or where the Lease is not surely held.
async fn submit(connected: &Connected, changes: Vec<nsx::Change>) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    connected.may_write()?;
    let engine = connected.nsx()?;
    engine
        .submit(nsx::Priority::User, changes)
        .await
        .map_err(|error| ApplyError::Nsx(error).into())
}

/// A change of `topology` as the engine takes it.
pub(crate) fn engine_change(change: topology::Change) -> nsx::Change {
    match change {
        topology::Change::Put(intent) => nsx::Change::Put(nsx::Intent {
            path: intent.path,
            resource_type: intent.resource_type.to_owned(),
            body: intent.body,
        }),
        topology::Change::Delete { path, resource_type } => nsx::Change::Delete { path, resource_type },
    }
}

/// What stands between an accepted object and its effect.
///
/// # Errors
/// While NSX is at it, and where it cannot.
pub(crate) fn realized(engine: &nsx::Engine, path: &str, what: &str) -> Result<(), ApplyError> {
    let realization = engine
        .get(path)
        .map_or(nsx::Realization::Unknown, |observed| observed.realization);
    match realization {
        nsx::Realization::Realized => Ok(()),
        nsx::Realization::Failed { message } => Err(ApplyError::RealizationFailed {
            what: what.to_owned(),
            message,
        }),
        nsx::Realization::Unknown | nsx::Realization::InProgress => {
            Err(ApplyError::Realizing(format!("NSX has realized {what}")))
        }
    }
}
