//! Where images come from and where they lie, as far as bringing them needs it.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use reqwest::header::{ETAG, LAST_MODIFIED};
use tokio_util::bytes::Bytes;
use vsphere::{DatastorePath, Engine, Error, FileInfo};

use super::{ImageError, Incoming};

/// How long a connection to an image's server may take, and how long that server may then be silent.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::new(60, 0);

/// Image servers and the files of a datastore.
pub trait Store: Sync {
    /// Begins a download.
    fn open(&self, url: &str) -> impl Future<Output = Result<Incoming, ImageError>> + Send;
    /// What a directory holds; one that does not exist holds nothing.
    fn list(&self, directory: &DatastorePath) -> impl Future<Output = Result<Vec<FileInfo>, Error>> + Send;
    /// Writes a file of that size; what a failed attempt leaves is removed.
    fn upload(
        &self,
        to: &DatastorePath,
        size: u64,
        body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    /// Gives a file another name.
    fn rename(
        &self,
        from: &DatastorePath,
        to: &DatastorePath,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    /// Removes a file.
    fn delete(&self, path: &DatastorePath) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Store for Engine {
    async fn open(&self, url: &str) -> Result<Incoming, ImageError> {
        download(url).await
    }
    async fn list(&self, directory: &DatastorePath) -> Result<Vec<FileInfo>, Error> {
        self.search_directory(directory, "*").await
    }
    async fn upload(
        &self,
        to: &DatastorePath,
        size: u64,
        body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Result<(), Error> {
        Engine::upload(self, to, size, body).await
    }
    async fn rename(&self, from: &DatastorePath, to: &DatastorePath) -> Result<(), Error> {
        self.move_file(from, to).await
    }
    async fn delete(&self, path: &DatastorePath) -> Result<(), Error> {
        self.delete_path(path).await
    }
}

/// The server need not be trusted beyond what the system trusts: the checksum says what the image is.
async fn download(url: &str) -> Result<Incoming, ImageError> {
    let failed = |error: &dyn std::error::Error| ImageError::Download {
        url: url.to_owned(),
        reason: causes(error),
    };
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .build()
        .map_err(|error| failed(&error))?;
    let response = client
        .get(url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| failed(&error.without_url()))?;
    let size = response.content_length().ok_or_else(|| ImageError::Download {
        url: url.to_owned(),
        reason: "its server does not tell the size".to_owned(),
    })?;
    let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let version = header(ETAG).or_else(|| header(LAST_MODIFIED));
    let body = response
        .bytes_stream()
        .map_err(|error| io::Error::other(causes(&error.without_url())));
    Ok(Incoming {
        version,
        size,
        body: Box::pin(body),
    })
}

/// An error with what led to it: the outer text alone is often "error sending request".
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
