//! Logging in, once for all callers, at one node of the manager cluster at a time.
//!
//! A session lives on the node that made it: cookie and XSRF token go with that node's URL. Who finds a session
//! refused asks for a newer one; the first to ask logs in, the others get what it got.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::limiter::Limiter;
use crate::table;
use crate::transport::{Content, Fault, Incoming, Outgoing, Transport};
use crate::{Config, Error, Tuning};

const XSRF: HeaderName = HeaderName::from_static("x-xsrf-token");
/// After refused credentials no login is tried for this long, then for [`LATER_COOLDOWN`]: NSX locks an account after
/// five failures within 15 minutes.
const FIRST_COOLDOWN: Duration = Duration::from_mins(1);
const LATER_COOLDOWN: Duration = Duration::from_mins(5);

/// A session on one node.
#[derive(Debug)]
pub(crate) struct Ticket {
    generation: u64,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
}

/// The sessions of one manager cluster, of which one is in use.
#[derive(Debug)]
pub(crate) struct Session {
    transport: Transport,
    limiter: Arc<Limiter>,
    urls: Vec<String>,
    username: String,
    password: Secret,
    timeout: Duration,
    current: RwLock<Option<Arc<Ticket>>>,
    login: Mutex<Login>,
}

/// Text that no log shows.
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug, Default)]
struct Login {
    node: usize,
    generation: u64,
    refusals: u32,
    closed_until: Option<Instant>,
}

/// Why a newer session is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The node no longer knows it.
    Refused,
    /// The node does not answer: try the next one.
    NodeGone,
}

impl Session {
    pub(crate) fn new(transport: Transport, limiter: Arc<Limiter>, config: &Config, tuning: &Tuning) -> Self {
        Self {
            transport,
            limiter,
            urls: config
                .urls
                .iter()
                .map(|url| url.trim_end_matches('/').to_owned())
                .collect(),
            username: config.username.clone(),
            password: Secret(config.password.clone()),
            timeout: tuning.read_timeout,
            current: RwLock::new(None),
            login: Mutex::new(Login::default()),
        }
    }

    /// How many nodes there are to turn to.
    pub(crate) fn nodes(&self) -> usize {
        self.urls.len()
    }

    /// The session in use; logs in if there is none.
    pub(crate) async fn ticket(&self) -> Result<Arc<Ticket>, Error> {
        match self.peek() {
            Some(ticket) => Ok(ticket),
            None => self.newer_than(None, Reason::Refused).await,
        }
    }

