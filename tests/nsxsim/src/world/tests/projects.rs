//! Projects: a tree of their own, and what the provider lends.

use serde_json::{Value, json};

use super::hierarchy::{attempt, below, child};
use crate::error::{IN_USE, INVALID_PATH, NsxError};
use crate::rules::testing::{ZONES, delete, patch, settle, world};
use crate::world::World;

const PROJECT: &str = "/orgs/default/projects/p";
const ROOT: &str = "/orgs/default/projects/p/infra";
const CLUSTER: &str = "/infra/sites/default/enforcement-points/default/edge-clusters/edge-cluster-1";
const T0: &str = "/infra/tier-0s/vic-t0";

fn with_project(body: Value) -> World {
    let mut world = world();
    patch(&mut world, PROJECT, body).unwrap();
    settle(&mut world);
    world
}

fn lent() -> Value {
    json!({"tier_0s": [T0], "site_infos": [{"edge_cluster_paths": [CLUSTER]}]})
}

fn code(result: Result<(), NsxError>) -> Value {
    result.map_or_else(|e| e.code, |()| json!("accepted"))
}

#[test]
fn a_project_comes_with_a_domain_and_goes_with_it() {
    let mut world = with_project(json!({}));
    for path in [
        format!("{ROOT}/domains/default"),
        format!("{ROOT}/domains/default/security-policies/default-layer3-section/rules/default_rule"),
    ] {
        assert!(world.read(&path).is_ok(), "{path}");
    }
    let group = format!("{ROOT}/domains/default/groups/g");
    patch(&mut world, &group, json!({})).unwrap();
    assert_eq!(code(delete(&mut world, PROJECT)), json!(IN_USE));
    delete(&mut world, &group).unwrap();
    settle(&mut world);
    delete(&mut world, PROJECT).unwrap();
    settle(&mut world);
    assert!(world.read(&format!("{ROOT}/domains/default")).is_err());
    assert_eq!(code(patch(&mut world, &group, json!({}))), json!(INVALID_PATH));
}

#[test]
fn the_provider_lends_what_the_project_says() {
    let segment = |zone: &str| json!({"transport_zone_path": zone});
    let rule = |groups: &str, service: &str| json!({"action": "ALLOW", "source_groups": [groups], "services": [service]});
    let tier1 = format!("{ROOT}/tier-1s/t");
    let locale = format!("{tier1}/locale-services/ls");
    let policy = format!("{ROOT}/domains/default/security-policies/s");
    let rules = format!("{policy}/rules/r");
    let overlay = format!("{ZONES}/overlay");
    // what the project is, path, body, accepted
    let cases = [
        (lent(), tier1.as_str(), json!({"tier0_path": T0}), true),
        (json!({}), &tier1, json!({"tier0_path": T0}), false),
        (lent(), &locale, json!({"edge_cluster_path": CLUSTER}), true),
        (
            json!({"tier_0s": [T0]}),
            &locale,
            json!({"edge_cluster_path": CLUSTER}),
            false,
        ),
        (lent(), "segments/web", segment(&overlay), true),
        (
            json!({"site_infos": [{"transport_zone_paths": [format!("{ZONES}/vlan")]}]}),
            "segments/web",
            segment(&overlay),
            false,
        ),
        (
            lent(),
            "segments/web",
            json!({"connectivity_path": "/infra/tier-1s/vic-edge"}),
            false,
        ),
        (lent(), &rules, rule("10.0.0.0/8", "/infra/services/HTTP"), true),
        (
            lent(),
            &rules,
            rule("/infra/domains/default/groups/g", "ANY"),
            false,
        ),
        (lent(), &rules, rule("10.0.0.0/8", "/infra/services/mine"), false),
    ];
    for (project, path, body, accepted) in cases {
        let mut world = with_project(project.clone());
        patch(&mut world, "/infra/domains/default/groups/g", json!({})).unwrap();
        patch(&mut world, "/infra/services/mine", json!({})).unwrap();
        patch(&mut world, &tier1, json!({})).unwrap();
        patch(&mut world, &policy, json!({})).unwrap();
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{ROOT}/{path}")
        };
        let got = code(patch(&mut world, &path, body.clone()));
        let expected = if accepted {
            json!("accepted")
        } else {
            json!(INVALID_PATH)
        };
        assert_eq!(got, expected, "{project} {path} {body}");
    }
}

#[test]
fn the_provider_names_no_projects_objects() {
    let mut world = with_project(lent());
    let group = format!("{ROOT}/domains/default/groups/g");
    patch(&mut world, &group, json!({})).unwrap();
    let policy = "/infra/domains/default/security-policies/s";
    patch(&mut world, policy, json!({})).unwrap();
    let rule = json!({"action": "ALLOW", "source_groups": [group]});
    assert_eq!(
        code(patch(&mut world, &format!("{policy}/rules/r"), rule)),
        json!(INVALID_PATH)
    );
    assert_eq!(code(delete(&mut world, T0)), json!(IN_USE), "the project uses it");
}

#[test]
fn trees_reach_from_the_organisation_down() {
    let mut world = world();
    let groups = vec![child("Group", &json!({"id": "g"}))];
    let inside = below("Domain", "default", json!(groups));
    let project = json!({"resource_type": "ChildProject", "Project": {"id": "p", "resource_type": "Project",
        "children": [{"resource_type": "ChildInfra", "Infra": {"resource_type": "Infra", "children": [inside]}}]}});
    let body = json!({"resource_type": "OrgRoot", "children": [below("Org", "default", json!([project]))]});
    attempt(&mut world, "OrgRoot", "/org-root", &body).unwrap();
    assert!(world.read(&format!("{ROOT}/domains/default/groups/g")).is_ok());
    let more = vec![child("Group", &json!({"id": "h"}))];
    let body = json!({"resource_type": "Infra", "children": [below("Domain", "default", json!(more))]});
    attempt(&mut world, "Infra", ROOT, &body).unwrap();
    let wanted = |pairs: &[(&str, &str)]| {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        crate::world::tree::Wanted::from_query(&pairs)
    };
    let tree = world.tree(ROOT, &wanted(&[("type_filter", "Group")])).unwrap();
    let domain = &tree["children"][0]["Domain"];
    assert_eq!(
        (&tree["path"], domain["children"].as_array().unwrap().len()),
        (&json!(ROOT), 2)
    );
    let all = world
        .tree("/org-root", &wanted(&[("type_filter", "Group")]))
        .unwrap();
    assert_eq!(all["children"][0]["Org"]["id"], "default");
    let outside = world.tree(ROOT, &wanted(&[("base_path", "/infra/domains/default")]));
    assert!(outside.is_err(), "a base lies inside");
    let lost = json!({"resource_type": "Infra", "children": [below("Domain", "none", json!(more))]});
    assert!(attempt(&mut world, "Infra", ROOT, &lost).is_err());
}
