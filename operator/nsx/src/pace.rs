//! How fast calls may go: additive increase, multiplicative decrease. Pure; time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Shortest pause after a refusal for lack of capacity; it doubles with each refusal in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Refusals within this time count as one: they answer calls sent at the same old rate.
const SAME_WAVE: Duration = Duration::from_millis(500);
/// Rates change at most once in this time when all is well.
const WINDOW: Duration = Duration::from_secs(1);
/// Requests a second added for each window in which a call had to wait.
const INCREASE: f64 = 5.0;
/// The rate never falls below this.
const FLOOR: f64 = 1.0;
/// Calls that may go at once after a pause.
const BURST: f64 = 8.0;

/// Why a call may not go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Until this much time has passed.
    For(Duration),
    /// Until another call is back.
    Full,
}

/// The two limits and what drives them.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: f64,
    highest_rate: f64,
    width: usize,
    highest_width: usize,
    tokens: f64,
    filled: Instant,
    closed_until: Option<Instant>,
    last_cut: Option<Instant>,
    cuts: u32,
    window: Instant,
    held: bool,
}

impl Pace {
    /// `rate` in requests a second and `width` in requests at once, each as (start, highest).
    pub(crate) fn new(rate: (f64, f64), width: (usize, usize), now: Instant) -> Self {
        Self {
            rate: rate.0.clamp(FLOOR, rate.1.max(FLOOR)),
            highest_rate: rate.1.max(FLOOR),
            width: width.0.clamp(1, width.1.max(1)),
            highest_width: width.1.max(1),
            tokens: BURST,
            filled: now,
            closed_until: None,
            last_cut: None,
            cuts: 0,
            window: now,
            held: false,
        }
    }

    /// Requests a second allowed now.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes a token, or says what to wait for.
    pub(crate) fn admit(&mut self, now: Instant, in_flight: usize) -> Result<(), Hold> {
        self.fill(now);
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Err(Hold::For(until - now));
        }
        if in_flight >= self.width {
            self.held = true;
            return Err(Hold::Full);
        }
        if self.tokens < 1.0 {
            self.held = true;
            let missing = Duration::from_secs_f64((1.0 - self.tokens) / self.rate);
            return Err(Hold::For(missing.max(Duration::from_millis(1))));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// Counts a call that could not wait for its turn (a login in the middle of another call).
    pub(crate) fn charge(&mut self, now: Instant) {
        self.fill(now);
        self.tokens -= 1.0;
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        self.filled = now;
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate).min(BURST);
    }

    /// A call went well: the limits grow, if they were what calls waited for.
    pub(crate) fn went_well(&mut self, now: Instant) {
        self.cuts = 0;
        if now.saturating_duration_since(self.window) < WINDOW {
            return;
        }
        self.window = now;
        if std::mem::take(&mut self.held) {
            self.rate = (self.rate + INCREASE).min(self.highest_rate);
            self.width = (self.width + 1).min(self.highest_width);
        }
    }

