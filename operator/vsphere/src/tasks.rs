//! The task hub: every task under way hangs in one list view, watched by the mirror's own wait.
//!
//! One collector for both has two merits: no second wait, and since an answer is one calculation
//! over both filters, a task's success arrives with, or after, the objects it made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::debug;

use crate::error::Error;
use crate::moref::Moref;
use crate::session::{Login, Session};
use crate::soap::{Call, Detail, Origin, Patience};
use crate::spec::filter;
use crate::updates::{Kind, ObjectUpdate, retrieve};
use crate::xml::Node;

/// Tasks under way at once: far below vCenter's own queue of about 640 operations.
const MAX_TASKS: usize = 32;

type Outcome = Result<Option<Node>, Error>;

/// Tasks under way, and those whose end was seen but which still hang in the view.
pub(crate) struct Hub {
    table: Mutex<Table>,
    /// Something is to be added to the view.
    wanted: Notify,
    permits: Arc<Semaphore>,
}

#[derive(Default)]
struct Table {
    pending: HashMap<Moref, Pending>,
    spent: Vec<Moref>,
    closed: bool,
}

struct Pending {
    method: &'static str,
    state: TaskState,
    /// The login in whose view it hangs.
    hung_in: Option<u64>,
    waiter: oneshot::Sender<Outcome>,
    /// Given back when the task ends, even if nobody waits for it any more.
    _permit: OwnedSemaphorePermit,
}

impl Hub {
    pub fn new() -> Self {
        Self {
            table: Mutex::default(),
            wanted: Notify::new(),
            permits: Arc::new(Semaphore::new(MAX_TASKS)),
        }
    }

    /// Starts a task and awaits its end.
    ///
    /// # Errors
    /// The call's refusal, the task's fault, or [`Error::OutcomeUnknown`] when the task is no longer
    /// known: what it did shows in the mirror.
    pub async fn run(&self, session: &Session, call: &Call) -> Result<(), Error> {
        self.start(session, call)
            .await?
            .1
            .await
            .unwrap_or(Err(Error::Closed))
            .map(|_| ())
    }

    /// The same for a task that has a result.
    pub async fn run_for_result(&self, session: &Session, call: &Call) -> Result<Node, Error> {
        let (task, outcome) = self.start(session, call).await?;
        let mut result = outcome.await.unwrap_or(Err(Error::Closed))?;
        if result.is_none() {
            // Nothing promises that the result is told together with the success.
            let objects = retrieve(session, |w| filter::task(w, &task)).await?;
            let changes = objects.into_iter().flat_map(|object| object.changes);
            result = changes
                .into_iter()
                .find(|(path, _)| path == "info.result")
                .and_then(|(_, value)| value);
        }
        result.ok_or_else(|| Error::Protocol {
            method: call.method.to_owned(),
            reason: "its task has no result".to_owned(),
        })
    }

    async fn start(
        &self,
        session: &Session,
        call: &Call,
    ) -> Result<(Moref, oneshot::Receiver<Outcome>), Error> {
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let response = session.call(call).await?;
        let task = response.moref_of("returnval").ok_or_else(|| Error::Protocol {
            method: call.method.to_owned(),
            reason: "it names no task".to_owned(),
        })?;
        let outcome = self.register(task.clone(), call.method, permit);
        self.wanted.notify_one();
        debug!(%task, method = call.method, "task started");
        Ok((task, outcome))
    }

    fn register(
        &self,
        task: Moref,
        method: &'static str,
        permit: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<Outcome> {
        let (waiter, outcome) = oneshot::channel();
        let mut table = self.table();
        if !table.closed {
            let state = TaskState::default();
            table.pending.insert(
                task,
                Pending {
                    method,
                    state,
                    hung_in: None,
                    waiter,
                    _permit: permit,
                },
            );
        }
        outcome
    }

    /// Waits until [`Self::hang`] has something to do.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Hangs what is new into the view of this login, and takes out what has ended, in one call.
    /// Tasks of an earlier login count as new: tasks outlive the session that started them.
    pub async fn hang(&self, session: &Session, login: &Login, view: &Moref) -> Result<(), Error> {
        let (add, remove) = {
            let mut table = self.table();
            let new = table
                .pending
                .iter()
                .filter(|(_, task)| task.hung_in != Some(login.generation));
            let add: Vec<Moref> = new.map(|(task, _)| task.clone()).collect();
            if add.is_empty() {
                return Ok(());
            }
            (add, std::mem::take(&mut table.spent))
        };
        let call = Call::write("ModifyListView", view, |w| {
            for task in &add {
                w.moref("add", task);
            }
            for task in &remove {
                w.moref("remove", task);
            }
        });
        let response = session.call_in(login, &call, Patience::Call).await?;
        // What could not be resolved ended long ago, or vCenter forgot it in a restart.
        let unknown: Vec<Moref> = response.all("returnval").filter_map(Node::moref).collect();
        let mut table = self.table();
        for task in add {
            if unknown.contains(&task) {
                table.lose(&task);
            } else if let Some(pending) = table.pending.get_mut(&task) {
                pending.hung_in = Some(login.generation);
            }
        }
        Ok(())
    }

    /// Takes over updates of tasks.
    pub fn take(&self, updates: Vec<ObjectUpdate>) {
        let mut table = self.table();
        for ObjectUpdate { kind, moref, changes } in updates {
            let Some(pending) = table.pending.get_mut(&moref) else {
                continue;
            };
            pending.state.take(changes);
            if let Some(outcome) = pending.state.outcome() {
                table.end(&moref, outcome);
                table.spent.push(moref);
            } else if kind == Kind::Leave {
                table.lose(&moref);
            }
        }
    }

    /// The view of a former login is gone, and with it what hung there.
    pub fn forget_view(&self) {
        self.table().spent.clear();
    }

    /// Ends all waiting.
    pub fn close(&self) {
        self.permits.close();
        let mut table = self.table();
        table.closed = true;
        table.pending.clear();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn lose(&mut self, task: &Moref) {
        if let Some(pending) = self.pending.get(task) {
            let outcome = Err(Error::OutcomeUnknown {
                method: pending.method.to_owned(),
            });
            self.end(task, outcome);
        }
    }

    fn end(&mut self, task: &Moref, outcome: Outcome) {
        if let Some(pending) = self.pending.remove(task) {
            // Whoever started it may have given up.
            let _ = pending.waiter.send(outcome);
        }
    }
}

/// What is known of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TaskState {
    state: String,
    error: Option<Node>,
    result: Option<Node>,
}

impl TaskState {
    fn take(&mut self, changes: Vec<(String, Option<Node>)>) {
        for (path, value) in changes {
            match path.as_str() {
                "info.state" => self.state = value.map(|node| node.text).unwrap_or_default(),
                "info.error" => self.error = value,
                "info.result" => self.result = value,
                _ => {}
            }
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.state.as_str() {
            "success" => Some(Ok(self.result.clone())),
            "error" => {
                let error = self.error.clone().unwrap_or_default();
                Some(Err(Detail::from_localized(&error).into_error(Origin::Task)))
            }
            _ => None,
        }
    }
}
