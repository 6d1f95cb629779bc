//! What whoever keeps figures is told: each request to vCenter, and how it ended.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::Error;

/// Keeps figures of one vCenter. Called on the way of each request: it must neither block nor fail.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// A request is over; logins, waits for changes and uploads are requests, too.
    fn called(&self, _call: &Called<'_>) {}
}

/// Keeps nothing.
impl Observer for () {}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// The SOAP method, or `PUT /folder`.
    pub method: &'a str,
    /// `ok`, the type of the fault, `http-<status>`, or a word for what went wrong on the way.
    pub answer: &'a str,
    /// From the request to the whole answer.
    pub took: Duration,
}

/// A request under way: whatever becomes of it is told, also when nobody waits any more.
pub(crate) struct Watched<'a> {
    observer: &'a dyn Observer,
    method: &'a str,
    begun: Instant,
    answer: String,
}

impl<'a> Watched<'a> {
    pub fn begin(observer: &'a dyn Observer, method: &'a str) -> Self {
        Self {
            observer,
            method,
            begun: Instant::now(),
            answer: "abandoned".to_owned(),
        }
    }

    /// It is answered, or will not be.
    pub fn end<T>(mut self, outcome: &Result<T, Error>) {
        self.answer = outcome
            .as_ref()
            .err()
            .map_or_else(|| "ok".to_owned(), Error::label);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.observer.called(&Called {
            method: self.method,
            answer: &self.answer,
            took: self.begun.elapsed(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::soap::Fault;

    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<(String, String)>>);

    impl Observer for Notes {
        fn called(&self, call: &Called<'_>) {
            self.0
                .lock()
                .unwrap()
                .push((call.method.to_owned(), call.answer.to_owned()));
        }
    }

    #[test]
    fn a_request_is_told_once_however_it_ends() {
        let notes = Notes::default();
        Watched::begin(&notes, "CreateVM_Task").end(&Ok(()));
        Watched::begin(&notes, "Login").end::<()>(&Err(Error::InvalidLogin));
        drop(Watched::begin(&notes, "WaitForUpdatesEx"));
        let told = notes.0.into_inner().unwrap();
        let expected = [
            ("CreateVM_Task", "ok"),
            ("Login", "InvalidLogin"),
            ("WaitForUpdatesEx", "abandoned"),
        ];
        assert_eq!(
            told,
            expected.map(|(method, answer)| (method.to_owned(), answer.to_owned()))
        );
    }

    #[test]
    fn a_label_holds_no_name_of_an_object() {
        let fault = Fault {
            kind: "VimFault".to_owned(),
            message: "about vm-7".to_owned(),
        };
        let cases = [
            (
                Error::Refused {
                    method: "X".to_owned(),
                    fault,
                },
                "VimFault",
            ),
            (
                Error::DuplicateName {
                    name: "vch1".to_owned(),
                    object: None,
                },
                "DuplicateName",
            ),
            (
                Error::Http {
                    status: 503,
                    method: "Login".to_owned(),
                },
                "http-503",
            ),
            (
                Error::Unreachable {
                    reason: "Connection refused".to_owned(),
                },
                "unreachable",
            ),
            (
                Error::OutcomeUnknown {
                    method: "X".to_owned(),
                },
                "unanswered",
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(error.label(), expected, "{error:?}");
        }
    }
}
