//! The session against a scripted vCenter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::testing::{Scene, Scripted};

fn ping(session: &Session) -> Call {
    Call::read("CurrentTime", &session.content().root_folder, |_| {})
}

#[tokio::test]
async fn the_cookie_and_the_servers_version_are_used() {
    let vcenter = Scripted::start().await;
    let session = Session::open(&vcenter.config()).await.unwrap();
    assert_eq!(session.content().about.api_version, "8.0.3.0");
    session.call(&ping(&session)).await.unwrap();
    let cookies: Vec<_> = ["RetrieveServiceContent", "Login", "CurrentTime"]
        .map(|method| vcenter.seen(method)[0].cookie.clone())
        .into();
    assert_eq!(
        cookies,
        [None, None, Some("vmware_soap_session=\"1\"".to_owned())]
    );
    let login = &vcenter.seen("Login")[0].request;
    let order: Vec<&str> = login.children.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(order, ["_this", "userName", "password"]);
}

#[tokio::test]
async fn many_calls_that_find_the_session_lost_log_in_once() {
    let vcenter = Scripted::start().await;
    let session = Arc::new(Session::open(&vcenter.config()).await.unwrap());
    vcenter.expire();
    let calls = (0..50).map(|_| {
        let session = session.clone();
        async move { session.call(&ping(&session)).await }
    });
    for result in futures::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(vcenter.seen("Login").len(), 2);
    assert_eq!(session.login().generation, 2);
}

/// The right to write can be lost while a login is renewed: the repeated call asks again.
#[tokio::test]
async fn a_write_is_not_repeated_by_who_may_no_longer_write() {
    let vcenter = Scripted::start().await;
    let right = Arc::new(AtomicBool::new(true));
    let (mut config, asked) = (vcenter.config(), Arc::clone(&right));
    config.may_write = Arc::new(move || asked.swap(false, Ordering::SeqCst));
    let session = Session::open(&config).await.unwrap();
    let write = || Call::write("SetField", &session.content().root_folder, |_| {});
    vcenter.expire();
    assert_eq!(session.call(&write()).await, Err(Error::Fenced));
    assert_eq!(vcenter.seen("SetField").len(), 1, "the first attempt alone");
    assert_eq!(session.call(&write()).await, Err(Error::Fenced));
    assert_eq!(vcenter.seen("SetField").len(), 1);
    session.call(&ping(&session)).await.unwrap();
    right.store(true, Ordering::SeqCst);
    assert_ne!(session.call(&write()).await, Err(Error::Fenced));
    assert_eq!(vcenter.seen("SetField").len(), 2);
}

#[tokio::test]
async fn a_call_bound_to_a_login_is_not_sent_in_another() {
    let vcenter = Scripted::start().await;
    let session = Session::open(&vcenter.config()).await.unwrap();
    vcenter.expire();
    let result = session
        .call_in(&session.login(), &ping(&session), Patience::Call)
        .await;
    assert_eq!(result, Err(Error::NotAuthenticated));
    assert_eq!(vcenter.seen("Login").len(), 1);
}

#[tokio::test]
async fn a_second_refusal_of_the_session_is_told() {
    let vcenter = Scripted::start().await;
    let session = Session::open(&vcenter.config()).await.unwrap();
    vcenter.script(
        "CurrentTime",
        [Scene::Fault("NotAuthenticated"), Scene::Fault("NotAuthenticated")],
    );
    assert_eq!(session.call(&ping(&session)).await, Err(Error::NotAuthenticated));
    assert_eq!(vcenter.seen("CurrentTime").len(), 2);
}

#[tokio::test]
async fn refused_credentials_are_not_tried_again_for_a_while() {
    let vcenter = Scripted::start().await;
    let session = Session::open(&vcenter.config()).await.unwrap();
    vcenter.expire();
    vcenter.script(
        "Login",
        [Scene::Fault("InvalidLogin"), Scene::Fault("InvalidLogin")],
    );
    for _ in 0..20 {
        assert_eq!(session.call(&ping(&session)).await, Err(Error::InvalidLogin));
    }
    assert_eq!(vcenter.seen("Login").len(), 2, "one at first, one refused");

    // Time is turned only where nothing waits on the network.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(59)).await;
    tokio::time::resume();
    assert_eq!(session.call(&ping(&session)).await, Err(Error::InvalidLogin));
    assert_eq!(vcenter.seen("Login").len(), 2, "the pause is not over");

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert_eq!(session.call(&ping(&session)).await, Err(Error::InvalidLogin));
    assert_eq!(vcenter.seen("Login").len(), 3, "one more, and a longer pause");

    tokio::time::pause();
    tokio::time::advance(REFUSAL_PAUSE + Duration::from_secs(1)).await;
    tokio::time::resume();
    assert_eq!(session.call(&ping(&session)).await, Err(Error::InvalidLogin));
    assert_eq!(vcenter.seen("Login").len(), 3);

    tokio::time::pause();
    tokio::time::advance(REFUSAL_PAUSE).await;
    tokio::time::resume();
    session
        .call(&ping(&session))
        .await
        .expect("the password was set right meanwhile");
    assert_eq!(vcenter.seen("Login").len(), 4);
}

