//! Answers of the PropertyCollector.

use super::*;

fn response(inner: &str) -> Node {
    Node::parse(&format!(
        "<WaitForUpdatesExResponse>{inner}</WaitForUpdatesExResponse>"
    ))
    .unwrap()
}

#[test]
fn an_answer_without_updates_is_none() {
    assert_eq!(UpdateSet::from_response(response("")), Ok(None));
}

#[test]
fn updates_of_several_filters() {
    let set = UpdateSet::from_response(response(
        r#"<returnval><version>3</version>
        <filterSet><filter type="PropertyFilter">f1</filter>
          <objectSet><kind>modify</kind><obj type="Folder">a</obj>
            <changeSet><name>name</name><op>assign</op><val>A</val></changeSet>
            <changeSet><name>customValue</name><op>remove</op></changeSet>
            <changeSet><name>parent</name><op>indirectRemove</op><val>stale</val></changeSet>
            <changeSet><name>childEntity</name><op>assign</op></changeSet>
            <missingSet><path>x.y</path><fault><localizedMessage/></fault></missingSet>
          </objectSet>
          <objectSet><kind>leave</kind><obj type="Folder">b</obj></objectSet>
          <missingSet><obj type="Folder">c</obj><fault/></missingSet>
        </filterSet>
        <filterSet><filter type="PropertyFilter">f2</filter></filterSet><truncated>true</truncated></returnval>"#,
    ));
    let set = set.unwrap().unwrap();
    assert_eq!((set.version.as_str(), set.truncated), ("3", true));
    let filters: Vec<_> = set
        .filters
        .iter()
        .map(|update| update.filter.value.as_str())
        .collect();
    assert_eq!(filters, ["f1", "f2"]);
    let objects = &set.filters[0].objects;
    let kinds: Vec<_> = objects
        .iter()
        .map(|update| (update.kind, update.moref.value.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [(Kind::Modify, "a"), (Kind::Leave, "b"), (Kind::Leave, "c")]
    );
    let changes: Vec<_> = objects[0]
        .changes
        .iter()
        .map(|(path, value)| (path.as_str(), value.as_ref().map(|value| value.text.as_str())))
        .collect();
    assert_eq!(
        changes,
        [
            ("name", Some("A")),
            ("customValue", None),
            ("parent", None),
            ("childEntity", None),
            ("x.y", None)
        ]
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    for inner in [
        "<returnval/>",
        "<returnval><version>1</version><filterSet/></returnval>",
        r#"<returnval><version>1</version><filterSet><filter type="PropertyFilter">f</filter>
        <objectSet><kind>enter</kind></objectSet></filterSet></returnval>"#,
        r#"<returnval><version>1</version><filterSet><filter type="PropertyFilter">f</filter>
        <objectSet><kind>explode</kind><obj type="Folder">a</obj></objectSet></filterSet></returnval>"#,
    ] {
        let result = UpdateSet::from_response(response(inner));
        assert!(matches!(result, Err(Error::Protocol { .. })), "{inner}");
    }
}
