//! Turns a rule's spec into one that can be written: granted, and with its addresses where they belong.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use topology::{Grants, NatAction, NatFirewall, NatProtocol, NatSpec, Owner, Ports};
use vic_crds::{AddressOrCidr, EdgeNatRule, Firewall, FirewallMatch, FirewallMode, Logging, Protocol};

use super::dereference::{References, Target};
use crate::context::Context;
use crate::controllers::common::network;
use crate::failure::{DereferenceError, Failure, ValidateError};
use crate::kind::ObjectKey;

/// Priority of a rule that names none.
const DEFAULT_PRIORITY: u32 = 500;

/// A rule as it shall be.
pub(super) struct Wanted {
    pub(super) owner: Owner,
    pub(super) spec: NatSpec,
    /// Whether the rule points at a container that is not there: then nothing of it stands in NSX.
    pub(super) dormant: bool,
    /// When the rule was declared, RFC 3339: the older of two claims holds.
    pub(super) created: String,
}

/// Whether the namespace may have what it asks for, but for the external address, which a pool may have to give first.
pub(super) fn granted(
    rule: &EdgeNatRule,
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
) -> Result<Grants, Failure> {
    let grants = references.ground.grants(ctx, key)?;
    check_grants(rule, key, references, &grants)?;
    Ok(grants)
}

/// `published`: the external address that a pool gave.
pub(super) fn validate(
    rule: &EdgeNatRule,
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
    grants: &Grants,
    published: Option<Ipv4Addr>,
) -> Result<Wanted, Failure> {
    let uid = rule.metadata.uid.clone().unwrap_or_default();
    let owner = ctx.owner(key, &uid);
    let external = external(rule, published)?;
    let internal = internal(rule, references)?;
    if let Some(net) = external.filter(|net| !grants.allows_external(net)) {
        let what = format!("external address {}", topology::address_text(net));
        return Err(references.ground.refuse(&key.namespace, what).into());
    }
    let firewall = rule
        .spec
        .firewall
        .as_ref()
        .map_or(NatFirewall::Unmanaged, firewall);
    let spec = NatSpec {
        owner: owner.clone(),
        gateway_path: references.gateway.path.clone(),
        action: action(rule),
        protocol: protocol(rule),
        external,
        allocation: references.allocation.clone(),
        external_ports: ports(rule)?,
        internal,
        internal_port: rule
            .spec
            .internal
            .as_ref()
            .and_then(|side| side.port)
            .map(port)
            .transpose()?,
        remotes: remotes(rule)?,
        scope: references.scope.clone(),
        priority: rule
            .spec
            .priority
            .and_then(|priority| u32::try_from(priority).ok())
            .unwrap_or(DEFAULT_PRIORITY),
        logging: rule.spec.logging.unwrap_or_default() == Logging::Enabled,
        firewall,
    };
    let dormant = references.target == Target::Awaited;
    check_shape(&spec, dormant, references)?;
    if let Some(why) = references.view.keeps_from(spec.action, &spec.firewall) {
        let gateway = references.gateway.label.clone();
        return Err(DereferenceError::GatewayUnsuitable { gateway, why }.into());
    }
    let created = rule
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0.to_string())
        .unwrap_or_default();
    Ok(Wanted {
        owner,
        spec,
        dormant,
        created,
    })
}

fn invalid(field: &str, rule: impl Into<String>) -> ValidateError {
    ValidateError::Invalid {
        field: field.to_owned(),
        rule: rule.into(),
    }
}

fn read(field: &str, text: &AddressOrCidr) -> Result<Ipv4Net, ValidateError> {
    network(text).ok_or_else(|| invalid(field, "must be an IPv4 address or network"))
}

fn external(rule: &EdgeNatRule, published: Option<Ipv4Addr>) -> Result<Option<Ipv4Net>, ValidateError> {
    let written = rule.spec.external.as_ref().and_then(|side| side.address.as_ref());
    match written {
        Some(text) => read("spec.external.address", text).map(Some),
        None => Ok(published.map(Ipv4Net::from)),
    }
}

/// The peers, each once: NSX has a rule for each.
fn remotes(rule: &EdgeNatRule) -> Result<Vec<Ipv4Net>, ValidateError> {
    let Some(remote) = &rule.spec.remote else {
        return Ok(Vec::new());
    };
    let listed = (0_usize..)
        .zip(&remote.cidrs)
        .map(|(place, text)| read(&format!("spec.remote.cidrs[{place}]"), text));
    let one = remote.cidr.iter().map(|text| read("spec.remote.cidr", text));
    let mut nets: Vec<Ipv4Net> = one.chain(listed).collect::<Result<_, _>>()?;
    nets.sort_unstable();
    nets.dedup();
    Ok(nets)
}

