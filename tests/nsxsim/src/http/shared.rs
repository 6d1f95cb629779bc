//! What all connections share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};

use super::auth::Auth;
use super::bodies::Bodies;
use super::calls::Calls;
use super::faults::Faults;
use super::holds::Holds;
use super::limits::Limits;
use super::nodes::Nodes;
use super::request::Request;
use crate::world::World;

/// The simulator's state.
pub struct Shared {
    world: Mutex<World>,
    /// Accounts and sessions.
    auth: Mutex<Auth>,
    /// Of each node.
    limits: Vec<Mutex<Limits>>,
    calls: Mutex<Calls>,
    bodies: Option<Mutex<Bodies>>,
    faults: Mutex<Faults>,
    /// Requests that a fault has stopped.
    pub holds: Holds,
    /// The nodes that serve.
    pub nodes: Nodes,
    clock: Clock,
    /// Wakes the runner: something new may be due.
    pub wake: Notify,
    /// Number of the last change to the set of realized segments.
    pub switches: watch::Sender<u64>,
}

/// Epoch milliseconds that never run backwards.
struct Clock {
    epoch: u64,
    start: Instant,
}

impl Shared {
    /// A fresh manager of some nodes, with one account, which keeps what it is sent in `bodies`.
    ///
    /// # Errors
    /// When the embedded facts are broken.
    pub fn new(
        username: String,
        password: String,
        nodes: usize,
        bodies: Option<Bodies>,
    ) -> Result<Self, String> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|e| e.to_string())?;
        let clock = Clock {
            epoch: u64::try_from(since.as_millis()).map_err(|e| e.to_string())?,
            start: Instant::now(),
        };
        let world = World::new(clock.epoch)?;
        let (switches, _) = watch::channel(world.switches);
        Ok(Self {
            world: Mutex::new(world),
            auth: Mutex::new(Auth::new(username, password)),
            limits: (0..nodes.max(1)).map(|_| Mutex::default()).collect(),
            calls: Mutex::default(),
            bodies: bodies.map(Mutex::new),
            faults: Mutex::default(),
            holds: Holds::default(),
            nodes: Nodes::new(nodes),
            clock,
            wake: Notify::new(),
            switches,
        })
    }

    /// Epoch milliseconds.
    pub fn now(&self) -> u64 {
        let passed = u64::try_from(self.clock.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.clock.epoch.saturating_add(passed)
    }

    /// Works on the world as it is now; what became due happens before and after.
    pub fn with_world<R>(&self, work: impl FnOnce(&mut World, u64) -> R) -> R {
        let mut world = lock(&self.world);
        let now = self.now();
        world.advance(now);
        let result = work(&mut world, now);
        world.advance(now);
        let version = world.switches;
        drop(world);
        self.switches
            .send_if_modified(|v| std::mem::replace(v, version) != version);
        self.wake.notify_one();
        result
    }

    /// Lets everything happen that is due; returns when something is due next, epoch milliseconds.
    pub fn tick(&self) -> Option<u64> {
        let mut world = lock(&self.world);
        world.advance(self.now());
        let (version, next) = (world.switches, world.queue.next_due());
        drop(world);
        self.switches
            .send_if_modified(|v| std::mem::replace(v, version) != version);
        next
    }

    /// Accounts and sessions.
    pub fn auth(&self) -> MutexGuard<'_, Auth> {
        lock(&self.auth)
    }

    /// What users have sent to a node and have open there.
    pub fn limits(&self, node: usize) -> Option<MutexGuard<'_, Limits>> {
        self.limits.get(node).map(lock)
    }

    /// The call log.
    pub fn calls(&self) -> MutexGuard<'_, Calls> {
        lock(&self.calls)
    }

    /// Keeps a request's body, where bodies are kept.
    pub fn keep_body(&self, request: &Request) {
        let kept = self.bodies.as_ref().map(|bodies| lock(bodies).note(request));
        if let Some(Err(e)) = kept {
            tracing::error!("a body is lost: {e}");
        }
    }

    /// Scripted faults.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }
}

/// A panic in one handler does not take the simulator down.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
