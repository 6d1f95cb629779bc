//! References by id or by name. [an object made in the UI has a UUID for an id and a name for people]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::core::Core;
use crate::gateways::Gateways;
use crate::row::Row;
use crate::{Error, Observed, Priority, Realization, Referable};

type Key = (Referable, String);
/// Outcome and when it was found; `None` while the first asker looks.
type Slot = Arc<tokio::sync::Mutex<Option<(Instant, Result<Observed, Error>)>>>;

/// What references were found to mean, for a while.
#[derive(Debug, Default)]
pub(crate) struct References {
    slots: Mutex<HashMap<Key, Slot>>,
}

impl References {
    /// The object meant by an id, a policy path or a display name that only one object bears. Many askers at once cost
    /// one look; what was found is kept for `period`, that nothing was found as well.
    pub(crate) async fn resolve(
        &self,
        core: &Core,
        gateways: &Gateways,
        (kind, name): (Referable, &str),
        period: Duration,
    ) -> Result<Observed, Error> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((kind, name.to_owned())).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some((found_at, outcome)) = &*slot
            && found_at.elapsed() < period
        {
            return outcome.clone();
        }
        let outcome = find(core, gateways, (kind, name), period).await;
        let lasting = matches!(
            outcome,
            Ok(_) | Err(Error::Unresolved { .. } | Error::Ambiguous { .. })
        );
        *slot = lasting.then(|| (Instant::now(), outcome.clone()));
        outcome
    }
}

async fn find(
    core: &Core,
    gateways: &Gateways,
    (kind, name): (Referable, &str),
    period: Duration,
) -> Result<Observed, Error> {
    if matches!(kind, Referable::Tier0 | Referable::Tier1)
        && let Some(body) = gateways.find(core, kind, name, period).await?
    {
        return Ok(observed(kind, &Row::new(&body)));
    }
    look(core, kind, name).await
}

/// Looks it up where it is: the search index may lag behind.
async fn look(core: &Core, kind: Referable, name: &str) -> Result<Observed, Error> {
    let collection = kind.collection();
    let id = name
        .strip_prefix(collection)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(name);
    let unresolved = || Error::Unresolved {
        kind,
        name: name.to_owned(),
    };
    if id.is_empty() {
        return Err(unresolved());
    }
    if !id.contains('/') {
        let path = format!("{collection}/{id}");
        match core.client.read_policy(Priority::User, &path, &[]).await {
            Ok(Some(body)) => return Ok(observed(kind, &Row::new(&body))),
            // "URI is invalid" for letters that no id has.
            Ok(None)
            | Err(
                Error::InvalidPath(_)
                | Error::Refused(_)
                | Error::Unparsable {
                    status: 400 | 404, ..
                },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    let rows = core.list(Priority::User, collection).await?.unwrap_or_default();
    let mut named = rows.into_iter().filter(|row| {
        let fields = row.body.fields();
        fields.get("display_name").and_then(Value::as_str) == Some(name)
    });
    match (named.next(), named.count()) {
        (None, _) => Err(unresolved()),
        (Some(row), 0) => Ok(observed(kind, &row)),
        (Some(_), more) => Err(Error::Ambiguous {
            kind,
            name: name.to_owned(),
            count: more + 1,
        }),
    }
}

fn observed(kind: Referable, row: &Row) -> Observed {
    let resource_type = if row.resource_type.is_empty() {
        kind.resource_type().to_owned()
    } else {
        row.resource_type.to_string()
    };
    Observed {
        path: row.path.to_string(),
        resource_type,
        body: Arc::new(row.value()),
        realization: Realization::Unknown,
        pending: false,
    }
}
