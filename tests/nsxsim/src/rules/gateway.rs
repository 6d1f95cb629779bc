//! Gateways: their place on an edge cluster, and their interfaces.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::segment;
use crate::error::{FIELD, NsxError, OVERLAP, SEGMENT_ATTACHED};
use crate::net::Span;
use crate::paths::{gateway_at, parent_of};
use crate::world::World;
use crate::world::object::{Object, text, texts};

/// A Tier-1 without its children.
pub fn check_tier1(object: &Object) -> Result<(), NsxError> {
    let mut names = BTreeSet::new();
    for rule in super::expressions(&object.body, "route_advertisement_rules") {
        let name = text(rule, "name").unwrap_or_default();
        if !names.insert(name) {
            let message = format!("route_advertisement_rules: {name} is given twice");
            return Err(NsxError::rule(message));
        }
    }
    Ok(())
}

/// A Tier-1 stands on one edge cluster, on its own nodes; interfaces hold it there.
pub fn check_locale(world: &World, object: &Object) -> Result<(), NsxError> {
    let gateway = parent_of(&object.path);
    let siblings = world.store.collection(gateway, "LocaleServices", false);
    if gateway.contains("/tier-1s/") && siblings.count() > 1 {
        let message = format!("Tier-1 {gateway} can have one locale services only");
        return Err(NsxError::rule(message));
    }
    let cluster = object.text("edge_cluster_path");
    for edge in texts(&object.body, "preferred_edge_paths") {
        let inside = cluster.is_some_and(|c| parent_of(edge) == c);
        if !inside {
            let message = format!("preferred_edge_paths: {edge} is not of the edge cluster");
            return Err(NsxError::rule(message));
        }
    }
    let has_interfaces = interfaces_below(world, &object.path).next().is_some();
    if cluster.is_none() && has_interfaces {
        let message = format!("edge_cluster_path of {} is needed by its interfaces", object.path);
        return Err(NsxError::rule(message));
    }
    Ok(())
}

fn interfaces_below<'a>(world: &'a World, locale: &str) -> impl Iterator<Item = &'a Arc<Object>> {
    let below = world.store.below(locale);
    below.filter(|o| o.kind.ends_with("Interface"))
}

/// Interfaces of a gateway, live.
pub fn interfaces<'a>(world: &'a World, gateway: &str) -> impl Iterator<Item = &'a Arc<Object>> {
    let locales = world.store.collection(gateway, "LocaleServices", false);
    locales.flat_map(|l| interfaces_below(world, &l.path))
}

/// Addresses of an interface, each with its subnet's prefix.
pub fn addresses(body: &Map<String, Value>) -> Vec<IpNet> {
    let mut found = Vec::new();
    for subnet in super::expressions(body, "subnets") {
        let prefix = subnet.get("prefix_len").and_then(Value::as_u64);
        let Some(prefix) = prefix.and_then(|p| u8::try_from(p).ok()) else {
            continue;
        };
        for address in texts(subnet, "ip_addresses") {
            found.extend(address.parse().ok().and_then(|a| IpNet::new(a, prefix).ok()));
        }
    }
    found
}

/// An interface: on a segment of its own, with addresses of its own.
pub fn check_interface(world: &World, object: &Object) -> Result<(), NsxError> {
    let Some(gateway) = gateway_at(&object.path) else {
        return Ok(());
    };
    let locale = world.store.live(parent_of(&object.path));
    if locale.is_none_or(|l| l.text("edge_cluster_path").is_none()) {
        let message = format!("Interface {} needs an edge cluster on its gateway", object.path);
        return Err(NsxError::rule(message));
    }
    check_kind(object)?;
    if let Some(segment) = object.text("segment_path").and_then(|p| world.store.live(p)) {
        check_segment(world, object, segment)?;
    }
    let all = addresses(&object.body);
    let given: usize = super::expressions(&object.body, "subnets")
        .map(|s| texts(s, "ip_addresses").len())
        .sum();
    if all.is_empty() || all.len() != given {
        return Err(NsxError::bad(FIELD, "subnets: an address does not go with its prefix_len").common());
    }
    for net in &all {
        let host_bits = net.max_prefix_len().saturating_sub(net.prefix_len());
        let edge = net.addr() == net.network() || (net.addr().is_ipv4() && net.addr() == net.broadcast());
        if host_bits > 1 && edge {
            let message = format!("subnets: {net} is the network or broadcast address");
            return Err(NsxError::rule(message));
        }
    }
    let networks: Vec<IpNet> = all.iter().map(IpNet::trunc).collect();
    check_free(world, gateway, &object.path, &networks)
}

