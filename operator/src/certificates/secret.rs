//! The Secret in the operator's namespace that keeps a VCH's certificates and keys.

use std::time::SystemTime;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, PostParams};
use topology::Owner;

use super::{Bundle, CertificateError, Wanted};
use crate::kube_io::{is_conflict, is_not_found};

/// The annotation that tells whose a Secret is; its value is `Owner::mark`.
pub const OWNER_ANNOTATION: &str = "vic-operator.io/owner";
/// The label of everything in Kubernetes that this operator makes.
pub const MANAGED_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "vic-operator");

/// The name of the Secret of an object's certificates.
#[must_use]
pub fn secret_name(owner: &Owner) -> String {
    format!("{}-certificates", owner.external_id())
}

/// The certificates of an object: those that are stored, or new ones, which are stored before they are used.
///
/// # Errors
/// Where they cannot be made, read or stored.
pub async fn ensure(
    api: &Api<Secret>,
    owner: &Owner,
    wanted: &Wanted,
    may_make: bool,
) -> Result<Option<Bundle>, CertificateError> {
    let name = secret_name(owner);
    let stored = api.get_opt(&name).await?;
    if let Some(secret) = &stored
        && !is_owned(secret, owner)
    {
        return Err(CertificateError::Foreign(name));
    }
    let found = stored.as_ref().and_then(read);
    if !may_make {
        return Ok(found);
    }
    let (before, wanted) = (found.clone(), wanted.clone());
    // RSA keys take a moment of computation.
    let made = tokio::task::spawn_blocking(move || match before {
        Some(before) => before.renewed(&wanted, SystemTime::now()),
        None => Bundle::make(&wanted, SystemTime::now()),
    });
    let bundle = made.await.map_err(|_| CertificateError::Interrupted)??;
    if found.as_ref() == Some(&bundle) {
        return Ok(found);
    }
    let secret = write(owner, &name, &bundle, stored.as_ref());
    let written = match stored {
        None => api.create(&PostParams::default(), &secret).await,
        Some(_) => api.replace(&name, &PostParams::default(), &secret).await,
    };
    match written {
        Ok(_) => Ok(Some(bundle)),
        // Somebody was faster: what lies there now counts.
        Err(error) if is_conflict(&error) => Ok(api.get_opt(&name).await?.as_ref().and_then(read)),
        Err(error) => Err(error.into()),
    }
}

/// Removes an object's certificates.
///
/// # Errors
/// As the kube-apiserver says.
pub async fn remove(api: &Api<Secret>, owner: &Owner) -> Result<(), kube::Error> {
    let name = secret_name(owner);
    match api.get_opt(&name).await? {
        Some(secret) if is_owned(&secret, owner) => {}
        _ => return Ok(()),
    }
    match api.delete(&name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a Secret is one that this operator wrote for an object.
#[must_use]
pub fn is_owned(secret: &Secret, owner: &Owner) -> bool {
    let mark = secret
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(OWNER_ANNOTATION));
    mark.and_then(|mark| Owner::from_mark(mark))
        .is_some_and(|marked| marked.is_same_object(owner))
}

fn read(secret: &Secret) -> Option<Bundle> {
    let data = secret.data.as_ref()?;
    Bundle::from_fields(|field| String::from_utf8(data.get(field)?.0.clone()).ok())
}

fn write(owner: &Owner, name: &str, bundle: &Bundle, stored: Option<&Secret>) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some([(OWNER_ANNOTATION.to_owned(), owner.mark())].into()),
            labels: Some([(MANAGED_LABEL.0.to_owned(), MANAGED_LABEL.1.to_owned())].into()),
            resource_version: stored.and_then(|secret| secret.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        },
        string_data: Some(bundle.to_fields()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}
