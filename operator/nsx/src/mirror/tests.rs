use super::*;
use crate::{Intent, Realization};
use serde_json::{Value, json};

const LAG: Duration = Duration::from_secs(10);
const PATH: &str = "/infra/segments/web";

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn owner() -> Tag {
    Tag::new("vic-operator/instance", "a")
}

fn mirror() -> Mirror {
    Mirror::new(owner(), "vic-operator/uid", LAG)
}

/// A path as the mirror keeps it.
fn p(path: &str) -> Arc<str> {
    path.into()
}

fn owned(mirror: &Mirror) -> usize {
    let mut count = 0;
    mirror.each_owned(|_| count += 1);
    count
}

fn tags() -> Value {
    json!([{"scope": "vic-operator/instance", "tag": "a"}, {"scope": "vic-operator/uid", "tag": "u1"}])
}

fn put(path: &str, v: u32) -> Change {
    let Value::Object(body) = json!({"v": v, "tags": tags()}) else {
        panic!()
    };
    Change::Put(Intent {
        path: path.into(),
        resource_type: "Segment".into(),
        body,
    })
}

fn delete(path: &str) -> Change {
    Change::Delete {
        path: path.into(),
        resource_type: "Segment".into(),
    }
}

fn row(path: &str, v: u32, modified: i64, more: &Value) -> Row {
    let id = path.rsplit('/').next().unwrap();
    let mut body = json!({"path": path, "id": id, "display_name": id, "resource_type": "Segment", "v": v, "tags": tags(),
        "_last_modified_time": modified, "status": {"consolidated_status": "SUCCESS"}});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    Row::new(&body)
}

fn plain(path: &str, v: u32, modified: i64) -> Row {
    row(path, v, modified, &json!({}))
}

fn write(mirror: &mut Mirror, change: Change, now: Duration) {
    mirror.begin(std::slice::from_ref(&change));
    mirror.land(&[change], now);
}

fn v(mirror: &Mirror, path: &str) -> Option<u64> {
    mirror.get(path)?.body["v"].as_u64()
}

#[test]
fn an_own_write_is_seen_at_once_and_confirmed_by_a_read_that_shows_it() {
    let mut mirror = mirror();
    mirror.observe(
        Scope::Owned,
        &[row(PATH, 1, 100, &json!({"realization_id": "r"}))],
        at(0),
    );
    write(&mut mirror, put(PATH, 2), at(1));
    let seen = mirror.get(PATH).unwrap();
    assert_eq!(
        (seen.body["v"].as_u64(), seen.pending, &seen.realization),
        (Some(2), true, &Realization::InProgress)
    );
    assert_eq!(seen.text("realization_id"), Some("r"), "what lasts is kept");
    assert!(
        mirror
            .observe(Scope::Owned, &[plain(PATH, 1, 100)], at(2))
            .is_empty(),
        "the past is no change"
    );
    assert_eq!(v(&mirror, PATH), Some(2));
    let progress = row(
        PATH,
        2,
        200,
        &json!({"realization_id": "r", "status": {"consolidated_status": "IN_PROGRESS"}}),
    );
    assert!(
        mirror.observe(Scope::Owned, &[progress], at(3)).is_empty(),
        "a confirmation is no change"
    );
    assert!(!mirror.get(PATH).unwrap().pending);
    assert_eq!(mirror.pending(at(3)).read, [p(PATH)]);
    assert_eq!(
        mirror.observe(Scope::Owned, &[plain(PATH, 2, 200)], at(4)),
        [PATH],
        "realization is"
    );
    assert_eq!(mirror.get(PATH).unwrap().realization, Realization::Realized);
    assert!(mirror.pending(at(5)).read.is_empty());
    assert!(mirror.pending(at(20)).read.is_empty() && mirror.unsettled.is_empty());
}

#[test]
fn nothing_absent_inside_the_lag_counts() {
    let mut mirror = mirror();
    write(&mut mirror, put(PATH, 1), at(1));
    mirror.complete(Scope::Owned, HashSet::new());
    assert!(mirror.polled(&[PATH.into()], &[], at(2)).is_empty());
    assert!(mirror.suspects().is_empty(), "the index lags");
    for seconds in [5, 12] {
        assert!(mirror.polled(&[PATH.into()], &[], at(seconds)).is_empty());
        assert_eq!(
            mirror.suspects(),
            [p(PATH)],
            "for longer than it usually lags: a direct read tells"
        );
        assert_eq!(v(&mirror, PATH), Some(1), "a suspicion is no absence");
    }
    assert!(
        mirror.fetched(PATH, None, at(12), at(12)),
        "a direct read is proof"
    );
    assert_eq!(v(&mirror, PATH), None);
}

