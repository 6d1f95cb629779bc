//! The named formats of the schema.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::net::{Ports, Span, spans};

/// Does the text have the format? Formats that are not about text (`int32` …) and unknown ones hold.
pub fn holds(format: &str, text: &str) -> bool {
    match format {
        "ip" => text.parse::<IpAddr>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "ip-cidr-block" => text.parse::<IpNet>().is_ok(),
        "ipv4-cidr-block" => text.parse::<Ipv4Net>().is_ok(),
        "address-or-block-or-range" => Span::parse(text).is_some(),
        "list-of-address-or-block-or-range" => spans(text).is_some(),
        "port-or-range" => Ports::parse(text).is_some(),
        "mac-address" => is_mac(text),
        "hostname" => !text.is_empty() && text.len() <= 255 && !text.contains(char::is_whitespace),
        _ => true,
    }
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|p| p.len() == 2 && p.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_good_from_bad() {
        let cases = [
            ("ip", "10.0.0.1", "10.0.0.1/24"),
            ("ipv4", "10.0.0.1", "fd00::1"),
            ("ipv6", "fd00::1", "10.0.0.1"),
            ("ip-cidr-block", "10.0.0.1/24", "10.0.0.1"),
            ("ipv4-cidr-block", "10.0.0.1/24", "fd00::/8"),
            (
                "address-or-block-or-range",
                "10.0.0.1-10.0.0.2",
                "10.0.0.1,10.0.0.2",
            ),
            (
                "list-of-address-or-block-or-range",
                "10.0.0.1,10.0.0.0/24",
                "10.0.0.1,web",
            ),
            ("port-or-range", "80-90", "http"),
            ("mac-address", "00:50:56:aa:bb:cc", "00:50:56:aa:bb"),
            ("hostname", "esx-1.lab", "two words"),
        ];
        for (format, good, bad) in cases {
            assert!(holds(format, good), "{format} {good}");
            assert!(!holds(format, bad), "{format} {bad}");
        }
    }
}
