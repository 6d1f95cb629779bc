//! A small, fixed part of each sweep, as a person would start it.
#![cfg(test)]

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Runs a command that writes a file; returns what it wrote, which keeps to its schema and tells of no failure.
fn swept(name: &str, arguments: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.json");
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg(name)
        .args(arguments)
        .arg("--json")
        .arg(&file)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect(&said)).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{name}.schema.json"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&report)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{said}");
    assert_eq!(report["failures"], json!([]), "{said}");
    assert!(output.status.success(), "{said}");
    report
}

#[test]
fn kills_at_random_moments_cost_nothing() {
    let report = swept("kill", &["--rounds", "1", "--seed", "7"]);
    assert_eq!(report["points"].as_array().unwrap().len(), 3);
    assert_eq!(report["seed"], 7);
}

#[test]
fn kills_at_calls_cost_nothing() {
    let report = swept("crash-sweep", &["--sample", "7"]);
    assert_eq!((&report["points"], &report["converged"]), (&json!(7), &json!(7)));
    let calls = report["calls"].as_array().unwrap();
    for part in ["create: nsx PATCH ", "change: vcenter ", "delete: kube PATCH "] {
        let made = |call: &Value| call.as_str().unwrap().starts_with(part);
        assert!(calls.iter().any(made), "{part}: {calls:?}");
    }
}

#[test]
fn faults_are_told_and_overcome() {
    let report = swept("fault-sweep", &["--sample", "6"]);
    assert_eq!((&report["cells"], &report["converged"]), (&json!(6), &json!(6)));
    let told = |cell: &Value| cell["reason"].is_string();
    assert!(report["list"].as_array().unwrap().iter().any(told));
}

#[test]
fn a_scenario_that_does_not_exist_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["crash-sweep", "nothing"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("networks"));
}
