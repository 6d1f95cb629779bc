//! Who may do what: the rules of roles taken apart, and the API server's word on them.

use std::fmt;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use lab::audit::Request;
use lab::operator::NAMESPACE;

use crate::failure::{Failure, Outcome};

const RBAC: &str = "rbac.authorization.k8s.io";

/// One verb on one resource: the smallest thing that a rule grants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The API group.
    pub group: String,
    /// The resource, with its subresource.
    pub resource: String,
    /// The verb.
    pub verb: String,
    /// The only names it holds for; all, where there are none.
    pub names: Vec<String>,
    /// The only namespace it holds in.
    pub namespace: Option<String>,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            resource,
            verb,
            names,
            namespace,
        } = self;
        write!(f, "{verb} {resource} of {group:?} {names:?} in {namespace:?}")
    }
}

impl Grant {
    /// Whether it permits a request.
    #[must_use]
    pub fn permits(&self, need: &Need) -> bool {
        self.group == need.group
            && self.resource == need.resource()
            && self.verb == need.verb
            && (self.names.is_empty() || need.name.as_ref().is_some_and(|name| self.names.contains(name)))
            && (self.namespace.is_none() || self.namespace == need.namespace)
    }

    fn rule(&self) -> PolicyRule {
        PolicyRule {
            api_groups: Some(vec![self.group.clone()]),
            resources: Some(vec![self.resource.clone()]),
            resource_names: (!self.names.is_empty()).then(|| self.names.clone()),
            verbs: vec![self.verb.clone()],
            ..PolicyRule::default()
        }
    }
}

/// What a request needs a right for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The verb.
    pub verb: String,
    /// The API group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// The resource.
    pub plural: String,
    /// Its subresource.
    pub subresource: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: Option<String>,
}

impl Need {
    /// What an audited request needed: an apply that made something needed the right to create, too.
    #[must_use]
    pub fn of(request: &Request) -> Vec<Self> {
        let need = Self {
            verb: request.verb.clone(),
            group: request.group.clone(),
            version: request.version.clone(),
            plural: request.resource.clone(),
            subresource: request.subresource.clone(),
            // The API server tells a namespace's own name as its namespace.
            namespace: request
                .namespace
                .clone()
                .filter(|_| request.resource != "namespaces"),
            name: request.name.clone(),
        };
        let created = request.verb == "patch" && request.code == 201;
        let create = created.then(|| Self {
            verb: "create".to_owned(),
            ..need.clone()
        });
        std::iter::once(need).chain(create).collect()
    }

    fn resource(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.plural),
            None => self.plural.clone(),
        }
    }

    /// The URL and the HTTP method of a request that needs it, as a dry run.
    #[must_use]
    pub fn request(&self) -> (&'static str, String) {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        let within = self.namespace.as_ref().map(|name| format!("/namespaces/{name}"));
        let collection = format!("{root}{}/{}", within.unwrap_or_default(), self.plural);
        let name = self.name.clone().unwrap_or_default();
        let below = self
            .subresource
            .as_ref()
            .map(|sub| format!("/{sub}"))
            .unwrap_or_default();
        let object = format!("{collection}/{name}{below}");
        match self.verb.as_str() {
            "get" => ("GET", object),
            "list" => ("GET", collection),
            "watch" => ("GET", format!("{collection}?watch=1&timeoutSeconds=1")),
            "create" => ("POST", format!("{collection}?dryRun=All")),
            "update" => ("PUT", format!("{object}?dryRun=All")),
            "patch" => ("PATCH", format!("{object}?dryRun=All")),
            _ => ("DELETE", format!("{object}?dryRun=All")),
        }
    }
}

/// Everything that a role's rules grant.
fn grants(rules: Option<Vec<PolicyRule>>, namespace: Option<&str>) -> Vec<Grant> {
    let mut found = Vec::new();
    for rule in rules.unwrap_or_default() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    found.push(Grant {
                        group: group.clone(),
                        resource: resource.clone(),
                        verb: verb.clone(),
                        names: rule.resource_names.clone().unwrap_or_default(),
                        namespace: namespace.map(str::to_owned),
                    });
                }
            }
        }
    }
    found
}

