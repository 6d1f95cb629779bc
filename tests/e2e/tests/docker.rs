//! A Docker client of the kind people use reaches a container host with what its connection Secret holds.

#![cfg(test)]

use bollard::{API_DEFAULT_VERSION, Docker};
use e2e::manifests::{address, public, segment, vch};
use e2e::{Outcome, Play, World, demand, equal};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use lab::Options;
use lab::kinds::Key;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;

/// Seconds a Docker client waits.
const PATIENCE: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_clients_connect_in_each_mode() -> Outcome {
    let world = World::with_site(Options::named("docker")).await?;
    let mut play = Play::new();
    let w = &world;
    play.scene(w, "with client certificates", verify(w)).await;
    play.scene(w, "with the server's certificate alone", no_verify(w))
        .await;
    play.scene(w, "without TLS", disabled(w)).await;
    play.end()
}

/// A host in a namespace of its own, and what its Secret holds.
async fn host(world: &World, mode: &str, last: u8) -> Outcome<(Key, BTreeMap<String, String>)> {
    let namespace = format!("tls-{}", mode.to_lowercase());
    world.namespace(&namespace).await?;
    let networks = [
        public(&world.lab, &namespace, 100 + u16::from(last)),
        segment(&namespace, "bridge", &json!({})),
    ];
    world.bring_up(&networks).await?;
    let changes = json!({
        "networks": {"public": {"static": {"address": address(&world.lab, last)}}},
        "tls": {"mode": mode},
    });
    let key = world
        .create(&vch(&world.lab, &namespace, "host", &changes))
        .await?;
    world.ready(&key).await?;
    let secrets = Api::<Secret>::namespaced(world.lab.client().await?, &namespace);
    let data = secrets.get("host-docker").await?.data.unwrap_or_default();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((
        key,
        data.into_iter()
            .map(|(name, bytes)| (name, text(bytes.0)))
            .collect(),
    ))
}

async fn verify(world: &World) -> Outcome {
    let (key, secret) = host(world, "Verify", 40).await?;
    equal(
        "DOCKER_TLS_VERIFY",
        secret.get("DOCKER_TLS_VERIFY").map(String::as_str),
        Some("1"),
    )?;
    let folder = tempfile::tempdir()?;
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        fs::write(
            folder.path().join(name),
            secret.get(name).cloned().unwrap_or_default(),
        )?;
    }
    let at = |name: &str| folder.path().join(name);
    let connect = |host: &str| {
        Docker::connect_with_ssl(
            host,
            &at("key.pem"),
            &at("cert.pem"),
            &at("ca.pem"),
            PATIENCE,
            API_DEFAULT_VERSION,
        )
    };
    let docker = connect(&secret["DOCKER_HOST"])?;
    let info = docker.info().await?;
    demand(info.driver.is_some(), || format!("no driver in {info:?}"))?;
    equal("containers", docker.list_containers(None).await?.len(), 0)?;
    let ca = reqwest::Certificate::from_pem(secret["ca.pem"].as_bytes())?;
    let anonymous = reqwest::Client::builder().tls_certs_only([ca]).build()?;
    let refused = anonymous.get(url(&secret, "https")).send().await;
    demand(refused.is_err(), || {
        "a client without a certificate was served".to_owned()
    })?;
    world.remove(&[key]).await
}

async fn no_verify(world: &World) -> Outcome {
    let (key, secret) = host(world, "NoVerify", 41).await?;
    demand(!secret.contains_key("key.pem"), || {
        "no client needs a key".to_owned()
    })?;
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let answer = client.get(url(&secret, "https")).send().await?;
    equal("the status of GET /info", answer.status().as_u16(), 200)?;
    world.remove(&[key]).await
}

async fn disabled(world: &World) -> Outcome {
    let (key, secret) = host(world, "Disabled", 42).await?;
    demand(secret["DOCKER_HOST"].ends_with(":2375"), || {
        secret["DOCKER_HOST"].clone()
    })?;
    let docker = Docker::connect_with_http(&secret["DOCKER_HOST"], PATIENCE, API_DEFAULT_VERSION)?;
    demand(docker.info().await?.driver.is_some(), || "no driver".to_owned())?;
    world.remove(&[key]).await
}

fn url(secret: &BTreeMap<String, String>, scheme: &str) -> String {
    secret["DOCKER_HOST"].replace("tcp", scheme) + "/info"
}
