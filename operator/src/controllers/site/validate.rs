//! Turns a Site's spec and references into what can be connected to.

use std::hash::{DefaultHasher, Hash, Hasher};

use vic_crds::Site;

use super::dereference::References;
use crate::failure::{DereferenceError, Failure};
use crate::sites::Credentials;
use crate::trust::{Anchor, Seen, TrustError, client_config};

/// What a Site connects to.
pub(super) struct Wanted {
    pub(super) vcenter: Server,
    pub(super) datacenter: String,
    pub(super) endpoint: Option<Credentials>,
    pub(super) nsx: Option<Server>,
    /// Changes with anything a connection is made from.
    pub(super) fingerprint: String,
}

/// One server, and the way into it.
pub(super) struct Server {
    pub(super) urls: Vec<String>,
    pub(super) credentials: Credentials,
    pub(super) tls: rustls::ClientConfig,
    pub(super) seen: Seen,
}

pub(super) fn validate(site: &Site, references: References) -> Result<Wanted, Failure> {
    let fingerprint = fingerprint(site, &references);
    let vcenter = &site.spec.vcenter;
    let nsx = match (references.nsx, &site.spec.nsx) {
        (Some((credentials, anchor)), Some(manager)) => {
            let urls = manager.urls.iter().map(|url| trimmed(url)).collect();
            Some(server(urls, credentials, &anchor, &manager.trust)?)
        }
        _ => None,
    };
    Ok(Wanted {
        vcenter: server(
            vec![trimmed(&vcenter.url)],
            references.vcenter,
            &references.vcenter_anchor,
            &vcenter.trust,
        )?,
        datacenter: vcenter.datacenter.to_string(),
        endpoint: references.endpoint,
        nsx,
        fingerprint,
    })
}

fn trimmed(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn server(
    urls: Vec<String>,
    credentials: Credentials,
    anchor: &Anchor,
    trust: &vic_crds::Trust,
) -> Result<Server, DereferenceError> {
    let (tls, seen) = client_config(anchor, None).map_err(|error| DereferenceError::ReferenceInvalid {
        kind: "ConfigMap",
        name: trust
            .ca_bundle_ref
            .as_ref()
            .map(|reference| reference.name.to_string())
            .unwrap_or_default(),
        key: "ca.crt",
        problem: match error {
            TrustError::NoCertificate | TrustError::Identity(_) => "holds no certificate that could be read",
        },
    })?;
    Ok(Server {
        urls,
        credentials,
        tls,
        seen,
    })
}

fn fingerprint(site: &Site, references: &References) -> String {
    let mut hasher = DefaultHasher::new();
    let vcenter = &site.spec.vcenter;
    (
        &vcenter.url.0,
        &vcenter.datacenter.0,
        &references.vcenter,
        &references.vcenter_anchor,
    )
        .hash(&mut hasher);
    references.endpoint.hash(&mut hasher);
    if let (Some(manager), Some(nsx)) = (&site.spec.nsx, &references.nsx) {
        (manager.urls.iter().map(|url| &url.0).collect::<Vec<_>>(), nsx).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
