//! Files on datastores.

use std::io;

use bytes::Bytes;
use futures::stream;
use vsphere::{Class, DatastorePath, Error, FileInfo};

use crate::lab::Lab;

const CHUNK: usize = 64 * 1024;

fn chunks(count: usize) -> Vec<Result<Bytes, io::Error>> {
    (0..count).map(|_| Ok(Bytes::from(vec![7; CHUNK]))).collect()
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count * CHUNK).unwrap()
}

fn file(name: &str, size: u64) -> FileInfo {
    FileInfo {
        name: name.to_owned(),
        size,
        is_directory: false,
    }
}

#[tokio::test]
async fn a_file_is_uploaded_found_moved_and_removed() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let directory = DatastorePath::new("LocalDS_0", "vic images/1234");
    let part = directory.join("boot 100%.part");
    engine
        .upload(&part, bytes(100), stream::iter(chunks(100)))
        .await
        .unwrap();
    let found = engine.search_directory(&directory, "*.part").await.unwrap();
    assert_eq!(found, [file("boot 100%.part", bytes(100))]);

    let whole = directory.join("boot.iso");
    engine.move_file(&part, &whole).await.unwrap();
    assert_eq!(
        engine.search_directory(&directory, "*").await.unwrap(),
        [file("boot.iso", bytes(100))]
    );
    assert_eq!(engine.search_directory(&directory, "*.part").await.unwrap(), []);
    let again = engine.move_file(&part, &whole).await.unwrap_err();
    assert!(again.is_not_found(), "{again:?}");

    engine.delete_path(&whole).await.unwrap();
    assert_eq!(engine.search_directory(&directory, "*").await.unwrap(), []);
    engine
        .delete_path(&whole)
        .await
        .expect("what is gone counts as removed");
}

#[tokio::test]
async fn directories_are_made_once_and_removed_with_what_they_hold() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let top = DatastorePath::new("LocalDS_0", "vols");
    engine.make_directory(&top.join("a/b")).await.unwrap();
    engine
        .make_directory(&top.join("a/b"))
        .await
        .expect("one that exists is fine");
    let found = engine.search_directory(&top, "*").await.unwrap();
    assert!(
        matches!(found.as_slice(), [FileInfo { name, is_directory: true, .. }] if name == "a"),
        "{found:?}"
    );
    engine.delete_path(&top).await.unwrap();
    assert_eq!(
        engine.search_directory(&top, "*").await.unwrap(),
        [],
        "a missing directory holds nothing"
    );
}

#[tokio::test]
async fn a_source_that_fails_leaves_no_file() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let directory = DatastorePath::new("LocalDS_0", "images");
    let target = directory.join("boot.iso");
    let mut broken = chunks(3);
    broken.push(Err(io::Error::other("the mirror site went away")));
    for (source, told) in [
        (broken, "the mirror site went away"),
        (chunks(2), "it has 131072 of 262144 bytes"),
        (chunks(5), "it is longer than announced"),
    ] {
        let error = engine
            .upload(&target, bytes(4), stream::iter(source))
            .await
            .unwrap_err();
        let path = target.to_string();
        assert_eq!(
            error,
            Error::UploadSource {
                path,
                reason: told.to_owned()
            }
        );
        assert_eq!(error.class(), Class::Transient);
        assert_eq!(
            engine.search_directory(&directory, "*").await.unwrap(),
            [],
            "{told}"
        );
    }
}

#[tokio::test]
async fn an_unknown_datastore_is_told() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let nowhere = DatastorePath::new("Nowhere", "x");
    let error = engine.search_directory(&nowhere, "*").await.unwrap_err();
    assert_eq!(
        error,
        Error::UnknownDatastore {
            datastore: "Nowhere".to_owned()
        }
    );
    assert_eq!(error.class(), Class::Blocked);
}
