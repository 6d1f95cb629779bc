//! The Secret that Docker clients use: where the VCH is, and the keys to it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::json;
use topology::Owner;
use vic_crds::{DeletionPolicy, TlsMode, VirtualContainerHost, VirtualContainerHostStatus};

use super::status::Up;
use super::validate::Wanted;
use crate::certificates::{Bundle, MANAGED_LABEL, OWNER_ANNOTATION, is_owned};
use crate::context::Context;
use crate::controllers::common::{pin, pinned};
use crate::failure::{ApplyError, Failure, PlanError};
use crate::kube_io::{is_namespace_terminating, is_not_found};
use crate::settings::FIELD_MANAGER;

/// The pin under which the Secret's name is remembered, so that one that is no longer wanted is removed.
const NAME_PIN: &str = "connectionSecret";

fn api(ctx: &Context, vch: &VirtualContainerHost) -> Api<Secret> {
    Api::namespaced(ctx.client.clone(), &vch.namespace().unwrap_or_default())
}

fn wanted_name(vch: &VirtualContainerHost) -> Option<&str> {
    vch.spec
        .connection_secret_ref
        .as_ref()
        .map(|reference| &*reference.name)
}

/// The Secret as it is.
///
/// # Errors
/// Where one of that name is not ours.
pub(super) async fn read(
    ctx: &Context,
    vch: &VirtualContainerHost,
    owner: &Owner,
) -> Result<Option<Secret>, Failure> {
    let Some(name) = wanted_name(vch) else {
        return Ok(None);
    };
    let secret = api(ctx, vch).get_opt(name).await.map_err(ApplyError::Kube)?;
    match secret {
        Some(secret) if !is_owned(&secret, owner) => Err(PlanError::Conflict(format!(
            "Secret {name} exists and was not written for this object; name another one in spec.connectionSecretRef, or delete it"
        ))
        .into()),
        other => Ok(other),
    }
}

/// What Docker clients are told.
pub(super) fn content(wanted: &Wanted, up: &Up, bundle: &Bundle) -> BTreeMap<String, String> {
    let certificates = &wanted.tls.certificates;
    // A certificate without an address is only good for its name.
    let named = certificates
        .common_name
        .as_deref()
        .filter(|name| certificates.address.is_none() && !name.starts_with('*'));
    let host = match (wanted.tls.mode, named) {
        (TlsMode::Disabled, _) | (_, None) => up.address.to_string(),
        (_, Some(name)) => name.to_owned(),
    };
    let mut content = BTreeMap::from([("DOCKER_HOST", format!("tcp://{host}:{}", up.port))]);
    let verify = if wanted.tls.mode == TlsMode::Disabled {
        ""
    } else {
        "1"
    };
    content.insert("DOCKER_TLS_VERIFY", verify.to_owned());
    if wanted.tls.mode != TlsMode::Disabled {
        content.insert("ca.pem", bundle.authority.certificate.clone());
    }
    if wanted.tls.mode == TlsMode::Verify {
        content.insert("cert.pem", bundle.client.certificate.clone());
        content.insert("key.pem", bundle.client.key.clone());
    }
    content
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Writes the Secret, if it is not as it should be, and removes one of an earlier name.
pub(super) async fn write(
    ctx: &Context,
    vch: &VirtualContainerHost,
    owner: &Owner,
    current: Option<&Secret>,
    content: BTreeMap<String, String>,
    details: &mut VirtualContainerHostStatus,
) -> Result<(), Failure> {
    let before = pinned(details.resolved.as_ref(), NAME_PIN).map(str::to_owned);
    let name = wanted_name(vch);
    if let Some(before) = before.filter(|before| Some(before.as_str()) != name) {
        remove_named(ctx, vch, owner, &before).await?;
        details
            .resolved
            .as_mut()
            .and_then(|resolved| resolved.remove(NAME_PIN));
    }
    let Some(name) = name else { return Ok(()) };
    pin(&mut details.resolved, NAME_PIN, name);
    let retained = vch.spec.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain;
    let owners: Vec<_> = vch.owner_ref(&()).filter(|_| !retained).into_iter().collect();
    if current.is_some_and(|current| is_current(current, &content, owners.is_empty())) {
        return Ok(());
    }
    let patch = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "annotations": {OWNER_ANNOTATION: owner.mark()},
            "labels": {MANAGED_LABEL.0: MANAGED_LABEL.1},
            "ownerReferences": owners,
        },
        "type": "Opaque",
        "data": content.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect::<BTreeMap<_, _>>(),
    });
    // The semaphore is never closed; without a permit the write is merely not bounded.
    let _permit = ctx.outbox.permits.acquire().await.ok();
    let written = api(ctx, vch)
        .patch(
            name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&patch),
        )
        .await;
    match written {
        Ok(_) => Ok(()),
        // A namespace that goes away takes no new Secrets, and needs none.
        Err(error) if is_namespace_terminating(&error) => Ok(()),
        Err(error) => Err(ApplyError::Kube(error).into()),
    }
}

/// Whether a Secret says all that it should, and nothing of ours that it should not.
fn is_current(current: &Secret, content: &BTreeMap<String, String>, unowned: bool) -> bool {
    let data = current.data.clone().unwrap_or_default();
    let ours = [
        "DOCKER_HOST",
        "DOCKER_TLS_VERIFY",
        "ca.pem",
        "cert.pem",
        "key.pem",
    ];
    let same = ours
        .iter()
        .all(|key| data.get(*key).map(|value| value.0.as_slice()) == content.get(*key).map(String::as_bytes));
    same && current.owner_references().is_empty() == unowned
}

/// Removes the Secret, if it is ours.
pub(super) async fn remove(ctx: &Context, vch: &VirtualContainerHost, owner: &Owner) -> Result<(), Failure> {
    let pinned = vch
        .status
        .as_ref()
        .and_then(|status| pinned(status.resolved.as_ref(), NAME_PIN));
    for name in pinned
        .into_iter()
        .chain(wanted_name(vch).filter(|name| Some(*name) != pinned))
    {
        remove_named(ctx, vch, owner, name).await?;
    }
    Ok(())
}

async fn remove_named(
    ctx: &Context,
    vch: &VirtualContainerHost,
    owner: &Owner,
    name: &str,
) -> Result<(), Failure> {
    let api = api(ctx, vch);
    match api.get_opt(name).await.map_err(ApplyError::Kube)? {
        Some(secret) if is_owned(&secret, owner) => {}
        _ => return Ok(()),
    }
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(ApplyError::Kube(error).into()),
    }
}
