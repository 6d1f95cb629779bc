//! The charts: linted, rendered with many values, and installed and taken away by helm.

#![cfg(test)]

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use lab::helm::{Chart, Helm};
use lab::kinds::KINDS;
use lab::operator::NAMESPACE;
use lab::progress::Progress;
use lab::tools::Toolbox;
use lab::{Lab, Options};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

const POLICIES: &str = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy";

async fn helm(home: &tempfile::TempDir) -> Helm {
    let tools = Toolbox::provide(&Progress::quiet()).await.unwrap();
    Helm::new(&tools, home.path())
}

fn objects(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| <Value as serde::Deserialize>::deserialize(document).unwrap())
        .filter(|object| !object.is_null())
        .collect()
}

fn values(list: &[&str]) -> Vec<String> {
    list.iter().map(|value| (*value).to_owned()).collect()
}

/// `kind/name` of each object.
fn names(objects: &[Value]) -> BTreeSet<String> {
    let name = |object: &Value| {
        format!(
            "{}/{}",
            object["kind"].as_str().unwrap(),
            object["metadata"]["name"].as_str().unwrap()
        )
    };
    objects.iter().map(name).collect()
}

/// What is rendered with the defaults, for a cluster that knows admission policies.
const DEFAULTS: [&str; 14] = [
    "ServiceAccount/vic-operator",
    "Deployment/vic-operator",
    "Service/vic-operator-metrics",
    "ClusterRole/vic-operator",
    "ClusterRoleBinding/vic-operator",
    "ClusterRole/vic-operator-secrets",
    "ClusterRoleBinding/vic-operator-secrets",
    "Role/vic-operator",
    "RoleBinding/vic-operator",
    "ClusterRole/vic-viewer",
    "ClusterRole/vic-network-user",
    "ClusterRole/vic-network-admin",
    "MutatingAdmissionPolicy/vic-operator-finalizer",
    "MutatingAdmissionPolicyBinding/vic-operator-finalizer",
];

#[tokio::test]
async fn both_charts_are_without_findings() {
    let home = tempfile::tempdir().unwrap();
    let helm = helm(&home).await;
    for chart in [Chart::Crds, Chart::Operator] {
        let said = helm.lint(chart).await.unwrap();
        assert!(said.contains("0 chart(s) failed"), "{said}");
    }
}

#[tokio::test]
async fn each_value_adds_or_takes_away_what_it_says() {
    let home = tempfile::tempdir().unwrap();
    let helm = helm(&home).await;
    let render = async |list: &[&str], kinds: &[&str]| {
        let text = helm
            .template(Chart::Operator, &values(list), kinds)
            .await
            .unwrap();
        names(&objects(&text))
    };
    let defaults: BTreeSet<String> = DEFAULTS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(render(&[], &[POLICIES]).await, defaults);
    let cases: [(&[&str], &[&str], &[&str]); 11] = [
        (&["replicas=2"], &["PodDisruptionBudget/vic-operator"], &[]),
        (&["replicas=2", "podDisruptionBudget.enabled=false"], &[], &[]),
        (
            &["networkPolicy.enabled=true"],
            &["NetworkPolicy/vic-operator"],
            &[],
        ),
        (
            &["metrics.serviceMonitor.enabled=true"],
            &["ServiceMonitor/vic-operator"],
            &[],
        ),
        (
            &["metrics.prometheusRule.enabled=true"],
            &["PrometheusRule/vic-operator"],
            &[],
        ),
        (
            &["metrics.dashboard.enabled=true"],
            &["ConfigMap/vic-operator-dashboard"],
            &[],
        ),
        (
            &["metrics.service.enabled=false"],
            &[],
            &["Service/vic-operator-metrics"],
        ),
        (
            &["people.create=false"],
            &[],
            &[
                "ClusterRole/vic-viewer",
                "ClusterRole/vic-network-user",
                "ClusterRole/vic-network-admin",
            ],
        ),
        (
            &["admissionPolicy.enabled=false"],
            &[],
            &[
                "MutatingAdmissionPolicy/vic-operator-finalizer",
                "MutatingAdmissionPolicyBinding/vic-operator-finalizer",
            ],
        ),
        (
            &["rbac.tenantNamespaces={containers,more}"],
            &["RoleBinding/vic-operator-secrets"],
            &["ClusterRoleBinding/vic-operator-secrets"],
        ),
        (
            &["serviceAccount.create=false", "serviceAccount.name=other"],
            &[],
            &["ServiceAccount/vic-operator"],
        ),
    ];
    for (list, more, fewer) in cases {
        let rendered = render(list, &[POLICIES]).await;
        let mut expected = defaults.clone();
        expected.extend(more.iter().map(|name| (*name).to_owned()));
        expected.retain(|name| !fewer.contains(&name.as_str()));
        assert_eq!(rendered, expected, "{list:?}");
    }
    let without = render(&[], &[]).await;
    assert!(
        !without.iter().any(|name| name.contains("AdmissionPolicy")),
        "a cluster that does not know admission policies is given none: {without:?}"
    );
}

