//! Who asks: Basic on every call, or a session cookie with its XSRF token.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::answer::Answer;
use super::request::{Request, form};
use crate::error::NsxError;
use crate::world::new_uuid;

/// `error_code` of bad credentials and of a session that has ended.
const CREDENTIALS: i64 = 403;
/// `error_code` of a wrong XSRF token.
const XSRF: i64 = 98;
const REFUSED: &str = "The credentials were incorrect or the account specified has been locked.";

/// A session.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// Who logged in.
    pub user: String,
    /// `User-Agent` of the login.
    pub agent: String,
    /// When, epoch milliseconds.
    pub created: u64,
    /// Last call, epoch milliseconds.
    pub used: u64,
    /// Node that it was opened on: it is valid there only.
    pub node: usize,
    #[serde(skip)]
    token: String,
}

/// Accounts and sessions.
pub struct Auth {
    accounts: BTreeMap<String, String>,
    sessions: BTreeMap<String, Session>,
}

impl Auth {
    /// One account.
    pub fn new(username: String, password: String) -> Self {
        Self {
            accounts: [(username, password)].into(),
            sessions: BTreeMap::new(),
        }
    }

    /// Sessions that are open, by a name that is no credential.
    pub fn sessions(&self) -> Vec<Session> {
        self.sessions.values().cloned().collect()
    }

    /// Ends the sessions of a node.
    pub fn forget_node(&mut self, node: usize) {
        self.sessions.retain(|_, s| s.node != node);
    }

    /// Ends all sessions.
    pub fn expire_all(&mut self) {
        self.sessions.clear();
    }

    /// Ends the session a request belongs to, if any.
    pub fn expire(&mut self, request: &Request) {
        if let Some(id) = cookie(request) {
            self.sessions.remove(id);
        }
    }

    /// Whom a request claims to be from, for limits and the log.
    pub fn claimed(&self, request: &Request) -> String {
        if let Some((user, _)) = basic(request) {
            return user;
        }
        let session = cookie(request).and_then(|id| self.sessions.get(id));
        let session = session.filter(|s| s.node == request.node);
        session.map_or_else(|| "anonymous".to_owned(), |s| s.user.clone())
    }

    /// Checks a request's credentials; a session's idle time starts anew.
    ///
    /// # Errors
    /// 401 without any, 403 with wrong ones, 403/98 with a wrong XSRF token, `expired` for a session unknown.
    pub fn check(
        &mut self,
        request: &Request,
        now: u64,
        timeout_s: u64,
        expired: u16,
    ) -> Result<String, NsxError> {
        if let Some((user, password)) = basic(request) {
            let known = self.accounts.get(&user).is_some_and(|p| *p == password);
            return if known {
                Ok(user)
            } else {
                Err(NsxError::forbidden(CREDENTIALS, REFUSED))
            };
        }
        let Some(id) = cookie(request) else {
            return Err(NsxError::new(401, CREDENTIALS, REFUSED).common());
        };
        let idle = timeout_s.saturating_mul(1000);
        self.sessions.retain(|_, s| now.saturating_sub(s.used) < idle);
        let here = self.sessions.get_mut(id).filter(|s| s.node == request.node);
        let Some(session) = here else {
            return Err(NsxError::new(expired, CREDENTIALS, REFUSED).common());
        };
        if request.header("x-xsrf-token") != Some(session.token.as_str()) {
            return Err(NsxError::forbidden(XSRF, "Bad XSRF token"));
        }
        session.used = now;
        Ok(session.user.clone())
    }

    /// `POST /api/session/create`.
    pub fn create(&mut self, request: &Request, now: u64) -> Answer {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let fields = form(&body);
        let get = |key: &str| {
            fields
                .iter()
                .find(|(k, _)| k == key)
                .map(|(_, v)| v.clone())
                .unwrap_or_default()
        };
        let (user, password) = (get("j_username"), get("j_password"));
        if self.accounts.get(&user) != Some(&password) {
            return NsxError::forbidden(CREDENTIALS, REFUSED).into();
        }
        let (id, token) = (new_uuid().replace('-', "").to_uppercase(), new_uuid());
        let session = Session {
            user,
            agent: request.header("user-agent").unwrap_or_default().to_owned(),
            created: now,
            used: now,
            node: request.node,
            token: token.clone(),
        };
        self.sessions.insert(id.clone(), session);
        let mut answer = Answer::empty();
        answer.headers.push((
            "set-cookie",
            format!("JSESSIONID={id}; Path=/; Secure; HttpOnly; SameSite=Lax"),
        ));
        answer.headers.push(("x-xsrf-token", token));
        answer
    }
}

