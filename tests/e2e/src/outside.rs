//! What the simulators show of what exists outside of Kubernetes, and a hand that edits it.

use lab::Lab;
use lab::poc::calls::{self, Call};
use lab::poc::left_behind::{differences, is_own_doing};
use reqwest::Method;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome, demand};
use crate::manifests::merged;
use crate::world::World;

/// Where NSX's policy API begins.
const POLICY: &str = "/policy/api/v1";
/// The edge gateway.
pub const GATEWAY: &str = "/infra/tier-1s/vic-edge";
/// Where gateway firewall policies lie.
const POLICIES: &str = "/infra/domains/default/gateway-policies";

/// What stays of a VCH on purpose: images for the next one, and the definition of the ownership mark.
pub const KEPT: [&str; 2] = ["/files/[LocalDS_0] vic-operator/", "/custom_fields/vic-operator"];

/// Everything that both simulators hold.
#[derive(Clone, Debug)]
pub struct Snapshot {
    nsx: Value,
    vcenter: Value,
}

impl Snapshot {
    /// Both simulators as they are now.
    ///
    /// # Errors
    /// A control port does not answer.
    pub async fn take(lab: &Lab) -> Outcome<Self> {
        Ok(Self {
            nsx: lab.nsx.control.get("/dump").await?,
            vcenter: lab.vcenter.control.get("/dump").await?,
        })
    }

    /// What is different in `later`.
    #[must_use]
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let of = |system: &str, before: &Value, after: &Value| -> Vec<String> {
            differences(before, after)
                .into_iter()
                .map(|line| format!("{system}: {line}"))
                .collect()
        };
        let mut found = of("nsx", &self.nsx, &later.nsx);
        found.extend(of("vcenter", &self.vcenter, &later.vcenter));
        // A session that is used says when; one that came or went is told.
        let by_itself = |change: &str| {
            if change.contains("/sessions/") {
                change.contains("/used: ")
            } else {
                is_own_doing(change)
            }
        };
        found.retain(|change| !by_itself(change));
        found
    }

    /// Fails if anything is different now.
    ///
    /// # Errors
    /// Something is.
    pub async fn is_unchanged(&self, lab: &Lab) -> Outcome {
        let changes = self.changes(&Self::take(lab).await?);
        demand(changes.is_empty(), || {
            format!("something was written: {}", changes.join("; "))
        })
    }

    /// Waits until all is as it was, but for what contains one of `kept`: NSX takes its time to delete.
    ///
    /// # Errors
    /// Something stays different.
    pub async fn comes_back(&self, world: &World, kept: &[&str]) -> Outcome {
        world
            .eventually("the simulators to be as before", async || {
                let mut changes = self.changes(&Self::take(&world.lab).await?);
                changes.retain(|change| !kept.iter().any(|part| change.contains(part)));
                Ok(if changes.is_empty() {
                    Ok(())
                } else {
                    Err(changes.join("; "))
                })
            })
            .await
    }
}

/// What was called.
#[derive(Clone, Debug)]
pub struct Calls {
    /// Calls to NSX.
    pub nsx: Vec<Call>,
    /// The operator's calls to vCenter that count: neither waiting for news nor carrying an image.
    pub vcenter: Vec<Call>,
}

impl Calls {
    /// Forgets the calls so far.
    ///
    /// # Errors
    /// A control port does not answer.
    pub async fn forget(lab: &Lab) -> Outcome {
        calls::forget(&lab.nsx.control).await?;
        calls::forget(&lab.vcenter.control).await?;
        Ok(())
    }

    /// The calls since they were last forgotten.
    ///
    /// # Errors
    /// A control port does not answer.
    pub async fn read(lab: &Lab) -> Outcome<Self> {
        let nsx = calls::read(&lab.nsx.control).await?;
        let mut vcenter = calls::read(&lab.vcenter.control).await?;
        vcenter.retain(|call| call.client == lab.vcenter.username && call.counts_at_vcenter());
        Ok(Self { nsx, vcenter })
    }

