//! One reconcile, for every kind: finalizer, pause, deletion, status, retry. What is particular to a kind
//! is behind [`Declared`].

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use vic_crds::{FINALIZER, PAUSED_ANNOTATION};

use crate::conditions::{ConditionType, Summary, Truth, is_ready, ready_reason};
use crate::context::Context;
use crate::failure::{ApplyError, Class, DereferenceError, Failure};
use crate::kind::{Kind, ObjectKey};
use crate::kube_io::{self, Reachable};
use crate::metrics::Repairs;
use crate::settings::{QUIET, RECONCILE_TIMEOUT};
use crate::tracker::backoff;
use crate::wake::Topic;

/// Reasons of what is merely under way: neither they nor their end are worth an Event.
const UNDER_WAY: [&str; 4] = ["Pending", "Realizing", "Booting", "Loading"];
/// How often something blocked is looked at even if nothing tells of a change.
const BLOCKED_RECHECK: Duration = Duration::from_secs(15);
/// How often something under way is looked at even if nothing tells of a change.
const PROGRESS_RECHECK: Duration = Duration::from_secs(5);

/// A kind that this operator reconciles.
pub trait Declared:
    Resource<DynamicType = ()> + Reachable + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its status.
    type Status: Serialize + Clone + Default + Send + Sync;
    /// Which kind it is.
    const KIND: Kind;

    /// The status as the cache has it.
    fn current(&self) -> Option<&Self::Status>;
    /// The conditions of a status.
    fn conditions(status: &Self::Status) -> &[Condition];
    /// Puts generation and conditions into a status.
    fn conclude(status: &mut Self::Status, generation: Option<i64>, conditions: Vec<Condition>);

    /// Makes the world as declared. The details of the status are what is known, whatever the outcome.
    fn reconcile(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut Self::Status,
    ) -> impl Future<Output = Result<Summary, Failure>> + Send;
    /// Takes away what was declared; `Ok` lets the object go.
    fn finalize(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut Self::Status,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The key of an object.
pub fn key_of<K: Declared>(object: &K) -> ObjectKey {
    ObjectKey::new(
        K::KIND,
        object.meta().namespace.as_deref().unwrap_or_default(),
        &object.name_any(),
    )
}

/// Counts what is done to an object as repairs, where the object, as it is declared now, was in effect before: what was
/// deleted by hand is under way until it is gone, and only then made anew.
pub(crate) fn repairs_of<K: Declared>(object: &K, ctx: &Context, key: &ObjectKey) -> Repairs {
    let written = ctx
        .tracker
        .written(key, object.meta().uid.as_deref().unwrap_or_default());
    let status = written.or_else(|| serde_json::to_value(object.current()).ok());
    let status = status.unwrap_or(Value::Null);
    let current = status.get("observedGeneration").and_then(Value::as_i64) == object.meta().generation;
    let deleting = object.meta().deletion_timestamp.is_some();
    let conditions = conditions_in(&status);
    let again = ready_reason(&conditions).is_some_and(|reason| UNDER_WAY.contains(&reason))
        && !ctx.tracker.awaits_first_ready(key);
    ctx.metrics
        .repairs(key.kind, current && !deleting && (is_ready(&conditions) || again))
}

fn conditions_in(status: &Value) -> Vec<Condition> {
    status
        .get("conditions")
        .and_then(|list| serde_json::from_value(list.clone()).ok())
        .unwrap_or_default()
}

/// Reconciles one object.
///
/// # Errors
/// Never: what fails is told in the object's status, and the action says when to try again.
pub async fn reconcile<K: Declared>(object: Arc<K>, ctx: Arc<Context>) -> Result<Action, Infallible> {
    let key = key_of(&*object);
    if !ctx.stores.filled.wait().await {
        return Ok(Action::requeue(PROGRESS_RECHECK));
    }
    let timer = ctx.metrics.reconcile_started();
    let (action, outcome) = run(object, &ctx, &key).await;
    ctx.metrics.reconcile_ended(timer, key.kind, outcome);
    Ok(action)
}

async fn run<K: Declared>(object: Arc<K>, ctx: &Arc<Context>, key: &ObjectKey) -> (Action, &'static str) {
    let deleting = object.meta().deletion_timestamp.is_some();
    let ours = object.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if deleting && !ours {
        gone(ctx, key);
        return (Action::await_change(), "Gone");
    }
    let api = K::api(ctx.client.clone(), &key.namespace);
    let paused = object
        .annotations()
        .get(PAUSED_ANNOTATION)
        .is_some_and(|value| value == "true");
    let mut details = object.current().cloned().unwrap_or_default();
    if paused {
        let outcome = Ok(paused_summary(K::conditions(&details)));
        return settle(&object, ctx, key, details, outcome).await;
    }
    if deleting {
        let outcome = bounded(object.clone().finalize(ctx.clone(), &mut details)).await;
        return match outcome {
            Ok(()) => release(&api, &object, ctx, key).await,
            Err(failure) => settle(&object, ctx, key, details, Err(failure)).await,
        };
    }
    let object = if ours {
        object
    } else {
        let added = with_permit(ctx, kube_io::add_finalizer(&api, &*object)).await;
        ctx.metrics.kube_wrote(key.kind, "finalizer", &added);
        match added {
            Ok(object) => Arc::new(object),
            Err(error) if kube_io::is_conflict(&error) || kube_io::is_not_found(&error) => {
                return (Action::await_change(), "Stale");
            }
            Err(error) => {
                let failure = Failure::from(DereferenceError::Kube(error));
                return settle(&object, ctx, key, details, Err(failure)).await;
            }
        }
    };
    let outcome = bounded(object.clone().reconcile(ctx.clone(), &mut details)).await;
    settle(&object, ctx, key, details, outcome).await
}

async fn bounded<T>(step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(RECONCILE_TIMEOUT, step)
        .await
        .unwrap_or(Err(Failure::Apply(ApplyError::TimedOut(
            RECONCILE_TIMEOUT.as_secs(),
        ))))
}

async fn with_permit<T>(ctx: &Context, write: impl Future<Output = T>) -> T {
    // The semaphore is never closed; without a permit the write is merely not bounded.
    let _permit = ctx.kube_writes.acquire().await.ok();
    write.await
}

/// A paused object keeps what it was, and says that it is paused.
fn paused_summary(conditions: &[Condition]) -> Summary {
    let ready = if is_ready(conditions) {
        Truth::True
    } else {
        Truth::Unknown
    };
    Summary {
        ready,
        extra: vec![(ConditionType::Paused, Truth::True, "Paused")],
        ..Summary::ready(
            "Paused",
            format!("Annotation {PAUSED_ANNOTATION} is true: the operator leaves this object alone."),
        )
    }
}

async fn release<K: Declared>(
    api: &kube::Api<K>,
    object: &Arc<K>,
    ctx: &Arc<Context>,
    key: &ObjectKey,
) -> (Action, &'static str) {
    let removed = with_permit(ctx, kube_io::remove_finalizer(api, &**object)).await;
    ctx.metrics.kube_wrote(key.kind, "finalizer", &removed);
    match removed {
        Ok(()) => {
            log_transition(object, key, "Deleted", "The finalizer was removed.");
            gone(ctx, key);
            (Action::await_change(), "Deleted")
        }
        // The next event of this object brings the newer version.
        Err(error) if kube_io::is_conflict(&error) => (Action::requeue(PROGRESS_RECHECK), "Stale"),
        Err(error) => {
            tracing::warn!(object = %key, %error, "the finalizer could not be removed");
            let standing = ctx
                .tracker
                .note(key, &object.uid().unwrap_or_default(), "KubernetesError");
            (Action::requeue(backoff(standing.attempts)), "KubernetesError")
        }
    }
}

/// The one line that a log has for each transition: which object, what came of it, and why.
fn log_transition<K: Declared>(object: &Arc<K>, key: &ObjectKey, reason: &str, sentence: &str) {
    tracing::info!(
        kind = key.kind.name(),
        namespace = key.namespace,
        name = key.name,
        generation = object.meta().generation,
        reason,
        sentence,
        "transition"
    );
}

/// Forgets an object and tells those who waited for its end.
fn gone(ctx: &Context, key: &ObjectKey) {
    ctx.tracker.forget(key);
    ctx.wake.forget(key);
    ctx.wake.changed(&Topic::Object(key.clone()));
}

/// Writes the status, if it says something new, and says when to look again.
async fn settle<K: Declared>(
    object: &Arc<K>,
    ctx: &Arc<Context>,
    key: &ObjectKey,
    mut details: K::Status,
    outcome: Result<Summary, Failure>,
) -> (Action, &'static str) {
    let uid = object.uid().unwrap_or_default();
    let (summary, class) = match &outcome {
        Ok(summary) => (summary.clone(), None),
        Err(failure) => (failure.summary(), Some(failure.verdict().class)),
    };
    let standing = ctx.tracker.note(key, &uid, summary.reason);
    if standing.changed {
        log_transition(object, key, summary.reason, &summary.message);
    }
    let written = ctx.tracker.written(key, &uid);
    let cached = object
        .current()
        .and_then(|status| serde_json::to_value(status).ok());
    let before = written.or(cached).unwrap_or(Value::Null);
    let previous = conditions_in(&before);

    let passing = matches!(class, Some(Class::Progress | Class::Transient | Class::Blocked));
    if passing && standing.age < QUIET && ready_reason(&previous) != Some(summary.reason) {
        // Most waits end before anyone could read of them: such a write would only cost.
        let again = retry(class, standing.attempts)
            .min(QUIET.saturating_sub(standing.age) + Duration::from_millis(10));
        return (Action::requeue(again), summary.reason);
    }
    let conditions = summary.conditions(object.meta().generation, &previous, now());
    K::conclude(&mut details, object.meta().generation, conditions);
    if let Err(action) = write_status(object, ctx, key, &details, &before, standing.attempts).await {
        return (action, summary.reason);
    }
    let first_status = before.get("observedGeneration").is_none();
    if ctx
        .tracker
        .is_first_ready(key, first_status, summary.ready == Truth::True)
        && let Some(created) = object.creation_timestamp()
    {
        let took = Timestamp::now().duration_since(created.0);
        ctx.metrics
            .first_ready(key.kind, took.try_into().unwrap_or_default());
    }
    if ready_reason(&previous) != Some(summary.reason) && class != Some(Class::Progress) {
        publish_event(object, ctx, &summary, &previous).await;
    }
    let action = if class.is_some() {
        Action::requeue(retry(class, standing.attempts))
    } else {
        Action::await_change()
    };
    (action, summary.reason)
}

/// Whole seconds, as metav1 times are.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn retry(class: Option<Class>, attempts: u32) -> Duration {
    match class {
        None => Duration::MAX,
        Some(Class::Progress) => PROGRESS_RECHECK,
        Some(Class::Transient) => backoff(attempts),
        Some(Class::Blocked) => BLOCKED_RECHECK,
        Some(Class::Terminal) => Duration::from_mins(10),
    }
}

