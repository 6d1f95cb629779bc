//! The networks that a VCH is on: each a `ContainerNetwork` that observes what exists.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use vic_crds::{
    Address, Backing, BackingType, BridgeNetwork, Cidr, ContainerNetwork, ContainerNetworkSpec,
    ExistingBacking, InterfaceAddress, OutsideName, RoleNetwork, SharedRef, StaticAddress, Subnet, Switch,
    VchNetworks,
};

use super::{Sheet, containers, object_ref};
use crate::import::values;

/// Where `vic-machine` puts a VCH if it is told nothing.
const DEFAULT_PUBLIC: &str = "VM Network";
/// Name servers that it assumes where all addresses are fixed.
const DEFAULT_DNS: [Ipv4Addr; 2] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(8, 8, 4, 4)];
/// As many name servers as are used.
const MOST_DNS: usize = 3;
/// Bounds of the prefix of a bridge subnet, and what `vic-machine` assumes of it and of the range.
const LEAST_WIDTH: i64 = 8;
const MOST_WIDTH: i32 = 30;
const DEFAULT_WIDTH: i32 = 16;
const DEFAULT_RANGE: &str = "172.16.0.0/12";

/// Networks of a VCH.
pub(super) struct Networks {
    pub(super) spec: VchNetworks,
    pub(super) objects: Vec<ContainerNetwork>,
    /// Whether the role that Docker clients reach has a fixed address.
    pub(super) client_is_fixed: bool,
}

/// A role of the endpoint VM as the options tell it.
#[derive(Clone, Debug)]
struct Role {
    name: &'static str,
    network: String,
    ip: Option<Ipv4Net>,
    gateway: Option<Ipv4Addr>,
    routes: Vec<Ipv4Net>,
}

pub(super) fn networks(sheet: &mut Sheet<'_>, name: &str, object_name: &str) -> Option<Networks> {
    let public = role(sheet, "public", DEFAULT_PUBLIC);
    let client = role(sheet, "client", &public.network);
    let management = role(sheet, "management", &client.network);
    let roles = [public, client, management];
    for role in &roles {
        check_role(sheet, role, &roles);
    }
    let bridge = sheet.given.text("bridge-network").unwrap_or(name).to_owned();
    for role in roles.iter().filter(|role| is_same(&role.network, &bridge)) {
        bridge_is_shared(sheet, &bridge, &format!("--{}-network", role.name));
    }
    let mut book = Book::new(sheet.settings.namespace.clone(), object_name);
    let bridge_ref = book.add(sheet, "bridge", "bridge-network", &bridge, None);
    let [public, client, management] = roles
        .each_ref()
        .map(|role| reference(sheet, &mut book, role, &roles));
    let [on_public, on_client, on_management] = &roles;
    let client_is_apart = !is_same(&on_client.network, &on_public.network);
    let management_is_apart = !is_same(&on_management.network, &on_client.network)
        || (client_is_apart && on_management.ip.is_some());
    let attached = containers::containers(sheet, &mut book, &bridge);
    let range = range(sheet);
    let width = width(sheet, range);
    let spec = VchNetworks {
        bridge: BridgeNetwork {
            network_ref: bridge_ref?,
            range: range
                .filter(|_| sheet.given.has("bridge-network-range"))
                .map(cidr),
            width,
        },
        public: role_network(public?, on_public),
        client: client
            .filter(|_| client_is_apart)
            .map(|reference| role_network(reference, on_client)),
        management: management
            .filter(|_| management_is_apart)
            .map(|reference| role_network(reference, on_management)),
        containers: attached,
        dns_servers: dns(sheet, &roles),
        asymmetric_routing: sheet.given.is_on("asymmetric-routes").then_some(Switch::Enabled),
    };
    Some(Networks {
        spec,
        objects: book.objects,
        client_is_fixed: fixed_on(&roles, &on_client.network).is_some(),
    })
}

/// A network may be told by name or by path; a bare name fits the end of a path.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let last = |text: &str| text.rsplit('/').next().map(str::to_owned);
    one == other || ((!one.contains('/') || !other.contains('/')) && last(one) == last(other))
}

pub(super) fn bridge_is_shared(sheet: &mut Sheet<'_>, bridge: &str, with: &str) {
    let rule = format!("must be dedicated to this VCH, and {bridge} is that of {with} too");
    sheet.problems.note("bridge-network", rule);
}

pub(super) fn cidr(net: Ipv4Net) -> Cidr {
    Cidr::from(net.to_string().as_str())
}

pub(super) fn address(address: Ipv4Addr) -> Address {
    Address::from(address.to_string().as_str())
}

