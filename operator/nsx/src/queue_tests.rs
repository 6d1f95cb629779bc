use super::*;
use crate::Intent;
use proptest::prelude::*;
use serde_json::Map;

fn put(path: &str) -> Change {
    Change::Put(Intent {
        path: path.into(),
        resource_type: "T".into(),
        body: Map::new(),
    })
}

fn delete(path: &str) -> Change {
    Change::Delete {
        path: path.into(),
        resource_type: "T".into(),
    }
}

fn unit(tag: u32, changes: Vec<Change>) -> Queued<u32> {
    Queued {
        priority: Priority::User,
        changes,
        tag,
    }
}

fn tags(batch: &[Queued<u32>]) -> Vec<u32> {
    batch.iter().map(|unit| unit.tag).collect()
}

fn queue(units: impl IntoIterator<Item = Queued<u32>>) -> Queue<u32> {
    let mut queue = Queue::default();
    units.into_iter().for_each(|unit| queue.push(unit));
    queue
}

#[test]
fn a_batch_holds_what_fits_and_users_go_first() {
    let background = Queued {
        priority: Priority::Background,
        changes: vec![put("/infra/a/0")],
        tag: 0,
    };
    let mut queue = queue([
        background,
        unit(1, vec![put("/infra/a/1"), put("/infra/a/2")]),
        unit(2, vec![put("/infra/a/3"), put("/infra/a/4")]),
        unit(3, vec![put("/infra/a/5")]),
    ]);
    assert_eq!(queue.children(), 6);
    assert_eq!(tags(&queue.take(4)), [1, 2]);
    assert_eq!(tags(&queue.take(4)), [0, 3]);
    assert!(queue.is_empty() && queue.take(4).is_empty() && queue.children() == 0);
}

#[test]
fn a_unit_larger_than_a_batch_goes_alone() {
    let many = (0..10).map(|n| put(&format!("/infra/a/{n}"))).collect();
    let mut queue = queue([unit(1, many), unit(2, vec![put("/infra/b/1")])]);
    assert_eq!(tags(&queue.take(4)), [1]);
    assert_eq!(tags(&queue.take(4)), [2]);
}

#[test]
fn units_that_make_a_shared_object_alike_go_together() {
    let other = || {
        Change::Put(Intent {
            path: "/infra/p/shared".into(),
            resource_type: "T".into(),
            body: [("v".to_owned(), 1.into())].into_iter().collect(),
        })
    };
    let shared = || put("/infra/p/shared");
    let mut queue = queue([
        unit(1, vec![shared(), put("/infra/a/1")]),
        unit(2, vec![shared(), put("/infra/a/2")]),
        unit(3, vec![other(), put("/infra/a/3")]),
        unit(4, vec![shared(), put("/infra/a/4")]),
        unit(5, vec![delete("/infra/p/shared")]),
    ]);
    let first = queue.take(100);
    assert_eq!(
        tags(&first),
        [1, 2],
        "what comes behind another content does not overtake it"
    );
    queue.push(unit(6, vec![put("/infra/p/shared/below/x")]));
    assert!(
        queue.take(100).is_empty(),
        "all wait for the shared object, or for its deletion"
    );
    queue.done(&first[0].changes);
    assert!(queue.take(100).is_empty(), "one of the two is still out");
    queue.done(&first[1].changes);
    let second = queue.take(100);
    assert_eq!(tags(&second), [3]);
    queue.done(&second[0].changes);
    assert_eq!(tags(&queue.take(100)), [4]);
}

#[test]
fn units_on_one_path_keep_their_order() {
    let mut queue = queue([
        unit(1, vec![put("/infra/a/x")]),
        unit(2, vec![delete("/infra/a/x")]),
        unit(3, vec![put("/infra/a/x")]),
        unit(4, vec![put("/infra/a/y")]),
    ]);
    let first = queue.take(100);
    assert_eq!(tags(&first), [1, 4]);
    assert!(queue.take(100).is_empty(), "the path is out");
    for unit in &first {
        queue.done(&unit.changes);
    }
    let second = queue.take(100);
    assert_eq!(tags(&second), [2]);
    queue.done(&second[0].changes);
    assert_eq!(tags(&queue.take(100)), [3]);
}

