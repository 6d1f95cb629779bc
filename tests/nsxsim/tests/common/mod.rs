//! A running simulator and a client for it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;

use nsxsim::{Config, Simulator};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

pub const EDGE: &str = "/infra/tier-1s/vic-edge";
pub const ZONES: &str = "/infra/sites/default/enforcement-points/default/transport-zones";

pub struct Lab {
    pub simulator: Simulator,
    pub client: reqwest::Client,
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Lab {
    /// Everything happens at once: no delays, no limits.
    pub async fn quick() -> Self {
        let lab = Self::slow().await;
        let knobs = json!({"realization_delay_ms": 0, "deletion_delay_ms": 0, "search_delay_ms": 0,
            "port_delay_ms": 0, "rate_limit": 0, "concurrency_limit": 0});
        lab.control(Method::POST, "/tune", Some(knobs)).await;
        lab
    }

    /// As it comes.
    pub async fn slow() -> Self {
        Self::of_nodes(1).await
    }

    /// As it comes, with several nodes.
    pub async fn of_nodes(nodes: usize) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::aws_lc_rs::default_provider()
                .install_default()
                .unwrap();
        });
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let simulator = Simulator::start(Config {
            listen: any,
            control: any,
            username: "admin".into(),
            password: "secret".into(),
            nodes,
            tls,
            bodies: None,
        })
        .await
        .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .use_preconfigured_tls(config)
            .user_agent("test/1")
            .build()
            .unwrap();
        Self { simulator, client }
    }

    /// A request without credentials.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.simulator.url))
    }

    /// A request as admin.
    pub fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).basic_auth("admin", Some("secret"))
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.admin(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, &format!("/policy/api/v1{path}"), None)
            .await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, &format!("/policy/api/v1{path}"), Some(body))
            .await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, &format!("/policy/api/v1{path}"), Some(body))
            .await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, &format!("/policy/api/v1{path}"), None)
            .await
    }

    /// A search; the answer's results.
    pub async fn search(&self, query: &[(&str, &str)]) -> Answer {
        read(
            self.admin(Method::GET, "/policy/api/v1/search/query")
                .query(query),
        )
        .await
    }

    pub async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.simulator.control));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = read(request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub async fn tune(&self, knobs: Value) {
        self.control(Method::POST, "/tune", Some(knobs)).await;
    }
}

pub async fn read(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    Answer {
        status,
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}

/// Fails with the body, which says why.
#[track_caller]
pub fn good(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.body);
}

pub fn web() -> Value {
    json!({"transport_zone_path": format!("{ZONES}/overlay"), "connectivity_path": EDGE,
        "subnets": [{"gateway_address": "10.30.0.1/24"}]})
}
