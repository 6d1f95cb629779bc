//! What is learned of an image while it goes by.

use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio_util::bytes::Bytes;

use super::publisher::{LENGTH, OFFSET, Publisher};

/// Progress is told each time this many percent more have gone by.
const PROGRESS_STEP: u64 = 10;

/// What went by.
pub(super) struct Account {
    /// SHA-256, lower-case hexadecimal.
    pub(super) sha256: String,
    /// The image's publisher, if it is an image of VIC.
    pub(super) publisher: Option<Publisher>,
}

/// The books of one download, kept while it goes by.
#[derive(Clone)]
pub(super) struct Books(Arc<Mutex<Running>>);

struct Running {
    url: String,
    size: u64,
    seen: u64,
    told: u64,
    digest: Sha256,
    /// The bytes up to the end of the publisher.
    head: Vec<u8>,
}

/// The same bytes, and the books in which they are noted.
pub(super) fn accounted(
    url: &str,
    size: u64,
    body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
) -> (
    impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    Books,
) {
    let running = Running {
        url: url.to_owned(),
        size,
        seen: 0,
        told: 0,
        digest: Sha256::new(),
        head: Vec::new(),
    };
    let books = Books(Arc::new(Mutex::new(running)));
    let noting = books.clone();
    let body = body.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            noting
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .note(chunk);
        }
    });
    (body, books)
}

impl Running {
    fn note(&mut self, chunk: &Bytes) {
        self.digest.update(chunk);
        let missing = (OFFSET + LENGTH).saturating_sub(self.head.len());
        self.head.extend(chunk.iter().take(missing));
        self.seen = self
            .seen
            .saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        let percent = self
            .seen
            .saturating_mul(100)
            .checked_div(self.size)
            .unwrap_or(100);
        if percent >= self.told + PROGRESS_STEP {
            self.told = percent;
            tracing::info!(url = self.url, percent, "bringing an image");
        }
    }
}

impl Books {
    /// Closes the books.
    pub(super) fn finish(self) -> Account {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sha256 = running
            .digest
            .clone()
            .finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                // Writing into a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            });
        let publisher = running
            .head
            .get(OFFSET..OFFSET + LENGTH)
            .and_then(Publisher::from_field);
        Account { sha256, publisher }
    }
}