#[tokio::test]
async fn the_deployment_says_what_the_values_say() {
    let home = tempfile::tempdir().unwrap();
    let helm = helm(&home).await;
    let list = values(&[
        "image.repository=registry.example/vic-operator",
        "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "instance=blue",
        "nsxResync=5m",
        "log.format=text",
        "metrics.port=9090",
        "tolerations:=[{\"operator\":\"Exists\"}]",
    ]);
    let rendered = objects(&helm.template(Chart::Operator, &list, &[]).await.unwrap());
    let deployment = rendered
        .iter()
        .find(|object| object["kind"] == "Deployment")
        .unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(
        container["image"],
        "registry.example/vic-operator@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    );
    assert_eq!(
        container["args"],
        json!([
            "run",
            "--metrics-address=0.0.0.0:9090",
            "--nsx-resync=5m",
            "--instance=blue"
        ])
    );
    assert_eq!(container["ports"][0]["containerPort"], 9090);
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    for probe in ["livenessProbe", "startupProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "metrics", "{probe}");
    }
    let account = rendered
        .iter()
        .find(|object| object["kind"] == "ServiceAccount")
        .unwrap();
    assert_eq!(pod["serviceAccountName"], account["metadata"]["name"]);
}

#[tokio::test]
async fn wrong_values_are_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let helm = helm(&home).await;
    for (value, said) in [
        ("replicas=two", "replicas"),
        ("replica=2", "replica"),
        ("nsxResync=often", "nsxResync"),
        ("log.format=xml", "format"),
        ("image.digest=abc", "digest"),
        ("image.repository=", "repository"),
        ("metrics.port=80", "port"),
        ("rbac.tenantNamespaces={Containers}", "tenantNamespaces"),
    ] {
        let refusal = helm
            .template(Chart::Operator, &values(&[value]), &[])
            .await
            .unwrap_err();
        assert!(refusal.to_string().contains(said), "{value}: {refusal}");
    }
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    for chart in [Chart::Crds, Chart::Operator] {
        let read = |name: &str| fs::read_to_string(chart.folder().join(name)).unwrap();
        let defaults: Value = serde_yaml_ng::from_str(&read("values.yaml")).unwrap();
        let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
        jsonschema::validator_for(&schema)
            .unwrap()
            .validate(&defaults)
            .unwrap();
        let mut found = BTreeSet::new();
        compare(&defaults, &schema, "", &mut found);
        assert_eq!(found, BTreeSet::new(), "{}", chart.name());
    }
}

/// Notes what stands in one and not in the other, except `global`, which is helm's.
fn compare(defaults: &Value, schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
    let (own, known) = (keys(defaults.as_object().unwrap()), keys(properties));
    for key in own.symmetric_difference(&known).filter(|key| *key != "global") {
        found.insert(format!("{at}/{key}"));
    }
    for key in own.intersection(&known) {
        compare(&defaults[key], &properties[key], &format!("{at}/{key}"), found);
    }
}

#[tokio::test]
async fn no_role_for_people_is_part_of_another() {
    let home = tempfile::tempdir().unwrap();
    let helm = helm(&home).await;
    let rendered = objects(&helm.template(Chart::Operator, &[], &[]).await.unwrap());
    for role in rendered.iter().filter(|object| object["kind"] == "ClusterRole") {
        let text = role.to_string();
        assert!(!text.contains("aggregat"), "{text}");
        assert!(!text.contains("\"*\""), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_installs_the_charts_and_takes_them_away() {
    let lab = Lab::start(Options {
        operator: false,
        ..Options::named("chart")
    })
    .await
    .unwrap();
    let client = lab.client().await.unwrap();
    the_pod_needs_no_privilege(&lab, &client).await;
    let policies = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicy",
    ));
    let policies: Api<DynamicObject> = Api::all_with(client.clone(), &policies);
    let all = ListParams::default();
    assert_eq!(policies.list(&all).await.unwrap().items.len(), 1);
    lab.helm.uninstall(Chart::Operator).await.unwrap();
    assert_eq!(
        policies.list(&all).await.unwrap().items.len(),
        0,
        "without an operator nothing may give objects a finalizer"
    );
    lab.helm.uninstall(Chart::Crds).await.unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let kept = crds.list(&all).await.unwrap().items;
    assert_eq!(
        kept.len(),
        KINDS.len(),
        "objects of the API outlive the chart of its CRDs"
    );
    // And everything can come back.
    lab.helm
        .install(Chart::Crds, &values(&["keep=false"]))
        .await
        .unwrap();
    lab.helm.install(Chart::Operator, &[]).await.unwrap();
    lab.helm.uninstall(Chart::Crds).await.unwrap();
    let left = crds.list(&all).await.unwrap().items;
    assert!(
        left.iter().all(|crd| crd.metadata.deletion_timestamp.is_some()),
        "keep=false is taken at its word"
    );
}

/// The Deployment's pod is admitted where Pod Security is at its strictest.
async fn the_pod_needs_no_privilege(lab: &Lab, client: &kube::Client) {
    let label = [
        "label",
        "namespace",
        NAMESPACE,
        "pod-security.kubernetes.io/enforce=restricted",
    ];
    lab.kubectl(&label).await.unwrap();
    let text = lab
        .kubectl(&["get", "deployment", "vic-operator", "-n", NAMESPACE, "-o", "json"])
        .await
        .unwrap();
    let deployment: Value = serde_json::from_str(&text).unwrap();
    let pod = |spec: &Value| -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "operator"}, "spec": spec})).unwrap()
    };
    let spec = &deployment["spec"]["template"]["spec"];
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    pods.create(&dry, &pod(spec)).await.unwrap();
    let mut rooted = spec.clone();
    rooted["securityContext"]["runAsNonRoot"] = json!(false);
    let refusal = pods.create(&dry, &pod(&rooted)).await.unwrap_err().to_string();
    assert!(refusal.contains("restricted"), "{refusal}");
}