async fn write_status<K: Declared>(
    object: &Arc<K>,
    ctx: &Arc<Context>,
    key: &ObjectKey,
    details: &K::Status,
    before: &Value,
    attempts: u32,
) -> Result<(), Action> {
    let status = serde_json::to_value(details).unwrap_or(Value::Null);
    if status == *before {
        return Ok(());
    }
    let api = K::api(ctx.client.clone(), &key.namespace);
    let written = with_permit(ctx, kube_io::apply_status(&api, &object.name_any(), &status)).await;
    ctx.metrics.kube_wrote(key.kind, "status", &written);
    match written {
        Ok(()) => {
            ctx.tracker.wrote(key, Some(status));
            Ok(())
        }
        Err(error) if kube_io::is_not_found(&error) => Ok(()),
        Err(error) => {
            tracing::warn!(object = %key, %error, "the status could not be written");
            ctx.tracker.wrote(key, None);
            Err(Action::requeue(backoff(attempts)))
        }
    }
}

/// Events on transitions only, and none of what was merely under way.
async fn publish_event<K: Declared>(
    object: &Arc<K>,
    ctx: &Context,
    summary: &Summary,
    previous: &[Condition],
) {
    let passed = ready_reason(previous).is_none_or(|reason| UNDER_WAY.contains(&reason));
    if summary.ready == Truth::True && passed {
        return;
    }
    let event = Event {
        type_: if summary.ready == Truth::True {
            EventType::Normal
        } else {
            EventType::Warning
        },
        reason: summary.reason.to_owned(),
        note: Some(summary.message.chars().take(1000).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    let published = ctx.recorder.publish(&event, &object.object_ref(&())).await;
    ctx.metrics.kube_wrote(K::KIND, "event", &published);
    if let Err(error) = published
        && !kube_io::is_namespace_terminating(&error)
    {
        tracing::debug!(%error, "an event was not recorded");
    }
}
