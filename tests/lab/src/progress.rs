//! Progress lines on standard error, with the seconds since the start.

use std::time::Instant;

/// Tells a person what is being done, or stays silent.
#[derive(Clone, Debug)]
pub struct Progress {
    started: Instant,
    shown: bool,
}

impl Progress {
    /// Shows each step.
    #[must_use]
    pub fn shown() -> Self {
        Self {
            started: Instant::now(),
            shown: true,
        }
    }

    /// Shows nothing but what takes minutes: building programs for the first time.
    #[must_use]
    pub fn quiet() -> Self {
        Self {
            started: Instant::now(),
            shown: false,
        }
    }

    /// Whether steps are shown.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// A step of a start, of interest to who watches.
    pub fn step(&self, text: &str) {
        if self.shown {
            self.line(text);
        }
    }

    /// Something that takes long enough that silence would look like a hang.
    pub fn long(&self, text: &str) {
        self.line(text);
    }

    fn line(&self, text: &str) {
        eprintln!("{:7.1}s  {text}", self.started.elapsed().as_secs_f64());
    }
}
