//! What a cluster has before the operator starts: the CRDs, its namespace, credentials and trust of the site, and the
//! objects of the chart that are not the operator's Deployment.

use crate::cluster::Cluster;
use crate::error::{Context, Error, Result};
use crate::operator::NAMESPACE;
use crate::overlay::example;
use crate::run_dir::{RunDir, workspace};
use crate::simulators::Simulator;
use crate::tools::{Tool, Toolbox};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// How long the API server may take to serve what was created.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pause between two dry runs against an admission policy that is about to take effect.
const LOOK: Duration = Duration::from_millis(100);

/// Kinds of the chart that mean something without a kubelet.
const CHART_KINDS: [&str; 9] = [
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// Names of the CRDs in `crds/`, after they serve.
///
/// # Errors
/// A file is no CRD, or the API server refuses it.
pub async fn crds(client: &kube::Client) -> Result<Vec<String>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut names = Vec::new();
    for path in yaml_files(&workspace().join("crds"))? {
        let text = fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
        for crd in documents::<CustomResourceDefinition>(&text, &path.display().to_string())? {
            let created = api.create(&PostParams::default(), &crd).await;
            names.extend(
                created
                    .context(|| format!("create {}", path.display()))?
                    .metadata
                    .name,
            );
        }
    }
    if names.is_empty() {
        return Err(Error::Other("crds/ holds no CRD".to_owned()));
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

/// The chart's objects; with or without its admission policies. Returns the name of its service account.
///
/// # Errors
/// helm cannot render the chart, or the API server refuses an object.
pub async fn chart(
    run: &RunDir,
    tools: &Toolbox,
    cluster: &Cluster,
    policies: bool,
) -> Result<Option<String>> {
    let rendered = Command::new(tools.path(Tool::Helm))
        .args(["template", "vic-operator"])
        .arg(workspace().join("charts/vic-operator"))
        .args([
            "--namespace",
            NAMESPACE,
            "--api-versions",
            "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
        ])
        .args(["--kube-version", &Tool::KubeApiserver.pinned()?.to_string()])
        .env("HELM_CACHE_HOME", run.join("helm"))
        .env("HELM_CONFIG_HOME", run.join("helm"))
        .env("HELM_DATA_HOME", run.join("helm"))
        .stdin(Stdio::null())
        .output()
        .await
        .context(|| "run helm".to_owned())?;
    if !rendered.status.success() {
        let said = String::from_utf8_lossy(&rendered.stderr).into_owned();
        return Err(Error::Program {
            what: "helm could not render charts/vic-operator".to_owned(),
            tail: said,
        });
    }
    let objects = documents::<Value>(&String::from_utf8_lossy(&rendered.stdout), "charts/vic-operator")?;
    let kind = |object: &Value| {
        object
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let wanted: Vec<&Value> = objects
        .iter()
        .filter(|object| CHART_KINDS.contains(&kind(object).as_str()))
        .filter(|object| policies || !kind(object).contains("AdmissionPolicy"))
        .collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": wanted });
    let file = run.write("chart.json", list.to_string())?;
    let mut kubectl = Command::new(tools.path(Tool::Kubectl));
    kubectl
        .args(["apply", "--server-side", "-f"])
        .arg(file)
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig());
    let applied = kubectl
        .stdin(Stdio::null())
        .output()
        .await
        .context(|| "run kubectl".to_owned())?;
    if !applied.status.success() {
        let said = String::from_utf8_lossy(&applied.stderr).into_owned();
        return Err(Error::Program {
            what: "the chart's objects were refused".to_owned(),
            tail: said,
        });
    }
    let account = wanted.into_iter().find(|object| kind(object) == "ServiceAccount");
    Ok(account
        .and_then(|account| account.pointer("/metadata/name"))
        .and_then(Value::as_str)
        .map(str::to_owned))
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

fn yaml_files(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).context(|| format!("read {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    Ok(files)
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
