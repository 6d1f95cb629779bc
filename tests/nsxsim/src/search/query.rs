//! `GET /search/query`.

use serde_json::{Value, json};

use super::grammar::parse;
use crate::error::{FIELD, NsxError};
use crate::world::World;
use crate::world::document::Document;
use crate::world::list::{Paging, sort};

/// A query that cannot be read. The number is not verified.
const INVALID_QUERY: i64 = 60_501;
/// The pipeline's own refusal (page too big); the others of the 605 series are 400.
const PIPELINE: i64 = 60_576;

/// Answers a search. The cursor is a number and is there on every page, the last one too.
///
/// # Errors
/// 400 for a query or cursor that cannot be read, or the error that is tuned in.
pub fn search(world: &World, query: &[(String, String)]) -> Result<Value, NsxError> {
    if let Some(code) = world.tuning.search_error {
        let status = if code == PIPELINE { 503 } else { 400 };
        return Err(NsxError::new(status, code, "Search is not available").common());
    }
    let paging = Paging::from_query(query)?;
    let text = query
        .iter()
        .find(|(k, _)| k == "query")
        .map(|(_, v)| v.as_str())
        .unwrap_or_default();
    if text.trim().is_empty() {
        return Err(NsxError::fields(&["query is required".into()]));
    }
    let parsed = parse(text, world.tuning.search_ranges)
        .map_err(|e| NsxError::bad(INVALID_QUERY, format!("Invalid search query: {e}")).common())?;
    let from: usize = match &paging.cursor {
        None => 0,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| NsxError::bad(FIELD, format!("Invalid cursor {cursor}")).common())?,
    };
    let fits = |d: &&Document| parsed.matches(d);
    let mut found: Vec<&Document> = match parsed.types() {
        Some(types) => world
            .index
            .of_types(&types)
            .map(AsRef::as_ref)
            .filter(fits)
            .collect(),
        None => world.index.documents().map(AsRef::as_ref).filter(fits).collect(),
    };
    let mut body = json!({"result_count": found.len()});
    if let Some(field) = &paging.sort_by {
        sort(&mut found, |d| d.at(field), paging.ascending);
        body = json!({"result_count": found.len(), "sort_by": field, "sort_ascending": paging.ascending});
    }
    let page: Vec<Value> = found
        .into_iter()
        .skip(from)
        .take(paging.page_size)
        .map(|d| d.shown(&paging.included_fields))
        .collect();
    if let Some(map) = body.as_object_mut() {
        map.insert(
            "cursor".into(),
            json!(from.saturating_add(page.len()).to_string()),
        );
        map.insert("results".into(), Value::Array(page));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{NOW, patch, settle, world};

    fn ask(world: &World, pairs: &[(&str, &str)]) -> Result<Value, NsxError> {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        search(world, &pairs)
    }

    fn ids(body: &Value) -> Vec<&str> {
        body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["id"].as_str().unwrap())
            .collect()
    }

    fn three(world: &mut World) {
        for (id, note) in [("a", "x"), ("b", "y"), ("c", "x")] {
            let body = json!({"description": note, "tags": [{"scope": "mine", "tag": "1"}]});
            patch(world, &format!("/infra/domains/default/groups/{id}"), body).unwrap();
        }
    }

    #[test]
    fn the_index_lags() {
        let mut world = world();
        three(&mut world);
        world.advance(NOW + world.tuning.search_delay_ms - 1);
        let found = ask(&world, &[("query", "resource_type:Group")]).unwrap();
        assert_eq!(found["result_count"], 0);
        world.advance(NOW + world.tuning.search_delay_ms);
        let found = ask(&world, &[("query", "resource_type:Group")]).unwrap();
        assert_eq!(ids(&found), ["a", "b", "c"]);
        assert_eq!(
            found["results"][0]["status"]["consolidated_status"]["consolidated_status"],
            "IN_PROGRESS"
        );
        settle(&mut world);
        let found = ask(&world, &[("query", "resource_type:Group")]).unwrap();
        assert_eq!(
            found["results"][0]["status"]["consolidated_status"]["consolidated_status"],
            "SUCCESS"
        );
    }

    #[test]
    fn every_page_has_a_numeric_cursor() {
        let mut world = world();
        three(&mut world);
        settle(&mut world);
        let first = ask(&world, &[("query", "tags.scope:mine"), ("page_size", "2")]).unwrap();
        assert_eq!(
            (ids(&first), &first["cursor"], &first["result_count"]),
            (vec!["a", "b"], &json!("2"), &json!(3))
        );
        let last = ask(
            &world,
            &[("query", "tags.scope:mine"), ("page_size", "2"), ("cursor", "2")],
        )
        .unwrap();
        assert_eq!((ids(&last), &last["cursor"]), (vec!["c"], &json!("3")));
        let beyond = ask(&world, &[("query", "tags.scope:mine"), ("cursor", "3")]).unwrap();
        assert_eq!((ids(&beyond).len(), &beyond["cursor"]), (0, &json!("3")));
    }

    #[test]
    fn sorting_and_projection() {
        let mut world = world();
        three(&mut world);
        settle(&mut world);
        let pairs = [
            ("query", "resource_type:Group"),
            ("sort_by", "description"),
            ("sort_ascending", "false"),
            ("included_fields", "path,_revision"),
        ];
        let found = ask(&world, &pairs).unwrap();
        assert_eq!(
            found["results"][0],
            json!({"path": "/infra/domains/default/groups/b", "_revision": 0})
        );
    }

    #[test]
    fn refusals_have_their_codes() {
        let mut world = world();
        let code = |r: Result<Value, NsxError>| r.unwrap_err().code;
        assert_eq!(code(ask(&world, &[])), 255);
        assert_eq!(code(ask(&world, &[("query", "path:/infra")])), INVALID_QUERY);
        assert_eq!(code(ask(&world, &[("query", "a"), ("page_size", "1001")])), 255);
        assert_eq!(code(ask(&world, &[("query", "a"), ("cursor", "x")])), 255);
        world.tuning.search_error = Some(60_508);
        assert_eq!(code(ask(&world, &[("query", "a")])), 60_508);
    }
}
