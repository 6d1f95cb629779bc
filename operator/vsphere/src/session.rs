//! The one session with vCenter: who is logged in, and what happens when the login is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::{About, Config, MayWrite};
use crate::error::Error;
use crate::moref::Moref;
use crate::soap::{Call, Effect, Patience, Transport};
use crate::xml::Node;

/// Ordinary calls under way at once; waits and uploads come on top.
const MAX_CALLS: usize = 16;
/// vCenter's default policy locks an account after 5 refusals within 180 s: at most 3 fit in.
const REFUSAL_PAUSE: Duration = Duration::from_mins(1);
const MAX_REFUSAL_PAUSE: Duration = Duration::from_mins(15);

/// The managers that vCenter offers.
#[derive(Clone, Debug)]
pub(crate) struct ServiceContent {
    pub about: About,
    pub root_folder: Moref,
    pub property_collector: Moref,
    pub view_manager: Moref,
    pub session_manager: Moref,
    pub file_manager: Moref,
    pub custom_fields: Moref,
    pub task_manager: Option<Moref>,
    pub authorization: Moref,
}

/// One login. Whatever vCenter made for a session (collectors, filters, views) dies with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub generation: u64,
    cookie: Arc<str>,
}

impl Login {
    pub fn cookie(&self) -> &str {
        &self.cookie
    }
}

/// Keeps the session, and sends calls in it.
pub(crate) struct Session {
    transport: Transport,
    username: String,
    password: String,
    content: ServiceContent,
    current: watch::Sender<Login>,
    renewal: Mutex<Renewal>,
    /// Counts finished attempts, so that those who waited for one share its result.
    attempts: watch::Sender<u64>,
    calls: Semaphore,
    may_write: MayWrite,
}

#[derive(Default)]
struct Renewal {
    closed: bool,
    failure: Option<Error>,
    refusals: u32,
    not_before: Option<Instant>,
}

