//! Turns the networks of a spec into what an endpoint VM is given: distinct where they must be, with
//! addresses that lie where they should.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use guestinfo::TrustLevel;
use ipnet::Ipv4Net;
use topology::Range;
use vic_crds::{AttachedNetwork, RoleNetwork, SharedRef, VchNetworks};
use vsphere::NicBacking;

use super::dereference::NetworkUse;
use crate::endpoint::{BridgeSpec, ContainerSpec, Fixed, RoleSpec};
use crate::facts::SubnetFacts;
use crate::failure::{Findings, ValidateError};

/// Where Docker networks take their subnets from, unless the spec says otherwise.
const BRIDGE_RANGE: &str = "172.16.0.0/12";
/// Prefix of each Docker network, and the longest that may be.
const BRIDGE_WIDTH: u8 = 16;
const LONGEST_WIDTH: u8 = 30;
/// The alias that VIC keeps for the bridge.
const BRIDGE_ALIAS: &str = "bridge";

/// Networks as an endpoint VM is given them.
pub(super) struct Networks {
    pub(super) bridge: BridgeSpec,
    pub(super) public: RoleSpec,
    pub(super) client: RoleSpec,
    pub(super) management: RoleSpec,
    pub(super) containers: Vec<ContainerSpec>,
}

/// A role of the spec and where it stands there.
#[derive(Clone, Copy)]
struct Declared<'a> {
    field: &'static str,
    role: &'a RoleNetwork,
}

pub(super) fn resolve(
    spec: &VchNetworks,
    known: &BTreeMap<String, NetworkUse>,
) -> Result<Networks, ValidateError> {
    let lookup = Lookup { known };
    let public = Declared {
        field: "spec.networks.public.static.address",
        role: &spec.public,
    };
    let client = spec.client.as_ref().map_or(public, |role| Declared {
        field: "spec.networks.client.static.address",
        role,
    });
    let management = spec.management.as_ref().map_or(client, |role| Declared {
        field: "spec.networks.management.static.address",
        role,
    });
    let declared = [public, client, management];
    let dns: Vec<Ipv4Addr> = spec
        .dns_servers
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect();
    // Everything else is told in relation to the bridge.
    let bridge = bridge(spec, &lookup)?;
    let mut findings = Findings::default();
    findings.take(lookup.bridge_range_is_free(spec, &bridge));
    let mut role = |role: Declared<'_>| findings.take(lookup.role(role, &declared, &bridge, &dns));
    let (public, client, management) = (role(public), role(client), role(management));
    let attached = spec.containers.iter().enumerate();
    let containers: Vec<_> = attached
        .filter_map(|(position, attached)| findings.take(lookup.container(position, attached, &bridge)))
        .collect();
    let networks = || {
        Some(Networks {
            bridge,
            public: public?,
            client: client?,
            management: management?,
            containers,
        })
    };
    findings.conclude(networks())
}

fn invalid(field: impl Into<String>, rule: impl Into<String>) -> ValidateError {
    ValidateError::Invalid {
        field: field.into(),
        rule: rule.into(),
    }
}

fn bridge(spec: &VchNetworks, lookup: &Lookup<'_>) -> Result<BridgeSpec, ValidateError> {
    const RANGE: &str = "spec.networks.bridge.range";
    let text = spec.bridge.range.as_deref().unwrap_or(BRIDGE_RANGE);
    let range: Ipv4Net = text
        .parse()
        .map_err(|_| invalid(RANGE, "must be an IPv4 network"))?;
    let width = spec
        .bridge
        .width
        .map_or(Some(BRIDGE_WIDTH), |width| u8::try_from(width).ok());
    let width = width
        .filter(|width| (range.prefix_len()..=LONGEST_WIDTH).contains(width))
        .ok_or_else(|| {
            let rule = format!(
                "must be between the range's prefix {} and {LONGEST_WIDTH}",
                range.prefix_len()
            );
            invalid("spec.networks.bridge.width", rule)
        })?;
    let network = lookup.of(&spec.bridge.network_ref)?;
    distributed("spec.networks.bridge.networkRef", network)?;
    Ok(BridgeSpec {
        attachment: network.attachment.clone(),
        range,
        width,
    })
}

/// Containers run on any host of the cluster: a host's own port group is not where all of them are.
fn distributed(field: &str, network: &NetworkUse) -> Result<(), ValidateError> {
    if matches!(network.attachment.backing, NicBacking::Standard { .. }) {
        let rule = format!(
            "{} is a standard port group; it must be a distributed one or a network of NSX",
            network.facts.name
        );
        return Err(invalid(field, rule));
    }
    Ok(())
}

struct Lookup<'a> {
    known: &'a BTreeMap<String, NetworkUse>,
}

