//! Requests a user may send each second, and have open at the same time.

use std::collections::{HashMap, VecDeque};

use crate::error::NsxError;
use crate::world::tuning::Tuning;

/// Window of the rate limit, milliseconds.
const WINDOW_MS: u64 = 1000;

/// What each user has sent and has open.
#[derive(Default)]
pub struct Limits {
    sent: HashMap<String, VecDeque<u64>>,
    open: HashMap<String, u32>,
}

impl Limits {
    /// Lets a request in, or refuses it. A refused one does not count.
    ///
    /// # Errors
    /// 429 above the rate, 503 above the user's or the common concurrency.
    pub fn enter(&mut self, user: &str, now: u64, tuning: &Tuning) -> Result<(), NsxError> {
        let sent = self.sent.entry(user.to_owned()).or_default();
        while sent.front().is_some_and(|t| now.saturating_sub(*t) >= WINDOW_MS) {
            sent.pop_front();
        }
        let recent = u32::try_from(sent.len()).unwrap_or(u32::MAX);
        if tuning.rate_limit > 0 && recent >= tuning.rate_limit {
            return Err(NsxError::rate(user, tuning.rate_limit));
        }
        let all: u32 = self.open.values().sum();
        let own = self.open.get(user).copied().unwrap_or_default();
        for (count, limit) in [
            (own, tuning.concurrency_limit),
            (all, tuning.global_concurrency_limit),
        ] {
            if limit > 0 && count >= limit {
                return Err(NsxError::concurrency(user, limit));
            }
        }
        sent.push_back(now);
        self.open.insert(user.to_owned(), own.saturating_add(1));
        Ok(())
    }

    /// A request that was let in is done.
    pub fn leave(&mut self, user: &str) {
        if let Some(open) = self.open.get_mut(user) {
            *open = open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuning(rate: u32, concurrency: u32) -> Tuning {
        Tuning {
            rate_limit: rate,
            concurrency_limit: concurrency,
            global_concurrency_limit: 3,
            ..Tuning::default()
        }
    }

    #[test]
    fn the_rate_is_counted_in_a_sliding_second() {
        let mut limits = Limits::default();
        let tuning = tuning(2, 0);
        let mut ask = |now| {
            let result = limits.enter("a", now, &tuning).map_err(|e| e.status);
            if result.is_ok() {
                limits.leave("a");
            }
            result
        };
        assert_eq!([ask(0), ask(500), ask(999)], [Ok(()), Ok(()), Err(429)]);
        assert_eq!([ask(1000), ask(1001), ask(1500)], [Ok(()), Err(429), Ok(())]);
    }

    #[test]
    fn concurrency_is_limited_for_one_and_for_all() {
        let mut limits = Limits::default();
        let tuning = tuning(0, 2);
        let mut enter = |user| limits.enter(user, 0, &tuning).map_err(|e| e.status);
        assert_eq!([enter("a"), enter("a"), enter("a")], [Ok(()), Ok(()), Err(503)]);
        assert_eq!([enter("b"), enter("b")], [Ok(()), Err(503)], "three in all");
        limits.leave("a");
        assert!(limits.enter("a", 0, &tuning).is_ok());
    }
}