/// The internal side; it must lie on the network it names.
fn internal(rule: &EdgeNatRule, references: &References) -> Result<Option<Ipv4Net>, ValidateError> {
    const FIELD: &str = "spec.internal.address";
    let (Some(side), Some(facts)) = (&rule.spec.internal, &references.network) else {
        return Ok(None);
    };
    let subnet = facts.subnet.as_ref().ok_or_else(|| {
        invalid(
            "spec.internal.networkRef",
            format!("ContainerNetwork {} has no subnet", side.network_ref),
        )
    })?;
    match references.target {
        // Where a container is was looked up on this very subnet.
        Target::Container(address) => return Ok(Some(Ipv4Net::from(address))),
        Target::Awaited => return Ok(None),
        Target::Written => {}
    }
    let Some(text) = &side.address else {
        return Ok(Some(subnet.net));
    };
    let address = read(FIELD, text)?;
    if subnet.net.contains(&address) {
        return Ok(Some(address));
    }
    Err(ValidateError::AddressOutsideNetwork {
        field: FIELD.to_owned(),
        address: text.to_string(),
        network: side.network_ref.to_string(),
        subnets: subnet.net.to_string(),
    })
}

fn check_grants(
    rule: &EdgeNatRule,
    key: &ObjectKey,
    references: &References,
    grants: &Grants,
) -> Result<(), ValidateError> {
    let refuse = |what: String| Err(references.ground.refuse(&key.namespace, what));
    if !references.gateway.is_granted(grants) {
        return refuse(format!("gateway {}", references.gateway.label));
    }
    let external = rule.spec.external.as_ref();
    let allocation = external.and_then(|side| side.allocation.as_ref());
    if let Some(pool) = allocation
        .map(|allocation| &*allocation.pool)
        .filter(|pool| !grants.allows_ip_pool(pool))
    {
        return refuse(format!("IP pool {pool}"));
    }
    let bypass = rule
        .spec
        .firewall
        .as_ref()
        .is_some_and(|firewall| firewall.mode == FirewallMode::Bypass);
    if bypass && !grants.firewall_bypass {
        return refuse("firewall mode Bypass".to_owned());
    }
    Ok(())
}

/// What NSX refuses, said before and with the field's name.
fn check_shape(spec: &NatSpec, dormant: bool, references: &References) -> Result<(), ValidateError> {
    let ported_network = spec.action == NatAction::Dnat
        && spec.external_ports.is_some()
        && spec.external.is_some_and(|external| external.prefix_len() != 32);
    if ported_network {
        return Err(invalid(
            "spec.external.address",
            "must be a single address where ports are translated",
        ));
    }
    let assumed;
    let checked = if dormant {
        // The rule is checked as if its container were anywhere on the network.
        let network = references
            .network
            .as_ref()
            .and_then(|facts| facts.subnet.as_ref());
        assumed = NatSpec {
            internal: network.map(|subnet| subnet.net),
            ..spec.clone()
        };
        &assumed
    } else {
        spec
    };
    topology::check_nat(checked).map_err(|broken| invalid(broken.field, broken.rule))
}

fn action(rule: &EdgeNatRule) -> NatAction {
    match rule.spec.action {
        vic_crds::NatAction::Dnat => NatAction::Dnat,
        vic_crds::NatAction::Snat => NatAction::Snat,
        vic_crds::NatAction::Reflexive => NatAction::Reflexive,
        vic_crds::NatAction::NoDnat => NatAction::NoDnat,
        vic_crds::NatAction::NoSnat => NatAction::NoSnat,
    }
}

fn protocol(rule: &EdgeNatRule) -> NatProtocol {
    match rule.spec.protocol.unwrap_or_default() {
        Protocol::Tcp => NatProtocol::Tcp,
        Protocol::Udp => NatProtocol::Udp,
        Protocol::Icmp => NatProtocol::Icmp,
        Protocol::Any => NatProtocol::Any,
    }
}

fn port(number: i32) -> Result<u16, ValidateError> {
    u16::try_from(number).map_err(|_| invalid("spec.internal.port", "must be between 1 and 65535"))
}

fn ports(rule: &EdgeNatRule) -> Result<Option<Ports>, ValidateError> {
    let Some(side) = &rule.spec.external else {
        return Ok(None);
    };
    let Some(first) = side.port else { return Ok(None) };
    let first = port(first)?;
    let last = side.end_port.map(port).transpose()?.unwrap_or(first);
    Ok(Some(Ports { first, last }))
}

fn firewall(firewall: &Firewall) -> NatFirewall {
    let sources = firewall
        .allow_from
        .iter()
        .filter_map(|source| network(&source.cidr))
        .collect();
    let internal = firewall.matching.unwrap_or_default() == FirewallMatch::InternalAddress;
    match firewall.mode {
        FirewallMode::Exclusive => NatFirewall::Exclusive { sources, internal },
        FirewallMode::Additive => NatFirewall::Additive { sources, internal },
        FirewallMode::Unmanaged => NatFirewall::Unmanaged,
        FirewallMode::Bypass => NatFirewall::Bypass,
    }
}
