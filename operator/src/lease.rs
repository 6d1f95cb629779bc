//! One writer per Site: who holds the Site's Lease alone writes, and checks that it still does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a holder is believed without a renewal.
const DURATION: Duration = Duration::from_secs(15);
/// How often a holder renews.
const RENEWAL: Duration = Duration::from_secs(5);
/// How long a holder trusts its own last renewal: less than others wait.
const CONFIDENCE: Duration = Duration::from_secs(10);

/// Why a Lease could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Someone else holds it.
    #[error("held by {0}")]
    Held(String),
    /// The kube-apiserver refused.
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

/// A held Lease; renewed until it is dropped.
#[derive(Debug)]
pub struct Lease {
    renewed: Arc<Mutex<Instant>>,
    _renewal: DropGuard,
}

impl Lease {
    /// Takes the Lease `name`, if nobody else holds it, and renews it from then on. The object goes with its owner.
    ///
    /// # Errors
    /// Where it is held by someone else, or the kube-apiserver does not answer.
    pub async fn acquire(
        api: Api<LeaseObject>,
        name: &str,
        identity: &str,
        owner: OwnerReference,
    ) -> Result<Self, LeaseError> {
        claim(&api, name, identity, &owner).await?;
        let renewed = Arc::new(Mutex::new(Instant::now()));
        let stop = CancellationToken::new();
        tokio::spawn(renew(
            api,
            name.to_owned(),
            identity.to_owned(),
            owner,
            renewed.clone(),
            stop.clone(),
        ));
        Ok(Self {
            renewed,
            _renewal: stop.drop_guard(),
        })
    }

    /// Whether the Lease is surely still held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        is_fresh(&self.renewed)
    }

    /// Answers [`Lease::is_held`] to who cannot hold the Lease itself: the engines, before each request that writes.
    #[must_use]
    pub fn right(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let renewed = Arc::clone(&self.renewed);
        Arc::new(move || is_fresh(&renewed))
    }
}

/// Whether the last renewal is so young that nobody else can have taken the Lease.
fn is_fresh(renewed: &Mutex<Instant>) -> bool {
    renewed.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < CONFIDENCE
}

async fn renew(
    api: Api<LeaseObject>,
    name: String,
    identity: String,
    owner: OwnerReference,
    renewed: Arc<Mutex<Instant>>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(RENEWAL);
    ticks.tick().await;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let begun = Instant::now();
        match claim(&api, &name, &identity, &owner).await {
            Ok(()) => *renewed.lock().unwrap_or_else(PoisonError::into_inner) = begun,
            Err(error) => tracing::warn!(lease = name, %error, "the lease could not be renewed"),
        }
    }
    release(&api, &name, &identity).await;
}

/// Creates or renews; optimistic concurrency decides between two who try at once.
async fn claim(
    api: &Api<LeaseObject>,
    name: &str,
    identity: &str,
    owner: &OwnerReference,
) -> Result<(), LeaseError> {
    let now = Timestamp::now();
    let Some(mut lease) = api.get_opt(name).await? else {
        let fresh = LeaseObject {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                owner_references: Some(vec![owner.clone()]),
                ..ObjectMeta::default()
            },
            spec: Some(held(identity, now, None)),
        };
        api.create(&PostParams::default(), &fresh).await?;
        return Ok(());
    };
    if let Some(holder) = other_holder(lease.spec.as_ref(), identity, now) {
        return Err(LeaseError::Held(holder));
    }
    lease.spec = Some(held(identity, now, lease.spec.as_ref()));
    api.replace(name, &PostParams::default(), &lease).await?;
    Ok(())
}

async fn release(api: &Api<LeaseObject>, name: &str, identity: &str) {
    let Ok(Some(mut lease)) = api.get_opt(name).await else {
        return;
    };
    let mine = lease
        .spec
        .as_ref()
        .is_some_and(|spec| spec.holder_identity.as_deref() == Some(identity));
    if let (true, Some(spec)) = (mine, lease.spec.as_mut()) {
        spec.holder_identity = None;
        spec.renew_time = None;
        if let Err(error) = api.replace(name, &PostParams::default(), &lease).await {
            tracing::debug!(lease = name, %error, "the lease was not released; it will expire");
        }
    }
}

/// Who else holds a lease at `now`, if anyone.
fn other_holder(spec: Option<&LeaseSpec>, identity: &str, now: Timestamp) -> Option<String> {
    let spec = spec?;
    let holder = spec
        .holder_identity
        .as_deref()
        .filter(|holder| !holder.is_empty() && *holder != identity)?;
    let renewed = spec.renew_time.as_ref()?.0;
    let age = now.duration_since(renewed);
    let limit = spec.lease_duration_seconds.map_or(15, i64::from);
    (age.as_secs() < limit).then(|| holder.to_owned())
}

fn held(identity: &str, now: Timestamp, before: Option<&LeaseSpec>) -> LeaseSpec {
    let same = before.is_some_and(|spec| spec.holder_identity.as_deref() == Some(identity));
    let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: before
            .filter(|_| same)
            .and_then(|spec| spec.acquire_time.clone())
            .or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if same {
            transitions
        } else {
            transitions.saturating_add(1)
        }),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_free_when_it_is_mine_or_old_or_released() {
        let now = Timestamp::from_second(1_000).unwrap();
        let spec = |holder: Option<&str>, renewed: i64| LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        };
        let cases = [
            (spec(Some("other"), 990), Some("other")),
            (spec(Some("me"), 990), None),
            (spec(Some("other"), 985), None),
            (spec(None, 999), None),
        ];
        for (spec, expected) in cases {
            assert_eq!(
                other_holder(Some(&spec), "me", now).as_deref(),
                expected,
                "{spec:?}"
            );
        }
        assert_eq!(other_holder(None, "me", now), None);
    }

    #[test]
    fn the_right_ends_with_the_confidence_in_the_last_renewal() {
        let renewed = Mutex::new(Instant::now());
        assert!(is_fresh(&renewed));
        let Some(long_ago) = Instant::now().checked_sub(CONFIDENCE) else {
            return;
        };
        *renewed.lock().unwrap() = long_ago;
        assert!(!is_fresh(&renewed));
    }

    #[test]
    fn a_change_of_holder_counts_as_a_transition() {
        let now = Timestamp::UNIX_EPOCH;
        let first = held("a", now, None);
        assert_eq!(
            held("a", now, Some(&first)).lease_transitions,
            first.lease_transitions
        );
        assert_eq!(held("b", now, Some(&first)).lease_transitions, Some(2));
    }
}
