//! Reading a subtree.

use serde_json::{Value, json};

use crate::rules::testing::{patch, world};
use crate::world::tree::Wanted;

fn wanted(pairs: &[(&str, &str)]) -> Wanted {
    let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    Wanted::from_query(&pairs)
}

/// Ids of all wrapped objects of a type, anywhere.
fn ids(tree: &Value, kind: &str) -> Vec<String> {
    let mut found = Vec::new();
    for child in tree["children"].as_array().into_iter().flatten() {
        let name = child["resource_type"]
            .as_str()
            .unwrap()
            .strip_prefix("Child")
            .unwrap()
            .to_owned();
        let body = if name == "ResourceReference" {
            child
        } else {
            &child[&name]
        };
        if name == kind {
            found.push(body["id"].as_str().unwrap().to_owned());
        }
        found.extend(ids(body, kind));
    }
    found
}

#[test]
fn types_and_base_choose_what_is_shown() {
    let mut world = world();
    patch(&mut world, "/infra/domains/default/groups/a", json!({})).unwrap();
    for gateway in ["/infra/tier-1s/vic-edge", "/infra/tier-0s/vic-t0"] {
        let rule = json!({"action": "NO_SNAT", "source_network": "10.0.0.1"});
        patch(
            &mut world,
            &format!("{gateway}/nat/USER/nat-rules/on-{}", &gateway[7..13]),
            rule,
        )
        .unwrap();
    }
    let all = world
        .tree("/infra", &wanted(&[("type_filter", "Group;PolicyNatRule")]))
        .unwrap();
    assert_eq!(ids(&all, "Group"), ["a"]);
    assert_eq!(ids(&all, "PolicyNatRule").len(), 2);
    assert!(ids(&all, "Rule").is_empty());
    let one = world
        .tree(
            "/infra",
            &wanted(&[
                ("type_filter", "PolicyNatRule"),
                ("base_path", "/infra/tier-1s/vic-edge"),
            ]),
        )
        .unwrap();
    assert_eq!(ids(&one, "PolicyNatRule"), ["on-tier-1"]);
    assert_eq!(ids(&one, "Tier1"), ["vic-edge"], "the way down is shown");
    let old = world
        .tree("/infra", &wanted(&[("filter", "Type-Domain|Group")]))
        .unwrap();
    assert_eq!(
        (ids(&old, "Domain"), ids(&old, "Group")),
        (vec!["default".to_owned()], vec!["a".to_owned()])
    );
    assert!(
        world
            .tree("/infra", &wanted(&[("base_path", "/infra/tier-1s/none")]))
            .is_err()
    );
    let bare = world.tree("/infra", &Wanted::default()).unwrap();
    assert!(bare.get("children").is_none());
}

#[test]
fn the_way_may_be_shown_as_references() {
    let mut world = world();
    world.tuning.tree_shows_way_as_references = true;
    patch(&mut world, "/infra/domains/default/groups/a", json!({})).unwrap();
    let tree = world
        .tree("/infra", &wanted(&[("type_filter", "Group")]))
        .unwrap();
    assert_eq!(tree["children"][0]["resource_type"], "ChildResourceReference");
    assert_eq!(tree["children"][0]["target_type"], "Domain");
    assert_eq!(ids(&tree, "Group"), ["a"]);
}

#[test]
fn what_is_read_can_be_written_back() {
    let mut world = world();
    patch(
        &mut world,
        "/infra/domains/default/groups/a",
        json!({"description": "x"}),
    )
    .unwrap();
    patch(&mut world, "/infra/segments/s", json!({})).unwrap();
    let tree = world
        .tree(
            "/infra",
            &wanted(&[("type_filter", "Group;Segment;Tier1;LocaleServices")]),
        )
        .unwrap();
    super::hierarchy::tree_on(&mut world, &tree["children"], true).unwrap();
}
