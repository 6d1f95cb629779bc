//! Turns a gateway's spec into one that can be made: granted, consistent, complete.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use topology::{
    Advertised, Direction, FirewallRuleSpec, GatewayDhcpSpec, GatewayFirewallSpec, GatewayView, Grants,
    NatProtocol, Owner, PortSpec, Ports, Posture, Tier1Spec, UplinkSpec,
};
use vic_crds::{
    EdgeGateway, FailoverMode, GatewayDhcp, GatewayFirewallRule, Logging, Protocol, RouteAdvertisement,
    Source, Tier1Backing, TrafficDirection, TrafficPort, Uplink,
};

use super::dereference::{Attachment, Backing, EdgeCluster, References};
use crate::context::Context;
use crate::controllers::common::{Gateway, display_name, firewall_action, network};
use crate::failure::{Failure, ValidateError};
use crate::kind::ObjectKey;

/// Longest name, as for networks.
const NAME_LIMIT: usize = 80;
/// Lease where none is given, and the bounds NSX sets, in seconds.
const LEASE: (u64, std::ops::RangeInclusive<u64>) = (86_400, 60..=4_294_967_295);

/// A gateway as it shall be.
pub(super) struct Wanted {
    pub(super) owner: Owner,
    pub(super) router: Router,
    pub(super) firewall: GatewayFirewallSpec,
}

/// The gateway itself.
pub(super) enum Router {
    /// One to make.
    Made(Box<Tier1Spec>),
    /// One that is there.
    Found { gateway: Gateway, view: GatewayView },
}

impl Wanted {
    /// The gateway's policy path.
    pub(super) fn path(&self) -> String {
        match &self.router {
            Router::Made(spec) => spec.path(),
            Router::Found { gateway, .. } => gateway.path.clone(),
        }
    }
}

/// Whoever asks, and what he is granted.
struct Asked<'a> {
    references: &'a References,
    key: &'a ObjectKey,
    grants: Grants,
}

impl Asked<'_> {
    fn refuse(&self, what: String) -> ValidateError {
        self.references.ground.refuse(&self.key.namespace, what)
    }

    /// A network that the namespace may speak of: one of its own, or external addresses it may use.
    fn may_speak_of(&self, net: Ipv4Net) -> bool {
        self.grants.allows_subnet(&net) || self.grants.allows_external(&net)
    }
}

pub(super) fn validate(
    gateway: &EdgeGateway,
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
) -> Result<Wanted, Failure> {
    let asked = Asked {
        references,
        key,
        grants: references.ground.grants(ctx, key)?,
    };
    let owner = ctx.owner(key, gateway.metadata.uid.as_deref().unwrap_or_default());
    let router = match &references.backing {
        Backing::Existing { gateway, view } => {
            if !gateway.is_granted(&asked.grants) {
                return Err(asked.refuse(format!("gateway {}", gateway.label)).into());
            }
            Router::Found {
                gateway: gateway.clone(),
                view: view.clone(),
            }
        }
        Backing::Tier1 {
            tier0,
            edge_cluster,
            uplinks,
        } => {
            check_places(&asked, tier0.as_ref(), edge_cluster.as_ref())?;
            let spec = tier1(gateway, &asked, &owner, uplinks)?;
            Router::Made(Box::new(Tier1Spec {
                tier0_path: tier0.as_ref().map(|tier0| tier0.path.clone()),
                edge_cluster_path: edge_cluster.as_ref().map(|cluster| cluster.path.clone()),
                ..spec
            }))
        }
    };
    let mut wanted = Wanted {
        firewall: GatewayFirewallSpec {
            owner: owner.clone(),
            gateway_path: String::new(),
            posture: None,
            rules: Vec::new(),
        },
        owner,
        router,
    };
    wanted.firewall = firewall(gateway, &asked, &wanted)?;
    check_services(&wanted)?;
    Ok(wanted)
}

fn invalid(field: impl Into<String>, rule: impl Into<String>) -> ValidateError {
    ValidateError::Invalid {
        field: field.into(),
        rule: rule.into(),
    }
}

fn check_places(
    asked: &Asked<'_>,
    tier0: Option<&Gateway>,
    edge_cluster: Option<&EdgeCluster>,
) -> Result<(), ValidateError> {
    if let Some(tier0) = tier0.filter(|tier0| !tier0.is_granted(&asked.grants)) {
        return Err(asked.refuse(format!("gateway {}", tier0.label)));
    }
    // That of a granted Tier-0 comes with it.
    let named = edge_cluster.and_then(|cluster| cluster.name.as_ref());
    match named.filter(|name| !asked.grants.allows_edge_cluster(name)) {
        Some(name) => Err(asked.refuse(format!("edge cluster {name}"))),
        None => Ok(()),
    }
}

