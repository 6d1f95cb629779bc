//! The files that commands write keep to their schemas.
#![cfg(test)]

use lab::bench::report as bench;
use lab::poc::report::{DriftReport, Failure, Kept, Machine, ObjectReport, ProbeReport, Report};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn schema(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("schemas")
        .join(format!("{name}.schema.json"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// What a run with every field filled in would write.
fn complete() -> Report {
    let object = |kind: &str, namespace: Option<&str>, name: &str| ObjectReport {
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
        seconds: 1.25,
        kube_writes: 1,
    };
    let team = Some("containers");
    let probe = |id: &str, verdict: &str, vm: Option<&str>| ProbeReport {
        id: id.to_owned(),
        from: "198.51.100.7".to_owned(),
        to: "203.0.113.10".to_owned(),
        port: 80,
        protocol: "TCP".to_owned(),
        translated: Some("10.30.0.11:80".to_owned()),
        vm: vm.map(str::to_owned),
        verdict: verdict.to_owned(),
        rule: None,
        expected: verdict.to_owned(),
    };
    let drift = |tampering: lab::poc::drift::Tampering| DriftReport {
        what: tampering.name().to_owned(),
        seconds: 0.4,
        repaired: true,
    };
    let mut report = Report::new(5);
    report.seconds_to_ready = Some(10.5);
    report.objects = vec![
        object("Site", None, "poc"),
        object("ContainerNetwork", team, "docker-public"),
        object("ContainerNetwork", team, "external-consumer"),
        object("ContainerNetwork", team, "vic-bridge"),
        object("ContainerNetwork", team, "vic-container-network"),
        object("VirtualContainerHost", team, "vch1"),
        object("EdgeNatRule", team, "nginx"),
    ];
    report.probes = ["no-route", "delivered", "dropped", "delivered", "no-route"]
        .iter()
        .map(|verdict| probe("probe", verdict, (*verdict == "delivered").then_some("web")))
        .collect();
    report.drift = lab::poc::drift::Tampering::ALL.map(drift).to_vec();
    report
        .calls
        .nsx
        .insert("PATCH /policy/api/v1/infra".to_owned(), 1);
    report.calls.vcenter.insert("CreateVM_Task".to_owned(), 1);
    report.kept = vec![Kept {
        system: "vcenter".to_owned(),
        what: "+ /files/x".to_owned(),
        reason: "a volume store".to_owned(),
    }];
    report.operator_peak_mib = Some(40.0);
    report.machine = Machine { cores: 2, load: 0.5 };
    report.finish(33.333_333);
    report
}

fn written(report: &Report) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.json");
    report.write(&path).unwrap();
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn errors(validator: &jsonschema::Validator, value: &Value) -> Vec<String> {
    validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn a_complete_run_keeps_to_the_schema() {
    let report = written(&complete());
    assert_eq!(report["ok"], true);
    assert_eq!(report["seconds"], 33.333);
    assert_eq!(errors(&schema("poc"), &report), Vec::<String>::new());
}

#[test]
fn a_run_that_could_not_even_start_keeps_to_it_too() {
    let mut report = Report::new(5);
    report.fail("the laboratory", "to start", "etcd ended");
    report.finish(0.5);
    let report = written(&report);
    assert_eq!(report["ok"], false);
    assert_eq!(errors(&schema("poc"), &report), Vec::<String>::new());
}

/// A schema that lets everything through proves nothing.
#[test]
fn what_does_not_keep_to_the_schema_is_refused() {
    let validator = schema("poc");
    let with = |pointer: &str, value: Value| {
        let mut report = written(&complete());
        *report.pointer_mut(pointer).unwrap() = value;
        report
    };
    let refused = [
        ("another version", with("/version", json!(2))),
        (
            "ok although something failed",
            with("/failures", json!([{"what": "x", "expected": "y", "got": "z"}])),
        ),
        ("not ok without a reason", with("/ok", json!(false))),
        (
            "ok although something is left",
            with("/left_behind/nsx", json!(["+ /infra/segments/x"])),
        ),
        (
            "ok although an edit stayed",
            with("/drift/0/repaired", json!(false)),
        ),
        ("an unknown tampering", with("/drift/0/what", json!("dns-edited"))),
        ("an unknown verdict", with("/probes/0/verdict", json!("lost"))),
        (
            "a translation without a port",
            with("/probes/0/translated", json!("10.30.0.11")),
        ),
        (
            "something kept without a reason",
            with("/kept/0/reason", json!("")),
        ),
        (
            "waiting counted as a call",
            with("/calls/vcenter", json!({"WaitForUpdatesEx": 3})),
        ),
        (
            "an NSX call without a method",
            with("/calls/nsx", json!({"/infra": 3})),
        ),
    ];
    for (what, report) in refused {
        assert!(!errors(&validator, &report).is_empty(), "{what}");
    }
    for field in written(&complete()).as_object().unwrap().keys() {
        let mut report = written(&complete());
        report.as_object_mut().unwrap().remove(field);
        assert!(!errors(&validator, &report).is_empty(), "without {field}");
    }
}

/// What a benchmark with every field filled in would write.
fn bench() -> bench::Report {
    let mut report = bench::Report::new("nat", 1000, 10);
    report.runs = vec![bench::RunReport {
        create_seconds: 2.0,
        ready_seconds: 5.0,
        floor_seconds: 4.0,
        kube_writes_per_object: 1.0,
        reconciles_per_object: 2.1,
        client_cpu_ms_per_object: 1.5,
        nsxsim_cpu_seconds: 1.0,
        nsx_writes: 8,
        nsx_reads: 30,
        operator_peak_mib: 60.0,
    }];
    report.per_object = Some(bench::PerObject {
        n: 1000,
        seconds: 50.0,
        calls: 5000,
    });
    report.warm_restart = Some(bench::WarmRestart {
        seconds: 2.0,
        nsx_reads: 9,
        nsx_writes: 0,
        nsx_logins: 1,
        kube_writes: 0,
    });
    report.rest = Some(bench::Rest {
        minutes: 2.0,
        nsx_calls: 4,
        vcenter_calls: 0,
        cpu_seconds: 0.2,
    });
    report.drift = Some(bench::Drift {
        edited: 100,
        deleted: 100,
        period_seconds: 60,
        seconds: 50.0,
        nsx_calls: 80,
    });
    report.new_rule_under_load_seconds = Some(0.7);
    report.delete = Some(bench::Delete {
        seconds: 9.0,
        nsx_writes: 7,
    });
    report.operator_peak_mib = Some(60.0);
    report.finish(300.0);
    report
}

fn bench_json(report: &bench::Report) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.json");
    lab::sweep::report::write(report, &path).unwrap();
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_benchmark_keeps_to_its_schema_and_nothing_else_does() {
    let validator = schema("bench");
    let whole = bench_json(&bench());
    assert_eq!(whole["ok"], true);
    assert_eq!(errors(&validator, &whole), Vec::<String>::new());
    let mut failed = bench::Report::new("networks", 10, 10);
    failed.head.fail("the laboratory", "to start", "etcd ended");
    failed.finish(0.5);
    assert_eq!(errors(&validator, &bench_json(&failed)), Vec::<String>::new());
    let with = |pointer: &str, value: Value| {
        let mut report = whole.clone();
        *report.pointer_mut(pointer).unwrap() = value;
        report
    };
    let refused = [
        ("an unknown subject", with("/subject", json!("pods"))),
        ("ok without a run", with("/runs", json!([]))),
        ("ok without a restart", with("/warm_restart", Value::Null)),
        ("not ok without a reason", with("/ok", json!(false))),
        ("part of a call", with("/rest/nsx_calls", json!(1.5))),
        ("time running back", with("/ready_seconds", json!(-1.0))),
    ];
    for (what, report) in refused {
        assert!(!errors(&validator, &report).is_empty(), "{what}");
    }
    for field in whole.as_object().unwrap().keys() {
        let mut report = whole.clone();
        report.as_object_mut().unwrap().remove(field);
        assert!(!errors(&validator, &report).is_empty(), "without {field}");
    }
}

#[test]
fn a_failure_names_what_was_expected_and_what_came() {
    let mut report = complete();
    report.fail("probe nginx-after: verdict", "delivered", "dropped");
    report.finish(1.0);
    assert!(!report.ok);
    let [Failure { what, expected, got }] = report.failures.as_slice() else {
        panic!("one failure")
    };
    assert_eq!(
        (what.as_str(), expected.as_str(), got.as_str()),
        ("probe nginx-after: verdict", "delivered", "dropped")
    );
}
