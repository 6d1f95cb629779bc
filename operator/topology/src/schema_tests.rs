//! Every body this crate can write, held field by field against NSX's own description of its types.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use ipnet::Ipv4Net;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::*;

pub(crate) static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../tests/fixtures/nsx-schema.json")).unwrap());

/// What NSX would refuse in a body of this type.
fn faults(kind: &str, body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    object(kind, body, kind, &mut found);
    found
}

fn object(kind: &str, body: &Value, at: &str, found: &mut Vec<String>) {
    let Some(fields) = SCHEMA["types"].get(kind) else {
        found.push(format!("{at}: type {kind} is unknown"));
        return;
    };
    let Some(body) = body.as_object() else {
        found.push(format!("{at}: no object"));
        return;
    };
    for (name, value) in body {
        let at = format!("{at}.{name}");
        match fields.get(name) {
            None => found.push(format!("{at}: no such field")),
            Some(field) if field.get("readOnly").is_some() => found.push(format!("{at}: read-only")),
            Some(field) => typed(field, value, &at, found),
        }
    }
    let required = fields
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, field)| field.get("required").is_some());
    found.extend(
        required
            .filter(|(name, _)| !body.contains_key(*name))
            .map(|(name, _)| format!("{at}.{name}: missing")),
    );
}

fn typed(field: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let mut fault = |what: &str| found.push(format!("{at}: {what}: {value}"));
    match (field["type"].as_str().unwrap(), value) {
        ("string", Value::String(text)) => {
            if !enumerated(field, text) {
                fault("not of the enumeration");
            }
            if u64::try_from(text.chars().count()).unwrap() > field["maxLength"].as_u64().unwrap_or(u64::MAX)
            {
                fault("too long");
            }
            if text.is_empty() || !formatted(field["format"].as_str().unwrap_or_default(), text) {
                fault("not of the form");
            }
        }
        ("boolean", Value::Bool(_)) => {}
        ("integer", Value::Number(number)) => match number.as_i64() {
            Some(number) if number < field["min"].as_i64().unwrap_or(0) => fault("too small"),
            Some(number) if number > limit_of(field) => fault("too large"),
            Some(_) => {}
            None => fault("no integer"),
        },
        ("object", Value::Object(_)) => {
            object(
                &concrete(field["$ref"].as_str().unwrap(), value),
                value,
                at,
                found,
            );
        }
        ("array", Value::Array(items)) => {
            let count = u64::try_from(items.len()).unwrap();
            if count > field["maxItems"].as_u64().unwrap_or(u64::MAX)
                || count < field["minItems"].as_u64().unwrap_or(0)
            {
                fault("a wrong number of items");
            }
            for (position, item) in items.iter().enumerate() {
                let at = format!("{at}[{position}]");
                match field["items"].get("$ref").and_then(Value::as_str) {
                    Some(kind) => object(&concrete(kind, item), item, &at, found),
                    None => typed(&field["items"], item, &at, found),
                }
            }
        }
        (wanted, _) => fault(&format!("not of type {wanted}")),
    }
}

fn limit_of(field: &Value) -> i64 {
    let scalar = if field["format"] == "int32" {
        i64::from(i32::MAX)
    } else {
        i64::MAX
    };
    field["max"].as_i64().unwrap_or(scalar)
}

fn enumerated(field: &Value, text: &str) -> bool {
    field["enum"]
        .as_array()
        .is_none_or(|values| values.iter().any(|value| value == text))
}

/// The type a discriminated object says it is of.
pub(crate) fn concrete(declared: &str, value: &Value) -> String {
    match declared {
        "ServiceEntry" | "SegmentDhcpConfig" | "Expression" => {
            value["resource_type"].as_str().unwrap_or(declared).to_owned()
        }
        other => other.to_owned(),
    }
}

fn formatted(format: &str, text: &str) -> bool {
    let address = |text: &str| text.parse::<Ipv4Addr>().is_ok();
    let block = |text: &str| text.parse::<Ipv4Net>().is_ok();
    match format {
        // For NAT the prose is narrower than the format: no ranges, and our bodies hold one value.
        "list-of-address-or-block-or-range" => address(text) || block(text),
        "address-or-block-or-range" => address(text) || block(text) || text.parse::<Range>().is_ok(),
        "ip-cidr-block" => block(text),
        "ip" => address(text),
        "port-or-range" => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if first <= last)
        }
        _ => true,
    }
}

