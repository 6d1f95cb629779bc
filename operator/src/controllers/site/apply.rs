//! Connects.

use std::sync::Arc;

use kube::{Api, Resource};
use vic_crds::Site;

use super::validate::{Server, Wanted};
use crate::context::Context;
use crate::failure::{ApplyError, Failure, ValidateError};
use crate::kind::ObjectKey;
use crate::lease::{Lease, LeaseError};
use crate::sites::{Connected, Parts};

/// Oldest vCenter API and NSX that are known.
const LEAST_VCENTER: &str = "6.7";
const LEAST_NSX: &str = "3.2";
/// The custom attribute that marks pools and folders as ours.
const MARK_FIELD: &str = "vic-operator";

pub(super) async fn connect(
    site: &Site,
    wanted: Wanted,
    ctx: &Arc<Context>,
    key: &ObjectKey,
) -> Result<Arc<Connected>, Failure> {
    let lease = lease(site, ctx, key).await?;
    let vcenter_seen = wanted.vcenter.seen.clone();
    let observer = ctx.metrics.vcenter(&key.name);
    let vsphere = vcenter(wanted.vcenter, wanted.datacenter, lease.right(), observer).await?;
    let nsx = match wanted.nsx {
        None => None,
        Some(server) => match manager(server, ctx, key, lease.right()).await {
            Ok(engine) => Some(engine),
            Err(failure) => {
                vsphere.shutdown().await;
                return Err(failure);
            }
        },
    };
    let parts = Parts {
        name: key.name.clone(),
        instance: ctx.settings.instance.clone(),
        vsphere,
        vcenter_seen,
        nsx,
        endpoint_credentials: wanted.endpoint,
        lease,
        fingerprint: wanted.fingerprint,
    };
    Ok(Arc::new(Connected::new(parts, &ctx.wake)))
}

async fn lease(site: &Site, ctx: &Context, key: &ObjectKey) -> Result<Lease, ApplyError> {
    let api = Api::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let name = format!("vic-site-{}", key.name);
    let owner = site.owner_ref(&()).unwrap_or_default();
    Lease::acquire(api, &name, &ctx.settings.identity, owner)
        .await
        .map_err(|error| match error {
            LeaseError::Held(_) => ApplyError::LeaseHeld(key.name.clone()),
            LeaseError::Kube(error) => ApplyError::Kube(error),
        })
}

async fn vcenter(
    server: Server,
    datacenter: String,
    may_write: vsphere::MayWrite,
    observer: Arc<dyn vsphere::Observer>,
) -> Result<vsphere::Engine, Failure> {
    let engine = vsphere::Engine::connect(vsphere::Config {
        url: server.urls.into_iter().next().unwrap_or_default(),
        datacenter,
        username: server.credentials.username,
        password: server.credentials.password,
        tls: server.tls,
        user_agent: user_agent(),
        mark_field: MARK_FIELD.to_owned(),
        may_write,
        observer,
    })
    .await
    .map_err(ApplyError::VSphere)?;
    let version = engine.about().api_version;
    if is_older(&version, LEAST_VCENTER) {
        engine.shutdown().await;
        return Err(ValidateError::TooOld {
            what: "vCenter",
            version,
            least: LEAST_VCENTER,
        }
        .into());
    }
    Ok(engine)
}

async fn manager(
    server: Server,
    ctx: &Context,
    key: &ObjectKey,
    may_write: nsx::MayWrite,
) -> Result<nsx::Engine, Failure> {
    let engine = nsx::Engine::connect(nsx::Config {
        urls: server.urls,
        username: server.credentials.username,
        password: server.credentials.password,
        tls: server.tls,
        user_agent: user_agent(),
        owner_tag: nsx::Tag {
            scope: topology::INSTANCE_SCOPE.to_owned(),
            tag: ctx.settings.instance.clone(),
        },
        index_scope: topology::UID_SCOPE.to_owned(),
        resync: ctx.settings.nsx_resync,
        may_write,
        observer: ctx.metrics.nsx(&key.name),
    })
    .await
    .map_err(ApplyError::Nsx)?;
    let version = engine.version();
    if is_older(&version, LEAST_NSX) {
        engine.shutdown().await;
        return Err(ValidateError::TooOld {
            what: "NSX",
            version,
            least: LEAST_NSX,
        }
        .into());
    }
    Ok(engine)
}

fn user_agent() -> String {
    format!("vic-operator/{}", env!("CARGO_PKG_VERSION"))
}

/// Compares the numbers at the heads of two versions.
fn is_older(version: &str, least: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> { text.split('.').map_while(|part| part.parse().ok()).collect() };
    numbers(version) < numbers(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        for (version, older) in [
            ("6.5", true),
            ("6.7", false),
            ("6.7.3", false),
            ("8.0.1.0", false),
            ("10.0", false),
        ] {
            assert_eq!(is_older(version, LEAST_VCENTER), older, "{version}");
        }
    }
}
