//! Searches in pages.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::client::Client;
use crate::row::Row;
use crate::{Error, Priority};

const URL: &str = "/policy/api/v1/search/query";
/// The largest page NSX gives, and the smallest worth asking for when it finds that too large.
const PAGES: (usize, usize) = (1000, 10);
/// Rows of the first page of a look; a quiet period fits in.
const FIRST_LOOK: usize = 50;
/// How often a read that others disturbed is begun again.
const ATTEMPTS: u32 = 4;

/// Searches in the index of one manager cluster.
#[derive(Debug)]
pub(crate) struct Search {
    client: Arc<Client>,
    page_size: AtomicUsize,
    /// Whether the manager sorts by path; asked for so that pages fit together.
    sorts_by_path: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
enum Sort {
    Path,
    NewestFirst,
}

/// One page.
#[derive(Debug)]
struct Page {
    rows: Vec<Row>,
    /// Hits of the whole search.
    hits: usize,
    next: Option<String>,
}

/// What several pages came to; their rows were handed out one page at a time.
#[derive(Debug)]
pub(crate) struct Found {
    /// Hits of the whole search.
    pub(crate) hits: usize,
    /// The pages fit together: what is not among the paths was not in the index. Only for complete reads.
    pub(crate) whole: bool,
    /// The objects that were shown.
    pub(crate) paths: HashSet<Arc<str>>,
    /// The newest change among them, server time.
    pub(crate) newest: Option<i64>,
}

/// Takes the rows of a page, and says whether to go on.
pub(crate) trait Take: FnMut(Vec<Row>) -> bool + Send {}
impl<T: FnMut(Vec<Row>) -> bool + Send> Take for T {}

impl Search {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self {
            client,
            page_size: AtomicUsize::new(PAGES.0),
            sorts_by_path: AtomicBool::new(true),
        }
    }

    /// Every hit. Begins again if objects came or went between the pages, and in the end says so.
    pub(crate) async fn all(
        &self,
        query: &str,
        fields: Option<&str>,
        mut take: impl FnMut(Vec<Row>) + Send,
    ) -> Result<Found, Error> {
        let mut take = |rows| {
            take(rows);
            true
        };
        let mut attempt = 1;
        loop {
            let found = self.pages(query, Sort::Path, fields, &mut take).await?;
            if found.whole || attempt >= ATTEMPTS {
                return Ok(found);
            }
            let (hits, shown) = (found.hits, found.paths.len());
            tracing::debug!(hits, shown, "the index changed between pages");
            attempt += 1;
        }
    }

    /// Hits sorted by last change, newest first, for as long as `take` wants more after a page. A quiet look costs one
    /// small page.
    pub(crate) async fn newest(
        &self,
        query: &str,
        expected: usize,
        mut take: impl Take,
    ) -> Result<Found, Error> {
        if expected <= FIRST_LOOK {
            let first = self
                .page(query, Sort::NewestFirst, None, FIRST_LOOK, None)
                .await?;
            let mut found = Found::none(first.hits);
            found.note(&first.rows);
            if !take(first.rows) || first.next.is_none() {
                return Ok(found);
            }
        }
        self.pages(query, Sort::NewestFirst, None, &mut take).await
    }

    /// Reads with the page size in use; smaller if NSX finds that too large.
    async fn pages(
        &self,
        query: &str,
        sort: Sort,
        fields: Option<&str>,
        take: &mut impl Take,
    ) -> Result<Found, Error> {
        loop {
            let size = self.page_size.load(Ordering::Relaxed);
            match self.run(query, sort, fields, size, take).await {
                Err(Error::PageTooLarge(_)) if size > PAGES.1 => {
                    self.page_size.store((size / 2).max(PAGES.1), Ordering::Relaxed);
                }
                outcome => return outcome,
            }
        }
    }

    async fn run(
        &self,
        query: &str,
        sort: Sort,
        fields: Option<&str>,
        size: usize,
        take: &mut impl Take,
    ) -> Result<Found, Error> {
        let (mut found, mut cursor, mut shown, mut steady) = (None, None, 0, true);
        loop {
            let page = self.page(query, sort, fields, size, cursor.as_deref()).await?;
            let found = found.get_or_insert_with(|| Found::none(page.hits));
            steady &= found.hits == page.hits;
            shown += page.rows.len();
            found.note(&page.rows);
            cursor = page.next;
            if !take(page.rows) || cursor.is_none() {
                break;
            }
        }
        let mut found = found.unwrap_or_else(|| Found::none(0));
        found.whole = steady && found.paths.len() == found.hits && shown == found.hits;
        Ok(found)
    }

