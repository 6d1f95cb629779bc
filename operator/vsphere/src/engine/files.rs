//! Files on datastores.

use super::Engine;
use crate::error::Error;
use crate::files::{DatastorePath, FileInfo};
use crate::moref::Moref;
use crate::soap::Call;
use crate::xml::Node;

impl Engine {
    /// Makes a directory and those above it; one that exists is fine.
    ///
    /// # Errors
    /// Whatever vCenter says against it.
    pub async fn make_directory(&self, path: &DatastorePath) -> Result<(), Error> {
        if path.path.is_empty() {
            return Ok(());
        }
        let call = Call::write("MakeDirectory", self.file_manager(), |w| {
            w.value("name", path);
            w.moref("datacenter", &self.inner.place.moref);
            w.value("createParentDirectories", true);
        });
        match self.call(&call).await {
            Ok(_) | Err(Error::FileAlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What a directory holds that fits a pattern such as `*.iso`. A directory that does not exist
    /// holds nothing.
    ///
    /// # Errors
    /// [`Error::UnknownDatastore`] when the mirror has no such datastore, or any other.
    pub async fn search_directory(&self, dir: &DatastorePath, pattern: &str) -> Result<Vec<FileInfo>, Error> {
        let browser = self.read(|inventory| {
            inventory
                .datastore_named(&dir.datastore)
                .and_then(|datastore| datastore.browser.clone())
        });
        let browser = browser.ok_or_else(|| Error::UnknownDatastore {
            datastore: dir.datastore.clone(),
        })?;
        let call = Call::write("SearchDatastore_Task", &browser, |w| {
            w.value("datastorePath", dir);
            w.element("searchSpec", |w| {
                w.element("details", |w| {
                    w.value("fileType", true);
                    w.value("fileSize", true);
                    w.value("modification", false);
                    w.value("fileOwner", false);
                });
                w.value("matchPattern", pattern);
            });
        });
        match self.inner.hub.run_for_result(&self.inner.session, &call).await {
            Ok(result) => Ok(result.all("file").filter_map(file_info).collect()),
            Err(Error::FileNotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Removes a file, or a directory with all it holds. What does not exist is fine.
    ///
    /// # Errors
    /// Whatever vCenter says against it.
    pub async fn delete_path(&self, path: &DatastorePath) -> Result<(), Error> {
        let call = Call::write("DeleteDatastoreFile_Task", self.file_manager(), |w| {
            w.value("name", path);
            w.moref("datacenter", &self.inner.place.moref);
        });
        match self.run(&call).await {
            Ok(()) | Err(Error::FileNotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Moves a file or directory. A file of that name at the destination is replaced.
    ///
    /// # Errors
    /// [`Error::FileNotFound`] when there is nothing to move, or any other.
    pub async fn move_file(&self, from: &DatastorePath, to: &DatastorePath) -> Result<(), Error> {
        let call = Call::write("MoveDatastoreFile_Task", self.file_manager(), |w| {
            w.value("sourceName", from);
            w.moref("sourceDatacenter", &self.inner.place.moref);
            w.value("destinationName", to);
            w.moref("destinationDatacenter", &self.inner.place.moref);
            w.value("force", true);
        });
        self.run(&call).await
    }

    fn file_manager(&self) -> &Moref {
        &self.inner.session.content().file_manager
    }
}

fn file_info(file: &Node) -> Option<FileInfo> {
    Some(FileInfo {
        name: file.string("path")?,
        size: file.value("fileSize").unwrap_or_default(),
        is_directory: file.kind.as_deref() == Some("FolderFileInfo"),
    })
}