#[test]
fn an_edit_right_after_a_confirmed_write_is_looked_at_directly() {
    let mut mirror = mirror();
    write(&mut mirror, put(PATH, 1), at(1));
    mirror.observe(Scope::Owned, &[plain(PATH, 1, 100)], at(2));
    assert!(mirror.suspects().is_empty(), "the index shows our write");
    mirror.observe(Scope::Owned, &[plain(PATH, 9, 200)], at(3));
    assert_eq!(v(&mirror, PATH), Some(1), "it may be the past");
    assert_eq!(mirror.suspects(), [p(PATH)]);
    assert!(mirror.fetched(PATH, Some(&plain(PATH, 9, 200)), at(3), at(3)));
    assert_eq!(v(&mirror, PATH), Some(9), "a direct read is not");
    assert!(mirror.suspects().is_empty());
}

#[test]
fn a_direct_miss_holds_against_a_lagging_index() {
    let mut mirror = mirror();
    mirror.observe(Scope::Owned, &[plain(PATH, 1, 100)], at(0));
    assert!(mirror.fetched(PATH, None, at(5), at(5)));
    assert!(
        mirror
            .observe(Scope::Owned, &[plain(PATH, 1, 100)], at(6))
            .is_empty()
    );
    assert_eq!(v(&mirror, PATH), None);
    assert_eq!(
        mirror.observe(Scope::Owned, &[plain(PATH, 7, 900)], at(16)),
        [PATH],
        "made anew by someone"
    );
    assert_eq!(v(&mirror, PATH), Some(7));
}

#[test]
fn an_edit_by_others_soon_after_an_own_write_is_found_when_the_lag_is_over() {
    let mut mirror = mirror();
    write(&mut mirror, put(PATH, 1), at(1));
    mirror.observe(Scope::Owned, &[plain(PATH, 1, 100)], at(2));
    assert!(
        mirror
            .observe(Scope::Owned, &[plain(PATH, 9, 200)], at(3))
            .is_empty(),
        "it may be the past"
    );
    assert_eq!(v(&mirror, PATH), Some(1));
    assert!(mirror.pending(at(9)).read.is_empty(), "too early to ask again");
    assert_eq!(mirror.pending(at(11)).read, [p(PATH)]);
    assert_eq!(
        mirror.polled(&[PATH.into()], &[plain(PATH, 9, 200)], at(11)),
        [PATH]
    );
    assert_eq!(v(&mirror, PATH), Some(9));
    assert!(mirror.pending(at(30)).read.is_empty());
}

#[test]
fn a_write_that_reads_back_differently_settles_after_the_lag_and_is_told() {
    let mut mirror = mirror();
    write(&mut mirror, put(PATH, 1), at(1));
    mirror.observe(Scope::Owned, &[plain(PATH, 5, 100)], at(2));
    assert!(mirror.get(PATH).unwrap().pending);
    assert_eq!(
        mirror.polled(&[PATH.into()], &[plain(PATH, 5, 100)], at(11)),
        [PATH]
    );
    assert_eq!(v(&mirror, PATH), Some(5));
}

