//! `Site`: connects to vCenter and NSX, and holds what its users need of them.

mod apply;
mod dereference;
mod plan;
mod status;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use vic_crds::{Site, SiteStatus};

use crate::conditions::{Summary, is_ready};
use crate::context::Context;
use crate::failure::{ApplyError, Failure, PlanError};
use crate::kind::{Kind, ObjectKey};
use crate::runner::{Declared, key_of};
use crate::sites::{Connected, Entry};
use crate::wake::Topic;

impl Declared for Site {
    type Status = SiteStatus;
    const KIND: Kind = Kind::Site;
    const PATIENCE: Duration = crate::settings::QUIET;

    fn current(&self) -> Option<&SiteStatus> {
        self.status.as_ref()
    }
    fn conditions(status: &SiteStatus) -> &[Condition] {
        &status.conditions
    }
    fn conclude(status: &mut SiteStatus, generation: Option<i64>, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    async fn reconcile(
        self: Arc<Self>,
        ctx: Arc<Context>,
        details: &mut SiteStatus,
    ) -> Result<Summary, Failure> {
        let key = key_of(&*self);
        details.used_by = None;
        let outcome = connect(&self, &ctx, &key).await;
        if outcome.is_err() {
            // What stands goes on serving: a Secret that cannot be read does not cut a connection.
            let standing = ctx.sites.get(&key.name).and_then(|entry| entry.connected);
            publish(&self, &ctx, standing);
        }
        let connected = outcome?;
        status::describe(&connected, details);
        let health = status::health(&connected);
        // Whoever met the trouble that has passed need not wait for its next attempt.
        let recovered = health.is_ok() && !self.current().is_some_and(|status| is_ready(&status.conditions));
        if publish(&self, &ctx, Some(connected)) || recovered {
            ctx.wake.changed(&Topic::Object(key));
        }
        health.map_err(Failure::from)?;
        Ok(Summary::ready("Ready", "Connected; credentials and trust hold."))
    }

    async fn finalize(self: Arc<Self>, ctx: Arc<Context>, details: &mut SiteStatus) -> Result<(), Failure> {
        let users = ctx.users_of_site(&self.name_any());
        let key = key_of(&*self);
        for user in &users {
            ctx.wake.watch(&key, Topic::Object(user.clone()));
        }
        if let Some(text) = in_use(&users) {
            // Users need the connection to go away themselves.
            if ctx
                .sites
                .get(&key.name)
                .is_none_or(|entry| entry.connected.is_none())
                && let Ok(connected) = connect(&self, &ctx, &key).await
            {
                publish(&self, &ctx, Some(connected));
                ctx.wake.changed(&Topic::Object(key.clone()));
            }
            details.used_by = Some(text.clone());
            return Err(PlanError::InUse(text).into());
        }
        if let Some(connected) = ctx.sites.forget(&key.name).and_then(|entry| entry.connected) {
            connected.disconnect().await;
        }
        Ok(())
    }
}

async fn connect(site: &Site, ctx: &Arc<Context>, key: &ObjectKey) -> Result<Arc<Connected>, Failure> {
    let references = dereference::dereference(site, ctx, key).await?;
    let wanted = validate::validate(site, references)?;
    match plan::plan(ctx.sites.get(&key.name), &wanted) {
        plan::Connection::Keep(connected) => Ok(connected),
        plan::Connection::Make { replaced } => {
            // The old session ends before the new one begins: two at once would be one too many.
            if let Some(old) = replaced {
                publish(site, ctx, None);
                old.disconnect().await;
            }
            make(site, wanted, ctx, key).await
        }
    }
}

/// Connects, unless these very credentials were refused a short while ago.
async fn make(
    site: &Site,
    wanted: validate::Wanted,
    ctx: &Arc<Context>,
    key: &ObjectKey,
) -> Result<Arc<Connected>, Failure> {
    let fingerprint = wanted.fingerprint.clone();
    if let Some(sentence) = ctx.sites.refusal(&key.name, &fingerprint) {
        return Err(ApplyError::Degraded {
            reason: "InvalidCredentials",
            sentence,
        }
        .into());
    }
    let outcome = apply::connect(site, wanted, ctx, key).await;
    if let Err(failure) = &outcome
        && failure.verdict().reason == "InvalidCredentials"
    {
        ctx.sites.refused(&key.name, &fingerprint, failure.to_string());
    }
    outcome
}

/// Publishes what others see of the Site; tells whether that is news.
fn publish(site: &Site, ctx: &Context, connected: Option<Arc<Connected>>) -> bool {
    let entry = Entry {
        spec: Arc::new(site.spec.clone()),
        connected,
    };
    ctx.sites.publish(&site.name_any(), entry)
}

/// Who still uses something, as one sentence; `None` where nobody does.
#[must_use]
pub fn in_use(users: &[ObjectKey]) -> Option<String> {
    const NAMED: usize = 5;
    let named: Vec<String> = users
        .iter()
        .take(NAMED)
        .map(|user| format!("{} {}/{}", user.kind.name(), user.namespace, user.name))
        .collect();
    let more = if users.len() > NAMED { ", …" } else { "" };
    match users.len() {
        0 => None,
        1 => Some(format!("1 object still uses it: {}", named.join(", "))),
        count => Some(format!(
            "{count} objects still use it: {}{more}",
            named.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_counted_and_the_first_are_named() {
        let user = |n: usize| ObjectKey::new(Kind::EdgeNatRule, "containers", &format!("r{n}"));
        assert_eq!(in_use(&[]), None);
        assert_eq!(
            in_use(&[user(1)]).unwrap(),
            "1 object still uses it: EdgeNatRule containers/r1"
        );
        let seven: Vec<_> = (0..7).map(user).collect();
        let text = in_use(&seven).unwrap();
        assert!(
            text.starts_with("7 objects still use it: EdgeNatRule containers/r0,") && text.ends_with(", …"),
            "{text}"
        );
    }
}
