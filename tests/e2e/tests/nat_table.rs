//! The table of NAT: each action, protocol, form of ports, treatment of the firewall and tier, once in effect and once,
//! with exactly one object removed or changed, not.

#![cfg(test)]

use std::collections::BTreeSet;
use std::path::Path;

use e2e::manifests::{grants, merged, public, routed, rule, segment, tenants, vch};
use e2e::outside::{container, put};
use e2e::traffic::{Fate, Packet};
use e2e::{Failure, Outcome, World, demand};
use lab::Options;
use lab::kinds::Key;
use serde::Deserialize;
use serde_json::{Value, json};

/// A consumer.
const FRIEND: &str = "198.51.100.7";
/// Where a changed rule lets in from instead.
const ELSEWHERE: &str = "192.0.2.0/24";

/// A row of the table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct Row {
    action: String,
    protocol: String,
    ports: String,
    firewall: String,
    tier: String,
    then: String,
}

/// A row with its place, from which its addresses follow: no two rules meet.
struct Case {
    row: Row,
    number: usize,
}

fn table() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nat/probes.yaml");
    let rows: Vec<Row> = serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let numbered = rows.into_iter().enumerate();
    numbered.map(|(number, row)| Case { row, number }).collect()
}

/// Every combination there is.
fn product() -> BTreeSet<[String; 5]> {
    const FIREWALLS: [&str; 6] = [
        "ExclusiveExternal",
        "ExclusiveInternal",
        "AdditiveExternal",
        "AdditiveInternal",
        "Unmanaged",
        "Bypass",
    ];
    const FORMS: [&str; 5] = ["all", "same", "translated", "range", "shifted"];
    let mut all = BTreeSet::new();
    for tier in ["tier0", "tier1"] {
        for protocol in ["TCP", "UDP", "ICMP", "Any"] {
            let ported = protocol == "TCP" || protocol == "UDP";
            let mut add = |action: &str, forms: &[&str], firewalls: &[&str]| {
                for form in forms {
                    for firewall in firewalls {
                        all.insert([action, protocol, form, firewall, tier].map(str::to_owned));
                    }
                }
            };
            add("DNAT", if ported { &FORMS } else { &FORMS[..1] }, &FIREWALLS);
            add("Reflexive", &FORMS[..1], &FIREWALLS);
            add("SNAT", &["network", "address"], &["none"]);
            add("NoSNAT", &["network", "address"], &["none"]);
            let exempt: &[&str] = if ported {
                &["all", "same", "range"]
            } else {
                &["all"]
            };
            add("NoDNAT", exempt, &["none"]);
        }
    }
    all
}

#[test]
fn the_table_has_every_combination_once() {
    let rows = table();
    let found: BTreeSet<[String; 5]> = rows
        .iter()
        .map(|case| {
            let row = case.row.clone();
            [row.action, row.protocol, row.ports, row.firewall, row.tier]
        })
        .collect();
    assert_eq!(found, product());
    assert_eq!(found.len(), rows.len(), "a combination stands there twice");
}

impl Case {
    fn is(&self, action: &str) -> bool {
        self.row.action == action
    }

    fn name(&self) -> String {
        format!("row-{}", self.number)
    }

