//! What users' changes meet on the way to NSX.

#[cfg(test)]
mod manager;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::Method;
use manager::{Fault, Manager, delete, owned, owner_tags, put, segment, until};
use nsx::{Class, Error, Health, Priority, Realization, Trouble};
use serde_json::json;

fn rule(id: &str) -> String {
    format!("/infra/tier-1s/edge/nat/USER/nat-rules/{id}")
}

async fn submit_many(engine: &nsx::Engine, ids: impl Iterator<Item = String>) -> Vec<Result<(), Error>> {
    let units = ids.map(|id| engine.submit(Priority::User, vec![segment(&id)]));
    futures::future::join_all(units).await
}

#[tokio::test]
async fn a_thousand_objects_cost_a_handful_of_calls_and_are_all_realized() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    let outcomes = submit_many(&engine, (0..1000).map(|n| format!("s{n}"))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert!(
        manager.calls("PATCH", "/infra") <= 4,
        "{}",
        manager.calls("PATCH", "/infra")
    );
    assert_eq!(owned(&engine).len(), 1000, "own writes are seen at once");
    until(&engine, || {
        owned(&engine)
            .iter()
            .all(|o| o.realization == Realization::Realized && !o.pending)
    })
    .await;
    assert!(
        manager.calls("GET", "search") < 40,
        "{}",
        manager.calls("GET", "search")
    );
}

#[tokio::test]
async fn a_session_that_expires_mid_batch_is_renewed_once_for_all() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.fault(Method::PATCH, "/infra", Fault::Expire);
    let outcomes = submit_many(&engine, (0..20).map(|n| format!("s{n}"))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(manager.lock().logins, 2);
    assert_eq!(manager.lock().objects.len(), 20);
}

/// Reads that succeed meanwhile do not make a manager well that confirms no write.
#[tokio::test]
async fn a_manager_that_confirms_no_write_counts_as_troubled_until_it_does() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    for _ in 0..2 {
        manager.fault(Method::PATCH, "/infra", Fault::BreakAfter);
    }
    let mut health = engine.health();
    let submitted = tokio::spawn({
        let engine = engine.clone();
        async move { engine.submit(Priority::User, vec![segment("s")]).await }
    });
    let degraded = |health: &Health| matches!(health, Health::Degraded(_, Trouble::Unreachable));
    health.wait_for(degraded).await.unwrap();
    while manager.calls("PATCH", "/infra") < 2 {
        engine.fetch("/infra/segments/s").await.unwrap();
        assert!(degraded(&health.borrow()) || manager.calls("PATCH", "/infra") > 2);
        tokio::task::yield_now().await;
    }
    submitted.await.unwrap().unwrap();
    assert_eq!(*health.borrow(), Health::Connected);
}

/// The right to write can be lost between two attempts: a batch that is repeated asks before each.
#[tokio::test]
async fn a_batch_is_not_repeated_by_who_may_no_longer_write() {
    let manager = Manager::start().await;
    let engine = manager
        .engine_with(|config, _| {
            let asked = AtomicU32::new(0);
            config.may_write = Arc::new(move || asked.fetch_add(1, Ordering::SeqCst) == 0);
        })
        .await;
    manager.fault(Method::PATCH, "/infra", Fault::Answer(503, String::new()));
    let outcome = engine.submit(Priority::User, vec![segment("s")]).await;
    assert_eq!(outcome, Err(Error::Fenced));
    assert_eq!(outcome.unwrap_err().class(), Class::Blocked);
    assert_eq!(manager.calls("PATCH", "/infra"), 1);
    assert!(manager.lock().objects.is_empty());
}

#[tokio::test]
async fn many_refused_calls_at_once_cost_one_login() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.put("/infra/tier-1s/edge", "Tier1", &json!({}));
    manager.fault(Method::GET, "/infra/", Fault::Expire);
    let reads = (0..20).map(|n| {
        let engine = engine.clone();
        async move { engine.fetch(&format!("/infra/segments/s{n}-x")).await }
    });
    for outcome in futures::future::join_all(reads).await {
        assert_eq!(outcome, Ok(None));
    }
    assert!(manager.lock().logins <= 2, "{}", manager.lock().logins);
}