    /// Calls to NSX that may have changed something.
    #[must_use]
    pub fn nsx_writes(&self) -> Vec<&Call> {
        self.nsx.iter().filter(|call| call.is_write()).collect()
    }

    /// How often the operator looked for changes in NSX.
    #[must_use]
    pub fn looks(&self) -> usize {
        self.nsx
            .iter()
            .filter(|call| call.method == "GET" && call.path.contains("/search"))
            .count()
    }
}

/// Waits until the operator has looked for changes in NSX that many times since the calls were forgotten.
///
/// # Errors
/// It does not look.
pub async fn periods(world: &World, count: usize) -> Outcome<Calls> {
    world
        .eventually("the operator to look at NSX", async || {
            let calls = Calls::read(&world.lab).await?;
            let looks = calls.looks();
            Ok(if looks >= count {
                Ok(calls)
            } else {
                Err(format!("{looks} looks"))
            })
        })
        .await
}

/// The member of a list whose field has that value.
fn find(list: &Value, field: &str, value: &str) -> Option<Value> {
    let members = list.as_array()?;
    members
        .iter()
        .find(|member| member.get(field).and_then(Value::as_str) == Some(value))
        .cloned()
}

/// An object of vcsim's dump, by list (`vms`, `pools`, `folders`, `port_groups`) and name.
///
/// # Errors
/// The control port does not answer.
pub async fn in_vcenter(lab: &Lab, list: &str, name: &str) -> Outcome<Option<Value>> {
    let dump = lab.vcenter.control.get("/dump").await?;
    Ok(dump.get(list).and_then(|list| find(list, "name", name)))
}

/// The same, by moref: it stays when a name does not.
///
/// # Errors
/// The control port does not answer.
pub async fn by_moref(lab: &Lab, list: &str, moref: &str) -> Outcome<Option<Value>> {
    let dump = lab.vcenter.control.get("/dump").await?;
    Ok(dump.get(list).and_then(|list| find(list, "moref", moref)))
}

/// Edits vCenter by hand, as `POST /edit` of vcsim's control port says.
///
/// # Errors
/// The edit is refused.
pub async fn edit(lab: &Lab, edit: &Value) -> Outcome<Value> {
    Ok(lab.vcenter.control.post("/edit", edit).await?)
}

/// Runs, moves or removes a container, as `POST /containers` of vcsim's control port says.
///
/// # Errors
/// It is refused.
pub async fn container(lab: &Lab, request: &Value) -> Outcome<Value> {
    Ok(lab.vcenter.control.post("/containers", request).await?)
}

/// An object of NSX by policy path.
///
/// # Errors
/// NSX does not answer.
pub async fn in_nsx(lab: &Lab, path: &str) -> Outcome<Option<Value>> {
    Ok(lab.nsx.admin()?.find(&format!("{POLICY}{path}")).await?)
}

/// Makes or replaces an object of NSX as its administrator; its fields only, the revision is read.
///
/// # Errors
/// NSX refuses it.
pub async fn put(lab: &Lab, path: &str, changes: &Value) -> Outcome {
    let admin = lab.nsx.admin()?;
    let url = format!("{POLICY}{path}");
    let before = admin.find(&url).await?.unwrap_or_else(|| json!({}));
    admin
        .call(Method::PUT, &url, Some(&merged(before, changes)))
        .await?;
    Ok(())
}

/// Deletes an object of NSX as its administrator.
///
/// # Errors
/// NSX refuses it.
pub async fn delete(lab: &Lab, path: &str) -> Outcome {
    lab.nsx
        .admin()?
        .call(Method::DELETE, &format!("{POLICY}{path}"), None)
        .await?;
    Ok(())
}

