//! Segments: VLAN or overlay, one subnet, DHCP ranges that only grow.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::is_vlan_zone;
use crate::error::{NsxError, OVERLAP, SEGMENT_ATTACHED};
use crate::net::Span;
use crate::paths::{is_gateway, parent_of};
use crate::world::World;
use crate::world::object::{Object, text, texts};

/// Fills in the default overlay zone, each subnet's network, and the computed type.
pub fn complete(world: &World, path: &str, body: &mut Map<String, Value>) {
    let has_vlans = !texts(body, "vlan_ids").is_empty();
    if text(body, "transport_zone_path").is_none() && !has_vlans {
        let mut zones = world
            .store
            .of_kind("PolicyTransportZone")
            .filter(|z| !is_vlan_zone(z));
        let default = zones.find(|z| z.body.get("is_default") == Some(&json!(true)));
        if let Some(zone) = default {
            body.insert("transport_zone_path".into(), json!(zone.path));
        }
    }
    for subnet in subnets_mut(body) {
        let gateway = text(subnet, "gateway_address").and_then(|g| g.parse::<IpNet>().ok());
        if let Some(net) = gateway {
            subnet.insert("network".into(), json!(net.trunc().to_string()));
        }
    }
    let routed = gateway_of(path, body).is_some();
    body.insert(
        "type".into(),
        json!(if routed { "ROUTED" } else { "DISCONNECTED" }),
    );
}

fn subnets_mut(body: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let list = body.get_mut("subnets").and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The gateway a segment hangs on: its parent, or the one it names.
pub fn gateway_of<'a>(path: &'a str, body: &'a Map<String, Value>) -> Option<&'a str> {
    let parent = parent_of(path);
    if is_gateway(parent) {
        Some(parent)
    } else {
        text(body, "connectivity_path")
    }
}

/// A segment's subnet, read.
pub struct Subnet<'a> {
    /// The gateway's own address.
    pub gateway: IpAddr,
    /// The network.
    pub net: IpNet,
    /// DHCP ranges.
    pub ranges: Vec<(&'a str, Span)>,
    /// The DHCP server's address on the segment.
    pub server: Option<IpNet>,
}

/// Reads the subnets of a segment that passed [`check`]; others are left out.
pub fn subnets(body: &Map<String, Value>) -> Vec<Subnet<'_>> {
    raw_subnets(body).filter_map(|s| read_subnet(s).ok()).collect()
}

fn raw_subnets(body: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    body.get("subnets")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

fn read_subnet(subnet: &Map<String, Value>) -> Result<Subnet<'_>, NsxError> {
    let text_gateway = text(subnet, "gateway_address").unwrap_or_default();
    let gateway: IpNet = text_gateway
        .parse()
        .map_err(|_| NsxError::rule(format!("gateway_address {text_gateway} is not a CIDR")))?;
    let mut ranges = Vec::new();
    for range in texts(subnet, "dhcp_ranges") {
        let span = Span::parse(range)
            .ok_or_else(|| NsxError::rule(format!("dhcp_ranges: {range} is not a range or CIDR")))?;
        ranges.push((range, span));
    }
    let config = subnet.get("dhcp_config").and_then(Value::as_object);
    let server = config
        .and_then(|c| text(c, "server_address"))
        .and_then(|s| s.parse().ok());
    Ok(Subnet {
        gateway: gateway.addr(),
        net: gateway.trunc(),
        ranges,
        server,
    })
}

/// A whole segment.
pub fn check(world: &World, object: &Object, before: Option<&Object>) -> Result<(), NsxError> {
    check_backing(world, object)?;
    check_subnets(world, object)?;
    check_overlap(world, object)?;
    check_attachment(world, object)?;
    if let Some(before) = before {
        check_change(object, before)?;
    }
    Ok(())
}

