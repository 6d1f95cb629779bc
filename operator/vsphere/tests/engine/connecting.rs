//! Logging in, what a mirror shows at first, and logging out.

use vsphere::{Class, Engine, Error, Lookup, Vlan};

use crate::lab::{Lab, PASSWORD, USERNAME};

#[tokio::test]
async fn a_loaded_mirror_shows_the_whole_datacenter() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let about = engine.about();
    assert!(
        !about.instance_uuid.is_empty() && !about.api_version.is_empty(),
        "{about:?}"
    );
    engine.read(|inventory| {
        assert_eq!(inventory.datacenter().unwrap().moref, engine.datacenter());
        let cluster = inventory.find_cluster("DC0_C0").unwrap();
        assert!(cluster.drs);
        assert_eq!(cluster.hosts.len(), 3);
        assert!(
            inventory
                .hosts
                .values()
                .all(|host| host.is_usable() && cluster.hosts.contains(&host.moref))
        );
        let datastore = inventory.find_datastore("LocalDS_0").unwrap();
        assert!(datastore.accessible && datastore.free > 0 && datastore.capacity >= datastore.free);
        assert_eq!(datastore.hosts.len(), 3);
        let switch = inventory.find_switch("DVS0").unwrap();
        assert!(!switch.uuid.is_empty());
        let (uplinks, groups): (Vec<_>, Vec<_>) = inventory
            .port_groups_of(&switch.moref)
            .partition(|group| group.uplink);
        assert_eq!(uplinks.first().unwrap().vlan, Vlan::Trunk(vec![(0, 4094)]));
        assert_eq!(groups.first().unwrap().vlan, Vlan::Id(0));
        assert!(
            groups
                .iter()
                .all(|group| !group.config_version.is_empty() && !group.key.is_empty())
        );
        let pool = inventory.find_pool("Containers").unwrap();
        assert_eq!(pool.owner.as_ref(), Some(&cluster.moref));
        assert_eq!(
            inventory.path(&pool.moref).as_deref(),
            Some("DC0/host/DC0_C0/Resources/Containers")
        );
    });
}

#[tokio::test]
async fn what_a_user_writes_leads_to_one_object() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    engine.read(|inventory| {
        let pool = &inventory.find_pool("Containers").unwrap().moref;
        assert_eq!(&inventory.find_compute("Containers").unwrap().moref, pool);
        let root = inventory.find_compute("DC0_C0").unwrap();
        assert_eq!(
            root.moref,
            inventory.find_pool("DC0_C0/Resources").unwrap().moref,
            "a cluster stands for its root pool"
        );
        for text in [
            "DC0_C0/Resources/Containers",
            "host/DC0_C0/Resources/Containers",
            "/DC0/host/DC0_C0/Resources/Containers",
            pool.value.as_str(),
            &pool.to_string(),
        ] {
            assert_eq!(
                inventory.find_pool(text).map(|pool| &pool.moref),
                Ok(pool),
                "{text}"
            );
        }
        for text in [
            "Resources/Containers",
            "DC0_C0/Containers",
            "Folder:resgroup-1",
            "",
            "/",
        ] {
            assert_eq!(inventory.find_compute(text), Err(Lookup::Missing), "{text}");
        }
    });
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_tried_again() {
    let Some(lab) = Lab::start().await else { return };
    let mut config = lab.config();
    config.password = "wrong".to_owned();
    let error = Engine::connect(config).await.unwrap_err();
    assert_eq!((error.class(), &error), (Class::Blocked, &Error::InvalidLogin));
    let logins = lab
        .calls()
        .await
        .into_iter()
        .filter(|method| method == "Login")
        .count();
    assert_eq!(logins, 1);
    assert!(!format!("{error} {error:?}").contains("wrong"));
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_untrusted() {
    let Some(lab) = Lab::start().await else { return };
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(other.cert.der().clone()).unwrap();
    let error = Engine::connect(lab.config_with(roots)).await.unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Blocked);
    assert!(lab.calls().await.is_empty(), "nothing may be said to a stranger");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_untrusted() {
    let Some(lab) = Lab::start().await else { return };
    let mut config = lab.config();
    config.url = config.url.replace("127.0.0.1", "127.0.0.2");
    match Engine::connect(config).await.unwrap_err() {
        // Where the server listens on one address only, it is not even reached.
        Error::Untrusted { .. } | Error::Unreachable { .. } => {}
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_unreachable() {
    let Some(lab) = Lab::start().await else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut config = lab.config();
    config.url = format!("https://127.0.0.1:{port}");
    let error = Engine::connect(config).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Transient);
}

#[tokio::test]
async fn only_https_is_spoken() {
    let Some(lab) = Lab::start().await else { return };
    for url in ["http://127.0.0.1", "127.0.0.1", "", "https://"] {
        let mut config = lab.config();
        config.url = url.to_owned();
        let error = Engine::connect(config).await.unwrap_err();
        assert_eq!(error, Error::InvalidUrl { url: url.to_owned() });
    }
}

#[tokio::test]
async fn an_unknown_datacenter_leaves_no_session() {
    let Some(lab) = Lab::start().await else { return };
    let mut config = lab.config();
    config.datacenter = "DC9".to_owned();
    let error = Engine::connect(config).await.unwrap_err();
    assert_eq!(error.to_string(), "The datacenter DC9 does not exist.");
    assert_eq!(lab.calls().await.last().map(String::as_str), Some("Logout"));
}

#[tokio::test]
async fn a_shutdown_logs_out_and_ends_what_is_awaited() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    engine.shutdown().await;
    assert_eq!(lab.calls().await.last().map(String::as_str), Some("Logout"));
    let after = engine
        .create_folder(&crate::lab::vm_folder(&engine), "late")
        .await;
    assert_eq!(after, Err(Error::Closed));
    engine.shutdown().await;
    let logouts = lab
        .calls()
        .await
        .into_iter()
        .filter(|method| method == "Logout")
        .count();
    assert_eq!(logouts, 1, "a second shutdown has nothing to do");
}

#[tokio::test]
async fn nothing_printed_tells_the_password() {
    let Some(lab) = Lab::start().await else { return };
    let config = lab.config();
    let printed = format!("{config:?}");
    assert!(
        printed.contains(USERNAME) && !printed.contains(PASSWORD),
        "{printed}"
    );
    let engine = lab.engine().await;
    let printed = format!("{engine:?}");
    assert!(
        printed.contains("DC0") && !printed.contains(PASSWORD),
        "{printed}"
    );
}
