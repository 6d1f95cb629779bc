//! Calls to the manager: limited, with a session, and with errors read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use crate::limiter::{Limiter, Permit};
use crate::path;
use crate::session::{Reason, Session, Ticket, redirected};
use crate::table;
use crate::transport::{Content, Fault, Incoming, Outgoing, Transport};
use crate::{Config, Error, Health, MayWrite, Priority, Trouble, Tuning};

/// The prefix of policy paths in URLs.
const POLICY: &str = "/policy/api/v1";
/// Refusals for lack of capacity in a row before the manager counts as degraded.
const BUSY_STREAK: u64 = 8;
/// While writes are not confirmed, reads that succeed prove little: so long after the last one of them the manager counts
/// as troubled. Longer than the longest pause between two attempts.
const WRITE_TROUBLE: Duration = Duration::from_secs(20);
/// How often a read is repeated before its caller hears of the trouble.
const READ_ATTEMPTS: u32 = 5;

/// A client of one manager cluster.
pub(crate) struct Client {
    transport: Transport,
    session: Session,
    limiter: Arc<Limiter>,
    health: watch::Sender<Health>,
    calls: AtomicU64,
    refused_in_a_row: AtomicU64,
    /// When a write was last not confirmed, unless one was since.
    unconfirmed: Mutex<Option<Instant>>,
    read_timeout: Duration,
    write_timeout: Duration,
    may_write: MayWrite,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// One call.
#[derive(Debug)]
struct Call<'a> {
    method: Method,
    /// Below the node's URL, percent-encoded.
    path: String,
    query: &'a [(&'a str, String)],
    body: Option<&'a [u8]>,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(config: &Config, tuning: &Tuning) -> Result<Self, Error> {
        let transport = Transport::new(config, tuning)?;
        let limiter = Limiter::new(tuning);
        let session = Session::new(transport.clone(), Arc::clone(&limiter), config, tuning);
        Ok(Self {
            transport,
            session,
            limiter,
            health: watch::Sender::new(Health::Connected),
            calls: AtomicU64::new(0),
            refused_in_a_row: AtomicU64::new(0),
            unconfirmed: Mutex::new(None),
            read_timeout: tuning.read_timeout,
            write_timeout: tuning.write_timeout,
            may_write: Arc::clone(&config.may_write),
        })
    }

    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// (calls sent, limiter's figures)
    pub(crate) fn figures(&self) -> (u64, (f64, usize, u64)) {
        (self.calls.load(Ordering::Relaxed), self.limiter.figures())
    }

    /// Ends the session.
    pub(crate) async fn close(&self) {
        self.session.destroy().await;
    }

    /// Reads below `/api/v1` or `/policy/api/v1`, and repeats what may pass by itself.
    pub(crate) async fn read(
        &self,
        priority: Priority,
        url: &str,
        query: &[(&str, String)],
    ) -> Result<Value, Error> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.read_once(priority, url, query).await {
                Err(error) if error.retry_whole() && attempt < READ_ATTEMPTS => {
                    tracing::debug!(%error, attempt, "read is repeated");
                    tokio::time::sleep(backoff(attempt)).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn read_once(
        &self,
        priority: Priority,
        url: &str,
        query: &[(&str, String)],
    ) -> Result<Value, Error> {
        let call = Call {
            method: Method::GET,
            path: url.to_owned(),
            query,
            body: None,
            timeout: self.read_timeout,
        };
        let (node, answer) = self.call(priority, &call).await?;
        serde_json::from_slice(&answer.body).map_err(|_| Error::Unparsable {
            url: node,
            status: answer.status.as_u16(),
            excerpt: table::excerpt(&answer.body),
        })
    }

    /// Reads one object or list below the policy API; `None` if NSX answers that it is not there.
    pub(crate) async fn read_policy(
        &self,
        priority: Priority,
        policy_path: &str,
        query: &[(&str, String)],
    ) -> Result<Option<Value>, Error> {
        let url = format!("{POLICY}{}", path::encoded(policy_path));
        match self.read(priority, &url, query).await {
            Ok(value) => Ok(Some(value)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends one hierarchical PATCH, once.
    pub(crate) async fn patch_infra(&self, priority: Priority, body: &Value) -> Result<(), Error> {
        let bytes = serde_json::to_vec(body).map_err(|error| Error::Setup {
            cause: error.to_string(),
        })?;
        let call = Call {
            method: Method::PATCH,
            path: format!("{POLICY}/infra"),
            query: &[("enforce_revision_check", "false".to_owned())],
            body: Some(&bytes),
            timeout: self.write_timeout,
        };
        self.call(priority, &call).await.map(drop)
    }

    /// Sends a call with a valid session: a refused session is renewed and the call repeated once, a node that is gone
    /// is left for the next one.
    async fn call(&self, priority: Priority, call: &Call<'_>) -> Result<(String, Incoming), Error> {
        let permit = self.limiter.acquire(priority).await;
        let outcome = self.call_somewhere(&permit, call).await;
        self.report(call.method != Method::GET, outcome.as_ref().map(|_| ()));
        outcome
    }

    async fn call_somewhere(&self, permit: &Permit, call: &Call<'_>) -> Result<(String, Incoming), Error> {
        let mut ticket = self.session.ticket().await?;
        let mut renewed = false;
        let mut nodes_left = self.session.nodes().saturating_sub(1);
        loop {
            let error = match self.call_here(permit, call, &ticket).await {
                Ok(answer) => return Ok((ticket.url.clone(), answer)),
                Err(error) => error,
            };
            let reason = match &error {
                Error::Forbidden(_) if !renewed => {
                    renewed = true;
                    Reason::Refused
                }
                Error::Forbidden(refusal) if refusal.status == 401 || refusal.code == 98 => {
                    return Err(Error::SessionLost {
                        url: ticket.url.clone(),
                    });
                }
                Error::Unreachable { .. } | Error::Redirected { .. } if nodes_left > 0 => {
                    nodes_left -= 1;
                    Reason::NodeGone
                }
                Error::NoAnswer { .. } | Error::AmbiguousWrite { .. } if nodes_left > 0 => {
                    // The caller decides whether to repeat; it will find another node.
                    drop(self.session.newer_than(Some(&ticket), Reason::NodeGone).await);
                    return Err(error);
                }
                _ => return Err(error),
            };
            ticket = self.session.newer_than(Some(&ticket), reason).await?;
        }
    }

    async fn call_here(&self, permit: &Permit, call: &Call<'_>, ticket: &Ticket) -> Result<Incoming, Error> {
        let write = call.method != Method::GET;
        if write && !(self.may_write)() {
            return Err(Error::Fenced);
        }
        let out = Outgoing {
            method: call.method.clone(),
            url: format!("{}{}", ticket.url, call.path),
            query: call.query,
            headers: ticket.headers.clone(),
            body: call.body.map_or(Content::None, Content::Json),
            timeout: call.timeout,
        };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let span = tracing::debug_span!("nsx", method = %call.method, path = %call.path, status = tracing::field::Empty);
        let outcome = self.transport.exchange(&out).instrument(span.clone()).await;
        let answer = outcome.map_err(|fault: Fault| {
            span.in_scope(|| tracing::debug!(?fault, "no answer"));
            fault.into_error(&ticket.url, write)
        })?;
        let status = answer.status.as_u16();
        span.record("status", status);
        span.in_scope(|| tracing::debug!(bytes = answer.body.len(), "answered"));
        match status {
            429 | 503 => permit.pushed_back(status == 503),
            _ => permit.went_well(),
        }
        match status {
            200..=299 if is_page(&answer.body) => Err(page(ticket.url.clone(), write, &answer)),
            200..=299 => Ok(answer),
            300..=399 => Err(redirected(ticket.url.clone(), &answer)),
            _ => Err(table::error_of(&ticket.url, status, &answer.body)),
        }
    }

    /// Tells the world how the manager is doing, as far as this outcome shows it.
    fn report(&self, write: bool, outcome: Result<(), &Error>) {
        if write {
            let lost = matches!(outcome, Err(Error::AmbiguousWrite { .. }));
            *self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner) = lost.then(Instant::now);
        }
        let trouble = match outcome {
            Err(Error::RateLimited(_) | Error::Busy(_)) => {
                let streak = self.refused_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                (streak >= BUSY_STREAK).then_some(Trouble::Busy)
            }
            Err(Error::Untrusted { .. }) => Some(Trouble::Untrusted),
            Err(Error::Unauthorized { .. }) => Some(Trouble::Unauthorized),
            Err(Error::Unreachable { .. } | Error::NoAnswer { .. } | Error::AmbiguousWrite { .. }) => {
                Some(Trouble::Unreachable)
            }
            Err(
                Error::Unparsable { .. }
                | Error::ServerFault(_)
                | Error::BackendDown(_)
                | Error::CertificateRefused(_)
                | Error::SessionLost { .. }
                | Error::Redirected { .. },
            ) => Some(Trouble::Faulty),
            // Nothing was sent.
            Err(Error::Fenced) => None,
            // Any other answer is NSX's own: it is there and works.
            Ok(()) | Err(_) => {
                self.refused_in_a_row.store(0, Ordering::Relaxed);
                if !self.writes_are_lost() {
                    self.set_health(Health::Connected);
                }
                None
            }
        };
        if let (Some(trouble), Err(error)) = (trouble, outcome) {
            self.set_health(Health::Degraded(error.to_string(), trouble));
        }
    }

    fn writes_are_lost(&self) -> bool {
        let unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
        unconfirmed.is_some_and(|since| since.elapsed() < WRITE_TROUBLE)
    }

    fn set_health(&self, health: Health) {
        self.health.send_if_modified(|current| {
            let changed = *current != health;
            *current = health;
            changed
        });
    }
}

/// NSX speaks JSON, or says nothing; a proxy's page proves nothing of what was asked.
fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

fn page(url: String, write: bool, answer: &Incoming) -> Error {
    let excerpt = table::excerpt(&answer.body);
    if write {
        let cause = format!("a web page came back: {excerpt}");
        return Error::AmbiguousWrite { url, cause };
    }
    Error::Unparsable {
        url,
        status: answer.status.as_u16(),
        excerpt,
    }
}

/// A pause before the n-th repetition: it doubles from 200 ms to 10 s, less up to half of it by chance.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let whole = Duration::from_millis(200).saturating_mul(1 << attempt.saturating_sub(1).min(8));
    whole
        .min(Duration::from_secs(10))
        .mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_from_an_answer() {
        for (body, expected) in [
            ("<html>", true),
            ("\n <!DOCTYPE html>", true),
            ("", false),
            ("{\"a\": \"<\"}", false),
        ] {
            assert_eq!(is_page(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_ceiling_and_vary() {
        for (attempt, whole) in [(1, 200), (2, 400), (4, 1600), (7, 10_000), (40, 10_000)] {
            let whole = Duration::from_millis(whole);
            for _ in 0..50 {
                let pause = backoff(attempt);
                assert!(pause <= whole && pause >= whole / 2, "{attempt}: {pause:?}");
            }
        }
        let several: std::collections::HashSet<Duration> = (0..20).map(|_| backoff(5)).collect();
        assert!(several.len() > 1);
    }
}
