//! The reference topology's whole life, as a person would start it.
#![cfg(test)]

use lab::outside::{Clients, OPERATOR};
use lab::progress::Progress;
use lab::simulators::BODIES;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Applied, served, edited by hand six times, taken away: everything as expected and nothing left behind.
#[tokio::test]
async fn the_reference_topology_lives_as_promised() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.json");
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["poc", "--once", "--json"])
        .arg(&file)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect(&said)).unwrap();
    assert_eq!(report["failures"], serde_json::json!([]), "{said}");
    assert!(output.status.success(), "{said}");

    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/poc.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&report)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(report["objects"].as_array().unwrap().len(), 8);
    let delivered = report["probes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|probe| probe["verdict"] == "delivered");
    assert!(delivered.count() >= 4);

    let run = said.lines().find_map(|line| line.split_once("logs are in "));
    let bodies = Path::new(run.expect(&said).1).join(BODIES);
    if let Some(clients) = Clients::provide_if_possible(&Progress::quiet()).await.unwrap() {
        let sent = clients.check_bodies(&[bodies], OPERATOR).unwrap();
        assert_eq!(sent.complaint(), None, "NSX's makers know all that was sent");
        for kind in ["Segment", "PolicyNatRule", "Rule", "ChildResourceReference"] {
            assert!(sent.types.contains_key(kind), "{kind} in {:?}", sent.types);
        }
    }
}

#[test]
fn a_wrong_command_line_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["poc", "--json", "x"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--once"));
}
