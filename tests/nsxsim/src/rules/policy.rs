//! Security and gateway policies and their rules.

use serde_json::{Map, Value, json};

use super::service;
use crate::error::{FIELD, NsxError};
use crate::net::Span;
use crate::paths::{gateway_at, parent_of};
use crate::world::World;
use crate::world::object::{Object, text, texts};

/// Categories of a gateway policy, in the order they are worked through.
pub const GATEWAY_CATEGORIES: &[&str] = &[
    "Emergency",
    "SystemRules",
    "SharedPreRules",
    "SharedExternalRules",
    "LocalGatewayRules",
    "AutoServiceRules",
    "Default",
];
/// Categories of a distributed policy, in the order they are worked through.
pub const DISTRIBUTED_CATEGORIES: &[&str] = &[
    "Ethernet",
    "Emergency",
    "Infrastructure",
    "Environment",
    "Application",
];
/// Categories that belong to the system.
const READ_ONLY: &[&str] = &["SystemRules", "AutoServiceRules", "Default"];
/// A rule's `tag` is cut here.
const TAG_LENGTH: usize = 32;

/// Category, statefulness and what follows from it.
pub fn complete(kind: &str, body: &mut Map<String, Value>) {
    let category = if kind == "GatewayPolicy" {
        "LocalGatewayRules"
    } else {
        "Application"
    };
    body.entry("category").or_insert_with(|| json!(category));
    let stateful = body.entry("stateful").or_insert(json!(true)).clone();
    body.entry("tcp_strict").or_insert(stateful);
    body.entry("is_default").or_insert(json!(false));
    let sequence = body.entry("sequence_number").or_insert(json!(0)).clone();
    body.insert("internal_sequence_number".into(), sequence);
}

/// What a rule means where it is silent.
pub fn complete_rule(serial: u64, body: &mut Map<String, Value>) {
    let any = json!(["ANY"]);
    for field in ["source_groups", "destination_groups", "scope", "profiles"] {
        if texts(body, field).is_empty() {
            body.insert(field.into(), any.clone());
        }
    }
    let inline = body
        .get("service_entries")
        .and_then(Value::as_array)
        .is_some_and(|l| !l.is_empty());
    if texts(body, "services").is_empty() && !inline {
        body.insert("services".into(), any);
    }
    body.entry("sequence_number").or_insert(json!(0));
    body.entry("ip_protocol").or_insert(json!("IPV4_IPV6"));
    body.entry("is_default").or_insert(json!(false));
    body.entry("rule_id")
        .or_insert(json!(serial.saturating_add(1000)));
    if let Some(tag) = text(body, "tag") {
        let cut: String = tag.chars().take(TAG_LENGTH).collect();
        body.insert("tag".into(), json!(cut));
    }
}

/// A policy without its rules.
pub fn check(object: &Object, before: Option<&Object>) -> Result<(), NsxError> {
    let gateway = object.kind == "GatewayPolicy";
    let known = if gateway {
        GATEWAY_CATEGORIES
    } else {
        DISTRIBUTED_CATEGORIES
    };
    let category = object.text("category").unwrap_or_default();
    if !known.contains(&category) {
        return Err(NsxError::rule(format!(
            "category {category} is not one of {}",
            known.join(", ")
        )));
    }
    let was = before.and_then(|b| b.text("category"));
    if gateway && READ_ONLY.contains(&category) && was != Some(category) {
        return Err(NsxError::rule(format!("category {category} is read-only")));
    }
    Ok(())
}