    fn peek(&self) -> Option<Arc<Ticket>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, ticket: Option<Arc<Ticket>>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = ticket;
    }

    /// A session newer than `stale`: somebody else's, if it came meanwhile, else by a login.
    pub(crate) async fn newer_than(
        &self,
        stale: Option<&Ticket>,
        reason: Reason,
    ) -> Result<Arc<Ticket>, Error> {
        let mut login = self.login.lock().await;
        if let Some(current) = self.peek()
            && stale.is_none_or(|stale| current.generation > stale.generation)
        {
            return Ok(current);
        }
        if let Some(until) = login.closed_until.filter(|until| *until > Instant::now()) {
            tracing::debug!(wait = ?(until - Instant::now()), "no login is tried after refused credentials");
            return Err(Error::Unauthorized {
                url: self.url(login.node),
            });
        }
        self.keep(None);
        if reason == Reason::NodeGone {
            login.node = (login.node + 1) % self.urls.len().max(1);
        }
        let mut first_error = None;
        for _ in 0..self.urls.len() {
            match self.log_in(&mut login).await {
                Ok(ticket) => return Ok(ticket),
                Err(error) => {
                    let elsewhere = matches!(
                        error,
                        Error::Unreachable { .. }
                            | Error::NoAnswer { .. }
                            | Error::Untrusted { .. }
                            | Error::Redirected { .. }
                            | Error::Unparsable { .. }
                            | Error::Busy(_)
                            | Error::ServerFault(_)
                    );
                    if !elsewhere {
                        return Err(error);
                    }
                    login.node = (login.node + 1) % self.urls.len();
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(Error::Setup {
            cause: "no manager URL is declared".to_owned(),
        }))
    }

    fn url(&self, node: usize) -> String {
        self.urls.get(node).cloned().unwrap_or_default()
    }

    async fn log_in(&self, login: &mut Login) -> Result<Arc<Ticket>, Error> {
        let url = self.url(login.node);
        self.limiter.charge();
        let form = [
            ("j_username", self.username.as_str()),
            ("j_password", self.password.0.as_str()),
        ];
        let answer = self
            .transport
            .exchange(&Outgoing {
                method: Method::POST,
                url: format!("{url}/api/session/create"),
                query: &[],
                headers: HeaderMap::new(),
                body: Content::Form(&form),
                timeout: self.timeout,
            })
            .await
            .map_err(|fault| fault.into_error(&url, false))?;
        tracing::info!(%url, status = answer.status.as_u16(), "login");
        match answer.status.as_u16() {
            200..=299 => {}
            401 | 403 => {
                login.refusals = login.refusals.saturating_add(1);
                let cooldown = if login.refusals == 1 {
                    FIRST_COOLDOWN
                } else {
                    LATER_COOLDOWN
                };
                login.closed_until = Some(Instant::now() + cooldown);
                return Err(Error::Unauthorized { url });
            }
            300..=399 => return Err(redirected(url, &answer)),
            status => return Err(table::error_of(&url, status, &answer.body)),
        }
        let headers = credentials(&answer.headers).ok_or_else(|| Error::Unparsable {
            url: url.clone(),
            status: answer.status.as_u16(),
            excerpt: "a login without a session cookie".to_owned(),
        })?;
        login.refusals = 0;
        login.closed_until = None;
        login.generation += 1;
        let ticket = Arc::new(Ticket {
            generation: login.generation,
            url,
            headers,
        });
        self.keep(Some(Arc::clone(&ticket)));
        Ok(ticket)
    }

    /// Ends the session. What goes wrong here is of no consequence: NSX ends idle sessions itself.
    pub(crate) async fn destroy(&self) {
        let Some(ticket) = self.peek() else { return };
        self.keep(None);
        let out = Outgoing {
            method: Method::POST,
            url: format!("{}/api/session/destroy", ticket.url),
            query: &[],
            headers: ticket.headers.clone(),
            body: Content::None,
            timeout: Duration::from_secs(5),
        };
        if let Err(fault) = self.transport.exchange(&out).await {
            tracing::debug!(?fault, "the session could not be ended");
        }
    }
}

impl Fault {
    /// As an error of the node at `url`; `write` if the call would have changed something.
    pub(crate) fn into_error(self, url: &str, write: bool) -> Error {
        let url = url.to_owned();
        match self {
            Self::NotSent(cause) => Error::Unreachable { url, cause },
            Self::Untrusted(cause) => Error::Untrusted { url, cause },
            Self::NoAnswer(cause) if write => Error::AmbiguousWrite { url, cause },
            Self::NoAnswer(cause) => Error::NoAnswer { url, cause },
        }
    }
}

/// The error for an answer of the 3xx kind.
pub(crate) fn redirected(url: String, answer: &Incoming) -> Error {
    let location = answer
        .headers
        .get(http::header::LOCATION)
        .and_then(|value| value.to_str().ok());
    Error::Redirected {
        url,
        location: location.unwrap_or("an address it does not name").to_owned(),
    }
}

/// Cookies and XSRF token of a login as headers of later calls.
fn credentials(answer: &HeaderMap) -> Option<HeaderMap> {
    let cookies: Vec<&str> = answer
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next())
        .map(str::trim)
        .filter(|cookie| cookie.contains('='))
        .collect();
    if cookies.is_empty() {
        return None;
    }
    let mut headers = HeaderMap::new();
    let mut cookie = HeaderValue::from_str(&cookies.join("; ")).ok()?;
    cookie.set_sensitive(true);
    headers.insert(COOKIE, cookie);
    if let Some(token) = answer.get(&XSRF) {
        let mut token = token.clone();
        token.set_sensitive(true);
        headers.insert(XSRF, token);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_from_the_login_and_hidden() {
        let mut answer = HeaderMap::new();
        assert!(credentials(&answer).is_none());
        answer.append(
            SET_COOKIE,
            HeaderValue::from_static("JSESSIONID=abc; Path=/; Secure; HttpOnly; SameSite=Lax"),
        );
        answer.append(SET_COOKIE, HeaderValue::from_static("node=2"));
        answer.insert(XSRF, HeaderValue::from_static("token-1"));
        let headers = credentials(&answer).unwrap();
        assert_eq!(headers[COOKIE], "JSESSIONID=abc; node=2");
        assert_eq!(headers[XSRF], "token-1");
        let shown = format!("{headers:?} {:?}", Secret("hunter2".into()));
        assert!(
            !shown.contains("abc") && !shown.contains("token-1") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
