//! Edits by hand behind the operator's back, and how long they last.

use crate::control::Json;
use crate::error::{Error, Result};
use crate::lab::Lab;
use crate::poc::calls;
use crate::poc::probes::{FORBIDDEN, PUBLISHED};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// How long a repair may take: many periods of the operator's look at NSX.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pause between two looks at what was edited.
const LOOK: Duration = Duration::from_millis(100);

/// Edge gateway of the reference topology.
const GATEWAY: &str = "/policy/api/v1/infra/tier-1s/vic-edge";
/// Where gateway firewall policies lie.
const POLICIES: &str = "/policy/api/v1/infra/domains/default/gateway-policies";

/// An edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tampering {
    /// The VLAN of a port group.
    VlanEdited,
    /// The name of a port group.
    PortGroupRenamed,
    /// The endpoint VM switched off.
    VmPoweredOff,
    /// The translated address of a NAT rule.
    NatEdited,
    /// A NAT rule deleted.
    NatDeleted,
    /// A firewall rule deleted.
    FirewallRuleDeleted,
}

impl Tampering {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::VlanEdited,
        Self::PortGroupRenamed,
        Self::VmPoweredOff,
        Self::NatEdited,
        Self::NatDeleted,
        Self::FirewallRuleDeleted,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VlanEdited => "vlan-edited",
            Self::PortGroupRenamed => "portgroup-renamed",
            Self::VmPoweredOff => "vm-powered-off",
            Self::NatEdited => "nat-edited",
            Self::NatDeleted => "nat-deleted",
            Self::FirewallRuleDeleted => "firewall-rule-deleted",
        }
    }

    /// Makes the edit and waits until it is undone. Returns how long it lasted, or `None` if it was not undone in time.
    ///
    /// # Errors
    /// The edit cannot be made, or does not show.
    pub async fn inflict(self, lab: &Lab) -> Result<Option<Duration>> {
        let victim = self.victim(lab).await?;
        let before = victim.state(lab).await?;
        calls::forget(&lab.nsx.control).await?;
        calls::forget(&lab.vcenter.control).await?;
        let started = Instant::now();
        self.edit(lab, &victim).await?;
        // A repair may be faster than a look, so that the edit is never seen: the write that repaired it is.
        while victim.state(lab).await? != before || !victim.was_written(lab).await? {
            if started.elapsed() > PATIENCE {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(Some(started.elapsed()))
    }

    async fn victim(self, lab: &Lab) -> Result<Victim> {
        match self {
            Self::VlanEdited | Self::PortGroupRenamed => {
                Victim::in_vcenter(lab, "port_groups", "Docker-Public").await
            }
            Self::VmPoweredOff => Victim::in_vcenter(lab, "vms", "vch1").await,
            Self::NatEdited | Self::NatDeleted => nat_rule(&lab.nsx.admin()?).await,
            Self::FirewallRuleDeleted => firewall_rule(&lab.nsx.admin()?).await,
        }
    }

    async fn edit(self, lab: &Lab, victim: &Victim) -> Result<()> {
        let hand = &lab.vcenter.control;
        let portgroup = "DistributedVirtualPortgroup";
        match (self, victim) {
            (Self::VlanEdited, _) => {
                hand.post(
                    "/edit",
                    &json!({"what": "vlan", "portgroup": "Docker-Public", "vlan": 999}),
                )
                .await?;
            }
            (Self::PortGroupRenamed, _) => {
                let edit = json!({"what": "rename", "type": portgroup, "name": "Docker-Public", "to": "Renamed-By-Hand"});
                hand.post("/edit", &edit).await?;
            }
            (Self::VmPoweredOff, _) => {
                hand.post("/edit", &json!({"what": "power-off", "vm": "vch1"}))
                    .await?;
            }
            (Self::NatEdited, Victim::Nsx { path }) => {
                let nsx = lab.nsx.admin()?;
                let mut rule = nsx.get(path).await?;
                if let Some(field) = rule.pointer_mut("/translated_network") {
                    *field = json!("10.30.0.99");
                }
                nsx.call(Method::PUT, path, Some(&rule)).await?;
            }
            (Self::NatDeleted | Self::FirewallRuleDeleted, Victim::Nsx { path }) => {
                lab.nsx.admin()?.call(Method::DELETE, path, None).await?;
            }
            (_, Victim::Vcenter { .. }) => {
                return Err(Error::Other(format!("{} is one of NSX", self.name())));
            }
        }
        Ok(())
    }
}

/// The object that is edited.
#[derive(Clone, Debug)]
enum Victim {
    /// By its list in vcsim's dump, and moref.
    Vcenter { list: &'static str, moref: String },
    /// By its path in the API.
    Nsx { path: String },
}

impl Victim {
    async fn in_vcenter(lab: &Lab, list: &'static str, name: &str) -> Result<Self> {
        let dump = lab.vcenter.control.get("/dump").await?;
        let object = members(&dump, list).find(|object| text(object, "name") == name);
        let moref = object.map(|object| text(object, "moref").to_owned());
        let moref = moref.ok_or_else(|| Error::Other(format!("vcsim shows no {name} among its {list}")))?;
        Ok(Self::Vcenter { list, moref })
    }

    /// Whether the operator has written to the system since the calls were forgotten.
    async fn was_written(&self, lab: &Lab) -> Result<bool> {
        match self {
            Self::Vcenter { .. } => {
                let calls = calls::read(&lab.vcenter.control).await?;
                Ok(calls
                    .iter()
                    .any(|call| call.client == lab.vcenter.username && call.counts_at_vcenter()))
            }
            Self::Nsx { .. } => {
                let calls = calls::read(&lab.nsx.control).await?;
                Ok(calls.iter().any(|call| call.is_operators() && call.is_write()))
            }
        }
    }

    /// What of the object must be as before: everything that its makers set, and not what the system counts or the
    /// guest writes.
    async fn state(&self, lab: &Lab) -> Result<Value> {
        match self {
            Self::Vcenter { list, moref } => {
                let dump = lab.vcenter.control.get("/dump").await?;
                let object = members(&dump, list).find(|object| text(object, "moref") == moref);
                // A host that was switched on again is not yet one that serves: `guest` tells how far it has come.
                Ok(object.map_or(Value::Null, |object| {
                    json!(["name", "vlan", "power", "guest"].map(|field| object.get(field)))
                }))
            }
            Self::Nsx { path } => {
                let object = lab.nsx.admin()?.find(path).await?;
                let declared = object
                    .as_ref()
                    .and_then(Value::as_object)
                    .map_or(Value::Null, declared);
                // What is declared again is not yet in effect: a packet tells.
                let packet = json!({"from": FORBIDDEN, "to": PUBLISHED, "port": 80, "protocol": "TCP"});
                let answer = lab.nsx.control.post("/probe", &packet).await?;
                let effect = ["translated", "verdict", "rule"].map(|field| answer.get(field));
                Ok(json!([declared, effect]))
            }
        }
    }
}

/// An NSX object without what NSX itself adds.
fn declared(object: &Map<String, Value>) -> Value {
    let kept = object.iter().filter(|(key, _)| {
        !key.starts_with('_')
            && !matches!(
                key.as_str(),
                "unique_id" | "realization_id" | "rule_id" | "marked_for_delete" | "overridden"
            )
    });
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}

async fn nat_rule(nsx: &Json) -> Result<Victim> {
    let path = format!("{GATEWAY}/nat/USER/nat-rules");
    let rules = nsx.get(&path).await?;
    let rule = members(&rules, "results").find(|rule| is_of(rule, "nginx"));
    let rule = rule.ok_or_else(|| Error::Other("NSX has no NAT rule of EdgeNatRule nginx".to_owned()))?;
    Ok(Victim::Nsx {
        path: format!("{path}/{}", text(rule, "id")),
    })
}

async fn firewall_rule(nsx: &Json) -> Result<Victim> {
    let policies = nsx.get(POLICIES).await?;
    for policy in members(&policies, "results") {
        let path = format!("{POLICIES}/{}/rules", text(policy, "id"));
        let rules = nsx.get(&path).await?;
        if let Some(rule) = members(&rules, "results").find(|rule| is_of(rule, "nginx")) {
            return Ok(Victim::Nsx {
                path: format!("{path}/{}", text(rule, "id")),
            });
        }
    }
    Err(Error::Other(
        "NSX has no firewall rule of EdgeNatRule nginx".to_owned(),
    ))
}

/// Whether the operator's tags say that an object belongs to the custom resource of that name.
fn is_of(object: &Value, name: &str) -> bool {
    members(object, "tags").any(|tag| text(tag, "scope") == "vic-operator/name" && text(tag, "tag") == name)
}

fn members<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_its_owners_by_tag() {
        let rule = json!({"id": "x", "display_name": "nginx", "tags": [
            {"scope": "vic-operator/namespace", "tag": "nginx"}, {"scope": "vic-operator/name", "tag": "nginx-next"}]});
        assert!(is_of(&rule, "nginx-next"));
        assert!(!is_of(&rule, "nginx"));
    }

    #[test]
    fn a_rule_made_anew_counts_as_the_same_though_nsx_numbers_it_anew() {
        let rule = |revision: u32, unique: &str, to: &str| {
            let rule =
                json!({"id": "x", "_revision": revision, "unique_id": unique, "translated_network": to});
            declared(rule.as_object().unwrap())
        };
        assert_eq!(rule(3, "a", "10.30.0.11"), rule(0, "b", "10.30.0.11"));
        assert_ne!(rule(3, "a", "10.30.0.11"), rule(3, "a", "10.30.0.99"));
    }
}