    /// The network behind the row's gateway.
    fn network(&self) -> &'static str {
        if self.row.tier == "tier0" {
            "on-t0"
        } else {
            "on-t1"
        }
    }

    /// The container the row is about: one that somebody closed by hand, where the firewall matters so.
    fn target(&self) -> (&'static str, &'static str) {
        let closed = self.row.firewall.starts_with("Additive") || self.row.firewall == "Bypass";
        match (self.row.tier.as_str(), closed) {
            ("tier0", false) => ("web-t0", "10.30.80.11"),
            ("tier0", true) => ("shut-t0", "10.30.80.12"),
            (_, false) => ("web-t1", "10.30.81.11"),
            (_, true) => ("shut-t1", "10.30.81.12"),
        }
    }

    /// The row's own external address, in 203.0.112.0/23.
    fn external(&self) -> String {
        format!("203.0.{}.{}", 112 + self.number / 250, 1 + self.number % 250)
    }

    /// The row's own peer outside, for traffic that leaves.
    fn peer(&self) -> String {
        format!("198.18.{}.{}", self.number / 250, 1 + self.number % 250)
    }

    /// External port, last port and internal port.
    fn ports(&self) -> (Option<u16>, Option<u16>, Option<u16>) {
        match self.row.ports.as_str() {
            "same" => (Some(8080), None, None),
            "translated" => (Some(8080), None, Some(80)),
            "range" => (Some(9000), Some(9009), None),
            "shifted" => (Some(9000), Some(9009), Some(100)),
            _ => (None, None, None),
        }
    }

    /// The port that is probed, and the one it arrives at.
    fn probed(&self) -> (u16, u16) {
        match self.row.ports.as_str() {
            "same" => (8080, 8080),
            "translated" => (8080, 80),
            "range" => (9003, 9003),
            "shifted" => (9003, 103),
            _ => (8443, 8443),
        }
    }

    fn packet(&self, from: &str, to: &str) -> Packet {
        match self.row.protocol.as_str() {
            "UDP" => Packet::udp(from, to, self.probed().0),
            "ICMP" => Packet::icmp(from, to),
            _ => Packet::tcp(from, to, self.probed().0),
        }
    }

    /// The packet that shows what the rule does.
    fn probe(&self) -> Packet {
        if self.is("SNAT") || self.is("NoSNAT") {
            self.packet(self.target().1, &self.peer())
        } else {
            self.packet(FRIEND, &self.external())
        }
    }

    fn firewall(&self) -> Value {
        let (mode, matching) = match self.row.firewall.as_str() {
            "ExclusiveExternal" => ("Exclusive", Some("ExternalAddress")),
            "ExclusiveInternal" => ("Exclusive", Some("InternalAddress")),
            "AdditiveExternal" => ("Additive", Some("ExternalAddress")),
            "AdditiveInternal" => ("Additive", Some("InternalAddress")),
            "none" => return Value::Null,
            other => (other, None),
        };
        let sources = matching.map(|_| json!([{"cidr": "198.51.100.0/24"}]));
        merged(
            json!({}),
            &json!({"mode": mode, "match": matching, "allowFrom": sources}),
        )
    }

    /// The rule of the row.
    fn rule(&self) -> Value {
        let (port, end_port, internal_port) = self.ports();
        let internal = json!({"networkRef": {"name": self.network()}, "address": self.target().1, "port": internal_port});
        let external = json!({"address": self.external(), "port": port, "endPort": end_port});
        let peer = json!({"cidr": self.peer()});
        let spec = match self.row.action.as_str() {
            "SNAT" | "NoSNAT" => json!({
                "external": self.is("SNAT").then(|| json!({"address": self.external()})),
                "internal": {"networkRef": {"name": self.network()},
                    "address": (self.row.ports == "address").then(|| self.target().1)},
                "remote": peer,
                "priority": if self.is("SNAT") { 100 } else { 50 },
            }),
            "NoDNAT" => json!({
                "external": external,
                "gateway": if self.row.tier == "tier0" { json!({"tier0": "vic-t0"}) } else { json!({"tier1": "vic-edge"}) },
                "priority": 100,
            }),
            // What leaves is the other rows' to translate, before.
            "Reflexive" => {
                json!({"external": external, "internal": internal, "firewall": self.firewall(), "priority": 900})
            }
            _ => json!({"external": external, "internal": internal, "firewall": self.firewall()}),
        };
        let spec = merged(
            json!({"action": self.row.action, "protocol": self.row.protocol}),
            &spec,
        );
        rule("table", &self.name(), &spec)
    }

    /// The rule that an exempting row is exempt from.
    fn base(&self) -> Option<Value> {
        let spec = match self.row.action.as_str() {
            "NoDNAT" => json!({
                "action": "DNAT", "external": {"address": self.external()}, "firewall": {"mode": "Unmanaged"},
                "internal": {"networkRef": {"name": self.network()}, "address": self.target().1},
            }),
            "NoSNAT" => json!({
                "action": "SNAT", "external": {"address": self.external()}, "remote": {"cidr": self.peer()},
                "internal": {"networkRef": {"name": self.network()}}, "priority": 100,
            }),
            _ => return None,
        };
        Some(rule("table", &format!("{}-base", self.name()), &spec))
    }

    /// The one change; `None` deletes the rule.
    fn change(&self) -> Option<Value> {
        let spec = match self.row.then.as_str() {
            "sources" => json!({"firewall": {"allowFrom": [{"cidr": ELSEWHERE}]}}),
            "unmanaged" => json!({"firewall": {"mode": "Unmanaged"}}),
            "port" => json!({"external": {"port": 8079}}),
            "protocol" => json!({"protocol": if self.row.protocol == "TCP" { "UDP" } else { "TCP" }}),
            "remote" => json!({"remote": {"cidr": self.peer().replace("198.18.", "198.19.")}}),
            _ => return None,
        };
        Some(json!({"spec": spec}))
    }

    /// Whether the packet met what the rule promises.
    fn is_in_effect(&self, fate: &Fate) -> bool {
        let (container, address) = self.target();
        match self.row.action.as_str() {
            "DNAT" | "Reflexive" => {
                let arrives = if self.row.protocol == "ICMP" {
                    address.to_owned()
                } else {
                    format!("{address}:{}", self.probed().1)
                };
                fate.is_delivery_to(container) && fate.translated.as_deref() == Some(&arrives)
            }
            "SNAT" => fate.verdict == "delivered" && fate.masked.as_deref() == Some(&self.external()),
            "NoSNAT" => fate.verdict == "delivered" && fate.masked.is_none(),
            _ => fate.translated.is_none() && fate.vm.is_none(),
        }
    }

    /// Whether the packet met the opposite.
    fn is_opposite(&self, fate: &Fate) -> bool {
        match (self.row.action.as_str(), self.row.then.as_str()) {
            (_, "sources" | "unmanaged") => fate.verdict == "dropped" && fate.rule.is_some(),
            // Another row's reflexive rule may translate it then.
            ("SNAT", _) => fate.verdict == "delivered" && fate.masked.as_deref() != Some(&self.external()),
            ("NoSNAT", _) => fate.verdict == "delivered" && fate.masked.as_deref() == Some(&self.external()),
            ("NoDNAT", _) => fate.is_delivery_to(self.target().0),
            _ => fate.translated.is_none() && fate.vm.is_none(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_has_its_effect_and_without_one_object_its_opposite() -> Outcome {
    let world = World::with_site(Options::named("nat-table")).await?;
    stage(&world).await?;
    let cases = table();
    for (gateway, tier) in [
        ("/infra/tier-1s/vic-edge", "tier1"),
        ("/infra/tier-0s/vic-t0", "tier0"),
    ] {
        close(&world, gateway, cases.iter().filter(|case| case.row.tier == tier)).await?;
    }
    let bases: Vec<Value> = cases.iter().filter_map(Case::base).collect();
    let rules: Vec<Value> = cases.iter().map(Case::rule).collect();
    let bases = world.create_all(&bases).await?;
    let keys = world.create_all(&rules).await?;
    world.all_ready(&bases).await?;
    world.all_ready(&keys).await?;
    let failed = judge(&world, &cases, "in effect", Case::is_in_effect).await?;
    demand(failed.is_empty(), || failed.join("\n"))?;
    turn(&world, &cases, &keys).await?;
    let failed = judge(&world, &cases, "the opposite", Case::is_opposite).await?;
    demand(failed.is_empty(), || failed.join("\n"))?;
    println!("{} rows, each in effect and in its opposite", cases.len());
    Ok(())
}

/// Two networks, one behind each tier, with two containers on each.
async fn stage(world: &World) -> Outcome {
    let allowed = grants(
        &world.lab,
        &json!({
            "gateways": [{"tier1": "vic-edge"}, {"tier0": "vic-t0"}],
            "externalAddresses": ["203.0.112.0/23"],
            "firewallBypass": "Allowed",
        }),
    );
    world.resite(&json!({"tenants": tenants(&allowed)})).await?;
    world.namespace("table").await?;
    let containers: Vec<Value> = ["on-t0", "on-t1"]
        .iter()
        .map(|name| json!({"name": name, "networkRef": {"name": name}, "trustLevel": "Open"}))
        .collect();
    let above = json!({"backing": {"segment": {"gateway": {"tier1": null, "tier0": "vic-t0"}}}});
    world
        .bring_up(&[
            public(&world.lab, "table", 120),
            segment("table", "bridge", &json!({})),
            routed("table", "on-t0", 80, &above),
            routed("table", "on-t1", 81, &json!({})),
            vch(
                &world.lab,
                "table",
                "vch",
                &json!({"displayName": "table", "networks": {"containers": containers}}),
            ),
        ])
        .await?;
    for (network, name, ip) in [
        ("on-t0", "web-t0", "10.30.80.11"),
        ("on-t0", "shut-t0", "10.30.80.12"),
        ("on-t1", "web-t1", "10.30.81.11"),
        ("on-t1", "shut-t1", "10.30.81.12"),
    ] {
        let request = json!({"action": "make", "vch": "table", "name": name, "network": network, "ip": ip, "image": "nginx"});
        container(&world.lab, &request).await?;
        Packet::tcp(FRIEND, ip, 80).will_reach(world, name).await?;
    }
    Ok(())
}

/// What an administrator closed: a container of each tier, and the external addresses that lead to it.
async fn close<'a>(world: &World, gateway: &str, cases: impl Iterator<Item = &'a Case>) -> Outcome {
    let shut: BTreeSet<String> = cases
        .filter(|case| case.target().0.starts_with("shut"))
        .flat_map(|case| [case.external(), case.target().1.to_owned()])
        .collect();
    let witness = shut.iter().next().cloned().unwrap_or_default();
    let id = gateway.rsplit('/').next().unwrap_or_default();
    let policy = json!({
        "resource_type": "GatewayPolicy", "display_name": "closed by hand", "category": "LocalGatewayRules",
        "sequence_number": 900_000,
        "rules": [{
            "resource_type": "Rule", "id": "closed", "display_name": "closed", "action": "DROP",
            "source_groups": ["ANY"], "destination_groups": shut, "services": ["ANY"],
            "scope": [gateway], "direction": "IN_OUT", "ip_protocol": "IPV4", "sequence_number": 10,
        }],
    });
    put(
        &world.lab,
        &format!("/infra/domains/default/gateway-policies/closed-{id}"),
        &policy,
    )
    .await?;
    Packet::tcp(FRIEND, &witness, 80).will_be_dropped(world).await?;
    Ok(())
}

/// Makes each row's one change, and waits until all of them are in effect.
async fn turn(world: &World, cases: &[Case], keys: &[Key]) -> Outcome {
    let mut gone = Vec::new();
    let mut changed = Vec::new();
    for (case, key) in cases.iter().zip(keys) {
        if let Some(patch) = case.change() {
            world.change(key, &patch).await?;
            changed.push(key.clone());
        } else {
            world.delete(key).await?;
            gone.push(key.clone());
        }
    }
    world.all_ready(&changed).await?;
    world.gone(&gone).await
}

/// Sends each row's packet until it meets what is wished of it, and tells which rows' do not.
async fn judge(
    world: &World,
    cases: &[Case],
    what: &str,
    wish: impl Fn(&Case, &Fate) -> bool,
) -> Outcome<Vec<String>> {
    let mut failed = Vec::new();
    for case in cases {
        let probe = case.probe();
        if let Err(Failure(why)) = probe.will(world, what, |fate| wish(case, fate)).await {
            failed.push(format!("{:?} {what}: {why}", case.row));
        }
    }
    Ok(failed)
}
