//! In which order kinds are reconciled when a process starts: what others refer to comes first.
//!
//! Ten thousand rules that look for a Site that is still being connected would each look in vain, and then for a network
//! that has not been looked at. A kind opens when each object of the kinds before it has been reconciled once, whatever
//! came of it, and the Sites that are connected have been read.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::Store;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::kind::Kind;
use crate::runner::{Declared, key_of};

/// How long a kind is kept waiting for another at most.
const LIMIT: Duration = Duration::from_secs(30);

/// The gates, one after the other.
#[derive(Clone, Debug)]
pub struct Openings {
    gateways: CancellationToken,
    networks: CancellationToken,
    others: CancellationToken,
    filled: crate::context::Filled,
    shutdown: CancellationToken,
}

impl Openings {
    /// All closed. Sites open when the caches are filled.
    #[must_use]
    pub fn new(filled: crate::context::Filled, shutdown: CancellationToken) -> Self {
        Self {
            gateways: CancellationToken::new(),
            networks: CancellationToken::new(),
            others: CancellationToken::new(),
            filled,
            shutdown,
        }
    }

    /// Waits until objects of that kind are reconciled; false if the process shuts down before.
    pub async fn wait(&self, kind: Kind) -> bool {
        let gate = match kind {
            Kind::Site => return self.filled.wait().await,
            Kind::EdgeGateway => &self.gateways,
            Kind::ContainerNetwork => &self.networks,
            _ => &self.others,
        };
        self.shutdown
            .run_until_cancelled(gate.cancelled())
            .await
            .is_some()
    }
}

/// Opens one kind after the other.
pub async fn open(ctx: Arc<Context>) {
    if !ctx.stores.filled.wait().await {
        return;
    }
    until(&ctx, || reconciled(&ctx, &ctx.stores.sites)).await;
    let connections = ctx.sites.connections();
    let read = futures::future::join_all(connections.iter().map(|connected| connected.read()));
    let _ = tokio::time::timeout(LIMIT, read).await;
    ctx.openings.gateways.cancel();
    until(&ctx, || reconciled(&ctx, &ctx.stores.gateways)).await;
    ctx.openings.networks.cancel();
    until(&ctx, || reconciled(&ctx, &ctx.stores.networks)).await;
    ctx.openings.others.cancel();
}

/// Whether each object has been reconciled once. What waits for its end does not keep others waiting.
fn reconciled<K: Declared>(ctx: &Context, store: &Store<K>) -> bool {
    store
        .state()
        .iter()
        .all(|object| object.meta().deletion_timestamp.is_some() || ctx.tracker.knows(&key_of(&**object)))
}

/// Waits until it holds, or long enough: what takes longer is waited for object by object.
async fn until(ctx: &Context, holds: impl Fn() -> bool) {
    let mut looks = ctx.tracker.first_looks();
    let waiting = async { while !holds() && looks.changed().await.is_ok() {} };
    let _ = tokio::time::timeout(LIMIT, waiting).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Filled;
    use futures::FutureExt;

    #[tokio::test]
    async fn kinds_open_one_after_the_other() {
        let mut filled = Filled::new(CancellationToken::new());
        let cache = filled.cache();
        let openings = Openings::new(filled, CancellationToken::new());
        let open = |kind| openings.wait(kind).now_or_never() == Some(true);
        let order = [
            Kind::Site,
            Kind::EdgeGateway,
            Kind::ContainerNetwork,
            Kind::EdgeNatRule,
        ];
        let all = || order.map(open);
        assert_eq!(all(), [false; 4]);
        cache.cancel();
        assert_eq!(all(), [true, false, false, false]);
        openings.gateways.cancel();
        assert_eq!(all(), [true, true, false, false]);
        openings.networks.cancel();
        assert_eq!(all(), [true, true, true, false]);
        openings.others.cancel();
        assert_eq!(all(), [true; 4]);
    }

    #[tokio::test]
    async fn a_shutdown_ends_the_wait() {
        let shutdown = CancellationToken::new();
        let openings = Openings::new(Filled::new(shutdown.clone()), shutdown.clone());
        shutdown.cancel();
        assert!(!openings.wait(Kind::EdgeNatRule).await);
        assert!(!openings.wait(Kind::Site).await);
    }
}
