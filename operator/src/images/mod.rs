//! Brings the images of a release to a datastore, once: they lie in a folder of this operator's instance,
//! under names that tell all that is known of them, so that nothing must be remembered.
//!
//! An image is streamed from its server to vCenter, never held whole. It arrives under a temporary name and
//! gets its own only when its checksum and version are right; a half file is removed, also that of a
//! process which did not live to remove it.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::Stream;
use tokio_util::bytes::Bytes;
use vsphere::DatastorePath;

use crate::endpoint::BootImages;
use crate::failure::ApplyError;

mod download;
mod publisher;
mod refusal;
mod store;

pub use publisher::Publisher;
use refusal::Refusal;
pub use store::Store;
pub(crate) use store::causes;

/// Folder of every instance on a datastore.
const ROOT: &str = "vic-operator";

/// Why an image is not on the datastore.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImageError {
    /// What was downloaded is not what the Site's release says.
    #[error("the image at {url} has the SHA-256 {found}, and the release says {expected}; it was not kept")]
    Checksum {
        /// Where it comes from.
        url: String,
        /// As the release says.
        expected: String,
        /// As downloaded.
        found: String,
    },
    /// The image is of another version than its release.
    #[error("the image at {url} says that it is {found}, and the release is {expected}; it was not kept")]
    Version {
        /// Where it comes from.
        url: String,
        /// As the release says.
        expected: String,
        /// As the image says.
        found: String,
    },
    /// The image could not be downloaded.
    #[error("the image at {url} cannot be downloaded: {reason}")]
    Download {
        /// Where it comes from.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// vCenter refused or did not answer.
    #[error(transparent)]
    VSphere(#[from] vsphere::Error),
}

/// An image that lies on a datastore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    /// Where.
    pub path: DatastorePath,
    /// What it says of itself.
    pub publisher: Publisher,
}

/// An image as a release names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSource {
    /// Where it is downloaded from.
    pub url: String,
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// A release's two images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseImages {
    /// The release's version, such as `v1.5.8`.
    pub version: String,
    /// What the endpoint VM boots.
    pub appliance: ImageSource,
    /// What container VMs boot.
    pub bootstrap: ImageSource,
}

/// What an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Appliance,
    Bootstrap,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Appliance => "appliance",
            Self::Bootstrap => "bootstrap",
        }
    }
}

/// A download under way.
pub struct Incoming {
    /// What the server says that would change with the content (`ETag`, `Last-Modified`); `None` if it says
    /// nothing of the kind.
    pub version: Option<String>,
    /// Size in bytes, as its server announces it.
    pub size: u64,
    /// The bytes.
    pub body: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, io::Error>> + Send>>,
}

/// Who brings an image, and how often it was brought: an unchanged number means that what was listed before
/// is still all there is.
#[derive(Default)]
struct Turn {
    alone: tokio::sync::Mutex<()>,
    brought: AtomicU64,
    refused: Mutex<Option<Refusal>>,
}

/// Images on their way, per connection: each is brought by one, while others wait for it.
#[derive(Default)]
pub struct Images {
    turns: Mutex<HashMap<(String, String), Arc<Turn>>>,
}

impl Images {
    /// Both images of a release, on a datastore; those that are not there yet are brought.
    ///
    /// # Errors
    /// As [`ImageError`] says, and where this process may not write (`may_write`).
    pub async fn bring(
        &self,
        store: &impl Store,
        may_write: &(dyn Fn() -> Result<(), ApplyError> + Sync),
        folder: &DatastorePath,
        release: &ReleaseImages,
    ) -> Result<BootImages, ApplyError> {
        let target = Target {
            store,
            may_write,
            folder,
            version: &release.version,
        };
        let appliance = self.turn(&folder.datastore, &release.appliance.sha256);
        let bootstrap = self.turn(&folder.datastore, &release.bootstrap.sha256);
        let (first, second) = (appliance.count(), bootstrap.count());
        let there = store.list(folder).await.map_err(ImageError::from)?;
        Ok(BootImages {
            appliance: target
                .one(
                    Purpose::Appliance,
                    &release.appliance,
                    &appliance,
                    (first, &there),
                )
                .await?,
            bootstrap: target
                .one(
                    Purpose::Bootstrap,
                    &release.bootstrap,
                    &bootstrap,
                    (second, &there),
                )
                .await?,
        })
    }

