//! Faults that a test scripts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::paths::glob;

/// When to disturb, and how.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which calls.
    #[serde(default, rename = "match")]
    pub matcher: Matcher,
    /// How many of them; absent = 1, 0 = all.
    #[serde(default = "once")]
    pub times: u64,
    /// How many matching calls pass first.
    #[serde(default)]
    pub after: u64,
    /// What happens.
    pub action: Action,
    /// Matching calls seen so far.
    #[serde(default)]
    pub seen: u64,
    /// Calls disturbed so far.
    #[serde(default)]
    pub hits: u64,
}

fn once() -> u64 {
    1
}

/// Which calls a fault is about.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// Method; absent = any.
    #[serde(default)]
    pub method: Option<String>,
    /// Path without the query: with `*` a pattern, else a prefix; absent = any.
    #[serde(default)]
    pub path: Option<String>,
    /// Path with ids replaced by `{name}`, as the call log has it; absent = any.
    #[serde(default)]
    pub template: Option<String>,
    /// Part of the `User-Agent`; absent = any.
    #[serde(default)]
    pub client: Option<String>,
}

/// What a fault is matched against.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Method.
    pub method: &'a str,
    /// Path without the query, as it came.
    pub path: &'a str,
    /// Path with ids replaced by `{name}`.
    pub template: &'a str,
    /// `User-Agent`.
    pub client: &'a str,
}

/// What a fault does.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Action {
    /// `"drop-before"` and its like.
    Named(Named),
    /// Answers with this, without looking at the request.
    Answer {
        /// HTTP status.
        status: u16,
        /// Body: a text goes out as HTML, anything else as JSON.
        #[serde(default)]
        body: Value,
    },
    /// Waits before the request is looked at.
    Delay {
        /// Milliseconds.
        #[serde(alias = "delay")]
        delay_ms: u64,
    },
}

/// Faults without a parameter.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Named {
    /// The connection is cut before the request is looked at.
    DropBefore,
    /// The request takes effect, then the connection is cut: a write whose outcome the client cannot know.
    DropAfterCommit,
    /// The request takes effect, half of the answer goes out, then the connection is cut.
    Truncate,
    /// The caller's session ends before the request is looked at.
    ExpireSession,
    /// The request stops before it is looked at, until the faults are cleared; then the connection is cut.
    HoldBefore,
    /// The request takes effect and its answer stops, until the faults are cleared; then the connection is cut.
    HoldAfterCommit,
}

/// All faults that are set, in order.
#[derive(Default)]
pub struct Faults {
    faults: Vec<Fault>,
}

impl Faults {
    /// Adds a fault behind the others.
    pub fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.faults.clear();
    }

    /// All, with their counts.
    pub fn list(&self) -> &[Fault] {
        &self.faults
    }

    /// What happens to a call. Every fault that matches counts it; the first that is due acts.
    pub fn strike(&mut self, asked: Asked<'_>) -> Option<Action> {
        let mut action = None;
        for fault in self.faults.iter_mut().filter(|f| f.matcher.fits(asked)) {
            fault.seen = fault.seen.saturating_add(1);
            let due = fault.seen > fault.after && (fault.times == 0 || fault.hits < fault.times);
            if due && action.is_none() {
                fault.hits = fault.hits.saturating_add(1);
                action = Some(fault.action.clone());
            }
        }
        action
    }
}

impl Matcher {
    fn fits(&self, asked: Asked<'_>) -> bool {
        let path_fits = |p: &String| {
            if p.contains('*') {
                glob(p, asked.path)
            } else {
                asked.path.starts_with(p.as_str())
            }
        };
        self.method
            .as_ref()
            .is_none_or(|m| m.eq_ignore_ascii_case(asked.method))
            && self.path.as_ref().is_none_or(path_fits)
            && self.template.as_ref().is_none_or(|t| t == asked.template)
            && self
                .client
                .as_ref()
                .is_none_or(|c| asked.client.contains(c.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked<'a>(method: &'a str, path: &'a str, client: &'a str) -> Asked<'a> {
        Asked {
            method,
            path,
            template: "/policy/{id}",
            client,
        }
    }

    fn faults(list: Value) -> Faults {
        Faults {
            faults: serde_json::from_value(list).unwrap(),
        }
    }

    #[test]
    fn a_fault_strikes_so_often_after_so_many() {
        let mut faults = faults(json!([
            {"match": {"method": "PATCH", "path": "/policy"}, "after": 1, "times": 2, "action": "truncate"}
        ]));
        let mut strikes = Vec::new();
        for (method, path) in [
            ("PATCH", "/policy/x"),
            ("GET", "/policy/x"),
            ("PATCH", "/policy/x"),
            ("PATCH", "/policy/y"),
            ("PATCH", "/policy/x"),
        ] {
            strikes.push(faults.strike(asked(method, path, "")).is_some());
        }
        assert_eq!(strikes, [false, false, true, true, false]);
        assert_eq!((faults.list()[0].seen, faults.list()[0].hits), (4, 2));
    }

    #[test]
    fn actions_are_read_from_their_json() {
        let cases = [
            (json!("drop-before"), Action::Named(Named::DropBefore)),
            (json!("drop-after-commit"), Action::Named(Named::DropAfterCommit)),
            (json!("expire-session"), Action::Named(Named::ExpireSession)),
            (json!("hold-before"), Action::Named(Named::HoldBefore)),
            (json!("hold-after-commit"), Action::Named(Named::HoldAfterCommit)),
            (
                json!({"status": 503, "body": "<html>"}),
                Action::Answer {
                    status: 503,
                    body: json!("<html>"),
                },
            ),
            (
                json!({"status": 429}),
                Action::Answer {
                    status: 429,
                    body: Value::Null,
                },
            ),
            (json!({"delay_ms": 5}), Action::Delay { delay_ms: 5 }),
            (json!({"delay": 5}), Action::Delay { delay_ms: 5 }),
        ];
        for (text, expected) in cases {
            assert_eq!(serde_json::from_value::<Action>(text).unwrap(), expected);
        }
        assert!(serde_json::from_value::<Action>(json!("explode")).is_err());
    }

    #[test]
    fn matching_is_by_prefix_pattern_template_and_client() {
        let mut faults = faults(json!([
            {"match": {"path": "/policy/*/nat-rules/*", "client": "vic-operator"}, "times": 0, "action": "truncate"},
            {"match": {"method": "PUT", "template": "/policy/{id}"}, "times": 0, "action": "hold-before"},
            {"match": {"method": "POST", "template": "/policy/{other}"}, "times": 0, "action": "hold-before"},
        ]));
        let cases = [
            ("GET", "/policy/a/nat-rules/b", "vic-operator/1", true),
            ("GET", "/policy/a/nat-rules/b", "curl", false),
            ("GET", "/policy/a/rules/b", "vic-operator/1", false),
            ("PUT", "/policy/a", "curl", true),
            ("POST", "/policy/a", "curl", false),
        ];
        for (method, path, client, struck) in cases {
            let action = faults.strike(asked(method, path, client));
            assert_eq!(action.is_some(), struck, "{method} {path} of {client}");
        }
    }
}
