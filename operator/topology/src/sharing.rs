//! Who uses which shared object: the last user takes it away, in the same change as itself.

use std::collections::{BTreeMap, BTreeSet};

/// A shared object: policy path and NSX type.
pub type Shared = (String, String);

/// Users of shared objects. A user is any name that stays the same from call to call.
///
/// What its last user gave up is handed to that user, and to nobody else, each time it asks, until someone
/// uses the object again: a write that failed is repeated by the next one, and an object that is gone already
/// costs nothing to give up twice.
///
/// Two objects may pass each other: the last user's deletion is on its way while another begins to use the
/// same object. NSX refuses to delete a service or profile in use, but a policy takes the rules in it along.
/// Therefore a new user first asks [`Sharing::leaving`], and each user tells the end of its write by
/// [`Sharing::settle`].
#[derive(Clone, Debug, Default)]
pub struct Sharing {
    users: BTreeMap<Shared, BTreeSet<String>>,
    uses: BTreeMap<String, BTreeSet<Shared>>,
    /// Without users, by the user that gave it up last.
    given_up: BTreeMap<Shared, String>,
    /// Handed out for deletion in a write that has not ended, by the writing user.
    leaving: BTreeMap<Shared, String>,
}

impl Sharing {
    /// `user` now uses exactly `shared`; returns what it gave up and nobody uses any more.
    pub fn replace(&mut self, user: &str, shared: &[Shared]) -> Vec<Shared> {
        let wanted: BTreeSet<Shared> = shared.iter().cloned().collect();
        let before = self.uses.remove(user).unwrap_or_default();
        for shared in &wanted {
            self.users
                .entry(shared.clone())
                .or_default()
                .insert(user.to_owned());
            self.given_up.remove(shared);
        }
        for shared in before.difference(&wanted) {
            let Some(users) = self.users.get_mut(shared) else {
                continue;
            };
            users.remove(user);
            if users.is_empty() {
                self.users.remove(shared);
                self.given_up.insert(shared.clone(), user.to_owned());
            }
        }
        if !wanted.is_empty() {
            self.uses.insert(user.to_owned(), wanted);
        }
        let unused = self.given_up_by(user);
        for shared in &unused {
            self.leaving.insert(shared.clone(), user.to_owned());
        }
        unused
    }

    /// `user` is gone; returns what it gave up and nobody uses any more, and what it used, for taking the
    /// removal back by [`Sharing::replace`].
    pub fn remove(&mut self, user: &str) -> (Vec<Shared>, Vec<Shared>) {
        let mut before: BTreeSet<Shared> = self.uses.get(user).cloned().unwrap_or_default();
        let unused = self.replace(user, &[]);
        before.extend(unused.iter().cloned());
        for shared in &unused {
            self.given_up.remove(shared);
        }
        (unused, before.into_iter().collect())
    }

    /// The write of `user` has ended, whatever came of it.
    pub fn settle(&mut self, user: &str) {
        self.leaving.retain(|_, leaver| leaver != user);
    }

    /// The first of these objects that an unfinished write of another user takes away: `user` has to wait
    /// until that has ended.
    #[must_use]
    pub fn leaving<'a>(&self, user: &str, shared: &'a [Shared]) -> Option<&'a Shared> {
        shared
            .iter()
            .find(|shared| self.leaving.get(*shared).is_some_and(|leaver| leaver != user))
    }

    /// Whether `user` uses anything shared.
    #[must_use]
    pub fn knows(&self, user: &str) -> bool {
        self.uses.contains_key(user)
    }

    /// Users that are not kept are gone without a word: what only they used is nobody's.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let gone: Vec<String> = self.uses.keys().filter(|user| !keep(user)).cloned().collect();
        for user in gone {
            self.remove(&user);
            self.settle(&user);
        }
        self.given_up.retain(|_, user| keep(user));
    }

    /// Whether anyone uses the object, or is about to take it away.
    #[must_use]
    pub fn is_used(&self, shared: &Shared) -> bool {
        self.users.contains_key(shared)
            || self.given_up.contains_key(shared)
            || self.leaving.contains_key(shared)
    }

    fn given_up_by(&self, user: &str) -> Vec<Shared> {
        self.given_up
            .iter()
            .filter(|(_, last)| *last == user)
            .map(|(shared, _)| shared.clone())
            .collect()
    }
}

#[cfg(test)]
#[path = "sharing_tests.rs"]
mod tests;