pub(crate) fn faults_of(intents: &[Intent]) -> Vec<String> {
    let mut found = Vec::new();
    for intent in intents {
        let mut body = Value::Object(intent.body.clone());
        body["resource_type"] = json!(intent.resource_type);
        found.extend(faults(intent.resource_type, &body));
        found.extend(prose(&intent.path, &body));
        if intent.resource_type == "PolicyNatRule" {
            found.extend(nat_table(&body, intents));
        }
    }
    found
}

/// Limits that NSX states in prose only.
fn prose(path: &str, body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let id = path.rsplit('/').next().unwrap();
    if id.is_empty() || id.len() > 255 || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        found.push(format!("{path}: no safe id"));
    }
    for tag in body["tags"].as_array().unwrap() {
        if tag["tag"].as_str().unwrap().len() > 256 {
            found.push(format!("{path}: a tag of more than 256 characters"));
        }
    }
    found
}

/// NSX's table of NAT rules: what each action demands and forbids.
fn nat_table(rule: &Value, unit: &[Intent]) -> Vec<String> {
    let there = |field: &str| rule.get(field).is_some();
    let mut found = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{what}: {rule}"));
        }
    };
    let action = rule["action"].as_str().unwrap();
    let translates = !action.starts_with("NO_");
    expect(there("translated_network") == translates, "translated_network");
    expect(there("firewall_match") == translates, "firewall_match");
    match action {
        "SNAT" | "NO_SNAT" => expect(there("source_network"), "source_network is mandatory"),
        "DNAT" | "NO_DNAT" => expect(there("destination_network"), "destination_network is mandatory"),
        "REFLEXIVE" => {
            expect(
                there("source_network") && !there("destination_network"),
                "REFLEXIVE networks",
            );
            let size = |field: &str| network(rule[field].as_str().unwrap()).prefix_len();
            expect(
                size("source_network") == size("translated_network"),
                "REFLEXIVE sizes",
            );
        }
        other => expect(false, other),
    }
    expect(
        !there("translated_ports") || (there("service") && action == "DNAT"),
        "translated_ports need a service",
    );
    let service = rule.get("service").and_then(Value::as_str);
    expect(
        service.is_none_or(|path| unit.iter().any(|intent| intent.path == path)),
        "the service is not in the unit",
    );
    expect(
        rule["sequence_number"]
            .as_u64()
            .is_some_and(|n| n <= 2_147_481_599),
        "sequence_number",
    );
    found
}

fn network(text: &str) -> Ipv4Net {
    text.parse()
        .unwrap_or_else(|_| Ipv4Net::from(text.parse::<Ipv4Addr>().unwrap()))
}

#[test]
fn a_body_that_nsx_would_refuse_is_found_out() {
    let good = json!({"action": "DNAT", "tags": [{"scope": "a", "tag": "b"}], "sequence_number": 5});
    assert_eq!(faults("PolicyNatRule", &good), Vec::<String>::new());
    let broken = [
        (
            "PolicyNatRule",
            json!({"action": "DNAT", "destination_nets": "203.0.113.1"}),
            "no such field",
        ),
        (
            "PolicyNatRule",
            json!({"action": "DNAT", "path": "/infra/x"}),
            "read-only",
        ),
        ("PolicyNatRule", json!({"action": "dnat"}), "enumeration"),
        ("PolicyNatRule", json!({"enabled": true}), "missing"),
        (
            "PolicyNatRule",
            json!({"action": "DNAT", "enabled": "true"}),
            "not of type boolean",
        ),
        (
            "PolicyNatRule",
            json!({"action": "DNAT", "sequence_number": 4_000_000_000_u32}),
            "too large",
        ),
        (
            "PolicyNatRule",
            json!({"action": "DNAT", "source_network": "10.0.0.1-10.0.0.9"}),
            "form",
        ),
        (
            "Segment",
            json!({"tags": [{"scope": "x".repeat(129)}]}),
            "too long",
        ),
        (
            "Segment",
            json!({"subnets": [{"gateway_address": "10.0.0.1"}]}),
            "form",
        ),
        (
            "Segment",
            json!({"subnets": [{"dhcp_config": {"server_address": "10.0.0.2/24"}}]}),
            "unknown",
        ),
        (
            "Service",
            json!({"service_entries": [{"resource_type": "L4PortSetServiceEntry"}]}),
            "missing",
        ),
    ];
    for (kind, body, what) in broken {
        let found = faults(kind, &body);
        assert!(
            found.iter().any(|fault| fault.contains(what)),
            "{body} should be {what}, but: {found:?}"
        );
    }
}