fn check_backing(world: &World, object: &Object) -> Result<(), NsxError> {
    let body = &object.body;
    let fixed = is_gateway(parent_of(&object.path));
    if fixed && text(body, "connectivity_path").is_some() {
        return Err(NsxError::rule(
            "connectivity_path is not allowed for a segment under a gateway",
        ));
    }
    let vlans = texts(body, "vlan_ids");
    let zone = text(body, "transport_zone_path").and_then(|p| world.store.live(p));
    let is_vlan = match zone {
        Some(zone) => is_vlan_zone(zone),
        None if vlans.is_empty() => {
            return Err(NsxError::rule(
                "transport_zone_path is mandatory: there is no default overlay zone",
            ));
        }
        None => {
            return Err(NsxError::rule(
                "transport_zone_path is mandatory for a VLAN segment",
            ));
        }
    };
    if is_vlan && vlans.is_empty() {
        return Err(NsxError::rule("vlan_ids is mandatory for a VLAN segment"));
    }
    if is_vlan && (fixed || text(body, "connectivity_path").is_some()) {
        return Err(NsxError::rule(
            "connectivity_path is not allowed for a VLAN segment",
        ));
    }
    if !is_vlan && !vlans.is_empty() {
        return Err(NsxError::rule("vlan_ids is not allowed for an overlay segment"));
    }
    for vlan in vlans {
        let number = |t: &str| t.trim().parse::<u16>().ok().filter(|n| *n <= 4094);
        let good = match vlan.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)).is_some_and(|(a, b)| a < b),
            None => number(vlan).is_some(),
        };
        if !good {
            return Err(NsxError::rule(format!(
                "vlan_ids: {vlan} is not a VLAN id or range of 0 to 4094"
            )));
        }
    }
    Ok(())
}

fn check_subnets(world: &World, object: &Object) -> Result<(), NsxError> {
    let body = &object.body;
    let raw: Vec<&Map<String, Value>> = raw_subnets(body).collect();
    if raw.len() > world.tuning.max_subnets {
        let message = format!(
            "A segment can have {} subnet(s), {} given",
            world.tuning.max_subnets,
            raw.len()
        );
        return Err(NsxError::rule(message));
    }
    let profile = text(body, "dhcp_config_path").and_then(|p| world.store.live(p));
    let served = profile.is_some_and(|p| p.kind == "DhcpServerConfig");
    for subnet in raw {
        let subnet = read_subnet(subnet)?;
        check_subnet(&subnet, served)?;
    }
    Ok(())
}

fn check_subnet(subnet: &Subnet<'_>, by_profile: bool) -> Result<(), NsxError> {
    let whole = Span::block(subnet.net);
    let host_bits = subnet
        .net
        .max_prefix_len()
        .saturating_sub(subnet.net.prefix_len());
    let edge = subnet.gateway == whole.first || (subnet.gateway.is_ipv4() && subnet.gateway == whole.last);
    if host_bits > 1 && edge {
        let message = format!(
            "gateway_address {} is the network or broadcast address",
            subnet.gateway
        );
        return Err(NsxError::rule(message));
    }
    for (place, (text, span)) in subnet.ranges.iter().enumerate() {
        if !whole.covers(span) {
            return Err(NsxError::rule(format!(
                "DHCP range {text} is not within subnet {}",
                subnet.net
            )));
        }
        if span.contains(subnet.gateway) {
            return Err(NsxError::bad(
                OVERLAP,
                format!("DHCP range {text} contains the gateway address"),
            ));
        }
        if let Some((other, _)) = subnet.ranges.iter().take(place).find(|(_, s)| s.overlaps(span)) {
            return Err(NsxError::bad(
                OVERLAP,
                format!("DHCP ranges {other} and {text} overlap"),
            ));
        }
    }
    let Some(server) = subnet.server else {
        if by_profile {
            return Err(NsxError::rule(
                "dhcp_config.server_address is mandatory with a DHCP server config",
            ));
        }
        return Ok(());
    };
    if !whole.contains(server.addr()) || server.trunc() != subnet.net {
        return Err(NsxError::rule(format!(
            "server_address {server} is not within subnet {}",
            subnet.net
        )));
    }
    let in_range = subnet.ranges.iter().any(|(_, s)| s.contains(server.addr()));
    if server.addr() == subnet.gateway || in_range {
        let message = format!("server_address {server} overlaps with the gateway address or a DHCP range");
        return Err(NsxError::bad(OVERLAP, message));
    }
    Ok(())
}

/// Subnets on one gateway must not overlap.
fn check_overlap(world: &World, object: &Object) -> Result<(), NsxError> {
    let Some(gateway) = gateway_of(&object.path, &object.body) else {
        return Ok(());
    };
    let mine: Vec<IpNet> = networks(&object.body).collect();
    super::gateway::check_free(world, gateway, &object.path, &mine)
}

