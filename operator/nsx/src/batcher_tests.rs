use super::*;
use crate::error::Refusal;
use crate::{Class, Intent};
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::{HashSet, VecDeque};

/// A manager that knows poison, and can be told to fail.
#[derive(Default)]
struct Fake {
    state: Mutex<FakeState>,
    took: Duration,
}

#[derive(Default)]
struct FakeState {
    /// Ids of each PATCH that was sent, in order.
    sent: Vec<Vec<String>>,
    poison: HashSet<String>,
    /// Ids that only land when this other one exists.
    needs: Vec<(String, String)>,
    exists: HashSet<String>,
    /// Outcomes of the next calls, before anything else; `true` commits all the same.
    faults: VecDeque<(Error, bool)>,
    probes: Vec<String>,
    landed: Vec<String>,
    failed: Vec<String>,
    flying: usize,
    most_flying: usize,
}

fn refusal(code: u64, message: &str) -> Refusal {
    Refusal {
        status: 400,
        code,
        message: message.into(),
        ..Refusal::default()
    }
}

fn ids_of(body: &Value) -> Vec<(String, bool)> {
    let children = body["children"].as_array().unwrap();
    let mut ids = Vec::new();
    for child in children {
        assert_eq!(child["resource_type"], "ChildSegment");
        ids.push((
            child["Segment"]["id"].as_str().unwrap().to_owned(),
            child["marked_for_delete"].as_bool().unwrap(),
        ));
    }
    ids
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().unwrap()
    }
}

impl FakeState {
    fn commit(&mut self, ids: &[(String, bool)]) {
        for (id, delete) in ids {
            if *delete {
                self.exists.remove(id)
            } else {
                self.exists.insert(id.clone())
            };
        }
    }

    fn judge(&self, ids: &[(String, bool)]) -> Result<(), Error> {
        if ids.iter().any(|(id, _)| self.poison.contains(id)) {
            return Err(Error::Refused(refusal(500_157, "something is wrong")));
        }
        if ids
            .iter()
            .any(|(id, delete)| *delete && !self.exists.contains(id))
        {
            return Err(Error::NotFound(refusal(600, "no such object")));
        }
        let lacking = |(who, what): &&(String, String)| {
            let names = |id: &str| ids.iter().any(|(named, _)| named == id);
            names(who) && !names(what) && !self.exists.contains(what)
        };
        match self.needs.iter().find(lacking) {
            Some(_) => Err(Error::InvalidPath(refusal(500_012, "the path is invalid"))),
            None => Ok(()),
        }
    }
}

impl Wire for Fake {
    async fn patch(&self, _: Priority, body: &Value) -> Result<(), Error> {
        let ids = ids_of(body);
        {
            let mut state = self.lock();
            state.sent.push(ids.iter().map(|(id, _)| id.clone()).collect());
            state.flying += 1;
            state.most_flying = state.most_flying.max(state.flying);
        }
        tokio::time::sleep(self.took).await;
        let mut state = self.lock();
        state.flying -= 1;
        if let Some((error, commits)) = state.faults.pop_front() {
            if commits {
                state.commit(&ids);
            }
            return Err(error);
        }
        state.judge(&ids)?;
        state.commit(&ids);
        Ok(())
    }

    async fn exists(&self, path: &str) -> Result<bool, Error> {
        let mut state = self.lock();
        let id = crate::path::id(path).to_owned();
        state.probes.push(id.clone());
        Ok(state.exists.contains(&id))
    }

    fn begin(&self, _: &[Change]) {}

    fn landed(&self, changes: &[Change]) {
        self.lock().landed.extend(
            changes
                .iter()
                .map(|change| crate::path::id(change.path()).to_owned()),
        );
    }

    fn failed(&self, changes: &[Change], _: &Error) {
        self.lock().failed.extend(
            changes
                .iter()
                .map(|change| crate::path::id(change.path()).to_owned()),
        );
    }
}

fn put(id: &str) -> Change {
    Change::Put(Intent {
        path: format!("/infra/segments/{id}"),
        resource_type: "Segment".into(),
        body: Map::from_iter([("v".to_owned(), json!(1))]),
    })
}

fn delete(id: &str) -> Change {
    Change::Delete {
        path: format!("/infra/segments/{id}"),
        resource_type: "Segment".into(),
    }
}

struct Rig {
    fake: Arc<Fake>,
    batcher: Arc<Batcher<Fake>>,
    _stop: watch::Sender<()>,
}

fn rig(took: u64, limits: impl FnOnce(&mut Limits)) -> Rig {
    let fake = Arc::new(Fake {
        took: Duration::from_millis(took),
        ..Fake::default()
    });
    let mut set = Limits {
        children: 1000,
        writers: 1,
        linger: Duration::from_millis(250),
        patience: Duration::from_mins(1),
    };
    limits(&mut set);
    let batcher = Batcher::new(Arc::clone(&fake), set);
    let (stop, stopped) = watch::channel(());
    tokio::spawn(Arc::clone(&batcher).run(stopped));
    Rig {
        fake,
        batcher,
        _stop: stop,
    }
}

