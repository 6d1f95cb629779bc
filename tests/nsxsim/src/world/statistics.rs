//! What rules have counted: one packet for each probe that met them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::World;
use crate::paths::{id_of, is_gateway, parent_of};
use crate::probe::{Told, Verdict};

/// Bytes of a probe's packet.
const PACKET_BYTES: u64 = 64;
const POINT: &str = "/infra/sites/default/enforcement-points/default";

/// Counts of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    packets: u64,
    sessions: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.sessions = self.sessions.saturating_add(other.sessions);
    }

    fn bytes(self) -> u64 {
        self.packets.saturating_mul(PACKET_BYTES)
    }
}

/// Counts by the path of the rule.
#[derive(Default)]
pub struct Statistics {
    counts: BTreeMap<String, Count>,
}

impl Statistics {
    /// A probe's packet is counted by every rule it met; it opens a session where it was delivered.
    pub fn record(&mut self, told: &Told) {
        let one = Count {
            packets: 1,
            sessions: u64::from(told.verdict == Verdict::Delivered),
        };
        for hop in &told.hops {
            for rule in hop.nat_rule.iter().chain(&hop.rule) {
                self.counts.entry(rule.clone()).or_default().add(one);
            }
        }
    }

    /// A rule is gone, and its counts.
    pub fn forget(&mut self, rule: &str) {
        self.counts.remove(rule);
    }

    fn of(&self, rule: &str) -> Count {
        self.counts.get(rule).copied().unwrap_or_default()
    }
}

impl World {
    /// `PolicyNatRuleStatisticsPerEnforcementPoint` of a NAT rule.
    pub fn nat_rule_statistics(&self, rule: &str, now: u64) -> Value {
        let count = self.statistics.of(rule);
        let counters = json!({
            "active_sessions": count.sessions, "total_bytes": count.bytes(), "total_packets": count.packets,
            "last_update_timestamp": now,
        });
        json!({"enforcement_point_path": POINT, "rule_path": rule, "rule_statistics": [counters]})
    }

    /// `PolicyNatRuleStatisticsPerLogicalRouter` of a gateway: the sum of its rules.
    pub fn gateway_statistics(&self, gateway: &str, now: u64) -> Value {
        let mut sum = Count::default();
        for section in self.store.collection(gateway, "PolicyNat", false) {
            for rule in self.store.collection(&section.path, "PolicyNatRule", false) {
                sum.add(self.statistics.of(&rule.path));
            }
        }
        let counters = json!({
            "active_sessions": sum.sessions, "total_bytes": sum.bytes(), "total_packets": sum.packets,
        });
        json!({
            "enforcement_point_path": POINT, "router_path": gateway, "last_update_timestamp": now,
            "statistics": counters, "per_node_statistics": [],
        })
    }

    /// `SecurityPolicyStatisticsForEnforcementPoint` of a policy: all its rules in one answer, on each gateway that they
    /// are for.
    pub fn policy_statistics(&self, policy: &str) -> Vec<Value> {
        let mut by_router: BTreeMap<Option<String>, Vec<Value>> = BTreeMap::new();
        for rule in self.store.collection(policy, "Rule", false) {
            for router in self.routers(&rule.path) {
                let statistics = self.rule_statistics(&rule.path, router.as_deref());
                by_router.entry(router).or_default().push(statistics);
            }
        }
        let entries = by_router.into_iter().map(|(router, results)| {
            let mut statistics = json!({
                "internal_section_id": id_of(policy), "result_count": results.len(), "results": results,
            });
            if let (Some(router), Some(map)) = (router, statistics.as_object_mut()) {
                map.insert("lr_path".into(), json!(router));
            }
            json!({"enforcement_point": POINT, "statistics": statistics})
        });
        entries.collect()
    }

    /// `RuleStatisticsForEnforcementPoint` of a rule, on each gateway that it is for.
    pub fn rule_statistics_entries(&self, rule: &str) -> Vec<Value> {
        let routers = self.routers(rule).into_iter();
        let entry = |router: Option<String>| {
            let statistics = self.rule_statistics(rule, router.as_deref());
            json!({"enforcement_point": POINT, "statistics": statistics})
        };
        routers.map(entry).collect()
    }

    /// `RuleStatistics`. Counts are of the rule, not of each gateway: a probe meets one of them.
    fn rule_statistics(&self, rule: &str, router: Option<&str>) -> Value {
        let count = self.statistics.of(rule);
        let id = self
            .store
            .live(rule)
            .and_then(|o| o.body.get("rule_id"))
            .map(ToString::to_string);
        let mut body = json!({
            "rule": rule, "internal_rule_id": id, "packet_count": count.packets, "byte_count": count.bytes(),
            "session_count": count.sessions, "hit_count": count.packets, "popularity_index": 0,
            "max_popularity_index": 0, "max_session_count": count.sessions, "total_session_count": count.sessions,
        });
        if let (Some(router), Some(map)) = (router, body.as_object_mut()) {
            map.insert("lr_path".into(), json!(router));
        }
        body
    }

    /// Gateways that a rule is for; one nameless place for a distributed rule.
    fn routers(&self, rule: &str) -> Vec<Option<String>> {
        let scope = |path: &str| {
            let object = self.store.live(path);
            object
                .map(|o| super::object::texts(&o.body, "scope"))
                .unwrap_or_default()
        };
        let own = scope(parent_of(rule));
        let named = if own.is_empty() || own == ["ANY"] {
            scope(rule)
        } else {
            own
        };
        let gateways = named.into_iter().filter(|s| is_gateway(s));
        let mut found: Vec<Option<String>> = gateways.map(|g| Some(g.to_owned())).collect();
        if found.is_empty() {
            found.push(None);
        }
        found
    }
}
