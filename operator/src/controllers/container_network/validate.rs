//! Turns a network's spec into one that can be made: granted, consistent, complete.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use topology::{BindingSpec, Grants, Owner, Range};
use vic_crds::{
    AdminState, BackingType, ContainerNetwork, Dhcp, DhcpMode, ReplacePolicy, ReplicationMode,
    SegmentBacking, Subnet,
};

use super::dereference::{Carrier, References};
use crate::context::Context;
use crate::controllers::common::{display_name, network as network_of};
use crate::facts::SubnetFacts;
use crate::failure::{Failure, ValidateError};
use crate::kind::ObjectKey;

/// Longest name of a port group or segment.
const NAME_LIMIT: usize = 80;
/// Lease where none is given, in seconds.
const DEFAULT_LEASE: u64 = 86_400;

/// A network as it shall be.
pub(super) struct Wanted {
    pub(super) owner: Owner,
    pub(super) display_name: String,
    pub(super) backing: Backing,
    pub(super) subnet: Option<SubnetFacts>,
    /// What is served by DHCP on a segment.
    pub(super) dhcp: Option<DhcpServer>,
    /// Where DHCP requests of a segment are passed on to.
    pub(super) relays: Vec<Ipv4Addr>,
    /// Whether the segment may be deleted and made anew for a change that NSX cannot make.
    pub(super) recreate: bool,
}

pub(super) enum Backing {
    PortGroup {
        switch: vsphere::Moref,
        vlan: u16,
    },
    Segment {
        transport_zone: String,
        gateway: Option<String>,
        edge_cluster: Option<String>,
        manner: Manner,
    },
    Existing {
        name: String,
    },
}

/// How a segment carries traffic.
#[derive(Default)]
pub(super) struct Manner {
    pub(super) vlans: Vec<String>,
    pub(super) source_replication: bool,
    pub(super) down: bool,
}

pub(super) struct DhcpServer {
    pub(super) server_address: Ipv4Addr,
    pub(super) ranges: Vec<Range>,
    pub(super) lease_seconds: u64,
    pub(super) routes: Vec<(Ipv4Net, Ipv4Addr)>,
    pub(super) options: Vec<(u8, Vec<String>)>,
    pub(super) bindings: Vec<BindingSpec>,
}

pub(super) fn validate(
    network: &ContainerNetwork,
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
) -> Result<Wanted, Failure> {
    let grants = references.ground.grants(ctx, key)?;
    let spec = &network.spec;
    let backing = backing(network, key, references, &grants)?;
    let subnet = spec.subnets.first();
    if let Some(subnet) = subnet {
        check_granted_subnet(subnet, key, references, &grants)?;
    }
    let (facts, dhcp) = match subnet {
        None => (None, None),
        Some(subnet) => {
            let (facts, dhcp) = read_subnet(subnet)?;
            (
                Some(facts),
                dhcp.filter(|_| spec.backing.kind == BackingType::Segment),
            )
        }
    };
    let display_name = match &backing {
        Backing::Existing { name } => name.clone(),
        _ => display_name(spec.display_name.as_deref(), key, NAME_LIMIT)?,
    };
    let relays = relays(subnet, &backing)?;
    let uid = network.metadata.uid.clone().unwrap_or_default();
    Ok(Wanted {
        owner: ctx.owner(key, &uid),
        display_name,
        backing,
        subnet: facts,
        dhcp,
        relays,
        recreate: spec.replace_policy.unwrap_or_default() == ReplacePolicy::Recreate,
    })
}

/// Whether NSX can serve the subnet, with the ranges that will be in effect.
pub(super) fn check_served(wanted: &Wanted) -> Result<(), ValidateError> {
    match super::plan::subnet(wanted) {
        Some(subnet) => topology::check_subnet(&subnet).map_err(|broken| invalid(broken.field, broken.rule)),
        None => Ok(()),
    }
}

