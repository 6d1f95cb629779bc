//! The laboratory as a whole, without the operator: what scenario tests stand on.
#![cfg(test)]

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use lab::control::Json;
use lab::operator::NAMESPACE;
use lab::{Lab, Options};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

async fn lab(name: &str) -> Lab {
    Lab::start(Options {
        operator: false,
        ..Options::named(name)
    })
    .await
    .unwrap()
}

/// The keys that scripts rely on.
const ENVIRONMENT: [&str; 14] = [
    "KUBECONFIG",
    "VCENTER_URL",
    "VCENTER_USERNAME",
    "VCENTER_PASSWORD",
    "VCENTER_CA",
    "NSX_URL",
    "NSX_USERNAME",
    "NSX_PASSWORD",
    "NSX_CA",
    "VCSIM_CONTROL",
    "NSXSIM_CONTROL",
    "VCH_NETWORK",
    "ISO_URL",
    "OPERATOR_METRICS",
];

#[tokio::test]
async fn two_laboratories_run_side_by_side_and_leave_nothing() {
    let (one, other) = tokio::join!(lab("one"), lab("other"));
    let environments = [&one, &other].map(|lab| lab.environment().into_iter().collect::<BTreeMap<_, _>>());
    for key in ENVIRONMENT {
        assert!(environments[0].contains_key(key), "{key}");
    }
    for key in [
        "KUBECONFIG",
        "VCENTER_URL",
        "NSX_URL",
        "VCSIM_CONTROL",
        "NSXSIM_CONTROL",
        "VCH_NETWORK",
        "ISO_URL",
    ] {
        assert_ne!(environments[0][key], environments[1][key], "{key}");
    }
    let run = one.run().path().to_path_buf();
    assert!(!processes_of(&run).is_empty());
    drop(one);
    assert_eq!(processes_of(&run), Vec::<String>::new());
    other.nsx.control.get("/dump").await.unwrap();
    other.client().await.unwrap().apiserver_version().await.unwrap();
}

#[tokio::test]
async fn a_site_finds_its_credentials_and_trust() {
    let lab = lab("seeds").await;
    let client = lab.client().await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let login = |secret: Secret| {
        let data = secret.data.unwrap();
        ["username", "password"].map(|key| String::from_utf8(data[key].0.clone()).unwrap())
    };
    let [username, password] = login(secrets.get("nsx-credentials").await.unwrap());
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let ca = maps
        .get("nsx-ca")
        .await
        .unwrap()
        .data
        .unwrap()
        .remove("ca.crt")
        .unwrap();
    let seeded = "/policy/api/v1/infra/tier-1s/vic-edge";
    let nsx = Json::secure(&lab.nsx.url, &ca, &username, &password).unwrap();
    assert_eq!(nsx.get(seeded).await.unwrap()["id"], "vic-edge");
    let stranger = Json::secure(&lab.nsx.url, &ca, &username, "wrong").unwrap();
    assert!(
        stranger.get(seeded).await.unwrap_err().to_string().contains("40"),
        "a wrong password is refused"
    );
    let [username, _] = login(secrets.get("vcenter-credentials").await.unwrap());
    let [endpoint, _] = login(secrets.get("vcenter-endpoint").await.unwrap());
    assert_ne!(
        username, endpoint,
        "a container host never carries the operator's own account"
    );
}

#[tokio::test]
async fn the_site_has_what_the_example_names() {
    let lab = lab("inventory").await;
    let dump = lab.vcenter.control.get("/dump").await.unwrap();
    let pools = dump["pools"].as_array().unwrap();
    assert!(pools.iter().any(|pool| {
        pool["path"]
            .as_str()
            .unwrap()
            .ends_with("DC0_C0/Resources/Containers")
    }));
    let nsx = lab.nsx.admin().unwrap();
    let zones = nsx
        .get("/policy/api/v1/infra/sites/default/enforcement-points/default/transport-zones")
        .await
        .unwrap();
    let zones: Vec<&Value> = zones["results"].as_array().unwrap().iter().collect();
    assert!(zones.iter().any(|zone| zone["id"] == "overlay"), "{zones:?}");
}

/// Command lines of the processes that carry the run's directory.
fn processes_of(run: &Path) -> Vec<String> {
    let run = run.display().to_string();
    let entries = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let lines = entries.filter_map(|path| std::fs::read(path.join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&run))
        .collect()
}
