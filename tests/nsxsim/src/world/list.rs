//! Lists and their pages.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::World;
use super::object::Object;
use crate::error::{FIELD, NsxError};

/// How a client wants a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Where to go on.
    pub cursor: Option<String>,
    /// Most results of a page.
    pub page_size: usize,
    /// Field to sort by; nested fields with dots.
    pub sort_by: Option<String>,
    /// Direction.
    pub ascending: bool,
    /// Fields to show; empty = all.
    pub included_fields: Vec<String>,
    /// Objects marked for delete too.
    pub with_deleted: bool,
}

impl Paging {
    /// Reads the query parameters of a list.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub fn from_query(query: &[(String, String)]) -> Result<Self, NsxError> {
        let get = |key: &str| query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        let bad = |key: &str, value: &str| {
            NsxError::bad(FIELD, format!("Invalid value {value} of query parameter {key}")).common()
        };
        let flag = |key: &str| match get(key) {
            None | Some("") => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(bad(key, other)),
        };
        let page_size = match get("page_size") {
            None => 1000,
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| *n <= 1000)
                .ok_or_else(|| bad("page_size", text))?,
        };
        let fields = get("included_fields").unwrap_or_default();
        Ok(Self {
            cursor: get("cursor").filter(|c| !c.is_empty()).map(str::to_owned),
            page_size: if page_size == 0 { 1000 } else { page_size },
            sort_by: get("sort_by").filter(|s| !s.is_empty()).map(str::to_owned),
            ascending: flag("sort_ascending")?.unwrap_or(true),
            included_fields: fields
                .split(',')
                .map(str::trim)
                .filter(|f| !f.is_empty())
                .map(str::to_owned)
                .collect(),
            with_deleted: flag("include_mark_for_delete_objects")?.unwrap_or(false),
        })
    }
}

impl World {
    /// A page of a collection.
    ///
    /// # Errors
    /// 400 for a cursor this server did not give; 404 when the parent is missing.
    pub fn list(&self, parent: &str, kind: &str, paging: &Paging) -> Result<Value, NsxError> {
        if !self.has_place(parent) {
            return Err(NsxError::not_found(parent));
        }
        let embedded = self.tuning.lists_embed_rules;
        let objects: Vec<&Arc<Object>> = self.store.collection(parent, kind, paging.with_deleted).collect();
        cut(
            objects,
            |o, field| body_field(&o.body, field),
            |o| self.shown(o, embedded),
            paging,
            self.tuning.list_omits_last_cursor,
        )
    }
}

/// Cuts a page out of a list. The cursor is opaque, and absent on the last page where `omit_last`.
///
/// # Errors
/// 400 for a cursor this server did not give.
pub fn page(all: &[Value], paging: &Paging, omit_last: bool) -> Result<Value, NsxError> {
    let all: Vec<&Value> = all.iter().collect();
    cut(
        all,
        |v, field| field_of(v, field),
        |v| (*v).clone(),
        paging,
        omit_last,
    )
}

/// Sorts, cuts, and shows what is left: only a page's objects are copied.
fn cut<T: Copy>(
    mut all: Vec<T>,
    key: impl for<'k> Fn(&'k T, &str) -> Option<&'k Value>,
    show: impl Fn(&T) -> Value,
    paging: &Paging,
    omit_last: bool,
) -> Result<Value, NsxError> {
    let sort_by = paging.sort_by.clone().unwrap_or_else(|| "display_name".into());
    sort(&mut all, |t| key(t, &sort_by), paging.ascending);
    let from = match &paging.cursor {
        None => 0,
        Some(cursor) => {
            open(cursor).ok_or_else(|| NsxError::bad(FIELD, format!("Invalid cursor {cursor}")).common())?
        }
    };
    let total = all.len();
    let results: Vec<Value> = all.iter().skip(from).take(paging.page_size).map(show).collect();
    let end = from.saturating_add(results.len());
    let mut body = json!({
        "results": results, "result_count": total, "sort_by": sort_by, "sort_ascending": paging.ascending,
    });
    if (end < total || !omit_last)
        && let Some(map) = body.as_object_mut()
    {
        map.insert("cursor".into(), json!(seal(end)));
    }
    Ok(body)
}

