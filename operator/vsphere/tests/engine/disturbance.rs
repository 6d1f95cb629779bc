//! Lost sessions, broken connections and failing tasks.

use serde_json::json;
use vsphere::{Class, Degradation, Error, Health, PoolConfig};

use crate::lab::{Lab, eventually, pool, vm_folder};
use crate::vms::appliance;

#[tokio::test]
async fn a_call_in_a_lost_session_is_sent_again_in_a_new_one() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let root = vm_folder(&engine);
    lab.forget_calls().await;
    lab.fault("CreateFolder", json!({"action": "expire-session"}))
        .await;
    let (one, two) = tokio::join!(
        engine.create_folder(&root, "one"),
        engine.create_folder(&root, "two")
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    engine.read(|inventory| {
        assert!(inventory.folders.contains_key(&one) && inventory.folders.contains_key(&two));
    });
    // The feed lives on in the new session.
    lab.edit(json!({"what": "rename", "type": "Folder", "name": "one", "to": "renamed"}))
        .await;
    eventually(&engine, "the name", |inventory| {
        inventory.folders[&one].name == "renamed"
    })
    .await;
    let calls = lab.calls().await;
    let count = |method: &str| calls.iter().filter(|call| *call == method).count();
    assert_eq!(count("Login"), 1, "{calls:?}");
    assert_eq!(count("CreatePropertyCollector"), 1, "{calls:?}");
}

#[tokio::test]
async fn what_happened_meanwhile_is_found_after_a_new_login() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let root = vm_folder(&engine);
    let stays = engine.create_folder(&root, "stays").await.unwrap();
    let goes = engine.create_folder(&root, "goes").await.unwrap();
    let mut changes = engine.changes();
    // While the way is closed, a human removes one folder and the session ends.
    lab.control(
        "/faults",
        json!({"match": {"method": "WaitForUpdatesEx"}, "times": 3, "action": "status", "status": 503}),
    )
    .await;
    lab.fault("MakeDirectory", json!({"action": "expire-session"}))
        .await;
    lab.edit(json!({"what": "destroy", "type": "Folder", "name": "goes"}))
        .await;
    engine
        .make_directory(&vsphere::DatastorePath::new("LocalDS_0", "x"))
        .await
        .unwrap();
    eventually(&engine, "the end", |inventory| {
        !inventory.folders.contains_key(&goes)
    })
    .await;
    let mut told = Vec::new();
    while !told.contains(&goes) {
        told.extend_from_slice(&changes.recv().await.unwrap());
    }
    assert!(!told.contains(&stays), "what is as it was is no change: {told:?}");
    assert!(engine.read(|inventory| inventory.folders.contains_key(&stays)));
}

#[tokio::test]
async fn a_task_that_runs_while_the_session_is_lost_is_awaited_to_its_end() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let (folder, pool) = (vm_folder(&engine), pool(&engine));
    lab.control("/tune", json!({"task_ms": 1000})).await;
    lab.fault("ModifyListView", json!({"action": "expire-session"}))
        .await;
    let vm = engine
        .create_vm(&folder, &pool, &appliance(&engine, "vch1"))
        .await
        .unwrap();
    assert_eq!(engine.read(|inventory| inventory.vms[&vm].name.clone()), "vch1");
    let creations = lab
        .calls()
        .await
        .into_iter()
        .filter(|method| method == "CreateVM_Task")
        .count();
    assert_eq!(creations, 1, "a task that was accepted is never started twice");
}

#[tokio::test]
async fn a_broken_connection_leaves_the_outcome_to_the_mirror() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let root = vm_folder(&engine);
    lab.fault("CreateFolder", json!({"action": "drop-after-commit"}))
        .await;
    let error = engine.create_folder(&root, "vch1").await.unwrap_err();
    assert_eq!(
        error,
        Error::OutcomeUnknown {
            method: "CreateFolder".to_owned()
        }
    );
    assert_eq!(error.class(), Class::Transient);
    eventually(&engine, "the folder", |inventory| {
        inventory.child_folder(&root, "vch1").is_some()
    })
    .await;
}

#[tokio::test]
async fn failing_tasks_tell_why() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let root = vm_folder(&engine);
    let folder = engine.create_folder(&root, "vch1").await.unwrap();
    lab.fault(
        "Rename_Task",
        json!({"action": "task-fault", "fault": "HostCommunication"}),
    )
    .await;
    let error = engine.rename(&folder, "vch2").await.unwrap_err();
    assert!(
        matches!(&error, Error::Busy { fault } if fault.kind == "HostCommunication"),
        "{error:?}"
    );
    assert_eq!(error.class(), Class::Transient);
    lab.fault(
        "Rename_Task",
        json!({"action": "task-fault", "fault": "SystemError"}),
    )
    .await;
    let error = engine.rename(&folder, "vch2").await.unwrap_err();
    assert!(
        matches!(&error, Error::TaskFailed { fault } if fault.kind == "SystemError"),
        "{error:?}"
    );
    engine.rename(&folder, "vch2").await.unwrap();
}

#[tokio::test]
async fn an_unavailable_vcenter_is_told_until_it_is_back() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let mut health = engine.health();
    assert_eq!(*health.borrow_and_update(), Health::Connected);
    let unavailable = json!({
        "match": {"method": "WaitForUpdatesEx"}, "times": 1000, "action": "status", "status": 503
    });
    lab.control("/faults", unavailable).await;
    // Any change lets the wait return, so that the next one meets the fault.
    let parent = pool(&engine);
    let pool = engine.create_pool(&parent, "vch1", &PoolConfig::default()).await;
    let pool = pool.unwrap();
    let degraded = health.wait_for(|health| *health != Health::Connected).await;
    let degraded = degraded.unwrap().clone();
    assert!(
        matches!(&degraded, Health::Degraded(sentence, Degradation::Unreachable) if sentence.contains("503")),
        "{degraded:?}"
    );
    // Calls still work, and their effects are read where the feed does not bring them.
    engine.update_pool(&pool, Some("vch2"), None).await.unwrap();
    assert_eq!(
        engine.read(|inventory| inventory.pools[&pool].name.clone()),
        "vch2"
    );
    lab.end_faults().await;
    health
        .wait_for(|health| *health == Health::Connected)
        .await
        .unwrap();
}
