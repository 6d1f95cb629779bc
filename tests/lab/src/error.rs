//! What can go wrong in the laboratory, told with the end of the log that matters.

use std::io;
use std::path::Path;

/// Lines of a log that an error carries.
const TAIL_LINES: usize = 25;

/// Result of the laboratory.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the laboratory could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, directory, socket or program could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program failed or ended; carries the end of its log.
    #[error("{what}\n{tail}")]
    Program {
        /// What happened.
        what: String,
        /// The end of the program's log.
        tail: String,
    },
    /// The kube-apiserver refused, or could not be reached.
    #[error("{what}: {source}")]
    Kube {
        /// What was tried.
        what: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// An HTTP call to a simulator failed.
    #[error("{what}: {source}")]
    Http {
        /// What was tried.
        what: String,
        /// The client's error.
        source: reqwest::Error,
    },
    /// Anything else, in a sentence.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// A program's failure together with the end of its log.
    #[must_use]
    pub fn program(what: impl Into<String>, log: &Path) -> Self {
        Self::Program {
            what: what.into(),
            tail: tail(log),
        }
    }
}

/// Adds to a result what was being tried.
pub trait Context<T> {
    /// Names what was tried; evaluated only on failure.
    ///
    /// # Errors
    /// The error at hand, under that name.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}

impl<T> Context<T> for std::result::Result<T, kube::Error> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Kube {
            what: what(),
            source: Box::new(source),
        })
    }
}

impl<T> Context<T> for std::result::Result<T, reqwest::Error> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Http { what: what(), source })
    }
}

impl<T> Context<T> for std::result::Result<T, serde_json::Error> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Other(format!("{}: {source}", what())))
    }
}

impl<T> Context<T> for std::result::Result<T, serde_yaml_ng::Error> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Other(format!("{}: {source}", what())))
    }
}

impl<T> Context<T> for std::result::Result<T, rcgen::Error> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Other(format!("{}: {source}", what())))
    }
}

/// The last lines of a log, indented, under its path.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(TAIL_LINES);
    let shown: Vec<String> = lines
        .iter()
        .skip(start)
        .map(|line| format!("    {line}"))
        .collect();
    format!("  end of {}:\n{}", log.display(), shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_failure_shows_the_last_lines_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("etcd.log");
        let lines: Vec<String> = (1..=100).map(|n| format!("line {n}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        let text = Error::program("etcd ended", &log).to_string();
        assert!(text.starts_with("etcd ended\n"));
        assert!(text.ends_with("    line 100"), "{text}");
        assert!(
            text.contains("line 76\n") && !text.contains("line 75\n"),
            "{text}"
        );
    }
}