fn role(sheet: &mut Sheet<'_>, name: &'static str, default: &str) -> Role {
    let given = sheet.given;
    let network = given
        .text(&format!("{name}-network"))
        .unwrap_or(default)
        .to_owned();
    let ip_option = format!("{name}-network-ip");
    let ip = given.text(&ip_option).map(values::interface);
    let gateway_option = format!("{name}-network-gateway");
    let gateway = given.text(&gateway_option).map(gateway);
    let ip = ip.and_then(|ip| sheet.problems.take(&ip_option, ip));
    let gateway = gateway.and_then(|gateway| sheet.problems.take(&gateway_option, gateway));
    let (routes, gateway) = gateway.map_or((Vec::new(), None), |(routes, gateway)| (routes, Some(gateway)));
    Role {
        name,
        network,
        ip,
        gateway,
        routes,
    }
}

/// `gateway`, or `network[,network...]:gateway`.
fn gateway(text: &str) -> Result<(Vec<Ipv4Net>, Ipv4Addr), String> {
    let (routes, gateway) = text.rsplit_once(':').unwrap_or(("", text));
    let routes = routes.split(',').map(str::trim).filter(|route| !route.is_empty());
    let routes: Result<Vec<_>, _> = routes.map(values::network).collect();
    Ok((routes?, values::address(gateway.trim())?))
}

/// What `vic-machine` demands of a role's address and gateway.
fn check_role(sheet: &mut Sheet<'_>, role: &Role, all: &[Role; 3]) {
    let [public, client, _] = all;
    let (ip_option, gateway_option) = (
        format!("{}-network-ip", role.name),
        format!("{}-network-gateway", role.name),
    );
    let is_public = role.name == public.name;
    let on_public = !is_public && is_same(&role.network, &public.network);
    if let Some(gateway) = role.gateway {
        match role.ip {
            None if !sheet.given.has(&ip_option) => {
                sheet
                    .problems
                    .note(&gateway_option, format!("needs --{ip_option}"));
            }
            Some(ip) if !ip.contains(&gateway) => {
                sheet.problems.note(
                    &gateway_option,
                    format!("{gateway} does not lie in {}", ip.trunc()),
                );
            }
            Some(ip) if ip.addr() == gateway => {
                sheet
                    .problems
                    .note(&ip_option, format!("{gateway} is the gateway's address"));
            }
            _ => {}
        }
        if is_public && !role.routes.is_empty() {
            let demand = "may not name destinations: the default route goes through the public network";
            sheet.problems.note(&gateway_option, demand);
        }
        if !is_public && !on_public && role.routes.is_empty() {
            let demand = "needs at least one destination in front, as in 10.1.0.0/16:10.0.0.1";
            sheet.problems.note(&gateway_option, demand);
        }
    }
    let Some(ip) = role.ip else { return };
    if ip.prefix_len() > 30 || ip.addr() == ip.network() || ip.addr() == ip.broadcast() {
        let demand = format!("{ip} is no host's address in a network with a prefix of at most 30");
        sheet.problems.note(&ip_option, demand);
    }
    if is_public && role.gateway.is_none() && !sheet.given.has(&gateway_option) {
        sheet
            .problems
            .note(&ip_option, format!("needs --{gateway_option}"));
    }
    if on_public {
        let demand = format!(
            "{} is the public network, whose address --public-network-ip gives",
            role.network
        );
        sheet.problems.note(&ip_option, demand);
    }
    let shared = role.name != client.name && is_same(&role.network, &client.network);
    if let Some(other) = client.ip.filter(|other| shared && *other != ip && !on_public) {
        let demand = format!("the client network is the same and has the address {other}; both share one");
        sheet.problems.note(&ip_option, demand);
    }
}

/// The role that gives a network its fixed address.
fn fixed_on<'a>(roles: &'a [Role; 3], network: &str) -> Option<&'a Role> {
    roles
        .iter()
        .find(|role| role.ip.is_some() && is_same(&role.network, network))
}

/// The network of a role, made where it is met first.
fn reference(sheet: &mut Sheet<'_>, book: &mut Book, role: &Role, roles: &[Role; 3]) -> Option<SharedRef> {
    let first = roles
        .iter()
        .find(|other| is_same(&other.network, &role.network))?;
    if first.name != role.name {
        return book.known(first.name);
    }
    let fixed = fixed_on(roles, &role.network);
    let subnet = fixed.and_then(|fixed| {
        let ip = fixed.ip?;
        let gateway = fixed.gateway.or_else(|| {
            // A subnet has a gateway; without routes nothing goes through this one.
            let free = ip.hosts().find(|host| *host != ip.addr())?;
            sheet.note(
                &format!("{}-network-ip", fixed.name),
                format!("no gateway is given; {free} stands in its field, and nothing is sent to it."),
            );
            Some(free)
        })?;
        Ipv4Net::new(gateway, ip.prefix_len()).ok()
    });
    book.add(
        sheet,
        role.name,
        &format!("{}-network", role.name),
        &role.network,
        subnet,
    )
}

