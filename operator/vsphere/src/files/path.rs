//! Datastore paths: `[datastore] directory/file`.

use std::fmt;
use std::str::FromStr;

/// A file or directory on a datastore. An empty `path` is the datastore's root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatastorePath {
    /// Name of the datastore, unescaped.
    pub datastore: String,
    /// Path below its root, without a leading or trailing slash.
    pub path: String,
}

impl DatastorePath {
    /// A path on a datastore; slashes around `path` are dropped.
    pub fn new(datastore: impl Into<String>, path: &str) -> Self {
        Self {
            datastore: datastore.into(),
            path: path.trim_matches('/').to_owned(),
        }
    }

    /// A file or directory below this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self::new(
            self.datastore.clone(),
            &format!("{}/{}", self.path, name.trim_matches('/')),
        )
    }

    /// The directory that holds it; none for the datastore's root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.path.is_empty() {
            return None;
        }
        let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        Some(Self::new(self.datastore.clone(), parent))
    }

    /// The last part of the path; empty for the datastore's root.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path
            .rsplit_once('/')
            .map_or(self.path.as_str(), |(_, name)| name)
    }
}

impl fmt::Display for DatastorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "[{}]", self.datastore)
        } else {
            write!(f, "[{}] {}", self.datastore, self.path)
        }
    }
}

/// The text is not `[datastore] path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a datastore path has the form [datastore] directory/file")]
pub struct ParseDatastorePathError;

impl FromStr for DatastorePath {
    type Err = ParseDatastorePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (datastore, path) = text
            .trim()
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .ok_or(ParseDatastorePathError)?;
        if datastore.is_empty() {
            return Err(ParseDatastorePathError);
        }
        Ok(Self::new(datastore, path.trim()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read_as_vcenter_writes_them() {
        for (text, datastore, path) in [
            ("[LocalDS_0]", "LocalDS_0", ""),
            ("[LocalDS_0] ", "LocalDS_0", ""),
            ("[LocalDS_0] vch1/a b.iso", "LocalDS_0", "vch1/a b.iso"),
            ("[LocalDS_0]/vch1/", "LocalDS_0", "vch1"),
            ("[my ds (1)] x", "my ds (1)", "x"),
            ("[ds] odd]name", "ds", "odd]name"),
        ] {
            let parsed: DatastorePath = text.parse().unwrap();
            assert_eq!(
                (parsed.datastore.as_str(), parsed.path.as_str()),
                (datastore, path),
                "{text}"
            );
        }
        for bad in ["", "LocalDS_0", "[] x", "[ds x", "ds] x"] {
            assert_eq!(
                bad.parse::<DatastorePath>(),
                Err(ParseDatastorePathError),
                "{bad}"
            );
        }
    }

    #[test]
    fn parents_end_at_the_root() {
        let file = DatastorePath::new("ds", "a/b/c.iso");
        assert_eq!(file.file_name(), "c.iso");
        let parent = file.parent().unwrap();
        assert_eq!(parent.to_string(), "[ds] a/b");
        assert_eq!(parent.join("c.iso"), file);
        let root = parent.parent().unwrap().parent().unwrap();
        assert_eq!(root.to_string(), "[ds]");
        assert_eq!(root.parent(), None);
        assert_eq!(root.join("x").to_string(), "[ds] x");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(datastore in "[^\\[\\]/]{1,20}", path in "([a-z ]{1,5}[a-z]/){0,3}[a-z.]{1,8}") {
            let path = DatastorePath::new(datastore, &path);
            prop_assume!(path.path.trim() == path.path);
            prop_assert_eq!(path.to_string().parse::<DatastorePath>(), Ok(path));
        }
    }
}
