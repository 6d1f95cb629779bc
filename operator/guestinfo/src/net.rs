//! Addresses as Go stores them. The number of bytes is part of what is stored: an address that was parsed
//! from text has 16 bytes even for IPv4, the network part of a parsed CIDR has 4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Error;
use crate::extraconfig::{Decoder, Encoder, Key, Value, get_bytes, put_bytes};

/// An IP address and the width it is stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ip {
    /// Four bytes.
    Short(Ipv4Addr),
    /// Sixteen bytes: IPv6, or IPv4 as `::ffff:a.b.c.d`.
    Long(Ipv6Addr),
}

impl Ip {
    /// The address, IPv4 whatever the width.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Self::Short(address) => address.into(),
            Self::Long(address) => address.to_canonical(),
        }
    }
}

/// The 16-byte form, in which VIC stores what users name: addresses, gateways, DNS servers.
impl From<IpAddr> for Ip {
    fn from(address: IpAddr) -> Self {
        Self::Long(match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        })
    }
}

impl Value for Ip {
    fn encode(&self, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        match self {
            Self::Short(address) => put_bytes(&address.octets(), key, to),
            Self::Long(address) => put_bytes(&address.octets(), key, to),
        }
    }

    fn decode(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Self>, Error> {
        get_bytes(key, from, "base64 of a 4 or 16 byte address", |bytes| {
            let short = <[u8; 4]>::try_from(bytes.as_slice()).map(|bytes| Self::Short(bytes.into()));
            let long = || <[u8; 16]>::try_from(bytes.as_slice()).map(|bytes| Self::Long(bytes.into()));
            short.or_else(|_| long()).ok()
        })
    }
}

/// A network mask: four bytes for IPv4, sixteen for IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// Four bytes.
    V4([u8; 4]),
    /// Sixteen bytes.
    V6([u8; 16]),
}

impl Mask {
    /// The IPv4 mask with `prefix` leading ones (anything above 32 counts as 32).
    #[must_use]
    pub fn v4(prefix: u8) -> Self {
        let zeros = 32_u32.saturating_sub(prefix.into());
        Self::V4(u32::MAX.checked_shl(zeros).unwrap_or(0).to_be_bytes())
    }

    /// The IPv6 mask with `prefix` leading ones (anything above 128 counts as 128).
    #[must_use]
    pub fn v6(prefix: u8) -> Self {
        let zeros = 128_u32.saturating_sub(prefix.into());
        Self::V6(u128::MAX.checked_shl(zeros).unwrap_or(0).to_be_bytes())
    }

    /// The number of leading ones; `None` if ones follow a zero.
    #[must_use]
    pub fn prefix(self) -> Option<u8> {
        let (bits, width) = match self {
            Self::V4(bytes) => (u128::from(u32::from_be_bytes(bytes)) << 96, 32),
            Self::V6(bytes) => (u128::from_be_bytes(bytes), 128),
        };
        let ones = bits.leading_ones();
        (bits.count_ones() == ones && ones <= width)
            .then(|| u8::try_from(ones).ok())
            .flatten()
    }
}

impl Value for Mask {
    fn encode(&self, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        match self {
            Self::V4(bytes) => put_bytes(bytes, key, to),
            Self::V6(bytes) => put_bytes(bytes, key, to),
        }
    }

    fn decode(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Self>, Error> {
        get_bytes(key, from, "base64 of a 4 or 16 byte mask", |bytes| {
            let v4 = <[u8; 4]>::try_from(bytes.as_slice()).map(Self::V4);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(Self::V6))
                .ok()
        })
    }
}

crate::record! {
    /// An address with its mask (Go's `net.IPNet`). The default is "none": nothing is stored for it.
    #[derive(Copy, Hash)]
    pub struct NetAddress {
        /// The address.
        #[key("IP")]
        pub ip: Option<Ip>,
        /// Its mask.
        #[key("Mask")]
        pub mask: Option<Mask>,
    }
}

impl NetAddress {
    /// An address of a host, in 16 bytes.
    #[must_use]
    pub fn host(address: IpAddr, prefix: u8) -> Self {
        let mask = if address.is_ipv4() {
            Mask::v4(prefix)
        } else {
            Mask::v6(prefix)
        };
        Self {
            ip: Some(address.into()),
            mask: Some(mask),
        }
    }