fn role_network(network_ref: SharedRef, role: &Role) -> RoleNetwork {
    RoleNetwork {
        network_ref,
        fixed: role.ip.map(|ip| StaticAddress {
            address: address(ip.addr()),
            routes: role.routes.iter().copied().map(cidr).collect(),
        }),
    }
}

fn range(sheet: &mut Sheet<'_>) -> Option<Ipv4Net> {
    let text = sheet.given.text("bridge-network-range").unwrap_or(DEFAULT_RANGE);
    sheet.problems.take("bridge-network-range", values::network(text))
}

fn width(sheet: &mut Sheet<'_>, range: Option<Ipv4Net>) -> Option<i32> {
    let given = sheet.small("bridge-network-width", LEAST_WIDTH, MOST_WIDTH);
    let width = given.unwrap_or(DEFAULT_WIDTH);
    if let Some(range) = range.filter(|range| i32::from(range.prefix_len()) > width) {
        let rule = format!("{width} is less than the prefix of the range {range}");
        sheet.problems.note("bridge-network-width", rule);
    }
    given
}

fn dns(sheet: &mut Sheet<'_>, roles: &[Role; 3]) -> Vec<Address> {
    let mut servers = Vec::new();
    let given = sheet.given;
    for text in given.texts("dns-server") {
        let server = sheet.problems.take("dns-server", values::address(text));
        servers.extend(server);
    }
    if servers.len() > MOST_DNS {
        sheet.note(
            "dns-server",
            "only the first three are used, as with vic-machine.",
        );
        servers.truncate(MOST_DNS);
    }
    let all_fixed = roles.iter().all(|role| fixed_on(roles, &role.network).is_some());
    if servers.is_empty() && all_fixed && !given.has("dns-server") {
        servers.extend(DEFAULT_DNS);
        sheet.note(
            "dns-server",
            "none is given, and all addresses are fixed: the default is 8.8.8.8 and 8.8.4.4.",
        );
    }
    servers.into_iter().map(address).collect()
}

/// The networks that were met, each under a name of its own.
pub(super) struct Book {
    namespace: String,
    prefix: String,
    keys: Vec<String>,
    pub(super) objects: Vec<ContainerNetwork>,
}

impl Book {
    fn new(namespace: String, prefix: &str) -> Self {
        Self {
            namespace,
            prefix: prefix.to_owned(),
            keys: Vec::new(),
            objects: Vec::new(),
        }
    }

    /// The network that was kept under a key.
    fn known(&self, key: &str) -> Option<SharedRef> {
        let known = self.keys.iter().any(|known| known == key);
        known.then(|| shared(&format!("{}-{key}", self.prefix)))
    }

    /// Keeps a network under a key that is made unique; `subnet` is its gateway's address with the prefix.
    pub(super) fn add(
        &mut self,
        sheet: &mut Sheet<'_>,
        key: &str,
        option: &str,
        network: &str,
        subnet: Option<Ipv4Net>,
    ) -> Option<SharedRef> {
        let existing = sheet
            .problems
            .take(option, values::field::<OutsideName, &str>(network))?;
        if !sheet.grants.existing_networks.contains(&existing) {
            sheet.grants.existing_networks.push(existing.clone());
        }
        if let Some(net) = subnet.map(|subnet| cidr(subnet.trunc()))
            && !sheet.grants.subnets.contains(&net)
        {
            sheet.grants.subnets.push(net);
        }
        let mut unique = key.to_owned();
        let mut number = 2;
        while self.keys.contains(&unique) {
            unique = format!("{key}-{number}");
            number += 1;
        }
        let name = format!("{}-{unique}", self.prefix);
        self.keys.push(unique);
        let spec = ContainerNetworkSpec {
            // The Site's name is known when all networks are.
            site_ref: object_ref(""),
            display_name: None,
            backing: Backing {
                kind: BackingType::Existing,
                port_group: None,
                segment: None,
                existing: Some(ExistingBacking { network: existing }),
            },
            subnets: subnet
                .map(|subnet| Subnet {
                    gateway_address: InterfaceAddress::from(subnet.to_string().as_str()),
                    dns_servers: Vec::new(),
                    dhcp: None,
                })
                .into_iter()
                .collect(),
            replace_policy: None,
            shared_with: None,
            management_policy: None,
            deletion_policy: None,
        };
        let mut object = ContainerNetwork::new(&name, spec);
        object.metadata.namespace = Some(self.namespace.clone());
        self.objects.push(object);
        Some(shared(&name))
    }
}

fn shared(name: &str) -> SharedRef {
    SharedRef {
        name: name.into(),
        namespace: None,
    }
}
