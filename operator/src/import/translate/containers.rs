//! Networks that containers attach to directly.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use vic_crds::{Address, AddressRange, AttachedNetwork, Label, TrustLevel};

use super::networks::{self, Book};
use super::{Sheet, slug};
use crate::import::values;

/// Options that speak of a container network by the name of its port group.
const KEYED: [&str; 4] = [
    "container-network-gateway",
    "container-network-ip-range",
    "container-network-dns",
    "container-network-firewall",
];
/// The alias that VIC keeps for the bridge.
const BRIDGE_ALIAS: &str = "bridge";

type Span = (Ipv4Addr, Ipv4Addr);

pub(super) fn containers(sheet: &mut Sheet<'_>, book: &mut Book, bridge: &str) -> Vec<AttachedNetwork> {
    let given = sheet.given;
    let mut attached: Vec<AttachedNetwork> = Vec::new();
    let mut groups: Vec<&str> = Vec::new();
    for text in given.texts("container-network") {
        let Some((group, alias)) = sheet.problems.take("container-network", named(text)) else {
            continue;
        };
        groups.push(group);
        if attached.iter().any(|known| known.name == alias) {
            let rule = format!("{text}: the alias {alias} is given twice");
            sheet.problems.note("container-network", rule);
            continue;
        }
        if networks::is_same(group, bridge) {
            networks::bridge_is_shared(sheet, bridge, "--container-network");
        }
        attached.extend(attach(sheet, book, group, alias));
    }
    for option in KEYED {
        for text in given.texts(option) {
            match text.split_once(':') {
                None => sheet
                    .problems
                    .note(option, format!("{text} has no value, as in port-group:value")),
                Some((group, _)) if !groups.contains(&group) => {
                    let rule = format!("{group} is the port group of no --container-network");
                    sheet.problems.note(option, rule);
                }
                Some(_) => {}
            }
        }
    }
    attached
}

/// `portgroup[:alias]`
fn named(text: &str) -> Result<(&str, Label), String> {
    let (group, alias) = text.split_once(':').unwrap_or((text, text));
    if alias.contains(':') {
        return Err(format!("{text} has more than one colon"));
    }
    if alias.contains(char::is_whitespace) {
        let rule = "must not contain blanks; give another alias behind a colon";
        return Err(format!("{text}: the alias {alias:?} {rule}"));
    }
    if alias == BRIDGE_ALIAS {
        return Err(format!("{text}: the alias bridge is kept for the bridge network"));
    }
    Ok((group, values::field::<Label, &str>(alias)?))
}

/// What an option says of a port group.
fn of<'a>(sheet: &Sheet<'a>, option: &str, group: &str) -> Vec<&'a str> {
    let given = sheet.given;
    given
        .texts(option)
        .filter_map(|text| text.split_once(':'))
        .filter(|(name, _)| *name == group)
        .map(|(_, value)| value)
        .collect()
}

fn attach(sheet: &mut Sheet<'_>, book: &mut Book, group: &str, alias: Label) -> Option<AttachedNetwork> {
    let gateway = gateway(sheet, group);
    let mut ranges: Vec<Span> = Vec::new();
    for text in of(sheet, "container-network-ip-range", group) {
        let range = values::range(text).and_then(|range| fits(text, range, gateway, &ranges));
        ranges.extend(sheet.problems.take("container-network-ip-range", range));
    }
    if let Some(gateway) = gateway {
        ranges = give_out(sheet, gateway, ranges);
    }
    let mut dns_servers: Vec<Address> = Vec::new();
    for text in of(sheet, "container-network-dns", group) {
        let server = sheet
            .problems
            .take("container-network-dns", values::address(text));
        dns_servers.extend(server.map(networks::address));
    }
    let trust = of(sheet, "container-network-firewall", group)
        .pop()
        .map(trust_level);
    let trust = trust.and_then(|trust| sheet.problems.take("container-network-firewall", trust));
    let network_ref = book.add(sheet, &slug(&alias), "container-network", group, gateway)?;
    Some(AttachedNetwork {
        name: alias,
        network_ref,
        trust_level: trust,
        address_ranges: ranges.iter().copied().map(text_of).collect(),
        dns_servers,
    })
}

fn text_of((first, last): Span) -> AddressRange {
    AddressRange::from(format!("{first}-{last}").as_str())
}

fn gateway(sheet: &mut Sheet<'_>, group: &str) -> Option<Ipv4Net> {
    const OPTION: &str = "container-network-gateway";
    let texts = of(sheet, OPTION, group);
    if texts.len() > 1 {
        sheet.problems.note(OPTION, format!("{group} has more than one"));
    }
    let read = values::interface(texts.first()?).and_then(|gateway| {
        let is_host = gateway.addr() != gateway.network() && gateway.addr() != gateway.broadcast();
        if is_host && gateway.prefix_len() <= 30 {
            Ok(gateway)
        } else {
            Err(format!(
                "{gateway} is no host's address in a network with a prefix of at most 30"
            ))
        }
    });
    sheet.problems.take(OPTION, read)
}

/// A range lies in the gateway's network, and overlaps no other.
fn fits(text: &str, range: Span, gateway: Option<Ipv4Net>, others: &[Span]) -> Result<Span, String> {
    let gateway =
        gateway.ok_or_else(|| format!("{text} needs --container-network-gateway of the same port group"))?;
    if !gateway.contains(&range.0) || !gateway.contains(&range.1) {
        return Err(format!("{text} does not lie in {}", gateway.trunc()));
    }
    match others
        .iter()
        .find(|other| other.0 <= range.1 && range.0 <= other.1)
    {
        Some((first, last)) => Err(format!("{text} overlaps {first}-{last}")),
        None => Ok(range),
    }
}

/// The ranges without the gateway's own address. Without a range containers get addresses of all of the subnet.
fn give_out(sheet: &mut Sheet<'_>, gateway: Ipv4Net, ranges: Vec<Span>) -> Vec<Span> {
    let ranges = if ranges.is_empty() {
        let hosts = gateway.hosts();
        let all = (hosts.clone().next(), hosts.last());
        let (Some(first), Some(last)) = all else {
            return ranges;
        };
        sheet.note(
            "container-network-gateway",
            format!(
                "no range is given: containers get addresses of all of {}.",
                gateway.trunc()
            ),
        );
        vec![(first, last)]
    } else {
        ranges
    };
    ranges
        .into_iter()
        .flat_map(|range| without(range, gateway.addr()))
        .collect()
}

fn without((first, last): Span, address: Ipv4Addr) -> Vec<Span> {
    if address < first || last < address {
        return vec![(first, last)];
    }
    let number = u32::from(address);
    let before = number.checked_sub(1).map(|last| (first, Ipv4Addr::from(last)));
    let after = number.checked_add(1).map(|first| (Ipv4Addr::from(first), last));
    [before, after]
        .into_iter()
        .flatten()
        .filter(|(first, last)| first <= last)
        .collect()
}

fn trust_level(text: &str) -> Result<TrustLevel, String> {
    match text.to_lowercase().as_str() {
        "closed" => Ok(TrustLevel::Closed),
        "outbound" => Ok(TrustLevel::Outbound),
        "peers" => Ok(TrustLevel::Peers),
        "published" => Ok(TrustLevel::Published),
        "open" => Ok(TrustLevel::Open),
        _ => Err(format!(
            "{text} is none of closed, outbound, peers, published and open"
        )),
    }
}
