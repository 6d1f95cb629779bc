//! Networks: those the appliance is on, and those its containers may join.

use std::net::{IpAddr, Ipv4Addr};

use super::Common;
use crate::extraconfig::{HIDDEN, READ_ONLY, READ_WRITE, Scalar};
use crate::{IpRange, NetAddress, net::Ip};

/// [`Network::kind`] of the bridge network.
pub const TYPE_BRIDGE: &str = "bridge";
/// [`Network::kind`] of the other container networks.
pub const TYPE_EXTERNAL: &str = "external";

/// A role that a network plays for the appliance. Several roles may share one NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Containers' private networks.
    Bridge,
    /// Where Docker clients come from.
    Client,
    /// Where vCenter, ESXi hosts and container VMs' backchannels are.
    Management,
    /// The way out to registries and to published ports.
    Public,
}

impl Role {
    /// All four, in the order of their names.
    pub const ALL: [Self; 4] = [Self::Bridge, Self::Client, Self::Management, Self::Public];

    /// The name it has in keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Client => "client",
            Self::Management => "management",
            Self::Public => "public",
        }
    }

    /// The interface's name in the guest; the management interface keeps the one it has.
    const fn interface(self) -> &'static str {
        match self {
            Self::Management => "",
            _ => self.as_str(),
        }
    }
}

/// The PCI slot of the `index`-th NIC, counted from 0: 1184, 1216, 1248, ...
#[must_use]
pub fn pci_slot(index: u8) -> i32 {
    1184 + 32 * i32::from(index)
}

crate::record! {
    /// A role of the appliance on a network, with the addresses it has there.
    pub struct NetworkEndpoint {
        /// The id is the NIC's PCI slot (empty, for bridge the network's moref, before it is known).
        #[key("Common")]
        pub common: Common,
        /// Whether the address is configured; if not, the guest asks DHCP. Always true for bridge.
        #[key("static", READ_ONLY)]
        pub is_static: bool,
        /// The configured address; for bridge `0.0.0.0` without a mask: managed by the guest.
        #[key("ip", READ_ONLY)]
        pub ip: NetAddress,
        /// Written by the guest: the address it has.
        #[key("assigned", READ_WRITE)]
        pub assigned: NetAddress,
        /// The network, and what is configured about it.
        #[key("network", READ_ONLY)]
        pub network: Network,
        /// False for a VCH.
        #[key("internal", READ_ONLY)]
        pub internal: bool,
    }
}

impl NetworkEndpoint {
    /// The appliance on the bridge network `moref` (`DistributedVirtualPortgroup:dvportgroup-8`).
    #[must_use]
    pub fn bridge(moref: &str) -> Self {
        let mut endpoint = Self::dhcp(Role::Bridge, moref);
        moref.clone_into(&mut endpoint.common.id);
        TYPE_BRIDGE.clone_into(&mut endpoint.network.kind);
        endpoint.is_static = true;
        endpoint.ip.ip = Some(IpAddr::from(Ipv4Addr::UNSPECIFIED).into());
        endpoint
    }

    /// A role on the network `moref`, with an address from DHCP.
    #[must_use]
    pub fn dhcp(role: Role, moref: &str) -> Self {
        let mut network = Network::named(role.as_str(), moref);
        network.default = role == Role::Public;
        let common = Common {
            name: role.interface().to_owned(),
            ..Common::default()
        };
        Self {
            common,
            network,
            ..Self::default()
        }
    }

    /// A role on the network `moref`, with a fixed address. The gateway is stored with the address's mask.
    /// A role that shares the public network is given the public address and gateway.
    #[must_use]
    pub fn fixed(role: Role, moref: &str, ip: NetAddress, gateway: Option<IpAddr>) -> Self {
        let mut endpoint = Self::dhcp(role, moref);
        endpoint.is_static = true;
        endpoint.ip = ip;
        if let Some(gateway) = gateway {
            endpoint.network.gateway = NetAddress {
                ip: Some(gateway.into()),
                mask: ip.mask,
            };
        }
        endpoint
    }

    /// The same endpoint with these DNS servers.
    #[must_use]
    pub fn with_dns(mut self, servers: impl IntoIterator<Item = IpAddr>) -> Self {
        self.network.dns = servers.into_iter().map(Ip::from).collect();
        self
    }