/// What a Tier-0's types of interface need.
fn check_kind(object: &Object) -> Result<(), NsxError> {
    if object.kind != "Tier0Interface" {
        return Ok(());
    }
    let kind = object.text("type").unwrap_or("EXTERNAL");
    let needed: &[&str] = match kind {
        "EXTERNAL" => &["segment_path", "edge_path"],
        "SERVICE" => &["segment_path"],
        _ => &[],
    };
    match needed.iter().find(|f| object.text(f).is_none()) {
        Some(field) => Err(NsxError::rule(format!(
            "{field} is mandatory for an interface of type {kind}"
        ))),
        None => Ok(()),
    }
}

/// Its segment hangs on no gateway, and on no other interface; the several edges of a Tier-0 share one.
fn check_segment(world: &World, object: &Object, segment: &Object) -> Result<(), NsxError> {
    let gateway = gateway_at(&object.path);
    let routed = segment::gateway_of(&segment.path, &segment.body);
    let is_external = |o: &Object| o.kind == "Tier0Interface" && o.text("type") == Some("EXTERNAL");
    let mut others = world.store.referrers(&segment.path).filter(|o| {
        let shared = is_external(o) && is_external(object) && gateway_at(&o.path) == gateway;
        o.kind.ends_with("Interface") && o.path != object.path && !shared
    });
    let holder = routed.or_else(|| others.next().map(|o| o.path.as_str()));
    match holder {
        Some(holder) => Err(NsxError::bad(
            SEGMENT_ATTACHED,
            format!("Segment {} is attached to {holder} already", segment.path),
        )),
        None => Ok(()),
    }
}

