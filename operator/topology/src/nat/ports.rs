//! Ports, as a NAT rule and a service write them.

/// Ports from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Ports {
    /// As NSX writes them.
    #[must_use]
    pub fn text(self) -> String {
        if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        }
    }

    /// Reads `80` or `80-90`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    }

    /// A range of the same size that begins elsewhere; `None` where it would end beyond 65535.
    #[must_use]
    pub fn moved_to(self, first: u16) -> Option<Self> {
        Some(Self {
            first,
            last: first.checked_add(self.last.checked_sub(self.first)?)?,
        })
    }

    /// The smallest range around both.
    #[must_use]
    pub fn around(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }

    /// Whether both have a port in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}
