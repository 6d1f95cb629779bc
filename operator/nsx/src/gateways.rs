//! Gateways as their users must know them: all of a manager in one search, kept for a while.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::core::Core;
use crate::row::Row;
use crate::{Error, Priority};

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
        if read.as_ref().is_none_or(|(at, _)| at.elapsed() >= period) {
            // By path: what a torn read shows twice counts once.
            let mut rows = BTreeMap::new();
            let take = |page: Vec<Row>| rows.extend(page.into_iter().map(|row| (Arc::clone(&row.path), row)));
            core.search.all(QUERY, None, take).await?;
            let rows: Vec<Row> = rows.into_values().collect();
            *read = Some((Instant::now(), grouped(&rows)));
        }
        let Some((_, known)) = read.as_mut() else {
            return Ok(None);
        };
        if let Some(gateway) = known.get(path) {
            return Ok(Some(gateway.clone()));
        }
        let gateway = look(core, path).await?;
        if let Some(gateway) = &gateway {
            known.insert(path.to_owned(), gateway.clone());
        }
        Ok(gateway)
    }
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
