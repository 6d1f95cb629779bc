//! Command lines and what becomes of them.

use serde_json::{Value, json};

use super::*;
use crate::import::parse::{Line, read};
use crate::import::{ReleaseFiles, Thumbprint};

const SHORT: &str = "create --target vc.example.com/DC0 --user u --password p --image-store ds --compute-resource pool --no-tls";

fn import(line: &str) -> Result<(Vec<Value>, Vec<String>), Vec<String>> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let told = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let Line::Create(given) = read(&words, |_| None).map_err(told)? else {
        panic!("help")
    };
    let settings = Settings {
        namespace: "team".to_owned(),
        operator_namespace: "vic-operator-system".to_owned(),
        site: None,
        images: Some("https://images.example.com".to_owned()),
        redact: false,
    };
    let image = |name: &str| (name.to_owned(), "a".repeat(64));
    let outside = Outside {
        vcenter: Thumbprint::Seen("AB:CD".to_owned()),
        release: Some(ReleaseFiles {
            version: "v1.5.8".to_owned(),
            appliance: image("appliance.iso"),
            bootstrap: image("bootstrap.iso"),
        }),
    };
    let import = translate(&given, &settings, &outside).map_err(told)?;
    let objects = import
        .documents
        .into_iter()
        .filter_map(|document| match document {
            Document::Object(object) => Some(serde_json::to_value(object).unwrap()),
            Document::Comment(_) => None,
        });
    Ok((objects.collect(), import.notes))
}

fn object(objects: &[Value], kind: &str, name: &str) -> Value {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))["spec"].clone()
}

/// The options of the golden host, as it carries them, and the manifests that make its like.
#[test]
fn the_golden_hosts_own_options_make_its_manifests() {
    let golden: Value =
        serde_json::from_str(include_str!("../../../../tests/e2e/fixtures/golden/vch.json")).unwrap();
    let options = golden["extraConfig"]["guestinfo.vice./vic_machine_create_options~"]
        .as_str()
        .unwrap();
    let line = format!(
        "create --user root --password secret {}",
        options.replace('|', " ")
    );
    let (objects, notes) = import(&line).unwrap();
    assert_eq!(
        object(&objects, "VirtualContainerHost", "vch1"),
        json!({
            "siteRef": {"name": "vch1"}, "displayName": "vch1", "version": "v1.5.8",
            "endpoint": {"cpus": 2, "memory": "4Gi", "debugLevel": 1},
            "compute": {
                "resourcePool": "DC0_C0",
                "cpu": {"limitMHz": 4000, "reservationMHz": 500},
                "memory": {"limit": "8Gi", "reservation": "1Gi"},
            },
            "storage": {
                "datastore": "LocalDS_0", "imagePath": "vch1-images",
                "volumeStores": [{"name": "default", "datastore": "LocalDS_0", "path": "vch1-volumes"}],
            },
            "networks": {
                "bridge": {"networkRef": {"name": "vch1-bridge"}, "range": "172.16.0.0/12"},
                "public": {"networkRef": {"name": "vch1-public"}, "static": {"address": "10.66.1.50"}},
                "containers": [{
                    "name": "app", "networkRef": {"name": "vch1-app"}, "trustLevel": "Open",
                    "addressRanges": ["192.168.30.10-192.168.30.99"], "dnsServers": ["10.66.0.53"],
                }],
                "dnsServers": ["10.66.0.53"],
            },
            "tls": {"mode": "NoVerify"},
            "connectionSecretRef": {"name": "vch1-docker"},
        })
    );
    assert_eq!(
        object(&objects, "ContainerNetwork", "vch1-public"),
        json!({"siteRef": {"name": "vch1"}, "backing": {"type": "Existing", "existing": {"network": "vic-public"}},
            "subnets": [{"gatewayAddress": "10.66.1.1/24"}]})
    );
    let site = object(&objects, "Site", "vch1");
    assert_eq!(site["vcenter"]["url"], "https://10.66.0.10");
    assert_eq!(
        site["tenants"][0]["allow"],
        json!({"resourcePools": ["DC0_C0"], "datastores": ["LocalDS_0"], "subnets": ["10.66.1.0/24", "192.168.30.0/24"],
            "existingNetworks": ["vic-bridge", "vic-public", "vic-app"]})
    );
    assert_eq!(objects.len(), 7, "two Secrets, a Site, three networks, the host");
    assert!(
        notes.iter().any(|note| note.starts_with("--timeout: ")),
        "{notes:?}"
    );
}

#[test]
fn dhcp_without_tls_is_short() {
    let (objects, _) = import(&format!("{SHORT} --name Dev_1 --bridge-network b")).unwrap();
    let host = object(&objects, "VirtualContainerHost", "dev-1");
    assert_eq!(
        host["networks"],
        json!({"bridge": {"networkRef": {"name": "dev-1-bridge"}}, "public": {"networkRef": {"name": "dev-1-public"}}})
    );
    assert_eq!(
        (&host["tls"], host.get("connectionSecretRef")),
        (&json!({"mode": "Disabled"}), None)
    );
    let public = object(&objects, "ContainerNetwork", "dev-1-public");
    assert_eq!(public["backing"]["existing"]["network"], "VM Network");
}

