//! Counts: of rules, of ports, of leases and of addresses.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::answer::Answer;
use super::request::Request;
use super::runtime::{needed, paged};
use crate::error::NsxError;
use crate::net::Span;
use crate::paths::{id_of, kind_at, parent_of};
use crate::rules::{gateway_of, subnets};
use crate::world::World;
use crate::world::inventory::{Vif, Vm};
use crate::world::object::{Object, texts};

type Result<T> = std::result::Result<T, NsxError>;

/// Answers what is asked about counts below an object; `None` for anything else.
pub fn answer(world: &World, request: &Request, path: &str, now: u64) -> Option<Result<Answer>> {
    let (head, tail) = path.rsplit_once('/')?;
    if let Some(gateway) = path.strip_suffix("/nat/statistics") {
        return matches!(kind_at(gateway), Some("Tier0" | "Tier1")).then(|| {
            there(world, gateway)?;
            paged(world, request, &[world.gateway_statistics(gateway, now)])
        });
    }
    let what = (kind_at(head)?, tail);
    let known = matches!(
        what,
        (
            "PolicyNatRule" | "SecurityPolicy" | "GatewayPolicy" | "Rule" | "Segment",
            "statistics"
        ) | ("DhcpServerConfig", "leases" | "stats" | "status" | "state")
            | ("SegmentPort", "state" | "status")
            | ("IpAddressBlock", "usage")
    );
    known.then(|| {
        let object = there(world, head)?;
        match what {
            ("PolicyNatRule", _) => paged(world, request, &[world.nat_rule_statistics(head, now)]),
            ("Rule", _) => paged(world, request, &world.rule_statistics_entries(head)),
            ("SecurityPolicy" | "GatewayPolicy", _) => paged(world, request, &world.policy_statistics(head)),
            ("Segment", _) => Ok(Answer::json(&segment_statistics(world, object))),
            ("DhcpServerConfig", "leases") => leases(world, request, object, now),
            ("DhcpServerConfig", "stats") => dhcp_statistics(world, request, object, now),
            ("DhcpServerConfig", "status") => Ok(Answer::json(&json!({"service_status": "UP"}))),
            ("DhcpServerConfig", _) => Ok(Answer::json(&json!({"state": state_of(object), "details": []}))),
            ("SegmentPort", _) => Ok(Answer::json(&port_state(world, object))),
            _ => Ok(Answer::json(&world.block_usage(object))),
        }
    })
}

fn there<'a>(world: &'a World, path: &str) -> Result<&'a Object> {
    let object = world.store.live(path);
    object.map(AsRef::as_ref).ok_or_else(|| NsxError::not_found(path))
}

fn state_of(object: &Object) -> &'static str {
    match object.realization.state.publish_status() {
        "REALIZED" => "success",
        "ERROR" => "failed",
        _ => "in_progress",
    }
}

/// No packets are counted on segments; what a client can learn is that the segment is there.
fn segment_statistics(world: &World, segment: &Object) -> Value {
    let ports = world
        .store
        .collection(&segment.path, "SegmentPort", false)
        .count();
    let none = json!({"total": 0, "dropped": 0, "multicast_broadcast": 0});
    json!({
        "logical_switch_id": segment.text("realization_id"), "port_count": ports, "rx_bytes": none, "rx_packets": none,
        "tx_bytes": none, "tx_packets": none,
    })
}

/// The port's attachment, and the addresses that its vNIC is known by.
fn port_state(world: &World, port: &Object) -> Value {
    let attachment = port
        .body
        .get("attachment")
        .and_then(|a| a.get("id"))
        .and_then(Value::as_str);
    let vif = attachment.and_then(|id| vifs(world).find(|(_, vif)| vif.external_id == id));
    let bindings: Vec<Value> = vif
        .iter()
        .flat_map(|(_, vif)| vif.ips.iter().map(|ip| (&vif.mac, ip)))
        .map(|(mac, ip)| json!({"binding": {"mac_address": mac, "ip_address": ip}, "source": "VM_TOOLS"}))
        .collect();
    let state = if vif.is_some() { "ATTACHED" } else { "FREE" };
    json!({
        "discovered_bindings": bindings, "realized_bindings": bindings,
        "attachment": {"id": attachment, "state": state},
    })
}

fn vifs(world: &World) -> impl Iterator<Item = (&Vm, &Vif)> {
    let vms = world.inventory.vms.iter();
    vms.flat_map(|vm| vm.vifs.iter().map(move |vif| (vm, vif)))
}

/// Segments that a server serves: they name it, or hang on a gateway that does.
fn served<'a>(world: &'a World, server: &'a Object) -> impl Iterator<Item = &'a Object> {
    let segments = world.store.of_kind("Segment").map(AsRef::as_ref);
    segments.filter(|segment| {
        let by_gateway = || {
            let gateway = gateway_of(&segment.path, &segment.body).and_then(|g| world.store.live(g));
            gateway.is_some_and(|g| texts(&g.body, "dhcp_config_paths").contains(&server.path.as_str()))
        };
        match segment.text("dhcp_config_path") {
            Some(path) => path == server.path,
            None => by_gateway(),
        }
    })
}