/// What NSX would take and never bring into effect.
fn check_services(wanted: &Wanted) -> Result<(), ValidateError> {
    const NEEDS: &str = "needs an edge cluster: set spec.backing.tier1.edgeCluster, or tier0";
    let Router::Made(spec) = &wanted.router else {
        return Ok(());
    };
    if spec.edge_cluster_path.is_some() {
        return Ok(());
    }
    let uses = [
        ("spec.uplinks", !spec.uplinks.is_empty()),
        ("spec.backing.tier1.dhcp", spec.dhcp.is_some()),
        ("spec.firewall", !wanted.firewall.intents().is_empty()),
    ];
    match uses.into_iter().find(|(_, used)| *used) {
        Some((field, _)) => Err(invalid(field, NEEDS)),
        None => Ok(()),
    }
}

fn tier1(
    gateway: &EdgeGateway,
    asked: &Asked<'_>,
    owner: &Owner,
    attachments: &[Attachment],
) -> Result<Tier1Spec, ValidateError> {
    let none = Tier1Backing::default();
    let body = gateway.spec.backing.tier1.as_ref().unwrap_or(&none);
    let declared = gateway.spec.uplinks.iter().zip(attachments).enumerate();
    let uplinks: Vec<UplinkSpec> = declared
        .map(|(place, (uplink, attachment))| check_uplink(place, uplink, attachment, asked))
        .collect::<Result<_, _>>()?;
    if let Some(twice) = twice(&uplinks) {
        return Err(invalid(
            "spec.uplinks",
            format!("names ContainerNetwork {twice} twice"),
        ));
    }
    let standard = [RouteAdvertisement::Connected, RouteAdvertisement::Nat];
    let advertised = body.route_advertisement.as_deref().unwrap_or(&standard);
    Ok(Tier1Spec {
        owner: owner.clone(),
        display_name: display_name(gateway.spec.display_name.as_deref(), asked.key, NAME_LIMIT)?,
        tier0_path: None,
        edge_cluster_path: None,
        preemptive: body.failover_mode.unwrap_or_default() == FailoverMode::Preemptive,
        advertised: advertised.iter().copied().map(advertise).collect(),
        dhcp: body.dhcp.as_ref().map(dhcp).transpose()?,
        uplinks,
    })
}

