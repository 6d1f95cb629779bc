//! A request as the handlers see it.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use crate::error::{JSON, NsxError};

/// A request, read to its end.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path, percent-decoded; `None` if that is not possible.
    pub path: Option<String>,
    /// Path as it came.
    pub raw_path: String,
    /// Query parameters, decoded.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Node that it came to.
    pub node: usize,
}

impl Request {
    /// Takes a request apart.
    pub fn new(method: Method, uri: &http::Uri, headers: HeaderMap, body: Bytes) -> Self {
        let raw_path = uri.path().to_owned();
        Self {
            method,
            path: decode_path(&raw_path),
            raw_path,
            query: form(uri.query().unwrap_or_default()),
            headers,
            body,
            node: 0,
        }
    }

    /// The request as it came to another node than the first.
    #[must_use]
    pub fn at(self, node: usize) -> Self {
        Self { node, ..self }
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// A query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }

    /// A query parameter that is a switch.
    pub fn flag(&self, name: &str) -> bool {
        self.parameter(name) == Some("true")
    }

    /// The body as a JSON object.
    ///
    /// # Errors
    /// 415 without `Content-Type: application/json`, 400 for anything but an object.
    pub fn object(&self) -> Result<Map<String, Value>, NsxError> {
        let kind = self.header("content-type").unwrap_or_default();
        if !kind.starts_with("application/json") {
            let message = format!("Content type '{kind}' is not supported, application/json is");
            return Err(NsxError::new(415, JSON, message).common());
        }
        let parsed: Result<Value, _> = serde_json::from_slice(&self.body);
        match parsed {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Err(NsxError::bad(JSON, "JSON Parser error: the body is not an object").common()),
            Err(e) => Err(NsxError::bad(JSON, format!("JSON Parser error: {e}")).common()),
        }
    }
}

/// Parses `a=b&c=d`.
pub fn form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|p| !p.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(key), plain(value))
        })
        .collect()
}

fn plain(text: &str) -> String {
    decode(&text.replace('+', " ")).unwrap_or_else(|| text.to_owned())
}

/// Decodes each part of a path; an encoded slash is no part of any id.
fn decode_path(path: &str) -> Option<String> {
    let parts: Option<Vec<String>> = path
        .split('/')
        .map(|part| decode(part).filter(|p| !p.contains('/')))
        .collect();
    parts.map(|p| p.join("/"))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_parameters_are_decoded() {
        assert_eq!(decode_path("/a/b%20c"), Some("/a/b c".into()));
        assert_eq!(decode_path("/a/b%2Fc"), None, "an encoded slash");
        assert_eq!(decode_path("/a/%zz"), None);
        let expected = [
            ("query".to_owned(), "a:b AND c".to_owned()),
            ("x".to_owned(), String::new()),
        ];
        assert_eq!(form("query=a%3Ab+AND%20c&x"), expected);
    }
}
