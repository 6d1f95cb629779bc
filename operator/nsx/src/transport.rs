//! One HTTP exchange, and what went wrong if there was none.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode};
use reqwest::redirect;

use crate::{Answer, Called, Config, Error, Observer, Tuning, path};

/// The connection pool to all manager nodes.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    client: reqwest::Client,
    observer: Arc<dyn Observer>,
}

/// What to send.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) query: &'a [(&'a str, String)],
    pub(crate) headers: HeaderMap,
    pub(crate) body: Content<'a>,
    pub(crate) timeout: Duration,
}

/// The body to send.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    None,
    Json(&'a [u8]),
    Form(&'a [(&'a str, &'a str)]),
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection: nothing was sent.
    NotSent(String),
    /// No connection because of the certificate: nothing was sent.
    Untrusted(String),
    /// Sent, perhaps received, not answered.
    NoAnswer(String),
}

impl Transport {
    pub(crate) fn new(config: &Config, tuning: &Tuning) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config.tls.clone())
            .user_agent(config.user_agent.clone())
            .redirect(redirect::Policy::none())
            .connect_timeout(tuning.connect_timeout)
            // NSX closes idle connections after about a minute; ours must not outlive that.
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_keepalive(Duration::from_secs(30))
            .no_proxy()
            .build()
            .map_err(|error| Error::Setup { cause: chain(&error) })?;
        Ok(Self {
            client,
            observer: Arc::clone(&config.observer),
        })
    }

    pub(crate) async fn exchange(&self, out: &Outgoing<'_>) -> Result<Incoming, Fault> {
        let mut watched = Watched {
            observer: &*self.observer,
            out,
            begun: Instant::now(),
            answer: Answer::Abandoned,
        };
        let outcome = self.send(out).await;
        watched.answer = match &outcome {
            Ok(answer) => Answer::Status(answer.status.as_u16()),
            Err(Fault::NotSent(_)) => Answer::Unreachable,
            Err(Fault::Untrusted(_)) => Answer::Untrusted,
            Err(Fault::NoAnswer(_)) => Answer::Unanswered,
        };
        outcome
    }

    async fn send(&self, out: &Outgoing<'_>) -> Result<Incoming, Fault> {
        let mut request = self
            .client
            .request(out.method.clone(), &out.url)
            .headers(out.headers.clone())
            .query(out.query)
            .timeout(out.timeout);
        request = match out.body {
            Content::None => request,
            Content::Json(json) => request
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(json.to_vec()),
            Content::Form(form) => request.form(form),
        };
        let response = request.send().await.map_err(|error| fault(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| fault(&error))?.to_vec();
        Ok(Incoming {
            status,
            headers,
            body,
        })
    }
}

/// An exchange under way: whatever becomes of it is told, also when nobody waits any more.
struct Watched<'a> {
    observer: &'a dyn Observer,
    out: &'a Outgoing<'a>,
    begun: Instant,
    answer: Answer,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.observer.called(&Called {
            method: self.out.method.as_str(),
            template: &path::template(&self.out.url),
            answer: self.answer,
            took: self.begun.elapsed(),
        });
    }
}

fn fault(error: &reqwest::Error) -> Fault {
    if let Some(cause) = distrust(error) {
        Fault::Untrusted(cause)
    } else if error.is_connect() || error.is_builder() {
        Fault::NotSent(chain(error))
    } else if error.is_timeout() {
        Fault::NoAnswer("no answer in time".to_owned())
    } else {
        Fault::NoAnswer(chain(error))
    }
}

/// Why the certificate was refused, if it was. rustls hides inside `io::Error`s, whose `source` skips what they wrap.
fn distrust(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| distrust(inner));
        if wrapped.is_some() {
            return wrapped;
        }
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(cause)) => return Some(sentence(cause)),
            Some(rustls::Error::NoCertificatesPresented) => return Some("it presents none".to_owned()),
            _ => next = error.source(),
        }
    }
    None
}

/// The certificate errors users meet, in plain words.
fn sentence(cause: &rustls::CertificateError) -> String {
    use rustls::CertificateError as E;
    match cause {
        E::UnknownIssuer => "it is signed by an unknown authority".to_owned(),
        E::Expired | E::ExpiredContext { .. } => "it has expired".to_owned(),
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        E::NotValidForName | E::NotValidForNameContext { .. } => "it is made out to another name".to_owned(),
        E::Revoked => "it is revoked".to_owned(),
        other => other.to_string(),
    }
}

/// The innermost two causes of an error; the outer ones only repeat the URL.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = plain(cause.to_string());
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    let skip = causes.len().saturating_sub(2).max(usize::from(causes.len() > 1));
    causes.split_off(skip).join(": ")
}

/// What rustls says of a connection that was cut, for users instead of programmers.
fn plain(text: String) -> String {
    if text.contains("close_notify") {
        "the connection was cut".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_connection_is_told_in_plain_words() {
        let told = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls";
        assert_eq!(plain(told.to_owned()), "the connection was cut");
        assert_eq!(plain("Connection refused".to_owned()), "Connection refused");
    }

    #[test]
    fn distrust_is_found_inside_io_errors() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let inner = std::io::Error::new(std::io::ErrorKind::InvalidData, tls);
        let outer = std::io::Error::other(inner);
        assert_eq!(
            distrust(&outer).as_deref(),
            Some("it is signed by an unknown authority")
        );
        let other = std::io::Error::other(rustls::Error::HandshakeNotComplete);
        assert_eq!(distrust(&other), None);
    }

    #[test]
    fn every_certificate_error_has_words() {
        use rustls::CertificateError as E;
        for (cause, words) in [
            (E::Expired, "expired"),
            (E::NotValidForName, "another name"),
            (E::Revoked, "revoked"),
            (E::NotValidYet, "yet"),
        ] {
            assert!(sentence(&cause).contains(words));
        }
        assert!(!sentence(&E::BadEncoding).is_empty());
    }
}