    /// A network or route destination, in 4 bytes; bits of the address beyond the prefix are cleared.
    #[must_use]
    pub fn network(address: Ipv4Addr, prefix: u8) -> Self {
        let mask = Mask::v4(prefix);
        Self {
            ip: Some(Ip::Short(first_and_last(address, prefix).0)),
            mask: Some(mask),
        }
    }

    /// The address; `None` if there is none, or it is the unspecified one (`0.0.0.0`: managed elsewhere).
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        self.ip
            .map(Ip::address)
            .filter(|address| !address.is_unspecified())
    }

    /// The prefix length of the mask.
    #[must_use]
    pub fn prefix(self) -> Option<u8> {
        self.mask.and_then(Mask::prefix)
    }
}

crate::record! {
    /// A range of addresses, both ends included.
    #[derive(Copy, Hash)]
    pub struct IpRange {
        /// The lowest address.
        #[key("first")]
        pub first: Option<Ip>,
        /// The highest address.
        #[key("last")]
        pub last: Option<Ip>,
    }
}

impl IpRange {
    /// A range given by its ends, in 16 bytes as VIC stores `a-b`.
    #[must_use]
    pub fn between(first: IpAddr, last: IpAddr) -> Self {
        Self {
            first: Some(first.into()),
            last: Some(last.into()),
        }
    }

    /// A range given as CIDR, in 4 bytes as VIC stores it, network and broadcast address included.
    #[must_use]
    pub fn cidr(address: Ipv4Addr, prefix: u8) -> Self {
        let (first, last) = first_and_last(address, prefix);
        Self {
            first: Some(Ip::Short(first)),
            last: Some(Ip::Short(last)),
        }
    }
}

fn first_and_last(address: Ipv4Addr, prefix: u8) -> (Ipv4Addr, Ipv4Addr) {
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let bits = address.to_bits();
    (
        Ipv4Addr::from_bits(bits & !hosts),
        Ipv4Addr::from_bits(bits | hosts),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: fn(u8, u8, u8, u8) -> Ipv4Addr = Ipv4Addr::new;

    #[test]
    fn masks_know_their_prefix() {
        for prefix in 0..=32 {
            assert_eq!(Mask::v4(prefix).prefix(), Some(prefix));
        }
        for prefix in 0..=128 {
            assert_eq!(Mask::v6(prefix).prefix(), Some(prefix));
        }
        assert_eq!(Mask::v4(12), Mask::V4([255, 240, 0, 0]));
        assert_eq!(Mask::v4(77), Mask::v4(32));
        assert_eq!(Mask::V4([255, 0, 255, 0]).prefix(), None);
        assert_eq!(Mask::V4([0, 0, 0, 1]).prefix(), None);
    }

    #[test]
    fn networks_and_ranges_are_cut_at_the_prefix() {
        let network = NetAddress::network(V4(172, 19, 5, 1), 12);
        assert_eq!(network.ip, Some(Ip::Short(V4(172, 16, 0, 0))));
        assert_eq!(network.prefix(), Some(12));
        let range = IpRange::cidr(V4(192, 168, 30, 130), 26);
        assert_eq!(range.first, Some(Ip::Short(V4(192, 168, 30, 128))));
        assert_eq!(range.last, Some(Ip::Short(V4(192, 168, 30, 191))));
        let all = IpRange::cidr(V4(10, 0, 0, 1), 0);
        assert_eq!(all.last.unwrap().address(), IpAddr::from([255, 255, 255, 255]));
        let one = IpRange::cidr(V4(10, 0, 0, 1), 32);
        assert_eq!(one.first, one.last);
    }

    #[test]
    fn the_width_is_kept_apart_from_the_address() {
        let address = IpAddr::from([10, 0, 0, 2]);
        let (short, long) = (Ip::Short(V4(10, 0, 0, 2)), Ip::from(address));
        assert_ne!(short, long);
        assert_eq!((short.address(), long.address()), (address, address));
        assert_eq!(NetAddress::host(IpAddr::from([0, 0, 0, 0]), 0).address(), None);
        assert_eq!(
            NetAddress::host("fd00::1".parse().unwrap(), 64).prefix(),
            Some(64)
        );
        assert_eq!(NetAddress::default().address(), None);
    }
}
