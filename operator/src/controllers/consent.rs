//! What other namespaces consent to: only what they share can be named, and a refusal reads like not-found.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::runtime::reflector::ObjectRef as StoreRef;
use vic_crds::{NamespaceMatch, SharedRef};

use crate::context::Context;
use crate::facts::NetworkFacts;
use crate::failure::DereferenceError;
use crate::kind::{Kind, ObjectKey};
use crate::wake::Topic;

/// Whether a namespace is among those that are meant, by its name or by its labels.
pub(crate) fn is_among(meant: &NamespaceMatch, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
    if meant.names.iter().any(|name| &**name == namespace) {
        return true;
    }
    let selector = meant.selector.clone().map(kube::core::Selector::try_from);
    matches!(selector, Some(Ok(selector)) if kube::core::SelectorExt::matches(&selector, labels))
}

/// Whether an object of namespace `owner` may be named in `namespace`.
fn consents(
    owner: &str,
    shared_with: Option<&NamespaceMatch>,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    owner == namespace || shared_with.is_some_and(|meant| is_among(meant, namespace, labels))
}

/// The key of what a reference names, seen from an object's namespace.
pub(crate) fn key_of_shared(kind: Kind, key: &ObjectKey, reference: &SharedRef) -> ObjectKey {
    let namespace = reference.namespace.as_deref().unwrap_or(&key.namespace);
    ObjectKey::new(kind, namespace, &reference.name)
}

/// How messages name it: by its namespace too, unless that is the object's own.
fn shown(key: &ObjectKey, other: &ObjectKey) -> String {
    if other.namespace == key.namespace {
        other.name.clone()
    } else {
        format!("{}/{}", other.namespace, other.name)
    }
}

/// The network that a reference names, ready to be used on this Site; from now on its changes reconcile `key`.
///
/// # Errors
/// Where it does not exist, is not shared with this namespace, or is not ready.
pub(crate) fn network(
    ctx: &Context,
    key: &ObjectKey,
    site: &str,
    reference: &SharedRef,
) -> Result<Arc<NetworkFacts>, DereferenceError> {
    let network = key_of_shared(Kind::ContainerNetwork, key, reference);
    ctx.wake.watch(key, Topic::Object(network.clone()));
    let named = StoreRef::new(&network.name).within(&network.namespace);
    let allowed = ctx
        .stores
        .networks
        .get(&named)
        .is_some_and(|found| permitted(ctx, key, &network.namespace, found.spec.shared_with.as_ref()));
    if !allowed {
        return Err(DereferenceError::NetworkMissing(shown(key, &network)));
    }
    ctx.facts
        .network(&network)
        .filter(|facts| facts.ready && facts.site == site)
        .ok_or_else(|| DereferenceError::NetworkNotReady(vec![shown(key, &network)]))
}

/// The subject of the policy that a reference names; from now on its changes reconcile `key`.
///
/// # Errors
/// Where it does not exist, does not consent, or is not ready.
pub(crate) fn subject(
    ctx: &Context,
    key: &ObjectKey,
    site: &str,
    reference: &SharedRef,
) -> Result<Arc<topology::Members>, DereferenceError> {
    let policy = key_of_shared(Kind::MicrosegmentationPolicy, key, reference);
    ctx.wake.watch(key, Topic::Object(policy.clone()));
    let named = StoreRef::new(&policy.name).within(&policy.namespace);
    let allowed = ctx.stores.policies.get(&named).is_some_and(|found| {
        permitted(ctx, key, &policy.namespace, found.spec.shared_with.as_ref())
            && *found.spec.site_ref.name == *site
    });
    if !allowed {
        return Err(DereferenceError::PolicyMissing(shown(key, &policy)));
    }
    ctx.facts
        .subject(&policy)
        .ok_or_else(|| DereferenceError::PolicyNotReady(shown(key, &policy)))
}

fn permitted(ctx: &Context, key: &ObjectKey, owner: &str, shared_with: Option<&NamespaceMatch>) -> bool {
    let namespace = key.namespace.as_str();
    if owner != namespace {
        ctx.wake.watch(key, Topic::Namespace(namespace.to_owned()));
    }
    consents(owner, shared_with, namespace, &ctx.namespace_labels(namespace))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

    use super::*;

    fn labels(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn only_its_own_namespace_and_those_that_are_meant_may_name_an_object() {
        let by_name = NamespaceMatch {
            names: vec!["b".into()],
            selector: None,
        };
        let selector = LabelSelector {
            match_labels: Some(labels(&[("team", "x")])),
            ..LabelSelector::default()
        };
        let by_label = NamespaceMatch {
            names: Vec::new(),
            selector: Some(selector),
        };
        let nobody = NamespaceMatch::default();
        let cases = [
            (None, "a", labels(&[]), true),
            (None, "b", labels(&[]), false),
            (Some(&nobody), "b", labels(&[("team", "x")]), false),
            (Some(&by_name), "b", labels(&[]), true),
            (Some(&by_name), "c", labels(&[]), false),
            (Some(&by_label), "c", labels(&[("team", "x"), ("env", "p")]), true),
            (Some(&by_label), "c", labels(&[("team", "y")]), false),
        ];
        for (shared_with, namespace, labels, expected) in cases {
            assert_eq!(
                consents("a", shared_with, namespace, &labels),
                expected,
                "{shared_with:?} {namespace}"
            );
        }
    }

    #[test]
    fn another_namespace_is_named_and_the_own_one_is_not() {
        let key = ObjectKey::new(Kind::EdgeNatRule, "a", "web");
        let named = |namespace: Option<&str>| {
            let reference = SharedRef {
                name: "app".into(),
                namespace: namespace.map(Into::into),
            };
            shown(&key, &key_of_shared(Kind::ContainerNetwork, &key, &reference))
        };
        assert_eq!(
            (named(None), named(Some("a")), named(Some("b"))),
            ("app".into(), "app".into(), "b/app".into())
        );
    }
}
