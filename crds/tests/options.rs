//! `docs/vic-machine-options.md` tells of every option of `vic-machine create` 1.5.8, and names fields that exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use vic_crds::generate;

/// The options of `vic-machine create` 1.5.8, hidden ones included, without their short forms.
const OPTIONS: &str = "
target user password thumbprint name force timeout debug asymmetric-routes extended-help
compute-resource memory memory-reservation memory-shares cpu cpu-reservation cpu-shares endpoint-cpu endpoint-memory
affinity-vm-group containers
image-store base-image-size volume-store storage-quota
bridge-network bridge-network-range bridge-network-width public-network client-network management-network
public-network-ip client-network-ip management-network-ip
public-network-gateway client-network-gateway management-network-gateway dns-server
container-network container-network-gateway container-network-ip-range container-network-dns container-network-firewall
no-tls no-tlsverify tls-cname tls-server-cert tls-server-key tls-cert-path tls-ca organization certificate-key-size
registry-ca insecure-registry whitelist-registry http-proxy https-proxy no-proxy
ops-user ops-password ops-grant-perms container-name-convention syslog-address appliance-iso bootstrap-iso
";

/// A row of a table: the option, the field and the remark.
fn rows(text: &str) -> Vec<[String; 3]> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `--"))
        .map(|line| {
            let mut cells = line.split('|').map(|cell| cell.trim().to_owned());
            let mut next = || cells.next().unwrap_or_default();
            [next().trim_end_matches('`').to_owned(), next(), next()]
        })
        .collect()
}

fn read() -> Vec<[String; 3]> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vic-machine-options.md");
    rows(&fs::read_to_string(file).unwrap())
}

/// Whether a schema has a field, given as `spec.list[].field`.
fn has(schema: &Value, field: &str) -> bool {
    field
        .split('.')
        .try_fold(schema, |schema, part| {
            let name = part.trim_end_matches("[]");
            let schema = schema.get("properties")?.get(name)?;
            if name == part {
                Some(schema)
            } else {
                schema.get("items")
            }
        })
        .is_some()
}

#[test]
fn every_option_stands_in_the_table_once() {
    let told: Vec<String> = read().into_iter().map(|[option, ..]| option).collect();
    let mut sorted = told.clone();
    sorted.sort();
    let mut expected: Vec<&str> = OPTIONS.split_whitespace().collect();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
}

#[test]
fn every_field_exists_and_where_there_is_none_a_sentence_says_why() {
    let schemas: BTreeMap<String, Value> = generate::all()
        .into_iter()
        .map(|crd| {
            let version = crd.spec.versions.first().unwrap();
            let schema = version
                .schema
                .as_ref()
                .unwrap()
                .open_api_v3_schema
                .as_ref()
                .unwrap();
            (crd.spec.names.kind, serde_json::to_value(schema).unwrap())
        })
        .collect();
    for [option, field, remark] in read() {
        if field == "–" {
            assert!(
                remark.ends_with('.') && remark.contains(' '),
                "--{option}: {remark:?}"
            );
            continue;
        }
        let (kind, path) = field.split_once(": ").unwrap_or(("VirtualContainerHost", &field));
        let path = path.trim_matches('`');
        assert!(
            has(&schemas[kind], path),
            "--{option}: {kind} has no field {path}"
        );
    }
}

#[test]
fn a_field_is_found_at_any_depth_and_not_invented() {
    let schema = serde_json::json!({"properties": {"spec": {"properties": {
        "list": {"items": {"properties": {"name": {}}}}, "text": {}}}}});
    for (field, there) in [
        ("spec.text", true),
        ("spec.list[].name", true),
        ("spec.list", true),
        ("spec.list[].other", false),
        ("spec.list.name", false),
        ("text", false),
    ] {
        assert_eq!(has(&schema, field), there, "{field}");
    }
}
