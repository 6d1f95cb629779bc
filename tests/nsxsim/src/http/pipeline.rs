//! What happens to every request: fault, limit, credentials, answer, log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::answer::Answer;
use super::calls::Call;
use super::faults::{Action, Asked, Named};
use super::request::Request;
use super::shared::Shared;
use super::{manager, policy, template};
use crate::error::NsxError;
use crate::world::Actor;
use crate::world::tuning::Tuning;

/// `error_code` of a manager that its server cannot be reached at.
const NO_SERVER: i64 = 98;

/// How the answer leaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Whole.
    Whole(Answer),
    /// Half of it, then the connection is cut.
    Half(Answer),
    /// Not at all: the connection is cut.
    Cut,
}

/// Answers one request and logs it.
pub async fn answer(shared: &Arc<Shared>, request: Request) -> Outcome {
    let began = shared.now();
    shared.keep_body(&request);
    let user = shared.auth().claimed(&request);
    let path = request.path.clone().unwrap_or_else(|| request.raw_path.clone());
    let template = shared.with_world(|world, _| template::template(world.schema, &path));
    let outcome = disturbed(shared, &request, &user, &template).await;
    let (status, received) = match &outcome {
        Outcome::Whole(answer) => (answer.status, answer.body.len()),
        Outcome::Half(answer) => (answer.status, answer.body.len() / 2),
        Outcome::Cut => (0, 0),
    };
    shared.calls().add(Call {
        time: began,
        node: request.node,
        client: request.header("user-agent").unwrap_or_default().to_owned(),
        user,
        method: request.method.to_string(),
        template,
        path,
        query: request.query.iter().cloned().collect::<BTreeMap<_, _>>(),
        status,
        sent: request.body.len(),
        received,
        milliseconds: shared.now().saturating_sub(began),
    });
    outcome
}

/// The answer, or what a scripted fault makes of it.
async fn disturbed(shared: &Arc<Shared>, request: &Request, user: &str, template: &str) -> Outcome {
    let asked = Asked {
        method: request.method.as_str(),
        path: &request.raw_path,
        template,
        client: request.header("user-agent").unwrap_or_default(),
    };
    let action = shared.faults().strike(asked);
    match action {
        Some(Action::Named(Named::DropBefore)) => return Outcome::Cut,
        Some(Action::Named(Named::HoldBefore)) => {
            shared.holds.hold().await;
            return Outcome::Cut;
        }
        Some(Action::Named(Named::ExpireSession)) => shared.auth().expire(request),
        Some(Action::Answer { status, body }) => return Outcome::Whole(scripted(status, &body)),
        Some(Action::Delay { delay_ms }) => tokio::time::sleep(Duration::from_millis(delay_ms)).await,
        Some(Action::Named(Named::DropAfterCommit | Named::HoldAfterCommit | Named::Truncate)) | None => {}
    }
    let answer = limited(shared, request, user).await;
    match action {
        Some(Action::Named(Named::DropAfterCommit)) => Outcome::Cut,
        Some(Action::Named(Named::HoldAfterCommit)) => {
            shared.holds.hold().await;
            Outcome::Cut
        }
        Some(Action::Named(Named::Truncate)) => Outcome::Half(answer),
        _ => Outcome::Whole(answer),
    }
}

fn scripted(status: u16, body: &Value) -> Answer {
    let mut answer = Answer::status(status);
    match body {
        Value::Null => {}
        Value::String(text) => {
            answer.body = text.clone().into_bytes();
            answer.content_type = "text/html";
        }
        other => answer.body = other.to_string().into_bytes(),
    }
    answer
}

/// A place among the open requests, given back when dropped: also when the client goes away.
struct Place<'a> {
    shared: &'a Shared,
    node: usize,
    user: &'a str,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(mut limits) = self.shared.limits(self.node) {
            limits.leave(self.user);
        }
    }
}

async fn limited(shared: &Arc<Shared>, request: &Request, user: &str) -> Answer {
    let (tuning, now) = shared.with_world(|world, now| (world.tuning.clone(), now));
    let node = request.node;
    let entered = shared.limits(node).map(|mut l| l.enter(user, now, &tuning));
    if let Some(Err(refusal)) = entered {
        return refusal.into();
    }
    let _place = Place { shared, node, user };
    if tuning.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(tuning.latency_ms)).await;
    }
    let result = entitled(shared, request, &tuning);
    let slow = Duration::from_micros(tuning.latency_per_object_us.saturating_mul(result.1));
    if !slow.is_zero() {
        tokio::time::sleep(slow).await;
    }
    result.0
}

/// The answer, and how many objects a hierarchical call had.
fn entitled(shared: &Arc<Shared>, request: &Request, tuning: &Tuning) -> (Answer, u64) {
    let path = request.raw_path.as_str();
    if path == "/api/v1/reverse-proxy/node/health" {
        return (manager::health(shared.nodes.has_majority()), 0);
    }
    if !shared.nodes.has_majority() {
        return (
            NsxError::new(503, NO_SERVER, "The cluster has no majority of its nodes").into(),
            0,
        );
    }
    if path == "/api/session/create" && request.method == http::Method::POST {
        return (shared.auth().create(request, shared.now()), 0);
    }
    let checked = shared.auth().check(
        request,
        shared.now(),
        tuning.session_timeout_s,
        tuning.expired_session_status,
    );
    let user = match checked {
        Ok(user) => user,
        Err(refusal) => return (refusal.into(), 0),
    };
    if path == "/api/session/destroy" && request.method == http::Method::POST {
        shared.auth().expire(request);
        return (Answer::empty(), 0);
    }
    if path == "/api/v1/cluster/status" && request.method == http::Method::GET {
        let views = shared.nodes.views();
        let status = shared.with_world(|world, _| manager::cluster(world, &views));
        return (Answer::json(&status), 0);
    }
    shared.with_world(|world, now| {
        let actor = Actor { user, now };
        let Some(path) = request.path.as_deref() else {
            return (
                NsxError::bad(crate::error::FIELD, "URI is invalid")
                    .common()
                    .into(),
                0,
            );
        };
        match path.strip_prefix("/policy/api/v1") {
            Some(rest) => policy::answer(world, request, rest, &actor),
            None => (manager::answer(world, request, path, &actor).into(), 0),
        }
    })
}
