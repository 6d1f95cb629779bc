//! The overlay of a run, as kubectl and a real API server see it.
#![cfg(test)]

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use lab::cluster::Cluster;
use lab::helm::Helm;
use lab::images::ImageServer;
use lab::iso::Image;
use lab::kinds::{KINDS, Kind};
use lab::net::Network;
use lab::operator::NAMESPACE;
use lab::overlay::{Component, example};
use lab::progress::Progress;
use lab::run_dir::RunDir;
use lab::seed;
use lab::tools::{Tool, Toolbox};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::process::Command;

struct Bench {
    tools: Toolbox,
    network: Network,
    images: ImageServer,
    run: RunDir,
}

impl Bench {
    async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let tools = Toolbox::provide(&Progress::quiet()).await.unwrap();
        let network = Network::claim().unwrap();
        let images = ["appliance.iso", "bootstrap.iso"]
            .map(|name| Image::new(name, name, "V1.5.8-1-A"))
            .to_vec();
        let images = ImageServer::start(network.services(), images).unwrap();
        Self {
            tools,
            network,
            images,
            run: RunDir::create("overlay").unwrap(),
        }
    }

    fn component(&self) -> Component {
        let (vcenter, nsx) = ("https://127.0.0.1:8989", "https://127.0.0.1:8443");
        Component::new(self.run.path(), vcenter, nsx, &self.images, &self.network).unwrap()
    }

    fn kubectl<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = Command::new(self.tools.path(Tool::Kubectl))
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap()
}

#[tokio::test]
async fn the_overlay_changes_the_runs_addresses_and_nothing_else() {
    let bench = Bench::new().await;
    let folder = bench.run.join("poc");
    bench.component().write_copy(&folder).unwrap();
    let documents = |text: &str| -> Vec<Value> {
        text.split("\n---\n")
            .map(|document| serde_yaml_ng::from_str(document).unwrap())
            .collect()
    };
    let built = documents(&bench.kubectl(&["kustomize".as_ref(), folder.as_os_str()]));
    let plain: Vec<Value> = ["platform", "topology"]
        .iter()
        .flat_map(|part| documents(&bench.kubectl(&["kustomize".as_ref(), example().join(part).as_os_str()])))
        .collect();

    let (appliance, sha256) = bench.images.image("appliance.iso").unwrap();
    let site = find(&built, "Site", "poc");
    assert_eq!(site["spec"]["vcenter"]["url"], "https://127.0.0.1:8989");
    assert_eq!(site["spec"]["nsx"]["urls"], json!(["https://127.0.0.1:8443"]));
    assert_eq!(
        site["spec"]["releases"][0]["applianceISO"],
        json!({ "url": appliance, "sha256": sha256 })
    );
    let subnet = bench.network.subnet().to_string();
    assert_eq!(
        site["spec"]["tenants"][0]["allow"]["subnets"],
        json!([subnet, "10.30.0.0/24"])
    );
    let public = find(&built, "ContainerNetwork", "docker-public");
    assert_eq!(
        public["spec"]["subnets"][0]["gatewayAddress"],
        format!("{}/24", bench.network.gateway())
    );
    let vch = find(&built, "VirtualContainerHost", "vch1");
    assert_eq!(
        vch["spec"]["networks"]["public"]["static"]["address"],
        bench.network.vch().to_string()
    );
    assert_eq!(
        vch["spec"]["onDelete"],
        json!({ "runningContainers": "Remove", "volumes": "Retain" })
    );

    assert_eq!(built.len(), plain.len());
    let patched = ["poc", "docker-public", "vch1"];
    for object in plain
        .iter()
        .filter(|object| !patched.contains(&object["metadata"]["name"].as_str().unwrap()))
    {
        assert!(built.contains(object), "{object}");
    }
}

#[tokio::test]
async fn a_published_component_goes_with_its_run_but_not_with_another() {
    let (first_run, second_run) = (Bench::new().await, Bench::new().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lab/kustomization.yaml");
    let first = first_run.component().publish_in(folder.path()).unwrap();
    let second = second_run.component().publish_in(folder.path()).unwrap();
    drop(first);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains(&second_run.network.gateway().to_string()),
        "the later run's stays: {text}"
    );
    drop(second);
    assert!(!file.exists());
}

/// CRDs, chart and example agree with each other on a real API server, with no operator running.
#[tokio::test]
async fn the_example_is_admitted_and_born_with_a_status_and_a_finalizer() {
    let bench = Bench::new().await;
    let cluster = Cluster::start(&bench.run, &bench.network, &bench.tools, &Progress::quiet())
        .await
        .unwrap();
    let client = cluster.client().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let helm = Helm::new(&bench.tools, &bench.run.join("helm")).with_cluster(cluster.kubeconfig());
    assert_eq!(seed::crds(&client, &helm).await.unwrap().len(), KINDS.len());
    seed::chart(&client, &helm, &[]).await.unwrap();
    seed::finalizer_policy(&client).await.unwrap();

    let folder = bench.run.join("poc");
    bench.component().write_copy(&folder).unwrap();
    let kubeconfig = cluster.kubeconfig().as_os_str();
    let apply = [
        "apply".as_ref(),
        "-k".as_ref(),
        folder.as_os_str(),
        "--kubeconfig".as_ref(),
        kubeconfig,
    ];
    bench.kubectl(&apply);
    let again = bench.kubectl(&apply);
    assert!(again.lines().all(|line| line.ends_with(" unchanged")), "{again}");

    let rule = Kind::named("EdgeNatRule")
        .unwrap()
        .within(&client, "containers")
        .get("nginx")
        .await
        .unwrap();
    assert!(!rule.metadata.finalizers.unwrap().is_empty());
    let ready = rule.data["status"]["conditions"].as_array().unwrap();
    let ready = ready
        .iter()
        .find(|condition| condition["type"] == "Ready")
        .unwrap();
    assert_eq!(ready["status"], "Unknown");
}