fn basic(request: &Request) -> Option<(String, String)> {
    let encoded = request.header("authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(u, p)| (u.to_owned(), p.to_owned()))
}

fn cookie(request: &Request) -> Option<&str> {
    let cookies = request.header("cookie")?.split(';');
    cookies
        .filter_map(|c| c.trim().split_once('='))
        .find(|(k, _)| *k == "JSESSIONID")
        .map(|(_, v)| v)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;

    fn request(headers: &[(&'static str, String)], body: &str) -> Request {
        let mut map = HeaderMap::new();
        for (key, value) in headers {
            map.insert(*key, HeaderValue::from_str(value).unwrap());
        }
        Request::new(
            Method::GET,
            &"/x".parse().unwrap(),
            map,
            Bytes::from(body.to_owned()),
        )
    }

    fn auth() -> Auth {
        Auth::new("admin".into(), "secret:1".into())
    }

    fn login(auth: &mut Auth) -> (String, String) {
        let answer = auth.create(&request(&[], "j_username=admin&j_password=secret%3A1"), 0);
        assert_eq!(answer.status, 200);
        let get = |name| answer.headers.iter().find(|(k, _)| *k == name).unwrap().1.clone();
        let cookie = get("set-cookie").split(';').next().unwrap().to_owned();
        (cookie, get("x-xsrf-token"))
    }

    fn code(auth: &mut Auth, request: &Request, now: u64) -> (u16, serde_json::Value) {
        let error = auth.check(request, now, 1800, 403).unwrap_err();
        (error.status, error.code)
    }

    #[test]
    fn a_session_is_for_the_node_that_opened_it() {
        let mut auth = auth();
        let (cookie, token) = login(&mut auth);
        let at = |node| request(&[("cookie", cookie.clone()), ("x-xsrf-token", token.clone())], "").at(node);
        assert_eq!(auth.claimed(&at(0)), "admin");
        assert_eq!(auth.claimed(&at(1)), "anonymous");
        assert_eq!(code(&mut auth, &at(1), 0), (403, 403.into()));
        assert_eq!(auth.check(&at(0), 0, 1800, 403).unwrap(), "admin");
        auth.forget_node(1);
        assert_eq!(auth.sessions().len(), 1);
        auth.forget_node(0);
        assert_eq!(code(&mut auth, &at(0), 0), (403, 403.into()));
    }

    #[test]
    fn basic_is_checked_on_every_call() {
        let mut auth = auth();
        let with = |text: &str| {
            request(
                &[("authorization", format!("Basic {}", STANDARD.encode(text)))],
                "",
            )
        };
        assert_eq!(
            auth.check(&with("admin:secret:1"), 0, 1800, 403).unwrap(),
            "admin"
        );
        assert_eq!(code(&mut auth, &with("admin:wrong"), 0), (403, 403.into()));
        assert_eq!(code(&mut auth, &request(&[], ""), 0), (401, 403.into()));
    }

    #[test]
    fn a_session_needs_its_token_and_ends_when_idle() {
        let mut auth = auth();
        let (cookie, token) = login(&mut auth);
        let good = request(&[("cookie", cookie.clone()), ("x-xsrf-token", token)], "");
        let bad = request(&[("cookie", cookie.clone()), ("x-xsrf-token", "x".into())], "");
        assert_eq!(auth.check(&good, 1_799_000, 1800, 403).unwrap(), "admin");
        assert_eq!(code(&mut auth, &bad, 1_799_000), (403, 98.into()));
        assert_eq!(
            code(&mut auth, &request(&[("cookie", cookie)], ""), 1_799_000),
            (403, 98.into())
        );
        assert_eq!(code(&mut auth, &good, 1_799_000 + 1_800_000), (403, 403.into()));
    }

    #[test]
    fn wrong_passwords_make_no_session() {
        let mut auth = auth();
        assert_eq!(
            auth.create(&request(&[], "j_username=admin&j_password=x"), 0)
                .status,
            403
        );
        assert!(auth.sessions().is_empty());
    }
}
