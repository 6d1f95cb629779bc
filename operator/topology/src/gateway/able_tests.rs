use serde_json::{Value, json};

use crate::gateway::GatewayView;
use crate::nat::{NatAction, NatFirewall};

const TIER1: &str = "/infra/tier-1s/edge";
const TIER0: &str = "/infra/tier-0s/t0";

fn view(path: &str, body: &Value, edge_cluster: bool) -> GatewayView {
    let services = json!({"edge_cluster_path": "/ec"});
    GatewayView::read(path, body, edge_cluster.then_some(&services))
}

fn linked() -> Value {
    json!({"tier0_path": TIER0, "route_advertisement_types": ["TIER1_CONNECTED", "TIER1_NAT"]})
}

#[test]
fn what_nobody_said_is_read_as_nsx_means_it() {
    let silent = json!({});
    assert!(
        view(TIER0, &silent, true).active_active,
        "a Tier-0 is active-active by default"
    );
    assert!(!view(TIER1, &silent, true).active_active);
    let tier1 = view(TIER1, &silent, false);
    assert_eq!(
        (tier1.edge_cluster, tier1.uplink, tier1.advertises_nat),
        (None, None, false)
    );
}

#[test]
fn a_rule_that_cannot_work_is_told_why() {
    use NatAction::{Dnat, NoDnat, NoSnat, Reflexive, Snat};
    let open = NatFirewall::Unmanaged;
    let closed = NatFirewall::Exclusive {
        sources: Vec::new(),
        internal: false,
    };
    let quiet = json!({"tier0_path": TIER0, "route_advertisement_types": ["TIER1_CONNECTED"]});
    let standby = json!({"ha_mode": "ACTIVE_STANDBY"});
    let off = {
        let mut body = linked();
        body["disable_firewall"] = json!(true);
        body
    };
    let cases: [(GatewayView, NatAction, &NatFirewall, Option<&str>); 14] = [
        (view(TIER1, &linked(), true), Dnat, &closed, None),
        (view(TIER1, &linked(), false), Dnat, &open, Some("edge cluster")),
        (view(TIER1, &linked(), false), NoSnat, &open, Some("edge cluster")),
        (view(TIER1, &quiet, true), Dnat, &open, Some("TIER1_NAT")),
        (view(TIER1, &quiet, true), Snat, &open, Some("TIER1_NAT")),
        (view(TIER1, &quiet, true), Reflexive, &open, Some("TIER1_NAT")),
        (view(TIER1, &quiet, true), NoDnat, &open, None),
        (view(TIER1, &quiet, true), NoSnat, &open, None),
        (view(TIER1, &json!({}), true), Dnat, &open, None),
        (view(TIER0, &standby, true), Dnat, &open, None),
        (view(TIER0, &json!({}), true), Dnat, &open, Some("active-active")),
        (view(TIER0, &json!({}), true), Reflexive, &open, None),
        (view(TIER1, &off, true), Dnat, &closed, Some("firewall disabled")),
        (view(TIER1, &off, true), Dnat, &open, None),
    ];
    for (view, action, firewall, expected) in cases {
        let told = view.keeps_from(action, firewall);
        match expected {
            None => assert_eq!(told, None, "{view:?} {action:?}"),
            Some(part) => assert!(
                told.is_some_and(|told| told.contains(part)),
                "{view:?} {action:?}: {told:?}"
            ),
        }
    }
}

#[test]
fn an_existing_gateway_names_each_shortcoming_once() {
    assert_eq!(view(TIER1, &linked(), true).shortcomings(), Vec::<&str>::new());
    assert_eq!(view(TIER1, &linked(), false).shortcomings().len(), 1);
    let mut off = linked();
    off["disable_firewall"] = json!(true);
    let found = view(TIER1, &off, true).shortcomings();
    assert!(
        matches!(found.as_slice(), [one] if one.contains("firewall")),
        "{found:?}"
    );
}
