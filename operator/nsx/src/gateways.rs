//! Gateways as their users must know them: all of a manager in one search, kept for a while.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::core::Core;
use crate::row::Row;
use crate::{Error, Priority, Referable};

/// What finds every gateway, and what says where its services run.
const QUERY: &str = "resource_type:(Tier0 OR Tier1 OR LocaleServices) AND marked_for_delete:false";
/// Between a gateway's path and the id of its locale services.
const LOCALE_SERVICES: &str = "/locale-services/";

/// A gateway as NSX has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// The `Tier0` or `Tier1`.
    pub body: Arc<Value>,
    /// Its `LocaleServices`.
    pub locale_services: Vec<Arc<Value>>,
}

/// What was read last, and when.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    read: Mutex<Option<(Instant, HashMap<String, Gateway>)>>,
}

impl Gateways {
    /// The gateway at a policy path. One search answers for all gateways until `period` is over; a gateway that it does
    /// not know, because its index lags behind, is read itself.
    pub(crate) async fn get(
        &self,
        core: &Core,
        path: &str,
        period: Duration,
    ) -> Result<Option<Gateway>, Error> {
        let mut read = self.read.lock().await;
        let known = fresh(&mut read, core, period).await?;
        if let Some(gateway) = known.get(path) {
            return Ok(Some(gateway.clone()));
        }
        let gateway = look(core, path).await?;
        if let Some(gateway) = &gateway {
            known.insert(path.to_owned(), gateway.clone());
        }
        Ok(gateway)
    }

    /// The body of the gateway that a reference means, if the search for all of them tells: ten references cost no more
    /// than one.
    pub(crate) async fn find(
        &self,
        core: &Core,
        kind: Referable,
        name: &str,
        period: Duration,
    ) -> Result<Option<Arc<Value>>, Error> {
        let mut read = self.read.lock().await;
        let known = fresh(&mut read, core, period).await?;
        Ok(named(known, kind, name).map(|gateway| Arc::clone(&gateway.body)))
    }
}

/// What is known of all gateways, no older than `period`.
async fn fresh<'a>(
    read: &'a mut Option<(Instant, HashMap<String, Gateway>)>,
    core: &Core,
    period: Duration,
) -> Result<&'a mut HashMap<String, Gateway>, Error> {
    let known = if let Some(known) = read.take().filter(|(at, _)| at.elapsed() < period) {
        known
    } else {
        // By path: what a torn read shows twice counts once.
        let mut rows = BTreeMap::new();
        let take = |page: Vec<Row>| rows.extend(page.into_iter().map(|row| (Arc::clone(&row.path), row)));
        core.search.all(QUERY, None, take).await?;
        let rows: Vec<Row> = rows.into_values().collect();
        (Instant::now(), grouped(&rows))
    };
    Ok(&mut read.insert(known).1)
}

/// The gateway of that kind with an id, or else with a display name that no other bears.
fn named<'a>(known: &'a HashMap<String, Gateway>, kind: Referable, name: &str) -> Option<&'a Gateway> {
    let collection = kind.collection();
    let path = if name.starts_with(collection) {
        name.to_owned()
    } else {
        format!("{collection}/{name}")
    };
    if let Some(gateway) = known.get(&path) {
        return Some(gateway);
    }
    let mut bearers = known.values().filter(|gateway| {
        gateway.body.get("resource_type").and_then(Value::as_str) == Some(kind.resource_type())
            && gateway.body.get("display_name").and_then(Value::as_str) == Some(name)
    });
    bearers.next().filter(|_| bearers.next().is_none())
}

/// Gateways by their path, each with its locale services.
fn grouped(rows: &[Row]) -> HashMap<String, Gateway> {
    let is_gateway = |row: &&Row| matches!(&*row.resource_type, "Tier0" | "Tier1");
    let mut gateways: HashMap<String, Gateway> = rows
        .iter()
        .filter(is_gateway)
        .map(|row| {
            let gateway = Gateway {
                body: Arc::new(row.value()),
                locale_services: Vec::new(),
            };
            (row.path.to_string(), gateway)
        })
        .collect();
    for row in rows {
        if let Some((gateway, _)) = row.path.split_once(LOCALE_SERVICES)
            && let Some(gateway) = gateways.get_mut(gateway)
        {
            gateway.locale_services.push(Arc::new(row.value()));
        }
    }
    gateways
}

async fn look(core: &Core, path: &str) -> Result<Option<Gateway>, Error> {
    let Some(body) = core.client.read_policy(Priority::User, path, &[]).await? else {
        return Ok(None);
    };
    let services = core
        .list(Priority::User, &format!("{path}/locale-services"))
        .await?;
    Ok(Some(Gateway {
        body: Arc::new(body),
        locale_services: services
            .unwrap_or_default()
            .iter()
            .map(|row| Arc::new(row.value()))
            .collect(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateway_is_meant_by_its_id_or_by_a_name_of_its_own() {
        let row = |path: &str, kind: &str, name: &str| {
            Row::new(&json!({"path": path, "resource_type": kind, "display_name": name}))
        };
        let known = grouped(&[
            row("/infra/tier-1s/3f2a", "Tier1", "edge"),
            row("/infra/tier-1s/edge2", "Tier1", "plain"),
            row("/infra/tier-1s/77aa", "Tier1", "twice"),
            row("/infra/tier-1s/88bb", "Tier1", "twice"),
            row("/infra/tier-0s/9c", "Tier0", "edge"),
        ]);
        let found = |kind, name| {
            named(&known, kind, name).and_then(|gateway| gateway.body["path"].as_str().map(str::to_owned))
        };
        let cases = [
            (Referable::Tier1, "edge", Some("/infra/tier-1s/3f2a")),
            (Referable::Tier0, "edge", Some("/infra/tier-0s/9c")),
            (Referable::Tier1, "edge2", Some("/infra/tier-1s/edge2")),
            (
                Referable::Tier1,
                "/infra/tier-1s/77aa",
                Some("/infra/tier-1s/77aa"),
            ),
            (Referable::Tier1, "twice", None),
            (Referable::Tier0, "plain", None),
            (Referable::Tier1, "none", None),
        ];
        for (kind, name, expected) in cases {
            assert_eq!(found(kind, name).as_deref(), expected, "{kind} {name}");
        }
    }

    #[test]
    fn locale_services_go_with_the_gateway_above_them() {
        let row = |path: &str, kind: &str| Row::new(&json!({"path": path, "resource_type": kind}));
        let found = grouped(&[
            row("/infra/tier-1s/a/locale-services/default", "LocaleServices"),
            row("/infra/tier-1s/a", "Tier1"),
            row("/infra/tier-0s/a", "Tier0"),
            row("/infra/tier-1s/gone/locale-services/default", "LocaleServices"),
        ]);
        let count = |path: &str| found.get(path).map(|gateway| gateway.locale_services.len());
        assert_eq!(count("/infra/tier-1s/a"), Some(1));
        assert_eq!(count("/infra/tier-0s/a"), Some(0));
        assert_eq!(count("/infra/tier-1s/gone"), None);
    }
}
