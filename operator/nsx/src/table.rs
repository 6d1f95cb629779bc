//! The error table: from an HTTP status and a body to an [`Error`].
//!
//! Bodies come in several shapes: with or without `httpStatus`, with `error_code` as a number or as a string, as
//! HTML from a proxy, or empty. A hierarchical call wraps the true error (500157) in `related_errors`.

use serde_json::Value;

use crate::error::{Error, Refusal};

/// Wrapper of a hierarchical call: "Error while creating objects of type".
const WRAPPER: u64 = 500_157;

/// Longest excerpt of a body that is no JSON.
const EXCERPT: usize = 160;

/// Reads a refusal. `url` names the node in errors that are not NSX's own.
pub(crate) fn error_of(url: &str, status: u16, body: &[u8]) -> Error {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object))
            if object.contains_key("error_code") || object.contains_key("error_message") =>
        {
            row(innermost(status, &Value::Object(object)))
        }
        _ => without_body(url, status, body),
    }
}

/// The first error that is not a wrapper, depth first; the messages of all others go along as `related`.
fn innermost(status: u16, body: &Value) -> Refusal {
    let mut flat = Vec::new();
    flatten(body, &mut flat, 0);
    let culprit = flat
        .iter()
        .position(|(code, _)| *code != WRAPPER && *code != 0)
        .unwrap_or(0);
    let (code, message) = flat.get(culprit).cloned().unwrap_or_default();
    let related = flat
        .into_iter()
        .enumerate()
        .filter(|(at, _)| *at != culprit)
        .map(|(_, (_, message))| message)
        .collect();
    let message = if message.is_empty() {
        "no reason given".to_owned()
    } else {
        message
    };
    Refusal {
        status,
        code,
        message,
        related,
    }
}

fn flatten(error: &Value, into: &mut Vec<(u64, String)>, depth: u8) {
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().trim();
    let message = if text("error_message").is_empty() {
        text("details")
    } else {
        text("error_message")
    };
    into.push((code_of(error), message.to_owned()));
    if depth < 8 {
        for related in error
            .get("related_errors")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            flatten(related, into, depth + 1);
        }
    }
}

/// `error_code` as a number, whether NSX wrote a number or a string.
fn code_of(error: &Value) -> u64 {
    match error.get("error_code") {
        Some(Value::Number(number)) => number.as_u64().unwrap_or_default(),
        Some(Value::String(text)) => text.trim().parse().unwrap_or_default(),
        _ => 0,
    }
}

/// What the status alone tells: nothing trustworthy below 500, except where the status says it all.
fn without_body(url: &str, status: u16, body: &[u8]) -> Error {
    let excerpt = excerpt(body);
    let bare = |message: &str| Refusal {
        status,
        message: if excerpt.is_empty() {
            message.to_owned()
        } else {
            excerpt.clone()
        },
        ..Refusal::default()
    };
    match status {
        401 | 403 => Error::Forbidden(bare("no right to do this")),
        409 => Error::Concurrent(bare("concurrent change")),
        412 => Error::RevisionMismatch(bare("the revision is stale")),
        413 => Error::PageTooLarge(bare("the body is too large")),
        429 => Error::RateLimited(bare("too many requests")),
        503 => Error::Busy(bare("service unavailable")),
        500..=599 if excerpt.is_empty() => Error::ServerFault(bare("no reason given")),
        _ => Error::Unparsable {
            url: url.to_owned(),
            status,
            excerpt: if excerpt.is_empty() {
                "an empty answer".to_owned()
            } else {
                excerpt
            },
        },
    }
}

/// The readable text of a body that is no NSX error: tags gone, blanks folded, cut.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut inside = false;
    let mut plain = String::new();
    for letter in text.chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                plain.push(' ');
            }
            _ if inside => {}
            _ => plain.push(letter),
        }
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    let mut short: String = words.join(" ").chars().take(EXCERPT).collect();
    if plain.chars().count() > EXCERPT && short.chars().count() == EXCERPT {
        short.push('…');
    }
    short
}

/// One row of the table.
fn row(refusal: Refusal) -> Error {
    let r = refusal;
    match (r.status, r.code) {
        (429, _) => Error::RateLimited(r),
        (412, _) => Error::RevisionMismatch(r),
        (409, _) => Error::Concurrent(r),
        (413, _) | (400, 255) | (503, 60_576) => Error::PageTooLarge(r),
        (503, _) => Error::Busy(r),
        (403, 505) => Error::Unlicensed(r),
        (401 | 403, _) => Error::Forbidden(r),
        (404, 500_090) | (400, 500_087 | 500_232 | 100_148) => Error::Stale(r),
        (404, _) => Error::NotFound(r),
        (400, 500_012) => Error::InvalidPath(r),
        (400, 500_030) => Error::InUse(r),
        (400, 500_045) => Error::DeletePending(r),
        (400, 500_105) => Error::Overlap(r),
        (400, 500_127) => Error::AlreadyExists(r),
        (400, 503_040) => Error::SegmentInUse(r),
        (400, 503_101) => Error::SegmentAttached(r),
        (400, 8_327 | 640_873) => Error::VlanOverlap(r),
        (400, 612_504) => Error::VifRestored(r),
        (400, 508_128) => Error::MixedMode(r),
        (400, 508_134 | 508_135) => Error::ReservedRange(r),
        (400, 520_100) => Error::NoCapacity(r),
        (400, 660_000..=660_011) => Error::MixedAllocation(r),
        (400, 60_508 | 60_514 | 60_515) => Error::IndexNotReady(r),
        (500, 98) => Error::BackendDown(r),
        (500, 99) => Error::CertificateRefused(r),
        (500, 607 | 610) => Error::TransactionAborted(r),
        (500..=599, _) => Error::ServerFault(r),
        _ => Error::Refused(r),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
