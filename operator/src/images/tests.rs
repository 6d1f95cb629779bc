//! Bringing images to a datastore that forgets nothing of what was done to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use vsphere::{Error, FileInfo};

use super::*;

const PUBLISHER: &str = "V1.5.8-21000-2C978FE";
const URL: &str = "http://images.example.com/";

/// Image servers and one datastore, in memory.
#[derive(Default)]
struct Lab {
    served: BTreeMap<String, Vec<u8>>,
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    downloads: AtomicU64,
    lists: AtomicU64,
    uploads: AtomicU64,
    /// The transfer breaks after this many bytes.
    breaks_at: Option<usize>,
}

impl Lab {
    fn files(&self) -> Vec<String> {
        self.files
            .lock()
            .unwrap()
            .keys()
            .map(|path| path.rsplit('/').next().unwrap().to_owned())
            .collect()
    }
    fn put(&self, name: &str, content: &[u8]) {
        let path = folder("LocalDS_0", "lab").join(name).to_string();
        self.files.lock().unwrap().insert(path, content.to_vec());
    }
}

impl Store for Lab {
    async fn open(&self, url: &str) -> Result<Incoming, ImageError> {
        self.downloads.fetch_add(1, Ordering::Relaxed);
        let missing = || ImageError::Download {
            url: url.to_owned(),
            reason: "404 Not Found".to_owned(),
        };
        let content = self.served.get(url).cloned().ok_or_else(missing)?;
        let size = u64::try_from(content.len()).unwrap();
        let mut chunks: Vec<_> = content
            .chunks(1000)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        if let Some(at) = self.breaks_at {
            chunks.truncate(at / 1000);
            chunks.push(Err(io::Error::other("connection reset")));
        }
        Ok(Incoming {
            version: Some(sha256(&content)),
            size,
            body: Box::pin(stream::iter(chunks)),
        })
    }

    async fn list(&self, directory: &DatastorePath) -> Result<Vec<FileInfo>, Error> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{directory}/");
        let info = |(path, content): (&String, &Vec<u8>)| {
            let name = path.strip_prefix(&prefix)?.to_owned();
            Some(FileInfo {
                name,
                size: u64::try_from(content.len()).unwrap(),
                is_directory: false,
            })
        };
        Ok(self.files.lock().unwrap().iter().filter_map(info).collect())
    }

    async fn upload(
        &self,
        to: &DatastorePath,
        size: u64,
        body: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Result<(), Error> {
        self.uploads.fetch_add(1, Ordering::Relaxed);
        let mut body = Box::pin(body);
        let mut content = Vec::new();
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => content.extend_from_slice(&chunk),
                Err(error) => {
                    return Err(Error::UploadSource {
                        path: to.to_string(),
                        reason: error.to_string(),
                    });
                }
            }
        }
        assert_eq!(u64::try_from(content.len()).unwrap(), size);
        self.files.lock().unwrap().insert(to.to_string(), content);
        Ok(())
    }

    async fn rename(&self, from: &DatastorePath, to: &DatastorePath) -> Result<(), Error> {
        let mut files = self.files.lock().unwrap();
        let content = files.remove(&from.to_string()).unwrap();
        files.insert(to.to_string(), content);
        Ok(())
    }

    async fn delete(&self, path: &DatastorePath) -> Result<(), Error> {
        self.files.lock().unwrap().remove(&path.to_string());
        Ok(())
    }
}

fn iso(what: &str, publisher: &str) -> Vec<u8> {
    let mut image = vec![0; 40_000];
    let field = format!("VMWARE INC. {publisher}");
    image[publisher::OFFSET..publisher::OFFSET + publisher::LENGTH].fill(b' ');
    image[publisher::OFFSET..publisher::OFFSET + field.len()].copy_from_slice(field.as_bytes());
    image[39_000..39_000 + what.len()].copy_from_slice(what.as_bytes());
    image
}

fn sha256(content: &[u8]) -> String {
    let hex: Vec<String> = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.concat()
}

fn release(appliance: &[u8], bootstrap: &[u8]) -> ReleaseImages {
    let source = |name: &str, content: &[u8]| ImageSource {
        url: format!("{URL}{name}"),
        sha256: sha256(content),
    };
    ReleaseImages {
        version: "v1.5.8".to_owned(),
        appliance: source("appliance.iso", appliance),
        bootstrap: source("bootstrap.iso", bootstrap),
    }
}

fn lab() -> (Lab, ReleaseImages) {
    let (appliance, bootstrap) = (iso("appliance", PUBLISHER), iso("bootstrap", PUBLISHER));
    let release = release(&appliance, &bootstrap);
    let served = [("appliance.iso", appliance), ("bootstrap.iso", bootstrap)];
    let served = served
        .into_iter()
        .map(|(name, content)| (format!("{URL}{name}"), content))
        .collect();
    (
        Lab {
            served,
            ..Lab::default()
        },
        release,
    )
}

async fn bring(images: &Images, lab: &Lab, release: &ReleaseImages) -> Result<BootImages, ApplyError> {
    images
        .bring(lab, &|| Ok(()), &folder("LocalDS_0", "lab"), release)
        .await
}