/// Networks of a segment's subnets.
pub fn networks(body: &Map<String, Value>) -> impl Iterator<Item = IpNet> {
    raw_subnets(body)
        .filter_map(|s| text(s, "gateway_address")?.parse::<IpNet>().ok())
        .map(|net| net.trunc())
}

/// A segment of an interface hangs on no gateway by itself.
fn check_attachment(world: &World, object: &Object) -> Result<(), NsxError> {
    if gateway_of(&object.path, &object.body).is_none() {
        return Ok(());
    }
    let mut users = world.store.referrers(&object.path);
    match users.find(|o| o.kind.ends_with("Interface")) {
        Some(interface) => Err(NsxError::bad(
            SEGMENT_ATTACHED,
            format!(
                "Segment {} is attached to interface {}",
                object.path, interface.path
            ),
        )),
        None => Ok(()),
    }
}

/// What cannot be changed once it is there.
fn check_change(object: &Object, before: &Object) -> Result<(), NsxError> {
    if let Some(old) = before.body.get("overlay_id")
        && object.body.get("overlay_id") != Some(old)
    {
        return Err(NsxError::rule("overlay_id cannot be changed"));
    }
    let now = subnets(&object.body);
    if now.is_empty() {
        return Ok(());
    }
    let kept: Vec<&str> = now
        .iter()
        .flat_map(|s| s.ranges.iter().map(|(t, _)| *t))
        .collect();
    for (text, _) in subnets(&before.body).iter().flat_map(|s| s.ranges.iter()) {
        if !kept.contains(text) {
            let message = format!("DHCP range {text} cannot be removed or changed, ranges can only be added");
            return Err(NsxError::rule(message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{ZONES, delete, patch, settle, web_segment, world};

    const WEB: &str = "/infra/segments/web";
    const EDGE: &str = "/infra/tier-1s/vic-edge";

    fn overlay(fields: &Value) -> Value {
        let mut body = json!({"transport_zone_path": format!("{ZONES}/overlay"), "connectivity_path": EDGE});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        body
    }

    #[test]
    fn what_a_segment_may_be() {
        let vlan = format!("{ZONES}/vlan");
        let subnet = |fields: Value| {
            let mut subnet = json!({"gateway_address": "10.30.0.1/24"});
            subnet
                .as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            overlay(&json!({"subnets": [subnet]}))
        };
        let server = |address: &str, ranges: Value| {
            subnet(json!({"dhcp_ranges": ranges,
                "dhcp_config": {"resource_type": "SegmentDhcpV4Config", "server_address": address}}))
        };
        let cases: Vec<(Value, Option<&str>)> = vec![
            (json!({}), None),
            (json!({"vlan_ids": ["10"]}), Some("mandatory for a VLAN segment")),
            (json!({"transport_zone_path": vlan, "vlan_ids": ["10"]}), None),
            (
                json!({"transport_zone_path": vlan, "vlan_ids": ["100-200", "0"]}),
                None,
            ),
            (
                json!({"transport_zone_path": vlan}),
                Some("vlan_ids is mandatory"),
            ),
            (
                json!({"transport_zone_path": vlan, "vlan_ids": ["4095"]}),
                Some("4095"),
            ),
            (
                json!({"transport_zone_path": vlan, "vlan_ids": ["20-10"]}),
                Some("20-10"),
            ),
            (
                json!({"transport_zone_path": vlan, "vlan_ids": ["10"], "connectivity_path": EDGE}),
                Some("not allowed for a VLAN"),
            ),
            (
                overlay(&json!({"vlan_ids": ["10"]})),
                Some("not allowed for an overlay"),
            ),
            (subnet(json!({})), None),
            (
                overlay(&json!({"subnets": [{"gateway_address": "10.30.0.0/24"}]})),
                Some("network or broadcast"),
            ),
            (
                overlay(
                    &json!({"subnets": [{"gateway_address": "10.30.0.1/24"}, {"gateway_address": "10.31.0.1/24"}]}),
                ),
                Some("can have 1 subnet"),
            ),
            (
                subnet(json!({"dhcp_ranges": ["10.30.0.10-10.30.0.20", "10.30.0.32/28"]})),
                None,
            ),
            (
                subnet(json!({"dhcp_ranges": ["10.31.0.10-10.31.0.20"]})),
                Some("not within subnet"),
            ),
            (
                subnet(json!({"dhcp_ranges": ["10.30.0.1-10.30.0.20"]})),
                Some("contains the gateway"),
            ),
            (
                subnet(json!({"dhcp_ranges": ["10.30.0.10-10.30.0.20", "10.30.0.20-10.30.0.30"]})),
                Some("overlap"),
            ),
            (server("10.30.0.2/24", json!(["10.30.0.10-10.30.0.20"])), None),
            (
                server("10.30.0.12/24", json!(["10.30.0.10-10.30.0.20"])),
                Some("overlaps with the gateway"),
            ),
            (
                server("10.30.0.1/24", json!(["10.30.0.10-10.30.0.20"])),
                Some("overlaps with the gateway"),
            ),
            (
                server("10.31.0.2/24", json!(["10.30.0.10-10.30.0.20"])),
                Some("not within subnet"),
            ),
        ];
        for (body, expected) in cases {
            let result = patch(&mut world(), WEB, body.clone());
            match (expected, result) {
                (None, Ok(())) => {}
                (Some(text), Err(e)) => assert!(e.message().contains(text), "{body}: {}", e.message()),
                (expected, got) => panic!("{body}: expected {expected:?}, got {got:?}"),
            }
        }
    }

    #[test]
    fn a_server_profile_demands_a_server_address() {
        let mut world = world();
        patch(&mut world, "/infra/dhcp-server-configs/d", json!({})).unwrap();
        let without = overlay(&json!({"dhcp_config_path": "/infra/dhcp-server-configs/d",
            "subnets": [{"gateway_address": "10.30.0.1/24", "dhcp_ranges": ["10.30.0.9-10.30.0.20"]}]}));
        assert!(
            patch(&mut world, WEB, without)
                .unwrap_err()
                .message()
                .contains("server_address is mandatory")
        );
    }

    #[test]
    fn ranges_only_grow() {
        let mut world = world();
        let with = |ranges: Value| {
            overlay(&json!({"subnets": [{"gateway_address": "10.30.0.1/24", "dhcp_ranges": ranges}]}))
        };
        patch(&mut world, WEB, with(json!(["10.30.0.10-10.30.0.20"]))).unwrap();
        patch(
            &mut world,
            WEB,
            with(json!(["10.30.0.30-10.30.0.40", "10.30.0.10-10.30.0.20"])),
        )
        .unwrap();
        let shrunk = patch(&mut world, WEB, with(json!(["10.30.0.30-10.30.0.40"]))).unwrap_err();
        assert!(
            shrunk
                .message()
                .contains("10.30.0.10-10.30.0.20 cannot be removed"),
            "{}",
            shrunk.message()
        );
        let widened = patch(
            &mut world,
            WEB,
            with(json!(["10.30.0.10-10.30.0.21", "10.30.0.30-10.30.0.40"])),
        );
        assert!(widened.is_err(), "a changed range is a removed one");
    }

    #[test]
    fn subnets_of_one_gateway_do_not_overlap() {
        let mut world = world();
        web_segment(&mut world);
        let other = overlay(&json!({"subnets": [{"gateway_address": "10.30.0.129/25"}]}));
        let error = patch(&mut world, "/infra/segments/other", other.clone()).unwrap_err();
        assert_eq!(error.code, json!(OVERLAP));
        let mut apart = other;
        apart["connectivity_path"] = json!("/infra/tier-0s/vic-t0");
        patch(&mut world, "/infra/segments/other", apart).unwrap();
    }

    #[test]
    fn a_fixed_segment_names_no_gateway() {
        let mut world = world();
        let path = format!("{EDGE}/segments/inner");
        assert!(patch(&mut world, &path, overlay(&json!({}))).is_err());
        patch(
            &mut world,
            &path,
            json!({"subnets": [{"gateway_address": "10.40.0.1/24"}]}),
        )
        .unwrap();
        assert_eq!(world.read(&path).unwrap()["type"], "ROUTED");
    }

    #[test]
    fn the_server_fills_in_zone_network_and_type() {
        let mut world = world();
        patch(
            &mut world,
            WEB,
            json!({"subnets": [{"gateway_address": "10.30.0.1/24"}]}),
        )
        .unwrap();
        let read = world.read(WEB).unwrap();
        assert_eq!(read["subnets"][0]["network"], "10.30.0.0/24");
        assert_eq!(read["transport_zone_path"], format!("{ZONES}/overlay"));
        assert_eq!(read["type"], "DISCONNECTED");
        settle(&mut world);
        delete(&mut world, WEB).unwrap();
    }
}
