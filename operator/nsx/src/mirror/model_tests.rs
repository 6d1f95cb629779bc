//! A world of objects, an index that lags at random, and a mirror that must never lose an own write.

use super::*;
use crate::Intent;
use proptest::prelude::*;
use serde_json::{Value, json};

const LAG: Duration = Duration::from_secs(10);
const PATHS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// Own write (value) or delete: sent now, answered by a later `Answer`.
    Own(usize, Option<u64>),
    Answer,
    Others(usize, Option<u64>),
    /// A search begins; its rows are as old as given for each object.
    Search([u64; PATHS]),
    /// The oldest search in flight is delivered.
    Deliver,
    /// A direct read begins.
    Fetch(usize),
    /// The oldest direct read in flight is delivered.
    Fetched,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = || prop_oneof![3 => (0_u64..3).prop_map(Some), 1 => Just(None)];
    prop::collection::vec(
        prop_oneof![
            3 => (0_u64..4000).prop_map(Step::Wait),
            2 => (0..PATHS, value()).prop_map(|(p, v)| Step::Own(p, v)),
            3 => Just(Step::Answer),
            1 => (0..PATHS, value()).prop_map(|(p, v)| Step::Others(p, v)),
            4 => prop::array::uniform3(0_u64..10_000).prop_map(Step::Search),
            4 => Just(Step::Deliver),
            1 => (0..PATHS).prop_map(Step::Fetch),
            1 => Just(Step::Fetched),
        ],
        1..80,
    )
}

/// Every state an object has had: (from when, value, server's time of change, whose).
#[derive(Debug, Clone)]
struct Version {
    from: u64,
    value: Option<u64>,
    modified: i64,
    own: bool,
}

struct World {
    now: u64,
    clock: i64,
    objects: Vec<Vec<Version>>,
    mirror: Mirror,
    out: Option<(usize, Change)>,
    /// (began at, rows as they were then)
    searches: Vec<(u64, Vec<Row>)>,
    fetches: Vec<(Duration, usize, Option<Row>)>,
}

fn path(object: usize) -> String {
    format!("/infra/segments/{object}")
}

fn tags() -> Value {
    json!([{"scope": "i", "tag": "a"}])
}

impl World {
    fn new() -> Self {
        let nothing = vec![Version {
            from: 0,
            value: None,
            modified: 0,
            own: false,
        }];
        Self {
            now: 100_000,
            clock: 100_000,
            objects: vec![nothing; PATHS],
            mirror: Mirror::new(Tag::new("i", "a"), "uid", LAG),
            out: None,
            searches: Vec::new(),
            fetches: Vec::new(),
        }
    }

    fn time(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    fn row(&self, object: usize, at: u64) -> Option<Row> {
        let version = self.objects[object]
            .iter()
            .rev()
            .find(|version| version.from <= at)?;
        let value = version.value?;
        Some(Row::new(
            &json!({"path": path(object), "resource_type": "Segment", "v": value, "tags": tags(),
            "_last_modified_time": version.modified, "status": {"consolidated_status": "SUCCESS"}}),
        ))
    }

    fn commit(&mut self, object: usize, value: Option<u64>, own: bool) {
        self.clock = self.clock.max(i64::try_from(self.now).unwrap()) + 1;
        let (from, modified) = (self.now, self.clock);
        self.objects[object].push(Version {
            from,
            value,
            modified,
            own,
        });
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Wait(ms) => self.now += ms,
            Step::Own(object, value) => {
                if self.out.is_none() {
                    let change = change(*object, *value);
                    self.mirror.begin(std::slice::from_ref(&change));
                    self.commit(*object, *value, true);
                    self.out = Some((*object, change));
                }
            }
            Step::Answer => {
                if let Some((_, change)) = self.out.take() {
                    self.mirror.land(&[change], self.time());
                }
            }
            Step::Others(object, value) => {
                // Others do not write what we are writing just now: the order would be undefined for everyone.
                if self.out.as_ref().is_none_or(|(out, _)| out != object) {
                    self.commit(*object, *value, false);
                }
            }
            Step::Search(ages) => {
                let rows = ages
                    .iter()
                    .enumerate()
                    .filter_map(|(o, age)| self.row(o, self.now - age))
                    .collect();
                self.searches.push((self.now, rows));
            }
            Step::Deliver => {
                if !self.searches.is_empty() {
                    let (began, rows) = self.searches.remove(0);
                    let began = Duration::from_millis(began);
                    self.mirror.observe(Scope::Owned, &rows, began);
                    self.mirror
                        .complete(Scope::Owned, rows.iter().map(|row| row.path.clone()).collect());
                    if self.searches.is_empty() {
                        self.mirror.pending(self.time());
                    }
                }
            }
            Step::Fetch(object) => {
                let row = self.row(*object, self.now);
                self.fetches.push((self.time(), *object, row));
            }
            Step::Fetched => {
                if !self.fetches.is_empty() {
                    let (began, object, row) = self.fetches.remove(0);
                    self.mirror
                        .fetched(&path(object), row.as_ref(), began, self.time());
                }
            }
        }
        self.now += 1;
    }

