//! Address lists of NAT rules, and the mapping between two of them.

use std::net::IpAddr;

use crate::net::{Span, spans};

/// `10.0.0.1:80`, or the address alone.
pub fn join(address: IpAddr, port: Option<u16>) -> String {
    match (address, port) {
        (address, None) => address.to_string(),
        (IpAddr::V4(v4), Some(port)) => format!("{v4}:{port}"),
        (IpAddr::V6(v6), Some(port)) => format!("[{v6}]:{port}"),
    }
}

/// Is the address in the list? An absent list means any address.
pub fn listed(list: Option<&str>, address: IpAddr) -> bool {
    list.is_none_or(|l| spans(l).unwrap_or_default().iter().any(|s| s.contains(address)))
}

/// Where an address of `from` goes in `to`: the same place where both are as wide, else the first address.
pub fn mapped(from: Option<&str>, to: &str, address: IpAddr) -> Option<IpAddr> {
    let targets = spans(to)?;
    let target = targets.first()?;
    let sources = from.and_then(spans).unwrap_or_default();
    let place = sources
        .iter()
        .find(|s: &&Span| s.contains(address) && s.width() == target.width())
        .and_then(|s| s.offset(address))
        .unwrap_or_default();
    target.at(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_map_one_to_one_or_to_one() {
        let ip = |t: &str| t.parse::<IpAddr>().unwrap();
        let cases = [
            ("203.0.113.10", "10.0.0.1", "203.0.113.10", "10.0.0.1"),
            ("203.0.113.0/28", "10.0.0.0/28", "203.0.113.5", "10.0.0.5"),
            ("203.0.113.0/28", "10.0.0.9", "203.0.113.5", "10.0.0.9"),
            (
                "10.0.0.0/24",
                "203.0.113.1,203.0.113.2",
                "10.0.0.7",
                "203.0.113.1",
            ),
        ];
        for (from, to, address, expected) in cases {
            assert_eq!(
                mapped(Some(from), to, ip(address)),
                Some(ip(expected)),
                "{from} {to}"
            );
        }
        assert!(listed(None, ip("1.1.1.1")));
        assert!(!listed(Some("10.0.0.0/8,192.168.0.1"), ip("1.1.1.1")));
    }

    #[test]
    fn addresses_with_ports() {
        assert_eq!(join("10.0.0.1".parse().unwrap(), Some(80)), "10.0.0.1:80");
        assert_eq!(join("10.0.0.1".parse().unwrap(), None), "10.0.0.1");
        assert_eq!(join("fd00::1".parse().unwrap(), Some(80)), "[fd00::1]:80");
    }
}
