//! How a scenario fails: with a text that a person can read.

use std::fmt;

/// Why a scenario failed.
pub struct Failure(pub String);

/// What a scenario ends with.
pub type Outcome<T = ()> = Result<T, Failure>;

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Fails with `message` unless `holds`.
///
/// # Errors
/// It does not hold.
pub fn demand(holds: bool, message: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Failure(message())) }
}

/// Fails unless both are equal, and shows both.
///
/// # Errors
/// They differ.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers hand over what they have just read"
)]
pub fn equal<A: PartialEq<B> + fmt::Debug, B: fmt::Debug>(what: &str, got: A, expected: B) -> Outcome {
    demand(got == expected, || {
        format!("{what}: expected {expected:?}, got {got:?}")
    })
}
