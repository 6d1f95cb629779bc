use proptest::prelude::*;

use super::*;

fn shared(n: u8) -> Shared {
    (format!("/infra/services/{n}"), "Service".to_owned())
}

fn list(numbers: &BTreeSet<u8>) -> Vec<Shared> {
    numbers.iter().map(|n| shared(*n)).collect()
}

#[test]
fn who_uses_something_is_known_until_it_does_not() {
    let mut sharing = Sharing::default();
    assert!(!sharing.knows("a"));
    sharing.replace("a", &[shared(1)]);
    assert!(sharing.knows("a") && !sharing.knows("b"));
    sharing.remove("a");
    assert!(!sharing.knows("a"));
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

#[test]
fn what_users_that_are_gone_used_is_nobodys() {
    let mut sharing = Sharing::default();
    sharing.replace("ghost", &[shared(1), shared(2)]);
    sharing.replace("b", &[shared(1)]);
    sharing.replace("c", &[shared(3)]);
    sharing.replace("c", &[]);
    sharing.settle("c");
    assert!(
        sharing.is_used(&shared(3)),
        "its deletion may have to be repeated"
    );
    sharing.retain(|user| user == "b");
    assert!(!sharing.knows("ghost"));
    let used = [1, 2, 3].map(|n| sharing.is_used(&shared(n)));
    assert_eq!(used, [true, false, false]);
    assert_eq!(sharing.remove("b").0, [shared(1)], "the last one takes it away");
}

#[test]
fn what_a_failed_write_should_have_deleted_comes_with_the_next_one() {
    let mut sharing = Sharing::default();
    sharing.replace("a", &[shared(1)]);
    assert_eq!(sharing.replace("a", &[shared(2)]), [shared(1)]);
    assert_eq!(
        sharing.replace("a", &[shared(2)]),
        [shared(1)],
        "again, for the first write failed"
    );
    sharing.replace("b", &[shared(1)]);
    assert!(
        sharing.replace("a", &[shared(2)]).is_empty(),
        "someone uses it again"
    );
    sharing.replace("b", &[]);
    assert_eq!(
        sharing.remove("a").0,
        [shared(2)],
        "it is not for the first one to delete what another gave up"
    );
}

#[test]
fn a_removal_that_failed_also_takes_back_what_was_given_up_before() {
    let mut sharing = Sharing::default();
    sharing.replace("a", &[shared(1)]);
    sharing.replace("a", &[shared(2)]);
    let (unused, used) = sharing.remove("a");
    assert_eq!(unused, [shared(1), shared(2)]);
    sharing.replace("a", &used);
    assert_eq!(sharing.remove("a").0, [shared(1), shared(2)]);
}

#[test]
fn whoever_comes_while_it_is_taken_away_waits() {
    let mut sharing = Sharing::default();
    sharing.replace("a", &[shared(1)]);
    sharing.remove("a");
    assert_eq!(sharing.leaving("b", &[shared(2), shared(1)]), Some(&shared(1)));
    assert_eq!(
        sharing.leaving("a", &[shared(1)]),
        None,
        "nobody waits for himself"
    );
    sharing.settle("b");
    assert!(
        sharing.leaving("b", &[shared(1)]).is_some(),
        "only the writer knows that its write has ended"
    );
    sharing.settle("a");
    assert_eq!(sharing.leaving("b", &[shared(1)]), None);
}

/// One thing that happens: a user changes its uses, or goes, and its write lands or fails.
#[derive(Clone, Debug)]
struct Event {
    user: u8,
    uses: BTreeSet<u8>,
    goes: bool,
    lands: bool,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (
        0_u8..4,
        prop::collection::btree_set(0_u8..4, 0..3),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(user, uses, goes, lands)| Event {
            user,
            uses,
            goes,
            lands,
        });
    prop::collection::vec(event, 0..40)
}

proptest! {
    /// Whatever happens in whatever order: nothing in use is ever handed out for deletion, an object is handed
    /// out by the step that takes its last user, and to one user only.
    #[test]
    fn an_object_is_given_up_exactly_when_unused(events in events()) {
        let mut sharing = Sharing::default();
        let mut model: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
        for Event { user, uses, goes, lands } in events {
            let used = |model: &BTreeMap<u8, BTreeSet<u8>>| -> BTreeSet<u8> { model.values().flatten().copied().collect() };
            let before = used(&model);
            let name = user.to_string();
            let (unused, old) = if goes { sharing.remove(&name) } else { (sharing.replace(&name, &list(&uses)), Vec::new()) };
            let mine = model.insert(user, if goes { BTreeSet::new() } else { uses }).unwrap_or_default();
            let after = used(&model);
            for newly in list(&before.difference(&after).copied().collect()) {
                prop_assert!(unused.contains(&newly), "{:?} lost its last user", newly);
            }
            prop_assert!(list(&after).iter().all(|shared| !unused.contains(shared)), "something in use was handed out");
            if goes && !lands {
                sharing.replace(&name, &old);
                let back: BTreeSet<u8> = (0..4).filter(|n| old.contains(&shared(*n))).collect();
                prop_assert!(mine.is_subset(&back));
                model.insert(user, back);
            }
        }
    }

    /// A world that follows what is handed out: when all users are gone and their writes have landed, so is
    /// every shared object, whatever failed in between.
    #[test]
    fn nothing_is_left_behind(events in events()) {
        let mut sharing = Sharing::default();
        let mut world: BTreeSet<Shared> = BTreeSet::new();
        for Event { user, uses, lands, .. } in events {
            let unused = sharing.replace(&user.to_string(), &list(&uses));
            if lands {
                world.extend(list(&uses));
                world.retain(|shared| !unused.contains(shared));
            }
            sharing.settle(&user.to_string());
        }
        for user in 0..4_u8 {
            let (unused, _) = sharing.remove(&user.to_string());
            world.retain(|shared| !unused.contains(shared));
            sharing.settle(&user.to_string());
        }
        prop_assert_eq!(world, BTreeSet::new());
        let all: Vec<Shared> = (0..4).map(shared).collect();
        prop_assert_eq!(sharing.leaving("new", &all), None);
    }
}
