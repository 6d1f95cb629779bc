use super::*;
use crate::Tag;
use serde_json::json;

const LAG: Duration = Duration::from_secs(10);
const EDGE: &str = "/infra/tier-1s/edge";

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn row(name: &str, ours: bool, modified: i64, action: &str) -> Row {
    let tags = if ours {
        json!([{"scope": "o", "tag": "1"}])
    } else {
        json!([])
    };
    Row::new(&json!({
        "path": format!("{EDGE}/nat/USER/nat-rules/{name}"), "id": name, "resource_type": "PolicyNatRule",
        "action": action, "tags": tags, "_last_modified_time": modified,
    }))
}

/// Two rules of ours and one of somebody else, each search read once.
fn read() -> Mirror {
    let mut mirror = Mirror::new(Tag::new("o", "1"), "uid", LAG);
    mirror.watch_gateway(EDGE);
    for (scope, rows, newest) in [
        (
            Scope::Owned,
            vec![row("a", true, 100, "DNAT"), row("b", true, 200, "DNAT")],
            200,
        ),
        (Scope::Foreign, vec![row("x", false, 50, "DNAT")], 50),
    ] {
        mirror.observe(scope, &rows, at(0));
        let paths = rows.iter().map(|row| row.path.clone()).collect();
        mirror.complete(scope, paths);
        mirror.looked(scope, at(0), Some(newest), rows.len());
    }
    assert_eq!(mirror.joint_horizon(), None);
    mirror.looked_apart(at(0));
    mirror
}

fn look(mirror: &mut Mirror, second: u64, rows: &[Row], hits: usize) -> (Vec<String>, bool) {
    let mut newest = Newest::default();
    let changed = mirror.observe_jointly(rows, at(second), &mut newest);
    (changed, mirror.looked_jointly(at(second), newest, hits))
}

#[test]
fn it_reaches_as_far_back_as_the_lag_and_closes_up_at_rest() {
    let mut mirror = read();
    assert_eq!(mirror.joint_horizon(), Some(200 - 10_001));
    for second in [60, 120] {
        let newest = [row("b", true, 200, "DNAT")];
        assert_eq!(look(&mut mirror, second, &newest, 3), (vec![], true));
    }
    assert_eq!(mirror.joint_horizon(), Some(200));
}

#[test]
fn it_shows_what_changed_in_either_search() {
    let mut mirror = read();
    let rows = [row("x", false, 400, "SNAT"), row("b", true, 300, "SNAT")];
    let (changed, even) = look(&mut mirror, 60, &rows, 3);
    assert_eq!(changed, rows.each_ref().map(|row| row.path.to_string()));
    assert!(even);
    assert_eq!(mirror.owned.newest(), Some(300));
    assert_eq!(mirror.foreign.newest(), Some(400));
    let shown = [row("y", false, 500, "DNAT")];
    assert_eq!(
        look(&mut mirror, 120, &shown, 4),
        (vec![shown[0].path.to_string()], true),
        "a new one is shown and counted"
    );
}

#[test]
fn a_rule_that_lost_our_mark_is_still_where_it_was() {
    let mut mirror = read();
    let rows = [row("b", false, 300, "DNAT")];
    let (changed, even) = look(&mut mirror, 60, &rows, 3);
    assert!(even && changed.len() == 1);
    assert!(!mirror.foreign.knows(&rows[0].path));
}

#[test]
fn what_came_or_went_unseen_calls_for_a_look_at_each() {
    for hits in [2, 4] {
        let mut mirror = read();
        assert!(!look(&mut mirror, 60, &[], hits).1, "{hits}");
    }
}

#[test]
fn a_past_that_came_back_calls_for_a_look_at_each_once() {
    let mut mirror = read();
    let past = [row("b", true, 150, "DNAT")];
    assert!(!look(&mut mirror, 60, &past, 3).1);
    mirror.owned.restart();
    mirror.looked(Scope::Owned, at(61), Some(150), 2);
    mirror.looked_apart(at(60));
    assert_eq!(mirror.joint_horizon(), Some(150 - 10_001));
    assert!(look(&mut mirror, 120, &past, 3).1);
}
