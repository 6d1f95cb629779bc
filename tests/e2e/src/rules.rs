//! Every rule that a CRD's schema states, found by walking it: none can be added without a case.

use std::fmt;

use serde_json::Value;

/// One rule of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The kind whose CRD states it.
    pub kind: String,
    /// Fields from the root to the place it holds for; `[]` stands for each item of a list.
    pub path: Vec<String>,
    /// What it demands.
    pub demand: Demand,
}

/// What a rule demands.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// One of these.
    Enum,
    /// A text of this form.
    Pattern,
    /// At least so many characters.
    MinLength(u64),
    /// At most so many characters.
    MaxLength(u64),
    /// At least this number.
    Minimum(i64),
    /// At most this number.
    Maximum(i64),
    /// At least so many items.
    MinItems(u64),
    /// At most so many items; the key that must differ, for a list map.
    MaxItems(u64, Option<String>),
    /// A CEL rule, by its message.
    Cel(String),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.kind, self.path.join("."), self.demand)
    }
}

/// The rules of one CRD, given as JSON.
#[must_use]
pub fn of(crd: &Value) -> Vec<Rule> {
    let kind = crd
        .pointer("/spec/names/kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut rules = Vec::new();
    if let Some(schema) = crd.pointer("/spec/versions/0/schema/openAPIV3Schema") {
        walk(kind, schema, &mut Vec::new(), &mut rules);
    }
    rules
}

fn walk(kind: &str, schema: &Value, path: &mut Vec<String>, rules: &mut Vec<Rule>) {
    let mut add = |demand| {
        rules.push(Rule {
            kind: kind.to_owned(),
            path: path.clone(),
            demand,
        });
    };
    demands(schema).into_iter().for_each(&mut add);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            path.push(name.clone());
            walk(kind, property, path, rules);
            path.pop();
        }
    }
    if let Some(items) = schema.get("items") {
        path.push("[]".to_owned());
        walk(kind, items, path, rules);
        path.pop();
    }
}

fn demands(schema: &Value) -> Vec<Demand> {
    let count = |field: &str| schema.get(field).and_then(Value::as_u64);
    // Bounds are written as floats.
    let number = |field: &str| {
        schema
            .get(field)
            .map(ToString::to_string)
            .and_then(|text| text.trim_end_matches(".0").parse().ok())
    };
    let list_key = schema
        .pointer("/x-kubernetes-list-map-keys/0")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let cel = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    let messages = cel
        .into_iter()
        .flatten()
        .filter_map(|rule| rule.get("message").or(rule.get("rule")).and_then(Value::as_str));
    [
        schema.get("enum").map(|_| Demand::Enum),
        schema.get("pattern").map(|_| Demand::Pattern),
        count("minLength").map(Demand::MinLength),
        count("maxLength").map(Demand::MaxLength),
        number("minimum").map(Demand::Minimum),
        number("maximum").map(Demand::Maximum),
        count("minItems").map(Demand::MinItems),
        count("maxItems").map(|max| Demand::MaxItems(max, list_key)),
    ]
    .into_iter()
    .flatten()
    .chain(messages.map(|message| Demand::Cel(message.to_owned())))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_found_at_every_depth() {
        let crd = serde_json::json!({"spec": {"names": {"kind": "K"}, "versions": [{"schema": {"openAPIV3Schema": {
            "properties": {"spec": {"properties": {
                "a": {"type": "array", "maxItems": 3, "items": {"type": "string", "pattern": "^x$", "maxLength": 5}},
                "b": {"type": "integer", "minimum": 0.0, "enum": [1, 2]},
            }, "x-kubernetes-validations": [{"rule": "true", "message": "m"}]}}
        }}}]}});
        let found: Vec<String> = of(&crd)
            .iter()
            .map(|rule| format!("{} {:?}", rule.path.join("."), rule.demand))
            .collect();
        let expected = [
            "spec Cel(\"m\")",
            "spec.a MaxItems(3, None)",
            "spec.a.[] Pattern",
            "spec.a.[] MaxLength(5)",
            "spec.b Enum",
            "spec.b Minimum(0)",
        ];
        assert_eq!(found, expected);
    }
}
