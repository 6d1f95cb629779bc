//! The feed: one collector of our own, one wait, for the mirror and for the tasks.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Mirror;
use crate::error::Error;
use crate::health::Health;
use crate::moref::Moref;
use crate::session::{Login, Session};
use crate::soap::{Call, Patience};
use crate::spec::filter;
use crate::tasks::Hub;
use crate::updates::UpdateSet;
use crate::xml::Writer;

/// One wait on the server: below the 300 s that proxies commonly allow.
const WAIT: Duration = Duration::from_mins(4);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Feeds the mirror and the hub until it is cancelled.
pub(crate) struct Feed {
    pub session: Arc<Session>,
    pub mirror: Arc<Mirror>,
    pub hub: Arc<Hub>,
    pub health: watch::Sender<Health>,
    pub datacenter: Moref,
    pub stop: CancellationToken,
}

/// What vCenter made for one login: dies with it.
struct Bound {
    login: Login,
    collector: Moref,
    tasks: Moref,
    view: Moref,
}

impl Feed {
    /// Runs until cancelled: binds to the login, waits, and begins again when that breaks.
    pub async fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let login = self.session.login();
            let Some(ended) = self
                .stop
                .run_until_cancelled(self.follow(&login, &mut pause))
                .await
            else {
                return;
            };
            // Another login replaced this one while it was followed: nothing is wrong.
            let Err(error) = ended else { continue };
            let error = match error {
                Error::NotAuthenticated => match self.session.renew(&login).await {
                    // Once at once; a login that brings nothing but the same refusal is paced.
                    Ok(_) if pause == FIRST_PAUSE => {
                        pause *= 2;
                        continue;
                    }
                    Ok(_) => Error::NotAuthenticated,
                    Err(error) => error,
                },
                other => other,
            };
            if error == Error::Closed {
                return;
            }
            warn!(%error, "the feed from vCenter broke");
            self.health.send_replace(Health::of(&error));
            if self
                .stop
                .run_until_cancelled(tokio::time::sleep(jitter(pause)))
                .await
                .is_none()
            {
                return;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Feeds from one login until it breaks, or until there is another.
    async fn follow(&self, login: &Login, pause: &mut Duration) -> Result<(), Error> {
        let bound = self.bind(login).await?;
        self.mirror.begin_sync();
        self.hub.forget_view();
        let mut logins = self.session.logins();
        tokio::select! {
            ended = self.listen(&bound, pause) => ended,
            ended = self.hang(&bound) => ended,
            _ = logins.wait_for(|current| current.generation != login.generation) => Ok(()),
        }
    }

    /// Makes the collector and its two filters, the mirror's first: its updates come first in an answer.
    async fn bind(&self, login: &Login) -> Result<Bound, Error> {
        let content = self.session.content();
        let collector = self
            .make(
                login,
                Call::write("CreatePropertyCollector", &content.property_collector, |_| {}),
            )
            .await?;
        let inventory = |w: &mut Writer| filter::inventory(w, &self.datacenter, &content.custom_fields);
        self.make(login, Call::write("CreateFilter", &collector, inventory))
            .await?;
        let view = self
            .make(
                login,
                Call::write("CreateListView", &content.view_manager, |_| {}),
            )
            .await?;
        let tasks = self
            .make(
                login,
                Call::write("CreateFilter", &collector, |w| filter::tasks(w, &view)),
            )
            .await?;
        Ok(Bound {
            login: login.clone(),
            collector,
            tasks,
            view,
        })
    }

    async fn make(&self, login: &Login, call: Call) -> Result<Moref, Error> {
        let response = self.session.call_in(login, &call, Patience::Call).await?;
        response.moref_of("returnval").ok_or_else(|| Error::Protocol {
            method: call.method.to_owned(),
            reason: "it names no object".to_owned(),
        })
    }

    /// Waits for changes for ever.
    async fn listen(&self, bound: &Bound, pause: &mut Duration) -> Result<(), Error> {
        let mut version = String::new();
        // A version that came with a truncated answer may be used once only.
        let mut once = false;
        // After a disturbance the first answer is asked for at once: it tells that all is well again.
        let mut patience = WAIT;
        loop {
            let asked = std::mem::replace(&mut patience, WAIT);
            let answer = match self.wait(bound, &version, asked).await {
                Err(error) if is_unknown_version(&error) && !version.is_empty() => {
                    debug!("vCenter does not know the version any more");
                    self.mirror.begin_sync();
                    version.clear();
                    once = false;
                    continue;
                }
                // The session may well live on, and a version that is no page's can be used again.
                Err(error) if is_passing(&error) => {
                    self.health.send_replace(Health::of(&error));
                    if once {
                        self.mirror.begin_sync();
                        version.clear();
                        once = false;
                    }
                    patience = Duration::ZERO;
                    tokio::time::sleep(jitter(*pause)).await;
                    *pause = LONGEST_PAUSE.min(*pause * 2);
                    continue;
                }
                answer => answer?,
            };
            *pause = FIRST_PAUSE;
            self.health.send_if_modified(|health| {
                let healthy = *health == Health::Connected;
                *health = Health::Connected;
                !healthy
            });
            let Some(set) = answer else { continue };
            once = set.truncated;
            version.clone_from(&set.version);
            self.take(bound, set);
        }
    }

    async fn wait(
        &self,
        bound: &Bound,
        version: &str,
        patience: Duration,
    ) -> Result<Option<UpdateSet>, Error> {
        let call = Call::read("WaitForUpdatesEx", &bound.collector, |w| {
            w.value("version", version);
            w.element("options", |w| w.value("maxWaitSeconds", patience.as_secs()));
        });
        let response = self
            .session
            .call_in(&bound.login, &call, Patience::Wait(patience))
            .await?;
        UpdateSet::from_response(response)
    }

    /// Objects before tasks: who awaits a task finds its effect in the mirror.
    fn take(&self, bound: &Bound, set: UpdateSet) {
        let (tasks, objects): (Vec<_>, Vec<_>) = set
            .filters
            .into_iter()
            .partition(|update| update.filter == bound.tasks);
        self.mirror.take(
            objects.into_iter().flat_map(|update| update.objects).collect(),
            !set.truncated,
        );
        self.hub
            .take(tasks.into_iter().flat_map(|update| update.objects).collect());
    }

    /// Hangs tasks into the view as they come.
    async fn hang(&self, bound: &Bound) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.hub.hang(&self.session, &bound.login, &bound.view).await {
                Err(error) if is_passing(&error) => {
                    tokio::time::sleep(jitter(pause)).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                result => {
                    result?;
                    pause = FIRST_PAUSE;
                    self.hub.wanted().await;
                }
            }
        }
    }
}

/// Whether only the way to vCenter is disturbed: what was made for the login may still be there.
fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable { .. } | Error::OutcomeUnknown { .. } | Error::Http { .. }
    )
}

fn is_unknown_version(error: &Error) -> bool {
    matches!(error, Error::Refused { fault, .. } if fault.kind == "InvalidCollectorVersion")
}

/// Half of the pause at least, so that many clients do not come back at the same instant.
fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.0))
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
