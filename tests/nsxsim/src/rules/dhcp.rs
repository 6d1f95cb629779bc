//! DHCP profiles and static bindings.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::segment;
use crate::error::{NsxError, OVERLAP};
use crate::paths::parent_of;
use crate::world::World;
use crate::world::object::{Object, texts};

/// The server's own address where none is given.
const DEFAULT_SERVER: &str = "100.96.0.1/30";
/// Longest prefix of a server's own IPv4 address.
const MAX_PREFIX: u8 = 30;

/// Fills in the default server address.
pub fn complete(body: &mut Map<String, Value>) {
    if texts(body, "server_addresses").is_empty() {
        body.insert("server_addresses".into(), json!([DEFAULT_SERVER]));
    }
}

/// A server profile.
pub fn check_server(object: &Object) -> Result<(), NsxError> {
    for address in texts(&object.body, "server_addresses") {
        let good = address
            .parse::<IpNet>()
            .is_ok_and(|n| n.addr().is_ipv6() || n.prefix_len() <= MAX_PREFIX);
        if !good {
            let message = format!("server_addresses: {address} is not a CIDR of at most /{MAX_PREFIX}");
            return Err(NsxError::rule(message));
        }
    }
    Ok(())
}

/// A relay profile.
pub fn check_relay(object: &Object) -> Result<(), NsxError> {
    match texts(&object.body, "server_addresses")
        .into_iter()
        .find(|a| a.parse::<IpAddr>().is_err())
    {
        Some(address) => Err(NsxError::rule(format!(
            "server_addresses: {address} is not an IP address"
        ))),
        None => Ok(()),
    }
}

/// A static binding: inside the segment's subnet, outside its ranges, alone with its MAC and its address.
pub fn check_binding(world: &World, object: &Object) -> Result<(), NsxError> {
    let ip = object.text("ip_address").unwrap_or_default();
    let address: IpAddr = ip
        .parse()
        .map_err(|_| NsxError::rule(format!("ip_address {ip} is not an address")))?;
    let Some(parent) = world.store.live(parent_of(&object.path)) else {
        return Ok(());
    };
    let subnets = segment::subnets(&parent.body);
    let Some(subnet) = subnets.iter().find(|s| s.net.contains(&address)) else {
        return Err(NsxError::rule(format!(
            "ip_address {ip} is not within a subnet of {}",
            parent.path
        )));
    };
    let in_range = subnet.ranges.iter().any(|(_, s)| s.contains(address));
    if in_range || subnet.gateway == address || subnet.server.is_some_and(|s| s.addr() == address) {
        let message = format!(
            "ip_address {ip} overlaps with a DHCP range, the gateway or the server of {}",
            parent.path
        );
        return Err(NsxError::bad(OVERLAP, message));
    }
    let mac = object.text("mac_address").map(str::to_lowercase);
    for other in world
        .store
        .below(&parent.path)
        .filter(|o| o.kind == object.kind && o.path != object.path)
    {
        if other.text("mac_address").map(str::to_lowercase) == mac || other.text("ip_address") == Some(ip) {
            let message = format!("mac_address or ip_address is already used by {}", other.path);
            return Err(NsxError::bad(OVERLAP, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{patch, web_segment, world};

    fn binding(ip: &str, mac: &str) -> Value {
        json!({"resource_type": "DhcpV4StaticBindingConfig", "ip_address": ip, "mac_address": mac})
    }

    #[test]
    fn a_binding_has_an_address_and_a_mac_of_its_own() {
        let mut world = world();
        web_segment(&mut world);
        let path = |id: &str| format!("/infra/segments/web/dhcp-static-binding-configs/{id}");
        patch(&mut world, &path("a"), binding("10.30.0.5", "00:50:56:00:00:01")).unwrap();
        let cases = [
            (binding("10.31.0.5", "00:50:56:00:00:02"), "not within"),
            (binding("10.30.0.1", "00:50:56:00:00:02"), "gateway"),
            (binding("10.30.0.5", "00:50:56:00:00:02"), "already used"),
            (binding("10.30.0.6", "00:50:56:00:00:01"), "already used"),
            (
                json!({"resource_type": "DhcpV4StaticBindingConfig", "ip_address": "10.30.0.6"}),
                "mac_address is required",
            ),
        ];
        for (body, text) in cases {
            let error = patch(&mut world, &path("b"), body.clone()).unwrap_err();
            assert!(error.message().contains(text), "{body}: {}", error.message());
        }
        patch(&mut world, &path("a"), binding("10.30.0.7", "00:50:56:00:00:01")).unwrap();
    }

    #[test]
    fn profiles_read_their_addresses() {
        let mut world = world();
        let server = "/infra/dhcp-server-configs/d";
        assert!(patch(&mut world, server, json!({"server_addresses": ["10.0.0.1/31"]})).is_err());
        patch(&mut world, server, json!({})).unwrap();
        assert_eq!(
            world.read(server).unwrap()["server_addresses"],
            json!([DEFAULT_SERVER])
        );
        let relay = "/infra/dhcp-relay-configs/r";
        assert!(patch(&mut world, relay, json!({})).is_err());
        assert!(patch(&mut world, relay, json!({"server_addresses": ["10.0.0.1/24"]})).is_err());
        patch(&mut world, relay, json!({"server_addresses": ["10.0.0.1"]})).unwrap();
    }
}
