//! Values as `vic-machine` reads them: Go's booleans, numbers and lengths of time, sizes, addresses and ranges.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use regex::Regex;
use schemars::{JsonSchema, SchemaGenerator};

/// A boolean as Go's `strconv.ParseBool` takes it.
///
/// # Errors
/// The rule.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{text} is neither true nor false")),
    }
}

/// A whole number.
///
/// # Errors
/// The rule.
pub fn whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text} is no whole number"))
}

/// Whether a text is a length of time in Go's notation, such as `3m0s` or `1.5h`.
///
/// # Errors
/// The rule.
pub fn time(text: &str) -> Result<(), String> {
    let refuse = || format!("{text} is no length of time, such as 3m0s");
    let mut rest = text.trim_start_matches(['+', '-']);
    if rest == "0" {
        return Ok(());
    }
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(refuse)?;
        let (number, after) = rest.split_at(digits);
        number.parse::<f64>().map_err(|_| refuse())?;
        // Longer units first: `ms` is no `m`.
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"];
        let unit = unit
            .iter()
            .find(|unit| after.starts_with(**unit))
            .ok_or_else(refuse)?;
        rest = after.strip_prefix(unit).unwrap_or_default();
    }
    Ok(())
}

/// A size in decimal units, such as `8GB`, `1.5g` or a number of bytes, in bytes.
///
/// # Errors
/// The rule.
pub fn size(text: &str) -> Result<u64, String> {
    let refuse = || format!("{text} is no size, such as 8GB");
    let lower = text.to_lowercase();
    let number = lower.trim_end_matches('b').trim_end_matches('i');
    let (number, factor) = ["k", "m", "g", "t", "p"]
        .iter()
        .zip([3_u32, 6, 9, 12, 15])
        .find_map(|(unit, power)| Some((number.strip_suffix(unit)?, 10_u64.checked_pow(power)?)))
        .unwrap_or((number, 1));
    let number = number.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let places = u32::try_from(fraction.len()).map_err(|_| refuse())?;
    let digits: u64 = format!("{whole}{fraction}").parse().map_err(|_| refuse())?;
    let divisor = 10_u64.checked_pow(places).ok_or_else(refuse)?;
    let product = u128::from(digits) * u128::from(factor) / u128::from(divisor);
    u64::try_from(product).map_err(|_| refuse())
}

/// Bytes as a Quantity in the largest decimal unit that loses nothing.
#[must_use]
pub fn decimal_quantity(bytes: u64) -> String {
    in_units(bytes, 1_000, &["", "k", "M", "G", "T"])
}

/// Megabytes as a Quantity in the largest binary unit that loses nothing.
#[must_use]
pub fn binary_quantity(megabytes: u64) -> String {
    in_units(megabytes, 1_024, &["Mi", "Gi", "Ti"])
}

fn in_units(mut amount: u64, step: u64, units: &[&str]) -> String {
    let mut units = units.iter().peekable();
    let mut unit = units.next();
    while amount > 0 && amount.is_multiple_of(step) && units.peek().is_some() {
        amount /= step;
        unit = units.next();
    }
    format!("{amount}{}", unit.unwrap_or(&""))
}

/// An IPv4 address.
///
/// # Errors
/// The rule.
pub fn address(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("{text} is no IPv4 address"))
}

/// An address with the prefix of its network, such as `10.0.0.5/24`.
///
/// # Errors
/// The rule.
pub fn interface(text: &str) -> Result<Ipv4Net, String> {
    text.parse()
        .map_err(|_| format!("{text} is no IPv4 address with the prefix of its network, such as 10.0.0.5/24"))
}

/// A network in CIDR form; host bits do not matter.
///
/// # Errors
/// The rule.
pub fn network(text: &str) -> Result<Ipv4Net, String> {
    text.parse::<Ipv4Net>()
        .map(|net| net.trunc())
        .map_err(|_| format!("{text} is no IPv4 network in CIDR form, such as 10.0.0.0/24"))
}