impl Session {
    /// Reads the service content and logs in.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let transport = Transport::new(config)?;
        let instance = Moref::new("ServiceInstance", "ServiceInstance");
        let call = Call::read("RetrieveServiceContent", &instance, |_| {});
        let reply = transport.send(&call, None, Patience::Call).await?;
        let content = ServiceContent::from_node(&reply.response)?;
        transport.speak(&content.about.api_version);
        let cookie = login(&transport, &content, &config.username, &config.password).await?;
        info!(vcenter = %content.about.full_name, user = config.username, "logged in to vCenter");
        Ok(Self {
            transport,
            username: config.username.clone(),
            password: config.password.clone(),
            content,
            current: watch::Sender::new(Login {
                generation: 1,
                cookie,
            }),
            renewal: Mutex::default(),
            attempts: watch::Sender::new(0),
            calls: Semaphore::new(MAX_CALLS),
            may_write: Arc::clone(&config.may_write),
        })
    }

    pub fn content(&self) -> &ServiceContent {
        &self.content
    }

    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The current login.
    pub fn login(&self) -> Login {
        self.current.borrow().clone()
    }

    /// Tells about new logins.
    pub fn logins(&self) -> watch::Receiver<Login> {
        self.current.subscribe()
    }

    /// Calls in whatever session there is. A lost session is renewed and the call sent again:
    /// vCenter refuses a call without a session before it does anything.
    pub async fn call(&self, call: &Call) -> Result<Node, Error> {
        let login = self.login();
        self.check_right(call.effect)?;
        match self.call_in(&login, call, Patience::Call).await {
            Err(Error::NotAuthenticated) => {
                let renewed = self.renew(&login).await?;
                self.check_right(call.effect)?;
                self.call_in(&renewed, call, Patience::Call).await
            }
            other => other,
        }
    }

    /// Lets a write through only while this process may write.
    pub fn check_right(&self, effect: Effect) -> Result<(), Error> {
        if effect == Effect::Read || (self.may_write)() {
            Ok(())
        } else {
            Err(Error::Fenced)
        }
    }

    /// Calls in that login only, for calls that name an object bound to it.
    pub async fn call_in(&self, login: &Login, call: &Call, patience: Patience) -> Result<Node, Error> {
        let _permit = match patience {
            Patience::Wait(_) => None,
            _ => Some(self.calls.acquire().await.map_err(|_| Error::Closed)?),
        };
        let reply = self.transport.send(call, Some(login.cookie()), patience).await?;
        Ok(reply.response)
    }

    /// Logs in anew, once for all who found that the same login is lost.
    ///
    /// After a refusal of the password nothing is sent for a while that grows: vCenter would lock
    /// the account.
    pub async fn renew(&self, lost: &Login) -> Result<Login, Error> {
        let asked = *self.attempts.borrow();
        let mut renewal = self.renewal.lock().await;
        let current = self.login();
        if renewal.closed {
            return Err(Error::Closed);
        }
        if current.generation != lost.generation {
            return Ok(current);
        }
        let paused = renewal.not_before.is_some_and(|until| Instant::now() < until);
        let shared = *self.attempts.borrow() != asked;
        if let Some(failure) = renewal.failure.as_ref().filter(|_| paused || shared) {
            return Err(failure.clone());
        }
        let result = login(&self.transport, &self.content, &self.username, &self.password).await;
        self.attempts.send_modify(|attempts| *attempts += 1);
        match result {
            Ok(cookie) => {
                *renewal = Renewal::default();
                let login = Login {
                    generation: lost.generation + 1,
                    cookie,
                };
                info!(generation = login.generation, "logged in to vCenter again");
                self.current.send_replace(login.clone());
                Ok(login)
            }
            Err(error) => {
                if error == Error::InvalidLogin {
                    let pause = MAX_REFUSAL_PAUSE.min(REFUSAL_PAUSE * (1 << renewal.refusals.min(4)));
                    renewal.refusals += 1;
                    renewal.not_before = Some(Instant::now() + pause);
                    warn!(pause_s = pause.as_secs(), "vCenter refuses the credentials");
                }
                renewal.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Logs out; nothing can be called afterwards.
    pub async fn close(&self) {
        let mut renewal = self.renewal.lock().await;
        if std::mem::replace(&mut renewal.closed, true) {
            return;
        }
        let login = self.login();
        let call = Call::write("Logout", &self.content.session_manager, |_| {});
        if let Err(error) = self
            .transport
            .send(&call, Some(login.cookie()), Patience::Farewell)
            .await
        {
            warn!(%error, "the logout from vCenter failed; the session ends by itself when idle");
        }
        self.calls.close();
    }
}

/// Logs in and returns the session's cookie.
async fn login(
    transport: &Transport,
    content: &ServiceContent,
    username: &str,
    password: &str,
) -> Result<Arc<str>, Error> {
    let mut call = Call::write("Login", &content.session_manager, |w| {
        w.value("userName", username);
        w.value("password", password);
    });
    // A login whose answer is lost can simply be done again: the session left over ends when idle.
    call.effect = Effect::Read;
    let reply = transport.send(&call, None, Patience::Call).await?;
    let cookie = reply.cookie.ok_or_else(|| Error::Protocol {
        method: "Login".to_owned(),
        reason: "it sets no session cookie".to_owned(),
    })?;
    Ok(cookie.into())
}

impl ServiceContent {
    fn from_node(response: &Node) -> Result<Self, Error> {
        let lacks = |what: &str| Error::Protocol {
            method: "RetrieveServiceContent".to_owned(),
            reason: format!("it has no {what}; this is not a vCenter"),
        };
        let content = response.child("returnval").ok_or_else(|| lacks("content"))?;
        let about = content.child("about").ok_or_else(|| lacks("about"))?;
        let text = |name: &str| about.string(name).unwrap_or_default();
        let manager = |name: &str| content.moref_of(name).ok_or_else(|| lacks(name));
        Ok(Self {
            about: About {
                instance_uuid: text("instanceUuid"),
                version: text("version"),
                api_version: text("apiVersion"),
                build: text("build"),
                full_name: text("fullName"),
            },
            root_folder: manager("rootFolder")?,
            property_collector: manager("propertyCollector")?,
            view_manager: manager("viewManager")?,
            session_manager: manager("sessionManager")?,
            file_manager: manager("fileManager")?,
            custom_fields: manager("customFieldsManager")?,
            task_manager: content.moref_of("taskManager"),
            authorization: manager("authorizationManager")?,
        })
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
