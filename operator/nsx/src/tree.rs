//! From changes to the body of one hierarchical PATCH. Pure.
//!
//! The place of each object follows from its policy path. Parents that are not changed themselves are walked through by
//! `ChildResourceReference`, which does not touch them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{Change, Error, Intent};

/// Collections of the policy tree, with the type that names the wrapper (`ChildSegment`) and the wrapped object.
/// [API reference, `policy_hierarchical_children`]
const COLLECTIONS: &[(&str, &str)] = &[
    ("dhcp-relay-configs", "DhcpRelayConfig"),
    ("dhcp-server-configs", "DhcpServerConfig"),
    ("dhcp-static-binding-configs", "DhcpStaticBindingConfig"),
    ("domains", "Domain"),
    ("edge-clusters", "PolicyEdgeCluster"),
    ("enforcement-points", "EnforcementPoint"),
    ("gateway-policies", "GatewayPolicy"),
    ("groups", "Group"),
    ("ip-allocations", "IpAddressAllocation"),
    ("ip-blocks", "IpAddressBlock"),
    ("ip-pools", "IpAddressPool"),
    ("ip-subnets", "IpAddressPoolSubnet"),
    ("locale-services", "LocaleServices"),
    ("nat", "PolicyNat"),
    ("nat-rules", "PolicyNatRule"),
    ("ports", "SegmentPort"),
    ("rules", "Rule"),
    ("security-policies", "SecurityPolicy"),
    ("segments", "Segment"),
    ("service-entries", "ServiceEntry"),
    ("services", "Service"),
    ("sites", "Site"),
    ("static-routes", "StaticRoutes"),
    ("tier-0s", "Tier0"),
    ("tier-1s", "Tier1"),
    ("transport-zones", "PolicyTransportZone"),
];

/// What happens to one node of the tree.
#[derive(Debug)]
enum Deed<'a> {
    /// Walked through.
    Pass,
    Put(&'a Intent),
    Delete(&'a str),
}

#[derive(Debug)]
struct Node<'a> {
    deed: Deed<'a>,
    children: Children<'a>,
}

/// By wrapper type and id.
type Children<'a> = BTreeMap<(&'static str, &'a str), Node<'a>>;

/// The body of `PATCH /infra` that makes all of `changes` at once.
pub(crate) fn body<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Result<Value, Error> {
    let mut root = Children::new();
    for change in changes {
        place(&mut root, change)?;
    }
    Ok(json!({"resource_type": "Infra", "children": render_all(root)}))
}

/// Checks that a unit can be written as one call and does not contradict itself.
pub(crate) fn check(changes: &[Change]) -> Result<(), Error> {
    body(changes).map(drop)
}

fn unplaceable(path: &str, cause: impl Into<String>) -> Error {
    Error::Unplaceable {
        path: path.to_owned(),
        cause: cause.into(),
    }
}

/// The wrapper type of a collection's members. Interfaces are of the tier that they are on, `root` of their path.
fn wrapper_of(collection: &str, root: Option<&(&'static str, &str)>) -> Option<&'static str> {
    if collection == "interfaces" {
        return match root {
            Some(("Tier0", _)) => Some("Tier0Interface"),
            Some(("Tier1", _)) => Some("Tier1Interface"),
            _ => None,
        };
    }
    COLLECTIONS
        .iter()
        .find(|(name, _)| *name == collection)
        .map(|(_, wrapper)| *wrapper)
}

/// The steps from `/infra` down to the object.
fn steps(path: &str) -> Result<Vec<(&'static str, &str)>, Error> {
    let rest = path
        .strip_prefix("/infra/")
        .ok_or_else(|| unplaceable(path, "it is not below /infra"))?;
    let mut parts = rest.split('/');
    let mut steps = Vec::new();
    while let Some(collection) = parts.next() {
        let wrapper = wrapper_of(collection, steps.first()).ok_or_else(|| {
            unplaceable(
                path,
                format!("{collection} is no collection that this client writes"),
            )
        })?;
        let id = parts
            .next()
            .filter(|id| !id.is_empty())
            .ok_or_else(|| unplaceable(path, "it names a collection, not an object"))?;
        steps.push((wrapper, id));
    }
    Ok(steps)
}

fn place<'a>(root: &mut Children<'a>, change: &'a Change) -> Result<(), Error> {
    let path = change.path();
    let steps = steps(path)?;
    let Some((last, above)) = steps.split_last() else {
        return Err(unplaceable(path, "it names no object"));
    };
    let fresh = || Node {
        deed: Deed::Pass,
        children: Children::new(),
    };
    let mut children = root;
    let mut dying = false;
    for step in above {
        let node = children.entry(*step).or_insert_with(fresh);
        dying |= matches!(node.deed, Deed::Delete(_));
        children = &mut node.children;
    }
    if dying && !change.is_delete() {
        return Err(unplaceable(path, "the same change deletes its parent"));
    }
    let node = children.entry(*last).or_insert_with(fresh);
    node.deed = match (&node.deed, change) {
        (Deed::Pass, Change::Put(intent)) => Deed::Put(intent),
        (Deed::Pass, Change::Delete { resource_type, .. }) if !has_put(&node.children) => {
            Deed::Delete(resource_type)
        }
        (Deed::Pass, Change::Delete { .. }) => {
            return Err(unplaceable(
                path,
                "the same change writes below it and deletes it",
            ));
        }
        // Units that share an object each bring it along.
        (Deed::Put(one), Change::Put(other)) if *one == other => Deed::Put(other),
        _ => return Err(unplaceable(path, "the same change names it twice")),
    };
    Ok(())
}

fn has_put(children: &Children<'_>) -> bool {
    children
        .values()
        .any(|node| matches!(node.deed, Deed::Put(_)) || has_put(&node.children))
}

fn render_all(children: Children<'_>) -> Vec<Value> {
    children
        .into_iter()
        .map(|((wrapper, id), node)| render(wrapper, id, node))
        .collect()
}

fn render(wrapper: &str, id: &str, node: Node<'_>) -> Value {
    let below = render_all(node.children);
    let mut object = match node.deed {
        Deed::Pass => {
            return json!({
                "resource_type": "ChildResourceReference", "target_type": wrapper, "id": id, "children": below
            });
        }
        Deed::Put(intent) => {
            let mut object = intent.body.clone();
            object.insert("resource_type".to_owned(), json!(intent.resource_type));
            object
        }
        Deed::Delete(resource_type) => {
            let mut object = Map::new();
            object.insert("resource_type".to_owned(), json!(resource_type));
            object.insert("marked_for_delete".to_owned(), json!(true));
            object
        }
    };
    let delete = matches!(node.deed, Deed::Delete(_));
    object.insert("id".to_owned(), json!(id));
    if !below.is_empty() {
        object.insert("children".to_owned(), Value::Array(below));
    }
    let mut outer = Map::new();
    outer.insert("resource_type".to_owned(), json!(format!("Child{wrapper}")));
    outer.insert("marked_for_delete".to_owned(), json!(delete));
    outer.insert(wrapper.to_owned(), Value::Object(object));
    Value::Object(outer)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
