//! NAT rules: which action needs which addresses.

use serde_json::{Map, Value};

use crate::error::{NsxError, SYSTEM_OWNED};
use crate::net::Span;
use crate::paths::{id_of, parent_of};
use crate::world::World;
use crate::world::object::{Object, text, texts};

/// Highest sequence number in the USER section.
const USER_LIMIT: i64 = 2_147_481_599;
/// Highest sequence number in the INTERNAL and DEFAULT sections.
const SYSTEM_LIMIT: i64 = 1_023;

/// `NO_*` rules have no firewall match unless it is BYPASS: the schema's default would be refused if sent back.
pub fn complete(body: &mut Map<String, Value>) {
    let bypass = text(body, "firewall_match") == Some("BYPASS");
    if text(body, "action").is_some_and(|a| a.starts_with("NO_")) && !bypass {
        body.remove("firewall_match");
    }
}

/// The four sections come and go with their gateway.
pub fn check_section(object: &Object, before: Option<&Object>) -> Result<(), NsxError> {
    if before.is_none() {
        let message = format!("NAT section {} cannot be created", object.path);
        return Err(NsxError::bad(SYSTEM_OWNED, message));
    }
    Ok(())
}

/// A whole rule.
pub fn check(world: &World, object: &Object) -> Result<(), NsxError> {
    let section = id_of(parent_of(&object.path));
    let gateway_path = parent_of(parent_of(&object.path));
    let action = object.text("action").unwrap_or_default();
    let nat = Nat {
        body: &object.body,
        declared: &object.declared,
        action,
    };
    nat.addresses()?;
    nat.options()?;
    nat.sequence(section)?;
    if (action == "NAT64") != (section == "NAT64") {
        return Err(NsxError::rule(format!(
            "Action {action} is not allowed in NAT section {section}"
        )));
    }
    if let Some(gateway) = world.store.live(gateway_path)
        && gateway.text("ha_mode") == Some("ACTIVE_ACTIVE")
        && action != "REFLEXIVE"
    {
        let message = format!("Action {action} is not allowed on the ACTIVE_ACTIVE gateway {gateway_path}");
        return Err(NsxError::rule(message));
    }
    let inside = |s: &&str| *s == gateway_path || s.starts_with(&format!("{gateway_path}/"));
    if let Some(other) = texts(&object.body, "scope").into_iter().find(|s| !inside(s)) {
        return Err(NsxError::rule(format!(
            "Scope {other} is not of the gateway {gateway_path}"
        )));
    }
    Ok(())
}

struct Nat<'a> {
    body: &'a Map<String, Value>,
    declared: &'a Map<String, Value>,
    action: &'a str,
}