#[tokio::test]
async fn a_storm_of_429_delays_and_loses_nothing() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    let body = json!({"module_name": "common-services", "error_code": "102", "error_message": "too fast"})
        .to_string();
    for _ in 0..3 {
        manager.fault(Method::PATCH, "/infra", Fault::Answer(429, body.clone()));
    }
    let outcomes = submit_many(&engine, (0..50).map(|n| format!("s{n}"))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(manager.lock().objects.len(), 50);
    assert_eq!(engine.stats().pushed_back, 3);
    assert_eq!(
        *engine.health().borrow(),
        Health::Connected,
        "a few refusals are everyday life"
    );
}

#[tokio::test]
async fn a_web_page_instead_of_an_answer_is_tried_again() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.fault(
        Method::PATCH,
        "/infra",
        Fault::Answer(502, "<html><h1>Bad Gateway</h1></html>".into()),
    );
    manager.fault(
        Method::PATCH,
        "/infra",
        Fault::Answer(200, "<html>Please log in</html>".into()),
    );
    engine.submit(Priority::User, vec![segment("a")]).await.unwrap();
    assert_eq!(manager.calls("PATCH", "/infra"), 3);
    assert!(manager.lock().objects.contains_key("/infra/segments/a"));
}

#[tokio::test]
async fn an_answer_lost_after_the_change_is_settled() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.fault(Method::PATCH, "/infra", Fault::BreakAfter);
    engine
        .submit(Priority::User, vec![segment("a"), segment("b")])
        .await
        .unwrap();
    assert_eq!(manager.calls("PATCH", "/infra"), 2);
    manager.fault(Method::PATCH, "/infra", Fault::BreakAfter);
    let deletes = ["a", "b"].map(|id| delete(&format!("/infra/segments/{id}"), "Segment"));
    engine.submit(Priority::User, deletes.into()).await.unwrap();
    assert!(manager.lock().objects.is_empty() && owned(&engine).is_empty());
}

#[tokio::test]
async fn one_bad_object_among_many_gets_the_error_alone() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.lock().poison.push("/infra/segments/s77".into());
    let outcomes = submit_many(&engine, (0..1000).map(|n| format!("s{n}"))).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Err(Error::Overlap(refusal)) => {
                assert_eq!((n, refusal.code), (77, 500_105));
                assert_eq!(outcome.as_ref().unwrap_err().class(), Class::Terminal);
            }
            other => assert!(other.is_ok() && n != 77, "{n}: {other:?}"),
        }
    }
    assert_eq!(manager.lock().objects.len(), 999);
    let calls = manager.calls("PATCH", "/infra");
    assert!(calls <= 30, "{calls} calls");
    assert!(engine.get("/infra/segments/s77").is_none());
}

#[tokio::test]
async fn re_creating_waits_until_the_old_object_is_gone() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.lock().slow_removal = true;
    engine.submit(Priority::User, vec![segment("a")]).await.unwrap();
    until(&engine, || {
        engine.get("/infra/segments/a").is_some_and(|a| !a.pending)
    })
    .await;
    engine
        .submit(Priority::User, vec![delete("/infra/segments/a", "Segment")])
        .await
        .unwrap();
    assert!(engine.get("/infra/segments/a").is_none() && engine.is_deleting("/infra/segments/a"));
    let writes = manager.calls("PATCH", "/infra");
    let outcome = engine.submit(Priority::User, vec![segment("a")]).await;
    assert!(matches!(outcome, Err(Error::DeletePending(_))), "{outcome:?}");
    assert_eq!(manager.calls("PATCH", "/infra"), writes, "known without asking");
    let mut changes = engine.changes();
    manager.remove("/infra/segments/a");
    let told = changes.recv().await.unwrap();
    assert_eq!(told.as_ref(), ["/infra/segments/a"]);
    assert!(!engine.is_deleting("/infra/segments/a"));
    engine.submit(Priority::User, vec![segment("a")]).await.unwrap();
}