/// The NAT rules of the edge gateway's section for users.
///
/// # Errors
/// NSX does not answer.
pub async fn nat_rules(lab: &Lab) -> Outcome<Vec<Value>> {
    list(lab, &format!("{GATEWAY}/nat/USER/nat-rules")).await
}

/// What NSX lists below a policy path.
///
/// # Errors
/// NSX does not answer.
pub async fn list(lab: &Lab, path: &str) -> Outcome<Vec<Value>> {
    let answer = lab.nsx.admin()?.get(&format!("{POLICY}{path}")).await?;
    Ok(answer
        .get("results")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default())
}

/// The path of the NAT rule that belongs to an EdgeNatRule.
///
/// # Errors
/// There is none, or several.
pub async fn nat_rule_of(lab: &Lab, namespace: &str, name: &str) -> Outcome<String> {
    let rules = nat_rules(lab).await?;
    let own: Vec<&Value> = rules
        .iter()
        .filter(|rule| belongs_to(rule, namespace, name))
        .collect();
    match own.as_slice() {
        [rule] => Ok(text(rule, "path").to_owned()),
        other => Err(Failure(format!(
            "NSX has {} NAT rules of {namespace}/{name}: {rules:?}",
            other.len()
        ))),
    }
}

/// The firewall rules of gateways that belong to an EdgeNatRule.
///
/// # Errors
/// NSX does not answer.
pub async fn firewall_rules_of(lab: &Lab, namespace: &str, name: &str) -> Outcome<Vec<Value>> {
    let mut found = Vec::new();
    for policy in list(lab, POLICIES).await? {
        let rules = list(lab, &format!("{POLICIES}/{}/rules", text(&policy, "id"))).await?;
        found.extend(rules.into_iter().filter(|rule| belongs_to(rule, namespace, name)));
    }
    Ok(found)
}

/// The objects of nsxsim's dump that carry any mark of the operator.
///
/// # Errors
/// The control port does not answer.
pub async fn marked_in_nsx(lab: &Lab) -> Outcome<Vec<String>> {
    let dump = lab.nsx.control.get("/dump").await?;
    let mut found = Vec::new();
    collect_marked(&dump, &mut found);
    Ok(found)
}

fn collect_marked(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let mut tags = object.get("tags").and_then(Value::as_array).into_iter().flatten();
            if tags.any(|tag| text(tag, "scope").starts_with("vic-operator/")) {
                found.push(text(value, "path").to_owned());
            }
            object.values().for_each(|member| collect_marked(member, found));
        }
        Value::Array(list) => list.iter().for_each(|member| collect_marked(member, found)),
        _ => {}
    }
}

/// Whether the operator's tags say that an object belongs to that custom resource.
fn belongs_to(object: &Value, namespace: &str, name: &str) -> bool {
    let tags = object.get("tags").and_then(Value::as_array);
    let has = |scope: &str, tag: &str| {
        tags.into_iter()
            .flatten()
            .any(|found| text(found, "scope") == scope && text(found, "tag") == tag)
    };
    has("vic-operator/namespace", namespace) && has("vic-operator/name", name)
}

/// A text field, empty where it is absent.
#[must_use]
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_wherever_the_dump_keeps_its_objects() {
        let marked = json!({"path": "/infra/x", "tags": [{"scope": "vic-operator/instance", "tag": "i"}]});
        let foreign = json!({"path": "/infra/y", "tags": [{"scope": "team", "tag": "a"}]});
        let mut found = Vec::new();
        collect_marked(&json!({"objects": [marked, foreign], "realized": {}}), &mut found);
        assert_eq!(found, ["/infra/x"]);
    }

    #[test]
    fn ownership_needs_namespace_and_name() {
        let rule = json!({"tags": [
            {"scope": "vic-operator/namespace", "tag": "a"}, {"scope": "vic-operator/name", "tag": "b"}]});
        assert!(belongs_to(&rule, "a", "b"));
        assert!(!belongs_to(&rule, "b", "b"));
    }
}