#[tokio::test]
async fn who_waited_for_a_login_that_failed_shares_the_failure() {
    let vcenter = Scripted::start().await;
    let session = Arc::new(Session::open(&vcenter.config()).await.unwrap());
    vcenter.expire();
    vcenter.script("Login", [Scene::Status(503)]);
    let lost = session.login();
    let renewals = (0..10).map(|_| session.renew(&lost));
    let results = futures::future::join_all(renewals).await;
    let unavailable = Error::Http {
        status: 503,
        method: "Login".to_owned(),
    };
    assert!(
        results.iter().all(|result| *result == Err(unavailable.clone())),
        "{results:?}"
    );
    assert_eq!(vcenter.seen("Login").len(), 2);
    assert_eq!(
        session.renew(&lost).await.map(|login| login.generation),
        Ok(2),
        "later it works"
    );
}

#[tokio::test]
async fn a_broken_connection_means_another_thing_for_reads_and_writes() {
    let vcenter = Scripted::start().await;
    let session = Session::open(&vcenter.config()).await.unwrap();
    vcenter.script(
        "CurrentTime",
        [Scene::Break, Scene::Break, Scene::Break, Scene::Break],
    );
    let read = session.call(&ping(&session)).await.unwrap_err();
    assert!(matches!(read, Error::Unreachable { .. }), "{read:?}");
    let write = Call::write("CurrentTime", &session.content().root_folder, |_| {});
    let write = session.call(&write).await.unwrap_err();
    assert_eq!(
        write,
        Error::OutcomeUnknown {
            method: "CurrentTime".to_owned()
        }
    );
}

#[tokio::test]
async fn pages_of_a_proxy_are_no_answers() {
    let vcenter = Scripted::start().await;
    let session = Session::open(&vcenter.config()).await.unwrap();
    for status in [403, 404, 500, 502, 503] {
        vcenter.script("CurrentTime", [Scene::Status(status)]);
        let error = session.call(&ping(&session)).await.unwrap_err();
        assert_eq!(
            error,
            Error::Http {
                status,
                method: "CurrentTime".to_owned()
            }
        );
    }
    vcenter.script("CurrentTime", [Scene::Status(200)]);
    let error = session.call(&ping(&session)).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_host_that_is_no_vcenter_is_told() {
    let vcenter = Scripted::start().await;
    let managers = "<returnval><about><name>ESXi</name></about></returnval>";
    vcenter.script("RetrieveServiceContent", [Scene::Done(managers.to_owned())]);
    let error = Session::open(&vcenter.config()).await.err().unwrap();
    assert!(error.to_string().contains("this is not a vCenter"), "{error}");
    assert!(vcenter.seen("Login").is_empty(), "it gets no password");
}

#[tokio::test]
async fn a_closed_session_stays_closed() {
    let vcenter = Scripted::start().await;
    let session = Session::open(&vcenter.config()).await.unwrap();
    session.close().await;
    session.close().await;
    assert_eq!(session.call(&ping(&session)).await, Err(Error::Closed));
    assert_eq!(session.renew(&session.login()).await, Err(Error::Closed));
    assert_eq!(vcenter.seen("Logout").len(), 1);
}

#[tokio::test]
async fn what_cannot_be_said_in_xml_is_not_sent() {
    let vcenter = Scripted::start().await;
    let session = Session::open(&vcenter.config()).await.unwrap();
    let call = Call::write("Rename_Task", &session.content().root_folder, |w| {
        w.value("newName", "a\u{1}");
    });
    assert_eq!(session.call(&call).await, Err(Error::Unsendable));
    assert!(vcenter.seen("Rename_Task").is_empty());
}