/// A rule of either kind of policy.
pub fn check_rule(world: &World, object: &Object) -> Result<(), NsxError> {
    let body = &object.body;
    let Some(policy) = world.store.live(parent_of(&object.path)) else {
        return Ok(());
    };
    let category = policy.text("category").unwrap_or_default();
    let action = text(body, "action").ok_or_else(|| NsxError::bad(FIELD, "action is required").common())?;
    if action == "JUMP_TO_APPLICATION" && category != "Environment" {
        return Err(NsxError::rule(
            "action JUMP_TO_APPLICATION is for category Environment only",
        ));
    }
    if action == "REJECT" && category == "Ethernet" {
        return Err(NsxError::rule(
            "action REJECT is not allowed in category Ethernet",
        ));
    }
    for field in ["source_groups", "destination_groups"] {
        check_members(body, field)?;
    }
    let services = texts(body, "services");
    if services.len() > 1 && services.contains(&"ANY") {
        return Err(NsxError::rule("services: ANY must stand alone"));
    }
    if let Some(odd) = services.iter().find(|s| **s != "ANY" && !s.starts_with('/')) {
        return Err(NsxError::invalid_path(odd));
    }
    for entry in super::group::expressions(body, "service_entries") {
        service::check_entry(entry, false)?;
    }
    check_scope(body, policy.kind == "GatewayPolicy", policy)
}

/// Groups, plain addresses, or ANY alone.
fn check_members(body: &Map<String, Value>, field: &str) -> Result<(), NsxError> {
    let members = texts(body, field);
    if members.len() > 1 && members.contains(&"ANY") {
        return Err(NsxError::rule(format!("{field}: ANY must stand alone")));
    }
    let odd = members
        .iter()
        .find(|m| **m != "ANY" && !m.starts_with('/') && Span::parse(m).is_none());
    match odd {
        Some(odd) => Err(NsxError::rule(format!(
            "{field}: {odd} is neither a group nor an address"
        ))),
        None => Ok(()),
    }
}