/// Networks on one gateway must not overlap, be they of segments or of interfaces.
pub fn check_free(world: &World, gateway: &str, path: &str, mine: &[IpNet]) -> Result<(), NsxError> {
    let segments = world.store.segments_of(gateway).filter(|o| o.path != path);
    let on_segments = segments.flat_map(|o| segment::networks(&o.body).map(move |n| (o, n)));
    let on_interfaces = interfaces(world, gateway)
        .filter(|o| o.path != path && o.kind == "Tier1Interface")
        .flat_map(|o| addresses(&o.body).into_iter().map(move |n| (o, n.trunc())));
    for (other, theirs) in on_segments.chain(on_interfaces) {
        let span = Span::block(theirs);
        if let Some(net) = mine.iter().find(|net| Span::block(**net).overlaps(&span)) {
            let message = format!("Subnet {net} of {path} overlaps with a subnet of {}", other.path);
            return Err(NsxError::bad(OVERLAP, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::testing::{ZONES, delete, patch, settle, web_segment, world};

    const EDGE: &str = "/infra/tier-1s/vic-edge";
    const LOCALE: &str = "/infra/tier-1s/vic-edge/locale-services/default";
    const T0: &str = "/infra/tier-0s/vic-t0";
    const CLUSTER: &str = "/infra/sites/default/enforcement-points/default/edge-clusters/edge-cluster-1";

    fn vlan(world: &mut World, id: &str) -> String {
        let path = format!("/infra/segments/{id}");
        let body = json!({"transport_zone_path": format!("{ZONES}/vlan"), "vlan_ids": ["130"]});
        patch(world, &path, body).unwrap();
        path
    }

    fn interface(segment: &str, address: &str, prefix: u8) -> Value {
        json!({"segment_path": segment, "subnets": [{"ip_addresses": [address], "prefix_len": prefix}]})
    }

    #[test]
    fn what_an_interface_may_be() {
        // address, prefix, what the refusal says
        let cases = [
            ("203.0.113.2", 24, None),
            ("203.0.113.0", 24, Some("network or broadcast")),
            ("203.0.113.255", 24, Some("network or broadcast")),
            ("203.0.113.2", 33, Some("does not go with")),
            ("10.30.0.129", 25, Some("overlaps")),
            ("10.0.0.1", 8, Some("overlaps")),
            ("fd00::2", 64, None),
        ];
        for (address, prefix, expected) in cases {
            let mut world = world();
            web_segment(&mut world);
            let segment = vlan(&mut world, "consumers");
            let path = format!("{LOCALE}/interfaces/out");
            let result = patch(&mut world, &path, interface(&segment, address, prefix));
            match (expected, result) {
                (None, Ok(())) => {}
                (Some(words), Err(e)) => assert!(e.message().contains(words), "{address}: {}", e.message()),
                (expected, got) => panic!("{address}/{prefix}: expected {expected:?}, got {got:?}"),
            }
        }
    }

    #[test]
    fn a_segment_has_one_interface_and_no_other_gateway() {
        let mut world = world();
        web_segment(&mut world);
        let segment = vlan(&mut world, "consumers");
        let path = |id: &str| format!("{LOCALE}/interfaces/{id}");
        let body = interface("/infra/segments/web", "203.0.113.2", 24);
        let code = |r: Result<(), NsxError>| r.unwrap_err().code;
        assert_eq!(code(patch(&mut world, &path("a"), body)), json!(SEGMENT_ATTACHED));
        patch(&mut world, &path("a"), interface(&segment, "203.0.113.2", 24)).unwrap();
        patch(&mut world, &path("a"), interface(&segment, "203.0.113.3", 24)).unwrap();
        let again = interface(&segment, "198.51.100.2", 24);
        assert_eq!(
            code(patch(&mut world, &path("b"), again)),
            json!(SEGMENT_ATTACHED)
        );
        assert_eq!(code(delete(&mut world, &segment)), json!(crate::error::IN_USE));
        assert_eq!(code(delete(&mut world, LOCALE)), json!(crate::error::IN_USE));
        let overlay = "/infra/segments/overlay";
        patch(&mut world, overlay, json!({})).unwrap();
        patch(&mut world, &path("b"), interface(overlay, "198.51.100.2", 24)).unwrap();
        let routed = json!({"connectivity_path": EDGE});
        assert_eq!(code(patch(&mut world, overlay, routed)), json!(SEGMENT_ATTACHED));
        let inner = json!({"connectivity_path": EDGE, "subnets": [{"gateway_address": "203.0.113.129/25"}]});
        let late = patch(&mut world, "/infra/segments/late", inner);
        assert_eq!(code(late), json!(OVERLAP), "the interface was there first");
        delete(&mut world, &path("a")).unwrap();
        settle(&mut world);
        delete(&mut world, &segment).unwrap();
    }

    #[test]
    fn interfaces_need_an_edge_cluster() {
        let mut world = world();
        let segment = vlan(&mut world, "consumers");
        patch(&mut world, "/infra/tier-1s/new", json!({})).unwrap();
        let locale = "/infra/tier-1s/new/locale-services/ls";
        patch(&mut world, locale, json!({})).unwrap();
        let path = format!("{locale}/interfaces/out");
        let body = interface(&segment, "203.0.113.2", 24);
        let refused = patch(&mut world, &path, body.clone()).unwrap_err();
        assert!(
            refused.message().contains("needs an edge cluster"),
            "{}",
            refused.message()
        );
        patch(&mut world, locale, json!({"edge_cluster_path": CLUSTER})).unwrap();
        patch(&mut world, &path, body).unwrap();
        let refused = patch(&mut world, locale, json!({})).unwrap_err();
        assert!(
            refused.message().contains("needed by its interfaces"),
            "{}",
            refused.message()
        );
    }

    #[test]
    fn a_tier1_has_one_locale_services_on_its_own_nodes() {
        let edge = |n: u8| format!("{CLUSTER}/edge-nodes/edge-{n}");
        // path, body, what the refusal says
        let cases = [
            (
                format!("{EDGE}/locale-services/second"),
                json!({}),
                Some("one locale"),
            ),
            (format!("{T0}/locale-services/second"), json!({}), None),
            (
                LOCALE.to_owned(),
                json!({"edge_cluster_path": CLUSTER, "preferred_edge_paths": [edge(1), edge(2)]}),
                None,
            ),
            (
                LOCALE.to_owned(),
                json!({"preferred_edge_paths": [edge(1)]}),
                Some("not of the edge cluster"),
            ),
            (
                LOCALE.to_owned(),
                json!({"edge_cluster_path": CLUSTER, "preferred_edge_paths": [edge(1), edge(2), edge(1)]}),
                Some("more than 2"),
            ),
            (
                LOCALE.to_owned(),
                json!({"edge_cluster_path": format!("{CLUSTER}-none")}),
                Some("is invalid"),
            ),
        ];
        for (path, body, expected) in cases {
            let result = patch(&mut world(), &path, body.clone());
            match (expected, result) {
                (None, Ok(())) => {}
                (Some(words), Err(e)) => assert!(e.message().contains(words), "{body}: {}", e.message()),
                (expected, got) => panic!("{body}: expected {expected:?}, got {got:?}"),
            }
        }
    }

    #[test]
    fn a_tier1_is_what_its_fields_allow() {
        let rule = |name: &str| json!({"name": name, "action": "DENY", "subnets": ["10.0.0.0/8"]});
        let cases = [
            (json!({}), None),
            (
                json!({"tier0_path": T0, "failover_mode": "PREEMPTIVE", "type": "NATTED"}),
                None,
            ),
            (json!({"tier0_path": EDGE}), Some("is invalid")),
            (json!({"failover_mode": "ACTIVE"}), Some("failover_mode")),
            (
                json!({"route_advertisement_types": ["TIER1_SEGMENT"]}),
                Some("route_advertisement_types"),
            ),
            (json!({"route_advertisement_rules": [rule("a"), rule("b")]}), None),
            (
                json!({"route_advertisement_rules": [rule("a"), rule("a")]}),
                Some("given twice"),
            ),
            (json!({"arp_limit": 4999}), Some("arp_limit")),
            (
                json!({"dhcp_config_paths": ["/infra/dhcp-server-configs/none"]}),
                Some("is invalid"),
            ),
        ];
        for (body, expected) in cases {
            let result = patch(&mut world(), "/infra/tier-1s/new", body.clone());
            match (expected, result) {
                (None, Ok(())) => {}
                (Some(words), Err(e)) => assert!(e.message().contains(words), "{body}: {}", e.message()),
                (expected, got) => panic!("{body}: expected {expected:?}, got {got:?}"),
            }
        }
    }

    #[test]
    fn a_tier0s_interface_has_its_type() {
        let mut world = world();
        let segment = vlan(&mut world, "uplink");
        let path = |id: &str| format!("{T0}/locale-services/default/interfaces/{id}");
        let body = interface(&segment, "192.0.2.2", 24);
        let refused = patch(&mut world, &path("a"), body.clone()).unwrap_err();
        assert!(
            refused.message().contains("edge_path is mandatory"),
            "{}",
            refused.message()
        );
        let mut on_edge = body;
        on_edge["edge_path"] = json!(format!("{CLUSTER}/edge-nodes/edge-1"));
        patch(&mut world, &path("a"), on_edge.clone()).unwrap();
        on_edge["edge_path"] = json!(format!("{CLUSTER}/edge-nodes/edge-2"));
        on_edge["subnets"] = json!([{"ip_addresses": ["192.0.2.3"], "prefix_len": 24}]);
        patch(&mut world, &path("b"), on_edge).unwrap();
        let loopback =
            json!({"type": "LOOPBACK", "subnets": [{"ip_addresses": ["192.0.2.9"], "prefix_len": 32}]});
        patch(&mut world, &path("c"), loopback).unwrap();
        assert_eq!(interfaces(&world, T0).count(), 3);
        assert!(addresses(&world.store.live(&path("a")).unwrap().body).len() == 1);
    }
}
