//! The way to a gateway and to a network, by whatever name.

use topology::{GatewayView, Grants};
use vic_crds::{GatewayRef, OutsideGateway};

use super::ground::Ground;
use crate::context::Context;
use crate::failure::DereferenceError;
use crate::kind::{Kind, ObjectKey};
use crate::wake::Topic;

/// A gateway as its users need it.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    /// Its policy path.
    pub(crate) path: String,
    /// As a grant writes it: `tier1/vic-edge`.
    pub(crate) label: String,
    /// Whether an `EdgeGateway` of the same namespace declares it: that one was asked for its grants.
    pub(crate) declared: bool,
}

impl Gateway {
    /// Whether the grants let a namespace use it.
    pub(crate) fn is_granted(&self, grants: &Grants) -> bool {
        self.declared || grants.allows_gateway(&self.label)
    }
}

impl Ground {
    /// The gateway that a reference of an object leads to.
    ///
    /// # Errors
    /// Where NSX has none of that id or name, or several; where the `EdgeGateway` is missing or not in effect.
    pub(crate) async fn gateway(
        &self,
        ctx: &Context,
        user: &ObjectKey,
        reference: &GatewayRef,
    ) -> Result<Gateway, DereferenceError> {
        if let Some(named) = &reference.reference {
            return edge_gateway(ctx, user, &self.site, &named.name);
        }
        let outside = OutsideGateway {
            tier1: reference.tier1.clone(),
            tier0: reference.tier0.clone(),
        };
        self.outside_gateway(&outside).await
    }

    /// The gateway that someone else made.
    ///
    /// # Errors
    /// Where NSX has none of that id or name, or several.
    pub(crate) async fn outside_gateway(
        &self,
        reference: &OutsideGateway,
    ) -> Result<Gateway, DereferenceError> {
        let engine = self.connected.nsx()?;
        let (what, name) = gateway_name(reference);
        Ok(Gateway {
            path: engine.resolve(what, name).await?.path,
            label: gateway_label(reference),
            declared: false,
        })
    }

    /// The gateway at a policy path that a network told: one that the namespace declares itself, or any other.
    pub(crate) fn gateway_at(&self, ctx: &Context, namespace: &str, path: &str) -> Gateway {
        let declared = ctx.facts.gateway_at(namespace, path);
        Gateway {
            path: path.to_owned(),
            label: label_of(path),
            declared: declared.is_some_and(|(_, facts)| facts.site == self.site),
        }
    }

    /// What the gateway at a policy path can do: one of ours as the mirror has it, any other as NSX told lately.
    ///
    /// # Errors
    /// Where there is none, and what keeps NSX from answering.
    pub(crate) async fn view_of(&self, path: &str) -> Result<GatewayView, DereferenceError> {
        let engine = self.connected.nsx()?;
        if let Some(own) = engine.get(path) {
            let services = engine.get(&format!("{path}/locale-services/default"));
            let services = services.as_ref().map(|observed| &*observed.body);
            return Ok(GatewayView::read(path, &own.body, services));
        }
        match engine.gateway(path).await? {
            Some(gateway) => {
                let services = gateway.locale_services.iter().map(|services| &**services);
                Ok(GatewayView::read(path, &gateway.body, services))
            }
            None => Err(DereferenceError::OutsideMissing {
                field: "spec.gateway",
                what: "gateway",
                name: path.to_owned(),
            }),
        }
    }
}

fn edge_gateway(
    ctx: &Context,
    user: &ObjectKey,
    site: &str,
    name: &str,
) -> Result<Gateway, DereferenceError> {
    let key = ObjectKey::new(Kind::EdgeGateway, &user.namespace, name);
    ctx.wake.watch(user, Topic::Object(key.clone()));
    let reference = kube::runtime::reflector::ObjectRef::new(name).within(&user.namespace);
    if ctx.stores.gateways.get(&reference).is_none() {
        return Err(DereferenceError::GatewayMissing(name.to_owned()));
    }
    let facts = ctx
        .facts
        .gateway(&key)
        .filter(|facts| facts.ready && facts.site == site)
        .ok_or_else(|| DereferenceError::GatewayNotReady(name.to_owned()))?;
    Ok(Gateway {
        path: facts.path.clone(),
        label: label_of(&facts.path),
        declared: true,
    })
}

fn gateway_name(reference: &OutsideGateway) -> (nsx::Referable, &str) {
    match (&reference.tier1, &reference.tier0) {
        (Some(name), _) => (nsx::Referable::Tier1, name),
        (None, Some(name)) => (nsx::Referable::Tier0, name),
        // The API refuses a reference that names neither.
        (None, None) => (nsx::Referable::Tier1, ""),
    }
}

/// A gateway as a grant writes it: `tier1/vic-edge`.
pub(super) fn gateway_label(reference: &OutsideGateway) -> String {
    match gateway_name(reference) {
        (nsx::Referable::Tier0, name) => format!("tier0/{name}"),
        (_, name) => format!("tier1/{name}"),
    }
}

/// `/infra/tier-1s/vic-edge` as a grant writes it: `tier1/vic-edge`.
fn label_of(path: &str) -> String {
    let id = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("/infra/tier-0s/") {
        format!("tier0/{id}")
    } else {
        format!("tier1/{id}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_called_as_grants_write_it() {
        let named = |tier1: Option<&str>, tier0: Option<&str>| OutsideGateway {
            tier1: tier1.map(Into::into),
            tier0: tier0.map(Into::into),
        };
        assert_eq!(gateway_label(&named(Some("vic-edge"), None)), "tier1/vic-edge");
        assert_eq!(gateway_label(&named(None, Some("t0"))), "tier0/t0");
        assert_eq!(label_of("/infra/tier-1s/vic-edge"), "tier1/vic-edge");
        assert_eq!(label_of("/infra/tier-0s/t0"), "tier0/t0");
    }

    #[test]
    fn what_the_namespace_declares_itself_needs_no_grant_of_its_own() {
        let gateway = |declared| Gateway {
            path: "/infra/tier-1s/a".into(),
            label: "tier1/a".into(),
            declared,
        };
        let none = Grants::default();
        let some = Grants {
            gateways: vec!["tier1/a".into()],
            ..Grants::default()
        };
        assert!(gateway(true).is_granted(&none));
        assert!(!gateway(false).is_granted(&none));
        assert!(gateway(false).is_granted(&some));
    }
}
