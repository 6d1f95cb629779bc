//! Which of several claims holds.
//!
//! Who already holds it in NSX keeps it; then comes the older declaration, then namespace and name. A loser
//! keeps nobody out: who only clashes with a loser holds its own claim.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

use crate::claims::Claim;
use crate::identity::Owner;
use crate::ledger::Ledger;

/// Who stands behind a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A rule in NSX without our mark, or another instance's.
    Outside {
        /// Its policy path.
        path: String,
    },
    /// An object of this instance.
    Ours {
        /// Which.
        owner: Owner,
        /// When it was declared, RFC 3339 in UTC; the UID decides nothing.
        created: String,
    },
}

/// A claim and who makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// What is claimed.
    pub claim: Claim,
    /// By whom.
    pub holder: Holder,
    /// Whether NSX has a rule of this holder with this claim.
    pub in_nsx: bool,
}

impl Contender {
    fn is_same_as(&self, other: &Self) -> bool {
        match (&self.holder, &other.holder) {
            (Holder::Outside { path: one }, Holder::Outside { path: other }) => one == other,
            (Holder::Ours { owner: one, .. }, Holder::Ours { owner: other, .. }) => one.is_same_object(other),
            _ => false,
        }
    }

    /// Less means ahead. What stands in NSX is ahead of what does not; among those, what is ours stays where it
    /// is, for a rule that someone adds beside it is no reason to cut off traffic.
    fn rank(&self, other: &Self) -> Ordering {
        other
            .in_nsx
            .cmp(&self.in_nsx)
            .then_with(|| match (&self.holder, &other.holder) {
                (
                    Holder::Ours {
                        owner: one,
                        created: first,
                    },
                    Holder::Ours {
                        owner: other,
                        created: second,
                    },
                ) => {
                    let name =
                        |owner: &Owner| (owner.namespace.clone(), owner.name.clone(), owner.kind.clone());
                    first.cmp(second).then_with(|| name(one).cmp(&name(other)))
                }
                (Holder::Ours { .. }, Holder::Outside { .. }) => Ordering::Less,
                (Holder::Outside { .. }, Holder::Ours { .. }) => Ordering::Greater,
                (Holder::Outside { path: one }, Holder::Outside { path: other }) => one.cmp(other),
            })
    }

    /// What is outside stands, whatever else is claimed.
    fn stands_anyway(&self) -> bool {
        matches!(self.holder, Holder::Outside { .. })
    }
}

/// Whether `mine` holds; `others` may contain it, and objects that clash with nothing.
///
/// # Errors
/// The contender that keeps it from holding: one that itself holds.
pub fn winner<'a, K: Clone + Eq + Hash>(
    mine: &Contender,
    ledger: &'a Ledger<K>,
) -> Result<(), &'a Contender> {
    let mut contest = Contest {
        mine,
        ledger,
        known: HashMap::new(),
    };
    contest.beaten_by(mine).map_or(Ok(()), Err)
}

struct Contest<'m, 'a, K> {
    mine: &'m Contender,
    ledger: &'a Ledger<K>,
    known: HashMap<&'a K, bool>,
}

impl<'a, K: Clone + Eq + Hash> Contest<'_, 'a, K> {
    fn beaten_by(&mut self, contender: &Contender) -> Option<&'a Contender> {
        let mut ahead: Vec<(&'a K, &'a Contender)> = self
            .ledger
            .rivals(&contender.claim)
            .filter(|(_, rival)| !rival.is_same_as(self.mine) && rival.rank(contender) == Ordering::Less)
            .collect();
        ahead.sort_by(|(_, one), (_, other)| one.rank(other));
        ahead
            .into_iter()
            .find(|(key, rival)| self.holds(key, rival))
            .map(|(_, rival)| rival)
    }

    fn holds(&mut self, key: &'a K, contender: &Contender) -> bool {
        if let Some(known) = self.known.get(key) {
            return *known;
        }
        // Ranks only fall from one to the next, so that this comes to an end.
        let holds = contender.stands_anyway() || self.beaten_by(contender).is_none();
        self.known.insert(key, holds);
        holds
    }
}

#[cfg(test)]
#[path = "winner_tests.rs"]
mod tests;
