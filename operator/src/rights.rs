//! The rights that the chart gives: to the operator, and to people. The one place where they are written; the chart
//! reads them from `charts/vic-operator/files/rights.yaml`, which a test keeps current.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Serialize;

use crate::kind::Kind;

/// Who may write objects of a kind, beside those who may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Author {
    /// Who puts containers on networks and publishes them.
    NetworkUser,
    /// Who makes networks and guards them.
    NetworkAdmin,
    /// Who runs the platform: no role of the chart.
    Platform,
}

fn author(kind: Kind) -> Author {
    match kind {
        Kind::Site => Author::Platform,
        Kind::EdgeGateway | Kind::ContainerNetwork | Kind::MicrosegmentationPolicy => Author::NetworkAdmin,
        Kind::VirtualContainerHost | Kind::EdgeNatRule => Author::NetworkUser,
    }
}

/// What the chart's templates read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rights {
    /// The API group of the kinds.
    group: &'static str,
    /// The kinds, as URLs write them.
    kinds: Vec<&'static str>,
    /// The operator's rules, in the whole cluster.
    operator: Vec<PolicyRule>,
    /// Its rules on Secrets that it writes: in the tenants' namespaces and in its own.
    secrets: Vec<PolicyRule>,
    /// Its further rules in its own namespace.
    own_namespace: Vec<PolicyRule>,
    /// Roles for people, by name.
    people: BTreeMap<&'static str, Vec<PolicyRule>>,
}

/// All rights.
#[must_use]
pub fn rights() -> Rights {
    let kinds: Vec<&str> = Kind::ALL.map(Kind::plural).to_vec();
    Rights {
        group: vic_crds::GROUP,
        operator: operator(&kinds),
        secrets: vec![rule("", &["secrets"], &["get", "create", "patch", "delete"])],
        own_namespace: own_namespace(),
        people: people(&kinds),
        kinds,
    }
}

/// The rights as the file of the chart.
///
/// # Errors
/// Where they cannot be written as YAML.
pub fn file() -> Result<String, serde_yaml_ng::Error> {
    let head = "# Generated from operator/src/rights.rs: UPDATE_CHART=1 cargo test -p vic-operator rights\n";
    Ok(format!("{head}{}", serde_yaml_ng::to_string(&rights())?))
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(texts(&[group])),
        resources: Some(texts(resources)),
        verbs: texts(verbs),
        ..PolicyRule::default()
    }
}

fn operator(kinds: &[&str]) -> Vec<PolicyRule> {
    let statuses: Vec<String> = kinds.iter().map(|kind| format!("{kind}/status")).collect();
    let statuses: Vec<&str> = statuses.iter().map(String::as_str).collect();
    vec![
        // Patched for the finalizer alone.
        rule(vic_crds::GROUP, kinds, &["list", "watch", "patch"]),
        rule(vic_crds::GROUP, &statuses, &["patch"]),
        // Their labels say what a tenant may use.
        rule("", &["namespaces"], &["list", "watch"]),
        // Its UID names this cluster towards vSphere and NSX.
        PolicyRule {
            resource_names: Some(vec!["kube-system".to_owned()]),
            ..rule("", &["namespaces"], &["get"])
        },
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
}

fn own_namespace() -> Vec<PolicyRule> {
    vec![
        // Credentials of Sites are read, certificates of hosts are kept; the rest of it is in `secrets`.
        rule("", &["secrets"], &["list", "watch", "update"]),
        rule("", &["configmaps"], &["get", "list", "watch"]),
        // One for each Site: who holds it writes.
        rule("coordination.k8s.io", &["leases"], &["get", "create", "update"]),
    ]
}

fn people(kinds: &[&str]) -> BTreeMap<&'static str, Vec<PolicyRule>> {
    let read = rule(vic_crds::GROUP, kinds, &["get", "list", "watch"]);
    let write = |most: Author| {
        let written: Vec<&str> = Kind::ALL
            .into_iter()
            .filter(|kind| author(*kind) <= most)
            .map(Kind::plural)
            .collect();
        let verbs = ["create", "update", "patch", "delete", "deletecollection"];
        rule(vic_crds::GROUP, &written, &verbs)
    };
    BTreeMap::from([
        ("vic-viewer", vec![read.clone()]),
        ("vic-network-user", vec![read.clone(), write(Author::NetworkUser)]),
        ("vic-network-admin", vec![read, write(Author::NetworkAdmin)]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(rules: &[PolicyRule]) -> Vec<String> {
        rules
            .iter()
            .flat_map(|rule| rule.resources.clone().unwrap_or_default())
            .collect()
    }

    #[test]
    fn the_file_of_the_chart_is_current() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../charts/vic-operator/files/rights.yaml"
        );
        let expected = file().unwrap();
        if std::env::var_os("UPDATE_CHART").is_some() {
            std::fs::write(path, &expected).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap() == expected,
            "files/rights.yaml is stale: run UPDATE_CHART=1 cargo test -p vic-operator rights"
        );
    }

    #[test]
    fn kinds_are_those_of_the_crds() {
        let crds = vic_crds::generate::all();
        let names: Vec<(&str, &str)> = crds
            .iter()
            .map(|crd| (crd.spec.names.kind.as_str(), crd.spec.names.plural.as_str()))
            .collect();
        assert_eq!(names, Kind::ALL.map(|kind| (kind.name(), kind.plural())));
    }

    #[test]
    fn nobody_has_a_wildcard_and_no_right_is_given_twice() {
        let rights = rights();
        let groups = [&rights.operator, &rights.secrets, &rights.own_namespace];
        let mut seen = std::collections::HashSet::new();
        for rule in groups.into_iter().flatten() {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    for verb in &rule.verbs {
                        assert!(![group, resource, verb].iter().any(|text| text.contains('*')));
                        assert!(
                            seen.insert((group, resource, verb)),
                            "{verb} {resource} is given twice"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn people_write_no_status_and_no_site() {
        let rights = rights();
        assert!(
            !resources(
                rights
                    .people
                    .values()
                    .flatten()
                    .cloned()
                    .collect::<Vec<_>>()
                    .as_slice()
            )
            .iter()
            .any(|resource| resource.contains('/'))
        );
        for (role, rules) in &rights.people {
            let written = rules
                .iter()
                .filter(|rule| rule.verbs.contains(&"create".to_owned()));
            assert!(
                !resources(&written.cloned().collect::<Vec<_>>()).contains(&"sites".to_owned()),
                "{role}"
            );
        }
    }

    #[test]
    fn an_admin_may_all_that_a_user_may() {
        let rights = rights();
        let of = |role: &str| resources(&rights.people[role]);
        for resource in of("vic-network-user") {
            assert!(of("vic-network-admin").contains(&resource), "{resource}");
        }
        assert!(of("vic-network-admin").len() > of("vic-network-user").len());
    }
}
