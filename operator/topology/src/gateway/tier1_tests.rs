use serde_json::{Value, json};

use crate::gateway::{Advertised, GatewayDhcpSpec, Tier1Spec, UplinkSpec};
use crate::identity::Owner;
use crate::intent::Intent;
use crate::plan::nsx_plan;

const CLUSTER: &str = "/infra/sites/default/enforcement-points/default/edge-clusters/ec";

pub(crate) fn owner() -> Owner {
    Owner {
        instance: "i".into(),
        kind: "EdgeGateway".into(),
        namespace: "containers".into(),
        name: "edge".into(),
        uid: "u".into(),
    }
}

fn gateway() -> Tier1Spec {
    Tier1Spec {
        owner: owner(),
        display_name: "VIC-Edge".into(),
        tier0_path: Some("/infra/tier-0s/t0".into()),
        edge_cluster_path: Some(CLUSTER.into()),
        preemptive: false,
        advertised: vec![Advertised::Connected, Advertised::Nat],
        dhcp: Some(GatewayDhcpSpec {
            server_address: Some(("100.96.7.1".parse().unwrap(), 30)),
            lease_seconds: 3600,
        }),
        uplinks: vec![UplinkSpec {
            network: "external-consumer".into(),
            segment_path: "/infra/segments/external".into(),
            addresses: vec![
                ("203.0.113.2".parse().unwrap(), 24),
                ("198.51.100.2".parse().unwrap(), 28),
            ],
        }],
    }
}

fn kinds(spec: &Tier1Spec) -> Vec<&'static str> {
    spec.intents().iter().map(|intent| intent.resource_type).collect()
}

fn body(spec: &Tier1Spec, kind: &str) -> Value {
    let found = spec
        .intents()
        .into_iter()
        .find(|intent| intent.resource_type == kind);
    Value::Object(found.unwrap().body)
}

#[test]
fn a_gateway_is_made_with_what_it_refers_to_first() {
    assert_eq!(
        kinds(&gateway()),
        ["DhcpServerConfig", "Tier1", "LocaleServices", "Tier1Interface"]
    );
    let tier1 = body(&gateway(), "Tier1");
    assert_eq!(tier1["tier0_path"], json!("/infra/tier-0s/t0"));
    assert_eq!(tier1["failover_mode"], json!("NON_PREEMPTIVE"));
    assert_eq!(
        tier1["route_advertisement_types"],
        json!(["TIER1_CONNECTED", "TIER1_NAT"])
    );
    let profile = gateway().intents().remove(0);
    assert_eq!(tier1["dhcp_config_paths"], json!([profile.path]));
    assert_eq!(profile.body["server_addresses"], json!(["100.96.7.1/30"]));
    assert_eq!(
        body(&gateway(), "LocaleServices")["edge_cluster_path"],
        json!(CLUSTER)
    );
}

#[test]
fn an_uplink_is_an_interface_with_the_gateways_own_addresses() {
    let interface = body(&gateway(), "Tier1Interface");
    assert_eq!(interface["segment_path"], json!("/infra/segments/external"));
    assert_eq!(
        interface["subnets"],
        json!([{"ip_addresses": ["203.0.113.2"], "prefix_len": 24}, {"ip_addresses": ["198.51.100.2"], "prefix_len": 28}])
    );
    let spec = gateway();
    let path = spec.interface_path("external-consumer");
    assert!(path.starts_with(&format!(
        "{}/locale-services/default/interfaces/vic-",
        spec.path()
    )));
    assert_ne!(path, spec.interface_path("another"));
}

#[test]
fn what_is_not_declared_is_not_made() {
    let bare = Tier1Spec {
        tier0_path: None,
        edge_cluster_path: None,
        advertised: Vec::new(),
        dhcp: None,
        uplinks: Vec::new(),
        preemptive: true,
        ..gateway()
    };
    assert_eq!(kinds(&bare), ["Tier1"]);
    let tier1 = body(&bare, "Tier1");
    assert_eq!(tier1["failover_mode"], json!("PREEMPTIVE"));
    assert_eq!(tier1["route_advertisement_types"], json!([]));
    assert!(tier1.get("tier0_path").is_none() && tier1.get("dhcp_config_paths").is_none());
}

/// What NSX shows of an object beside the fields we declared.
fn shown(intent: &Intent) -> Value {
    let mut body = Value::Object(intent.body.clone());
    let order = body
        .get("route_advertisement_types")
        .and_then(Value::as_array)
        .cloned();
    if let Some(mut order) = order {
        order.reverse();
        body["route_advertisement_types"] = json!(order);
    }
    body["ha_mode"] = json!("ACTIVE_STANDBY");
    body["pool_allocation"] = json!("ROUTING");
    body
}

#[test]
fn each_edit_by_hand_is_seen_and_what_nsx_fills_in_is_not() {
    let intents = gateway().intents();
    let plan = |edit: &dyn Fn(&mut Value)| {
        let observe = |path: &str| {
            let mut body = shown(intents.iter().find(|intent| intent.path == path)?);
            if path == gateway().path() {
                edit(&mut body);
            }
            Some(body)
        };
        nsx_plan(&intents, observe, &[]).lines()
    };
    assert_eq!(plan(&|_| {}), Vec::<String>::new());
    let edits: [(&str, Value); 5] = [
        ("failover_mode", json!("PREEMPTIVE")),
        ("ha_mode", json!("ACTIVE_ACTIVE")),
        ("disable_firewall", json!(true)),
        ("route_advertisement_types", json!(["TIER1_CONNECTED"])),
        ("tier0_path", json!("/infra/tier-0s/other")),
    ];
    for (field, value) in edits {
        let lines = plan(&|body| body[field] = value.clone());
        assert!(
            matches!(lines.as_slice(), [line] if line.starts_with(&format!("update Tier-1 gateway VIC-Edge: {field}: "))),
            "{field}: {lines:?}"
        );
    }
}
