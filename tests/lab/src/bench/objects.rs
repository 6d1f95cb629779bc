//! Thousands of objects in the cluster: made, read and taken away, many at once.

use super::subject::{NAMESPACE, Subject};
use crate::error::{Context, Error, Result};
use crate::kinds::is_ready;
use futures::{TryStreamExt, stream};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Calls at once.
const AT_ONCE: usize = 32;
/// Objects of a page of a list.
const PAGE: u32 = 500;
/// How long the last object may take to go.
const PATIENCE: Duration = Duration::from_mins(30);
/// The operator's field manager, for the floor writes what the operator writes.
const FIELD_MANAGER: &str = "vic-operator";

/// The objects of a subject.
#[derive(Clone, Debug)]
pub struct Objects {
    api: Api<DynamicObject>,
    subject: Subject,
    count: usize,
}

impl Objects {
    /// `count` of them.
    #[must_use]
    pub fn new(client: &kube::Client, subject: Subject, count: usize) -> Self {
        Self {
            api: subject.kind().within(client, NAMESPACE),
            subject,
            count,
        }
    }

    /// Makes all of them.
    ///
    /// # Errors
    /// One was refused.
    pub async fn create(&self) -> Result<()> {
        let manifests = (0..self.count).map(|n| self.subject.object(n));
        stream::iter(manifests.map(Ok))
            .try_for_each_concurrent(AT_ONCE, |manifest| self.create_one(manifest))
            .await
    }

    /// Makes one.
    ///
    /// # Errors
    /// It was refused.
    pub async fn create_one(&self, manifest: Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(manifest).context(|| "a manifest".to_owned())?;
        let created = self.api.create(&PostParams::default(), &object).await;
        created
            .map(drop)
            .context(|| format!("create {}", object.metadata.name.unwrap_or_default()))
    }

    /// All of them as they are, page by page.
    async fn each(&self, mut look: impl FnMut(DynamicObject)) -> Result<()> {
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = self.api.list(&page).await.context(|| "list".to_owned())?;
            list.items.into_iter().for_each(&mut look);
            match list.metadata.continue_ {
                Some(next) if !next.is_empty() => page = page.continue_token(&next),
                _ => return Ok(()),
            }
        }
    }

    /// Those of the subject's own objects that are not ready, by name with what they say.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn not_ready(&self) -> Result<Vec<String>> {
        let mut waiting = Vec::new();
        self.each(|object| {
            if self.is_counted(&object) && !is_ready(&object) {
                let name = object.metadata.name.clone().unwrap_or_default();
                waiting.push(format!("{name}: {}", crate::watch::state(&object)));
            }
        })
        .await?;
        Ok(waiting)
    }

    fn is_counted(&self, object: &DynamicObject) -> bool {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        self.subject.number(name).is_some()
    }

    /// The statuses as they are.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn statuses(&self) -> Result<Vec<(String, Value)>> {
        let mut found = Vec::new();
        self.each(|mut object| {
            if self.is_counted(&object)
                && let (Some(name), Some(status)) = (
                    object.metadata.name.clone(),
                    object.data.get_mut("status").map(Value::take),
                )
            {
                found.push((name, status));
            }
        })
        .await?;
        Ok(found)
    }

    /// Writes statuses as the operator does. Returns how long that took: the floor under any operator.
    ///
    /// # Errors
    /// One was refused.
    pub async fn write(&self, statuses: &[(String, Value)]) -> Result<f64> {
        let started = Instant::now();
        let kind = self.subject.kind();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        stream::iter(statuses.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |(name, status)| {
                let parameters = &parameters;
                async move {
                    let patch = json!({
                        "apiVersion": kind.resource().api_version, "kind": kind.name,
                        "metadata": {"name": name}, "status": status,
                    });
                    let written = self
                        .api
                        .patch_status(name, parameters, &Patch::Apply(&patch))
                        .await;
                    written
                        .map(drop)
                        .context(|| format!("write the status of {name}"))
                }
            })
            .await?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Takes all of them away without an operator: finalizers first.
    ///
    /// # Errors
    /// One stays.
    pub async fn purge(&self) -> Result<()> {
        let patch = json!({"metadata": {"finalizers": null}});
        stream::iter((0..self.count).map(Ok))
            .try_for_each_concurrent(AT_ONCE, |n| {
                let patch = &patch;
                async move {
                    let name = self.subject.named(n);
                    let freed = self
                        .api
                        .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                        .await;
                    freed.context(|| format!("free {name}"))?;
                    let gone = self.api.delete(&name, &DeleteParams::default()).await;
                    gone.map(drop).context(|| format!("delete {name}"))
                }
            })
            .await
    }

    /// Deletes all of them and waits until the operator has let them go.
    ///
    /// # Errors
    /// One was not deleted, or stays.
    pub async fn delete(&self) -> Result<()> {
        stream::iter((0..self.count).map(Ok))
            .try_for_each_concurrent(AT_ONCE, |n| async move {
                let name = self.subject.named(n);
                let gone = self.api.delete(&name, &DeleteParams::default()).await;
                gone.map(drop).context(|| format!("delete {name}"))
            })
            .await?;
        let started = Instant::now();
        loop {
            let mut left = Vec::new();
            self.each(|object| {
                if self.is_counted(&object) {
                    left.push(object.metadata.name.unwrap_or_default());
                }
            })
            .await?;
            if left.is_empty() {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err(Error::Other(format!(
                    "{} objects are not gone, {} among them",
                    left.len(),
                    left.first().map_or("", String::as_str)
                )));
            }
            // The lists cost more the more there is left.
            let pause = Duration::from_millis(200 + u64::try_from(left.len()).unwrap_or_default() / 2);
            tokio::time::sleep(pause).await;
        }
    }
}
