//! What NSX takes a field to be where nobody wrote it.
//!
//! Two things follow from that. A field that we declare at its default may be left out of an answer: NSX does
//! not promise to echo defaults. And a field that we leave undeclared may have been set by someone else: our
//! PATCH replaces the whole object and would put it back, so its presence is a difference.

use serde_json::{Value, json};

/// Whether an absent field means this value. Source: the defaults of NSX's field tables.
pub(crate) fn is_default(field: &str, value: &Value) -> bool {
    match field {
        // Here what looks empty is not the default.
        "enabled" | "stateful" => value == &json!(true),
        _ if is_empty(value) => true,
        "sequence_number" => value == &json!(0),
        "admin_state" => value == "UP",
        "replication_mode" => value == "MTEP",
        "direction" => value == "IN_OUT",
        "failover_mode" => value == "NON_PREEMPTIVE",
        "ha_mode" => value == "ACTIVE_STANDBY",
        "ip_protocol" => value == "IPV4_IPV6",
        "firewall_match" => value == "MATCH_INTERNAL_ADDRESS",
        "policy_based_vpn_mode" => value == "BYPASS",
        "category" => value == "LocalGatewayRules",
        "lease_time" => value == &json!(86_400),
        "services" | "profiles" => value == &json!(["ANY"]),
        "source_network" | "destination_network" => value == "ANY",
        _ => false,
    }
}

/// Fields of a type that change what an object does and that we mean to be at their defaults where we do not
/// declare them. Not listed is what NSX fills in by itself or what does not change the effect.
pub(crate) fn meant_absent(kind: &str) -> &'static [&'static str] {
    match kind {
        "Segment" => &[
            "admin_state",
            "connectivity_path",
            "dhcp_config_path",
            "replication_mode",
            "subnets",
            "vlan_ids",
        ],
        "SegmentSubnet" => &["dhcp_config", "dhcp_ranges"],
        "SegmentDhcpV4Config" => &["dns_servers", "options"],
        "PolicyNatRule" => &[
            "destination_network",
            "policy_based_vpn_mode",
            "scope",
            "service",
            "source_network",
            "translated_network",
            "translated_ports",
        ],
        "Rule" => &[
            "destinations_excluded",
            "profiles",
            "service_entries",
            "sources_excluded",
        ],
        "GatewayPolicy" => &["scheduler_path", "stateful"],
        "Tier1" => &[
            "dhcp_config_paths",
            "disable_firewall",
            "ha_mode",
            "route_advertisement_rules",
            "tier0_path",
        ],
        "SecurityPolicy" => &["application_connectivity_strategy", "locked", "scheduler_path"],
        "Group" => &["extended_expression"],
        "L4PortSetServiceEntry" => &["destination_ports", "source_ports"],
        "ICMPTypeServiceEntry" => &["icmp_code", "icmp_type"],
        _ => &[],
    }
}

/// The type of what a field holds, where the object itself does not say.
pub(crate) fn kind_of<'a>(field: &str, object: &'a Value) -> &'a str {
    match field {
        "subnets" => "SegmentSubnet",
        _ => object
            .get("resource_type")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    }
}

/// What says nothing: NSX leaves it out, or fills it in for what was left out.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) | Value::Bool(true) => false,
    }
}