/// A gateway's rule says which gateway; a distributed one names groups or ANY.
fn check_scope(body: &Map<String, Value>, gateway: bool, policy: &Object) -> Result<(), NsxError> {
    let scope = texts(body, "scope");
    let is_gateway = |s: &&str| gateway_at(s).is_some();
    if gateway {
        let inherited = !texts(&policy.body, "scope").is_empty();
        let own = !scope.is_empty() && scope.iter().all(is_gateway);
        return if own || inherited {
            Ok(())
        } else {
            Err(NsxError::rule(
                "scope of a gateway rule must be paths of gateways or their interfaces",
            ))
        };
    }
    match scope.iter().find(|s| is_gateway(s)) {
        Some(path) => Err(NsxError::rule(format!("scope: {path} is not a group"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{delete, patch, settle, world, write};
    use crate::world::write::Mode;

    const POLICY: &str = "/infra/domains/default/gateway-policies/p";
    const EDGE: &str = "/infra/tier-1s/vic-edge";

    #[test]
    fn what_a_gateway_rule_may_say() {
        let cases: Vec<(Value, Option<&str>)> = vec![
            (json!({"action": "ALLOW", "scope": [EDGE]}), None),
            (
                json!({"action": "DROP", "scope": [EDGE], "source_groups": ["10.0.0.0/8", "10.1.1.1-10.1.1.9"]}),
                None,
            ),
            (json!({"scope": [EDGE]}), Some("action is required")),
            (json!({"action": "ALLOW"}), Some("scope of a gateway rule")),
            (
                json!({"action": "ALLOW", "scope": ["ANY"]}),
                Some("scope of a gateway rule"),
            ),
            (
                json!({"action": "ALLOW", "scope": ["/infra/tier-1s/none"]}),
                Some("/infra/tier-1s/none"),
            ),
            (
                json!({"action": "ALLOW", "scope": [EDGE], "source_groups": ["ANY", "10.0.0.1"]}),
                Some("ANY must stand"),
            ),
            (
                json!({"action": "ALLOW", "scope": [EDGE], "source_groups": ["web"]}),
                Some("neither a group"),
            ),
            (
                json!({"action": "ALLOW", "scope": [EDGE], "source_groups": ["/infra/domains/default/groups/none"]}),
                Some("groups/none"),
            ),
            (
                json!({"action": "ALLOW", "scope": [EDGE], "services": ["ANY", "/infra/services/HTTP"]}),
                Some("ANY must"),
            ),
            (
                json!({"action": "ALLOW", "scope": [EDGE], "services": ["HTTP"]}),
                Some("HTTP"),
            ),
            (
                json!({"action": "ALLOW", "scope": [EDGE], "services": ["/infra/services/HTTP"]}),
                None,
            ),
            (
                json!({"action": "JUMP_TO_APPLICATION", "scope": [EDGE]}),
                Some("Environment only"),
            ),
            (
                json!({"action": "ALLOW", "scope": [EDGE], "sequence_number": -1}),
                Some("below 0"),
            ),
            (
                json!({"action": "ALLOW", "scope": [EDGE], "service_entries":
                    [{"resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP", "destination_ports": ["80"]}]}),
                None,
            ),
            (
                json!({"action": "ALLOW", "scope": [EDGE], "service_entries":
                    [{"resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP", "destination_ports": ["x"]}]}),
                Some("x is not a valid"),
            ),
        ];
        for (rule, expected) in cases {
            let mut world = world();
            patch(&mut world, POLICY, json!({})).unwrap();
            let result = patch(&mut world, &format!("{POLICY}/rules/r"), rule.clone());
            match (expected, result) {
                (None, Ok(())) => {}
                (Some(text), Err(e)) => assert!(e.message().contains(text), "{rule}: {}", e.message()),
                (expected, got) => panic!("{rule}: expected {expected:?}, got {got:?}"),
            }
        }
    }

    #[test]
    fn categories_are_known_and_the_systems_are_not_for_users() {
        for (category, good) in [
            ("Emergency", true),
            ("Default", false),
            ("SystemRules", false),
            ("Application", false),
        ] {
            let result = patch(&mut world(), POLICY, json!({"category": category}));
            assert_eq!(result.is_ok(), good, "{category}");
        }
    }

    #[test]
    fn rules_merge_on_patch_and_are_replaced_on_put() {
        let mut world = world();
        let rules = |ids: &[&str]| -> Vec<Value> {
            ids.iter()
                .map(|id| json!({"id": id, "action": "ALLOW", "scope": [EDGE]}))
                .collect()
        };
        let ids = |world: &World| -> Vec<String> {
            let read = world.read(POLICY).unwrap();
            let mut ids: Vec<String> = read["rules"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r["id"].as_str().unwrap().into())
                .collect();
            ids.sort();
            ids
        };
        patch(&mut world, POLICY, json!({"rules": rules(&["a", "b"])})).unwrap();
        patch(&mut world, POLICY, json!({"rules": rules(&["c"])})).unwrap();
        assert_eq!(ids(&world), ["a", "b", "c"]);
        patch(&mut world, POLICY, json!({"description": "no rules named"})).unwrap();
        assert_eq!(ids(&world), ["a", "b", "c"]);
        let put = json!({"_revision": 2, "rules": rules(&["b"])});
        write(&mut world, POLICY, put, Mode::Put).unwrap();
        assert_eq!(ids(&world), ["b"]);
        settle(&mut world);
        delete(&mut world, POLICY).unwrap();
        assert!(
            world.read(&format!("{POLICY}/rules/b")).is_err(),
            "rules go with their policy"
        );
    }

    #[test]
    fn silence_means_any_and_strict() {
        let mut world = world();
        patch(
            &mut world,
            POLICY,
            json!({"rules": [{"id": "r", "action": "ALLOW", "scope": [EDGE], "tag": "t".repeat(40)}]}),
        )
        .unwrap();
        let read = world.read(POLICY).unwrap();
        assert_eq!(
            (&read["category"], &read["tcp_strict"]),
            (&json!("LocalGatewayRules"), &json!(true))
        );
        let rule = &read["rules"][0];
        assert_eq!(rule["source_groups"], json!(["ANY"]));
        assert_eq!(rule["direction"], "IN_OUT");
        assert_eq!(rule["tag"].as_str().unwrap().len(), 32);
    }

    #[test]
    fn default_policies_may_be_edited_not_deleted() {
        let mut world = world();
        let policy = "/infra/domains/default/gateway-policies/Policy_Default_Infra-tier1-vic-edge";
        assert!(delete(&mut world, policy).is_err());
        let rule = json!({"action": "DROP", "scope": [EDGE]});
        patch(&mut world, &format!("{policy}/rules/default_rule"), rule).unwrap();
    }
}