fn backing(
    network: &ContainerNetwork,
    key: &ObjectKey,
    references: &References,
    grants: &Grants,
) -> Result<Backing, ValidateError> {
    let refuse = |what: String| references.ground.refuse(&key.namespace, what);
    match &references.carrier {
        Carrier::Switch(switch) => {
            let vlan_id = network
                .spec
                .backing
                .port_group
                .as_ref()
                .map_or(0, |body| body.vlan_id);
            let vlan = u16::try_from(vlan_id)
                .map_err(|_| invalid("spec.backing.portGroup.vlanID", "must be between 0 and 4094"))?;
            if !grants.allows_vlan(vlan) {
                return Err(refuse(format!("VLAN {vlan}")));
            }
            Ok(Backing::PortGroup {
                switch: switch.clone(),
                vlan,
            })
        }
        Carrier::Zone {
            transport_zone,
            gateway,
        } => {
            if let Some(gateway) = gateway
                .as_ref()
                .filter(|gateway| !gateway.itself.is_granted(grants))
            {
                return Err(refuse(format!("gateway {}", gateway.itself.label)));
            }
            let body = network.spec.backing.segment.as_ref();
            let manner = body.map_or_else(
                || Ok(Manner::default()),
                |body| manner(body, key, references, grants),
            )?;
            Ok(Backing::Segment {
                manner,
                transport_zone: transport_zone.clone(),
                gateway: gateway.as_ref().map(|gateway| gateway.itself.path.clone()),
                edge_cluster: gateway.as_ref().and_then(|gateway| gateway.edge_cluster.clone()),
            })
        }
        Carrier::Nowhere => {
            let name = network
                .spec
                .backing
                .existing
                .as_ref()
                .map(|body| body.network.to_string())
                .unwrap_or_default();
            if !grants.allows_existing(&name) {
                return Err(refuse(format!("existing network {name}")));
            }
            Ok(Backing::Existing { name })
        }
    }
}

/// A VLAN segment names its transport zone itself: the Site's default is for overlays.
fn manner(
    body: &SegmentBacking,
    key: &ObjectKey,
    references: &References,
    grants: &Grants,
) -> Result<Manner, ValidateError> {
    const VLANS: &str = "spec.backing.segment.vlanIDs";
    for vlans in &body.vlan_ids {
        let (first, last) = crate::controllers::common::vlan_range(vlans)
            .filter(|(first, last)| first <= last)
            .ok_or_else(|| invalid(VLANS, format!("{vlans} is no VLAN, and no range of them")))?;
        if !(first..=last).all(|vlan| grants.allows_vlan(vlan)) {
            return Err(references.ground.refuse(&key.namespace, format!("VLAN {vlans}")));
        }
    }
    if !body.vlan_ids.is_empty() && body.transport_zone.is_none() {
        return Err(invalid(
            "spec.backing.segment.transportZone",
            "must name a VLAN transport zone where vlanIDs are set",
        ));
    }
    if !body.vlan_ids.is_empty() && body.gateway.is_some() {
        return Err(invalid(
            VLANS,
            "may not be set beside gateway: a VLAN segment is connected to none",
        ));
    }
    Ok(Manner {
        vlans: body.vlan_ids.iter().map(ToString::to_string).collect(),
        source_replication: body.replication_mode.unwrap_or_default() == ReplicationMode::Source,
        down: body.admin_state.unwrap_or_default() == AdminState::Down,
    })
}

/// Where requests are passed on to; the gateway does it.
fn relays(subnet: Option<&Subnet>, backing: &Backing) -> Result<Vec<Ipv4Addr>, ValidateError> {
    let relay = subnet
        .and_then(|subnet| subnet.dhcp.as_ref())
        .filter(|dhcp| dhcp.mode == DhcpMode::Relay);
    let Some(dhcp) = relay else { return Ok(Vec::new()) };
    if !matches!(backing, Backing::Segment { gateway: Some(_), .. }) {
        return Err(invalid(
            "spec.subnets[0].dhcp.mode",
            "Relay needs a segment with a gateway, which passes the requests on",
        ));
    }
    Ok(dhcp
        .relay_servers
        .iter()
        .filter_map(|server| server.parse().ok())
        .collect())
}

fn check_granted_subnet(
    subnet: &Subnet,
    key: &ObjectKey,
    references: &References,
    grants: &Grants,
) -> Result<(), ValidateError> {
    let (_, net) = interface(&subnet.gateway_address)?;
    if grants.allows_subnet(&net) {
        return Ok(());
    }
    Err(references.ground.refuse(&key.namespace, format!("subnet {net}")))
}

fn invalid(field: &str, rule: impl Into<String>) -> ValidateError {
    ValidateError::Invalid {
        field: field.to_owned(),
        rule: rule.into(),
    }
}

fn interface(text: &str) -> Result<(Ipv4Addr, Ipv4Net), ValidateError> {
    topology::interface(text).ok_or_else(|| {
        invalid(
            "spec.subnets[0].gatewayAddress",
            "must be an IPv4 address with its prefix",
        )
    })
}