/// Leases on a segment: running VMs whose address is of a DHCP range or of a static binding.
fn leases_on(world: &World, segment: &Object) -> Vec<Value> {
    let all = subnets(&segment.body);
    let bound: Vec<&str> = world
        .store
        .collection(&segment.path, "DhcpStaticBindingConfig", false)
        .filter_map(|b| b.text("ip_address"))
        .collect();
    let here = vifs(world).filter(|(vm, vif)| {
        vm.power_state == "VM_RUNNING" && vif.segment.as_deref() == segment.text("realization_id")
    });
    let mut found = Vec::new();
    for (_, vif) in here {
        for ip in &vif.ips {
            let Ok(address) = ip.parse::<IpAddr>() else {
                continue;
            };
            let subnet = all.iter().find(|s| s.net.contains(&address));
            let leased = bound.contains(&ip.as_str())
                || subnet.is_some_and(|s| s.ranges.iter().any(|(_, range)| range.contains(address)));
            if leased {
                found.push(json!({
                    "mac_address": vif.mac, "ip_address": ip,
                    "subnet": subnet.map(|s| s.net.to_string()), "lease_time": "86400",
                }));
            }
        }
    }
    found
}

/// `…/leases?connectivity_path=` a segment or a gateway.
fn leases(world: &World, request: &Request, server: &Object, now: u64) -> Result<Answer> {
    let at = needed(request, "connectivity_path")?;
    there(world, at)?;
    let segments = served(world, server).filter(|s| {
        let wanted = request.parameter("segment_path").is_none_or(|p| p == s.path);
        wanted && (s.path == at || gateway_of(&s.path, &s.body) == Some(at))
    });
    let leases: Vec<Value> = segments.flat_map(|s| leases_on(world, s)).collect();
    Ok(Answer::json(&json!({
        "connectivity_path": at, "dhcp_server_id": server.text("realization_id"), "timestamp": now,
        "result_count": leases.len(), "leases": leases, "ipv6_leases": [],
    })))
}

/// `…/stats?connectivity_path=` a segment or a gateway: how full the ranges are.
fn dhcp_statistics(world: &World, request: &Request, server: &Object, now: u64) -> Result<Answer> {
    let at = needed(request, "connectivity_path")?;
    there(world, at)?;
    let segments = served(world, server).filter(|s| s.path == at || gateway_of(&s.path, &s.body) == Some(at));
    let mut acknowledged = 0;
    let mut pools = Vec::new();
    for segment in segments {
        let leased = leases_on(world, segment);
        acknowledged += leased.len();
        let addresses: Vec<IpAddr> = leased
            .iter()
            .filter_map(|l| l.get("ip_address")?.as_str()?.parse().ok())
            .collect();
        for subnet in subnets(&segment.body) {
            for (text, range) in &subnet.ranges {
                pools.push(pool(segment, text, range, &addresses));
            }
        }
    }
    Ok(Answer::json(&json!({
        "dhcp_server_id": server.text("realization_id"), "timestamp": now, "discovers": acknowledged,
        "offers": acknowledged, "requests": acknowledged, "acks": acknowledged, "nacks": 0, "declines": 0,
        "releases": 0, "informs": 0, "errors": 0, "ip_pool_stats": pools,
    })))
}

fn pool(segment: &Object, text: &str, range: &Span, leased: &[IpAddr]) -> Value {
    let size = range.width().saturating_add(1);
    let taken = leased.iter().filter(|a| range.contains(**a)).count();
    let percentage = u128::try_from(taken)
        .unwrap_or_default()
        .saturating_mul(100)
        .checked_div(size);
    json!({
        "dhcp_ip_pool_id": format!("{}:{text}", id_of(&segment.path)),
        "pool_size": u64::try_from(size).unwrap_or(u64::MAX), "allocated_number": taken,
        "allocated_percentage": percentage.and_then(|p| u64::try_from(p).ok()), "consumed_number": taken,
    })
}

/// `…/dhcp-static-bindings/{id}/state` of a segment.
pub fn binding_state(world: &World, path: &str) -> Option<Result<Answer>> {
    let head = path.strip_suffix("/state")?;
    let (segment, id) = head.split_once("/dhcp-static-bindings/")?;
    let binding = format!("{segment}/dhcp-static-binding-configs/{id}");
    (kind_at(&binding) == Some("DhcpStaticBindingConfig") && parent_of(&binding) == segment).then(|| {
        let object = there(world, &binding)?;
        Ok(Answer::json(&json!({"state": state_of(object), "details": []})))
    })
}