impl Nat<'_> {
    fn addresses(&self) -> Result<(), NsxError> {
        let action = self.action;
        let source = self.network("source_network")?;
        let destination = self.network("destination_network")?;
        let translated = self.network("translated_network")?;
        let needs = |field: &str, present: bool| {
            if present {
                Ok(())
            } else {
                Err(NsxError::rule(format!(
                    "{field} is mandatory for action {action}"
                )))
            }
        };
        if matches!(action, "SNAT" | "NO_SNAT" | "NAT64" | "REFLEXIVE") {
            needs("source_network", source.is_some())?;
        }
        if matches!(action, "DNAT" | "NO_DNAT") {
            needs("destination_network", destination.is_some())?;
        }
        if action.starts_with("NO_") {
            if translated.is_some() {
                return Err(NsxError::rule(format!(
                    "translated_network must be empty for action {action}"
                )));
            }
            return Ok(());
        }
        needs("translated_network", translated.is_some())?;
        let (source, translated) = (source.unwrap_or_default(), translated.unwrap_or_default());
        if matches!(action, "DNAT" | "REFLEXIVE") && translated.len() > 1 {
            let message = format!("translated_network cannot be a list for action {action}");
            return Err(NsxError::rule(message));
        }
        if action == "REFLEXIVE" {
            if destination.is_some() {
                return Err(NsxError::rule(
                    "destination_network is not allowed for action REFLEXIVE",
                ));
            }
            let width = |spans: &[Span]| spans.first().map(Span::width);
            if source.len() > 1 || width(&source) != width(&translated) {
                let message =
                    "source_network and translated_network of a REFLEXIVE rule must have the same size";
                return Err(NsxError::rule(message));
            }
        }
        Ok(())
    }

    /// A list of addresses and blocks; ranges and sets are refused.
    fn network(&self, field: &str) -> Result<Option<Vec<Span>>, NsxError> {
        let Some(list) = text(self.body, field) else {
            return Ok(None);
        };
        let parsed: Option<Vec<Span>> = list
            .split(',')
            .map(|part| {
                if part.contains('-') {
                    None
                } else {
                    Span::parse(part)
                }
            })
            .collect();
        match parsed {
            Some(spans) => Ok(Some(spans)),
            None => Err(NsxError::rule(format!(
                "{field}: {list} is not a list of IP addresses or CIDR blocks"
            ))),
        }
    }

    fn options(&self) -> Result<(), NsxError> {
        let action = self.action;
        let declared = text(self.declared, "firewall_match");
        if action.starts_with("NO_") && declared.is_some_and(|m| m != "BYPASS") {
            return Err(NsxError::rule(format!(
                "firewall_match must be BYPASS or unset for action {action}"
            )));
        }
        if text(self.declared, "policy_based_vpn_mode").is_some() && !matches!(action, "DNAT" | "NO_DNAT") {
            return Err(NsxError::rule(format!(
                "policy_based_vpn_mode is not allowed for action {action}"
            )));
        }
        Ok(())
    }

    fn sequence(&self, section: &str) -> Result<(), NsxError> {
        let number = self
            .body
            .get("sequence_number")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let limit = if matches!(section, "INTERNAL" | "DEFAULT") {
            SYSTEM_LIMIT
        } else {
            USER_LIMIT
        };
        if (0..=limit).contains(&number) {
            return Ok(());
        }
        let message = format!("sequence_number {number} is outside 0 to {limit} of NAT section {section}");
        Err(NsxError::rule(message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::testing::{patch, world};

    const USER: &str = "/infra/tier-1s/vic-edge/nat/USER/nat-rules/r";

    /// Tries rules on the seeded Tier-1: accepted, or refused with these words.
    fn try_all(cases: &[(&str, Value, Option<&str>)]) {
        for (action, fields, expected) in cases {
            let mut body = fields.clone();
            body["action"] = json!(action);
            let result = patch(&mut world(), USER, body.clone());
            match (expected, result) {
                (None, Ok(())) => {}
                (Some(text), Err(e)) => assert!(e.message().contains(text), "{body}: {}", e.message()),
                (expected, got) => panic!("{body}: expected {expected:?}, got {got:?}"),
            }
        }
    }

    #[test]
    fn each_translation_has_its_addresses() {
        let (s, d, t) = ("source_network", "destination_network", "translated_network");
        try_all(&[
            ("SNAT", json!({s: "10.0.0.0/24", t: "203.0.113.1"}), None),
            (
                "SNAT",
                json!({s: "10.0.0.0/24", t: "203.0.113.1,203.0.113.2"}),
                None,
            ),
            (
                "SNAT",
                json!({t: "203.0.113.1"}),
                Some("source_network is mandatory"),
            ),
            (
                "SNAT",
                json!({s: "10.0.0.0/24"}),
                Some("translated_network is mandatory"),
            ),
            ("DNAT", json!({d: "203.0.113.1", t: "10.0.0.1"}), None),
            (
                "DNAT",
                json!({s: "198.51.100.0/24", d: "203.0.113.1", t: "10.0.0.1"}),
                None,
            ),
            (
                "DNAT",
                json!({t: "10.0.0.1"}),
                Some("destination_network is mandatory"),
            ),
            (
                "DNAT",
                json!({d: "203.0.113.1"}),
                Some("translated_network is mandatory"),
            ),
            (
                "DNAT",
                json!({d: "203.0.113.1", t: "10.0.0.1,10.0.0.2"}),
                Some("cannot be a list"),
            ),
            (
                "DNAT",
                json!({d: "203.0.113.1-203.0.113.9", t: "10.0.0.1"}),
                Some("is not a list of IP"),
            ),
            ("REFLEXIVE", json!({s: "10.0.0.0/28", t: "203.0.113.0/28"}), None),
            (
                "REFLEXIVE",
                json!({s: "10.0.0.0/28", t: "203.0.113.0/29"}),
                Some("same size"),
            ),
            (
                "REFLEXIVE",
                json!({s: "10.0.0.1", d: "1.1.1.1", t: "203.0.113.1"}),
                Some("destination_network is not"),
            ),
            (
                "REFLEXIVE",
                json!({t: "203.0.113.1"}),
                Some("source_network is mandatory"),
            ),
        ]);
    }

    #[test]
    fn exemptions_translate_nothing() {
        let (s, d, t) = ("source_network", "destination_network", "translated_network");
        try_all(&[
            ("NO_SNAT", json!({s: "10.0.0.0/24"}), None),
            (
                "NO_SNAT",
                json!({s: "10.0.0.0/24", t: "203.0.113.1"}),
                Some("must be empty"),
            ),
            (
                "NO_SNAT",
                json!({d: "203.0.113.1"}),
                Some("source_network is mandatory"),
            ),
            ("NO_DNAT", json!({d: "203.0.113.1"}), None),
            (
                "NO_DNAT",
                json!({d: "203.0.113.1", "firewall_match": "BYPASS"}),
                None,
            ),
            (
                "NO_DNAT",
                json!({d: "203.0.113.1", "firewall_match": "MATCH_EXTERNAL_ADDRESS"}),
                Some("BYPASS or unset"),
            ),
            (
                "NO_DNAT",
                json!({s: "10.0.0.1"}),
                Some("destination_network is mandatory"),
            ),
        ]);
    }

    #[test]
    fn options_have_their_bounds() {
        let (s, d, t) = ("source_network", "destination_network", "translated_network");
        try_all(&[
            (
                "NAT64",
                json!({s: "fd00::/64", t: "203.0.113.1"}),
                Some("not allowed in NAT section USER"),
            ),
            (
                "SNAT",
                json!({s: "10.0.0.1", t: "1.1.1.1", "policy_based_vpn_mode": "MATCH"}),
                Some("vpn_mode"),
            ),
            (
                "DNAT",
                json!({d: "1.1.1.1", t: "10.0.0.1", "policy_based_vpn_mode": "MATCH"}),
                None,
            ),
            (
                "DNAT",
                json!({d: "1.1.1.1", t: "10.0.0.1", "sequence_number": 2_147_481_600_i64}),
                Some("outside 0"),
            ),
            (
                "DNAT",
                json!({d: "1.1.1.1", t: "10.0.0.1", "sequence_number": -1}),
                Some("outside 0"),
            ),
            (
                "DNAT",
                json!({d: "1.1.1.1", t: "10.0.0.1", "scope": ["/infra/tier-0s/vic-t0"]}),
                Some("Scope"),
            ),
            (
                "DNAT",
                json!({d: "1.1.1.1", t: "10.0.0.1", "scope": ["/infra/tier-1s/vic-edge"]}),
                None,
            ),
            (
                "DNAT",
                json!({d: "1.1.1.1", t: "10.0.0.1", "translated_ports": "80"}),
                None,
            ),
        ]);
    }

    #[test]
    fn an_active_active_tier0_takes_reflexive_rules_only() {
        let mut world = world();
        patch(
            &mut world,
            "/infra/tier-0s/aa",
            json!({"ha_mode": "ACTIVE_ACTIVE"}),
        )
        .unwrap();
        let rule = "/infra/tier-0s/aa/nat/USER/nat-rules/r";
        let dnat =
            json!({"action": "DNAT", "destination_network": "1.1.1.1", "translated_network": "10.0.0.1"});
        assert!(
            patch(&mut world, rule, dnat)
                .unwrap_err()
                .message()
                .contains("ACTIVE_ACTIVE")
        );
        let reflexive =
            json!({"action": "REFLEXIVE", "source_network": "10.0.0.1", "translated_network": "1.1.1.1"});
        patch(&mut world, rule, reflexive).unwrap();
    }

    #[test]
    fn a_system_section_has_few_numbers() {
        let path = "/infra/tier-1s/vic-edge/nat/INTERNAL/nat-rules/r";
        let body = |n: i64| {
            json!({"action": "SNAT", "source_network": "10.0.0.1", "translated_network": "1.1.1.1",
                "sequence_number": n})
        };
        patch(&mut world(), path, body(1023)).unwrap();
        assert!(patch(&mut world(), path, body(1024)).is_err());
    }

    #[test]
    fn sections_cannot_be_made_or_deleted() {
        let mut world = world();
        let made = patch(
            &mut world,
            "/infra/tier-1s/vic-edge/nat/MINE",
            json!({"nat_type": "USER"}),
        );
        assert!(made.is_err());
        assert!(crate::rules::testing::delete(&mut world, "/infra/tier-1s/vic-edge/nat/USER").is_err());
    }

    #[test]
    fn defaults_show_on_reading_but_no_firewall_match_where_none_applies() {
        let mut world = world();
        let dnat =
            json!({"action": "DNAT", "destination_network": "1.1.1.1", "translated_network": "10.0.0.1"});
        patch(&mut world, USER, dnat).unwrap();
        let read = world.read(USER).unwrap();
        assert_eq!(read["firewall_match"], "MATCH_INTERNAL_ADDRESS");
        assert_eq!(
            (&read["enabled"], &read["sequence_number"]),
            (&json!(true), &json!(0))
        );
        patch(
            &mut world,
            USER,
            json!({"action": "NO_DNAT", "destination_network": "1.1.1.1"}),
        )
        .unwrap();
        assert!(world.read(USER).unwrap().get("firewall_match").is_none());
    }
}