fn read_subnet(subnet: &Subnet) -> Result<(SubnetFacts, Option<DhcpServer>), ValidateError> {
    let (gateway, net) = interface(&subnet.gateway_address)?;
    let dns_servers = subnet
        .dns_servers
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect();
    let ranges = subnet
        .dhcp
        .as_ref()
        .map_or(Ok(Vec::new()), |dhcp| read_ranges(dhcp, gateway, net))?;
    let facts = SubnetFacts {
        net,
        gateway,
        dns_servers,
        dhcp: ranges.iter().map(|range| (range.first, range.last)).collect(),
    };
    let server = match &subnet.dhcp {
        Some(dhcp) if dhcp.mode == DhcpMode::Server => Some(read_server(dhcp, &ranges, gateway, net)?),
        _ => None,
    };
    Ok((facts, server))
}

fn read_ranges(dhcp: &Dhcp, gateway: Ipv4Addr, net: Ipv4Net) -> Result<Vec<Range>, ValidateError> {
    let mut ranges: Vec<Range> = Vec::new();
    for (position, text) in dhcp.ranges.iter().enumerate() {
        let field = format!("spec.subnets[0].dhcp.ranges[{position}]");
        let range: Range = text
            .parse()
            .map_err(|error| invalid(&field, format!("{error}")))?;
        if !range.lies_in(&net) {
            return Err(invalid(&field, format!("{text} does not lie in {net}")));
        }
        if range.contains(gateway) {
            return Err(invalid(
                &field,
                format!("{text} contains the gateway's address {gateway}"),
            ));
        }
        if let Some(other) = ranges.iter().find(|other| other.overlaps(&range)) {
            return Err(invalid(&field, format!("{text} overlaps {other}")));
        }
        ranges.push(range);
    }
    Ok(ranges)
}

fn read_server(
    dhcp: &Dhcp,
    ranges: &[Range],
    gateway: Ipv4Addr,
    net: Ipv4Net,
) -> Result<DhcpServer, ValidateError> {
    const ADDRESS: &str = "spec.subnets[0].dhcp.serverAddress";
    const LEASE: &str = "spec.subnets[0].dhcp.leaseTime";
    let server_address: Ipv4Addr = dhcp
        .server_address
        .as_ref()
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| invalid(ADDRESS, "must be set with mode Server"))?;
    if !net.contains(&server_address) {
        return Err(invalid(
            ADDRESS,
            format!("{server_address} does not lie in {net}"),
        ));
    }
    if server_address == gateway || ranges.iter().any(|range| range.contains(server_address)) {
        return Err(invalid(
            ADDRESS,
            format!("{server_address} is the gateway's address or lies in a range"),
        ));
    }
    let lease_seconds = match &dhcp.lease_time {
        None => DEFAULT_LEASE,
        Some(period) => period
            .seconds()
            .ok_or_else(|| invalid(LEASE, "must be a length of time, such as 1h"))?,
    };
    let options = dhcp.options.clone().unwrap_or_default();
    let routes = options.routes.iter();
    let others = options.others.iter();
    Ok(DhcpServer {
        server_address,
        ranges: ranges.to_vec(),
        lease_seconds,
        routes: routes
            .filter_map(|route| Some((network_of(&route.network)?, route.next_hop.parse().ok()?)))
            .collect(),
        options: others
            .filter_map(|option| {
                let values = option.values.iter().map(ToString::to_string).collect();
                Some((u8::try_from(option.code).ok()?, values))
            })
            .collect(),
        bindings: read_bindings(dhcp, ranges, &[gateway, server_address], net)?,
    })
}

/// NSX takes an address for one MAC address alone, and none that it may hand out to others.
fn read_bindings(
    dhcp: &Dhcp,
    ranges: &[Range],
    taken: &[Ipv4Addr],
    net: Ipv4Net,
) -> Result<Vec<BindingSpec>, ValidateError> {
    let mut bindings: Vec<BindingSpec> = Vec::new();
    for binding in &dhcp.static_bindings {
        let field = format!("spec.subnets[0].dhcp.staticBindings[{}]", binding.name);
        let address: Ipv4Addr = binding
            .address
            .parse()
            .map_err(|_| invalid(&field, "address must be an IPv4 address"))?;
        if !net.contains(&address) || taken.contains(&address) {
            let rule = format!("{address} must lie in {net} and be neither the gateway's nor the server's");
            return Err(invalid(&field, rule));
        }
        if let Some(range) = ranges.iter().find(|range| range.contains(address)) {
            return Err(invalid(
                &field,
                format!("{address} lies in the range {range}, which others get"),
            ));
        }
        let mac = binding.mac_address.to_lowercase();
        if let Some(other) = bindings
            .iter()
            .find(|other| other.mac == mac || other.address == address)
        {
            return Err(invalid(
                &field,
                format!("{} has the same address or MAC address", other.name),
            ));
        }
        bindings.push(BindingSpec {
            name: binding.name.to_string(),
            mac,
            address,
            host_name: binding.host_name.as_ref().map(ToString::to_string),
        });
    }
    Ok(bindings)
}

