//! Bodies of calls that may change something, kept in a file for whoever holds them against other readings of the API.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use super::request::Request;

/// Where the policy API begins: what is sent elsewhere holds passwords.
const POLICY: &str = "/policy/api/v1/";

/// The file: one JSON object a line.
pub struct Bodies {
    file: File,
}

impl Bodies {
    /// An empty file at `path`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::create(path)?,
        })
    }

    /// Notes a call of the policy API that has a body, whatever becomes of it: `{client, method, path, body}`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(&mut self, request: &Request) -> io::Result<()> {
        if request.method == Method::GET || request.body.is_empty() || !request.raw_path.starts_with(POLICY) {
            return Ok(());
        }
        let text = || Value::from(String::from_utf8_lossy(&request.body));
        let call = json!({
            "client": request.header("user-agent").unwrap_or_default(),
            "method": request.method.as_str(),
            "path": request.path.as_deref().unwrap_or(&request.raw_path),
            "body": serde_json::from_slice(&request.body).unwrap_or_else(|_| text()),
        });
        self.file.write_all(format!("{call}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;

    fn request(method: Method, path: &str, body: &str) -> Request {
        let headers = HeaderMap::from_iter([(http::header::USER_AGENT, "op/1".parse().unwrap())]);
        Request::new(
            method,
            &path.parse().unwrap(),
            headers,
            Bytes::from(body.to_owned()),
        )
    }

    #[test]
    fn bodies_of_the_policy_api_are_kept_and_passwords_are_not() {
        let path = std::env::temp_dir().join(format!("nsxsim-bodies-{}", std::process::id()));
        let mut bodies = Bodies::create(&path).unwrap();
        for (method, path, body) in [
            (Method::PATCH, "/policy/api/v1/infra/x?y=z", "{\n\"a\": 1}"),
            (Method::POST, "/api/session/create", "j_password=secret"),
            (Method::DELETE, "/policy/api/v1/infra/x", ""),
            (Method::GET, "/policy/api/v1/infra/x", "{}"),
            (Method::PUT, "/policy/api/v1/infra/y", "broken {"),
        ] {
            bodies.note(&request(method, path, body)).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                json!({"client": "op/1", "method": "PATCH", "path": "/policy/api/v1/infra/x", "body": {"a": 1}}),
                json!({"client": "op/1", "method": "PUT", "path": "/policy/api/v1/infra/y", "body": "broken {"}),
            ]
        );
    }
}