#[test]
fn a_deletion_lasts_until_the_index_no_longer_shows_the_object() {
    let mut mirror = mirror();
    mirror.observe(Scope::Owned, &[plain(PATH, 1, 100)], at(0));
    write(&mut mirror, delete(PATH), at(1));
    assert!(mirror.get(PATH).is_none() && mirror.is_removing(PATH));
    assert_eq!(mirror.pending(at(1)).removals, [p(PATH)]);
    assert!(
        mirror
            .polled(&[PATH.into()], &[plain(PATH, 1, 100)], at(2))
            .is_empty()
    );
    let marked = row(PATH, 1, 150, &json!({"marked_for_delete": true}));
    assert!(mirror.polled(&[PATH.into()], &[marked], at(3)).is_empty());
    assert!(mirror.get(PATH).is_none() && mirror.is_removing(PATH));
    assert_eq!(
        mirror.polled(&[PATH.into()], &[], at(4)),
        [PATH],
        "the end of a removal is told"
    );
    assert!(!mirror.is_removing(PATH));
    assert!(
        mirror
            .observe(Scope::Owned, &[plain(PATH, 1, 100)], at(5))
            .is_empty(),
        "an index behind the other"
    );
    assert!(mirror.get(PATH).is_none());
    assert_eq!(
        mirror.pending(at(12)).read,
        [p(PATH)],
        "what was put aside is looked at again"
    );
    mirror.polled(&[PATH.into()], &[], at(12));
    assert_eq!(mirror.len(), 0);
}

#[test]
fn the_removal_of_what_the_index_never_showed_waits_for_the_lag() {
    let mut mirror = mirror();
    write(&mut mirror, put(PATH, 1), at(0));
    write(&mut mirror, delete(PATH), at(1));
    assert!(mirror.polled(&[PATH.into()], &[], at(2)).is_empty());
    assert!(mirror.is_removing(PATH));
    assert_eq!(mirror.polled(&[PATH.into()], &[], at(11)), [PATH]);
    write(&mut mirror, delete("/infra/segments/never"), at(12));
    assert!(!mirror.is_removing("/infra/segments/never"));
    mirror.note_removal("/infra/segments/theirs", at(12));
    assert!(mirror.is_removing("/infra/segments/theirs"));
}

#[test]
fn what_lies_below_a_deleted_object_goes_with_it() {
    let (policy, rule) = (
        "/infra/domains/default/gateway-policies/p",
        "/infra/domains/default/gateway-policies/p/rules/r",
    );
    let mut mirror = mirror();
    mirror.observe(
        Scope::Owned,
        &[
            plain(policy, 1, 1),
            plain(rule, 1, 1),
            plain(&format!("{policy}2"), 1, 1),
        ],
        at(0),
    );
    write(&mut mirror, delete(policy), at(1));
    assert!(mirror.get(rule).is_none() && mirror.is_removing(rule));
    assert_eq!(owned(&mirror), 1);
}

#[test]
fn objects_are_found_by_tag_and_only_pairs_count() {
    let mut mirror = mirror();
    let stranger =
        json!({"tags": [{"scope": "vic-operator/instance", "tag": "b"}, {"scope": "x", "tag": "a"}]});
    let rows = [plain(PATH, 1, 1), row("/infra/segments/s", 1, 1, &stranger)];
    mirror.observe(Scope::Owned, &rows, at(0));
    assert_eq!(owned(&mirror), 1);
    assert_eq!(mirror.owned_with(&Tag::new("vic-operator/uid", "u1")).len(), 1);
    assert!(mirror.get("/infra/segments/s").is_none());
    assert_eq!(
        mirror.looked(Scope::Owned, at(0), Some(1), 2),
        Count::Even,
        "the stranger is counted, not kept"
    );
    write(&mut mirror, delete(PATH), at(1));
    assert!(mirror.owned_with(&Tag::new("vic-operator/uid", "u1")).is_empty() && mirror.by_tag.is_empty());
}

#[test]
fn giving_an_object_up_drops_it_once_confirmed() {
    let mut mirror = mirror();
    mirror.observe(Scope::Owned, &[plain(PATH, 1, 1)], at(0));
    let Value::Object(body) = json!({"v": 1, "tags": []}) else {
        panic!()
    };
    let change = Change::Put(Intent {
        path: PATH.into(),
        resource_type: "Segment".into(),
        body,
    });
    write(&mut mirror, change, at(1));
    assert_eq!(owned(&mirror), 0);
    assert_eq!(
        mirror.looked(Scope::Owned, at(1), Some(1), 1),
        Count::Even,
        "the index may still count it"
    );
    mirror.polled(&[PATH.into()], &[row(PATH, 1, 5, &json!({"tags": []}))], at(2));
    mirror.pending(at(12));
    assert_eq!(mirror.len(), 0);
}

