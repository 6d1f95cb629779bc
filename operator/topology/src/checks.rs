//! What NSX refuses in a NAT rule or a segment, or takes and does not do, said before anything is written.

use crate::microsegmentation::MicrosegSpec;
use crate::nat::{NatAction, NatFirewall, NatProtocol, NatSpec, check_ports};
use crate::segment::SubnetSpec;

/// Longest `display_name`.
const NAME_LIMIT: usize = 255;
/// Highest priority: the firewall rules' sequence numbers follow from it.
const PRIORITY_LIMIT: u32 = 1000;
/// Most `source_groups` of a firewall rule.
const SOURCE_LIMIT: usize = 128;
/// Most `dns_servers` that DHCP on a segment tells.
const DNS_LIMIT: usize = 2;
/// Most `dhcp_ranges` of a subnet.
const RANGE_LIMIT: usize = 99;
/// Shortest and longest lease in seconds.
const LEASE: std::ops::RangeInclusive<u64> = 60..=4_294_967_295;

/// A rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Broken {
    /// The field of the declaration, such as `spec.external.port`.
    pub field: &'static str,
    /// The rule in plain words.
    pub rule: String,
}

fn ensure(holds: bool, field: &'static str, rule: impl Into<String>) -> Result<(), Broken> {
    if holds {
        Ok(())
    } else {
        Err(Broken {
            field,
            rule: rule.into(),
        })
    }
}

/// Whether NSX can have the rule as it is.
///
/// # Errors
/// The first rule that is broken.
pub fn check_nat(spec: &NatSpec) -> Result<(), Broken> {
    check_sides(spec)?;
    check_port_shape(spec)?;
    check_firewall(spec)?;
    ensure(
        spec.priority <= PRIORITY_LIMIT,
        "spec.priority",
        format!("must be at most {PRIORITY_LIMIT}"),
    )?;
    let longest = spec
        .intents()
        .iter()
        .filter_map(|intent| Some(intent.body.get("display_name")?.as_str()?.len()))
        .max();
    ensure(
        longest.is_none_or(|length| length <= NAME_LIMIT),
        "metadata.name",
        format!("makes names of more than {NAME_LIMIT} characters in NSX, together with the namespace"),
    )
}

fn check_sides(spec: &NatSpec) -> Result<(), Broken> {
    let wants_external = spec.action != NatAction::NoSnat;
    let wants_internal = spec.action != NatAction::NoDnat;
    ensure(
        spec.external.is_some() == wants_external,
        "spec.external",
        "is required, except for NoSNAT, which has none",
    )?;
    ensure(
        spec.internal.is_some() == wants_internal,
        "spec.internal",
        "is required, except for NoDNAT, which has none",
    )?;
    if spec.action != NatAction::Reflexive {
        return Ok(());
    }
    let size = |net: Option<ipnet::Ipv4Net>| net.map(|net| net.prefix_len());
    ensure(
        spec.remotes.is_empty(),
        "spec.remote",
        "may not be set for Reflexive",
    )?;
    ensure(
        size(spec.external) == size(spec.internal),
        "spec.internal.address",
        "must be as large as spec.external.address for Reflexive",
    )
}

fn check_port_shape(spec: &NatSpec) -> Result<(), Broken> {
    const EXTERNAL: &str = "spec.external.port";
    const INTERNAL: &str = "spec.internal.port";
    if let Some(ports) = spec.external_ports {
        let ported = matches!(spec.protocol, NatProtocol::Tcp | NatProtocol::Udp);
        ensure(ported, EXTERNAL, "needs protocol TCP or UDP")?;
        // NSX has no field for what a source port of SNAT would become, and Reflexive knows no ports.
        let matched = matches!(spec.action, NatAction::Dnat | NatAction::NoDnat);
        ensure(matched, EXTERNAL, "may be set for DNAT and NoDNAT only")?;
        ensure(
            1 <= ports.first && ports.first <= ports.last,
            EXTERNAL,
            "must be ports between 1 and 65535, first and last",
        )?;
    }
    let based = spec.action == NatAction::Dnat && spec.external_ports.is_some();
    ensure(
        spec.internal_port.is_none() || based,
        INTERNAL,
        "needs action DNAT and spec.external.port",
    )?;
    ensure(
        spec.internal_port != Some(0),
        INTERNAL,
        "must be between 1 and 65535",
    )?;
    check_ports(spec).map_err(|rule| Broken {
        field: INTERNAL,
        rule,
    })
}

fn check_firewall(spec: &NatSpec) -> Result<(), Broken> {
    let published = matches!(spec.action, NatAction::Dnat | NatAction::Reflexive);
    let managed = spec.firewall != NatFirewall::Unmanaged;
    ensure(
        published || !managed,
        "spec.firewall",
        "may be set for DNAT and Reflexive only",
    )?;
    let sources = match &spec.firewall {
        NatFirewall::Exclusive { sources, .. } | NatFirewall::Additive { sources, .. } => sources.len(),
        NatFirewall::Unmanaged | NatFirewall::Bypass => 0,
    };
    ensure(
        sources <= SOURCE_LIMIT,
        "spec.firewall.allowFrom",
        format!("must be at most {SOURCE_LIMIT} sources"),
    )
}

/// Whether NSX can have the policy as it is.
///
/// # Errors
/// The first rule that is broken.
pub fn check_microseg(spec: &MicrosegSpec) -> Result<(), Broken> {
    for intent in spec.intents() {
        let longest = ["source_groups", "destination_groups", "scope", "service_entries"]
            .into_iter()
            .filter_map(|field| Some(intent.body.get(field)?.as_array()?.len()))
            .max();
        ensure(
            longest.is_none_or(|count| count <= SOURCE_LIMIT),
            "spec.subject, from and to",
            format!("name more than {SOURCE_LIMIT} groups, addresses and networks for one side of a rule"),
        )?;
    }
    ensure(
        spec.priority <= PRIORITY_LIMIT,
        "spec.priority",
        format!("must be at most {PRIORITY_LIMIT}"),
    )
}

/// Whether NSX can serve the subnet on a segment.
///
/// # Errors
/// The first rule that is broken.
pub fn check_subnet(subnet: &SubnetSpec) -> Result<(), Broken> {
    let Some(dhcp) = &subnet.dhcp else { return Ok(()) };
    ensure(
        subnet.dns.len() <= DNS_LIMIT,
        "spec.subnets[0].dnsServers",
        format!("must be at most {DNS_LIMIT} where NSX serves DHCP"),
    )?;
    ensure(
        dhcp.ranges.len() <= RANGE_LIMIT,
        "spec.subnets[0].dhcp.ranges",
        format!(
            "make more than {RANGE_LIMIT} ranges in NSX, where those that exist stay and additions come beside them"
        ),
    )?;
    ensure(
        LEASE.contains(&dhcp.lease_seconds),
        "spec.subnets[0].dhcp.leaseTime",
        format!("must be between {}s and {}s", LEASE.start(), LEASE.end()),
    )
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
