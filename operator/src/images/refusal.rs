//! What was downloaded in vain is not downloaded again and again: images are large.

use std::time::{Duration, Instant};

use super::ImageError;

/// How long an image that turned out wrong is left alone where its server does not tell whether it changed:
/// at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::new(600, 0));

/// A download that turned out not to be the image.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    size: u64,
    version: Option<String>,
    error: ImageError,
    since: Instant,
    pause: Duration,
}

impl Refusal {
    /// The refusal after `before`: the same content again is left alone for longer.
    pub(super) fn next(
        before: Option<&Self>,
        size: u64,
        version: Option<String>,
        error: ImageError,
        now: Instant,
    ) -> Self {
        let same = before.filter(|before| before.size == size && before.version == version);
        let pause = same.map_or(PAUSE.0, |before| before.pause.saturating_mul(2).min(PAUSE.1));
        Self {
            size,
            version,
            error,
            since: now,
            pause,
        }
    }

    /// The error, if what the server has now is surely or probably the same.
    pub(super) fn stands(&self, size: u64, version: Option<&str>, now: Instant) -> Option<ImageError> {
        let same = self.size == size && self.version.as_deref() == version;
        let stands = same && (version.is_some() || now.duration_since(self.since) < self.pause);
        stands.then(|| self.error.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(before: Option<&Refusal>, version: Option<&str>, now: Instant) -> Refusal {
        let error = ImageError::Checksum {
            url: "http://x".to_owned(),
            expected: "a".to_owned(),
            found: "b".to_owned(),
        };
        Refusal::next(before, 100, version.map(str::to_owned), error, now)
    }

    #[test]
    fn a_server_that_tells_versions_is_asked_again_only_for_a_new_one() {
        let start = Instant::now();
        let refused = refusal(None, Some("etag-1"), start);
        let late = start + Duration::new(86_400, 0);
        assert!(refused.stands(100, Some("etag-1"), late).is_some());
        assert!(refused.stands(100, Some("etag-2"), start).is_none());
        assert!(refused.stands(101, Some("etag-1"), start).is_none());
    }

    #[test]
    fn any_other_server_is_asked_again_after_ever_longer_pauses() {
        let start = Instant::now();
        let mut refused = refusal(None, None, start);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let last = refused.since + refused.pause.mul_f32(0.9);
            assert!(refused.stands(100, None, last).is_some());
            assert!(
                refused.stands(101, None, last).is_none(),
                "another size is another image"
            );
            let again = refused.since + refused.pause;
            assert!(refused.stands(100, None, again).is_none());
            pauses.push(refused.pause.as_secs());
            refused = refusal(Some(&refused), None, again);
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
    }
}