/// What the chart grants to the operator, as the API server holds it.
///
/// # Errors
/// A role is missing.
pub async fn of_the_operator(client: &Client) -> Outcome<Vec<Grant>> {
    let cluster: Api<ClusterRole> = Api::all(client.clone());
    let own: Api<Role> = Api::namespaced(client.clone(), NAMESPACE);
    let mut found = grants(cluster.get("vic-operator").await?.rules, None);
    found.extend(grants(cluster.get("vic-operator-secrets").await?.rules, None));
    found.extend(grants(own.get("vic-operator").await?.rules, Some(NAMESPACE)));
    Ok(found)
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn user(name: &str) -> Vec<Subject> {
    vec![Subject {
        kind: "User".to_owned(),
        name: name.to_owned(),
        api_group: Some(RBAC.to_owned()),
        namespace: None,
    }]
}

fn role(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: Some(RBAC.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// Makes a user with exactly these grants.
///
/// # Errors
/// The API server refuses it.
pub async fn give(client: &Client, name: &str, grants: &[Grant]) -> Outcome {
    let rules = |own: bool| {
        let chosen = grants.iter().filter(|grant| grant.namespace.is_some() == own);
        Some(chosen.map(Grant::rule).collect::<Vec<_>>())
    };
    let new = PostParams::default();
    let whole = ClusterRole {
        metadata: named(name),
        rules: rules(false),
        aggregation_rule: None,
    };
    let own = Role {
        metadata: named(name),
        rules: rules(true),
    };
    Api::all(client.clone()).create(&new, &whole).await?;
    Api::namespaced(client.clone(), NAMESPACE)
        .create(&new, &own)
        .await?;
    let bound = ClusterRoleBinding {
        metadata: named(name),
        role_ref: role("ClusterRole", name),
        subjects: Some(user(name)),
    };
    Api::all(client.clone()).create(&new, &bound).await?;
    let bound = RoleBinding {
        metadata: named(name),
        role_ref: role("Role", name),
        subjects: Some(user(name)),
    };
    Api::namespaced(client.clone(), NAMESPACE)
        .create(&new, &bound)
        .await?;
    Ok(())
}

/// Gives a user a cluster role in one namespace.
///
/// # Errors
/// The API server refuses it.
pub async fn bind(client: &Client, name: &str, cluster_role: &str, namespace: &str) -> Outcome {
    let bound = RoleBinding {
        metadata: named(name),
        role_ref: role("ClusterRole", cluster_role),
        subjects: Some(user(name)),
    };
    let api = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &bound).await?;
    Ok(())
}

/// Whether a user may do something, as the API server says.
///
/// # Errors
/// It does not say.
pub async fn may(client: &Client, name: &str, need: &Need) -> Outcome<bool> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(name.to_owned()),
            groups: Some(vec!["system:authenticated".to_owned()]),
            resource_attributes: Some(ResourceAttributes {
                group: Some(need.group.clone()),
                resource: Some(need.plural.clone()),
                subresource: need.subresource.clone(),
                verb: Some(need.verb.clone()),
                namespace: need.namespace.clone(),
                name: need.name.clone(),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await?;
    let status = answer
        .status
        .ok_or_else(|| Failure("a review without an answer".to_owned()))?;
    Ok(status.allowed)
}

/// Makes a user's request, and tells whether it was refused for lack of a right, with what the API server said.
///
/// # Errors
/// The request cannot be made.
pub async fn is_refused(client: &Client, name: &str, need: &Need) -> Outcome<(bool, String)> {
    let (method, uri) = need.request();
    let content = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let request = http::Request::builder()
        .method(method)
        .uri(uri)
        .header("Impersonate-User", name)
        .header("Impersonate-Group", "system:authenticated")
        .header("Content-Type", content)
        .body(if method == "GET" {
            Vec::new()
        } else {
            b"{}".to_vec()
        })?;
    Ok(match client.request_text(request).await {
        Err(kube::Error::Api(status)) => (
            status.code == 403 && status.reason == "Forbidden",
            status.message.clone(),
        ),
        Err(error) => return Err(error.into()),
        Ok(text) => (false, text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(verb: &str, code: u16) -> Request {
        Request {
            verb: verb.to_owned(),
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            resource: "deployments".to_owned(),
            subresource: None,
            namespace: Some("a".to_owned()),
            name: Some("b".to_owned()),
            code,
            forbidden: false,
        }
    }

    #[test]
    fn an_apply_that_makes_something_needs_two_rights() {
        let verbs = |request| {
            Need::of(&request)
                .into_iter()
                .map(|need| need.verb)
                .collect::<Vec<_>>()
        };
        assert_eq!(verbs(request("patch", 200)), ["patch"]);
        assert_eq!(verbs(request("patch", 201)), ["patch", "create"]);
        assert_eq!(verbs(request("create", 201)), ["create"]);
    }

    #[test]
    fn a_grant_permits_what_it_names_and_nothing_else() {
        let need = Need::of(&request("get", 200)).remove(0);
        let grant = Grant {
            group: "apps".to_owned(),
            resource: "deployments".to_owned(),
            verb: "get".to_owned(),
            names: Vec::new(),
            namespace: None,
        };
        let changed = |change: fn(&mut Grant)| {
            let mut grant = grant.clone();
            change(&mut grant);
            grant.permits(&need)
        };
        assert!(changed(|_| ()));
        assert!(changed(|grant| grant.names = vec!["b".to_owned()]));
        assert!(changed(|grant| grant.namespace = Some("a".to_owned())));
        assert!(!changed(|grant| grant.names = vec!["c".to_owned()]));
        assert!(!changed(|grant| grant.namespace = Some("c".to_owned())));
        assert!(!changed(|grant| grant.verb = "list".to_owned()));
        assert!(!changed(|grant| grant.resource = "deployments/status".to_owned()));
        assert_eq!(
            need.request(),
            ("GET", "/apis/apps/v1/namespaces/a/deployments/b".to_owned())
        );
    }
}