    /// What the mirror shows is our last answered write, or something later.
    fn check(&self) -> Result<(), TestCaseError> {
        for (object, versions) in self.objects.iter().enumerate() {
            if self.out.as_ref().is_some_and(|(out, _)| *out == object) {
                continue;
            }
            let Some(last_own) = versions.iter().rposition(|version| version.own) else {
                continue;
            };
            let shown = self
                .mirror
                .get(&path(object))
                .and_then(|seen| seen.body["v"].as_u64());
            let allowed: Vec<Option<u64>> =
                versions[last_own..].iter().map(|version| version.value).collect();
            prop_assert!(
                allowed.contains(&shown),
                "object {}: {:?} not in {:?}",
                object,
                shown,
                allowed
            );
        }
        Ok(())
    }

    /// Time passes, nothing happens, and the engine does what it does.
    fn settle(&mut self) {
        self.step(&Step::Answer);
        while !self.fetches.is_empty() {
            self.step(&Step::Fetched);
        }
        while !self.searches.is_empty() {
            self.step(&Step::Deliver);
        }
        for _ in 0..6 {
            self.now += 6_000;
            self.step(&Step::Search([0; PATHS]));
            self.step(&Step::Deliver);
            let pending = self.mirror.pending(self.time());
            let asked: Vec<Arc<str>> = pending.read.into_iter().chain(pending.removals).collect();
            let rows: Vec<Row> = (0..PATHS)
                .filter(|object| asked.iter().any(|path_asked| **path_asked == *path(*object)))
                .filter_map(|object| self.row(object, self.now))
                .collect();
            self.mirror.polled(&asked, &rows, self.time());
            for suspect in self.mirror.suspects() {
                let object = (0..PATHS).find(|object| *path(*object) == *suspect).unwrap();
                self.step(&Step::Fetch(object));
                self.step(&Step::Fetched);
            }
        }
    }
}

fn change(object: usize, value: Option<u64>) -> Change {
    match value {
        Some(value) => {
            let Value::Object(body) = json!({"v": value, "tags": tags()}) else {
                panic!()
            };
            Change::Put(Intent {
                path: path(object),
                resource_type: "Segment".into(),
                body,
            })
        }
        None => Change::Delete {
            path: path(object),
            resource_type: "Segment".into(),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_own_write_is_ever_lost_and_all_becomes_true_in_the_end(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.check()?;
        }
        world.settle();
        for object in 0..PATHS {
            let truth = world.objects[object].last().unwrap().value;
            let shown = world.mirror.get(&path(object)).and_then(|seen| seen.body["v"].as_u64());
            prop_assert_eq!(shown, truth, "object {}", object);
        }
        let pending = world.mirror.pending(world.time());
        prop_assert!(pending.read.is_empty() && pending.removals.is_empty(), "{:?}", pending);
    }
}
