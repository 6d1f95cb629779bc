//! What a manager has before anyone writes to it.

use serde_json::{Map, Value, json};

use super::World;

/// Predefined services: id and name, entry type and its own fields.
const SERVICES: &[(&str, &str, &[&str])] = &[
    ("HTTP", "TCP", &["80"]),
    ("HTTPS", "TCP", &["443"]),
    ("SSH", "TCP", &["22"]),
    ("DNS", "TCP", &["53"]),
    ("DNS-UDP", "UDP", &["53"]),
    ("NTP", "UDP", &["123"]),
    ("MySQL", "TCP", &["3306"]),
];

/// Puts everything in place, realized and known to search.
///
/// # Errors
/// When an object is missing afterwards.
pub fn plant(world: &mut World, now: u64) -> Result<(), String> {
    let point = "/infra/sites/default/enforcement-points/default";
    let cluster = format!("{point}/edge-clusters/edge-cluster-1");
    let objects = [
        ("/orgs/default".to_owned(), json!({})),
        ("/infra/domains/default".into(), json!({})),
        ("/infra/sites/default".into(), json!({})),
        (
            point.into(),
            json!({"connection_info": {"resource_type": "NSXTConnectionInfo", "enforcement_point_address": "127.0.0.1"}}),
        ),
        (
            format!("{point}/transport-zones/overlay"),
            json!({"tz_type": "OVERLAY_BACKED", "transport_zone_type": "OVERLAY", "is_default": true}),
        ),
        (
            format!("{point}/transport-zones/vlan"),
            json!({"tz_type": "VLAN_BACKED", "transport_zone_type": "VLAN", "is_default": true}),
        ),
        (cluster.clone(), json!({})),
        (format!("{cluster}/edge-nodes/edge-1"), json!({})),
        (format!("{cluster}/edge-nodes/edge-2"), json!({})),
        (
            "/infra/tier-0s/vic-t0".into(),
            json!({"ha_mode": "ACTIVE_STANDBY"}),
        ),
        (
            "/infra/tier-0s/vic-t0/locale-services/default".into(),
            json!({"edge_cluster_path": cluster}),
        ),
        (
            "/infra/tier-1s/vic-edge".into(),
            json!({"tier0_path": "/infra/tier-0s/vic-t0", "route_advertisement_types":
                ["TIER1_STATIC_ROUTES", "TIER1_CONNECTED", "TIER1_NAT"]}),
        ),
        (
            "/infra/tier-1s/vic-edge/locale-services/default".into(),
            json!({"edge_cluster_path": cluster}),
        ),
    ];
    world.store.begin();
    for (path, declared) in objects {
        let Value::Object(declared) = declared else {
            continue;
        };
        world.plant(&path, declared, now);
        match path.as_str() {
            "/infra/tier-0s/vic-t0" => gateway(world, &path, "Tier0", now),
            "/infra/tier-1s/vic-edge" => gateway(world, &path, "Tier1", now),
            _ => {}
        }
        // Transport zones, edges and gateways are the site's own, not the manager's.
        let keeps_system = [
            "/orgs/default",
            "/infra/domains/default",
            "/infra/sites/default",
            point,
        ]
        .contains(&path.as_str());
        if !keeps_system && let Some(object) = world.store.live(&path) {
            let mut object = super::object::Object::clone(object);
            object.body_mut().insert("_system_owned".into(), json!(false));
            object.body_mut().insert("_create_user".into(), json!("admin"));
            world.store.put(object);
        }
    }
    services(world, now);
    distributed_default(world, crate::paths::ROOT, now);
    let touched = world.store.keep();
    let expected = touched.len();
    let tuning = world.tuning.clone();
    world.tuning.realization_delay_ms = 0;
    world.tuning.search_delay_ms = 0;
    world.plan_realization(&touched, now);
    world.advance(now);
    world.tuning = tuning;
    if world.store.all().count() == expected {
        Ok(())
    } else {
        Err("the seed is incomplete".into())
    }
}

/// What the system makes together with a gateway: its NAT sections and its default policy.
pub fn gateway(world: &mut World, path: &str, kind: &str, now: u64) {
    for section in ["USER", "INTERNAL", "DEFAULT", "NAT64"] {
        let declared = Map::from_iter([("nat_type".to_owned(), Value::from(section))]);
        world.plant(&format!("{path}/nat/{section}"), declared, now);
    }
    default_gateway_policy(world, path, kind, now);
}

/// The policy a fresh gateway has: one rule, ALLOW.
fn default_gateway_policy(world: &mut World, path: &str, kind: &str, now: u64) {
    let tier = if kind == "Tier0" { "tier0" } else { "tier1" };
    let id = format!("Policy_Default_Infra-{tier}-{}", crate::paths::id_of(path));
    let policy = format!(
        "{}/domains/default/gateway-policies/{id}",
        crate::paths::root_of(path)
    );
    plant_policy(
        world,
        &policy,
        json!({"category": "Default"}),
        json!({
            "action": "ALLOW", "source_groups": ["ANY"], "destination_groups": ["ANY"], "services": ["ANY"],
            "scope": [path], "sequence_number": 2_147_483_647
        }),
        now,
    );
}

/// What the system makes together with a project: its domain, and its distributed firewall's default policy.
pub fn project(world: &mut World, path: &str, now: u64) {
    let root = format!("{path}{}", crate::paths::ROOT);
    world.plant(&format!("{root}/domains/default"), Map::new(), now);
    distributed_default(world, &root, now);
}

fn distributed_default(world: &mut World, root: &str, now: u64) {
    let policy = format!("{root}/domains/default/security-policies/default-layer3-section");
    plant_policy(
        world,
        &policy,
        json!({"category": "Application", "sequence_number": 2_147_483_647}),
        json!({
            "action": "ALLOW", "source_groups": ["ANY"], "destination_groups": ["ANY"], "services": ["ANY"],
            "scope": ["ANY"], "sequence_number": 2_147_483_647
        }),
        now,
    );
}

fn plant_policy(world: &mut World, path: &str, policy: Value, rule: Value, now: u64) {
    for (path, declared) in [
        (path.to_owned(), policy),
        (format!("{path}/rules/default_rule"), rule),
    ] {
        let Value::Object(declared) = declared else {
            continue;
        };
        world.plant(&path, declared, now);
        if let Some(object) = world.store.live(&path) {
            let mut object = super::object::Object::clone(object);
            object.body_mut().insert("is_default".into(), json!(true));
            world.store.put(object);
        }
    }
}

fn services(world: &mut World, now: u64) {
    for (name, protocol, ports) in SERVICES {
        let entry = json!({"resource_type": "L4PortSetServiceEntry", "l4_protocol": protocol, "destination_ports": ports});
        plant_service(world, name, entry, now);
    }
    plant_service(
        world,
        "ICMP-ALL",
        json!({"resource_type": "ICMPTypeServiceEntry", "protocol": "ICMPv4"}),
        now,
    );
}

fn plant_service(world: &mut World, name: &str, entry: Value, now: u64) {
    let path = format!("/infra/services/{name}");
    world.plant(&path, Map::new(), now);
    if let Some(object) = world.store.live(&path) {
        let mut object = super::object::Object::clone(object);
        object.body_mut().insert("is_default".into(), json!(true));
        world.store.put(object);
    }
    if let Value::Object(entry) = entry {
        world.plant(&format!("{path}/service-entries/{name}"), entry, now);
    }
}
