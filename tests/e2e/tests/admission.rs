//! The kube-apiserver refuses what the API refuses: for every enum, pattern, bound and CEL rule of the CRDs, a
//! manifest one edit away from a valid one.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;

use e2e::rules::{Demand, Rule, of};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use lab::{Lab, Options};
use serde::Deserialize;
use serde_json::{Value, json};

/// How a CEL rule is broken.
#[derive(Deserialize)]
struct Case {
    message: String,
    #[serde(default)]
    base: Vec<String>,
    #[serde(default)]
    update: bool,
    set: Option<String>,
    to: Option<Value>,
    text: Option<Value>,
}

/// One manifest that must be refused.
struct Refusal {
    manifest: Value,
    /// The valid object that exists, for a rule about changes.
    before: Option<Value>,
    /// What the answer must say.
    says: Vec<String>,
}

fn fixture<T: for<'de> Deserialize<'de>>(name: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/admission")
        .join(name);
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| T::deserialize(document).unwrap())
        .collect()
}

#[tokio::test]
async fn every_rule_of_the_api_refuses_its_breach() {
    let lab = Lab::start(Options {
        operator: false,
        ..Options::named("admission")
    })
    .await
    .unwrap();
    let client = lab.client().await.unwrap();
    let bases: Vec<Value> = fixture("bases.yaml");
    let cases: Vec<Case> = fixture::<Vec<Case>>("cases.yaml").remove(0);
    for base in &bases {
        create(&client, base, true)
            .await
            .unwrap_or_else(|error| panic!("a base is refused: {error}\n{base}"));
    }
    let mut failures = Vec::new();
    let mut broken = 0;
    for rule in vic_crds::generate::all()
        .iter()
        .flat_map(|crd| of(&serde_json::to_value(crd).unwrap()))
    {
        match refusal(&rule, &bases, &cases) {
            None => failures.push(format!("{rule}: no case breaks it")),
            Some(refusal) => match check(&client, &refusal).await {
                Ok(()) => broken += 1,
                Err(problem) => failures.push(format!("{rule}: {problem}")),
            },
        }
    }
    assert!(
        failures.is_empty(),
        "{} rules are not held:\n{}",
        failures.len(),
        failures.join("\n")
    );
    println!("{broken} rules, each with a manifest that breaks it alone");
}

async fn create(client: &Client, manifest: &Value, dry_run: bool) -> kube::Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(manifest.clone()).unwrap();
    let parameters = PostParams {
        dry_run,
        ..PostParams::default()
    };
    api(client, manifest).create(&parameters, &object).await
}

fn api(client: &Client, manifest: &Value) -> Api<DynamicObject> {
    let kind = manifest["kind"].as_str().unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("vic-operator.io", "v1alpha1", kind));
    match manifest.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

