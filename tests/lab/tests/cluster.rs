//! The control plane that the laboratory starts is a real one, with the rights and records that tests rely on.
#![cfg(test)]

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use lab::cluster::Cluster;
use lab::net::Network;
use lab::progress::Progress;
use lab::run_dir::RunDir;
use lab::tools::Toolbox;
use serde_json::json;
use std::time::Duration;

async fn cluster(run: &RunDir, network: &Network) -> Cluster {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let progress = Progress::quiet();
    let tools = Toolbox::provide(&progress).await.unwrap();
    Cluster::start(run, network, &tools, &progress).await.unwrap()
}

fn namespace(name: &str) -> Namespace {
    serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap()
}

/// Namespaces go away only where the namespace controller runs.
#[tokio::test]
async fn two_control_planes_run_side_by_side_and_finish_what_is_deleted() {
    let (run, other_run) = (
        RunDir::create("cluster").unwrap(),
        RunDir::create("cluster").unwrap(),
    );
    let (network, other_network) = (Network::claim().unwrap(), Network::claim().unwrap());
    let (one, other) = tokio::join!(cluster(&run, &network), cluster(&other_run, &other_network));
    let api: Api<Namespace> = Api::all(one.client().await.unwrap());
    api.create(&PostParams::default(), &namespace("team"))
        .await
        .unwrap();
    let elsewhere: Api<Namespace> = Api::all(other.client().await.unwrap());
    assert!(
        elsewhere.get_opt("team").await.unwrap().is_none(),
        "the clusters share nothing"
    );

    let maps: Api<ConfigMap> = Api::namespaced(one.client().await.unwrap(), "team");
    let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "map" } })).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let uid = api.get("team").await.unwrap().metadata.uid.unwrap();
    api.delete("team", &DeleteParams::default()).await.unwrap();
    let gone = await_condition(api, "team", conditions::is_deleted(&uid));
    tokio::time::timeout(Duration::from_mins(2), gone)
        .await
        .unwrap()
        .unwrap();
    assert!(maps.get_opt("map").await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_without_rights_is_refused() {
    let (run, network) = (RunDir::create("cluster").unwrap(), Network::claim().unwrap());
    let cluster = cluster(&run, &network).await;
    let stranger = cluster.token_kubeconfig(&run, "stranger", "none").unwrap();
    let client = lab::cluster::client(&stranger).await.unwrap();
    let refused = Api::<Namespace>::all(client)
        .list(&kube::api::ListParams::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 401));
}
