//! The engine: what the controllers hold.

mod files;
mod marks;
mod network;
mod pools;
mod protection;
mod upload;
mod vms;

use std::fmt;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::config::{About, Config};
use crate::datacenter::{self, Place};
use crate::error::Error;
use crate::health::Health;
use crate::inventory::Inventory;
use crate::mirror::Mirror;
use crate::mirror::feed::Feed;
use crate::moref::Moref;
use crate::session::Session;
use crate::soap::Call;
use crate::takeover;
use crate::tasks::Hub;
use crate::xml::Node;

/// How long a change may take to reach the mirror by itself; then the object is read.
const EFFECT_PATIENCE: Duration = Duration::from_secs(5);

/// The connection to one vCenter and the mirror of one datacenter. Cheap to clone; all clones share
/// one session.
///
/// Every change awaits its outcome and returns when [`Engine::read`] shows it. A future that is
/// dropped leaves the change to vCenter: it may still happen, and the mirror will show it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    session: Arc<Session>,
    mirror: Arc<Mirror>,
    hub: Arc<Hub>,
    health: watch::Receiver<Health>,
    place: Place,
    mark_field: String,
    /// Held while the definition of our attribute is made.
    defining: Mutex<()>,
    stop: CancellationToken,
    feed: SyncMutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("vcenter", &self.about().full_name)
            .field("datacenter", &self.inner.place.name)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Engine {
    /// Logs in, finds the datacenter, and starts the mirror, which fills in the background.
    ///
    /// # Errors
    /// Whatever keeps it from that, such as [`Error::Untrusted`], [`Error::InvalidLogin`],
    /// [`Error::Unreachable`] or [`Error::Datacenter`]. After [`Error::InvalidLogin`] do not call it
    /// again with the same credentials within a minute: vCenter locks accounts.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        let session = Arc::new(Session::open(&config).await?);
        let found = async {
            let place = datacenter::find(&session, &config.datacenter).await?;
            takeover::wait_for_tasks(&session, &config.username).await?;
            Ok::<_, Error>(place)
        };
        let place = match found.await {
            Ok(place) => place,
            Err(error) => {
                session.close().await;
                return Err(error);
            }
        };
        let mirror = Arc::new(Mirror::new(config.mark_field.clone()));
        let hub = Arc::new(Hub::new());
        let stop = CancellationToken::new();
        let (health, seen) = watch::channel(Health::Connected);
        let feed = Feed {
            session: session.clone(),
            mirror: mirror.clone(),
            hub: hub.clone(),
            health,
            datacenter: place.moref.clone(),
            stop: stop.clone(),
        };
        let feed = SyncMutex::new(Some(tokio::spawn(feed.run())));
        let mark_field = config.mark_field;
        let defining = Mutex::new(());
        let inner = Inner {
            session,
            mirror,
            hub,
            health: seen,
            place,
            mark_field,
            defining,
            stop,
            feed,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What vCenter says about itself.
    #[must_use]
    pub fn about(&self) -> About {
        self.inner.session.content().about.clone()
    }

    /// The datacenter that the engine works in.
    #[must_use]
    pub fn datacenter(&self) -> Moref {
        self.inner.place.moref.clone()
    }

    /// The state of the connection, as the mirror's feed sees it.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.health.clone()
    }

    /// Whether the mirror was complete once. Nothing may be planned before.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.inner.mirror.is_loaded()
    }

    /// Waits until the mirror is complete.
    pub async fn loaded(&self) {
        self.inner.mirror.loaded().await;
    }

    /// Looks at the mirror. Never does I/O; keep `f` short, for the feed waits meanwhile.
    pub fn read<R>(&self, f: impl FnOnce(&Inventory) -> R) -> R {
        self.inner.mirror.read(f)
    }

    /// Every object whose mirrored state changed, appeared or vanished, by one's own change too.
    /// A reader that lags must look at everything.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Arc<[Moref]>> {
        self.inner.mirror.changes()
    }

    /// Stops the mirror and logs out. Changes still awaited end with [`Error::Closed`].
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.hub.close();
        let feed = self
            .inner
            .feed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(feed) = feed {
            // It ends at once, and a panic in it was reported already.
            let _ = feed.await;
        }
        self.inner.session.close().await;
    }

    /// Renames an object of any type.
    ///
    /// # Errors
    /// [`Error::DuplicateName`] when the name is taken in the same parent, or any other.
    pub async fn rename(&self, object: &Moref, name: &str) -> Result<(), Error> {
        let call = Call::write("Rename_Task", object, |w| {
            w.value("newName", crate::objects::escape_name(name));
        });
        self.run(&call).await?;
        self.settle(object, |inventory| {
            inventory
                .entity(object)
                .is_none_or(|entity| entity.name() == name)
        })
        .await;
        Ok(())
    }

    /// Destroys a VM with its files, or a pool, folder or port group. What does not exist (any more)
    /// counts as destroyed.
    ///
    /// # Errors
    /// [`Error::ResourceInUse`] for a port group with VMs on it, [`Error::InvalidPowerState`] for a VM
    /// that is on, or any other.
    pub async fn destroy(&self, object: &Moref) -> Result<(), Error> {
        match self.run(&Call::write("Destroy_Task", object, |_| {})).await {
            Ok(()) | Err(Error::ManagedObjectNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        self.settle(object, |inventory| inventory.entity(object).is_none())
            .await;
        Ok(())
    }

    async fn call(&self, call: &Call) -> Result<Node, Error> {
        self.inner.session.call(call).await
    }

    async fn run(&self, call: &Call) -> Result<(), Error> {
        self.inner.hub.run(&self.inner.session, call).await
    }

    /// Waits until the mirror shows an effect. If the feed is slow or interrupted the object is read
    /// once; what happened, happened, so nothing here is an error.
    async fn settle(&self, object: &Moref, effect: impl FnMut(&Inventory) -> bool) {
        if self.inner.mirror.shows(EFFECT_PATIENCE, effect).await {
            return;
        }
        debug!(%object, "the mirror lags; reading the object");
        if let Err(error) = self.inner.mirror.refresh(&self.inner.session, object).await {
            debug!(%object, %error, "the object could not be read");
        }
    }
}

/// The reference that a call returns.
fn returned(response: &Node, method: &str) -> Result<Moref, Error> {
    response.moref_of("returnval").ok_or_else(|| Error::Protocol {
        method: method.to_owned(),
        reason: "it names no object".to_owned(),
    })
}
