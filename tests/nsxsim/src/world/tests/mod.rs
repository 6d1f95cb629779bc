//! The world's rules, each shown at work.

mod deleting;
mod hierarchy;
mod pools;
mod projects;
mod properties;
mod realizing;
mod references;
mod revisions;
mod trees;

#[test]
fn uuids_are_of_version_four() {
    let uuid = super::new_uuid();
    assert_eq!(uuid.len(), 36);
    assert_eq!(uuid.as_bytes()[14], b'4');
    assert!(b"89ab".contains(&uuid.as_bytes()[19]));
    assert_ne!(uuid, super::new_uuid());
}

#[test]
fn a_fresh_manager_has_what_a_site_has() {
    let world = super::World::new(5).unwrap();
    let point = "/infra/sites/default/enforcement-points/default";
    for path in [
        "/infra/domains/default".to_owned(),
        format!("{point}/transport-zones/overlay"),
        format!("{point}/transport-zones/vlan"),
        format!("{point}/edge-clusters/edge-cluster-1/edge-nodes/edge-2"),
        "/infra/tier-0s/vic-t0/locale-services/default".into(),
        "/infra/tier-1s/vic-edge/nat/USER".into(),
        "/infra/tier-0s/vic-t0/nat/NAT64".into(),
        "/infra/domains/default/gateway-policies/Policy_Default_Infra-tier1-vic-edge/rules/default_rule"
            .into(),
        "/infra/services/HTTP/service-entries/HTTP".into(),
    ] {
        assert!(world.read(&path).is_ok(), "{path}");
    }
    assert!(world.queue.next_due().is_none(), "all is settled");
    assert!(
        world
            .index
            .documents()
            .any(|d| d.get("id").is_some_and(|id| id == "vic-edge")),
        "search knows it"
    );
}
