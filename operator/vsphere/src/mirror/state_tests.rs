//! The mirror's state machine: tables, and random histories against a model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn node(text: &str) -> Node {
    Node {
        text: text.to_owned(),
        ..Node::default()
    }
}

fn folder(id: u8) -> Moref {
    Moref::new("Folder", format!("group-{id}"))
}

fn update(kind: Kind, id: u8, changes: &[(&str, Option<&str>)]) -> ObjectUpdate {
    let changes = changes
        .iter()
        .map(|(path, value)| ((*path).to_owned(), value.map(node)))
        .collect();
    ObjectUpdate {
        kind,
        moref: folder(id),
        changes,
    }
}

fn enter(id: u8, name: &str) -> ObjectUpdate {
    update(Kind::Enter, id, &[("name", Some(name))])
}

fn leave(id: u8) -> ObjectUpdate {
    update(Kind::Leave, id, &[])
}

/// A mirror that is complete and knows these folders.
fn loaded(folders: &[(u8, &str)]) -> State {
    let mut state = State::new("vic-operator".to_owned());
    state.take(folders.iter().map(|(id, name)| enter(*id, name)).collect(), true);
    state
}

fn names(state: &State) -> BTreeMap<u8, String> {
    let id = |moref: &Moref| moref.value.trim_start_matches("group-").parse().unwrap();
    state
        .inventory()
        .folders
        .iter()
        .map(|(moref, folder)| (id(moref), folder.name.clone()))
        .collect()
}

fn told(changed: Vec<Moref>) -> BTreeSet<String> {
    changed.into_iter().map(|moref| moref.value).collect()
}

#[test]
fn single_updates_change_what_they_say() {
    type Row = (
        &'static str,
        Vec<ObjectUpdate>,
        &'static [&'static str],
        &'static [(u8, &'static str)],
    );
    let rows: Vec<Row> = vec![
        (
            "a new object",
            vec![enter(3, "C")],
            &["group-3"],
            &[(1, "A"), (2, "B"), (3, "C")],
        ),
        (
            "a known one, as it was",
            vec![enter(1, "A")],
            &[],
            &[(1, "A"), (2, "B")],
        ),
        (
            "a known one, otherwise",
            vec![enter(1, "X")],
            &["group-1"],
            &[(1, "X"), (2, "B")],
        ),
        (
            "a known one, with nothing",
            vec![update(Kind::Enter, 1, &[])],
            &["group-1"],
            &[(1, ""), (2, "B")],
        ),
        (
            "a change",
            vec![update(Kind::Modify, 2, &[("name", Some("X"))])],
            &["group-2"],
            &[(1, "A"), (2, "X")],
        ),
        (
            "no change",
            vec![update(Kind::Modify, 2, &[("name", Some("B"))])],
            &[],
            &[(1, "A"), (2, "B")],
        ),
        (
            "a value unset",
            vec![update(Kind::Modify, 2, &[("name", None)])],
            &["group-2"],
            &[(1, "A"), (2, "")],
        ),
        (
            "a path not asked for",
            vec![update(Kind::Modify, 2, &[("nope", Some("X"))])],
            &[],
            &[(1, "A"), (2, "B")],
        ),
        ("an end", vec![leave(1)], &["group-1"], &[(2, "B")]),
        (
            "the end of an unknown one",
            vec![leave(9)],
            &[],
            &[(1, "A"), (2, "B")],
        ),
        (
            "an end and a return",
            vec![leave(1), enter(1, "A")],
            &["group-1"],
            &[(1, "A"), (2, "B")],
        ),
    ];
    for (what, updates, changed, expected) in rows {
        let mut state = loaded(&[(1, "A"), (2, "B")]);
        let found = told(state.take(updates, true));
        assert_eq!(found, changed.iter().map(ToString::to_string).collect(), "{what}");
        assert_eq!(
            names(&state),
            expected
                .iter()
                .map(|(id, name)| (*id, (*name).to_owned()))
                .collect(),
            "{what}"
        );
    }
}

#[test]
fn an_object_of_another_type_is_left_alone() {
    let mut state = loaded(&[]);
    let alien = ObjectUpdate {
        kind: Kind::Enter,
        moref: Moref::new("Alarm", "alarm-1"),
        changes: Vec::new(),
    };
    assert_eq!(state.take(vec![alien], true), []);
    assert_eq!(state.inventory(), &Inventory::default());
}

