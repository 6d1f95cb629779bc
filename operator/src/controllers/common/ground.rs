//! The way from an object to its Site, and what that grants to the object's namespace.

use std::sync::Arc;

use topology::Grants;
use vic_crds::{ObjectRef, SiteSpec};

use super::gateway::gateway_label;
use super::names::network;
use crate::context::Context;
use crate::controllers::consent::is_among;
use crate::failure::{DereferenceError, ValidateError};
use crate::kind::{Kind, ObjectKey};
use crate::sites::Connected;
use crate::wake::Topic;

/// A Site as an object of a namespace may use it.
pub(crate) struct Ground {
    /// Its name.
    pub(crate) site: String,
    /// Its spec.
    pub(crate) spec: Arc<SiteSpec>,
    /// Its engines, with everything that exists read.
    pub(crate) connected: Arc<Connected>,
}

/// Leads from a `siteRef` to a connected Site whose inventory is known.
///
/// # Errors
/// Where there is none, or not yet.
pub(crate) fn ground(
    ctx: &Context,
    key: &ObjectKey,
    reference: &ObjectRef,
) -> Result<Ground, DereferenceError> {
    let site = reference.name.to_string();
    let site_key = ObjectKey::new(Kind::Site, "", &site);
    ctx.wake.watch(key, Topic::Object(site_key));
    let missing = || DereferenceError::SiteMissing(site.clone());
    let entry = match ctx.sites.get(&site) {
        Some(entry) => entry,
        None if ctx
            .stores
            .sites
            .get(&kube::runtime::reflector::ObjectRef::new(&site))
            .is_some() =>
        {
            return Err(DereferenceError::SiteNotReady(site));
        }
        None => return Err(missing()),
    };
    let connected = entry
        .connected
        .ok_or_else(|| DereferenceError::SiteNotReady(site.clone()))?;
    connected.loaded()?;
    Ok(Ground {
        site,
        spec: entry.spec,
        connected,
    })
}

impl Ground {
    /// What this Site grants to an object's namespace.
    ///
    /// # Errors
    /// Where several tenants match. No tenant grants nothing.
    pub(crate) fn grants(&self, ctx: &Context, key: &ObjectKey) -> Result<Grants, ValidateError> {
        let namespace = key.namespace.as_str();
        ctx.wake.watch(key, Topic::Namespace(namespace.to_owned()));
        let labels = ctx.namespace_labels(namespace);
        let matching: Vec<_> = self
            .spec
            .tenants
            .iter()
            .filter(|tenant| is_among(&tenant.namespaces, namespace, &labels))
            .collect();
        match matching.as_slice() {
            [] => Ok(Grants::default()),
            [tenant] => Ok(grants_of(&tenant.allow)),
            several => Err(ValidateError::SeveralTenants {
                namespace: namespace.to_owned(),
                site: self.site.clone(),
                names: several.iter().map(|tenant| tenant.name.to_string()).collect(),
            }),
        }
    }

    /// A refusal that names what is not granted.
    pub(crate) fn refuse(&self, namespace: &str, what: impl Into<String>) -> ValidateError {
        ValidateError::NotAllowed {
            what: what.into(),
            namespace: namespace.to_owned(),
            site: self.site.clone(),
        }
    }

    /// The outside name in use: the spec's own, or what was pinned, or the Site's default.
    ///
    /// # Errors
    /// Where none of them gives one.
    pub(crate) fn name_of(
        &self,
        field: &'static str,
        own: Option<&str>,
        pinned: Option<&str>,
        default: Option<&str>,
    ) -> Result<String, DereferenceError> {
        own.or(pinned)
            .or(default)
            .map(str::to_owned)
            .ok_or_else(|| DereferenceError::NoDefault {
                field,
                site: self.site.clone(),
            })
    }
}

fn grants_of(allow: &vic_crds::Grants) -> Grants {
    let texts = |list: &[vic_crds::OutsideName]| list.iter().map(ToString::to_string).collect();
    Grants {
        resource_pools: texts(&allow.resource_pools),
        datastores: texts(&allow.datastores),
        nfs_servers: allow.nfs_servers.iter().map(ToString::to_string).collect(),
        vlans: allow
            .vlan_ids
            .iter()
            .filter_map(|range| vlan_range(range))
            .collect(),
        subnets: allow.subnets.iter().filter_map(|net| net.parse().ok()).collect(),
        gateways: allow.gateways.iter().map(gateway_label).collect(),
        edge_clusters: texts(&allow.edge_clusters),
        external_addresses: allow
            .external_addresses
            .iter()
            .filter_map(|net| network(net))
            .collect(),
        existing_networks: texts(&allow.existing_networks),
        firewall_bypass: allow.firewall_bypass == Some(vic_crds::BypassGrant::Allowed),
        groups: texts(&allow.groups),
        others_as_subjects: allow.policy_subjects == Some(vic_crds::SubjectGrant::Others),
    }
}

fn vlan_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}
