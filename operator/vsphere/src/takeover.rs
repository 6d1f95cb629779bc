//! What an earlier process began: vCenter goes on with its tasks when the process that started them is gone.
//!
//! Until they have ended, what the inventory shows is not what it comes to: an object that seems never to have been made
//! may appear a moment later.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use crate::error::Error;
use crate::session::Session;
use crate::spec::filter;
use crate::updates::{ObjectUpdate, retrieve};

/// Pause between two looks at the tasks, and the longest wait: a task that takes longer is a human's, or stuck.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(1);

/// Waits until the tasks that this user has under way have ended.
///
/// # Errors
/// What keeps them from being read.
pub(crate) async fn wait_for_tasks(session: &Session, username: &str) -> Result<(), Error> {
    let Some(manager) = session.content().task_manager.clone() else {
        return Ok(());
    };
    let begun = Instant::now();
    loop {
        let tasks = retrieve(session, |w| filter::recent_tasks(w, &manager)).await?;
        let running = tasks.iter().filter(|task| is_running(task, username)).count();
        if running == 0 || begun.elapsed() >= LONGEST {
            return Ok(());
        }
        info!(running, "waits for tasks that an earlier process began");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a task of that user has not ended yet.
fn is_running(task: &ObjectUpdate, username: &str) -> bool {
    let value = |wanted: &str| {
        let found = task.changes.iter().find(|(path, _)| path == wanted);
        found.and_then(|(_, value)| value.as_ref())
    };
    let state = value("info.state").is_some_and(|state| matches!(state.text.as_str(), "running" | "queued"));
    let user = value("info.reason").and_then(|reason| reason.string("userName"));
    state && user.is_some_and(|user| account(&user) == account(username))
}

/// The account's name alone: it logs in as `name@domain`, and tasks show `DOMAIN\name`.
fn account(user: &str) -> String {
    let name = user.rsplit('\\').next().unwrap_or(user);
    name.split('@').next().unwrap_or(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moref::Moref;
    use crate::updates::Kind;
    use crate::xml::Node;

    fn task(state: &str, user: &str) -> ObjectUpdate {
        let node = |xml: &str| Some(Node::parse(xml).unwrap());
        ObjectUpdate {
            kind: Kind::Enter,
            moref: Moref::new("Task", "task-1"),
            changes: vec![
                ("info.state".to_owned(), node(&format!("<val>{state}</val>"))),
                (
                    "info.reason".to_owned(),
                    node(&format!("<val><userName>{user}</userName></val>")),
                ),
            ],
        }
    }

    #[test]
    fn only_own_tasks_that_have_not_ended_are_waited_for() {
        let cases = [
            ("running", "VSPHERE.LOCAL\\Administrator", true),
            ("queued", "administrator@vsphere.local", true),
            ("success", "VSPHERE.LOCAL\\Administrator", false),
            ("error", "VSPHERE.LOCAL\\Administrator", false),
            ("running", "VSPHERE.LOCAL\\somebody", false),
        ];
        for (state, user, running) in cases {
            let told = is_running(&task(state, user), "administrator@vsphere.local");
            assert_eq!(told, running, "{state} of {user}");
        }
    }
}
