//! Pools and folders: limits, names and the mark.

use vsphere::{Allocation, Class, Error, Moref, PoolConfig, Shares};

use crate::lab::{Lab, eventually, pool, vm_folder};

#[tokio::test]
async fn a_pool_is_made_marked_and_renamed() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let parent = pool(&engine);
    let config = PoolConfig {
        cpu: Allocation {
            reservation: 500,
            limit: 4000,
            expandable: true,
            shares: Shares::High,
        },
        memory: Allocation {
            reservation: 1024,
            limit: -1,
            expandable: false,
            shares: Shares::Custom(1234),
        },
    };
    let made = engine.create_pool(&parent, "vch1-1234", &config).await.unwrap();
    engine.read(|inventory| {
        let pool = &inventory.pools[&made];
        assert_eq!(
            (pool.name.as_str(), pool.parent.as_ref()),
            ("vch1-1234", Some(&parent))
        );
        assert_eq!((pool.config, pool.mark.as_deref()), (config, None));
        assert_eq!(inventory.child_pool(&parent, "vch1-1234"), Some(pool));
    });
    engine.set_mark(&made, "uid <1>").await.unwrap();
    engine.read(|inventory| assert_eq!(inventory.pools[&made].mark.as_deref(), Some("uid <1>")));
    engine.update_pool(&made, Some("vch/1"), None).await.unwrap();
    engine.read(|inventory| {
        let pool = &inventory.pools[&made];
        assert_eq!((pool.name.as_str(), pool.config), ("vch/1", config));
    });
    engine
        .update_pool(&made, None, Some(&PoolConfig::default()))
        .await
        .unwrap();
    engine.read(|inventory| {
        let pool = &inventory.pools[&made];
        assert_eq!(
            (pool.name.as_str(), pool.config),
            ("vch/1", PoolConfig::default())
        );
    });
    engine.set_mark(&made, "").await.unwrap();
    engine.read(|inventory| assert_eq!(inventory.pools[&made].mark, None));
    engine.destroy(&made).await.unwrap();
    assert!(engine.read(|inventory| !inventory.pools.contains_key(&made)));
}

#[tokio::test]
async fn a_folder_is_made_marked_and_renamed() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let root = vm_folder(&engine);
    let made = engine.create_folder(&root, "vch1-1234").await.unwrap();
    engine.set_mark(&made, "mine").await.unwrap();
    engine.rename(&made, "100% vch/1").await.unwrap();
    engine.read(|inventory| {
        let folder = &inventory.folders[&made];
        assert_eq!(
            (folder.name.as_str(), folder.mark.as_deref()),
            ("100% vch/1", Some("mine"))
        );
        assert_eq!(inventory.child_folder(&root, "100% vch/1"), Some(folder));
        assert_eq!(
            inventory.find_folder("100%25 vch%2f1"),
            Ok(folder),
            "paths are written escaped"
        );
    });
    let taken = engine.create_folder(&root, "100% vch/1").await.unwrap_err();
    assert!(
        matches!(&taken, Error::DuplicateName { name, .. } if name == "100% vch/1"),
        "{taken:?}"
    );
    engine.destroy(&made).await.unwrap();
    assert!(engine.read(|inventory| inventory.child_folder(&root, "100% vch/1").is_none()));
}

#[tokio::test]
async fn names_are_taken_once() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let parent = pool(&engine);
    engine
        .create_pool(&parent, "vch1", &PoolConfig::default())
        .await
        .unwrap();
    let second = engine
        .create_pool(&parent, "vch2", &PoolConfig::default())
        .await
        .unwrap();
    for error in [
        engine
            .create_pool(&parent, "vch1", &PoolConfig::default())
            .await
            .unwrap_err(),
        engine.update_pool(&second, Some("vch1"), None).await.unwrap_err(),
        engine.rename(&second, "vch1").await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::DuplicateName { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Blocked);
    }
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_changed() {
    let Some(lab) = Lab::start().await else { return };
    let engine = lab.engine().await;
    let nothing = Moref::new("ResourcePool", "resgroup-999");
    let error = engine.update_pool(&nothing, Some("x"), None).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert!(error.to_string().contains("resgroup-999"), "{error}");
    engine.destroy(&nothing).await.unwrap();
}

#[tokio::test]
async fn two_engines_define_the_mark_once_and_see_each_others() {
    let Some(lab) = Lab::start().await else { return };
    let (one, two) = (lab.engine().await, lab.engine().await);
    let root = vm_folder(&one);
    let first = one.create_folder(&root, "first").await.unwrap();
    let second = one.create_folder(&root, "second").await.unwrap();
    eventually(&two, "both folders", |inventory| {
        inventory.folders.contains_key(&first) && inventory.folders.contains_key(&second)
    })
    .await;
    let (a, b) = tokio::join!(one.set_mark(&first, "by one"), two.set_mark(&second, "by two"));
    a.unwrap();
    b.unwrap();
    for engine in [&one, &two, &lab.engine().await] {
        eventually(engine, "both marks", |inventory| {
            inventory.folders[&first].mark.as_deref() == Some("by one")
                && inventory.folders[&second].mark.as_deref() == Some("by two")
        })
        .await;
    }
    let definitions = lab
        .calls()
        .await
        .into_iter()
        .filter(|method| method == "AddCustomFieldDef")
        .count();
    assert!((1..=2).contains(&definitions), "{definitions}");
}