fn twice(uplinks: &[UplinkSpec]) -> Option<&str> {
    let mut names: Vec<&str> = uplinks.iter().map(|uplink| uplink.network.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}

fn check_uplink(
    place: usize,
    uplink: &Uplink,
    attachment: &Attachment,
    asked: &Asked<'_>,
) -> Result<UplinkSpec, ValidateError> {
    let field = format!("spec.uplinks[{place}]");
    let network = &attachment.network;
    let segment_path = attachment.segment_path.clone().ok_or_else(|| {
        invalid(
            format!("{field}.networkRef"),
            format!("ContainerNetwork {network} is no segment, and NSX attaches a gateway to segments only"),
        )
    })?;
    if attachment.served {
        let rule = format!("ContainerNetwork {network} is served by a gateway already");
        return Err(invalid(format!("{field}.networkRef"), rule));
    }
    let mut addresses = Vec::new();
    for (position, text) in uplink.addresses.iter().enumerate() {
        let field = format!("{field}.addresses[{position}]");
        let (address, net) = topology::interface(text)
            .ok_or_else(|| invalid(&field, "must be an IPv4 address with its prefix"))?;
        check_uplink_address(&field, address, net, attachment, asked)?;
        addresses.push((address, net.prefix_len()));
    }
    Ok(UplinkSpec {
        network: network.clone(),
        segment_path,
        addresses,
    })
}

fn check_uplink_address(
    field: &str,
    address: Ipv4Addr,
    net: Ipv4Net,
    attachment: &Attachment,
    asked: &Asked<'_>,
) -> Result<(), ValidateError> {
    if let Some(subnet) = attachment.subnet.as_ref().filter(|subnet| subnet.net != net) {
        return Err(ValidateError::AddressOutsideNetwork {
            field: field.to_owned(),
            address: format!("{address}/{}", net.prefix_len()),
            network: attachment.network.clone(),
            subnets: subnet.net.to_string(),
        });
    }
    if asked.may_speak_of(Ipv4Net::from(address)) {
        return Ok(());
    }
    Err(asked.refuse(format!("address {address}")))
}

fn advertise(kind: RouteAdvertisement) -> Advertised {
    match kind {
        RouteAdvertisement::Connected => Advertised::Connected,
        RouteAdvertisement::Nat => Advertised::Nat,
        RouteAdvertisement::StaticRoutes => Advertised::StaticRoutes,
        RouteAdvertisement::LbVip => Advertised::LbVip,
        RouteAdvertisement::LbSnat => Advertised::LbSnat,
        RouteAdvertisement::DnsForwarder => Advertised::DnsForwarder,
        RouteAdvertisement::IpsecLocalEndpoint => Advertised::IpsecLocalEndpoint,
    }
}

fn dhcp(dhcp: &GatewayDhcp) -> Result<GatewayDhcpSpec, ValidateError> {
    const LEASE_TIME: &str = "spec.backing.tier1.dhcp.leaseTime";
    let (default, bounds) = LEASE;
    let lease_seconds = match &dhcp.lease_time {
        None => default,
        Some(period) => period
            .seconds()
            .filter(|seconds| bounds.contains(seconds))
            .ok_or_else(|| {
                let rule = format!("must be between {}s and {}s", bounds.start(), bounds.end());
                invalid(LEASE_TIME, rule)
            })?,
    };
    let server_address = dhcp
        .server_address
        .as_ref()
        .and_then(|text| topology::interface(text))
        .map(|(address, net)| (address, net.prefix_len()));
    Ok(GatewayDhcpSpec {
        server_address,
        lease_seconds,
    })
}

fn firewall(
    gateway: &EdgeGateway,
    asked: &Asked<'_>,
    wanted: &Wanted,
) -> Result<GatewayFirewallSpec, ValidateError> {
    let declared = gateway.spec.firewall.as_ref();
    let rules: Vec<FirewallRuleSpec> = declared
        .map(|firewall| firewall.rules.iter().map(rule).collect::<Result<_, _>>())
        .transpose()?
        .unwrap_or_default();
    if let Router::Found { .. } = wanted.router {
        for (place, rule) in rules.iter().enumerate() {
            check_own_side(place, rule, asked)?;
        }
    }
    let posture = declared.and_then(|firewall| {
        Some(Posture {
            action: firewall_action(firewall.default_posture?),
            logging: firewall.logging.unwrap_or_default() == Logging::Enabled,
        })
    });
    Ok(GatewayFirewallSpec {
        owner: wanted.owner.clone(),
        gateway_path: wanted.path(),
        posture,
        rules,
    })
}

/// On a gateway that others use too, a rule must say which of the namespace's own addresses it is about.
fn check_own_side(place: usize, rule: &FirewallRuleSpec, asked: &Asked<'_>) -> Result<(), ValidateError> {
    let (side, nets) = match rule.direction {
        Direction::In => ("to", &rule.to),
        Direction::Out => ("from", &rule.from),
    };
    if nets.is_empty() {
        return Err(invalid(
            format!("spec.firewall.rules[{place}].{side}"),
            "is required on an existing gateway: a rule there is about addresses of this namespace",
        ));
    }
    match nets.iter().find(|net| !asked.may_speak_of(**net)) {
        Some(net) => Err(asked.refuse(format!("network {net}"))),
        None => Ok(()),
    }
}

fn rule(rule: &GatewayFirewallRule) -> Result<FirewallRuleSpec, ValidateError> {
    Ok(FirewallRuleSpec {
        name: rule.name.to_string(),
        action: firewall_action(rule.action),
        direction: match rule.direction {
            TrafficDirection::In => Direction::In,
            TrafficDirection::Out => Direction::Out,
        },
        from: nets(&rule.from),
        to: nets(&rule.to),
        ports: rule
            .ports
            .iter()
            .map(|port| traffic(port, &rule.name))
            .collect::<Result<_, _>>()?,
        logging: rule.logging.unwrap_or_default() == Logging::Enabled,
    })
}

fn nets(sources: &[Source]) -> Vec<Ipv4Net> {
    sources
        .iter()
        .filter_map(|source| network(&source.cidr))
        .collect()
}

fn traffic(port: &TrafficPort, rule: &str) -> Result<PortSpec, ValidateError> {
    let number = |number: i32| {
        let field = format!("spec.firewall.rules[name={rule}].ports");
        u16::try_from(number).map_err(|_| invalid(field, "must be between 1 and 65535"))
    };
    let first = port.port.map(number).transpose()?;
    let last = port.end_port.map(number).transpose()?;
    Ok(PortSpec {
        protocol: match port.protocol {
            Protocol::Tcp => NatProtocol::Tcp,
            Protocol::Udp => NatProtocol::Udp,
            Protocol::Icmp => NatProtocol::Icmp,
            Protocol::Any => NatProtocol::Any,
        },
        ports: first.map(|first| Ports {
            first,
            last: last.unwrap_or(first),
        }),
    })
}