#[test]
fn types_and_their_heirs_go_to_the_same_place() {
    let mut state = loaded(&[]);
    let kinds = [
        "VirtualMachine",
        "ResourcePool",
        "VirtualApp",
        "Folder",
        "StoragePod",
        "DistributedVirtualPortgroup",
        "Network",
        "OpaqueNetwork",
        "DistributedVirtualSwitch",
        "VmwareDistributedVirtualSwitch",
        "Datastore",
        "HostSystem",
        "ComputeResource",
        "ClusterComputeResource",
        "Datacenter",
    ];
    let morefs = kinds.map(|kind| Moref::new(kind, "x"));
    let entered = |moref: &Moref| ObjectUpdate {
        kind: Kind::Enter,
        moref: moref.clone(),
        changes: Vec::new(),
    };
    state.take(morefs.iter().map(entered).collect(), true);
    for moref in &morefs {
        assert_eq!(
            state.inventory().entity(moref).map(crate::objects::Entity::moref),
            Some(moref)
        );
    }
    state.begin_sync();
    assert_eq!(
        state.take(Vec::new(), true).len(),
        kinds.len(),
        "an empty full state ends them all"
    );
    assert_eq!(state.inventory(), &Inventory::default());
}

#[test]
fn nothing_is_missing_before_the_full_state_is_complete() {
    let mut state = loaded(&[(1, "A"), (2, "B"), (3, "C")]);
    state.begin_sync();
    assert_eq!(told(state.take(vec![enter(1, "A")], false)), BTreeSet::new());
    assert_eq!(names(&state).len(), 3, "what is known stays readable");
    // The sync breaks off and begins anew: what came in the first attempt does not count.
    state.begin_sync();
    state.take(vec![enter(2, "B")], false);
    let gone = told(state.take(vec![enter(4, "D")], true));
    assert_eq!(gone, ["group-1", "group-3", "group-4"].map(str::to_owned).into());
    assert_eq!(names(&state).into_keys().collect::<Vec<_>>(), [2, 4]);
    assert_eq!(
        told(state.take(Vec::new(), true)),
        BTreeSet::new(),
        "later answers are no full states"
    );
    assert_eq!(names(&state).len(), 2);
}

#[test]
fn what_left_within_the_full_state_is_gone() {
    let mut state = loaded(&[(1, "A")]);
    state.begin_sync();
    state.take(vec![enter(1, "A"), leave(1)], true);
    assert!(names(&state).is_empty());
}

#[test]
fn a_single_read_gives_way_to_a_newer_update() {
    let mut state = loaded(&[(1, "A")]);
    let ticket = state.begin_read(&folder(1));
    state.take(vec![update(Kind::Modify, 1, &[("name", Some("newer"))])], true);
    assert_eq!(state.end_read(ticket, Read::Found(enter(1, "older"))), []);
    assert_eq!(names(&state)[&1], "newer");

    let ticket = state.begin_read(&folder(1));
    state.take(vec![enter(2, "other")], true);
    assert_eq!(
        told(state.end_read(ticket, Read::Found(enter(1, "read")))),
        ["group-1".to_owned()].into()
    );
    assert_eq!(names(&state)[&1], "read");
}

#[test]
fn a_single_read_finds_objects_gone_or_fails_without_harm() {
    let mut state = loaded(&[(1, "A")]);
    let failed = state.begin_read(&folder(1));
    assert_eq!(state.end_read(failed, Read::Failed), []);
    assert_eq!(names(&state).len(), 1);
    let gone = state.begin_read(&folder(1));
    assert_eq!(
        told(state.end_read(gone, Read::Missing)),
        ["group-1".to_owned()].into()
    );
    assert!(names(&state).is_empty());
    assert_eq!(
        state.end_read(gone, Read::Found(enter(1, "A"))),
        [],
        "a ticket is good once"
    );
}

#[test]
fn what_was_read_during_a_full_state_is_not_missing_from_it() {
    let mut state = loaded(&[]);
    state.begin_sync();
    let ticket = state.begin_read(&folder(1));
    state.end_read(ticket, Read::Found(enter(1, "made meanwhile")));
    state.take(Vec::new(), true);
    assert_eq!(names(&state).len(), 1);
}

fn marked(id: u8, key: i32, value: &str) -> ObjectUpdate {
    let field = Node {
        name: "key".to_owned(),
        ..node(&key.to_string())
    };
    let text = Node {
        name: "value".to_owned(),
        ..node(value)
    };
    let pair = Node {
        children: vec![field, text],
        ..Node::default()
    };
    let values = Node {
        children: vec![pair],
        ..Node::default()
    };
    ObjectUpdate {
        kind: Kind::Modify,
        moref: folder(id),
        changes: vec![("customValue".to_owned(), Some(values))],
    }
}

fn definitions(fields: &[(i32, &str, &str)]) -> ObjectUpdate {
    let field = |(key, name, kind): &(i32, &str, &str)| {
        let child = |name: &str, text: &str| Node {
            name: name.to_owned(),
            ..node(text)
        };
        let children = vec![
            child("key", &key.to_string()),
            child("name", name),
            child("managedObjectType", kind),
        ];
        Node {
            children,
            ..Node::default()
        }
    };
    let fields = Node {
        children: fields.iter().map(field).collect(),
        ..Node::default()
    };
    let moref = Moref::new("CustomFieldsManager", "CustomFieldsManager");
    ObjectUpdate {
        kind: Kind::Enter,
        moref,
        changes: vec![("field".to_owned(), Some(fields))],
    }
}