impl Lookup<'_> {
    /// Every network that the spec names was resolved before.
    fn of(&self, reference: &SharedRef) -> Result<&NetworkUse, ValidateError> {
        self.known.get(&reference.to_string()).ok_or_else(|| {
            invalid(
                "spec.networks",
                format!("names ContainerNetwork {reference}, which is not known"),
            )
        })
    }

    /// A container answers an address of the bridge range by itself: what lies there outside is out of its reach.
    fn bridge_range_is_free(&self, spec: &VchNetworks, bridge: &BridgeSpec) -> Result<(), ValidateError> {
        let roles = [Some(&spec.public), spec.client.as_ref(), spec.management.as_ref()];
        let roles = roles.into_iter().flatten().map(|role| &role.network_ref);
        let attached = spec.containers.iter().map(|attached| &attached.network_ref);
        for reference in roles.chain(attached) {
            let facts = &self.of(reference)?.facts;
            let overlaps = |net: &Ipv4Net| {
                net.contains(&bridge.range.network()) || bridge.range.contains(&net.network())
            };
            if let Some(subnet) = facts.subnet.as_ref().filter(|subnet| overlaps(&subnet.net)) {
                let rule = format!(
                    "{} overlaps {} of ContainerNetwork {}, which containers could then not reach",
                    bridge.range, subnet.net, facts.name
                );
                return Err(invalid("spec.networks.bridge.range", rule));
            }
        }
        Ok(())
    }

    fn role(
        &self,
        declared: Declared<'_>,
        all: &[Declared<'_>; 3],
        bridge: &BridgeSpec,
        dns: &[Ipv4Addr],
    ) -> Result<RoleSpec, ValidateError> {
        let network = self.of(&declared.role.network_ref)?;
        let moref = &network.attachment.moref;
        if *moref == bridge.attachment.moref {
            return Err(bridge_is_shared(&network.facts.name));
        }
        let mut fixed: Option<(Declared<'_>, &str)> = None;
        for other in all {
            let Some(address) = other.role.fixed.as_ref().map(|fixed| &*fixed.address) else {
                continue;
            };
            if self.of(&other.role.network_ref)?.attachment.moref != *moref {
                continue;
            }
            match fixed {
                Some((_, known)) if known != address => {
                    let rule = format!(
                        "another role on the same network has the address {known}; roles that share a network share one address"
                    );
                    return Err(invalid(other.field, rule));
                }
                _ => fixed = Some((*other, address)),
            }
        }
        let default_route = self.of(&all[0].role.network_ref)?.attachment.moref == *moref;
        let servers = network.facts.subnet.as_ref().map(|subnet| &subnet.dns_servers);
        let routes = self.routes(declared, all, default_route)?;
        let fixed = fixed
            .map(|(other, address)| {
                fixed_address(other.field, address, network, default_route || !routes.is_empty())
            })
            .transpose()?;
        let dns = match (dns, &fixed) {
            ([], Some(_)) => servers.cloned().unwrap_or_default(),
            // DHCP tells them.
            ([], None) => Vec::new(),
            (given, _) => given.to_vec(),
        };
        Ok(RoleSpec {
            attachment: network.attachment.clone(),
            fixed,
            routes,
            dns,
        })
    }

    /// Routes through a network: those of all roles on it, since they share one address. What the public network
    /// is for needs no route.
    fn routes(
        &self,
        declared: Declared<'_>,
        all: &[Declared<'_>; 3],
        default_route: bool,
    ) -> Result<Vec<Ipv4Net>, ValidateError> {
        let moref = &self.of(&declared.role.network_ref)?.attachment.moref;
        let mut routes = Vec::new();
        for other in all {
            let through = other.role.fixed.iter().flat_map(|fixed| &fixed.routes);
            let mut through = through
                .filter_map(|route| route.parse::<Ipv4Net>().ok())
                .peekable();
            if through.peek().is_none() || self.of(&other.role.network_ref)?.attachment.moref != *moref {
                continue;
            }
            if default_route {
                let field = other.field.replace("address", "routes");
                let rule = "may not be set on the public network: the default route goes through it";
                return Err(invalid(field, rule));
            }
            routes.extend(through);
        }
        routes.sort_unstable();
        routes.dedup();
        Ok(routes)
    }

    fn container(
        &self,
        position: usize,
        attached: &AttachedNetwork,
        bridge: &BridgeSpec,
    ) -> Result<ContainerSpec, ValidateError> {
        let field = format!("spec.networks.containers[{position}]");
        if &*attached.name == BRIDGE_ALIAS {
            return Err(invalid(
                format!("{field}.name"),
                "the name bridge is kept for the bridge network",
            ));
        }
        let network = self.of(&attached.network_ref)?;
        if network.attachment.moref == bridge.attachment.moref {
            return Err(bridge_is_shared(&network.facts.name));
        }
        distributed(&format!("{field}.networkRef"), network)?;
        let pools = pools(&format!("{field}.addressRanges"), attached, network)?;
        let subnet = network.facts.subnet.as_ref();
        let gateway = subnet
            .filter(|_| !pools.is_empty())
            .map(|subnet| (subnet.gateway, subnet.net.prefix_len()));
        Ok(ContainerSpec {
            alias: attached.name.to_string(),
            moref: network.attachment.moref.clone(),
            gateway,
            dns: name_servers(attached, subnet),
            pools: pools.into_iter().map(|range| (range.first, range.last)).collect(),
            // VIC has a word of its own for what is not said, and treats it as published.
            trust: attached.trust_level.map_or(TrustLevel::Unspecified, trust),
        })
    }
}

fn name_servers(attached: &AttachedNetwork, subnet: Option<&SubnetFacts>) -> Vec<Ipv4Addr> {
    let own = attached
        .dns_servers
        .iter()
        .filter_map(|server| server.parse().ok());
    let of_subnet = subnet.map(|subnet| subnet.dns_servers.clone());
    Some(own.collect::<Vec<_>>())
        .filter(|own| !own.is_empty())
        .or(of_subnet)
        .unwrap_or_default()
}

fn bridge_is_shared(name: &str) -> ValidateError {
    invalid(
        "spec.networks.bridge.networkRef",
        format!("the bridge network must be dedicated, and {name} has another role too"),
    )
}

fn trust(level: vic_crds::TrustLevel) -> TrustLevel {
    match level {
        vic_crds::TrustLevel::Closed => TrustLevel::Closed,
        vic_crds::TrustLevel::Outbound => TrustLevel::Outbound,
        vic_crds::TrustLevel::Peers => TrustLevel::Peers,
        vic_crds::TrustLevel::Published => TrustLevel::Published,
        vic_crds::TrustLevel::Open => TrustLevel::Open,
    }
}

fn fixed_address(
    field: &'static str,
    text: &str,
    network: &NetworkUse,
    default_route: bool,
) -> Result<Fixed, ValidateError> {
    let address: Ipv4Addr = text
        .parse()
        .map_err(|_| invalid(field, "must be an IPv4 address"))?;
    let subnet = subnet_of(field, text, network, |subnet| subnet.net.contains(&address))?;
    if address == subnet.gateway {
        return Err(invalid(field, format!("{address} is the gateway's address")));
    }
    if address == subnet.net.network() || address == subnet.net.broadcast() {
        return Err(invalid(
            field,
            format!("{address} is the network's own or its broadcast address"),
        ));
    }
    let leased = subnet.dhcp.iter().map(|(first, last)| Range {
        first: *first,
        last: *last,
    });
    if let Some(range) = leased.into_iter().find(|range| range.contains(address)) {
        return Err(invalid(
            field,
            format!("{address} lies in the DHCP range {range} of its network"),
        ));
    }
    Ok(Fixed {
        address,
        prefix: subnet.net.prefix_len(),
        gateway: default_route.then_some(subnet.gateway),
    })
}

/// The network's subnet, if what is asked for lies in it.
fn subnet_of<'a>(
    field: &'static str,
    what: &str,
    network: &'a NetworkUse,
    lies_in: impl Fn(&SubnetFacts) -> bool,
) -> Result<&'a SubnetFacts, ValidateError> {
    let subnet = network.facts.subnet.as_ref();
    subnet
        .filter(|subnet| lies_in(subnet))
        .ok_or_else(|| ValidateError::AddressOutsideNetwork {
            field: field.to_owned(),
            address: what.to_owned(),
            network: network.facts.name.clone(),
            subnets: subnet.map_or_else(|| "it has none".to_owned(), |subnet| subnet.net.to_string()),
        })
}

fn pools(field: &str, attached: &AttachedNetwork, network: &NetworkUse) -> Result<Vec<Range>, ValidateError> {
    let mut pools: Vec<Range> = Vec::new();
    for text in &attached.address_ranges {
        let range: Range = text.parse().map_err(|error| invalid(field, format!("{error}")))?;
        let subnet = subnet_of(
            "spec.networks.containers.addressRanges",
            text,
            network,
            |subnet| range.lies_in(&subnet.net),
        )?;
        if range.contains(subnet.gateway) {
            return Err(invalid(
                field,
                format!("{range} contains the gateway's address {}", subnet.gateway),
            ));
        }
        let leased = subnet.dhcp.iter().map(|(first, last)| Range {
            first: *first,
            last: *last,
        });
        if let Some(other) = leased
            .chain(pools.iter().copied())
            .find(|other| other.overlaps(&range))
        {
            return Err(invalid(
                field,
                format!("{range} overlaps {other}, which DHCP or another item gives out"),
            ));
        }
        pools.push(range);
    }
    Ok(pools)
}

#[cfg(test)]
mod tests;