impl Rig {
    /// Submits without waiting for the outcome.
    async fn queue(&self, changes: Vec<Change>) -> tokio::task::JoinHandle<Result<(), Error>> {
        let batcher = Arc::clone(&self.batcher);
        let task = tokio::spawn(async move { batcher.submit(Priority::User, changes).await });
        tokio::task::yield_now().await;
        task
    }

    async fn all(&self, units: Vec<Vec<Change>>) -> Vec<Result<(), Error>> {
        let mut tasks = Vec::new();
        for unit in units {
            tasks.push(self.queue(unit).await);
        }
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        outcomes
    }

    fn sizes(&self) -> Vec<usize> {
        self.fake.lock().sent.iter().map(Vec::len).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_batcher_sends_at_once_and_the_next_batch_fills_meanwhile() {
    let rig = rig(100, |_| {});
    let started = Instant::now();
    let outcomes = rig
        .all((0..50).map(|n| vec![put(&format!("s{n}"))]).collect())
        .await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(rig.sizes(), [1, 49]);
    assert_eq!(
        started.elapsed(),
        Duration::from_millis(200),
        "no linger once the way is free"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_holds_others_up_for_the_linger_at_most() {
    let rig = rig(5000, |limits| limits.writers = 2);
    let first = rig.queue(vec![put("a")]).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let started = Instant::now();
    let second = rig.queue(vec![put("b")]).await;
    let third = rig.queue(vec![put("c")]).await;
    second.await.unwrap().unwrap();
    assert_eq!(started.elapsed(), Duration::from_millis(5250));
    third.await.unwrap().unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(rig.sizes(), [1, 2]);
    assert_eq!(rig.fake.lock().most_flying, 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_linger_and_is_never_too_large() {
    let rig = rig(1000, |limits| (limits.writers, limits.children) = (2, 10));
    let outcomes = rig
        .all((0..26).map(|n| vec![put(&format!("s{n}"))]).collect())
        .await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(rig.sizes(), [1, 10, 10, 5]);
}

#[tokio::test(start_paused = true)]
async fn units_on_one_path_are_never_out_together() {
    let rig = rig(1000, |limits| limits.writers = 4);
    let outcomes = rig
        .all(vec![
            vec![put("a")],
            vec![delete("a")],
            vec![put("a"), put("b")],
            vec![put("c")],
        ])
        .await;
    assert!(outcomes.iter().all(Result::is_ok));
    let sent = rig.fake.lock().sent.clone();
    assert_eq!(sent, [vec!["a"], vec!["c"], vec!["a"], vec!["a", "b"]]);
}

#[tokio::test(start_paused = true)]
async fn only_the_poison_unit_gets_the_error() {
    let rig = rig(10, |_| {});
    rig.fake.lock().poison.insert("bad".into());
    let warm = rig.queue(vec![put("warm")]).await;
    let mut units: Vec<Vec<Change>> = (0..99).map(|n| vec![put(&format!("s{n}"))]).collect();
    units.insert(40, vec![put("good-half"), put("bad")]);
    let outcomes = rig.all(units).await;
    warm.await.unwrap().unwrap();
    for (at, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_err(), at == 40, "{at}: {outcome:?}");
    }
    let state = rig.fake.lock();
    assert!(
        !state.exists.contains("good-half"),
        "a unit lands whole or not at all"
    );
    assert_eq!(state.exists.len(), 100);
    assert!(state.sent.len() <= 2 + 2 * 8, "{} calls", state.sent.len());
    assert_eq!(state.failed, ["good-half", "bad"]);
}

#[tokio::test(start_paused = true)]
async fn transient_trouble_repeats_the_whole_batch() {
    let rig = rig(10, |_| {});
    {
        let mut state = rig.fake.lock();
        let r = || refusal(0, "x");
        let lost = Error::AmbiguousWrite {
            url: String::new(),
            cause: String::new(),
        };
        for error in [
            Error::RateLimited(r()),
            Error::Busy(r()),
            lost,
            Error::TransactionAborted(r()),
        ] {
            state.faults.push_back((error, false));
        }
    }
    rig.batcher
        .submit(Priority::User, vec![put("a"), put("b")])
        .await
        .unwrap();
    assert_eq!(rig.sizes(), [2, 2, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn patience_has_an_end_and_all_units_are_told() {
    let rig = rig(10, |_| {});
    let warm = rig.queue(vec![put("warm")]).await;
    for _ in 0..100 {
        rig.fake
            .lock()
            .faults
            .push_back((Error::Busy(refusal(0, "not ready")), false));
    }
    let started = Instant::now();
    let outcomes = rig.all(vec![vec![put("a")], vec![put("b")]]).await;
    assert!(warm.await.unwrap().is_err());
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().class(), Class::Transient);
    }
    assert!(started.elapsed() >= Duration::from_mins(1) && started.elapsed() < Duration::from_secs(200));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_log_in_does_not_try_again() {
    let rig = rig(10, |_| {});
    rig.fake
        .lock()
        .faults
        .push_back((Error::Unauthorized { url: "u".into() }, false));
    let outcome = rig.batcher.submit(Priority::User, vec![put("a")]).await;
    assert_eq!(outcome, Err(Error::Unauthorized { url: "u".into() }));
    assert_eq!(rig.sizes(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_delete_is_settled_by_direct_reads() {
    let rig = rig(10, |_| {});
    rig.fake.lock().exists.extend(["a".to_owned(), "b".to_owned()]);
    let lost = Error::AmbiguousWrite {
        url: String::new(),
        cause: String::new(),
    };
    rig.fake.lock().faults.push_back((lost, true));
    rig.batcher
        .submit(Priority::User, vec![delete("a"), delete("b"), put("c")])
        .await
        .unwrap();
    let state = rig.fake.lock();
    assert_eq!(state.exists, ["c".to_owned()].into());
    assert_eq!(state.sent, [vec!["a", "b", "c"], vec!["a", "b", "c"], vec!["c"]]);
    assert_eq!(state.landed, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn deleting_what_is_not_there_succeeds() {
    let rig = rig(10, |_| {});
    rig.batcher
        .submit(Priority::User, vec![delete("ghost")])
        .await
        .unwrap();
    let state = rig.fake.lock();
    assert_eq!(
        (state.sent.len(), state.probes.as_slice()),
        (1, ["ghost".to_owned()].as_slice())
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_torn_from_what_it_needs_gets_a_second_chance() {
    let rig = rig(10, |_| {});
    {
        let mut state = rig.fake.lock();
        state.poison.insert("bad".into());
        state.needs.push(("a".into(), "z".into()));
    }
    let warm = rig.queue(vec![put("warm")]).await;
    let outcomes = rig
        .all(vec![
            vec![put("a")],
            vec![put("bad")],
            vec![put("y")],
            vec![put("z")],
        ])
        .await;
    warm.await.unwrap().unwrap();
    let failed: Vec<bool> = outcomes.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn what_stays_blocked_is_told_so() {
    let rig = rig(10, |_| {});
    rig.fake.lock().needs.push(("a".into(), "missing".into()));
    let warm = rig.queue(vec![put("warm")]).await;
    let outcomes = rig.all(vec![vec![put("a")], vec![put("b")]]).await;
    warm.await.unwrap().unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap_err().class(), Class::Blocked);
    assert!(outcomes[1].is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_before_sending_sends_nothing() {
    let rig = rig(1000, |_| {});
    let first = rig.queue(vec![put("a")]).await;
    let quitter = rig.queue(vec![put("b")]).await;
    let third = rig.queue(vec![put("c")]).await;
    quitter.abort();
    first.await.unwrap().unwrap();
    third.await.unwrap().unwrap();
    assert_eq!(rig.fake.lock().sent, [vec!["a"], vec!["c"]]);
    rig.batcher.submit(Priority::User, vec![put("b")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_was_taken_and_takes_no_more() {
    let rig = rig(1000, |_| {});
    let first = rig.queue(vec![put("a")]).await;
    let second = rig.queue(vec![put("b")]).await;
    let draining = {
        let batcher = Arc::clone(&rig.batcher);
        tokio::spawn(async move { batcher.drain().await })
    };
    tokio::task::yield_now().await;
    assert_eq!(
        rig.batcher.submit(Priority::User, vec![put("c")]).await,
        Err(Error::ShuttingDown)
    );
    draining.await.unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(rig.fake.lock().exists.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is poison, whatever fails on the way: every unit gets its own true outcome.
    #[test]
    fn every_unit_gets_its_own_outcome(
        poison in prop::collection::vec(prop::bool::weighted(0.15), 1..60),
        faults in prop::collection::vec(any::<bool>(), 0..6),
        children in 1_usize..20,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let rig = rig(10, |limits| (limits.children, limits.writers) = (children, 3));
            let id = |n: usize| format!("s{n}");
            {
                let mut state = rig.fake.lock();
                state.poison = (0..poison.len()).filter(|n| poison[*n]).map(id).collect();
                for commits in faults {
                    let lost = Error::AmbiguousWrite { url: String::new(), cause: String::new() };
                    // A poisoned batch never commits.
                    state.faults.push_back((if commits { Error::Busy(refusal(0, "busy")) } else { lost }, false));
                }
            }
            let outcomes = rig.all((0..poison.len()).map(|n| vec![put(&id(n))]).collect()).await;
            let state = rig.fake.lock();
            for (n, outcome) in outcomes.iter().enumerate() {
                prop_assert_eq!(outcome.is_err(), poison[n]);
                prop_assert_eq!(state.exists.contains(&id(n)), !poison[n]);
            }
            prop_assert!(state.sent.iter().all(|batch| batch.len() <= children));
            Ok(())
        })?;
    }
}
