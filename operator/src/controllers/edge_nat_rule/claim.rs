//! Who may publish what on a gateway: whoever holds it in NSX keeps it, then who came first.

use std::collections::HashMap;
use std::sync::PoisonError;

use topology::{Claim, Contender, Holder, Owner};

use super::dereference::References;
use super::validate::Wanted;
use crate::context::Context;
use crate::failure::PlanError;
use crate::kind::ObjectKey;
use crate::sites::Connected;
use crate::wake::Topic;

/// Claims what the rule publishes, unless someone else holds it. What is granted is held until [`release`].
pub(super) fn hold(key: &ObjectKey, references: &References, wanted: &Wanted) -> Result<(), PlanError> {
    let connected = &references.ground.connected;
    let claim = wanted.spec.claim();
    let in_nsx = in_nsx(connected, &wanted.spec.gateway_path);
    let mut claims = connected.claims.lock().unwrap_or_else(PoisonError::into_inner);
    let on_gateway = claims.entry(wanted.spec.gateway_path.clone()).or_default();
    let granted = on_gateway
        .get(key)
        .is_some_and(|known| known.in_nsx && known.claim == claim);
    let holder = Holder::Ours {
        owner: wanted.owner.clone(),
        created: wanted.created.clone(),
    };
    let own: Vec<&Claim> = in_nsx
        .iter()
        .filter(|known| is_of(&known.holder, &wanted.owner))
        .map(|known| &known.claim)
        .collect();
    let written = claim.is_made_of(&own);
    let mut mine = Contender {
        claim,
        holder,
        in_nsx: granted || written,
    };
    let others: Vec<Contender> = on_gateway
        .iter()
        .filter(|(other, _)| *other != key)
        .map(|(_, known)| known.clone())
        .chain(in_nsx)
        .collect();
    let lost_to = topology::winner(&mine, &others).err().cloned();
    // Who waits is known too: the oldest of those who wait comes next.
    mine.in_nsx = lost_to.is_none();
    let refusal = lost_to.map(|rival| lost(&rival.holder, key, references, &mine.claim));
    on_gateway.insert(key.clone(), mine);
    refusal.map_or(Ok(()), Err)
}

/// For a rule that is only observed: it claims nothing.
pub(super) fn forgo(key: &ObjectKey, connected: &Connected) {
    remove(key, connected);
}

fn is_of(holder: &Holder, owner: &Owner) -> bool {
    matches!(holder, Holder::Ours { owner: theirs, .. } if theirs.is_same_object(owner))
}

/// What the rules in NSX claim, whoever made them.
fn in_nsx(connected: &Connected, gateway: &str) -> Vec<Contender> {
    let Some(engine) = &connected.nsx else {
        return Vec::new();
    };
    let service = |path: &str| {
        engine
            .get(path)
            .map(|observed| serde_json::Value::clone(&observed.body))
    };
    let instance = connected.instance.as_str();
    engine
        .nat_rules(gateway)
        .into_iter()
        .filter_map(|observed| {
            let claim = Claim::from_nat_rule(gateway, &observed.body, service)?;
            let holder = match topology::owner_of(&observed.body).filter(|owner| owner.instance == instance) {
                Some(owner) => Holder::Ours {
                    owner,
                    created: String::new(),
                },
                None => Holder::Outside { path: observed.path },
            };
            Some(Contender {
                claim,
                holder,
                in_nsx: true,
            })
        })
        .collect()
}

/// The loser's sentence; the winner is named only within the same namespace.
fn lost(rival: &Holder, key: &ObjectKey, references: &References, claim: &Claim) -> PlanError {
    let (by, cure) = match rival {
        Holder::Ours { owner, .. } if owner.namespace == key.namespace => (
            format!("EdgeNatRule {}", owner.name),
            "Choose another port or address, or delete that rule; this one follows by itself",
        ),
        Holder::Ours { .. } => (
            "a rule of another namespace".to_owned(),
            "Choose another port or address; this rule follows by itself when that one goes",
        ),
        Holder::Outside { .. } => (
            "a rule that this operator does not own".to_owned(),
            "Choose another port or address, or delete that rule in NSX; this one follows by itself",
        ),
    };
    PlanError::Conflict(format!(
        "{claim} on {} is already published by {by}. Nothing was written to NSX. {cure}",
        references.gateway.label
    ))
}

/// The rule is gone: what it claimed is free.
pub(super) fn release(ctx: &Context, key: &ObjectKey, site: &str, connected: &Connected) {
    for gateway in remove(key, connected) {
        ctx.wake.changed(&Topic::Claims {
            site: site.to_owned(),
            gateway,
        });
    }
}

fn remove(key: &ObjectKey, connected: &Connected) -> Vec<String> {
    let mut claims = connected.claims.lock().unwrap_or_else(PoisonError::into_inner);
    let freed = |(gateway, on_gateway): (&String, &mut HashMap<ObjectKey, Contender>)| {
        on_gateway.remove(key).map(|_| gateway.clone())
    };
    claims.iter_mut().filter_map(freed).collect()
}
