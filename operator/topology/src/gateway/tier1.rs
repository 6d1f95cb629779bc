//! A Tier-1 gateway with its services and interfaces.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::identity::{Owner, shared_id};
use crate::intent::Intent;

/// Routes that a Tier-0 learns of its Tier-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Advertised {
    /// Connected segments and interfaces.
    Connected,
    /// External addresses of NAT rules.
    Nat,
    /// Static routes.
    StaticRoutes,
    /// Virtual addresses of load balancers.
    LbVip,
    /// Source addresses of load balancers.
    LbSnat,
    /// Addresses of DNS forwarders.
    DnsForwarder,
    /// Local endpoints of `IPsec` tunnels.
    IpsecLocalEndpoint,
}

impl Advertised {
    /// As NSX writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connected => "TIER1_CONNECTED",
            Self::Nat => "TIER1_NAT",
            Self::StaticRoutes => "TIER1_STATIC_ROUTES",
            Self::LbVip => "TIER1_LB_VIP",
            Self::LbSnat => "TIER1_LB_SNAT",
            Self::DnsForwarder => "TIER1_DNS_FORWARDER_IP",
            Self::IpsecLocalEndpoint => "TIER1_IPSEC_LOCAL_ENDPOINT",
        }
    }
}

/// A Tier-1 as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier1Spec {
    /// Whose it is.
    pub owner: Owner,
    /// Its name.
    pub display_name: String,
    /// The Tier-0 it is linked to.
    pub tier0_path: Option<String>,
    /// The edge cluster its services run on; without one it is distributed only.
    pub edge_cluster_path: Option<String>,
    /// Whether the preferred edge takes over again.
    pub preemptive: bool,
    /// What the Tier-0 learns of it.
    pub advertised: Vec<Advertised>,
    /// Its own DHCP profile.
    pub dhcp: Option<GatewayDhcpSpec>,
    /// Its attachments.
    pub uplinks: Vec<UplinkSpec>,
}

/// A gateway's DHCP profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayDhcpSpec {
    /// The server's address and prefix; absent, NSX's own.
    pub server_address: Option<(Ipv4Addr, u8)>,
    /// For how long it hands out, in seconds.
    pub lease_seconds: u64,
}

/// An attachment of a gateway to a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkSpec {
    /// The network's name.
    pub network: String,
    /// Its segment's policy path.
    pub segment_path: String,
    /// The gateway's addresses there, with their prefix.
    pub addresses: Vec<(Ipv4Addr, u8)>,
}

impl Tier1Spec {
    /// Its policy path.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/infra/tier-1s/{}", self.owner.external_id())
    }

    /// The policy path of the interface on a network.
    #[must_use]
    pub fn interface_path(&self, network: &str) -> String {
        let content = [&self.owner.namespace, &self.owner.name, network].join("/");
        let id = shared_id(&self.owner.instance, INTERFACE, &content);
        format!("{}/interfaces/{id}", self.services_path())
    }

    /// Everything NSX shall have, what is referred to first.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        let mut intents: Vec<Intent> = self.profile().into_iter().collect();
        intents.push(self.router());
        intents.extend(self.services());
        intents.extend(self.uplinks.iter().map(|uplink| self.interface(uplink)));
        intents
    }

    fn services_path(&self) -> String {
        format!("{}/locale-services/default", self.path())
    }

    fn router(&self) -> Intent {
        let advertised: Vec<&str> = self.advertised.iter().map(|kind| kind.name()).collect();
        let failover = if self.preemptive {
            "PREEMPTIVE"
        } else {
            "NON_PREEMPTIVE"
        };
        let fields = json!({
            "display_name": self.display_name,
            "tags": self.owner.tags(),
            "tier0_path": self.tier0_path,
            "failover_mode": failover,
            "route_advertisement_types": advertised,
            "dhcp_config_paths": self.profile().map(|profile| vec![profile.path]),
        });
        Intent::new(self.path(), "Tier1", fields)
    }

    fn services(&self) -> Option<Intent> {
        let edge_cluster = self.edge_cluster_path.as_ref()?;
        let fields = json!({
            "display_name": "default",
            "tags": self.owner.tags(),
            "edge_cluster_path": edge_cluster,
        });
        Some(Intent::new(self.services_path(), "LocaleServices", fields))
    }

    fn interface(&self, uplink: &UplinkSpec) -> Intent {
        let subnets: Vec<_> = uplink
            .addresses
            .iter()
            .map(|(address, prefix)| json!({"ip_addresses": [address.to_string()], "prefix_len": prefix}))
            .collect();
        let fields = json!({
            "display_name": format!("{} {}", self.display_name, uplink.network),
            "tags": self.owner.tags(),
            "segment_path": uplink.segment_path,
            "subnets": subnets,
        });
        Intent::new(self.interface_path(&uplink.network), INTERFACE, fields)
    }

    fn profile(&self) -> Option<Intent> {
        let dhcp = self.dhcp.as_ref()?;
        let server = dhcp
            .server_address
            .map(|(address, prefix)| vec![format!("{address}/{prefix}")]);
        let fields = json!({
            "display_name": self.display_name,
            "tags": self.owner.tags(),
            "edge_cluster_path": self.edge_cluster_path,
            "server_addresses": server,
            "lease_time": dhcp.lease_seconds,
        });
        let path = format!("/infra/dhcp-server-configs/{}", self.owner.external_id());
        Some(Intent::new(path, "DhcpServerConfig", fields))
    }
}

const INTERFACE: &str = "Tier1Interface";