    fn turn(&self, datastore: &str, sha256: &str) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns
            .entry((datastore.to_owned(), sha256.to_owned()))
            .or_default()
            .clone()
    }
}

impl Turn {
    fn count(&self) -> u64 {
        self.brought.load(Ordering::SeqCst)
    }

    fn refusal(&self, size: u64, version: Option<&str>) -> Option<ImageError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused
            .as_ref()
            .and_then(|refused| refused.stands(size, version, Instant::now()))
    }

    fn refuse(&self, size: u64, version: Option<String>, error: &ImageError) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = Some(Refusal::next(
            refused.as_ref(),
            size,
            version,
            error.clone(),
            Instant::now(),
        ));
    }
}

/// The folder of an instance's images on a datastore.
#[must_use]
pub fn folder(datastore: &str, instance: &str) -> DatastorePath {
    DatastorePath::new(datastore, &format!("{ROOT}/{instance}"))
}

/// The images that a VM boots, if they are those of the release: what the paths tell.
#[must_use]
pub fn recall(appliance: &str, bootstrap: &str, release: &ReleaseImages) -> Option<BootImages> {
    let image = |text: &str, source: &ImageSource, purpose| {
        let path: DatastorePath = text.parse().ok()?;
        let (publisher, _) = read_name(path.file_name(), &source.sha256, purpose)?;
        publisher
            .is_of(&release.version)
            .then_some(StoredImage { path, publisher })
    };
    Some(BootImages {
        appliance: image(appliance, &release.appliance, Purpose::Appliance)?,
        bootstrap: image(bootstrap, &release.bootstrap, Purpose::Bootstrap)?,
    })
}

/// `<sha256>-<publisher>-<size>-appliance.iso`: all there is to know of a stored image.
fn name(sha256: &str, publisher: &Publisher, size: u64, purpose: Purpose) -> String {
    format!("{sha256}-{publisher}-{size}-{}.iso", purpose.as_str())
}

/// The publisher and the size that a stored image's name tells, if it is the one that is looked for.
fn read_name(name: &str, sha256: &str, purpose: Purpose) -> Option<(Publisher, u64)> {
    let rest = name.strip_prefix(sha256)?.strip_prefix('-')?;
    let rest = rest
        .strip_suffix(".iso")?
        .strip_suffix(purpose.as_str())?
        .strip_suffix('-')?;
    let (publisher, size) = rest.rsplit_once('-')?;
    Some((Publisher::from_text(publisher)?, size.parse().ok()?))
}

/// The name of an image that is still arriving.
fn partial_name(sha256: &str, purpose: Purpose) -> String {
    format!("{sha256}-{}.iso.part", purpose.as_str())
}

struct Target<'a, S> {
    store: &'a S,
    may_write: &'a (dyn Fn() -> Result<(), ApplyError> + Sync),
    folder: &'a DatastorePath,
    version: &'a str,
}

