//! Every call, counted and in order.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

/// One call.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// When it came, epoch milliseconds.
    pub time: u64,
    /// Node that it came to.
    pub node: usize,
    /// `User-Agent`.
    pub client: String,
    /// User it claims to be from.
    pub user: String,
    /// Method.
    pub method: String,
    /// Path with ids replaced by `{name}`.
    pub template: String,
    /// Path as it came.
    pub path: String,
    /// Query as it was decoded.
    pub query: BTreeMap<String, String>,
    /// Status of the answer; 0 when the connection was cut.
    pub status: u16,
    /// Bytes of the request's body.
    pub sent: usize,
    /// Bytes of the answer's body.
    pub received: usize,
    /// From request to answer, milliseconds.
    pub milliseconds: u64,
}

/// The log.
#[derive(Default)]
pub struct Calls {
    log: Vec<Call>,
}

impl Calls {
    /// Notes a call.
    pub fn add(&mut self, call: Call) {
        self.log.push(call);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.log.clear();
    }

    /// Counts by `METHOD template`, of all and of each client, and the log; only of clients whose agent holds
    /// `client` where that is given, and without the log where `counts_only`.
    pub fn report(&self, client: Option<&str>, counts_only: bool) -> Value {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut clients: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
        let taken = self
            .log
            .iter()
            .filter(|c| client.is_none_or(|wanted| c.client.contains(wanted)));
        let taken: Vec<&Call> = taken.collect();
        for call in &taken {
            let name = format!("{} {}", call.method, call.template);
            *clients
                .entry(&call.client)
                .or_default()
                .entry(name.clone())
                .or_default() += 1;
            *statuses.entry(call.status.to_string()).or_default() += 1;
            *counts.entry(name).or_default() += 1;
        }
        let mut body =
            json!({"counts": counts, "clients": clients, "statuses": statuses, "total": taken.len()});
        if !counts_only && let Some(map) = body.as_object_mut() {
            map.insert("log".into(), json!(taken));
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(client: &str, method: &str, template: &str, status: u16) -> Call {
        Call {
            time: 1,
            node: 0,
            client: client.into(),
            user: "admin".into(),
            method: method.into(),
            template: template.into(),
            path: template.into(),
            query: BTreeMap::new(),
            status,
            sent: 0,
            received: 0,
            milliseconds: 0,
        }
    }

    #[test]
    fn calls_are_counted_by_template_and_client() {
        let mut calls = Calls::default();
        calls.add(call("op/1", "GET", "/a/{id}", 200));
        calls.add(call("op/1", "GET", "/a/{id}", 429));
        calls.add(call("human", "PATCH", "/a/{id}", 200));
        let all = calls.report(None, false);
        assert_eq!(all["counts"], json!({"GET /a/{id}": 2, "PATCH /a/{id}": 1}));
        assert_eq!(all["clients"]["human"], json!({"PATCH /a/{id}": 1}));
        assert_eq!(all["statuses"], json!({"200": 2, "429": 1}));
        assert_eq!(all["log"].as_array().unwrap().len(), 3);
        let one = calls.report(Some("op"), true);
        assert_eq!((&one["total"], one.get("log")), (&json!(2), None));
        calls.clear();
        assert_eq!(calls.report(None, false)["total"], 0);
    }
}
