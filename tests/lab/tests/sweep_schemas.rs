//! The files of the sweeps keep to their schemas.
#![cfg(test)]

use lab::poc::report::Kept;
use lab::sweep::point::Moment;
use lab::sweep::report::{
    CrashPoint, CrashReport, FaultCell, FaultReport, KillPoint, KillReport, PhaseCalls, write,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const CALL: &str = "create: nsx PATCH /policy/api/v1/infra #1";

fn schema(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("schemas")
        .join(format!("{name}.schema.json"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

fn written(report: &impl Serialize) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.json");
    write(report, &path).unwrap();
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn kept() -> Vec<Kept> {
    vec![Kept {
        system: "vcenter".to_owned(),
        what: "+ /files/x".to_owned(),
        reason: "an image".to_owned(),
    }]
}

fn kill() -> KillReport {
    let mut report = KillReport {
        seed: 7,
        rounds: 1,
        points: vec![KillPoint {
            at: "round 1, nat-edited, +0.250 s".to_owned(),
            converged: true,
            seconds: 2.5,
            left_behind: Vec::new(),
        }],
        kept: kept(),
        ..KillReport::default()
    };
    report.head.finish(20.0);
    report
}

fn crash() -> CrashReport {
    let mut report = CrashReport {
        scenario: "networks".to_owned(),
        calls: vec![CALL.to_owned()],
        points: 3,
        converged: 3,
        kept: kept(),
        list: [Moment::Before, Moment::After, Moment::Deleted]
            .map(|moment| CrashPoint {
                call: CALL.to_owned(),
                moment,
                converged: true,
                seconds: 6.0,
            })
            .to_vec(),
        ..CrashReport::default()
    };
    report.head.finish(20.0);
    report
}

fn fault() -> FaultReport {
    let phase = |phase: &str| PhaseCalls {
        phase: phase.to_owned(),
        calls: 12,
    };
    let mut report = FaultReport {
        cells: 1,
        converged: 1,
        undisturbed: ["create", "change", "delete"].map(phase).to_vec(),
        list: vec![FaultCell {
            fault: "nsx-503".to_owned(),
            phase: "change".to_owned(),
            converged: true,
            calls: 30,
            struck: 8,
            lasted: 2.0,
            seconds: 5.0,
            reason: Some("NsxUnavailable (Site)".to_owned()),
        }],
        ..FaultReport::default()
    };
    report.head.finish(20.0);
    report
}

fn errors(name: &str, value: &Value) -> Vec<String> {
    schema(name)
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn complete() -> [(&'static str, Value); 3] {
    [
        ("kill", written(&kill())),
        ("crash-sweep", written(&crash())),
        ("fault-sweep", written(&fault())),
    ]
}

#[test]
fn complete_runs_keep_to_their_schemas() {
    for (name, report) in complete() {
        assert_eq!(report["ok"], true);
        assert_eq!(errors(name, &report), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn runs_that_could_not_even_start_keep_to_them_too() {
    let mut reports = (
        KillReport::default(),
        CrashReport {
            scenario: "vch".to_owned(),
            ..CrashReport::default()
        },
        FaultReport::default(),
    );
    for head in [&mut reports.0.head, &mut reports.1.head, &mut reports.2.head] {
        head.fail("the laboratory", "to start", "etcd ended");
        head.finish(0.5);
    }
    let reports = [
        ("kill", written(&reports.0)),
        ("crash-sweep", written(&reports.1)),
        ("fault-sweep", written(&reports.2)),
    ];
    for (name, report) in reports {
        assert_eq!(report["ok"], false);
        assert_eq!(errors(name, &report), Vec::<String>::new(), "{name}");
    }
}

/// Schemas that let everything through prove nothing.
#[test]
fn what_does_not_keep_to_them_is_refused() {
    for (name, report) in complete() {
        for field in report.as_object().unwrap().keys() {
            let mut without = report.clone();
            without.as_object_mut().unwrap().remove(field);
            assert!(!errors(name, &without).is_empty(), "{name} without {field}");
        }
    }
    let cases = [
        ("kill", "/points/0/converged", json!(false)),
        ("kill", "/points/0/left_behind", json!(["nsx: + /infra/x"])),
        ("kill", "/points/0/at", json!("some time")),
        ("kill", "/points", json!([])),
        ("crash-sweep", "/list/1/converged", json!(false)),
        ("crash-sweep", "/list/0/moment", json!("during")),
        ("crash-sweep", "/list/0/call", json!("PATCH")),
        ("crash-sweep", "/left_behind", json!(["x"])),
        ("crash-sweep", "/points", json!(0)),
        ("fault-sweep", "/list/0/converged", json!(false)),
        ("fault-sweep", "/list/0/phase", json!("idle")),
        ("fault-sweep", "/list/0/reason", json!("")),
        ("fault-sweep", "/cells", json!(0)),
        ("fault-sweep", "/ok", json!(false)),
    ];
    for (name, pointer, value) in cases {
        let (_, mut report) = complete().into_iter().find(|(known, _)| *known == name).unwrap();
        *report.pointer_mut(pointer).unwrap() = value;
        assert!(!errors(name, &report).is_empty(), "{name} {pointer}");
    }
}
