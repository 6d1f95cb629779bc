//! The chart's alerts and dashboard name metrics and labels that exist, and the dashboard shows every metric.

use std::collections::BTreeSet;

use serde_json::Value;

use super::table::{ALL, Metric, PREFIX};

fn file(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/vic-operator/files/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// The metrics of an expression.
fn metrics(expression: &str) -> Vec<Metric> {
    let named = words(expression).filter(|word| word.starts_with(PREFIX));
    named
        .map(|name| {
            let found = ALL
                .into_iter()
                .find(|metric| metric.series().contains(&name.to_owned()));
            found.unwrap_or_else(|| panic!("no metric {name}: {expression}"))
        })
        .collect()
}

/// The labels that an expression groups by or selects by.
fn labels(expression: &str) -> BTreeSet<&str> {
    let between = |open: &'static str, close: char| {
        expression
            .split(open)
            .skip(1)
            .filter_map(move |rest| rest.split(close).next())
    };
    let grouped = between("by (", ')').flat_map(words);
    let selected = between("{", '}')
        .flat_map(|inside| inside.split("\","))
        .filter_map(|matcher| words(matcher).next());
    grouped.chain(selected).collect()
}

/// Expression, and the text that is made of its labels.
fn expressions() -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts: Value = serde_yaml_ng::from_str(&file("alerts.yaml")).unwrap();
    let rules = alerts["groups"].as_array().unwrap().iter();
    let rules = rules.flat_map(|group| group["rules"].as_array().unwrap());
    let mut found: Vec<_> = rules
        .map(|rule| (text(&rule["expr"]), text(&rule["annotations"]["summary"])))
        .collect();
    assert!(
        found.iter().all(|(_, summary)| summary.ends_with('.')),
        "each alert says what it means"
    );
    let dashboard: Value = serde_json::from_str(&file("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    found.extend(targets.map(|target| (text(&target["expr"]), text(&target["legendFormat"]))));
    found
}

#[test]
fn alerts_and_dashboard_name_metrics_and_labels_that_exist() {
    for (expression, said) in expressions() {
        let metrics = metrics(&expression);
        assert!(!metrics.is_empty(), "{expression}");
        let known: BTreeSet<&str> = metrics
            .iter()
            .flat_map(|metric| metric.labels)
            .copied()
            .chain(["le"])
            .collect();
        for label in labels(&expression) {
            assert!(known.contains(label), "no label {label}: {expression}");
        }
        let named = said
            .split("{{")
            .skip(1)
            .filter_map(|rest| rest.split("}}").next());
        for name in named.map(str::trim).filter(|name| *name != "$value") {
            let name = name.trim_start_matches("$labels.");
            assert!(
                labels(&expression).contains(name),
                "{said} names {name}: {expression}"
            );
        }
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let shown = file("dashboard.json");
    let shown: BTreeSet<&str> = words(&shown).collect();
    for metric in ALL {
        assert!(
            metric
                .series()
                .iter()
                .any(|series| shown.contains(series.as_str())),
            "{} is in no panel",
            metric.name
        );
    }
}

#[test]
fn the_labels_of_an_expression_are_found() {
    let expression = "sum by (kind, ready) (rate(vic_operator_objects{ready=\"False\", kind!~\"a|b\"}[5m]))";
    assert_eq!(labels(expression), BTreeSet::from(["kind", "ready"]));
}
