//! What a cluster has before the operator starts: its namespace, credentials and trust of the site, and the charts.

use crate::cluster::Cluster;
use crate::error::{Context, Error, Result};
use crate::helm::{Chart, Helm};
use crate::operator::{Launch, NAMESPACE};
use crate::overlay::example;
use crate::run_dir::RunDir;
use crate::simulators::Simulator;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the API server may take to serve what was created.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pause between two looks at what is about to take effect.
const LOOK: Duration = Duration::from_millis(100);

/// Installs the chart of the CRDs; returns their names after they serve.
///
/// # Errors
/// helm or the API server refuses it.
pub async fn crds(client: &kube::Client, helm: &Helm) -> Result<Vec<String>> {
    helm.install(Chart::Crds, &[]).await?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let listed = api.list(&ListParams::default()).await;
    let listed = listed.context(|| "list the CRDs".to_owned())?;
    let names: Vec<String> = listed
        .items
        .into_iter()
        .filter_map(|crd| crd.metadata.name)
        .collect();
    if names.is_empty() {
        return Err(Error::Other("the chart installed no CRD".to_owned()));
    }
    for name in &names {
        let served = await_condition(api.clone(), name, conditions::is_crd_established());
        match tokio::time::timeout(PATIENCE, served).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Error::Other(format!("wait for {name}: {error}"))),
            Err(_) => {
                return Err(Error::Other(format!(
                    "{name} was not established within {} s",
                    PATIENCE.as_secs()
                )));
            }
        }
    }
    Ok(names)
}

/// The operator's namespace with the secrets and trust that `examples/poc/platform` names.
///
/// # Errors
/// The API server refuses one.
pub async fn site(
    client: &kube::Client,
    vcenter: &Simulator,
    nsx: &Simulator,
    endpoint_password: &str,
) -> Result<()> {
    let namespace = typed::<Namespace>(&json!({ "metadata": { "name": NAMESPACE } }))?;
    create(&Api::all(client.clone()), &namespace, NAMESPACE).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let accounts = [
        (
            "vcenter-credentials",
            vcenter.username.as_str(),
            vcenter.password.as_str(),
        ),
        (
            "vcenter-endpoint",
            "vch-endpoint@vsphere.local",
            endpoint_password,
        ),
        ("nsx-credentials", nsx.username.as_str(), nsx.password.as_str()),
    ];
    for (name, username, password) in accounts {
        let secret = typed::<Secret>(&json!({
            "metadata": { "name": name }, "stringData": { "username": username, "password": password },
        }))?;
        create(&secrets, &secret, name).await?;
    }
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    for (name, ca) in [("vcenter-ca", &vcenter.ca), ("nsx-ca", &nsx.ca)] {
        let map = typed::<ConfigMap>(&json!({ "metadata": { "name": name }, "data": { "ca.crt": ca } }))?;
        create(&config_maps, &map, name).await?;
    }
    Ok(())
}

/// Installs the operator's chart. No kubelet will run its Deployment: returned is what one would run.
///
/// # Errors
/// helm or the API server refuses it.
pub async fn chart(client: &kube::Client, helm: &Helm, values: &[String]) -> Result<Launch> {
    helm.install(Chart::Operator, values).await?;
    let api: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let deployment = api.get(Chart::Operator.name()).await;
    Launch::of(&deployment.context(|| "read the operator's Deployment".to_owned())?)
}

/// A kubeconfig with exactly the rights of the chart's service account.
///
/// # Errors
/// No token is issued.
pub async fn service_account(
    run: &RunDir,
    cluster: &Cluster,
    client: &kube::Client,
    name: &str,
) -> Result<PathBuf> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let spec = TokenRequestSpec {
        expiration_seconds: Some(24 * 3600),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest {
        spec: Some(spec),
        ..TokenRequest::default()
    };
    let issued = api
        .create_token_request(name, &PostParams::default(), &request)
        .await;
    let status = issued
        .context(|| format!("request a token of ServiceAccount {name}"))?
        .status;
    let token = status.and_then(|status| status.token);
    let token = token.ok_or_else(|| Error::Other(format!("no token of ServiceAccount {name} came")))?;
    cluster.token_kubeconfig(run, "operator.kubeconfig", &token)
}