#[cfg(test)]
mod tests {
    use vic_crds::StaticBinding;

    use super::*;

    fn subnet(server: &str, ranges: &[&str], lease: &str) -> Subnet {
        Subnet {
            gateway_address: "10.30.0.1/24".into(),
            dns_servers: vec!["10.20.0.53".into()],
            dhcp: Some(Dhcp {
                mode: DhcpMode::Server,
                server_address: Some(server.into()),
                ranges: ranges.iter().map(|range| (*range).into()).collect(),
                lease_time: Some(lease.into()),
                relay_servers: Vec::new(),
                options: None,
                static_bindings: Vec::new(),
            }),
        }
    }

    #[test]
    fn a_binding_keeps_an_address_that_nobody_else_gets() {
        let binding = |name: &str, mac: &str, address: &str| StaticBinding {
            name: name.into(),
            mac_address: mac.into(),
            address: address.into(),
            host_name: None,
        };
        let (one, two) = ("02:00:00:00:00:0A", "02:00:00:00:00:02");
        let cases = [
            (vec![binding("a", one, "10.30.0.5")], None),
            (
                vec![binding("a", one, "10.31.0.5")],
                Some("must lie in 10.30.0.0/24"),
            ),
            (
                vec![binding("a", one, "10.30.0.1")],
                Some("neither the gateway's"),
            ),
            (vec![binding("a", one, "10.30.0.2")], Some("nor the server's")),
            (vec![binding("a", one, "10.30.0.15")], Some("lies in the range")),
            (
                vec![binding("a", one, "10.30.0.5"), binding("b", one, "10.30.0.6")],
                Some("a has the same"),
            ),
            (
                vec![binding("a", one, "10.30.0.5"), binding("b", two, "10.30.0.5")],
                Some("a has the same"),
            ),
            (
                vec![binding("a", one, "10.30.0.5"), binding("b", two, "10.30.0.6")],
                None,
            ),
        ];
        for (bindings, refused) in cases {
            let mut subnet = subnet("10.30.0.2", &["10.30.0.11-10.30.0.20"], "1h");
            subnet
                .dhcp
                .as_mut()
                .unwrap()
                .static_bindings
                .clone_from(&bindings);
            match (read_subnet(&subnet), refused) {
                (Ok((_, server)), None) => {
                    let server = server.unwrap();
                    assert_eq!(server.bindings.len(), bindings.len());
                    assert_eq!(server.bindings[0].mac, "02:00:00:00:00:0a", "as NSX writes it");
                }
                (Err(error), Some(text)) => {
                    let error = error.to_string();
                    assert!(
                        error.contains(text) && error.contains("staticBindings["),
                        "{error}"
                    );
                }
                (Ok(_), Some(text)) => panic!("{bindings:?} should be refused: {text}"),
                (Err(error), None) => panic!("{bindings:?}: {error}"),
            }
        }
    }

    #[test]
    fn a_subnet_is_read_whole() {
        let (facts, server) = read_subnet(&subnet("10.30.0.2", &["10.30.0.11-10.30.0.199"], "1h")).unwrap();
        assert_eq!(facts.net.to_string(), "10.30.0.0/24");
        assert_eq!(server.unwrap().lease_seconds, 3600);
    }

    #[test]
    fn what_cannot_be_served_names_its_field() {
        let cases = [
            (
                subnet("10.31.0.2", &["10.30.0.11-10.30.0.20"], "1h"),
                "serverAddress",
            ),
            (
                subnet("10.30.0.1", &["10.30.0.11-10.30.0.20"], "1h"),
                "serverAddress",
            ),
            (
                subnet("10.30.0.12", &["10.30.0.11-10.30.0.20"], "1h"),
                "serverAddress",
            ),
            (subnet("10.30.0.2", &["10.30.1.11-10.30.1.20"], "1h"), "ranges[0]"),
            (subnet("10.30.0.2", &["10.30.0.1-10.30.0.20"], "1h"), "ranges[0]"),
            (
                subnet(
                    "10.30.0.2",
                    &["10.30.0.11-10.30.0.20", "10.30.0.20-10.30.0.30"],
                    "1h",
                ),
                "ranges[1]",
            ),
            (subnet("10.30.0.2", &["10.30.0.20-10.30.0.11"], "1h"), "ranges[0]"),
            (subnet("10.30.0.2", &["10.30.0.11-10.30.0.20"], "1d"), "leaseTime"),
        ];
        for (subnet, field) in cases {
            let error = read_subnet(&subnet).err().unwrap().to_string();
            assert!(error.contains(field), "{error} should name {field}");
        }
    }
}
