//! A laboratory and what its user does and sees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use lab::kinds::{Key, condition, is_ready, told};
use lab::operator::NAMESPACE;
use lab::outside::{Clients, OPERATOR};
use lab::watch::{Listener, Objects, Watch};
use lab::{Lab, Options};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome, demand};
use crate::manifests::{POC, TEAM, key_of, site, site_key};

/// How long anything may take that the operator does by itself.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Pause between two looks at something that nothing tells of.
const LOOK: Duration = Duration::from_millis(100);

/// A laboratory and its user.
pub struct World {
    /// The laboratory.
    pub lab: Lab,
    /// The administrator's client.
    pub client: Client,
    watch: Watch,
    known: Mutex<BTreeMap<Key, Known>>,
    story: Arc<Mutex<Vec<String>>>,
    outside: Option<Clients>,
}

/// What the API server answered to the last write of an object: a watch may still show what was before.
#[derive(Clone, Debug)]
struct Known {
    uid: String,
    generation: i64,
}

impl World {
    /// Starts a laboratory without any object.
    ///
    /// # Errors
    /// The laboratory does not start.
    pub async fn start(options: Options) -> Outcome<Self> {
        let outside = Clients::provide_if_possible(&options.progress).await?;
        let lab = Lab::start(options).await?;
        let client = lab.client().await?;
        let story = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&story);
        let listener: Listener = Arc::new(move |line: &str| {
            told.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line.to_owned());
        });
        let watch = Watch::start(&client, &listener);
        Ok(Self {
            lab,
            client,
            watch,
            known: Mutex::default(),
            story,
            outside,
        })
    }

    /// Starts a laboratory with a Site `poc` that is connected and grants the team what it needs.
    ///
    /// # Errors
    /// The laboratory does not start, or the Site does not connect.
    pub async fn with_site(options: Options) -> Outcome<Self> {
        let world = Self::start(options).await?;
        let key = world.create(&site(&world.lab, POC, &json!({}))?).await?;
        world.ready(&key).await?;
        Ok(world)
    }

    /// What the objects did so far, a line for each change of `Ready`.
    #[must_use]
    pub fn story(&self) -> Vec<String> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the operator logs.
    #[must_use]
    pub fn operator_log(&self) -> PathBuf {
        self.lab.run().log("operator")
    }

    /// The objects as the watch shows them.
    #[must_use]
    pub fn objects(&self) -> Objects {
        self.watch.now()
    }

    /// Makes a namespace of the team.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn namespace(&self, name: &str) -> Outcome {
        self.labelled_namespace(name, &json!({TEAM.0: TEAM.1})).await
    }

    /// Makes a namespace with labels.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn labelled_namespace(&self, name: &str, labels: &Value) -> Outcome {
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
        Api::all(self.client.clone())
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(())
    }

    /// Writes a Secret with a user's name and password into the operator's namespace.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn credentials(&self, name: &str, username: &str, password: &str) -> Outcome {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"username": username, "password": password},
        });
        let api: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        api.patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(&secret))
            .await?;
        Ok(())
    }

    /// Writes a ConfigMap with authorities' certificates into the operator's namespace.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn authorities(&self, name: &str, pem: &str) -> Outcome {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": pem},
        });
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        api.patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(&map))
            .await?;
        Ok(())
    }

    fn api(&self, key: &Key) -> Api<DynamicObject> {
        match &key.namespace {
            Some(namespace) => key.kind.within(&self.client, namespace),
            None => key.kind.all(&self.client),
        }
    }

    fn wrote(&self, key: &Key, object: &DynamicObject) {
        let known = Known {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
        };
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone(), known);
    }

    /// Whether an object that the watch shows is not older than the last write.
    fn is_current(&self, key: &Key, object: &DynamicObject) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).is_none_or(|known| {
            object.metadata.uid.as_deref() == Some(&known.uid)
                && object
                    .metadata
                    .generation
                    .is_some_and(|generation| generation >= known.generation)
        })
    }

    /// Creates an object.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn create(&self, manifest: &Value) -> Outcome<Key> {
        let key = key_of(manifest).ok_or_else(|| Failure(format!("no manifest: {manifest}")))?;
        let object: DynamicObject = serde_json::from_value(manifest.clone())?;
        let created = self.api(&key).create(&PostParams::default(), &object).await;
        let created = created.map_err(|error| Failure(format!("create {key}: {error}")))?;
        self.wrote(&key, &created);
        Ok(key)
    }

    /// Creates several objects, one after another.
    ///
    /// # Errors
    /// The API server refuses one.
    pub async fn create_all(&self, manifests: &[Value]) -> Outcome<Vec<Key>> {
        let mut keys = Vec::new();
        for manifest in manifests {
            keys.push(self.create(manifest).await?);
        }
        Ok(keys)
    }

    /// Creates several objects and waits until all are ready.
    ///
    /// # Errors
    /// One is refused, or does not become ready.
    pub async fn bring_up(&self, manifests: &[Value]) -> Outcome<Vec<Key>> {
        let keys = self.create_all(manifests).await?;
        self.all_ready(&keys).await?;
        Ok(keys)
    }

    /// Changes an object by a JSON merge patch.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn change(&self, key: &Key, patch: &Value) -> Outcome {
        let changed = self
            .api(key)
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        let changed = changed.map_err(|error| Failure(format!("change {key}: {error}")))?;
        self.wrote(key, &changed);
        Ok(())
    }

    /// Changes the spec of Site `poc`, and waits until what is made from now on goes by it.
    ///
    /// # Errors
    /// The API server refuses it, or the Site is not ready in time.
    pub async fn resite(&self, changes: &Value) -> Outcome {
        let key = site_key(POC);
        self.change(&key, &json!({"spec": changes})).await?;
        self.ready(&key).await?;
        Ok(())
    }

    /// Sets an annotation, or takes it away.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn annotate(&self, key: &Key, annotation: &str, value: Option<&str>) -> Outcome {
        self.change(key, &json!({"metadata": {"annotations": {annotation: value}}}))
            .await
    }

    /// Asks for an object's deletion.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn delete(&self, key: &Key) -> Outcome {
        self.api(key).delete(&key.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Deletes objects and waits until they are gone.
    ///
    /// # Errors
    /// One stays.
    pub async fn remove(&self, keys: &[Key]) -> Outcome {
        for key in keys {
            self.delete(key).await?;
        }
        self.gone(keys).await
    }

    /// The object as the API server has it.
    ///
    /// # Errors
    /// There is none.
    pub async fn read(&self, key: &Key) -> Outcome<DynamicObject> {
        self.api(key)
            .get(&key.name)
            .await
            .map_err(|error| Failure(format!("read {key}: {error}")))
    }

    /// `kubectl apply` of several manifests in one file; returns what kubectl said.
    ///
    /// # Errors
    /// kubectl fails.
    pub async fn apply(&self, name: &str, manifests: &[Value]) -> Outcome<String> {
        let file = self.file(name, manifests)?;
        Ok(self
            .lab
            .kubectl(&["apply".as_ref(), "-f".as_ref(), file.as_os_str()])
            .await?)
    }

    /// Writes manifests to a file of the run.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, manifests: &[Value]) -> Outcome<PathBuf> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
        Ok(self.lab.run().write(&format!("{name}.json"), list.to_string())?)
    }

    /// Waits until an object, not older than the last write to it, is as wished.
    ///
    /// # Errors
    /// It is not in time; with its conditions.
    pub async fn until(
        &self,
        key: &Key,
        what: &str,
        wish: impl Fn(&DynamicObject) -> bool,
    ) -> Outcome<Arc<DynamicObject>> {
        let met = |objects: &Objects| {
            objects
                .get(key)
                .is_some_and(|seen| self.is_current(key, &seen.object) && wish(&seen.object))
        };
        let waited = self.lab.while_alive(self.watch.until(what, PATIENCE, met)).await;
        let objects = waited.map_err(|error| Failure(format!("{key}: {error}\n{}", self.described(key))))?;
        let seen = objects
            .get(key)
            .ok_or_else(|| Failure(format!("{key} has vanished")))?;
        Ok(Arc::clone(&seen.object))
    }

    /// An object's status, for whoever reads of a failure.
    fn described(&self, key: &Key) -> String {
        let objects = self.objects();
        let status = objects.get(key).and_then(|seen| seen.object.data.get("status"));
        let status = status.and_then(|status| serde_json::to_string_pretty(status).ok());
        format!("{key}: status: {}", status.unwrap_or_else(|| "none".to_owned()))
    }

    /// Waits until an object is ready.
    ///
    /// # Errors
    /// It is not in time.
    pub async fn ready(&self, key: &Key) -> Outcome<Arc<DynamicObject>> {
        self.until(key, "to be ready", is_ready).await
    }

    /// Waits until all of these are ready.
    ///
    /// # Errors
    /// One is not in time.
    pub async fn all_ready(&self, keys: &[Key]) -> Outcome {
        for key in keys {
            self.ready(key).await?;
        }
        Ok(())
    }

    /// Waits until an object is not ready for that reason, and returns the sentence that it says.
    ///
    /// # Errors
    /// It is not in time, or what it says is not one plain sentence, or the condition is not the one that reasons of
    /// that kind belong to.
    pub async fn refused(&self, key: &Key, condition_type: &str, reason: &str) -> Outcome<String> {
        let object = self
            .until(key, &format!("to say {reason}"), |object| {
                condition(object, "Ready").is_some_and(|ready| {
                    told(ready, "reason") == reason
                        && told(ready, "status") == "False"
                        && ready.get("observedGeneration").and_then(Value::as_i64)
                            == object.metadata.generation
                })
            })
            .await?;
        let at = condition(&object, condition_type);
        demand(
            at.is_some_and(|at| told(at, "status") == "False" && told(at, "reason") == reason),
            || {
                format!(
                    "{key}: {condition_type} should be False for {reason}\n{}",
                    self.described(key)
                )
            },
        )?;
        let message = condition(&object, "Ready")
            .map(|ready| told(ready, "message"))
            .unwrap_or_default();
        for line in message.lines() {
            plain(line).map_err(|why| Failure(format!("{key} says {message:?}: {why}")))?;
        }
        demand(!message.is_empty(), || format!("{key} says nothing"))?;
        Ok(message.to_owned())
    }

    /// Waits until objects are gone.
    ///
    /// # Errors
    /// One stays.
    pub async fn gone(&self, keys: &[Key]) -> Outcome {
        let uids: BTreeSet<String> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            keys.iter()
                .filter_map(|key| known.get(key).map(|known| known.uid.clone()))
                .collect()
        };
        let gone = |objects: &Objects| {
            objects.values().all(|seen| {
                seen.object
                    .metadata
                    .uid
                    .as_ref()
                    .is_none_or(|uid| !uids.contains(uid))
            })
        };
        let waited = self
            .lab
            .while_alive(self.watch.until("to be gone", PATIENCE, gone))
            .await;
        let described = || {
            keys.iter()
                .map(|key| self.described(key))
                .collect::<Vec<_>>()
                .join("\n")
        };
        waited.map_err(|error| Failure(format!("{error}\n{}", described())))?;
        Ok(())
    }

    /// Looks again and again until something shows, where nothing tells of it.
    ///
    /// # Errors
    /// It does not show in time, with what was seen last; or a look fails.
    pub async fn eventually<T>(
        &self,
        what: &str,
        look: impl AsyncFn() -> Outcome<Result<T, String>>,
    ) -> Outcome<T> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match look().await? {
                Ok(found) => return Ok(found),
                Err(seen) => demand(tokio::time::Instant::now() < deadline, || {
                    format!("{what}: not within {} s; last: {seen}", PATIENCE.as_secs())
                })?,
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// At its end, everything that the operator sent to NSX is held against the types of NSX's makers: a body that they would
/// not know fails the test, whatever its scenes saw.
impl Drop for World {
    fn drop(&mut self) {
        // What it still has under way belongs to the record.
        self.lab.stop_operator();
        let Some(outside) = &self.outside else { return };
        let checked = outside.check_bodies(&[self.lab.recorded_bodies()], OPERATOR);
        let wrong = match checked {
            Ok(report) => report.complaint(),
            Err(error) => Some(error.to_string()),
        };
        if let Some(wrong) = wrong {
            eprintln!("NSX's makers would not know what the operator sent:\n{wrong}");
            assert!(
                std::thread::panicking(),
                "the operator sent what NSX's makers would not know"
            );
        }
    }
}

/// Whether a message is one plain sentence: a capital first, a full stop last, nothing that only a programmer reads.
fn plain(message: &str) -> Result<(), &'static str> {
    let head = |first: char| first.is_uppercase() || first.is_ascii_digit();
    if !message.starts_with(head) && !message.starts_with("vCenter") && !message.starts_with("spec.")
        || message.starts_with("VCenter")
    {
        return Err("no capital at its head, or one that is not the name's");
    }
    if !message.ends_with('.') {
        return Err("no full stop at its end");
    }
    if ["\n", "::", "{", "}", "Err(", "Some(", "<soap", "<html", "\\\""]
        .iter()
        .any(|odd| message.contains(odd))
    {
        return Err("not plain");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_string_is_no_plain_sentence() {
        assert_eq!(
            plain("VLAN 900 is not granted to namespace a by Site poc; nothing was written."),
            Ok(())
        );
        for odd in [
            "",
            "lower case.",
            "No end",
            "Error { kind: Io }.",
            "Failed: hyper::Error(Connect).",
        ] {
            assert!(plain(odd).is_err(), "{odd}");
        }
    }
}
