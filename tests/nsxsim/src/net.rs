//! Addresses, ranges and ports as NSX writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Consecutive addresses of one family, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Lowest address.
    pub first: IpAddr,
    /// Highest address.
    pub last: IpAddr,
}

impl Span {
    /// One address.
    pub fn one(address: IpAddr) -> Self {
        Self {
            first: address,
            last: address,
        }
    }

    /// A whole block, network and broadcast address included.
    pub fn block(net: IpNet) -> Self {
        Self {
            first: net.network(),
            last: net.broadcast(),
        }
    }

    /// `address`, `address/prefix` or `first-last`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            return (same_family(first, last) && first <= last).then_some(Self { first, last });
        }
        if text.contains('/') {
            return text.parse::<IpNet>().ok().map(Self::block);
        }
        text.parse().ok().map(Self::one)
    }

    /// Is the address inside?
    pub fn contains(&self, address: IpAddr) -> bool {
        same_family(self.first, address) && self.first <= address && address <= self.last
    }

    /// Do the two share an address?
    pub fn overlaps(&self, other: &Self) -> bool {
        same_family(self.first, other.first) && self.first <= other.last && other.first <= self.last
    }

    /// Is the other wholly inside?
    pub fn covers(&self, other: &Self) -> bool {
        self.contains(other.first) && self.contains(other.last)
    }

    /// Number of addresses minus one.
    pub fn width(&self) -> u128 {
        number(self.last).saturating_sub(number(self.first))
    }

    /// Place of an address in the span, counted from the first.
    pub fn offset(&self, address: IpAddr) -> Option<u128> {
        self.contains(address)
            .then(|| number(address).saturating_sub(number(self.first)))
    }

    /// The address at a place, if the span is that wide.
    pub fn at(&self, offset: u128) -> Option<IpAddr> {
        if offset > self.width() {
            return None;
        }
        let value = number(self.first).checked_add(offset)?;
        match self.first {
            IpAddr::V4(_) => u32::try_from(value).ok().map(|v| IpAddr::V4(Ipv4Addr::from(v))),
            IpAddr::V6(_) => Some(IpAddr::V6(Ipv6Addr::from(value))),
        }
    }
}

/// Are both of IPv4 or both of IPv6?
pub fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The members of a comma list of addresses and blocks; `None` if one of them is neither.
pub fn spans(list: &str) -> Option<Vec<Span>> {
    list.split(',').map(Span::parse).collect()
}

/// Ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Lowest port.
    pub first: u16,
    /// Highest port.
    pub last: u16,
}

impl Ports {
    /// `80` or `80-90`.
    pub fn parse(text: &str) -> Option<Self> {
        let port = |t: &str| t.trim().parse::<u16>().ok();
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        (first <= last).then_some(Self { first, last })
    }

    /// Is the port inside?
    pub fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Number of ports minus one.
    pub fn width(self) -> u16 {
        self.last.saturating_sub(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_addresses_blocks_and_ranges_of_one_family() {
        let cases = [
            ("10.0.0.1", Some(("10.0.0.1", "10.0.0.1"))),
            ("10.0.0.7/30", Some(("10.0.0.4", "10.0.0.7"))),
            ("10.0.0.1-10.0.0.9", Some(("10.0.0.1", "10.0.0.9"))),
            ("fd00::/126", Some(("fd00::", "fd00::3"))),
            ("10.0.0.9-10.0.0.1", None),
            ("10.0.0.1-fd00::1", None),
            ("10.0.0.256", None),
            ("10.0.0.0/33", None),
            ("any", None),
        ];
        for (text, expected) in cases {
            let got = Span::parse(text).map(|s| (s.first.to_string(), s.last.to_string()));
            assert_eq!(got, expected.map(|(a, b)| (a.into(), b.into())), "{text}");
        }
    }

    #[test]
    fn an_address_keeps_its_place_when_a_block_is_mapped_onto_another() {
        let (from, to) = (
            Span::parse("203.0.113.0/29").unwrap(),
            Span::parse("10.0.0.8/29").unwrap(),
        );
        let place = from.offset("203.0.113.5".parse().unwrap()).unwrap();
        assert_eq!(to.at(place).unwrap().to_string(), "10.0.0.13");
        assert_eq!(to.at(8), None);
        assert_eq!(from.offset("203.0.113.8".parse().unwrap()), None);
    }

    #[test]
    fn spans_overlap_at_their_ends() {
        let span = |t| Span::parse(t).unwrap();
        assert!(span("10.0.0.1-10.0.0.5").overlaps(&span("10.0.0.5-10.0.0.9")));
        assert!(!span("10.0.0.1-10.0.0.4").overlaps(&span("10.0.0.5-10.0.0.9")));
        assert!(!span("0.0.0.0/0").overlaps(&span("::/0")));
        assert!(span("10.0.0.0/24").covers(&span("10.0.0.9-10.0.0.20")));
        assert!(!span("10.0.0.0/24").covers(&span("10.0.0.9-10.0.1.1")));
    }

    #[test]
    fn ports_are_single_or_ascending_ranges() {
        assert_eq!(Ports::parse("80"), Some(Ports { first: 80, last: 80 }));
        assert_eq!(Ports::parse("80-90"), Some(Ports { first: 80, last: 90 }));
        assert_eq!(Ports::parse("90-80"), None);
        assert_eq!(Ports::parse("70000"), None);
        assert_eq!(Ports::parse("80,81"), None);
    }
}
