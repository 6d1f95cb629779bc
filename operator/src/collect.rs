//! Collects what this instance has and no custom resource asks for: what a finalizer removed by force left behind, what a
//! restored backup brought back, or what a call made that was given up for lost long ago.
//!
//! Nothing is collected by its name. What decides is the UID on the object, and that it was an orphan in two complete
//! reads of NSX. Where a custom resource of the same name stands, made anew since, it takes over what it wants of the old
//! one first; only what is left after that goes. In vCenter, which tells of each change by itself, a port group goes that
//! has been an orphan for a while; one whose network stands again never.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::reflector::Store;
use topology::Owner;
use vsphere::Moref;

use crate::context::Context;
use crate::controllers::common::submit_removal;
use crate::kind::{Kind, ObjectKey};
use crate::runner::{Declared, key_of};
use crate::sites::Connected;

/// Pause between two looks at how often NSX was read.
const LOOK: Duration = Duration::from_secs(1);
/// Objects that are collected after one read at most: a mistake, if there were one, would be slow.
const AT_ONCE: usize = 200;

/// How long a port group must have been an orphan.
const GRACE: Duration = Duration::from_secs(30);

/// An orphan: policy path and type.
type Orphan = (String, String);

/// What was found at one Site so far.
#[derive(Default)]
struct Found {
    reads: u64,
    /// Orphans in the last complete read.
    orphans: HashSet<Orphan>,
    /// Port groups that are orphans, since when.
    port_groups: HashMap<Moref, Instant>,
}

/// Collects for as long as the process runs.
pub async fn run(ctx: Arc<Context>) {
    if !ctx.openings.wait(Kind::EdgeNatRule).await {
        return;
    }
    let mut sites: HashMap<String, Found> = HashMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        for connected in ctx.sites.connections() {
            let found = sites.entry(connected.fingerprint.clone()).or_default();
            look(&ctx, &connected, found).await;
            look_at_port_groups(&ctx, &connected, &mut found.port_groups).await;
        }
    }
}

async fn look(ctx: &Context, connected: &Connected, found: &mut Found) {
    let Some(engine) = &connected.nsx else { return };
    let reads = engine.complete_reads();
    if reads == found.reads || connected.loaded().is_err() {
        return;
    }
    found.reads = reads;
    let orphans = orphans(ctx, connected, engine);
    let again: BTreeMap<String, Vec<Orphan>> = twice(&found.orphans, &orphans);
    if !orphans.is_empty() {
        tracing::info!(
            site = connected.name,
            orphans = orphans.len(),
            "nothing asks for these objects in NSX"
        );
        engine.read_all();
    }
    found.orphans = orphans.into_keys().collect();
    for (of, orphans) in again {
        let changes = orphans
            .iter()
            .map(|(path, resource_type)| nsx::Change::Delete {
                path: path.clone(),
                resource_type: resource_type.clone(),
            })
            .collect();
        // Shared objects that only these used go with them.
        let outcome = submit_removal(connected, &of, changes).await;
        connected
            .removals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&of);
        match outcome {
            Ok(()) => tracing::info!(site = connected.name, of, ?orphans, "collected"),
            // Something uses it, or NSX is busy: the next complete read shows.
            Err(error) => tracing::info!(site = connected.name, of, %error, "not collected"),
        }
    }
}

