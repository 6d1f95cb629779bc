//! Requests that a scripted fault has stopped, until they are let go.

use std::time::Duration;

use tokio::sync::watch;

/// How many are held, and how often all were let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    held: u64,
    released: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Holds {
    state: watch::Sender<State>,
}

impl Default for Holds {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::default()),
        }
    }
}

/// A held request; counts until it is dropped, also when its client goes away.
struct Held<'a>(&'a Holds);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0
            .state
            .send_modify(|state| state.held = state.held.saturating_sub(1));
    }
}

impl Holds {
    /// Stops here until [`Holds::release`].
    pub async fn hold(&self) {
        let mut state = self.state.subscribe();
        let released = state.borrow_and_update().released;
        self.state
            .send_modify(|state| state.held = state.held.saturating_add(1));
        let _held = Held(self);
        // The sender lives as long as `self`.
        drop(state.wait_for(|state| state.released != released).await);
    }

    /// Lets all go.
    pub fn release(&self) {
        self.state
            .send_modify(|state| state.released = state.released.wrapping_add(1));
    }

    /// Waits until any request is held, no longer than `limit`; returns how many are.
    pub async fn held(&self, limit: Duration) -> u64 {
        let mut state = self.state.subscribe();
        let any = state.wait_for(|state| state.held > 0);
        let found = tokio::time::timeout(limit, any).await;
        found.ok().and_then(Result::ok).map_or(0, |state| state.held)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_told_and_waits_until_it_is_let_go() {
        let holds = Arc::new(Holds::default());
        assert_eq!(holds.held(Duration::from_secs(1)).await, 0);
        let held = tokio::spawn({
            let holds = Arc::clone(&holds);
            async move { holds.hold().await }
        });
        assert_eq!(holds.held(Duration::from_mins(1)).await, 1);
        assert!(!held.is_finished());
        holds.release();
        held.await.unwrap();
        assert_eq!(holds.held(Duration::ZERO).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_is_no_longer_held() {
        let holds = Holds::default();
        assert!(
            tokio::time::timeout(Duration::from_secs(1), holds.hold())
                .await
                .is_err()
        );
        assert_eq!(holds.held(Duration::ZERO).await, 0);
    }
}
