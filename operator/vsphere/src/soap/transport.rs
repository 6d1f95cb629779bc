//! Requests and answers over HTTPS.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, SET_COOKIE};
use reqwest::{StatusCode, Url};
use tracing::{Instrument, debug, debug_span, field};

use super::call::{Call, Effect};
use super::fault::{Detail, Origin};
use super::refusal;
use crate::config::Config;
use crate::error::Error;
use crate::observer::{Observer, Watched};
use crate::xml::Node;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Finds a peer that is gone during a long wait.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Every vCenter since 6.0 knows it; spoken until the server has told its own version.
const FIRST_VERSION: &str = "6.0";
const SESSION_COOKIE: &str = "vmware_soap_session=";

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// An ordinary call: tasks answer at once.
    Call,
    /// A farewell, which must not hold up a shutdown.
    Farewell,
    /// A call that waits for changes on the server for so long.
    Wait(Duration),
}

impl Patience {
    fn timeout(self) -> Duration {
        match self {
            Self::Call => Duration::from_mins(1),
            Self::Farewell => Duration::from_secs(5),
            Self::Wait(wait) => wait + Duration::from_mins(1),
        }
    }
}

/// What came back: the response element, and the session cookie if one was set.
pub(crate) struct Reply {
    pub response: Node,
    pub cookie: Option<String>,
}

/// One HTTPS client for one vCenter.
pub(crate) struct Transport {
    http: reqwest::Client,
    sdk: Url,
    version: OnceLock<String>,
    observer: Arc<dyn Observer>,
}

impl Transport {
    pub fn new(config: &Config) -> Result<Self, Error> {
        let invalid = || Error::InvalidUrl {
            url: config.url.clone(),
        };
        let base = Url::parse(&config.url).map_err(|_| invalid())?;
        // A scripted server in this crate's own tests speaks plain HTTP.
        let spoken = base.scheme() == "https" || cfg!(test);
        if !spoken || !base.has_host() {
            return Err(invalid());
        }
        let sdk = base.join("/sdk").map_err(|_| invalid())?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(config.tls.clone())
            .user_agent(&config.user_agent)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .build()
            .map_err(|error| Error::Unreachable {
                reason: error.to_string(),
            })?;
        Ok(Self {
            http,
            sdk,
            version: OnceLock::new(),
            observer: config.observer.clone(),
        })
    }

    /// Speaks the server's own version from now on: an older one hides newer properties.
    pub fn speak(&self, version: &str) {
        // Set at the first login only; an upgraded vCenter still knows its former versions.
        let _ = self.version.set(version.to_owned());
    }

    /// Sends a call and reads the answer.
    pub async fn send(&self, call: &Call, cookie: Option<&str>, patience: Patience) -> Result<Reply, Error> {
        let span = debug_span!(
            "vcenter",
            method = call.method,
            object = call.logged(),
            status = field::Empty
        );
        let started = Instant::now();
        async {
            let watched = Watched::begin(&*self.observer, call.method);
            let result = self.exchange(call, cookie, patience).await;
            watched.end(&result);
            let outcome = result
                .as_ref()
                .map_or_else(ToString::to_string, |_| "ok".to_owned());
            debug!(elapsed_ms = started.elapsed().as_millis(), outcome, "call");
            result
        }
        .instrument(span)
        .await
    }

    async fn exchange(&self, call: &Call, cookie: Option<&str>, patience: Patience) -> Result<Reply, Error> {
        let version = self.version.get().map_or(FIRST_VERSION, String::as_str);
        let mut request = self
            .http
            .post(self.sdk.clone())
            .timeout(patience.timeout())
            .header(CONTENT_TYPE, "text/xml; charset=utf-8")
            .header("SOAPAction", format!("urn:vim25/{version}"))
            .body(call.envelope()?);
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        let failed = |error: reqwest::Error| refusal::of_request(&error, call.method, call.effect);
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        tracing::Span::current().record("status", status.as_u16());
        let cookie = session_cookie(response.headers());
        let text = response.text().await.map_err(failed)?;
        let response = answer(call.method, status, &text)?;
        Ok(Reply { response, cookie })
    }

    /// Sends a file to a path of the file service by `PUT`, with its length announced.
    pub async fn put<S>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        cookie: &str,
        size: u64,
        body: S,
    ) -> Result<(), Error>
    where
        S: Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
    {
        const METHOD: &str = "PUT /folder";
        let span = debug_span!("vcenter", method = METHOD, object = path, status = field::Empty);
        let mut url = self.sdk.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("folder").extend(path.split('/'));
        }
        let request = self
            .http
            .put(url)
            .query(query)
            .header(COOKIE, cookie)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size)
            .body(reqwest::Body::wrap_stream(body));
        let watched = Watched::begin(&*self.observer, METHOD);
        let sent = async {
            let response = request
                .send()
                .await
                .map_err(|error| refusal::of_request(&error, METHOD, Effect::Write))?;
            let status = response.status();
            tracing::Span::current().record("status", status.as_u16());
            match status {
                status if status.is_success() => Ok(()),
                StatusCode::UNAUTHORIZED => Err(Error::NotAuthenticated),
                StatusCode::FORBIDDEN => Err(Error::NoPermission {
                    privilege: Some("Datastore.FileManagement".to_owned()),
                    object: None,
                }),
                status => Err(Error::Http {
                    status: status.as_u16(),
                    method: METHOD.to_owned(),
                }),
            }
        };
        let result = sent.instrument(span).await;
        watched.end(&result);
        result
    }
}

/// `name=value` of the session cookie, without its attributes.
fn session_cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter_map(|value| value.split(';').next())
        .find(|pair| pair.starts_with(SESSION_COOKIE))
        .map(str::to_owned)
}

/// Takes an answer apart: the response element, or the error that it tells.
fn answer(method: &str, status: StatusCode, text: &str) -> Result<Node, Error> {
    let http = || Error::Http {
        status: status.as_u16(),
        method: method.to_owned(),
    };
    let protocol = |reason: String| Error::Protocol {
        method: method.to_owned(),
        reason,
    };
    // A proxy, or a vCenter that starts, answers in HTML.
    if !status.is_success() && status != StatusCode::INTERNAL_SERVER_ERROR {
        return Err(if status == StatusCode::UNAUTHORIZED {
            Error::NotAuthenticated
        } else {
            http()
        });
    }
    let envelope = match Node::parse(text) {
        Ok(envelope) => envelope,
        Err(_) if !status.is_success() => return Err(http()),
        Err(reason) => return Err(protocol(reason)),
    };
    let body = envelope.children.into_iter().find(|part| part.name == "Body");
    match body.and_then(|body| body.children.into_iter().next()) {
        Some(fault) if fault.name == "Fault" => {
            Err(Detail::from_call(&fault).into_error(Origin::Call(method)))
        }
        _ if !status.is_success() => Err(http()),
        Some(response) if response.name.strip_suffix("Response") == Some(method) => Ok(response),
        Some(other) => Err(protocol(format!("it is a {}", other.name))),
        None => Err(protocol("it has no body".to_owned())),
    }
}
