//! The feed and the task hub against a scripted vCenter, through the engine.

use crate::engine::Engine;
use crate::error::Error;
use crate::health::{Degradation, Health};
use crate::inventory::Inventory;
use crate::moref::Moref;
use crate::testing::{Scene, Scripted, folder};

fn moref(id: &str) -> Moref {
    Moref::new("Folder", id)
}

fn names(engine: &Engine) -> Vec<String> {
    let mut names: Vec<String> = engine.read(|inventory| {
        inventory
            .folders
            .values()
            .map(|folder| folder.name.clone())
            .collect()
    });
    names.sort();
    names
}

async fn eventually(engine: &Engine, mut condition: impl FnMut(&Inventory) -> bool) {
    let mut changes = engine.changes();
    while !engine.read(&mut condition) {
        let _ = changes.recv().await;
    }
}

fn task(id: &str, changes: &str) -> Scene {
    Scene::Done(format!(
        "<returnval><version>t</version><filterSet><filter type=\"PropertyFilter\">tasks</filter><objectSet>\
         <kind>modify</kind><obj type=\"Task\">{id}</obj>{changes}</objectSet></filterSet></returnval>"
    ))
}

fn change(path: &str, value: &str) -> String {
    format!("<changeSet><name>info.{path}</name><op>assign</op>{value}</changeSet>")
}

#[tokio::test]
async fn a_mirror_is_loaded_when_the_last_page_came() {
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    vcenter.objects("1", true, &folder("enter", "a", "A"));
    eventually(&engine, |inventory| inventory.folders.len() == 1).await;
    assert!(!engine.is_loaded());
    vcenter.objects("2", false, &folder("enter", "b", "B"));
    engine.loaded().await;
    assert_eq!(names(&engine), ["A", "B"]);
    let versions: Vec<String> = vcenter
        .seen("WaitForUpdatesEx")
        .iter()
        .map(|seen| seen.request.text_of("version").unwrap().to_owned())
        .collect();
    assert_eq!(versions[..2], ["", "1"]);
}

#[tokio::test]
async fn after_a_new_login_everything_is_made_anew_and_compared() {
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    let all = [
        folder("enter", "a", "A"),
        folder("enter", "b", "B"),
        folder("enter", "c", "C"),
    ]
    .concat();
    vcenter.objects("1", false, &all);
    engine.loaded().await;
    let mut changes = engine.changes();

    vcenter.called("WaitForUpdatesEx", 2).await;
    vcenter.expire();
    vcenter.update(Scene::Fault("NotAuthenticated"));
    // The first page of the full state lacks everything else, and nothing may be concluded from that.
    vcenter.objects("9", true, &folder("enter", "a", "A"));
    vcenter.objects(
        "10",
        false,
        &[folder("enter", "b", "B2"), folder("enter", "d", "D")].concat(),
    );
    let mut told = Vec::new();
    while told.len() < 3 {
        told.extend_from_slice(&changes.recv().await.unwrap());
    }
    told.sort();
    assert_eq!(
        told,
        [moref("b"), moref("c"), moref("d")],
        "what is as it was is no change"
    );
    assert_eq!(names(&engine), ["A", "B2", "D"]);
    assert!(engine.is_loaded());
    let counts = [
        "Login",
        "CreatePropertyCollector",
        "CreateFilter",
        "CreateListView",
    ]
    .map(|method| vcenter.seen(method).len());
    assert_eq!(counts, [2, 2, 4, 2]);
    let waits = vcenter.seen("WaitForUpdatesEx");
    let restarted = waits
        .iter()
        .filter(|seen| seen.request.text_of("version") == Some(""))
        .count();
    assert_eq!(restarted, 2);
}

#[tokio::test]
async fn a_version_that_is_not_known_any_more_starts_anew_in_the_same_session() {
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    vcenter.objects(
        "1",
        false,
        &[folder("enter", "a", "A"), folder("enter", "b", "B")].concat(),
    );
    engine.loaded().await;
    vcenter.update(Scene::Fault("InvalidCollectorVersion"));
    vcenter.objects("2", false, &folder("enter", "a", "A"));
    eventually(&engine, |inventory| inventory.folders.len() == 1).await;
    assert_eq!(vcenter.seen("Login").len(), 1);
    assert_eq!(vcenter.seen("CreatePropertyCollector").len(), 1);
}

