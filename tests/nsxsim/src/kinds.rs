//! What is peculiar to each type, beyond its fields.

/// Which fields of a type name other objects.
pub struct Reference {
    /// Type that has the field.
    pub kind: &'static str,
    /// Where: dots go into objects, `[]` into every element of a list.
    pub field: &'static str,
    /// Types the field may point to.
    pub targets: &'static [&'static str],
}

const fn points(kind: &'static str, field: &'static str, targets: &'static [&'static str]) -> Reference {
    Reference { kind, field, targets }
}

const GATEWAYS: &[&str] = &["Tier0", "Tier1"];
const DHCP: &[&str] = &["DhcpServerConfig", "DhcpRelayConfig"];
const EDGE_NODES: &[&str] = &["PolicyEdgeNode"];
const GROUP_SCOPE: &[&str] = &["Group"];
const RULE_SCOPE: &[&str] = &[
    "Group",
    "Tier0",
    "Tier1",
    "LocaleServices",
    "Tier0Interface",
    "Tier1Interface",
];
const GATEWAY_SCOPE: &[&str] = &[
    "Tier0",
    "Tier1",
    "LocaleServices",
    "Tier0Interface",
    "Tier1Interface",
];
const SEGMENTS: &[&str] = &["Segment"];
const RELAYS: &[&str] = &["DhcpRelayConfig"];
const MEMBERS: &[&str] = &["Group", "Segment", "SegmentPort"];

/// Every reference the simulator keeps whole. Fields that point to types it does not model (profiles, labels)
/// are free text.
pub const REFERENCES: &[Reference] = &[
    points("Tier1", "tier0_path", &["Tier0"]),
    points("Tier1", "dhcp_config_paths[]", DHCP),
    points("Tier0", "dhcp_config_paths[]", DHCP),
    points("LocaleServices", "edge_cluster_path", &["PolicyEdgeCluster"]),
    points("LocaleServices", "preferred_edge_paths[]", EDGE_NODES),
    points("Tier1Interface", "segment_path", SEGMENTS),
    points("Tier1Interface", "dhcp_relay_path", RELAYS),
    points("Tier0Interface", "segment_path", SEGMENTS),
    points("Tier0Interface", "edge_path", EDGE_NODES),
    points("Tier0Interface", "dhcp_relay_path", RELAYS),
    points("Segment", "transport_zone_path", &["PolicyTransportZone"]),
    points("Segment", "connectivity_path", GATEWAYS),
    points("Segment", "dhcp_config_path", DHCP),
    points("DhcpServerConfig", "edge_cluster_path", &["PolicyEdgeCluster"]),
    points("DhcpServerConfig", "preferred_edge_paths[]", EDGE_NODES),
    points(
        "Segment",
        "advanced_config.address_pool_paths[]",
        &["IpAddressPool"],
    ),
    points("IpAddressPoolBlockSubnet", "ip_block_path", &["IpAddressBlock"]),
    points("Project", "tier_0s[]", &["Tier0"]),
    points("Project", "external_ipv4_blocks[]", &["IpAddressBlock"]),
    points(
        "Project",
        "site_infos[].edge_cluster_paths[]",
        &["PolicyEdgeCluster"],
    ),
    points("PolicyNatRule", "service", &["Service"]),
    points("PolicyNatRule", "scope[]", RULE_SCOPE),
    points("NestedServiceServiceEntry", "nested_service_path", &["Service"]),
    points("Group", "expression[].paths[]", MEMBERS),
    points("Group", "expression[].expressions[].paths[]", MEMBERS),
    points("SecurityPolicy", "scope[]", GROUP_SCOPE),
    points("GatewayPolicy", "scope[]", GATEWAY_SCOPE),
    points("Rule", "source_groups[]", GROUP_SCOPE),
    points("Rule", "destination_groups[]", GROUP_SCOPE),
    points("Rule", "services[]", &["Service"]),
    points("Rule", "scope[]", RULE_SCOPE),
];

/// Children that go with their parent and never keep it from being deleted: those that are part of it, and those
/// the system made with it.
pub fn goes_with_parent(kind: &str) -> bool {
    matches!(kind, "Rule" | "PolicyNat") || kind.ends_with("ServiceEntry")
}

/// Children that a parent's body embeds: (parent type, field, child type).
pub const EMBEDDED: &[(&str, &str, &str)] = &[
    ("SecurityPolicy", "rules", "Rule"),
    ("GatewayPolicy", "rules", "Rule"),
    ("Service", "service_entries", "ServiceEntry"),
];

/// The realized entity of a type, `None` for what exists only as intent. The names are recalled, not verified:
/// clients have no reason to read them.
pub fn entity_type(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Tier0" | "Tier1" => "RealizedLogicalRouter",
        "LocaleServices" => "RealizedServiceRouter",
        "Tier0Interface" | "Tier1Interface" => "RealizedLogicalRouterPort",
        "StaticRoutes" => "RealizedStaticRoute",
        "Segment" => "RealizedLogicalSwitch",
        "SegmentPort" => "RealizedLogicalPort",
        "DhcpServerConfig" => "RealizedDhcpServer",
        "DhcpRelayConfig" => "RealizedDhcpRelay",
        "DhcpV4StaticBindingConfig" | "DhcpV6StaticBindingConfig" => "RealizedDhcpStaticBinding",
        "PolicyNatRule" => "RealizedNatRule",
        "Service" => "RealizedService",
        "Group" => "RealizedGroup",
        "SecurityPolicy" | "GatewayPolicy" => "RealizedFirewallSection",
        "Rule" => "RealizedFirewallRule",
        "IpAddressPool" => "RealizedIpPool",
        "IpAddressPoolStaticSubnet" | "IpAddressPoolBlockSubnet" => "RealizedIpPoolSubnet",
        "IpAddressAllocation" => "RealizedIpAllocation",
        _ => return None,
    })
}

/// Rank by which a hierarchical call is worked through, so that its errors come in a steady order.
pub fn rank(kind: &str) -> u8 {
    match kind {
        "Org" | "Project" | "Domain" | "Site" | "EnforcementPoint" => 0,
        "PolicyTransportZone" | "PolicyEdgeCluster" | "PolicyEdgeNode" => 1,
        "DhcpServerConfig" | "DhcpRelayConfig" | "Tier0" => 2,
        "Tier1" => 3,
        "LocaleServices" | "Segment" => 4,
        "Service" | "SegmentPort" | "Tier0Interface" | "Tier1Interface" | "StaticRoutes" => 5,
        "Group" => 6,
        "GatewayPolicy" | "SecurityPolicy" => 7,
        _ => 8,
    }
}
