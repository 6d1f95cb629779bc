//! The publisher of an ISO 9660 image, by which VIC tells what an image is.

use std::fmt;

/// Offset of the 128 bytes of the publisher in an image: the primary volume descriptor lies in sector 16.
pub(super) const OFFSET: usize = 0x8000 + 318;
/// Their number.
pub(super) const LENGTH: usize = 128;

/// What an image of VIC says of itself, such as `V1.5.8-21000-2C978FE`: version, build and commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    version: String,
    build_number: String,
    git_commit: String,
}

impl Publisher {
    /// The publisher in the bytes of its field, such as `VMWARE INC. V1.5.8-21000-2C978FE` padded with
    /// blanks: its last word. `None` where that is no version of VIC.
    #[must_use]
    pub fn from_field(field: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(field).ok()?;
        Self::from_text(text.trim_end_matches(['\0', ' ']).rsplit(' ').next()?)
    }

    /// `V1.5.8-21000-2C978FE`, as the image or a file's name has it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let fits = |part: &&str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_')
        };
        let (rest, git_commit) = text.rsplit_once('-')?;
        let (version, build_number) = rest.rsplit_once('-')?;
        let plausible =
            version.split('-').all(|part| fits(&part)) && fits(&build_number) && fits(&git_commit);
        plausible.then(|| Self {
            version: version.to_owned(),
            build_number: build_number.to_owned(),
            git_commit: git_commit.to_owned(),
        })
    }

    /// `V1.5.8`
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// `21000`
    #[must_use]
    pub fn build_number(&self) -> &str {
        &self.build_number
    }

    /// `2C978FE`
    #[must_use]
    pub fn git_commit(&self) -> &str {
        &self.git_commit
    }

    /// Whether this is the version that a release names: with or without a leading `v`, build and commit, in
    /// any case.
    #[must_use]
    pub fn is_of(&self, release: &str) -> bool {
        let plain = |text: &str| text.to_lowercase().trim_start_matches('v').to_owned();
        let release = plain(release);
        let version = plain(&self.version);
        let build = format!("{version}-{}", plain(&self.build_number));
        release == version || release == build || release == plain(&self.to_string())
    }
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.version, self.build_number, self.git_commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_the_field_is_read() {
        let cases: [(&str, Option<[&str; 3]>); 7] = [
            (
                "VMWARE INC. V1.5.8-21000-2C978FE",
                Some(["V1.5.8", "21000", "2C978FE"]),
            ),
            ("V1.5.8-21000-2C978FE", Some(["V1.5.8", "21000", "2C978FE"])),
            (
                "VMWARE INC. V1.5.8-RC1-21000-2C978FE",
                Some(["V1.5.8-RC1", "21000", "2C978FE"]),
            ),
            ("VMWARE INC.", None),
            ("", None),
            ("MKISOFS V1.5.8", None),
            ("VMWARE INC. V1.5.8-21000-../../x", None),
        ];
        for (text, expected) in cases {
            for padding in [" ", "\0"] {
                let field = format!("{text}{}", padding.repeat(LENGTH - text.len()));
                let found = Publisher::from_field(field.as_bytes());
                let parts = found
                    .as_ref()
                    .map(|found| [found.version(), found.build_number(), found.git_commit()]);
                assert_eq!(parts, expected, "{text}");
            }
        }
        assert_eq!(Publisher::from_field(&[0xff; LENGTH]), None);
    }

    #[test]
    fn a_release_names_a_version_in_several_ways() {
        let publisher = Publisher::from_text("V1.5.8-21000-2C978FE").unwrap();
        let cases = [
            ("v1.5.8", true),
            ("1.5.8", true),
            ("V1.5.8-21000", true),
            ("v1.5.8-21000-2c978fe", true),
            ("v1.5.80", false),
            ("v1.5", false),
            ("v1.5.7", false),
            ("v1.5.8-21001", false),
        ];
        for (release, same) in cases {
            assert_eq!(publisher.is_of(release), same, "{release}");
        }
    }
}
