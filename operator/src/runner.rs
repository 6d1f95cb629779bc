//! One reconcile, for every kind: finalizer, pause, deletion, status, retry. What is particular to a kind
//! is behind [`Declared`].

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
/// After how long something under way is looked at even if nothing tells of a change.
const PROGRESS_RECHECK: Duration = Duration::from_secs(5);

/// A kind that this operator reconciles.
pub trait Declared:
    Resource<DynamicType = ()> + Reachable + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its status.
    type Status: Serialize + DeserializeOwned + Debug + Clone + Default + Send + Sync + 'static;
    /// Which kind it is.
    const KIND: Kind;
    /// How long something may be under way before a status write tells of it. A new object says so from birth, so that
    /// only what takes minutes is worth a write.
    const PATIENCE: Duration = Duration::from_secs(30);
    /// After how long something under way is looked at for the first time, though nothing told of a change.
    const RECHECK: Duration = PROGRESS_RECHECK;

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
    let text = written.unwrap_or_else(|| text_of::<K>(object.current()).into());
    let status: Value = serde_json::from_str(&text).unwrap_or_default();
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
    ctx.wake.begins(&key);
    if !ctx.openings.wait(K::KIND).await {
        return Ok(Action::requeue(PROGRESS_RECHECK));
    }
    ctx.tracker
        .begins(&key, &object.uid().unwrap_or_default(), mark_of(&*object));
    let timer = ctx.metrics.reconcile_started();
    let (action, outcome) = run(object, &ctx, &key).await;
    ctx.metrics.reconcile_ended(timer, key.kind, outcome);
    Ok(action)
}

/// What stands for an object without its status: two versions of one mark differ in nothing that is reconciled.
pub(crate) fn mark_of<K: Declared>(object: &K) -> u64 {
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    meta.generation.hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    meta.finalizers.hash(&mut hasher);
    meta.annotations.hash(&mut hasher);
    meta.labels.hash(&mut hasher);
    hasher.finish()
}

/// A status as text, to be compared.
pub(crate) fn text_of<K: Declared>(status: Option<&K::Status>) -> String {
    status
        .and_then(|status| serde_json::to_string(status).ok())
        .unwrap_or_default()
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
    // What was handed over last, the cache may not have yet.
    let mut details = ctx
        .tracker
        .written(key, &object.uid().unwrap_or_default())
        .and_then(|text| serde_json::from_str(&text).ok())
        .or_else(|| object.current().cloned())
        .unwrap_or_default();
    let began = Instant::now();
    if paused {
        let outcome = Ok(paused_summary(K::conditions(&details)));
        return settle(&object, ctx, key, details, &outcome, began);
    }
    if deleting {
        let outcome = bounded(object.clone().finalize(ctx.clone(), &mut details)).await;
        return match outcome {
            Ok(()) => release(&api, &object, ctx, key),
            Err(failure) => settle(&object, ctx, key, details, &Err(failure), began),
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
                return settle(&object, ctx, key, details, &Err(failure), began);
            }
        }
    };
    let outcome = bounded(object.clone().reconcile(ctx.clone(), &mut details)).await;
    settle(&object, ctx, key, details, &outcome, began)
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
    let _permit = ctx.outbox.permits.acquire().await.ok();
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

/// Writes a status before something is done that users should have read of; what was written before is not written again.
///
/// # Errors
/// The kube-apiserver refuses it: then nothing is to be done.
pub(crate) async fn announce<K: Declared>(
    object: &K,
    ctx: &Context,
    key: &ObjectKey,
    details: &mut K::Status,
    news: &Failure,
) -> Result<(), Failure> {
    let uid = object.uid().unwrap_or_default();
    let before = ctx
        .tracker
        .written(key, &uid)
        .unwrap_or_else(|| text_of::<K>(object.current()).into());
    let generation = object.meta().generation;
    let conditions = news
        .summary()
        .conditions(generation, K::conditions(details), now());
    K::conclude(details, generation, conditions);
    let text = text_of::<K>(Some(details));
    if *text == *before {
        return Ok(());
    }
    let (answer, answered) = tokio::sync::oneshot::channel();
    let api = K::api(ctx.client.clone(), &key.namespace);
    let (name, details) = (key.name.clone(), details.clone());
    ctx.outbox.post(key, move || async move {
        // Nobody listens any more only where the reconcile was broken off.
        let _ = answer.send(kube_io::apply_status(&api, &name, &details).await);
    });
    let Ok(written) = answered.await else {
        return Err(ApplyError::TimedOut(0).into());
    };
    ctx.metrics.kube_wrote(key.kind, "status", &written);
    written.map_err(ApplyError::Kube)?;
    ctx.tracker.wrote(key, Some(text.into()));
    Ok(())
}

/// Hands the removal of the finalizer over.
fn release<K: Declared>(
    api: &kube::Api<K>,
    object: &Arc<K>,
    ctx: &Arc<Context>,
    key: &ObjectKey,
) -> (Action, &'static str) {
    let (api, object, context, for_key) = (api.clone(), object.clone(), ctx.clone(), key.clone());
    ctx.outbox.post(key, move || async move {
        let (ctx, key) = (context, for_key);
        let removed = kube_io::remove_finalizer(&api, &*object).await;
        ctx.metrics.kube_wrote(key.kind, "finalizer", &removed);
        match removed {
            Ok(()) => {
                log_transition(&object, &key, "Deleted", "The finalizer was removed.");
                gone(&ctx, &key);
            }
            // The next event of this object brings the newer version.
            Err(error) if kube_io::is_conflict(&error) => again(ctx, key, PROGRESS_RECHECK),
            Err(error) => {
                tracing::warn!(object = %key, %error, "the finalizer could not be removed");
                let uid = object.uid().unwrap_or_default();
                let standing = ctx.tracker.note(&key, &uid, "KubernetesError", true);
                again(ctx, key, backoff(standing.attempts));
            }
        }
    });
    (Action::await_change(), "Deleted")
}