    async fn page(
        &self,
        query: &str,
        sort: Sort,
        fields: Option<&str>,
        size: usize,
        cursor: Option<&str>,
    ) -> Result<Page, Error> {
        let mut parameters = vec![("query", query.to_owned()), ("page_size", size.to_string())];
        parameters.extend(fields.map(|fields| ("included_fields", fields.to_owned())));
        parameters.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        let by_path = matches!(sort, Sort::Path) && self.sorts_by_path.load(Ordering::Relaxed);
        let order = match sort {
            Sort::NewestFirst => [("sort_by", "_last_modified_time"), ("sort_ascending", "false")].as_slice(),
            Sort::Path if by_path => [("sort_by", "path"), ("sort_ascending", "true")].as_slice(),
            Sort::Path => [].as_slice(),
        };
        let sorted = order.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let sorted: Vec<_> = parameters.iter().cloned().chain(sorted).collect();
        match self.client.read(Priority::Background, URL, &sorted).await {
            // By which fields a search sorts is documented nowhere; unsorted pages may be torn, and are then read again.
            Err(Error::Refused(refusal)) if by_path => {
                tracing::info!(%refusal, "the search does not sort by path");
                self.sorts_by_path.store(false, Ordering::Relaxed);
                let answer = self.client.read(Priority::Background, URL, &parameters).await?;
                Ok(page_of(answer, cursor))
            }
            answer => Ok(page_of(answer?, cursor)),
        }
    }

    /// The objects at the given paths that one query of [`crate::query::by_path`] covers.
    pub(crate) async fn few(&self, query: &str) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        let mut take = |page| {
            rows.extend::<Vec<Row>>(page);
            true
        };
        self.run(query, Sort::Path, None, PAGES.0.min(100), &mut take)
            .await?;
        Ok(rows)
    }
}

impl Found {
    fn none(hits: usize) -> Self {
        Self {
            hits,
            whole: false,
            paths: HashSet::new(),
            newest: None,
        }
    }

    fn note(&mut self, rows: &[Row]) {
        self.newest = self.newest.max(rows.iter().map(|row| row.modified).max());
        self.paths.extend(rows.iter().map(|row| Arc::clone(&row.path)));
    }
}

/// Reads a page. NSX returns a cursor even on the last page: it is done when the cursor reaches the number of hits, or
/// when a page is empty.
fn page_of(mut answer: Value, cursor: Option<&str>) -> Page {
    let rows: Vec<Row> = match answer.get_mut("results").map(Value::take) {
        Some(Value::Array(rows)) => rows.iter().map(Row::new).collect(),
        _ => Vec::new(),
    };
    let hits = answer
        .get("result_count")
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok());
    let hits = hits.unwrap_or(rows.len());
    let next = answer.get("cursor").and_then(Value::as_str).filter(|next| {
        let at_end = next.parse::<usize>().is_ok_and(|at| at >= hits);
        !next.is_empty() && !rows.is_empty() && !at_end && Some(*next) != cursor
    });
    Page {
        next: next.map(str::to_owned),
        rows,
        hits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_cursor_rule() {
        let page = |cursor: Value, rows: usize, hits: usize, asked: Option<&str>| {
            let rows: Vec<Value> = (0..rows)
                .map(|n| json!({"path": format!("/infra/a/{n}")}))
                .collect();
            page_of(
                json!({"results": rows, "result_count": hits, "cursor": cursor}),
                asked,
            )
            .next
        };
        assert_eq!(
            page(json!("1"), 1, 1, None),
            None,
            "a cursor comes even on the only page"
        );
        assert_eq!(page(json!("1000"), 1000, 2500, None).as_deref(), Some("1000"));
        assert_eq!(page(json!("2500"), 500, 2500, Some("2000")), None);
        assert_eq!(page(json!("1000"), 0, 2500, None), None, "an empty page ends it");
        assert_eq!(page(Value::Null, 10, 2500, None), None);
        assert_eq!(
            page(json!("00036ba"), 10, 2500, None).as_deref(),
            Some("00036ba"),
            "not every cursor is a number"
        );
        assert_eq!(
            page(json!("10"), 10, 2500, Some("10")),
            None,
            "a cursor that stands still ends it, too"
        );
        assert_eq!(page_of(json!({"odd": true}), None).rows.len(), 0);
    }
}
