//! What the controllers of namespaced kinds share: the way to a Site, and what it grants.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use ipnet::Ipv4Net;
use topology::{Grants, Shared, Sharing};
use vic_crds::{GatewayRef, ObjectRef, Resolved, SiteSpec};

use crate::context::Context;
use crate::failure::{ApplyError, DereferenceError, Failure, ValidateError};
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
            .filter(|tenant| matches_namespace(tenant, namespace, &labels))
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

    /// The policy path of a gateway.
    ///
    /// # Errors
    /// Where NSX has none of that id or name, or several.
    pub(crate) async fn gateway(&self, reference: &GatewayRef) -> Result<String, DereferenceError> {
        let engine = self.connected.nsx()?;
        let (what, name) = gateway_name(reference);
        Ok(engine.resolve(what, name).await?.path)
    }
}

fn gateway_name(reference: &GatewayRef) -> (nsx::Referable, &str) {
    match (&reference.tier1, &reference.tier0) {
        (Some(name), _) => (nsx::Referable::Tier1, name),
        (None, Some(name)) => (nsx::Referable::Tier0, name),
        // The API refuses a reference that names neither.
        (None, None) => (nsx::Referable::Tier1, ""),
    }
}

/// A gateway as a grant writes it: `tier1/vic-edge`.
pub(crate) fn gateway_label(reference: &GatewayRef) -> String {
    match gateway_name(reference) {
        (nsx::Referable::Tier0, name) => format!("tier0/{name}"),
        (_, name) => format!("tier1/{name}"),
    }
}

fn matches_namespace(
    tenant: &vic_crds::Tenant,
    namespace: &str,
    labels: &std::collections::BTreeMap<String, String>,
) -> bool {
    if tenant.namespaces.names.iter().any(|name| &**name == namespace) {
        return true;
    }
    let selector = tenant
        .namespaces
        .selector
        .clone()
        .map(kube::core::Selector::try_from);
    matches!(selector, Some(Ok(selector)) if kube::core::SelectorExt::matches(&selector, labels))
}

fn grants_of(allow: &vic_crds::Grants) -> Grants {
    let texts = |list: &[vic_crds::OutsideName]| list.iter().map(ToString::to_string).collect();
    Grants {
        resource_pools: texts(&allow.resource_pools),
        datastores: texts(&allow.datastores),
        vlans: allow
            .vlan_ids
            .iter()
            .filter_map(|range| vlan_range(range))
            .collect(),
        subnets: allow.subnets.iter().filter_map(|net| net.parse().ok()).collect(),
        gateways: allow.gateways.iter().map(gateway_label).collect(),
        external_addresses: allow
            .external_addresses
            .iter()
            .filter_map(|net| network(net))
            .collect(),
        existing_networks: texts(&allow.existing_networks),
        firewall_bypass: allow.firewall_bypass == Some(vic_crds::BypassGrant::Allowed),
    }
}

fn vlan_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// An address or a network, as a network.
#[must_use]
pub(crate) fn network(text: &str) -> Option<Ipv4Net> {
    text.parse::<Ipv4Net>()
        .ok()
        .or_else(|| text.parse::<std::net::Ipv4Addr>().ok().map(Ipv4Net::from))
}

/// The name in vSphere or NSX: the given one, or `<namespace>-<name>`; too long is refused, never cut.
///
/// # Errors
/// Where the default is too long.
pub(crate) fn display_name(
    given: Option<&str>,
    key: &ObjectKey,
    limit: usize,
) -> Result<String, ValidateError> {
    let name = given.map_or_else(|| format!("{}-{}", key.namespace, key.name), str::to_owned);
    if name.chars().count() > limit {
        let rule =
            format!("the default <namespace>-<name> is longer than {limit} characters; set spec.displayName");
        return Err(ValidateError::Invalid {
            field: "spec.displayName".to_owned(),
            rule,
        });
    }
    Ok(name)
}

/// Carries pins over: what was resolved once stays.
pub(crate) fn pin(resolved: &mut Option<Resolved>, name: &str, value: &str) {
    resolved
        .get_or_insert_default()
        .insert(name.to_owned(), value.to_owned());
}

/// A pin, if there is one.
#[must_use]
pub(crate) fn pinned<'a>(resolved: Option<&'a Resolved>, name: &str) -> Option<&'a str> {
    resolved?.get(name).map(String::as_str)
}

fn sharing(connected: &Connected) -> MutexGuard<'_, Sharing> {
    connected.sharing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on `uid` uses these shared objects; returns those it gave up and nobody uses any more.
///
/// # Errors
/// While another object's write takes one of them away: what is made meanwhile would go with it.
pub(crate) fn take_use(
    connected: &Connected,
    uid: &str,
    wanted: &[Shared],
) -> Result<Vec<Shared>, ApplyError> {
    let mut sharing = sharing(connected);
    if let Some((path, _)) = sharing.leaving(uid, wanted) {
        return Err(ApplyError::Realizing(format!(
            "{path} is gone and can be made anew"
        )));
    }
    Ok(sharing.replace(uid, wanted))
}