async fn look_at_port_groups(ctx: &Context, connected: &Connected, since: &mut HashMap<Moref, Instant>) {
    if !connected.vsphere.is_loaded() {
        return;
    }
    let marked = connected.vsphere.read(|inventory| {
        let groups = inventory
            .port_groups
            .values()
            .filter(|group| group.vms.is_empty());
        let owned = groups.filter_map(|group| Some((Owner::from_mark(&group.description)?, group)));
        let ours = owned.filter(|(owner, _)| owner.instance == connected.instance);
        ours.map(|(owner, group)| (owner, group.moref.clone(), group.name.clone()))
            .collect::<Vec<_>>()
    });
    if marked.is_empty() && since.is_empty() {
        return;
    }
    let claims = Declarations::of(ctx);
    let orphans: HashMap<Moref, String> = marked
        .into_iter()
        .filter(|(owner, ..)| !claims.leave_alone(owner, |_| false))
        .map(|(_, moref, name)| (moref, name))
        .collect();
    for moref in overdue(since, orphans.keys(), Instant::now()) {
        let name = orphans.get(&moref).map_or("", String::as_str);
        if connected.may_write().is_err() {
            return;
        }
        match connected.vsphere.destroy(&moref).await {
            Ok(()) => tracing::info!(site = connected.name, port_group = name, "collected"),
            Err(error) => {
                tracing::info!(site = connected.name, port_group = name, %error, "not collected");
                since.insert(moref, Instant::now());
            }
        }
    }
}

/// Orphans that have been some for long enough. What is none any more is forgotten.
fn overdue<'a>(
    since: &mut HashMap<Moref, Instant>,
    orphans: impl Iterator<Item = &'a Moref>,
    now: Instant,
) -> Vec<Moref> {
    let known: HashMap<Moref, Instant> = orphans
        .map(|moref| (moref.clone(), since.get(moref).copied().unwrap_or(now)))
        .collect();
    *since = known;
    since
        .iter()
        .filter(|(_, since)| now.duration_since(**since) >= GRACE)
        .map(|(moref, _)| moref.clone())
        .collect()
}

/// What was an orphan before and is one still, by whose it was: what belongs together goes together.
fn twice(before: &HashSet<Orphan>, now: &HashMap<Orphan, String>) -> BTreeMap<String, Vec<Orphan>> {
    let mut all: BTreeMap<String, Vec<Orphan>> = BTreeMap::new();
    for (orphan, of) in now
        .iter()
        .filter(|(orphan, _)| before.contains(*orphan))
        .take(AT_ONCE)
    {
        all.entry(of.clone()).or_default().push(orphan.clone());
    }
    all
}

/// Objects of this instance that nothing asks for, with whose they were.
fn orphans(ctx: &Context, connected: &Connected, engine: &nsx::Engine) -> HashMap<Orphan, String> {
    let claims = Declarations::of(ctx);
    let mut found = HashMap::new();
    let (mut shared, mut owners) = (Vec::new(), HashSet::new());
    engine.each_owned(|observed| match topology::owner_of(&observed.body) {
        Some(owner) if owner.instance == connected.instance => {
            owners.insert(owner.uid.clone());
            if claims.leave_alone(&owner, |key| ctx.tracker.is_ready(key)) {
                return;
            }
            found.insert((observed.path, observed.resource_type), owner.uid);
        }
        Some(_) => {}
        None => shared.push((observed.path, observed.resource_type)),
    });
    let mut sharing = connected.sharing.lock().unwrap_or_else(PoisonError::into_inner);
    // A process that starts learns of users from an index that may still show what is gone.
    sharing.retain(|user| owners.contains(user) || claims.uids.contains(user));
    for orphan in shared {
        if !sharing.is_used(&orphan) {
            found.insert(orphan.clone(), orphan.0);
        }
    }
    found
}

/// Who exists in the cluster.
#[derive(Default)]
struct Declarations {
    uids: HashSet<String>,
    keys: HashSet<ObjectKey>,
    /// Kinds that are known in full: objects of others are left alone.
    kinds: HashSet<Kind>,
}

impl Declarations {
    fn of(ctx: &Context) -> Self {
        let mut all = Self::default();
        all.add(&ctx.stores.rules);
        all.add(&ctx.stores.gateways);
        all.add(&ctx.stores.networks);
        all.add(&ctx.stores.hosts);
        all.add(&ctx.stores.policies);
        all
    }

