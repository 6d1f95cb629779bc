//! Who may publish what on a gateway: whoever holds it in NSX keeps it, then who came first.

use topology::{Claim, Contender, Holder, Owner};

use super::dereference::References;
use super::validate::Wanted;
use crate::claims::Claimant;
use crate::context::Context;
use crate::failure::{Failure, PlanError};
use crate::kind::ObjectKey;
use crate::sites::Connected;
use crate::wake::Topic;

/// Claims what the rule publishes, unless someone else holds it. What is granted is held until [`release`].
///
/// Who holds a claim keeps it whatever others do; only who lost waits for news of the gateway's claims.
pub(super) fn hold(
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
    wanted: &Wanted,
) -> Result<(), Failure> {
    let connected = &references.ground.connected;
    let gateway = wanted.spec.gateway_path.as_str();
    let news = topic(&references.ground.site, gateway);
    for left in connected.claims.strike(key, Some(gateway)) {
        ctx.wake.changed(&topic(&references.ground.site, &left));
    }
    // Before looking, so that no change falls between.
    ctx.wake.watch(key, &news);
    let claim = wanted.spec.claim();
    let mine = Claimant::Declared(key.clone());
    let enter = |ledger: &mut topology::Ledger<Claimant>| {
        let granted = ledger
            .get(&mine)
            .is_some_and(|known| known.in_nsx && known.claim == claim);
        let own: Vec<&Claim> = ledger
            .rivals(&claim)
            .filter(|(rival, known)| {
                matches!(rival, Claimant::Written(_)) && is_of(&known.holder, &wanted.owner)
            })
            .map(|(_, known)| &known.claim)
            .collect();
        let written = claim.is_made_of(&own);
        let mut contender = Contender {
            claim: claim.clone(),
            holder: Holder::Ours {
                owner: wanted.owner.clone(),
                created: wanted.created.clone(),
            },
            in_nsx: granted || written,
        };
        let lost_to = topology::winner(&contender, ledger)
            .err()
            .map(|rival| rival.holder.clone());
        // Who waits is known too: the oldest of those who wait comes next.
        contender.in_nsx = lost_to.is_none();
        let before = ledger.enter(mine.clone(), contender);
        (lost_to, before.is_some_and(|before| before.claim != claim))
    };
    let (lost_to, moved) = connected
        .claims
        .on(gateway, connected.nsx()?, &connected.instance, enter);
    if lost_to.is_none() {
        ctx.wake.ignore(key, &news);
    }
    if moved {
        ctx.wake.changed(&news);
    }
    lost_to.map_or(Ok(()), |rival| Err(lost(&rival, key, references, &claim).into()))
}

/// For a rule that is only observed: it claims nothing.
pub(super) fn forgo(key: &ObjectKey, connected: &Connected) {
    connected.claims.strike(key, None);
}

fn topic(site: &str, gateway: &str) -> Topic {
    Topic::Claims {
        site: site.to_owned(),
        gateway: gateway.to_owned(),
    }
}

fn is_of(holder: &Holder, owner: &Owner) -> bool {
    matches!(holder, Holder::Ours { owner: theirs, .. } if theirs.is_same_object(owner))
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
    for gateway in connected.claims.strike(key, None) {
        ctx.wake.changed(&topic(site, &gateway));
    }
}
