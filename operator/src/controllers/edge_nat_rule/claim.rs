//! Who may publish what on a gateway: whoever holds it in NSX keeps it, then who came first.

use std::sync::{Arc, PoisonError};

use topology::{Claim, Owner};
use vic_crds::EdgeNatRule;

use super::dereference::References;
use super::validate::Wanted;
use crate::context::Context;
use crate::failure::{Failure, PlanError};
use crate::kind::{Kind, ObjectKey};
use crate::runner::key_of;
use crate::sites::Connected;
use crate::wake::Topic;

/// A claim that holds; given back only by [`Held::give_back`] or [`release`].
pub(super) struct Held {
    connected: Arc<Connected>,
    gateway: String,
    key: ObjectKey,
}

impl Held {
    /// For a rule that is only observed: it claims nothing.
    pub(super) fn give_back(&self) {
        let mut claims = self.connected.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(on_gateway) = claims.get_mut(&self.gateway) {
            on_gateway.remove(&self.key);
        }
    }
}

/// Who else claims the same.
enum Rival {
    /// Another object of this cluster.
    Object(ObjectKey),
    /// A rule that is not ours, or another instance's.
    Outside,
}

/// Claims what the rule publishes, unless someone else holds it.
pub(super) fn hold(key: &ObjectKey, references: &References, wanted: &Wanted) -> Result<Held, Failure> {
    let connected = references.ground.connected.clone();
    let claim = wanted.spec.claim();
    let gateway = wanted.spec.gateway_path.clone();
    let mut claims = connected.claims.lock().unwrap_or_else(PoisonError::into_inner);
    let on_gateway = claims.entry(gateway.clone()).or_default();
    let granted = on_gateway.get(key).is_some_and(|mine| *mine == claim);
    if !granted {
        let rival = in_nsx(&references.ground.connected, wanted, &claim).or_else(|| {
            on_gateway
                .iter()
                .find(|(other, theirs)| *other != key && theirs.overlaps(&claim))
                .map(|(other, _)| Rival::Object(other.clone()))
        });
        if let Some(rival) = rival {
            return Err(lost(&rival, key, references, &claim).into());
        }
        on_gateway.insert(key.clone(), claim);
    }
    drop(claims);
    Ok(Held { connected, gateway, key: key.clone() })
}

/// A rule in NSX that claims the same and is not this object's own.
fn in_nsx(connected: &Connected, wanted: &Wanted, claim: &Claim) -> Option<Rival> {
    let engine = connected.nsx.as_ref()?;
    let service = |path: &str| engine.get(path).map(|observed| serde_json::Value::clone(&observed.body));
    let mut holders: Vec<(Option<Owner>, Claim)> = Vec::new();
    for observed in engine.nat_rules(&wanted.spec.gateway_path) {
        let owner = topology::owner_of(&observed.body);
        if let Some(theirs) = Claim::from_nat_rule(&wanted.spec.gateway_path, &observed.body, service) {
            holders.push((owner, theirs));
        }
    }
    let mine = |owner: &Option<Owner>| owner.as_ref().is_some_and(|owner| owner.is_same_object(&wanted.owner));
    if holders.iter().any(|(owner, theirs)| mine(owner) && theirs == claim) {
        return None;
    }
    holders.into_iter().find(|(owner, theirs)| !mine(owner) && theirs.overlaps(claim)).map(|(owner, _)| match owner {
        Some(owner) if owner.instance == wanted.owner.instance => {
            Rival::Object(ObjectKey::new(Kind::EdgeNatRule, &owner.namespace, &owner.name))
        }
        _ => Rival::Outside,
    })
}

fn lost(rival: &Rival, key: &ObjectKey, references: &References, claim: &Claim) -> PlanError {
    let (by, cure) = match rival {
        Rival::Object(other) if other.namespace == key.namespace => (
            format!("EdgeNatRule {}", other.name),
            "Choose another port or address, or delete that rule; this one follows by itself",
        ),
        Rival::Object(_) => {
            ("a rule of another namespace".to_owned(), "Choose another port or address; this rule follows by itself when that one goes")
        }
        Rival::Outside => (
            "a rule that this operator does not own".to_owned(),
            "Choose another port or address, or delete that rule in NSX; this one follows by itself",
        ),
    };
    PlanError::Conflict(format!(
        "{claim} on {} is already published by {by}. Nothing was written to NSX. {cure}",
        references.gateway_label
    ))
}

/// The rule is gone: what it claimed is free.
pub(super) fn release(ctx: &Context, rule: &EdgeNatRule, site: &str, connected: &Connected) {
    let key = key_of(rule);
    let mut freed = Vec::new();
    {
        let mut claims = connected.claims.lock().unwrap_or_else(PoisonError::into_inner);
        for (gateway, on_gateway) in claims.iter_mut() {
            if on_gateway.remove(&key).is_some() {
                freed.push(gateway.clone());
            }
        }
    }
    for gateway in freed {
        ctx.wake.changed(&Topic::Claims { site: site.to_owned(), gateway });
    }
}