#[tokio::test]
async fn a_broken_wait_goes_on_where_it_was_but_a_broken_page_starts_anew() {
    for (truncated, resumed) in [(false, "1"), (true, "")] {
        let vcenter = Scripted::start().await;
        let engine = Engine::connect(vcenter.config()).await.unwrap();
        let mut health = engine.health();
        vcenter.objects("1", truncated, &folder("enter", "a", "A"));
        vcenter.update(Scene::Status(503));
        let degraded = health
            .wait_for(|health| *health != Health::Connected)
            .await
            .unwrap()
            .clone();
        assert!(
            matches!(degraded, Health::Degraded(_, Degradation::Unreachable)),
            "{degraded:?}"
        );
        vcenter.objects(
            "2",
            false,
            &[folder("enter", "a", "A"), folder("enter", "b", "B")].concat(),
        );
        health
            .wait_for(|health| *health == Health::Connected)
            .await
            .unwrap();
        eventually(&engine, |inventory| inventory.folders.len() == 2).await;
        let after = vcenter.seen("WaitForUpdatesEx")[2].request.clone();
        assert_eq!(after.text_of("version"), Some(resumed));
        let patience = after.child("options").unwrap().text_of("maxWaitSeconds");
        assert_eq!(patience, Some("0"), "that all is well is to be known at once");
        assert_eq!(vcenter.seen("CreatePropertyCollector").len(), 1);
    }
}

#[tokio::test]
async fn refused_credentials_show_in_the_health() {
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    let mut health = engine.health();
    vcenter.objects("1", false, &folder("enter", "a", "A"));
    engine.loaded().await;
    vcenter.called("WaitForUpdatesEx", 2).await;
    vcenter.expire();
    vcenter.script("Login", vec![Scene::Fault("InvalidLogin"); 10]);
    vcenter.update(Scene::Fault("NotAuthenticated"));
    let degraded = health
        .wait_for(|health| *health != Health::Connected)
        .await
        .unwrap()
        .clone();
    let sentence = "vCenter refused the user name or the password.".to_owned();
    assert_eq!(degraded, Health::Degraded(sentence, Degradation::Credentials));
    assert_eq!(names(&engine), ["A"], "what is known stays readable");
    assert_eq!(engine.rename(&moref("a"), "B").await, Err(Error::InvalidLogin));
    assert_eq!(vcenter.seen("Login").len(), 2);
}

#[tokio::test]
async fn a_task_is_hung_into_the_view_and_taken_out_with_the_next() {
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    vcenter.objects("1", false, &folder("enter", "a", "A"));
    engine.loaded().await;
    for (times, id, name) in [(1, "task-4", "B"), (2, "task-6", "C")] {
        let object = moref("a");
        let done = async {
            vcenter.called("ModifyListView", times).await;
            vcenter.objects("2", false, &folder("modify", "a", name));
            vcenter.update(task(id, &change("state", "<val>running</val>")));
            vcenter.update(task(id, &change("state", "<val>success</val>")));
        };
        let (result, ()) = tokio::join!(engine.rename(&object, name), done);
        result.unwrap();
    }
    let views = vcenter.seen("ModifyListView");
    let texts = |at: usize, name: &str| -> Vec<String> {
        views[at]
            .request
            .all(name)
            .map(|node| node.text.clone())
            .collect()
    };
    assert_eq!(
        (texts(0, "add"), texts(0, "remove")),
        (vec!["task-4".to_owned()], vec![])
    );
    assert_eq!(
        (texts(1, "add"), texts(1, "remove")),
        (vec!["task-6".to_owned()], vec!["task-4".to_owned()])
    );
}

#[tokio::test]
async fn a_result_that_is_told_after_the_success_is_read() {
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    let datastore = "<objectSet><kind>enter</kind><obj type=\"Datastore\">ds</obj><changeSet><name>name</name>\
        <val>ds</val></changeSet><changeSet><name>browser</name><val type=\"HostDatastoreBrowser\">b</val>\
        </changeSet></objectSet>";
    vcenter.objects("1", false, datastore);
    engine.loaded().await;
    let read = "<returnval><objects><obj type=\"Task\">task-4</obj><propSet><name>info.state</name>\
        <val>success</val></propSet><propSet><name>info.result</name><val><file><path>x.iso</path>\
        <fileSize>7</fileSize></file></val></propSet></objects></returnval>";
    vcenter.script("RetrievePropertiesEx", [Scene::Done(read.to_owned())]);
    let images = "[ds] images".parse().unwrap();
    let done = async {
        vcenter.called("ModifyListView", 1).await;
        vcenter.update(task("task-4", &change("state", "<val>success</val>")));
    };
    let (files, ()) = tokio::join!(engine.search_directory(&images, "*"), done);
    let files = files.unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!((files[0].name.as_str(), files[0].size), ("x.iso", 7));
}