/// Hands over the changes of a write that may take shared objects away.
///
/// # Errors
/// As [`submit`].
pub(crate) async fn submit_as(
    connected: &Connected,
    uid: &str,
    changes: Vec<nsx::Change>,
) -> Result<(), Failure> {
    let outcome = submit(connected, changes).await;
    sharing(connected).settle(uid);
    outcome
}

/// Hands over the removal of everything `uid` has, with the shared objects it was the last to use.
///
/// # Errors
/// As [`submit`]; then it still uses what it used.
pub(crate) async fn submit_removal(
    connected: &Connected,
    uid: &str,
    mut changes: Vec<nsx::Change>,
) -> Result<(), Failure> {
    let (unused, before) = sharing(connected).remove(uid);
    changes.extend(
        unused
            .into_iter()
            .map(|(path, resource_type)| nsx::Change::Delete { path, resource_type }),
    );
    let paths = changes.iter().map(|change| change.path().to_owned()).collect();
    let outcome = submit(connected, changes).await;
    let mut sharing = sharing(connected);
    if outcome.is_err() {
        sharing.replace(uid, &before);
    } else {
        removals(connected).insert(uid.to_owned(), paths);
    }
    sharing.settle(uid);
    outcome
}

/// Leaves objects where they are, without our tags; shared ones too, where `uid` was the last to use them.
///
/// # Errors
/// As [`submit`]; then it still uses what it used.
pub(crate) async fn submit_retained(
    connected: &Connected,
    uid: &str,
    objects: &[nsx::Observed],
) -> Result<(), Failure> {
    let engine = connected.nsx()?;
    let (unused, before) = sharing(connected).remove(uid);
    let shared = unused.iter().filter_map(|(path, _)| engine.get(path));
    let changes = objects
        .iter()
        .cloned()
        .chain(shared)
        .map(|object| untagged(&object))
        .collect();
    let outcome = submit(connected, changes).await;
    let mut sharing = sharing(connected);
    if outcome.is_err() {
        sharing.replace(uid, &before);
    }
    sharing.settle(uid);
    outcome
}

/// The object as it is, without our tags.
fn untagged(object: &nsx::Observed) -> nsx::Change {
    nsx::Change::Put(nsx::Intent {
        path: object.path.clone(),
        resource_type: object.resource_type.clone(),
        body: topology::without_tags(&object.body),
    })
}

fn removals(connected: &Connected) -> MutexGuard<'_, HashMap<String, Vec<String>>> {
    connected.removals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds an object up until NSX has really taken away what it had: traffic flows until then.
///
/// # Errors
/// While NSX is at it.
pub(crate) fn await_removal(
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
    uid: &str,
) -> Result<(), Failure> {
    let Some(engine) = &ground.connected.nsx else {
        return Ok(());
    };
    let paths = removals(&ground.connected).get(uid).cloned().unwrap_or_default();
    for path in &paths {
        let topic = Topic::Nsx {
            site: ground.site.clone(),
            path: path.clone(),
        };
        ctx.wake.watch(key, topic);
    }
    if let Some(path) = paths.iter().find(|path| engine.is_deleting(path)) {
        return Err(ApplyError::Realizing(format!("NSX has taken {path} away")).into());
    }
    removals(&ground.connected).remove(uid);
    Ok(())
}

/// Hands NSX changes to the engine, after asking whether this process may still write.
///
/// # Errors
/// As NSX says, or where the Lease is not surely held.
pub(crate) async fn submit(connected: &Connected, changes: Vec<nsx::Change>) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    connected.may_write()?;
    let engine = connected.nsx()?;
    engine
        .submit(nsx::Priority::User, changes)
        .await
        .map_err(|error| ApplyError::Nsx(error).into())
}

/// A change of `topology` as the engine takes it.
pub(crate) fn engine_change(change: topology::Change) -> nsx::Change {
    match change {
        topology::Change::Put(intent) => nsx::Change::Put(nsx::Intent {
            path: intent.path,
            resource_type: intent.resource_type.to_owned(),
            body: intent.body,
        }),
        topology::Change::Delete { path, resource_type } => nsx::Change::Delete { path, resource_type },
    }
}

/// What stands between an accepted object and its effect.
///
/// # Errors
/// While NSX is at it, and where it cannot.
pub(crate) fn realized(engine: &nsx::Engine, path: &str, what: &str) -> Result<(), ApplyError> {
    let realization = engine
        .get(path)
        .map_or(nsx::Realization::Unknown, |observed| observed.realization);
    match realization {
        nsx::Realization::Realized => Ok(()),
        nsx::Realization::Failed { message } => Err(ApplyError::RealizationFailed {
            what: what.to_owned(),
            message,
        }),
        nsx::Realization::Unknown | nsx::Realization::InProgress => {
            Err(ApplyError::Realizing(format!("NSX has realized {what}")))
        }
    }
}
