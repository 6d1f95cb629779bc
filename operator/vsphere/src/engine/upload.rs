//! Uploads: a streaming `PUT` to vCenter's file service.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tracing::warn;

use super::Engine;
use crate::error::Error;
use crate::files::DatastorePath;
use crate::soap::Effect;

/// What the source gave so far, and why it failed.
#[derive(Default)]
struct Source {
    bytes: u64,
    ended: bool,
    failure: Option<String>,
}

impl Engine {
    /// Uploads a file of exactly `size` bytes, and verifies afterwards that it arrived whole. The
    /// directory is made first (vCenter does not); what an upload that failed leaves is removed.
    ///
    /// # Errors
    /// [`Error::UploadSource`] when the source failed or has another length,
    /// [`Error::UploadIncomplete`] when less arrived than was sent, or any other.
    pub async fn upload(
        &self,
        to: &DatastorePath,
        size: u64,
        body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Result<(), Error> {
        if let Some(directory) = to.parent() {
            self.make_directory(&directory).await?;
        }
        let source = Arc::new(Mutex::new(Source::default()));
        let sent = self.put(to, size, watched(body, size, source.clone())).await;
        let result = match source_failure(to, size, &source) {
            Some(error) if sent.is_err() => Err(error),
            _ => match sent {
                Ok(()) => self.verify(to, size).await,
                Err(error) => Err(error),
            },
        };
        if result.is_err()
            && let Err(error) = self.delete_path(to).await
        {
            warn!(path = %to, %error, "what a failed upload left could not be removed");
        }
        result
    }

    async fn put(
        &self,
        to: &DatastorePath,
        size: u64,
        body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Result<(), Error> {
        let place = &self.inner.place;
        let name = self.read(|inventory| inventory.datacenter().map(|datacenter| datacenter.name.clone()));
        let datacenter = place.path(name.as_deref().unwrap_or(&place.name));
        let session = &self.inner.session;
        session.check_right(Effect::Write)?;
        let query = [("dcPath", datacenter.as_str()), ("dsName", to.datastore.as_str())];
        session
            .transport()
            .put(&to.path, &query, session.login().cookie(), size, body)
            .await
    }

    async fn verify(&self, to: &DatastorePath, size: u64) -> Result<(), Error> {
        let directory = to.parent().unwrap_or_else(|| to.clone());
        let files = self.search_directory(&directory, to.file_name()).await?;
        let found = files
            .iter()
            .find(|file| file.name == to.file_name())
            .map_or(0, |file| file.size);
        if found == size {
            return Ok(());
        }
        Err(Error::UploadIncomplete {
            path: to.to_string(),
            expected: size,
            found,
        })
    }
}

/// Counts what goes by and remembers why it ended. Each chunk is held until the next is there, so that
/// a source that is longer than announced is found before its announced length was sent.
fn watched(
    body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    size: u64,
    source: Arc<Mutex<Source>>,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    let state = (Box::pin(body), None::<Bytes>, source);
    stream::try_unfold(state, move |(mut body, mut held, source)| async move {
        loop {
            let next = body.next().await;
            let next = source
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .note(next, size)?;
            let Some(chunk) = next else {
                return Ok(held.map(|last| (last, (body, None, source))));
            };
            if let Some(ready) = held.replace(chunk) {
                return Ok(Some((ready, (body, held, source))));
            }
        }
    })
}

impl Source {
    fn note(
        &mut self,
        next: Option<Result<Bytes, io::Error>>,
        size: u64,
    ) -> Result<Option<Bytes>, io::Error> {
        let checked = match next {
            Some(Ok(chunk)) => {
                self.bytes = self
                    .bytes
                    .saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
                if self.bytes > size {
                    Err(io::Error::other("it is longer than announced"))
                } else {
                    Ok(Some(chunk))
                }
            }
            Some(Err(error)) => Err(error),
            None => {
                self.ended = true;
                Ok(None)
            }
        };
        if let Err(error) = &checked {
            self.failure = Some(error.to_string());
        }
        checked
    }
}

/// Whether the source is to blame for a transfer that broke.
fn source_failure(to: &DatastorePath, size: u64, source: &Mutex<Source>) -> Option<Error> {
    let source = source.lock().unwrap_or_else(PoisonError::into_inner);
    let short = source.ended && source.bytes < size;
    let reason = source
        .failure
        .clone()
        .or_else(|| short.then(|| format!("it has {} of {size} bytes", source.bytes)))?;
    Some(Error::UploadSource {
        path: to.to_string(),
        reason,
    })
}