fn image_error(outcome: Result<BootImages, ApplyError>) -> ImageError {
    match outcome {
        Err(ApplyError::Image(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn many_want_an_image_and_it_is_brought_once() {
    let (lab, release) = lab();
    let images = Images::default();
    let all = futures::future::join_all((0..8).map(|_| bring(&images, &lab, &release))).await;
    let first = all[0].as_ref().unwrap();
    assert!(all.iter().all(|found| found.as_ref().unwrap() == first));
    assert_eq!(lab.downloads.load(Ordering::Relaxed), 2);
    let expected = format!(
        "[LocalDS_0] vic-operator/lab/{}-{PUBLISHER}-40000-appliance.iso",
        release.appliance.sha256
    );
    assert_eq!(first.appliance.path.to_string(), expected);
    // Another process finds them, and the paths alone tell what they are.
    assert_eq!(bring(&Images::default(), &lab, &release).await.unwrap(), *first);
    assert_eq!(lab.downloads.load(Ordering::Relaxed), 2);
    let paths = [first.appliance.path.to_string(), first.bootstrap.path.to_string()];
    assert_eq!(recall(&paths[0], &paths[1], &release).as_ref(), Some(first));
    assert_eq!(
        recall(&paths[1], &paths[0], &release),
        None,
        "each for its purpose"
    );
    let newer = ReleaseImages {
        version: "v1.5.9".to_owned(),
        ..release
    };
    assert_eq!(recall(&paths[0], &paths[1], &newer), None);
}

#[tokio::test]
async fn one_look_is_enough_for_who_is_alone() {
    let (lab, release) = lab();
    let images = Images::default();
    bring(&images, &lab, &release).await.unwrap();
    assert_eq!(lab.lists.load(Ordering::Relaxed), 1);
    bring(&images, &lab, &release).await.unwrap();
    assert_eq!(lab.lists.load(Ordering::Relaxed), 2, "files can go, so each asks");
}

#[tokio::test]
async fn what_is_not_the_release_is_not_kept() {
    let (mut lab, release) = lab();
    lab.served
        .insert(release.appliance.url.clone(), iso("tampered", PUBLISHER));
    let error = image_error(bring(&Images::default(), &lab, &release).await);
    assert!(
        matches!(&error, ImageError::Checksum { url, .. } if *url == release.appliance.url),
        "{error}"
    );
    assert!(lab.files().is_empty());

    let older = iso("appliance", "V1.5.7-20000-ABCDEF0");
    let wrong = ReleaseImages {
        appliance: ImageSource {
            sha256: sha256(&older),
            ..release.appliance.clone()
        },
        ..release.clone()
    };
    lab.served.insert(release.appliance.url.clone(), older);
    let error = image_error(bring(&Images::default(), &lab, &wrong).await);
    assert!(
        matches!(&error, ImageError::Version { found, .. } if found == "V1.5.7-20000-ABCDEF0"),
        "{error}"
    );
    assert!(lab.files().is_empty());

    let short = b"no image at all".to_vec();
    let wrong = ReleaseImages {
        appliance: ImageSource {
            sha256: sha256(&short),
            ..release.appliance.clone()
        },
        ..release
    };
    lab.served.insert(wrong.appliance.url.clone(), short);
    let error = image_error(bring(&Images::default(), &lab, &wrong).await);
    assert!(matches!(error, ImageError::Version { .. }), "{error}");
    assert!(lab.files().is_empty());
}

#[tokio::test]
async fn a_wrong_image_is_downloaded_once_and_the_right_one_as_soon_as_it_is_there() {
    let (mut lab, release) = lab();
    let right = lab
        .served
        .insert(release.appliance.url.clone(), iso("tampered", PUBLISHER))
        .unwrap();
    let images = Images::default();
    for _ in 0..3 {
        let error = image_error(bring(&images, &lab, &release).await);
        assert!(matches!(error, ImageError::Checksum { .. }), "{error}");
        assert_eq!(lab.uploads.load(Ordering::Relaxed), 1);
    }
    lab.served.insert(release.appliance.url.clone(), right);
    assert!(bring(&images, &lab, &release).await.is_ok());
}

#[tokio::test]
async fn a_download_that_breaks_says_so_and_the_next_one_succeeds() {
    let (mut lab, release) = lab();
    lab.breaks_at = Some(20_000);
    let error = image_error(bring(&Images::default(), &lab, &release).await);
    assert!(
        matches!(&error, ImageError::Download { reason, .. } if reason.contains("connection reset")),
        "{error}"
    );
    lab.breaks_at = None;
    assert!(bring(&Images::default(), &lab, &release).await.is_ok());

    let gone = ReleaseImages {
        appliance: ImageSource {
            url: format!("{URL}gone.iso"),
            sha256: "0".repeat(64),
        },
        ..release
    };
    let error = image_error(bring(&Images::default(), &lab, &gone).await);
    assert!(
        error.to_string().contains("gone.iso") && error.to_string().contains("404"),
        "{error}"
    );
}

#[tokio::test]
async fn half_files_of_a_crash_are_removed_and_other_images_are_not() {
    let (lab, release) = lab();
    let sha256 = &release.appliance.sha256;
    lab.put(&format!("{sha256}-appliance.iso.part"), b"half");
    lab.put(
        &format!("{sha256}-{PUBLISHER}-40000-appliance.iso"),
        b"shorter than its name says",
    );
    let other = format!("{}-{PUBLISHER}-5-appliance.iso", "1".repeat(64));
    lab.put(&other, b"other");
    bring(&Images::default(), &lab, &release).await.unwrap();
    let mut expected = vec![
        other,
        format!("{sha256}-{PUBLISHER}-40000-appliance.iso"),
        format!("{}-{PUBLISHER}-40000-bootstrap.iso", release.bootstrap.sha256),
    ];
    expected.sort();
    assert_eq!(lab.files(), expected);
}

#[tokio::test]
async fn who_may_not_write_writes_nothing() {
    let (lab, release) = lab();
    let refuse = || Err(ApplyError::LeaseHeld("poc".to_owned()));
    let outcome = Images::default()
        .bring(&lab, &refuse, &folder("LocalDS_0", "lab"), &release)
        .await;
    assert!(matches!(outcome, Err(ApplyError::LeaseHeld(_))));
    assert!(lab.files().is_empty());
}