/// Waits until the API server goes by the chart's roles: the operator's first request ends it when it is refused.
///
/// # Errors
/// It does not in time, or does not say.
pub async fn rights(client: &kube::Client, account: &str) -> Result<()> {
    let needed = [
        json!({ "verb": "get", "resource": "namespaces", "name": "kube-system" }),
        json!({ "verb": "get", "resource": "secrets", "namespace": NAMESPACE }),
        json!({ "verb": "create", "group": "coordination.k8s.io", "resource": "leases", "namespace": NAMESPACE }),
    ];
    let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let deadline = Instant::now() + PATIENCE;
    for attributes in &needed {
        let review = json!({ "metadata": {}, "spec": { "user": user, "resourceAttributes": attributes } });
        let review = typed::<SubjectAccessReview>(&review)?;
        loop {
            let answer = api.create(&PostParams::default(), &review).await;
            let answer = answer.context(|| format!("ask whether {user} may {attributes}"))?;
            if answer.status.is_some_and(|status| status.allowed) {
                break;
            }
            if Instant::now() > deadline {
                return Err(Error::Other(format!(
                    "{user} was not allowed {attributes} in time"
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Waits until the admission policy gives new objects their finalizer: a policy takes about a second to take effect.
///
/// # Errors
/// It does not, or a dry run is refused.
pub async fn finalizer_policy(client: &kube::Client) -> Result<()> {
    let probe = finalizer_probe()?;
    let gvk = GroupVersionKind::gvk("vic-operator.io", "v1alpha1", "EdgeNatRule");
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), NAMESPACE, &ApiResource::from_gvk(&gvk));
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match api.create(&dry_run, &probe).await {
            Ok(born)
                if born
                    .metadata
                    .finalizers
                    .as_ref()
                    .is_some_and(|list| !list.is_empty()) =>
            {
                return Ok(());
            }
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error).context(|| "create an EdgeNatRule as a dry run".to_owned()),
        }
        if Instant::now() > deadline {
            let message = format!(
                "the admission policy gave no finalizer within {} s",
                PATIENCE.as_secs()
            );
            return Err(Error::Other(message));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The first NAT rule of the example, under a name and in a namespace of its own.
fn finalizer_probe() -> Result<DynamicObject> {
    let path = example().join("topology/topology.yaml");
    let text = fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
    let mut objects = documents::<Value>(&text, &path.display().to_string())?.into_iter();
    let rule = objects.find(|object| object.get("kind").and_then(Value::as_str) == Some("EdgeNatRule"));
    let mut rule = rule.ok_or_else(|| Error::Other(format!("{} holds no EdgeNatRule", path.display())))?;
    if let Some(rule) = rule.as_object_mut() {
        rule.insert(
            "metadata".to_owned(),
            json!({ "name": "finalizer-probe", "namespace": NAMESPACE }),
        );
    }
    serde_json::from_value(rule).context(|| "an EdgeNatRule".to_owned())
}

/// The documents of a YAML stream, empty ones left out.
fn documents<T: DeserializeOwned>(text: &str, name: &str) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value = <Value as serde::Deserialize>::deserialize(document).context(|| name.to_owned())?;
        if !value.is_null() {
            found.push(serde_json::from_value(value).context(|| name.to_owned())?);
        }
    }
    Ok(found)
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T> {
    serde_json::from_value(value.clone()).context(|| format!("{value}"))
}

async fn create<K>(api: &Api<K>, object: &K, name: &str) -> Result<()>
where
    K: Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let created = api.create(&PostParams::default(), object).await;
    created.map(|_| ()).context(|| format!("create {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_documents_is_read_without_its_empty_ones() {
        let text = "---\n# only a comment\n---\nkind: A\n---\nkind: B\n";
        let kinds: Vec<Value> = documents(text, "stream").unwrap();
        assert_eq!(kinds, [json!({ "kind": "A" }), json!({ "kind": "B" })]);
    }

    #[test]
    fn the_probe_of_the_policy_is_the_examples_rule_elsewhere() {
        let probe = finalizer_probe().unwrap();
        assert_eq!(probe.metadata.namespace.as_deref(), Some(NAMESPACE));
        assert_eq!(probe.data["spec"]["action"], "DNAT");
    }
}