#[test]
fn marks_appear_with_their_definition_in_either_order() {
    let mark = |state: &State, id| state.inventory().folders[&folder(id)].mark.clone();
    let mut state = loaded(&[(1, "A"), (2, "B")]);
    state.take(vec![marked(1, 7, "ours"), marked(2, 8, "theirs")], true);
    assert_eq!((mark(&state, 1), state.mark_key()), (None, None));
    // A definition for one type only, or of another name, is not ours.
    let foreign = definitions(&[(6, "vic-operator", "VirtualMachine"), (8, "other", "")]);
    assert_eq!(state.take(vec![foreign], true), []);
    let ours = definitions(&[(8, "other", ""), (7, "vic-operator", "")]);
    assert_eq!(
        told(state.take(vec![ours.clone()], true)),
        ["group-1".to_owned()].into()
    );
    assert_eq!(
        (mark(&state, 1).as_deref(), mark(&state, 2)),
        (Some("ours"), None)
    );
    assert_eq!(state.take(vec![ours], true), [], "told once");
    assert_eq!(
        told(state.take(vec![marked(2, 7, "late")], true)),
        ["group-2".to_owned()].into()
    );
    assert_eq!(mark(&state, 2).as_deref(), Some("late"));
    state.take(vec![update(Kind::Modify, 2, &[("customValue", None)])], true);
    assert_eq!(mark(&state, 2), None);
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// The server's inventory changes and tells, in an answer that may be cut into pages.
    Change { id: u8, name: Option<u8>, paged: bool },
    /// It changes while nobody listens.
    Unheard { id: u8, name: Option<u8> },
    /// A new login: the full state in pages of this size, broken off once before the end or not.
    Login { page: usize, broken: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = || (0..6_u8, proptest::option::of(0..4_u8));
    let step = prop_oneof![
        4 => (change(), any::<bool>()).prop_map(|((id, name), paged)| Step::Change { id, name, paged }),
        2 => change().prop_map(|(id, name)| Step::Unheard { id, name }),
        1 => (1..4_usize, any::<bool>()).prop_map(|(page, broken)| Step::Login { page, broken }),
    ];
    proptest::collection::vec(step, 0..40)
}

/// Applies a change to the server's inventory and says how it tells.
fn change(server: &mut BTreeMap<u8, String>, id: u8, name: Option<u8>) -> Option<ObjectUpdate> {
    let Some(name) = name else {
        return server.remove(&id).map(|_| leave(id));
    };
    let name = format!("name-{name}");
    let old = server.insert(id, name.clone());
    // Servers send `enter` for known objects too.
    let kind = if old.is_some() && id.is_multiple_of(2) {
        Kind::Modify
    } else {
        Kind::Enter
    };
    Some(update(kind, id, &[("name", Some(name.as_str()))]))
}

proptest! {
    #[test]
    fn every_history_ends_in_what_the_server_has(history in steps()) {
        let mut server: BTreeMap<u8, String> = BTreeMap::new();
        let mut state = loaded(&[]);
        let mut unheard = false;
        for step in history {
            let before = names(&state);
            let mut changed = BTreeSet::new();
            match step {
                Step::Change { id, name, paged } => {
                    let Some(update) = change(&mut server, id, name) else { continue };
                    changed.extend(told(state.take(vec![update], !paged)));
                    changed.extend(told(state.take(Vec::new(), true)));
                }
                Step::Unheard { id, name } => {
                    unheard |= change(&mut server, id, name).is_some();
                    continue;
                }
                Step::Login { page, broken } => {
                    let full: Vec<ObjectUpdate> = server.iter().map(|(id, name)| enter(*id, name)).collect();
                    if broken {
                        state.begin_sync();
                        for page in full.chunks(page).take(1) {
                            changed.extend(told(state.take(page.to_vec(), false)));
                        }
                    }
                    state.begin_sync();
                    for page in full.chunks(page) {
                        changed.extend(told(state.take(page.to_vec(), false)));
                    }
                    changed.extend(told(state.take(Vec::new(), true)));
                    unheard = false;
                }
            }
            let after = names(&state);
            let differ: BTreeSet<String> = before.keys().chain(after.keys())
                .filter(|id| before.get(id) != after.get(id))
                .map(|id| folder(*id).value)
                .collect();
            prop_assert_eq!(&changed, &differ, "exactly what differs is told");
            if !unheard {
                prop_assert_eq!(&after, &server);
            }
        }
        state.begin_sync();
        state.take(server.iter().map(|(id, name)| enter(*id, name)).collect(), true);
        prop_assert_eq!(names(&state), server);
    }
}
