//! The few writes this operator makes to Kubernetes objects of its own kinds.

use std::fmt::Debug;

use kube::api::{Api, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use vic_crds::FINALIZER;

use crate::settings::FIELD_MANAGER;

/// How a kind's objects are reached: in a namespace, or in the cluster.
pub trait Reachable: Resource<DynamicType = ()> + Sized {
    /// The API of this object's place.
    fn api(client: Client, namespace: &str) -> Api<Self>;
}

impl Reachable for vic_crds::Site {
    fn api(client: Client, _: &str) -> Api<Self> {
        Api::all(client)
    }
}

impl Reachable for vic_crds::EdgeGateway {
    fn api(client: Client, namespace: &str) -> Api<Self> {
        namespaced(client, namespace)
    }
}

impl Reachable for vic_crds::ContainerNetwork {
    fn api(client: Client, namespace: &str) -> Api<Self> {
        namespaced(client, namespace)
    }
}

impl Reachable for vic_crds::VirtualContainerHost {
    fn api(client: Client, namespace: &str) -> Api<Self> {
        namespaced(client, namespace)
    }
}

impl Reachable for vic_crds::EdgeNatRule {
    fn api(client: Client, namespace: &str) -> Api<Self> {
        namespaced(client, namespace)
    }
}

impl Reachable for vic_crds::MicrosegmentationPolicy {
    fn api(client: Client, namespace: &str) -> Api<Self> {
        namespaced(client, namespace)
    }
}

fn namespaced<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(
    client: Client,
    namespace: &str,
) -> Api<K> {
    Api::namespaced(client, namespace)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusPatch<'a, S> {
    api_version: std::borrow::Cow<'a, str>,
    kind: std::borrow::Cow<'a, str>,
    metadata: Named<'a>,
    status: &'a S,
}

#[derive(Debug, Serialize)]
struct Named<'a> {
    name: &'a str,
}

/// Writes a whole status by server-side apply: conditions it does not name any more go away.
///
/// # Errors
/// As the kube-apiserver says.
pub async fn apply_status<K>(
    api: &Api<K>,
    name: &str,
    status: &(impl Serialize + Debug + Sync),
) -> kube::Result<()>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    let patch = StatusPatch {
        api_version: K::api_version(&()),
        kind: K::kind(&()),
        metadata: Named { name },
        status,
    };
    api.patch_status(
        name,
        &PatchParams::apply(FIELD_MANAGER).force(),
        &Patch::Apply(&patch),
    )
    .await?;
    Ok(())
}

/// Adds our finalizer to an object that was born without it. Refused if the object changed meanwhile.
///
/// # Errors
/// As the kube-apiserver says; a conflict means that a newer object is on its way to the cache.
pub async fn add_finalizer<K>(api: &Api<K>, object: &K) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize + Clone + Debug,
{
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    finalizers.push(FINALIZER.to_owned());
    set_finalizers(api, object, &finalizers).await
}

/// Removes our finalizer; the object may go.
///
/// # Errors
/// As the kube-apiserver says.
pub async fn remove_finalizer<K>(api: &Api<K>, object: &K) -> kube::Result<()>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize + Clone + Debug,
{
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    match set_finalizers(api, object, &finalizers).await {
        Err(error) if is_not_found(&error) => Ok(()),
        other => other.map(drop),
    }
}

async fn set_finalizers<K>(api: &Api<K>, object: &K, finalizers: &[String]) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize + Clone + Debug,
{
    let meta = object.meta();
    let patch = json!({"metadata": {"resourceVersion": meta.resource_version, "finalizers": finalizers}});
    let name = meta.name.as_deref().unwrap_or_default();
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
}

/// Whether an answer says that the object is not there.
#[must_use]
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

/// Whether an answer says that the object changed meanwhile.
#[must_use]
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict())
}

/// Whether an answer says that the object's namespace is going away.
#[must_use]
pub fn is_namespace_terminating(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403
        && status.details.as_ref().is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")))
}