    /// The same endpoint with routes to these networks (client and management only have such).
    #[must_use]
    pub fn with_destinations(mut self, networks: impl IntoIterator<Item = NetAddress>) -> Self {
        self.network.destinations = networks.into_iter().collect();
        self
    }

    /// The same endpoint on the NIC in this PCI slot.
    #[must_use]
    pub fn with_slot(mut self, slot: i32) -> Self {
        self.common.id = slot.to_string();
        self
    }

    /// The PCI slot of its NIC, once it is known.
    #[must_use]
    pub fn slot(&self) -> Option<i32> {
        self.common.id.parse().ok()
    }
}

crate::record! {
    /// A network, either one the appliance is on or one that containers may join.
    pub struct Network {
        /// The id is the network's moref as text, the name its role or alias.
        #[key("Common")]
        pub common: Common,
        /// [`TYPE_BRIDGE`], [`TYPE_EXTERNAL`], or empty for the appliance's other roles.
        #[key("type", READ_WRITE)]
        pub kind: String,
        /// Routes through the gateway, if this is not the default network.
        #[key("destinations", READ_ONLY)]
        pub destinations: Vec<NetAddress>,
        /// The gateway and the mask of its subnet.
        #[key("gateway", READ_ONLY)]
        pub gateway: NetAddress,
        /// Whether the default route goes here.
        #[key("default", READ_ONLY)]
        pub default: bool,
        /// DNS servers.
        #[key("dns", READ_ONLY)]
        pub dns: Vec<Ip>,
        /// Addresses that may be given to containers.
        #[key("pools", READ_ONLY)]
        pub pools: Vec<IpRange>,
        /// Other names of the network.
        #[key("aliases", HIDDEN)]
        pub aliases: Vec<String>,
        /// What container VMs' firewalls let through here.
        #[key("TrustLevel")]
        pub trust_level: TrustLevel,
        /// Written by the guest: what DHCP told it.
        #[key("assigned", READ_WRITE)]
        pub assigned: AssignedNetwork,
    }
}

impl Network {
    /// The bridge network as containers see it.
    #[must_use]
    pub fn bridge(moref: &str) -> Self {
        Self {
            kind: TYPE_BRIDGE.to_owned(),
            ..Self::named(Role::Bridge.as_str(), moref)
        }
    }

    /// A network that containers join by `alias`. Gateway, DNS, pools and trust are set by field.
    #[must_use]
    pub fn external(alias: &str, moref: &str) -> Self {
        Self {
            kind: TYPE_EXTERNAL.to_owned(),
            ..Self::named(alias, moref)
        }
    }

    fn named(name: &str, moref: &str) -> Self {
        let common = Common {
            id: moref.to_owned(),
            name: name.to_owned(),
            ..Common::default()
        };
        Self {
            common,
            ..Self::default()
        }
    }
}

crate::record! {
    /// What the guest learned from DHCP.
    pub struct AssignedNetwork {
        /// The gateway.
        #[key("gateway")]
        pub gateway: NetAddress,
        /// DNS servers.
        #[key("dns")]
        pub dns: Vec<Ip>,
    }
}

/// What the firewall of a container VM lets through on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TrustLevel {
    /// VIC's default, published.
    #[default]
    Unspecified,
    /// Published ports only.
    Published,
    /// Everything.
    Open,
    /// Nothing.
    Closed,
    /// Connections from the container only.
    Outbound,
    /// Other containers on the network only.
    Peers,
}

const TRUST_LEVELS: [TrustLevel; 6] = [
    TrustLevel::Unspecified,
    TrustLevel::Published,
    TrustLevel::Open,
    TrustLevel::Closed,
    TrustLevel::Outbound,
    TrustLevel::Peers,
];

/// The position in VIC's list.
impl Scalar for TrustLevel {
    const EXPECTED: &'static str = "a trust level from 0 to 5";

    fn to_text(&self) -> String {
        TRUST_LEVELS
            .iter()
            .take_while(|level| *level != self)
            .count()
            .to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        TRUST_LEVELS.get(text.parse::<usize>().ok()?).copied()
    }
}
