//! The way to a manager: certificates, nodes, redirects, silence.

#[cfg(test)]
mod manager;

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use manager::{Fault, Manager, segment, tls, until};
use nsx::{Class, Engine, Error, Health, Priority, Trouble};
use tokio::net::TcpListener;

/// A TLS server with a certificate of its own that says nothing once connected.
#[cfg(test)]
async fn tls_server(name: &str) -> (String, rcgen::Certificate) {
    let key = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let secret = rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], secret.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(acceptor.accept(stream).await);
        }
    });
    (format!("https://localhost:{port}"), key.cert)
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_told_apart_from_other_trouble() {
    let manager = Manager::start().await;
    let (url, _) = tls_server("localhost").await;
    let mut config = manager.config();
    config.urls = vec![url.clone()];
    let error = Engine::connect(config).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the certificate of NSX manager {url} is not trusted: it is signed by an unknown authority")
    );
    assert_eq!(error.class(), Class::Blocked);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted_either() {
    let manager = Manager::start().await;
    let (url, certificate) = tls_server("nsx.example").await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let mut config = manager.config();
    (config.urls, config.tls) = (vec![url], tls(roots));
    let error = Engine::connect(config).await.unwrap_err();
    assert!(
        error.to_string().ends_with("it is made out to another name"),
        "{error}"
    );
}

#[tokio::test]
async fn a_trusted_server_that_hangs_up_is_no_matter_of_trust() {
    let manager = Manager::start().await;
    let (url, certificate) = tls_server("localhost").await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let mut config = manager.config();
    (config.urls, config.tls) = (vec![url], tls(roots));
    let error = Engine::connect(config).await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Transient);
}

/// An address where nobody listens.
#[cfg(test)]
async fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let manager = Manager::start().await;
    let url = dead().await;
    let mut config = manager.config();
    config.urls = vec![url.clone()];
    let error = Engine::connect(config).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("NSX manager {url} cannot be reached: ")),
        "{error}"
    );
    let mut config = manager.config();
    config.urls = Vec::new();
    assert!(matches!(Engine::connect(config).await, Err(Error::Setup { .. })));
}

#[tokio::test]
async fn the_next_node_is_taken_when_one_is_down() {
    let manager = Manager::start().await;
    let down = dead().await;
    let engine = manager.engine_with(|config, _| config.urls.insert(0, down)).await;
    engine.submit(Priority::User, vec![segment("a")]).await.unwrap();
    assert_eq!(manager.lock().logins, 1);
    assert_eq!(*engine.health().borrow(), Health::Connected);
}

#[tokio::test]
async fn a_session_is_bound_to_its_node_and_made_anew_on_the_next() {
    let (one, two) = (Manager::start().await, Manager::start().await);
    let other = two.url.clone();
    let engine = one.engine_with(|config, _| config.urls.push(other)).await;
    assert_eq!((one.lock().logins, two.lock().logins), (1, 0));
    // The node hands its clients on; whatever address it names, only declared ones are used.
    one.fault(Method::PATCH, "/infra", Fault::Answer(307, String::new()));
    engine.submit(Priority::User, vec![segment("a")]).await.unwrap();
    assert_eq!((one.lock().logins, two.lock().logins), (1, 1));
    assert!(one.lock().objects.is_empty() && two.lock().objects.len() == 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let manager = Manager::start().await;
    manager.fault(
        Method::POST,
        "/api/session/create",
        Fault::Answer(301, String::new()),
    );
    let error = Engine::connect(manager.config()).await.unwrap_err();
    assert!(matches!(error, Error::Redirected { .. }), "{error:?}");
    assert_eq!(manager.lock().log.len(), 1);
}

#[tokio::test]
async fn silence_ends_with_the_timeout_and_shows_in_the_health() {
    let manager = Manager::start().await;
    let engine = manager
        .engine_with(|_, tuning| {
            tuning.write_timeout = Duration::from_millis(50);
            tuning.patience = Duration::from_millis(200);
        })
        .await;
    for _ in 0..20 {
        manager.fault(Method::PATCH, "/infra", Fault::Silence);
    }
    let outcome = engine.submit(Priority::User, vec![segment("a")]).await;
    assert!(
        matches!(outcome, Err(Error::AmbiguousWrite { .. })),
        "{outcome:?}"
    );
    assert!(matches!(
        &*engine.health().borrow(),
        Health::Degraded(_, Trouble::Unreachable)
    ));
    manager.lock().faults.clear();
    engine.submit(Priority::User, vec![segment("a")]).await.unwrap();
    let mut health = engine.health();
    assert_eq!(*health.borrow_and_update(), Health::Connected);
    until(&engine, || {
        engine.get("/infra/segments/a").is_some_and(|a| !a.pending)
    })
    .await;
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_tasks() {
    let manager = Manager::start().await;
    let engine = manager
        .engine_with(|config, _| config.resync = Duration::from_millis(20))
        .await;
    let clone = engine.clone();
    drop(engine);
    let before = manager.calls("GET", "search");
    while manager.calls("GET", "search") < before + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(clone);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let after = manager.calls("GET", "search");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(manager.calls("GET", "search"), after);
}