/// What a retained object is written back with holds nothing that NSX alone may write.
#[test]
fn every_read_only_field_is_dropped_before_an_object_is_written_back() {
    let types = SCHEMA["types"].as_object().unwrap();
    let top = [
        "PolicyNatRule",
        "Segment",
        "DhcpServerConfig",
        "Service",
        "GatewayPolicy",
        "SecurityPolicy",
        "Group",
        "Rule",
    ];
    for kind in top {
        let fields = types[kind].as_object().unwrap();
        let full: Map<String, Value> = fields.iter().map(|(name, _)| (name.clone(), json!([]))).collect();
        for name in without_tags(&Value::Object(full)).keys() {
            assert!(
                fields[name].get("readOnly").is_none(),
                "{kind}.{name} is read-only"
            );
        }
    }
}

fn nets(width: std::ops::RangeInclusive<u8>) -> impl Strategy<Value = Ipv4Net> {
    (any::<u32>(), width).prop_map(|(bits, width)| Ipv4Net::new(Ipv4Addr::from(bits), width).unwrap().trunc())
}

pub(crate) fn ports() -> impl Strategy<Value = Ports> {
    (1_u16..=65_535, 0_u16..200).prop_map(|(first, more)| Ports {
        first,
        last: first.saturating_add(more),
    })
}

fn firewalls() -> impl Strategy<Value = NatFirewall> {
    let sources = || prop::collection::vec(nets(0..=32), 1..8);
    prop_oneof![
        (sources(), any::<bool>())
            .prop_map(|(sources, internal)| NatFirewall::Exclusive { sources, internal }),
        (sources(), any::<bool>())
            .prop_map(|(sources, internal)| NatFirewall::Additive { sources, internal }),
        Just(NatFirewall::Unmanaged),
        Just(NatFirewall::Bypass),
    ]
}

/// Every action with every shape of ports, peers and firewall that the API admits.
pub(crate) fn nat_specs() -> impl Strategy<Value = NatSpec> {
    let actions = prop::sample::select(vec![
        NatAction::Dnat,
        NatAction::Snat,
        NatAction::Reflexive,
        NatAction::NoDnat,
        NatAction::NoSnat,
    ]);
    let protocols = prop::sample::select(vec![
        NatProtocol::Tcp,
        NatProtocol::Udp,
        NatProtocol::Icmp,
        NatProtocol::Any,
    ]);
    let sides = (
        nets(24..=32),
        nets(24..=32),
        prop::collection::btree_set(nets(1..=32), 0..4),
    );
    let numbers = (
        prop::option::of(ports()),
        prop::option::of(1_u16..=65_535),
        0_u32..=1000,
        any::<bool>(),
        prop::option::of("/infra/tier-1s/edge/locale-services/default/interfaces/[a-z]{1,9}"),
    );
    (
        actions,
        protocols,
        sides,
        numbers,
        firewalls(),
        "[a-z][a-z0-9-]{0,60}",
    )
        .prop_map(
            |(
                action,
                protocol,
                (external, internal, remotes),
                (ports, port, priority, logging, scope),
                firewall,
                name,
            )| {
                let external = if action == NatAction::Reflexive {
                    Ipv4Net::new(external.addr(), internal.prefix_len())
                        .unwrap()
                        .trunc()
                } else {
                    external
                };
                let published = matches!(action, NatAction::Dnat | NatAction::Reflexive);
                let ported = matches!(protocol, NatProtocol::Tcp | NatProtocol::Udp)
                    && matches!(action, NatAction::Dnat | NatAction::NoDnat);
                let external_ports = ports.filter(|_| ported);
                let fits = |port: &u16| external_ports.is_some_and(|ports| ports.moved_to(*port).is_some());
                NatSpec {
                    owner: owner(&name),
                    gateway_path: "/infra/tier-1s/edge".into(),
                    action,
                    protocol,
                    external: (action != NatAction::NoSnat).then_some(external),
                    external_ports,
                    internal: (action != NatAction::NoDnat).then_some(internal),
                    internal_port: port.filter(fits).filter(|_| action == NatAction::Dnat),
                    remotes: if action == NatAction::Reflexive {
                        Vec::new()
                    } else {
                        remotes.into_iter().collect()
                    },
                    allocation: logging.then(|| AllocationSpec {
                        instance: "i".into(),
                        namespace: "containers".into(),
                        pool_path: "/infra/ip-pools/public".into(),
                        name: name.clone(),
                    }),
                    scope: scope.into_iter().collect(),
                    priority,
                    logging,
                    firewall: if published {
                        firewall
                    } else {
                        NatFirewall::Unmanaged
                    },
                }
            },
        )
}