#[tokio::test]
async fn a_task_that_vcenter_forgot_has_an_unknown_outcome() {
    let forgotten = "<returnval type=\"Task\">task-4</returnval>";
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    vcenter.objects("1", false, &folder("enter", "a", "A"));
    engine.loaded().await;
    vcenter.script("ModifyListView", [Scene::Done(forgotten.to_owned())]);
    let object = moref("a");
    let unknown = Err(Error::OutcomeUnknown {
        method: "Rename_Task".to_owned(),
    });
    assert_eq!(engine.rename(&object, "B").await, unknown);
    let gone = async {
        vcenter.called("ModifyListView", 2).await;
        vcenter.update(Scene::Done(
            "<returnval><version>t</version><filterSet><filter type=\"PropertyFilter\">tasks</filter><objectSet>\
             <kind>leave</kind><obj type=\"Task\">task-6</obj></objectSet></filterSet></returnval>"
                .to_owned(),
        ));
    };
    let (result, ()) = tokio::join!(engine.rename(&object, "B"), gone);
    assert_eq!(result, unknown);
}

#[tokio::test]
async fn a_task_is_hung_again_after_a_disturbance_or_a_new_login() {
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    vcenter.objects("1", false, &folder("enter", "a", "A"));
    engine.loaded().await;
    vcenter.script(
        "ModifyListView",
        [Scene::Status(503), Scene::Fault("NotAuthenticated")],
    );
    let object = moref("a");
    let disturbed = async {
        vcenter.called("ModifyListView", 3).await;
        // The wait of the first login was abandoned, but the server still holds it.
        vcenter.update(Scene::Break);
        vcenter.objects("1", false, &folder("enter", "a", "B"));
        vcenter.update(task("task-4", &change("state", "<val>success</val>")));
    };
    let (result, ()) = tokio::join!(engine.rename(&object, "B"), disturbed);
    result.unwrap();
    assert_eq!(
        vcenter.seen("Rename_Task").len(),
        1,
        "a task that was accepted is never started twice"
    );
    assert_eq!(vcenter.seen("Login").len(), 2);
    let added = vcenter.seen("ModifyListView");
    assert!(
        added
            .iter()
            .all(|seen| seen.request.text_of("add") == Some("task-4"))
    );
}

#[tokio::test]
async fn the_effect_is_read_where_the_feed_does_not_bring_it() {
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    vcenter.objects("1", false, &folder("enter", "a", "A"));
    engine.loaded().await;
    let read = "<returnval><objects><obj type=\"Folder\">b</obj><propSet><name>name</name><val>B</val></propSet>\
        </objects></returnval>";
    vcenter.script(
        "CreateFolder",
        [Scene::Done("<returnval type=\"Folder\">b</returnval>".to_owned())],
    );
    vcenter.script("RetrievePropertiesEx", [Scene::Done(read.to_owned())]);
    let made = engine.create_folder(&moref("a"), "B").await.unwrap();
    assert_eq!(
        engine.read(|inventory| inventory.folders[&made].name.clone()),
        "B"
    );
}

#[tokio::test]
async fn a_shutdown_ends_a_task_that_is_awaited() {
    let vcenter = Scripted::start().await;
    let engine = Engine::connect(vcenter.config()).await.unwrap();
    vcenter.objects("1", false, &folder("enter", "a", "A"));
    engine.loaded().await;
    let object = moref("a");
    let rename = engine.rename(&object, "B");
    let shutdown = async {
        vcenter.called("ModifyListView", 1).await;
        engine.shutdown().await;
    };
    let (result, ()) = tokio::join!(rename, shutdown);
    assert_eq!(result, Err(Error::Closed));
    assert_eq!(vcenter.seen("Logout").len(), 1);
}