/// First and last of a range: a network, two addresses, or an address and the last number of another.
///
/// # Errors
/// The rule.
pub fn range(text: &str) -> Result<(Ipv4Addr, Ipv4Addr), String> {
    if text.contains('/') {
        let net = network(text)?;
        return Ok((net.network(), net.broadcast()));
    }
    let refuse = || format!("{text} is no range such as 10.0.0.10-10.0.0.99, 10.0.0.10-99 or 10.0.0.0/26");
    let (first, last) = text.split_once('-').ok_or_else(refuse)?;
    let first: Ipv4Addr = first.trim().parse().map_err(|_| refuse())?;
    let [a, b, c, _] = first.octets();
    let last = last.trim();
    let last = match last.parse::<u8>() {
        Ok(number) => Ipv4Addr::new(a, b, c, number),
        Err(_) => last.parse().map_err(|_| refuse())?,
    };
    if first <= last {
        Ok((first, last))
    } else {
        Err(refuse())
    }
}

/// A text that a field of type `T` takes, by the length and the pattern that the CRD has for it.
///
/// # Errors
/// The rule.
pub fn field<T: JsonSchema + From<S>, S: AsRef<str>>(text: S) -> Result<T, String> {
    let schema = T::json_schema(&mut SchemaGenerator::default());
    let length = u64::try_from(text.as_ref().chars().count()).unwrap_or(u64::MAX);
    let limit = |name: &str| schema.get(name).and_then(serde_json::Value::as_u64);
    if let Some(least) = limit("minLength").filter(|least| length < *least) {
        return Err(format!("{:?} is shorter than {least} characters", text.as_ref()));
    }
    if let Some(most) = limit("maxLength").filter(|most| length > *most) {
        return Err(format!("{} is longer than {most} characters", text.as_ref()));
    }
    let pattern = schema.get("pattern").and_then(serde_json::Value::as_str);
    let fits = pattern
        .and_then(|pattern| Regex::new(pattern).ok())
        .is_none_or(|pattern| pattern.is_match(text.as_ref()));
    if fits {
        Ok(T::from(text))
    } else {
        Err(format!(
            "{:?} is not of the form that the field takes: {}",
            text.as_ref(),
            pattern.unwrap_or_default()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal_whatever_they_are_called() {
        for (text, bytes) in [
            ("8GB", 8_000_000_000),
            ("8g", 8_000_000_000),
            ("8GiB", 8_000_000_000),
            ("1.5 GB", 1_500_000_000),
            ("500m", 500_000_000),
            ("12", 12),
            ("12B", 12),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "eight", "-1GB", "8XB", "99999999999999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quantities_lose_nothing() {
        for (bytes, text) in [
            (8_000_000_000, "8G"),
            (1_500_000_000, "1500M"),
            (1_001, "1001"),
            (0, "0"),
        ] {
            assert_eq!(decimal_quantity(bytes), text);
            assert_eq!(vic_crds::Memory::from(text).bytes(), i64::try_from(bytes).ok());
        }
        for (megabytes, text) in [
            (8_192, "8Gi"),
            (1_000, "1000Mi"),
            (1 << 20, "1Ti"),
            (1 << 30, "1024Ti"),
        ] {
            assert_eq!(binary_quantity(megabytes), text);
        }
    }

    #[test]
    fn lengths_of_time_are_gos() {
        for text in ["3m0s", "1.5h", "300ms", "-10s", "0", "1h2m3s4us"] {
            assert_eq!(time(text), Ok(()), "{text}");
        }
        for text in ["", "3", "3 m", "m", "1d", "-"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_have_three_forms() {
        let of = |first: &str, last: &str| Ok((first.parse().unwrap(), last.parse().unwrap()));
        for (text, expected) in [
            ("10.0.0.10-10.0.0.99", of("10.0.0.10", "10.0.0.99")),
            ("10.0.0.10-99", of("10.0.0.10", "10.0.0.99")),
            ("10.0.0.128/26", of("10.0.0.128", "10.0.0.191")),
            ("10.0.0.130/26", of("10.0.0.128", "10.0.0.191")),
        ] {
            assert_eq!(range(text), expected, "{text}");
        }
        for text in ["10.0.0.10", "10.0.0.99-10", "10.0.0.10-300", "a-b", "10.0.0.0/40"] {
            assert!(range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fields_own_rule_decides() {
        assert!(field::<vic_crds::VchName, _>("vch1").is_ok());
        for (text, rule) in [
            ("", "shorter than 1"),
            ("abcdefghijklmnopqrstuvwxyz123456", "longer than 31"),
            ("a/b", "not of the form"),
        ] {
            let refused = field::<vic_crds::VchName, _>(text).unwrap_err();
            assert!(refused.contains(rule), "{refused}");
        }
    }
}
