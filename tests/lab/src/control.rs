//! Plain JSON calls, as the simulators' control ports and the NSX API take them.

use crate::error::{Context, Error, Result};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// A client of one server.
#[derive(Clone, Debug)]
pub struct Json {
    base: String,
    http: reqwest::Client,
    login: Option<(String, String)>,
}

impl Json {
    /// A client of a server that asks for no credentials and speaks no TLS.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn plain(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .context(|| format!("a client of {base}"))?;
        Ok(Self {
            base: base.to_owned(),
            http,
            login: None,
        })
    }

    /// A client of a server that shows a certificate of that authority and asks for basic authentication.
    ///
    /// # Errors
    /// The authority is not one.
    pub fn secure(base: &str, ca_pem: &str, username: &str, password: &str) -> Result<Self> {
        let what = || format!("a client of {base}");
        let ca = reqwest::Certificate::from_pem(ca_pem.as_bytes()).context(what)?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([ca])
            .build()
            .context(what)?;
        Ok(Self {
            base: base.to_owned(),
            http,
            login: Some((username.to_owned(), password.to_owned())),
        })
    }

    /// `GET path`.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// `GET path`, or `None` where nothing is.
    ///
    /// # Errors
    /// The server cannot be reached or refuses for another reason.
    pub async fn find(&self, path: &str) -> Result<Option<Value>> {
        let (status, text) = self.send(Method::GET, path, None).await?;
        if status == StatusCode::NOT_FOUND {
            Ok(None)
        } else {
            self.read(&Method::GET, path, status, &text).map(Some)
        }
    }

    /// Any other call; an answer without a body is `null`.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, text) = self.send(method.clone(), path, body).await?;
        self.read(&method, path, status, &text)
    }

    /// `POST path`.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Any call, with whatever comes back.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, String)> {
        let what = || format!("{method} {}{path}", self.base);
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some((username, password)) = &self.login {
            request = request.basic_auth(username, Some(password));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.context(what)?;
        Ok((response.status(), response.text().await.context(what)?))
    }

    fn read(&self, method: &Method, path: &str, status: StatusCode, text: &str) -> Result<Value> {
        let what = || format!("{method} {}{path}", self.base);
        if !status.is_success() {
            return Err(Error::Other(format!("{}: {status}: {}", what(), text.trim())));
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(text).context(what)
    }
}