pub(crate) fn owner(name: &str) -> Owner {
    Owner {
        instance: "2f1c3b5e-6c9e-4c7e-9a5c-5d0f0a4b7a11".into(),
        kind: "EdgeNatRule".into(),
        namespace: "containers".into(),
        name: name.into(),
        uid: "0d3a6c1e-1111-4222-8333-944455556666".into(),
    }
}

/// A unit in NSX after it was written: what was declared, with what NSX adds.
pub(crate) fn read_back(intent: &Intent) -> Value {
    let mut body = intent.body.clone();
    body.insert("resource_type".into(), json!(intent.resource_type));
    body.insert("path".into(), json!(intent.path));
    body.insert("_revision".into(), json!(3));
    body.insert("unique_id".into(), json!("8d1f"));
    Value::Object(body)
}

proptest! {
    #[test]
    fn nsx_takes_every_nat_rule(spec in nat_specs()) {
        let intents = spec.intents();
        prop_assert_eq!(faults_of(&intents), Vec::<String>::new());
        prop_assert!(intents.iter().any(|intent| intent.path == spec.rule_path()));
    }

    #[test]
    fn a_written_rule_leaves_nothing_to_do_and_reads_as_its_claim(spec in nat_specs()) {
        let intents = spec.intents();
        let observe = |path: &str| intents.iter().find(|intent| intent.path == path).map(read_back);
        prop_assert!(nsx_plan(&intents, observe, &[]).is_empty());
        let read = |path: &String| Claim::from_nat_rule(&spec.gateway_path, &observe(path).unwrap(), observe).unwrap();
        let written: Vec<Claim> = spec.rule_paths().iter().map(read).collect();
        prop_assert!(spec.claim().is_made_of(&written.iter().collect::<Vec<_>>()));
    }

    #[test]
    fn nsx_takes_every_segment(
        host in 1_u8..=254,
        served in any::<bool>(),
        routed in any::<bool>(),
        told in any::<bool>(),
        lease in 60_u64..=4_294_967_295,
        dns in prop::collection::vec(any::<u32>().prop_map(Ipv4Addr::from), 0..=2),
    ) {
        let profile = dhcp_profile("i", routed.then_some("/infra/sites/default/enforcement-points/default/edge-clusters/e"));
        let dhcp = DhcpSpec {
            server_address: Ipv4Addr::new(10, 30, 0, host),
            ranges: vec!["10.30.0.11-10.30.0.99".parse().unwrap(), "10.30.0.120-10.30.0.120".parse().unwrap()],
            lease_seconds: lease,
            profile_path: profile.path.clone(),
            routes: vec![("10.99.0.0/16".parse().unwrap(), Ipv4Addr::new(10, 30, 0, 254)); usize::from(told)],
            options: vec![(66, vec!["tftp.example.com".into()]); usize::from(told)],
            bindings: vec![
                BindingSpec {
                    name: "printer".into(),
                    mac: "02:00:00:00:00:01".into(),
                    address: Ipv4Addr::new(10, 30, 0, 5),
                    host_name: routed.then(|| "printer".into()),
                };
                usize::from(told)
            ],
        };
        let relay = dhcp_relay("i", &[Ipv4Addr::new(10, 20, 0, 67)]);
        let subnet = SubnetSpec {
            gateway: Ipv4Addr::new(10, 30, 0, 1),
            net: "10.30.0.0/24".parse().unwrap(),
            dns,
            dhcp: served.then_some(dhcp),
            relay_path: (!served).then(|| relay.path.clone()),
        };
        let segment = SegmentSpec {
            id: owner("n").external_id(),
            display_name: "VIC-Container-Network".into(),
            tags: owner("n").tags(),
            transport_zone_path: "/infra/sites/default/enforcement-points/default/transport-zones/overlay".into(),
            connectivity_path: routed.then(|| "/infra/tier-1s/edge".into()),
            subnet: (served || routed).then_some(subnet),
            vlans: Vec::new(),
            source_replication: told,
            down: !routed,
        };
        let vlan = SegmentSpec {
            id: owner("vlan").external_id(),
            connectivity_path: None,
            subnet: None,
            vlans: vec!["100".into(), "200-299".into()],
            source_replication: false,
            ..segment.clone()
        };
        let intents: Vec<Intent> =
            [profile, relay].into_iter().chain(segment.intents()).chain(vlan.intents()).collect();
        prop_assert_eq!(faults_of(&intents), Vec::<String>::new());
        let observe = |path: &str| intents.iter().find(|intent| intent.path == path).map(read_back);
        prop_assert!(nsx_plan(&intents, observe, &[]).is_empty());
    }
}
