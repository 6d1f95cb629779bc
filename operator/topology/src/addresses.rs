//! Addresses, interfaces and ranges.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

/// Addresses from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first.
    pub first: Ipv4Addr,
    /// The last.
    pub last: Ipv4Addr,
}

/// Why a text is no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Not two addresses.
    #[error("{0} is not a range such as 10.30.0.11-10.30.0.199")]
    Form(String),
    /// The last comes before the first.
    #[error("{0} ends before it begins")]
    Backwards(String),
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let form = || RangeError::Form(text.to_owned());
        let (first, last) = text.split_once('-').ok_or_else(form)?;
        let first: Ipv4Addr = first.trim().parse().map_err(|_| form())?;
        let last: Ipv4Addr = last.trim().parse().map_err(|_| form())?;
        if first > last {
            Err(RangeError::Backwards(text.to_owned()))
        } else {
            Ok(Self { first, last })
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl Range {
    /// Whether the address is one of them.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Whether both have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// What is left of these addresses without the `other` ones: nothing, one range or two.
    #[must_use]
    pub fn without(&self, other: &Self) -> Vec<Self> {
        if !self.overlaps(other) {
            return vec![*self];
        }
        let step = |address: Ipv4Addr, up: bool| {
            let number = u32::from(address);
            let next = if up {
                number.checked_add(1)
            } else {
                number.checked_sub(1)
            };
            next.map(Ipv4Addr::from)
        };
        let below = step(other.first, false).map(|last| Self {
            first: self.first,
            last,
        });
        let above = step(other.last, true).map(|first| Self {
            first,
            last: self.last,
        });
        [below, above]
            .into_iter()
            .flatten()
            .filter(|left| left.first <= left.last)
            .collect()
    }

    /// Whether all of them lie in the network.
    #[must_use]
    pub fn lies_in(&self, net: &Ipv4Net) -> bool {
        net.contains(&self.first) && net.contains(&self.last)
    }

    /// Whether every address of `other` is one of these.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// `10.30.0.1/24` as the address and its network.
#[must_use]
pub fn interface(text: &str) -> Option<(Ipv4Addr, Ipv4Net)> {
    let net: Ipv4Net = text.parse().ok()?;
    Some((net.addr(), net.trunc()))
}

/// A network for people: a single address without its prefix.
#[must_use]
pub fn address_text(net: Ipv4Net) -> String {
    if net.prefix_len() == 32 {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

/// Whether two networks have an address in common.
#[must_use]
pub fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        let range: Range = "10.0.0.1-10.0.0.9".parse().unwrap();
        assert_eq!(range.to_string(), "10.0.0.1-10.0.0.9");
        assert!(matches!("10.0.0.1".parse::<Range>(), Err(RangeError::Form(_))));
        assert!(matches!(
            "10.0.0.9-10.0.0.1".parse::<Range>(),
            Err(RangeError::Backwards(_))
        ));
    }

    #[test]
    fn ranges_overlap_both_ways() {
        let range = |text: &str| text.parse::<Range>().unwrap();
        for (one, other, expected) in [
            ("10.0.0.1-10.0.0.5", "10.0.0.5-10.0.0.9", true),
            ("10.0.0.1-10.0.0.5", "10.0.0.6-10.0.0.9", false),
            ("10.0.0.1-10.0.0.9", "10.0.0.3-10.0.0.4", true),
        ] {
            assert_eq!(range(one).overlaps(&range(other)), expected);
            assert_eq!(range(other).overlaps(&range(one)), expected);
        }
    }

    #[test]
    fn an_interface_is_an_address_and_its_network() {
        let (address, net) = interface("10.30.0.1/24").unwrap();
        assert_eq!(
            (address.to_string().as_str(), net.to_string().as_str()),
            ("10.30.0.1", "10.30.0.0/24")
        );
        assert_eq!(address_text("203.0.113.10/32".parse().unwrap()), "203.0.113.10");
    }
}
