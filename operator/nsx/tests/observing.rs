//! What an observer is told is what the manager saw.

#[cfg(test)]
mod manager;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::Method;
use manager::{Fault, Manager, segment, until};
use nsx::{Answer, Batched, Called, Observer, Priority};

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Notes {
    calls: Mutex<Vec<(String, String, Answer)>>,
    batches: Mutex<Vec<Batched>>,
}

/// A list that no panic while it was held can have left half written.
fn held<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Notes {
    fn count(&self, method: &str, template: &str, answer: Answer) -> usize {
        let calls = held(&self.calls);
        let wanted = (method.to_owned(), template.to_owned(), answer);
        calls.iter().filter(|call| **call == wanted).count()
    }
}

impl Observer for Notes {
    fn called(&self, call: &Called<'_>) {
        held(&self.calls).push((call.method.to_owned(), call.template.to_owned(), call.answer));
    }

    fn batched(&self, batch: Batched) {
        held(&self.batches).push(batch);
    }
}

async fn observed(manager: &Manager) -> (nsx::Engine, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let observer = Arc::clone(&notes);
    let engine = manager.engine_with(|config, _| config.observer = observer).await;
    (engine, notes)
}

#[tokio::test]
async fn every_exchange_is_told_with_its_template_and_status() {
    let manager = Manager::start().await;
    let (engine, notes) = observed(&manager).await;
    engine.fetch("/infra/segments/none").await.unwrap();
    engine.submit(Priority::User, vec![segment("web")]).await.unwrap();
    engine.shutdown().await;
    assert_eq!(
        notes.count("GET", "/policy/api/v1/infra/segments/{id}", Answer::Status(404)),
        1
    );
    assert_eq!(
        notes.count("PATCH", "/policy/api/v1/infra", Answer::Status(200)),
        1
    );
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (method, _, _) in notes.calls.lock().unwrap().iter() {
        *told.entry(method.clone()).or_default() += 1;
    }
    for method in ["GET", "PATCH", "POST"] {
        let seen = manager.calls(method, "");
        assert_eq!(told.get(method).copied().unwrap_or_default(), seen, "{method}");
        assert!(seen > 0, "{method}: the log holds none");
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_told_too() {
    let manager = Manager::start().await;
    let (engine, notes) = observed(&manager).await;
    manager.fault(Method::GET, "/infra/segments/web", Fault::Silence);
    tokio::select! {
        _ = engine.fetch("/infra/segments/web") => panic!("nobody answers"),
        () = until(&engine, || manager.calls("GET", "/infra/segments/web") == 1) => {}
    }
    let template = "/policy/api/v1/infra/segments/{id}";
    assert_eq!(notes.count("GET", template, Answer::Abandoned), 1);
    engine.fetch("/infra/segments/web").await.unwrap();
    assert_eq!(notes.count("GET", template, Answer::Status(404)), 1);
}

#[tokio::test]
async fn a_batch_tells_its_size_and_its_wait() {
    let manager = Manager::start().await;
    let (engine, notes) = observed(&manager).await;
    let units = (0..20).map(|n| engine.submit(Priority::User, vec![segment(&format!("s{n}"))]));
    let outcomes = futures::future::join_all(units).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let batches = notes.batches.lock().unwrap();
    assert_eq!(batches.iter().map(|batch| batch.units).sum::<usize>(), 20);
    assert_eq!(batches.iter().map(|batch| batch.objects).sum::<usize>(), 20);
    assert_eq!(batches.len(), manager.calls("PATCH", "/infra"));
    assert_eq!(engine.stats().oldest, Duration::ZERO, "nothing waits any more");
}