async fn check(client: &Client, refusal: &Refusal) -> Result<(), String> {
    let answer = match &refusal.before {
        None => create(client, &refusal.manifest, true).await,
        Some(before) => change(client, before, &refusal.manifest).await,
    };
    match answer {
        Ok(_) => Err(format!("accepted: {}", refusal.manifest)),
        Err(kube::Error::Api(status)) => {
            let missing: Vec<&String> = refusal
                .says
                .iter()
                .filter(|part| !status.message.contains(*part))
                .collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(format!("says not {missing:?} but: {}", status.message))
            }
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Creates the object as it is and asks, as a dry run, for the change.
async fn change(client: &Client, before: &Value, after: &Value) -> kube::Result<DynamicObject> {
    let name = before.pointer("/metadata/name").and_then(Value::as_str).unwrap();
    let api = api(client, before);
    if api.get_opt(name).await?.is_none() {
        create(client, before, false).await?;
    }
    let mut changed: DynamicObject = serde_json::from_value(after.clone()).unwrap();
    changed.metadata.resource_version = api.get(name).await?.metadata.resource_version;
    api.replace(
        name,
        &PostParams {
            dry_run: true,
            ..PostParams::default()
        },
        &changed,
    )
    .await
}

fn refusal(rule: &Rule, bases: &[Value], cases: &[Case]) -> Option<Refusal> {
    let field = rule
        .path
        .iter()
        .fold(String::new(), |text, part| match part.as_str() {
            "[]" => text + "[0]",
            part if text.is_empty() => part.to_owned(),
            part => text + "." + part,
        });
    let pointer: String = rule
        .path
        .iter()
        .map(|part| {
            if part == "[]" {
                "/0".to_owned()
            } else {
                format!("/{part}")
            }
        })
        .collect();
    if let Demand::Cel(message) = &rule.demand {
        return cel(rule, message, &field, &pointer, bases, cases);
    }
    let base = bases
        .iter()
        .find(|base| base["kind"] == rule.kind && base.pointer(&pointer).is_some())?;
    let (value, says) = breach(&rule.demand, base.pointer(&pointer)?)?;
    let mut manifest = base.clone();
    *manifest.pointer_mut(&pointer)? = value;
    Some(Refusal {
        manifest,
        before: None,
        says: vec![field, says],
    })
}

/// A value that breaks a rule, and what the refusal says of it.
fn breach(demand: &Demand, valid: &Value) -> Option<(Value, String)> {
    let text = |count: u64| "a".repeat(usize::try_from(count).unwrap());
    Some(match demand {
        Demand::Enum => (json!("Nonsense"), "Unsupported value".to_owned()),
        // These characters are in no form of this API.
        Demand::Pattern => (json!("*/%*/"), "should match".to_owned()),
        Demand::MinLength(count) => (
            json!(text(count - 1)),
            format!("should be at least {count} chars long"),
        ),
        Demand::MaxLength(count) => (
            json!(text(count + 1)),
            format!("may not be more than {count} bytes"),
        ),
        Demand::Minimum(least) => (
            json!(least - 1),
            format!("should be greater than or equal to {least}"),
        ),
        Demand::Maximum(most) => (json!(most + 1), format!("should be less than or equal to {most}")),
        Demand::MinItems(_) => (json!([]), "should have at least".to_owned()),
        Demand::MaxItems(count, key) => {
            let item = valid.get(0)?;
            let items: Vec<Value> = (0..=*count)
                .map(|number| distinct(item, key.as_deref(), number))
                .collect();
            (json!(items), format!("must have at most {count} item"))
        }
        Demand::Cel(_) => return None,
    })
}

/// A copy of an item; in a list map its key is another one.
fn distinct(item: &Value, key: Option<&str>, number: u64) -> Value {
    let mut item = item.clone();
    if let Some(key) = key {
        item[key] = json!(if key == "version" {
            format!("v{number}")
        } else {
            format!("n{number}")
        });
    }
    item
}

fn cel(
    rule: &Rule,
    message: &str,
    field: &str,
    pointer: &str,
    bases: &[Value],
    cases: &[Case],
) -> Option<Refusal> {
    let named: BTreeMap<&str, &Value> = bases
        .iter()
        .map(|base| {
            (
                base.pointer("/metadata/name").and_then(Value::as_str).unwrap(),
                base,
            )
        })
        .collect();
    let is_about = |case: &&Case| {
        let mut kinds = case.base.iter().map(|name| &named[name.as_str()]["kind"]);
        case.message == message && (case.base.is_empty() || kinds.any(|kind| *kind == rule.kind))
    };
    let case = cases.iter().find(is_about)?;
    let mut candidates: Vec<&Value> = case.base.iter().map(|name| named[name.as_str()]).collect();
    if candidates.is_empty() {
        candidates = bases.iter().collect();
    }
    let base = candidates
        .into_iter()
        .find(|base| base["kind"] == rule.kind && base.pointer(pointer).is_some())?;
    let mut manifest = base.clone();
    match (&case.text, case.set.as_deref()) {
        (Some(text), _) => *manifest.pointer_mut(pointer)? = text.clone(),
        // The structure itself, emptied.
        (None, Some(".")) => *manifest.pointer_mut(pointer)? = json!({}),
        (None, Some(place)) => {
            let place = if place.starts_with('/') {
                place.to_owned()
            } else {
                format!("{pointer}/{place}")
            };
            let (parent, name) = place.rsplit_once('/')?;
            let parent = manifest.pointer_mut(parent)?.as_object_mut()?;
            match &case.to {
                Some(value) => drop(parent.insert(name.to_owned(), value.clone())),
                None => drop(parent.remove(name)),
            }
        }
        (None, None) => return None,
    }
    let before = case.update.then(|| base.clone());
    Some(Refusal {
        manifest,
        before,
        says: vec![field.to_owned(), message.to_owned()],
    })
}