#[tokio::test]
async fn a_name_that_another_client_is_deleting_is_found_out_and_followed() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.put(
        "/infra/segments/a",
        "Segment",
        &json!({"marked_for_delete": true}),
    );
    manager.lock().objects.get_mut("/infra/segments/a").unwrap()["marked_for_delete"] = json!(true);
    let outcome = engine.submit(Priority::User, vec![segment("a")]).await;
    assert!(matches!(outcome, Err(Error::DeletePending(_))), "{outcome:?}");
    assert!(engine.is_deleting("/infra/segments/a"));
    manager.remove("/infra/segments/a");
    until(&engine, || !engine.is_deleting("/infra/segments/a")).await;
    engine.submit(Priority::User, vec![segment("a")]).await.unwrap();
}

#[tokio::test]
async fn why_nsx_could_not_realize_an_object_is_told_in_its_words() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.lock().status = "ERROR".into();
    let change = put(
        &rule("r"),
        "PolicyNatRule",
        json!({"action": "DNAT", "tags": owner_tags()}),
    );
    engine.submit(Priority::User, vec![change]).await.unwrap();
    let failed = Realization::Failed {
        message: "no edge node is up".into(),
    };
    until(&engine, || {
        engine.get(&rule("r")).is_some_and(|r| r.realization == failed)
    })
    .await;
    assert_eq!(manager.calls("GET", "realized-entities"), 1);
}

#[tokio::test]
async fn wrong_credentials_are_tried_once() {
    let manager = Manager::start().await;
    let mut config = manager.config();
    config.password = "wrong".into();
    let outcome = nsx::Engine::connect(config).await;
    assert!(matches!(outcome, Err(Error::Unauthorized { .. })), "{outcome:?}");
    assert_eq!(manager.lock().logins, 1);
}

#[tokio::test]
async fn a_password_changed_meanwhile_locks_nobody_out() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    manager.lock().password = "rotated".into();
    manager.fault(Method::PATCH, "/infra", Fault::Expire);
    for _ in 0..5 {
        let outcome = engine.submit(Priority::User, vec![segment("a")]).await;
        assert!(matches!(outcome, Err(Error::Unauthorized { .. })), "{outcome:?}");
    }
    assert_eq!(manager.lock().logins, 2, "one that worked, one that did not");
    let health = engine.health();
    assert!(matches!(
        &*health.borrow(),
        Health::Degraded(_, Trouble::Unauthorized)
    ));
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_as_such() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    let body = json!({"error_code": 403, "error_message": "User is not authorized"}).to_string();
    for _ in 0..2 {
        manager.fault(Method::PATCH, "/infra", Fault::Answer(403, body.clone()));
    }
    let outcome = engine.submit(Priority::User, vec![segment("a")]).await;
    assert!(matches!(outcome, Err(Error::Forbidden(_))), "{outcome:?}");
    engine.submit(Priority::User, vec![segment("a")]).await.unwrap();
}

#[tokio::test]
async fn shutdown_finishes_what_was_submitted_and_logs_out() {
    let manager = Manager::start().await;
    let engine = manager.engine().await;
    let unit = {
        let engine = engine.clone();
        tokio::spawn(async move { engine.submit(Priority::User, vec![segment("a")]).await })
    };
    until(&engine, || {
        engine.stats().calls > 3 || !manager.lock().objects.is_empty()
    })
    .await;
    engine.shutdown().await;
    unit.await.unwrap().unwrap();
    assert_eq!(manager.lock().destroyed, 1);
    assert_eq!(
        engine.submit(Priority::User, vec![segment("b")]).await,
        Err(Error::ShuttingDown)
    );
}