#[test]
fn foreign_rules_are_kept_for_watched_gateways_only() {
    let (mine, other) = (
        "/infra/tier-1s/t/nat/USER/nat-rules/r",
        "/infra/tier-1s/u/nat/USER/nat-rules/r",
    );
    let mut mirror = mirror();
    mirror.watch_gateway("/infra/tier-1s/t");
    let foreign = |path| row(path, 1, 1, &json!({"tags": []}));
    let internal = foreign("/infra/tier-1s/t/nat/INTERNAL/nat-rules/r");
    assert_eq!(
        mirror.observe(Scope::Foreign, &[foreign(mine), foreign(other), internal], at(0)),
        [mine]
    );
    assert_eq!(mirror.nat_rules("/infra/tier-1s/t").len(), 1);
    assert_eq!(owned(&mirror), 0);
    assert_eq!(mirror.looked(Scope::Foreign, at(0), Some(1), 3), Count::Even);
    assert_eq!(mirror.looked(Scope::Foreign, at(9), Some(1), 2), Count::Fewer);
    mirror.complete(Scope::Foreign, [p(other)].into());
    assert_eq!(mirror.suspects(), [p(mine)]);
    assert_eq!(mirror.listed("/infra/tier-1s/t", &[], at(10)), [mine]);
    assert!(mirror.nat_rules("/infra/tier-1s/t").is_empty() && mirror.suspects().is_empty());
}

#[test]
fn a_read_during_a_write_is_told_only_if_the_write_fails() {
    let mut mirror = mirror();
    mirror.observe(Scope::Owned, &[plain(PATH, 1, 1)], at(0));
    let changes = [put(PATH, 2)];
    mirror.begin(&changes);
    assert!(
        mirror
            .observe(Scope::Owned, &[plain(PATH, 2, 5)], at(1))
            .is_empty()
    );
    assert_eq!(mirror.fail(&changes), [PATH]);
    mirror.begin(&changes);
    assert!(mirror.fail(&changes).is_empty());
}

#[test]
fn a_failed_realization_asks_for_its_cause_once() {
    let mut mirror = mirror();
    let failed = row(PATH, 1, 1, &json!({"status": {"consolidated_status": "ERROR"}}));
    mirror.observe(Scope::Owned, std::slice::from_ref(&failed), at(0));
    assert_eq!(mirror.pending(at(0)).causes, [p(PATH)]);
    assert!(mirror.realized(PATH, State::Failed, Some("no edge".into())));
    let message = "no edge".to_owned();
    assert_eq!(
        mirror.get(PATH).unwrap().realization,
        Realization::Failed { message }
    );
    assert!(mirror.pending(at(1)).causes.is_empty());
    assert!(mirror.observe(Scope::Owned, &[failed], at(2)).is_empty());
    assert_eq!(mirror.failed(), [p(PATH)]);
    assert_eq!(mirror.observe(Scope::Owned, &[plain(PATH, 1, 1)], at(3)), [PATH]);
    assert!(mirror.failed().is_empty());
}

#[test]
fn rows_without_a_status_are_asked_about() {
    let mut mirror = mirror();
    write(&mut mirror, put(PATH, 1), at(0));
    mirror.observe(Scope::Owned, &[row(PATH, 1, 1, &json!({"status": null}))], at(1));
    assert_eq!(mirror.get(PATH).unwrap().realization, Realization::InProgress);
    assert_eq!(mirror.silent(), [p(PATH)]);
    assert!(mirror.realized(PATH, State::Realized, None));
    assert!(mirror.silent().is_empty());
    assert_eq!(mirror.get(PATH).unwrap().realization, Realization::Realized);
}

#[test]
fn an_index_proved_right_is_believed_outside_the_lag_only() {
    let mut mirror = mirror();
    let paths: Vec<String> = (0..4).map(|n| format!("/infra/segments/{n}")).collect();
    let rows: Vec<Row> = paths.iter().map(|path| plain(path, 1, 1)).collect();
    mirror.observe(Scope::Owned, &rows, at(0));
    mirror.observe(Scope::Owned, &rows[3..], at(18));
    mirror.complete(Scope::Owned, HashSet::new());
    assert_eq!(mirror.suspects().len(), 4);
    assert_eq!(mirror.believe_absences(at(20)), &paths[..3]);
    assert_eq!(mirror.suspects(), [p(&paths[3])], "seen two seconds before");
}
