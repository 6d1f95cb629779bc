//! Who uses which shared object: the last user takes it away, in the same change as itself.

use std::collections::{BTreeMap, BTreeSet};

/// A shared object: policy path and NSX type.
pub type Shared = (String, String);

/// Users of shared objects, both by policy path.
#[derive(Clone, Debug, Default)]
pub struct Sharing {
    users: BTreeMap<Shared, BTreeSet<String>>,
    uses: BTreeMap<String, BTreeSet<Shared>>,
}

impl Sharing {
    /// `user` now uses exactly `shared`; returns what nobody uses any more.
    pub fn replace(&mut self, user: &str, shared: &[Shared]) -> Vec<Shared> {
        let wanted: BTreeSet<Shared> = shared.iter().cloned().collect();
        let before = self.uses.remove(user).unwrap_or_default();
        for shared in &wanted {
            self.users
                .entry(shared.clone())
                .or_default()
                .insert(user.to_owned());
        }
        let mut unused = Vec::new();
        for shared in before.difference(&wanted) {
            if let Some(users) = self.users.get_mut(shared) {
                users.remove(user);
                if users.is_empty() {
                    self.users.remove(shared);
                    unused.push(shared.clone());
                }
            }
        }
        if !wanted.is_empty() {
            self.uses.insert(user.to_owned(), wanted);
        }
        unused
    }

    /// `user` is gone; returns what nobody uses any more, and what it used, for taking the removal back.
    pub fn remove(&mut self, user: &str) -> (Vec<Shared>, Vec<Shared>) {
        let before = self
            .uses
            .get(user)
            .map(|uses| uses.iter().cloned().collect())
            .unwrap_or_default();
        (self.replace(user, &[]), before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shared(n: u8) -> Shared {
        (format!("/infra/services/{n}"), "Service".to_owned())
    }

    #[test]
    fn the_last_user_takes_it_away() {
        let mut sharing = Sharing::default();
        assert!(sharing.replace("a", &[shared(1), shared(2)]).is_empty());
        assert!(sharing.replace("b", &[shared(1)]).is_empty());
        assert_eq!(
            sharing.replace("a", &[shared(3)]),
            [shared(2)],
            "what a changed use leaves alone goes"
        );
        let (unused, used) = sharing.remove("b");
        assert_eq!(
            (unused, used.as_slice()),
            (vec![shared(1)], [shared(1)].as_slice())
        );
        assert_eq!(
            sharing.remove("b").0,
            Vec::<Shared>::new(),
            "nothing is taken away twice"
        );
        assert!(
            sharing.replace("b", &used).is_empty(),
            "a removal that failed is taken back"
        );
        assert_eq!(sharing.remove("b").0, [shared(1)]);
    }

    proptest! {
        /// Under any interleaving something is given up exactly when its last user leaves it.
        #[test]
        fn an_object_is_given_up_exactly_when_unused(steps in prop::collection::vec((0_u8..4, prop::collection::btree_set(0_u8..4, 0..3)), 0..40)) {
            let mut sharing = Sharing::default();
            let mut model: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
            for (user, uses) in steps {
                let before: BTreeSet<u8> = model.values().flatten().copied().collect();
                model.insert(user, uses.clone());
                let after: BTreeSet<u8> = model.values().flatten().copied().collect();
                let given_up = sharing.replace(&user.to_string(), &uses.iter().map(|n| shared(*n)).collect::<Vec<_>>());
                let expected: Vec<Shared> = before.difference(&after).map(|n| shared(*n)).collect();
                prop_assert_eq!(given_up, expected);
            }
        }
    }
}