/// Each option, and where its value shows.
#[test]
fn an_option_shows_in_its_field() {
    let host = |line: &str, pointer: &str| {
        let (objects, _) = import(&format!("{SHORT} --name v --bridge-network b {line}")).unwrap();
        object(&objects, "VirtualContainerHost", "v")
            .pointer(pointer)
            .cloned()
            .unwrap_or_default()
    };
    for (line, pointer, expected) in [
        ("--memory 1000", "/compute/memory/limit", json!("1000Mi")),
        ("--memory 0", "/compute/memory", json!(null)),
        (
            "--cpu-shares 77",
            "/compute/cpu",
            json!({"shares": "Custom", "customShares": 77}),
        ),
        ("--memory-shares HIGH", "/compute/memory/shares", json!("High")),
        ("--base-image-size 4GB", "/storage/scratchSize", json!("4G")),
        ("--storage-quota 15", "/storage/quota", json!("15Gi")),
        (
            "--volume-store ds2:a",
            "/storage/volumeStores/0",
            json!({"name": "a", "datastore": "ds2", "path": "VIC"}),
        ),
        (
            "--volume-store nfs://10.0.0.9/exports/v?uid=5&gid=6:n",
            "/storage/volumeStores/0/nfs",
            json!({"server": "10.0.0.9", "path": "/exports/v", "uid": 5, "gid": 6}),
        ),
        ("--bnw 20", "/networks/bridge/width", json!(20)),
        ("-ar", "/networks/asymmetricRouting", json!("Enabled")),
        ("--containers 9", "/containers/limit", json!(9)),
        ("--cnc {name}-x", "/containers/nameConvention", json!("{name}-x")),
        (
            "--wr 10.0.0.0/8 --wr https://r.example.com/",
            "/registries/allowed",
            json!(["10.0.0.0/8", "r.example.com"]),
        ),
        ("--dir r:5000", "/registries/insecure", json!(["r:5000"])),
        (
            "--https-proxy http://p:3128",
            "/proxies/https",
            json!("http://p:3128"),
        ),
        ("--no-proxy a,.b", "/proxies/noProxy", json!(["a", ".b"])),
        (
            "--syslog-address tcp://logs:6514",
            "/endpoint/syslog",
            json!({"protocol": "TCP", "host": "logs", "port": 6514}),
        ),
        ("--debug 5", "/endpoint/debugLevel", json!(3)),
        (
            "--client-network c --client-network-ip 10.1.0.5/24 --client-network-gateway 10.2.0.0/16,10.3.0.0/16:10.1.0.1",
            "/networks/client/static",
            json!({"address": "10.1.0.5", "routes": ["10.2.0.0/16", "10.3.0.0/16"]}),
        ),
        (
            "--cn pg:e --cng pg:10.9.0.1/29",
            "/networks/containers/0/addressRanges",
            json!(["10.9.0.2-10.9.0.6"]),
        ),
    ] {
        assert_eq!(host(line, pointer), expected, "{line}");
    }
}

#[test]
fn what_vic_machine_refuses_is_refused_by_its_name() {
    for (line, option, rule) in [
        (
            "--public-network-gateway 10.0.0.1",
            "public-network-gateway",
            "needs --public-network-ip",
        ),
        (
            "--public-network-ip 10.0.0.5/24",
            "public-network-ip",
            "needs --public-network-gateway",
        ),
        (
            "--bridge-network-width 8",
            "bridge-network-width",
            "less than the prefix",
        ),
        ("--public-network b", "bridge-network", "must be dedicated"),
        ("--cn b:x", "bridge-network", "must be dedicated"),
        ("--cn pg:bridge", "container-network", "kept for the bridge"),
        (
            "--cn pg --cnr pg:10.0.0.5-9",
            "container-network-ip-range",
            "needs --container-network-gateway",
        ),
        (
            "--cnf other:open",
            "container-network-firewall",
            "port group of no",
        ),
        ("--ops-password x", "ops-password", "needs --ops-user"),
        (
            "--memory 10 --memory-reservation 20",
            "memory-reservation",
            "more than 10",
        ),
        ("--volume-store ds", "volume-store", "has no label"),
        ("--cnc plain", "container-name-convention", "must contain"),
        ("--name a/b", "name", "not of the form"),
        ("--dns-server ten", "dns-server", "no IPv4 address"),
        ("--no-tls=false --no-tlsverify", "tls-cname", "no fixed address"),
        ("--target http://vc", "target", "use https"),
        ("--target vc/DC0/x", "target", "datacenter"),
    ] {
        let problems = import(&format!("{SHORT} --bridge-network b {line}")).unwrap_err();
        let named = format!("--{option}: ");
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with(&named) && problem.contains(rule)),
            "{line}: {problems:?}"
        );
    }
}