impl<S: Store> Target<'_, S> {
    /// The image: as it was listed when `turn` had that count, or as somebody brought it since, or brought
    /// now.
    async fn one(
        &self,
        purpose: Purpose,
        source: &ImageSource,
        turn: &Turn,
        (count, there): (u64, &[vsphere::FileInfo]),
    ) -> Result<StoredImage, ApplyError> {
        if let Some(found) = self.find(purpose, source, there)? {
            return Ok(found);
        }
        let _alone = turn.alone.lock().await;
        if turn.count() == count {
            let brought = self.fetch(purpose, source, turn, there).await;
            turn.brought.fetch_add(1, Ordering::SeqCst);
            return brought;
        }
        let there = self.store.list(self.folder).await.map_err(ImageError::from)?;
        match self.find(purpose, source, &there)? {
            Some(found) => Ok(found),
            None => self.fetch(purpose, source, turn, &there).await,
        }
    }

    /// The image, if it is there whole.
    fn find(
        &self,
        purpose: Purpose,
        source: &ImageSource,
        there: &[vsphere::FileInfo],
    ) -> Result<Option<StoredImage>, ImageError> {
        let whole = |file: &vsphere::FileInfo| {
            let (publisher, size) = read_name(&file.name, &source.sha256, purpose)?;
            (size == file.size).then(|| StoredImage {
                path: self.folder.join(&file.name),
                publisher,
            })
        };
        let Some(found) = there.iter().find_map(whole) else {
            return Ok(None);
        };
        self.check_version(source, &found.publisher)?;
        Ok(Some(found))
    }

    fn check_version(&self, source: &ImageSource, publisher: &Publisher) -> Result<(), ImageError> {
        if publisher.is_of(self.version) {
            return Ok(());
        }
        Err(ImageError::Version {
            url: source.url.clone(),
            expected: self.version.to_owned(),
            found: publisher.to_string(),
        })
    }

    async fn fetch(
        &self,
        purpose: Purpose,
        source: &ImageSource,
        turn: &Turn,
        there: &[vsphere::FileInfo],
    ) -> Result<StoredImage, ApplyError> {
        let incoming = self.store.open(&source.url).await?;
        let (size, version) = (incoming.size, incoming.version.clone());
        if let Some(refused) = turn.refusal(size, version.as_deref()) {
            return Err(refused.into());
        }
        self.sweep(purpose, source, there).await?;
        let (body, account) = download::accounted(&source.url, size, incoming.body);
        let part = self.folder.join(&partial_name(&source.sha256, purpose));
        (self.may_write)()?;
        tracing::info!(url = source.url, size, to = %part, "bringing an image");
        self.store
            .upload(&part, size, body)
            .await
            .map_err(|error| match error {
                vsphere::Error::UploadSource { reason, .. } => ImageError::Download {
                    url: source.url.clone(),
                    reason,
                },
                other => ImageError::VSphere(other),
            })?;
        let publisher = match self.verdict(source, account.finish()) {
            Ok(publisher) => publisher,
            Err(error) => {
                turn.refuse(size, version, &error);
                (self.may_write)()?;
                self.store.delete(&part).await.map_err(ImageError::from)?;
                return Err(error.into());
            }
        };
        let path = self.folder.join(&name(&source.sha256, &publisher, size, purpose));
        (self.may_write)()?;
        self.store.rename(&part, &path).await.map_err(ImageError::from)?;
        tracing::info!(image = %path, "an image is on the datastore");
        Ok(StoredImage { path, publisher })
    }

    /// Removes what is left of earlier attempts at this image.
    async fn sweep(
        &self,
        purpose: Purpose,
        source: &ImageSource,
        there: &[vsphere::FileInfo],
    ) -> Result<(), ApplyError> {
        let part = partial_name(&source.sha256, purpose);
        for file in there {
            if file.name == part || read_name(&file.name, &source.sha256, purpose).is_some() {
                (self.may_write)()?;
                self.store
                    .delete(&self.folder.join(&file.name))
                    .await
                    .map_err(ImageError::from)?;
            }
        }
        Ok(())
    }

    /// Whether what went by was the image of the release.
    fn verdict(&self, source: &ImageSource, account: download::Account) -> Result<Publisher, ImageError> {
        if account.sha256 != source.sha256 {
            let expected = source.sha256.clone();
            return Err(ImageError::Checksum {
                url: source.url.clone(),
                expected,
                found: account.sha256,
            });
        }
        let publisher = account.publisher.ok_or_else(|| ImageError::Version {
            url: source.url.clone(),
            expected: self.version.to_owned(),
            found: "no image of VIC".to_owned(),
        })?;
        self.check_version(source, &publisher)?;
        Ok(publisher)
    }
}

#[cfg(test)]
mod tests;