    /// The manager answered 429, or 503 (`busy`): the rate halves, for 503 the width too, and nothing goes out for a
    /// while. `jitter` in 0..1 spreads several clients.
    pub(crate) fn pushed_back(&mut self, now: Instant, busy: bool, jitter: f64) {
        if self
            .last_cut
            .is_some_and(|cut| now.saturating_duration_since(cut) < SAME_WAVE)
        {
            return;
        }
        self.fill(now);
        self.last_cut = Some(now);
        self.window = now;
        self.held = false;
        self.tokens = self.tokens.min(1.0);
        self.rate = (self.rate / 2.0).max(FLOOR);
        if busy {
            self.width = (self.width / 2).max(1);
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.cuts.min(8))
            .min(LONGEST_PAUSE);
        self.cuts = self.cuts.saturating_add(1);
        self.closed_until = Some(now + pause.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn pace(rate: f64, width: usize) -> (Pace, Instant) {
        let now = Instant::now();
        (Pace::new((rate, 90.0), (width, 32), now), now)
    }

    /// Calls let through in `span` if each is answered at once with `answer`.
    fn drive(pace: &mut Pace, from: Instant, span: Duration, mut well: impl FnMut(u32) -> bool) -> u32 {
        let (mut now, mut sent) = (from, 0);
        while now < from + span {
            match pace.admit(now, 0) {
                Ok(()) => {
                    sent += 1;
                    if well(sent) {
                        pace.went_well(now);
                    } else {
                        pace.pushed_back(now, false, 0.5);
                    }
                }
                Err(Hold::For(wait)) => now += wait,
                Err(Hold::Full) => unreachable!(),
            }
        }
        sent
    }

    #[test]
    fn starts_at_its_rate_after_a_burst() {
        let (mut pace, now) = pace(20.0, 20);
        let sent = drive(&mut pace, now, ms(990), |_| true);
        assert!((25..=29).contains(&sent), "{sent}");
    }

    #[test]
    fn climbs_to_the_ceiling_under_load_and_not_beyond() {
        let (mut pace, now) = pace(20.0, 20);
        drive(&mut pace, now, Duration::from_secs(30), |_| true);
        assert!((pace.rate() - 90.0).abs() < f64::EPSILON, "{}", pace.rate());
        let last = drive(
            &mut pace,
            now + Duration::from_secs(30),
            Duration::from_secs(1),
            |_| true,
        );
        assert!(last <= 99, "never above 100 in a second, and {last} went");
    }

    #[test]
    fn does_not_climb_without_demand() {
        let (mut pace, mut now) = pace(20.0, 20);
        for _ in 0..60 {
            now += Duration::from_secs(1);
            pace.admit(now, 0).unwrap();
            pace.went_well(now);
        }
        assert!((pace.rate() - 20.0).abs() < f64::EPSILON);
    }

    #[test]
    fn halves_once_for_a_wave_and_closes_for_a_while() {
        let (mut pace, now) = pace(40.0, 20);
        for _ in 0..10 {
            pace.pushed_back(now, false, 1.0);
        }
        assert!((pace.rate() - 20.0).abs() < f64::EPSILON);
        assert_eq!(pace.admit(now, 0), Err(Hold::For(ms(100))));
        assert_eq!(pace.admit(now + ms(100), 0), Ok(()));
        pace.pushed_back(now + ms(600), true, 1.0);
        assert!((pace.rate() - 10.0).abs() < f64::EPSILON);
        assert_eq!(
            pace.admit(now + ms(600), 0),
            Err(Hold::For(ms(200))),
            "the pause doubles"
        );
        assert_eq!(
            pace.admit(now + Duration::from_secs(2), 10),
            Err(Hold::Full),
            "503 halves the width"
        );
    }

    #[test]
    fn never_stops_and_recovers() {
        let (mut pace, mut now) = pace(20.0, 20);
        for _ in 0..50 {
            now += Duration::from_secs(1);
            pace.pushed_back(now, true, 0.0);
        }
        assert!((pace.rate() - FLOOR).abs() < f64::EPSILON);
        drive(&mut pace, now + LONGEST_PAUSE, Duration::from_secs(40), |_| true);
        assert!(pace.rate() > 80.0, "{}", pace.rate());
    }

    #[test]
    fn settles_below_what_the_server_allows() {
        // A server that refuses whatever exceeds 30 in the running second.
        let (mut pace, now) = pace(20.0, 20);
        let (mut refused, mut second, mut in_second) = (0_u32, now, 0);
        let (mut at, mut sent) = (now, 0_u32);
        while at < now + Duration::from_mins(2) {
            match pace.admit(at, 0) {
                Ok(()) => {
                    sent += 1;
                    if at.saturating_duration_since(second) >= Duration::from_secs(1) {
                        (second, in_second) = (at, 0);
                    }
                    in_second += 1;
                    if in_second > 30 {
                        refused += 1;
                        pace.pushed_back(at, false, 0.5);
                    } else {
                        pace.went_well(at);
                    }
                }
                Err(Hold::For(wait)) => at += wait,
                Err(Hold::Full) => unreachable!(),
            }
        }
        assert!(sent > 120 * 15, "{sent} sent: too shy");
        assert!(refused * 20 < sent, "{refused} of {sent} refused: too bold");
    }
}
