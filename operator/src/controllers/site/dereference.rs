//! Reads the Secrets and ConfigMaps that a Site names.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use vic_crds::{ObjectRef, Site, Trust};

use crate::context::Context;
use crate::failure::DereferenceError;
use crate::kind::ObjectKey;
use crate::sites::Credentials;
use crate::trust::Anchor;
use crate::wake::Topic;

/// Everything a Site refers to.
pub(super) struct References {
    pub(super) vcenter: Credentials,
    pub(super) vcenter_anchor: Anchor,
    pub(super) endpoint: Option<Credentials>,
    pub(super) nsx: Option<(Credentials, Anchor)>,
}

pub(super) async fn dereference(
    site: &Site,
    ctx: &Context,
    key: &ObjectKey,
) -> Result<References, DereferenceError> {
    let vcenter = &site.spec.vcenter;
    let endpoint = match &vcenter.endpoint_credentials_ref {
        Some(reference) => Some(credentials(ctx, key, reference).await?),
        None => None,
    };
    let nsx = match &site.spec.nsx {
        Some(manager) => Some((
            credentials(ctx, key, &manager.credentials_ref).await?,
            anchor(ctx, key, &manager.trust).await?,
        )),
        None => None,
    };
    Ok(References {
        vcenter: credentials(ctx, key, &vcenter.credentials_ref).await?,
        vcenter_anchor: anchor(ctx, key, &vcenter.trust).await?,
        endpoint,
        nsx,
    })
}

async fn credentials(
    ctx: &Context,
    key: &ObjectKey,
    reference: &ObjectRef,
) -> Result<Credentials, DereferenceError> {
    let name = reference.name.to_string();
    ctx.wake.watch(key, Topic::Reference(format!("Secret/{name}")));
    let api = Api::<Secret>::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let missing = || DereferenceError::ReferenceMissing {
        kind: "Secret",
        name: name.clone(),
    };
    let secret = api.get_opt(&name).await?.ok_or_else(missing)?;
    let text = |key: &'static str| {
        let invalid = |problem| DereferenceError::ReferenceInvalid {
            kind: "Secret",
            name: name.clone(),
            key,
            problem,
        };
        let ByteString(bytes) = secret
            .data
            .as_ref()
            .and_then(|data| data.get(key))
            .ok_or(invalid("is missing"))?;
        let text = String::from_utf8(bytes.clone()).map_err(|_| invalid("is not text"))?;
        if text.is_empty() {
            Err(invalid("is empty"))
        } else {
            Ok(text)
        }
    };
    Ok(Credentials {
        username: text("username")?,
        password: text("password")?,
    })
}

async fn anchor(ctx: &Context, key: &ObjectKey, trust: &Trust) -> Result<Anchor, DereferenceError> {
    if let Some(thumbprint) = &trust.sha256 {
        return Ok(Anchor::Sha256(thumbprint.to_string()));
    }
    let name = trust
        .ca_bundle_ref
        .as_ref()
        .map(|reference| reference.name.to_string())
        .unwrap_or_default();
    ctx.wake.watch(key, Topic::Reference(format!("ConfigMap/{name}")));
    let api = Api::<ConfigMap>::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let missing = || DereferenceError::ReferenceMissing {
        kind: "ConfigMap",
        name: name.clone(),
    };
    let map = api.get_opt(&name).await?.ok_or_else(missing)?;
    let pem = map.data.and_then(|mut data| data.remove("ca.crt"));
    pem.map(Anchor::Authorities)
        .ok_or(DereferenceError::ReferenceInvalid {
            kind: "ConfigMap",
            name,
            key: "ca.crt",
            problem: "is missing",
        })
}