fn seal(offset: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("at {offset}"))
}

fn open(cursor: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    String::from_utf8(bytes).ok()?.strip_prefix("at ")?.parse().ok()
}

/// Sorts by a field, objects without it last; equal ones keep their order.
pub fn sort<T: Copy>(all: &mut [T], key: impl for<'k> Fn(&'k T) -> Option<&'k Value>, ascending: bool) {
    all.sort_by(|a, b| {
        let order = compare(key(a), key(b));
        if ascending { order } else { order.reverse() }
    });
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
            a.total_cmp(&b)
        }
        (Some(a), Some(b)) => as_text(a).cmp(&as_text(b)),
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, None) => std::cmp::Ordering::Equal,
    }
}

fn as_text(value: &Value) -> Cow<'_, str> {
    value
        .as_str()
        .map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

/// A field of a body, dots going into objects.
pub fn field_of<'a>(body: &'a Value, field: &str) -> Option<&'a Value> {
    field.split('.').try_fold(body, |value, key| value.get(key))
}

fn body_field<'a>(body: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    let (head, rest) = field.split_once('.').unwrap_or((field, ""));
    let value = body.get(head)?;
    if rest.is_empty() {
        Some(value)
    } else {
        field_of(value, rest)
    }
}

/// Only the wanted fields of a body, in their nesting.
pub fn project(body: &Value, fields: &[String]) -> Value {
    if fields.is_empty() {
        return body.clone();
    }
    let mut shown = Map::new();
    for field in fields {
        if let Some(value) = field_of(body, field) {
            insert(&mut shown, field, value.clone());
        }
    }
    Value::Object(shown)
}

fn insert(into: &mut Map<String, Value>, field: &str, value: Value) {
    match field.split_once('.') {
        None => {
            into.insert(field.into(), value);
        }
        Some((head, rest)) => {
            let entry = into.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = entry {
                insert(map, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Paging {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Paging::from_query(&pairs).unwrap()
    }

    fn names(body: &Value) -> Vec<&str> {
        body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["display_name"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn pages_follow_the_cursor_until_it_is_absent() {
        let all: Vec<Value> = ["c", "a", "b"]
            .iter()
            .map(|n| json!({"display_name": n}))
            .collect();
        let first = page(&all, &query(&[("page_size", "2")]), true).unwrap();
        assert_eq!(names(&first), ["a", "b"]);
        assert_eq!(first["result_count"], 3);
        let cursor = first["cursor"].as_str().unwrap();
        let last = page(&all, &query(&[("page_size", "2"), ("cursor", cursor)]), true).unwrap();
        assert_eq!(names(&last), ["c"]);
        assert!(last.get("cursor").is_none());
    }

    #[test]
    fn a_cursor_from_elsewhere_is_refused() {
        assert!(page(&[], &query(&[("cursor", "17")]), true).is_err());
    }

    #[test]
    fn numbers_sort_as_numbers_and_descend_on_demand() {
        let all: Vec<Value> = [9, 10, 1]
            .iter()
            .map(|n| json!({"display_name": n.to_string(), "n": n}))
            .collect();
        let paging = query(&[("sort_by", "n"), ("sort_ascending", "false")]);
        assert_eq!(names(&page(&all, &paging, true).unwrap()), ["10", "9", "1"]);
    }

    #[test]
    fn page_size_is_at_most_a_thousand() {
        assert!(Paging::from_query(&[("page_size".into(), "1001".into())]).is_err());
        assert!(Paging::from_query(&[("sort_ascending".into(), "yes".into())]).is_err());
    }

    #[test]
    fn projections_keep_their_nesting() {
        let body = json!({"path": "/x", "status": {"a": 1, "b": 2}, "other": 3});
        let shown = project(&body, &["path".into(), "status.a".into(), "missing".into()]);
        assert_eq!(shown, json!({"path": "/x", "status": {"a": 1}}));
    }
}