/// Reconciles an object after a while, because a write that nobody waited for failed.
fn again(ctx: Arc<Context>, key: ObjectKey, pause: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        ctx.wake.reconcile(key);
    });
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

/// Hands the status over, if it says something new, and says when to look again. The reconcile began at `began`.
fn settle<K: Declared>(
    object: &Arc<K>,
    ctx: &Arc<Context>,
    key: &ObjectKey,
    mut details: K::Status,
    outcome: &Result<Summary, Failure>,
    began: Instant,
) -> (Action, &'static str) {
    let uid = object.uid().unwrap_or_default();
    let (summary, class) = match outcome {
        Ok(summary) => (summary.clone(), None),
        Err(failure) => (failure.summary(), Some(failure.verdict().class)),
    };
    let troubled = matches!(class, Some(Class::Transient | Class::Blocked));
    let standing = ctx.tracker.note(key, &uid, summary.reason, troubled);
    if standing.changed {
        log_transition(object, key, summary.reason, &summary.message);
    }
    let before = ctx
        .tracker
        .written(key, &uid)
        .unwrap_or_else(|| text_of::<K>(object.current()).into());
    let told: Value = serde_json::from_str(&before).unwrap_or_default();
    let previous = conditions_in(&told);

    let quiet = match class {
        Some(Class::Progress) => K::PATIENCE,
        Some(Class::Transient | Class::Blocked) => QUIET,
        Some(Class::Terminal) | None => Duration::ZERO,
    };
    // What an engine repeated for a minute before it gave up has lasted.
    let age = if troubled {
        standing.age.max(began.elapsed())
    } else {
        standing.age
    };
    if age < quiet && ready_reason(&previous) != Some(summary.reason) {
        // Most waits end before anyone could read of them: such a write would only cost.
        let left = quiet.saturating_sub(age) + Duration::from_millis(10);
        return (
            Action::requeue(retry::<K>(class, standing.attempts).min(left)),
            summary.reason,
        );
    }
    let conditions = summary.conditions(object.meta().generation, &previous, now());
    K::conclude(&mut details, object.meta().generation, conditions);
    let first_status = told.get("observedGeneration").is_none();
    let born = object.creation_timestamp().filter(|_| {
        ctx.tracker
            .is_first_ready(key, first_status, summary.ready == Truth::True)
    });
    if let Some(created) = born {
        let took = Timestamp::now().duration_since(created.0);
        ctx.metrics
            .first_ready(key.kind, took.try_into().unwrap_or_default());
    }
    let news = ready_reason(&previous) != Some(summary.reason) && class != Some(Class::Progress);
    let event = news.then(|| event(&summary, &previous)).flatten();
    post_status(object, ctx, key, details, (&before, standing.attempts), event);
    let action = if class.is_some() {
        Action::requeue(retry::<K>(class, standing.attempts))
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

fn retry<K: Declared>(class: Option<Class>, attempts: u32) -> Duration {
    match class {
        None => Duration::MAX,
        Some(Class::Progress) => K::RECHECK,
        Some(Class::Transient) => backoff(attempts),
        Some(Class::Blocked) => BLOCKED_RECHECK,
        Some(Class::Terminal) => Duration::from_mins(10),
    }
}

fn post_status<K: Declared>(
    object: &Arc<K>,
    ctx: &Arc<Context>,
    key: &ObjectKey,
    details: K::Status,
    (before, attempts): (&str, u32),
    event: Option<Event>,
) {
    let text = text_of::<K>(Some(&details));
    if text == before && event.is_none() {
        return;
    }
    let changed = text != before;
    if changed {
        ctx.tracker.wrote(key, Some(text.into()));
    }
    let (object, context, for_key) = (object.object_ref(&()), ctx.clone(), key.clone());
    ctx.outbox.post(key, move || async move {
        let (ctx, key) = (context, for_key);
        if changed {
            let api = K::api(ctx.client.clone(), &key.namespace);
            let written = kube_io::apply_status(&api, &key.name, &details).await;
            ctx.metrics.kube_wrote(key.kind, "status", &written);
            match written {
                Ok(()) => {}
                Err(error) if kube_io::is_not_found(&error) => return,
                Err(error) => {
                    tracing::warn!(object = %key, %error, "the status could not be written");
                    ctx.tracker.wrote(&key, None);
                    again(ctx, key, backoff(attempts));
                    return;
                }
            }
        }
        let Some(event) = event else { return };
        let published = ctx.recorder.publish(&event, &object).await;
        ctx.metrics.kube_wrote(key.kind, "event", &published);
        if let Err(error) = published
            && !kube_io::is_namespace_terminating(&error)
        {
            tracing::debug!(%error, "an event was not recorded");
        }
    });
}

/// Events on transitions only, and none of what was merely under way.
fn event(summary: &Summary, previous: &[Condition]) -> Option<Event> {
    let passed = ready_reason(previous).is_none_or(|reason| UNDER_WAY.contains(&reason));
    if summary.ready == Truth::True && passed {
        return None;
    }
    Some(Event {
        type_: if summary.ready == Truth::True {
            EventType::Normal
        } else {
            EventType::Warning
        },
        reason: summary.reason.to_owned(),
        note: Some(summary.message.chars().take(1000).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    })
}
