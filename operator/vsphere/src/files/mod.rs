//! Files on datastores.

mod path;

pub use path::{DatastorePath, ParseDatastorePathError};

/// A file or directory that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Name, relative to the directory searched.
    pub name: String,
    /// Size in bytes; 0 for a directory.
    pub size: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
}