#[test]
fn parents_and_children_conflict_only_where_one_is_deleted() {
    let cases = [
        (put("/infra/a/x"), put("/infra/a/x/b/y"), false),
        (put("/infra/a/x/b/y"), put("/infra/a/x"), false),
        (delete("/infra/a/x"), put("/infra/a/x/b/y"), true),
        (put("/infra/a/x/b/y"), delete("/infra/a/x"), true),
        (delete("/infra/a/x/b/y"), put("/infra/a/x"), true),
        (put("/infra/a/x"), delete("/infra/a/x/b/y"), true),
        (delete("/infra/a/x"), put("/infra/a/x2/b/y"), false),
    ];
    for (one, two, conflict) in cases {
        let shown = format!("{one:?} {two:?}");
        let mut queue = queue([unit(1, vec![one]), unit(2, vec![two])]);
        assert_eq!(queue.take(100).len() == 1, conflict, "{shown}");
    }
}

proptest! {
    /// Random units over few paths: nothing is lost, nothing conflicting is out together, each path keeps its order.
    #[test]
    fn order_per_path_is_kept(
        plan in prop::collection::vec((prop::collection::vec((0_u8..6, any::<bool>()), 1..4), any::<bool>()), 1..40),
        most in 1_usize..8,
        returns in prop::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let paths = ["/infra/a/x", "/infra/a/x/b/y", "/infra/a/x/b/z", "/infra/a/w", "/infra/c/v", "/infra/c/v/d/u"];
        let mut queue = Queue::default();
        let mut units = Vec::new();
        for (tag, (touched, background)) in plan.into_iter().enumerate() {
            let changes: Vec<Change> = touched
                .into_iter()
                .map(|(p, gone)| { let p = paths[usize::from(p)]; if gone { delete(p) } else { put(p) } })
                .collect();
            units.push(changes.clone());
            let priority = if background { Priority::Background } else { Priority::User };
            queue.push(Queued { priority, changes, tag: u32::try_from(tag).unwrap() });
        }
        let (mut out, mut sent, mut returns) = (Vec::<Queued<u32>>::new(), Vec::new(), returns.into_iter());
        loop {
            let batch = queue.take(most);
            let size: usize = batch.iter().map(|unit| unit.changes.len()).sum();
            prop_assert!(size <= most || batch.len() == 1);
            if batch.is_empty() && out.is_empty() { break; }
            for unit in &batch {
                for (at, change) in unit.changes.iter().enumerate() {
                    let others = out.iter().chain(batch.iter().filter(|u| u.tag != unit.tag));
                    for other in others.flat_map(|u| &u.changes) {
                        let alike = other == change && !change.is_delete();
                        prop_assert!(other.path() != change.path() || alike, "{}", at);
                    }
                }
                sent.push(unit.tag);
            }
            out.extend(batch);
            if !out.is_empty() {
                let back = returns.next().map_or(0, |index| index.index(out.len()));
                let unit = out.remove(back);
                queue.done(&unit.changes);
            }
        }
        prop_assert_eq!(sent.len(), units.len());
        for path in paths {
            let deeds = |tag: u32| -> Vec<&Change> {
                units[usize::try_from(tag).unwrap()].iter().filter(|change| change.path() == path).collect()
            };
            let touching: Vec<u32> = sent.iter().copied().filter(|tag| !deeds(*tag).is_empty()).collect();
            for (at, later) in touching.iter().enumerate() {
                for earlier in touching[..at].iter().filter(|earlier| *earlier > later) {
                    // All that is put here is alike.
                    let puts = |tag: u32| deeds(tag).iter().all(|change| !change.is_delete());
                    let alike = puts(*earlier) && puts(*later);
                    prop_assert!(alike, "{path}: {touching:?}");
                }
            }
        }
    }
}