    fn add<K: Declared>(&mut self, store: &Store<K>) {
        self.kinds.insert(K::KIND);
        for object in store.state() {
            self.uids.extend(object.uid());
            self.keys.insert(key_of(&*object));
        }
    }

    /// Whether an object with that owner is none of the collector's business, now.
    fn leave_alone(&self, owner: &Owner, is_ready: impl Fn(&ObjectKey) -> bool) -> bool {
        let Some(kind) = Kind::from_name(&owner.kind).filter(|kind| self.kinds.contains(kind)) else {
            return true;
        };
        let key = ObjectKey::new(kind, &owner.namespace, &owner.name);
        self.uids.contains(&owner.uid) || (self.keys.contains(&key) && !is_ready(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(kind: &str, name: &str, uid: &str) -> Owner {
        Owner {
            instance: "i".into(),
            kind: kind.into(),
            namespace: "team".into(),
            name: name.into(),
            uid: uid.into(),
        }
    }

    #[test]
    fn the_uid_decides_and_a_namesake_takes_over_first() {
        let declared = Declarations {
            uids: ["u1".to_owned()].into(),
            keys: [ObjectKey::new(Kind::EdgeNatRule, "team", "web")].into(),
            kinds: [Kind::EdgeNatRule].into(),
        };
        let cases = [
            ("its own", owner("EdgeNatRule", "web", "u1"), false, true),
            ("renamed by hand", owner("EdgeNatRule", "other", "u1"), true, true),
            ("nobody's", owner("EdgeNatRule", "other", "u0"), false, false),
            (
                "a namesake not ready yet",
                owner("EdgeNatRule", "web", "u0"),
                false,
                true,
            ),
            (
                "left by a namesake",
                owner("EdgeNatRule", "web", "u0"),
                true,
                false,
            ),
            (
                "a kind not known in full",
                owner("ContainerNetwork", "web", "u0"),
                true,
                true,
            ),
            (
                "a kind of another version",
                owner("LoadBalancer", "web", "u0"),
                true,
                true,
            ),
        ];
        for (case, owner, ready, expected) in cases {
            assert_eq!(declared.leave_alone(&owner, |_| ready), expected, "{case}");
        }
    }

    #[test]
    fn port_groups_are_given_time() {
        let group = |n: u32| Moref::new("DistributedVirtualPortgroup", format!("dvportgroup-{n}"));
        let (one, two) = (group(1), group(2));
        let start = Instant::now();
        let mut since = HashMap::new();
        assert!(overdue(&mut since, [&one].into_iter(), start).is_empty());
        assert!(overdue(&mut since, [&one, &two].into_iter(), start + GRACE / 2).is_empty());
        let late = overdue(&mut since, [&one, &two].into_iter(), start + GRACE);
        assert_eq!(late, std::slice::from_ref(&one));
        assert!(overdue(&mut since, [].into_iter(), start + GRACE).is_empty());
        assert!(
            overdue(&mut since, [&one].into_iter(), start + GRACE * 2).is_empty(),
            "it was claimed meanwhile"
        );
    }

    #[test]
    fn one_read_is_not_enough_and_what_belongs_together_goes_together() {
        let orphan = |path: &str| (path.to_owned(), "Rule".to_owned());
        let now: HashMap<Orphan, String> = [("/a", "u1"), ("/b", "u1"), ("/c", "u2"), ("/new", "u1")]
            .map(|(path, of)| (orphan(path), of.to_owned()))
            .into();
        assert!(twice(&HashSet::new(), &now).is_empty());
        let before = ["/a", "/b", "/c", "/gone"].map(orphan).into();
        let mut all = twice(&before, &now);
        for orphans in all.values_mut() {
            orphans.sort();
        }
        let expected = [
            ("u1", vec![orphan("/a"), orphan("/b")]),
            ("u2", vec![orphan("/c")]),
        ];
        assert_eq!(all, expected.map(|(of, orphans)| (of.to_owned(), orphans)).into());
    }
}
