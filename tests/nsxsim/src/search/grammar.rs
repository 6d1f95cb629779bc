//! The query language: `field:value`, `AND`, `OR`, `NOT`, parentheses, `*` and `?`, escapes.
//!
//! `/` and `:` inside a value must be escaped with a backslash; a value may be a list, `field:(A OR B)`. Two terms
//! side by side without an operator are refused: what the real manager makes of them is not known.

use std::borrow::Cow;

use serde_json::Value;

use crate::world::document::Document;

/// A parsed query.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// All of them.
    All(Vec<Query>),
    /// One of them.
    Any(Vec<Query>),
    /// Not it.
    Not(Box<Query>),
    /// A field's value (any of its values, for lists) fits; without a field, any field's does.
    Term(Option<String>, Pattern),
    /// Inclusive bounds; only where the knob allows ranges.
    Range(String, Bound, Bound),
}

/// An end of a range; `None` is open.
pub type Bound = Option<String>;

/// Text with wildcards.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    /// The text where there are no wildcards: most patterns, and quick to compare.
    literal: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Char(char),
    One,
    Many,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Colon,
    And,
    Or,
    Not,
    Word(Pattern),
    Range(Bound, Bound),
}

/// Parses a query.
///
/// # Errors
/// A sentence saying what is wrong.
pub fn parse(text: &str, ranges: bool) -> Result<Query, String> {
    let tokens = tokens(text)?;
    if !ranges && tokens.iter().any(|t| matches!(t, Token::Range(..))) {
        return Err("range queries are not supported".into());
    }
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
    };
    let query = parser.any(None)?;
    match parser.peek() {
        None => Ok(query),
        Some(token) => Err(format!("unexpected {token:?} in query")),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut chars = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(&c) = chars.peek() {
        match c {
            c if c.is_whitespace() => {
                chars.next();
            }
            '(' | ')' | ':' => {
                chars.next();
                tokens.push(match c {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Colon,
                });
            }
            '[' => {
                let inside: String = chars.by_ref().skip(1).take_while(|c| *c != ']').collect();
                let (low, high) = inside.split_once(" TO ").ok_or("a range is [a TO b]")?;
                let end = |t: &str| (t.trim() != "*").then(|| t.trim().to_owned());
                tokens.push(Token::Range(end(low), end(high)));
            }
            '"' => {
                chars.next();
                tokens.push(Token::Word(quoted(&mut chars)?));
            }
            _ => tokens.push(word(&mut chars)?),
        }
    }
    Ok(tokens)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn quoted(chars: &mut Chars<'_>) -> Result<Pattern, String> {
    let mut pieces = Vec::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(Pattern::new(pieces)),
            '\\' => pieces.push(Piece::Char(chars.next().ok_or("query ends with a backslash")?)),
            c => pieces.push(Piece::Char(c)),
        }
    }
    Err("a quote is not closed".into())
}

fn word(chars: &mut Chars<'_>) -> Result<Token, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() || "():\"[".contains(c) {
            break;
        }
        chars.next();
        plain.push(c);
        pieces.push(match c {
            '\\' => Piece::Char(chars.next().ok_or("query ends with a backslash")?),
            '*' => Piece::Many,
            '?' => Piece::One,
            '/' => return Err("the character / must be escaped".into()),
            c if "{}^~!]".contains(c) => return Err(format!("the character {c} must be escaped")),
            c => Piece::Char(c),
        });
    }
    Ok(match plain.as_str() {
        "AND" => Token::And,
        "OR" => Token::Or,
        "NOT" => Token::Not,
        _ => Token::Word(Pattern::new(pieces)),
    })
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at);
        self.at = self.at.saturating_add(1);
        token
    }

    fn takes(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.at = self.at.saturating_add(1);
        }
        found
    }

    /// `a OR b`; inside `field:( … )` the field goes with every value.
    fn any(&mut self, field: Option<&str>) -> Result<Query, String> {
        let mut parts = vec![self.all(field)?];
        while self.takes(&Token::Or) {
            parts.push(self.all(field)?);
        }
        Ok(single(parts, Query::Any))
    }

    fn all(&mut self, field: Option<&str>) -> Result<Query, String> {
        let mut parts = vec![self.one(field)?];
        while self.takes(&Token::And) {
            parts.push(self.one(field)?);
        }
        Ok(single(parts, Query::All))
    }

    fn one(&mut self, field: Option<&str>) -> Result<Query, String> {
        match self.next() {
            Some(Token::Not) => Ok(Query::Not(Box::new(self.one(field)?))),
            Some(Token::Open) => {
                let inner = self.any(field)?;
                if self.takes(&Token::Close) {
                    Ok(inner)
                } else {
                    Err("a parenthesis is not closed".into())
                }
            }
            Some(Token::Word(word)) => self.word(field, word),
            Some(other) => Err(format!("unexpected {other:?} in query")),
            None => Err("query ends too early".into()),
        }
    }

    fn word(&mut self, field: Option<&str>, word: &Pattern) -> Result<Query, String> {
        if !self.takes(&Token::Colon) {
            return Ok(Query::Term(field.map(str::to_owned), word.clone()));
        }
        if field.is_some() {
            return Err("the character : must be escaped".into());
        }
        let name = word.literal.clone().ok_or("a field's name has no wildcards")?;
        match self.next() {
            Some(Token::Word(value)) => {
                if self.peek() == Some(&Token::Colon) {
                    return Err("the character : must be escaped".into());
                }
                Ok(Query::Term(Some(name), value.clone()))
            }
            Some(Token::Open) => {
                let inner = self.any(Some(&name))?;
                if self.takes(&Token::Close) {
                    Ok(inner)
                } else {
                    Err("a parenthesis is not closed".into())
                }
            }
            Some(Token::Range(low, high)) => Ok(Query::Range(name, low.clone(), high.clone())),
            _ => Err(format!("field {name} has no value")),
        }
    }
}

fn single(mut parts: Vec<Query>, many: impl Fn(Vec<Query>) -> Query) -> Query {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}

impl Pattern {
    fn new(pieces: Vec<Piece>) -> Self {
        let chars = pieces
            .iter()
            .map(|p| if let Piece::Char(c) = p { Some(*c) } else { None });
        let literal = chars.collect();
        Self { pieces, literal }
    }

    /// Does the whole text fit?
    pub fn fits(&self, text: &str) -> bool {
        if let Some(literal) = &self.literal {
            return literal == text;
        }
        let text: Vec<char> = text.chars().collect();
        fits(&self.pieces, &text)
    }
}

fn fits(pattern: &[Piece], text: &[char]) -> bool {
    let mut reachable = vec![false; text.len().saturating_add(1)];
    if let Some(start) = reachable.first_mut() {
        *start = true;
    }
    for piece in pattern {
        let mut next = vec![false; reachable.len()];
        let mut seen = false;
        for (at, slot) in next.iter_mut().enumerate() {
            let here = reachable.get(at).copied().unwrap_or_default();
            let before = at
                .checked_sub(1)
                .and_then(|b| reachable.get(b))
                .copied()
                .unwrap_or_default();
            let char_before = at.checked_sub(1).and_then(|b| text.get(b));
            seen |= here;
            *slot = match piece {
                Piece::Many => seen,
                Piece::One => before,
                Piece::Char(c) => before && char_before == Some(c),
            };
        }
        reachable = next;
    }
    reachable.last().copied().unwrap_or_default()
}

impl Query {
    /// The types that documents must be of to fit, where the query says so.
    pub fn types(&self) -> Option<Vec<&str>> {
        match self {
            Self::Term(Some(field), pattern) if field == "resource_type" => {
                pattern.literal.as_deref().map(|name| vec![name])
            }
            Self::All(parts) => parts.iter().find_map(Self::types),
            Self::Any(parts) => {
                let all: Option<Vec<Vec<&str>>> = parts.iter().map(Self::types).collect();
                all.map(|lists| lists.concat())
            }
            _ => None,
        }
    }

    /// Does a document fit?
    pub fn matches(&self, document: &Document) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|p| p.matches(document)),
            Self::Any(parts) => parts.iter().any(|p| p.matches(document)),
            Self::Not(inner) => !inner.matches(document),
            Self::Term(Some(field), pattern) => has_value(document, field, &|v| pattern.fits(v)),
            Self::Term(None, pattern) => document.values().any(|v| anywhere(v, pattern)),
            Self::Range(field, low, high) => has_value(document, field, &|v| within(v, low, high)),
        }
    }
}

fn within(value: &str, low: &Bound, high: &Bound) -> bool {
    let compare = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    };
    low.as_ref().is_none_or(|l| compare(value, l).is_ge())
        && high.as_ref().is_none_or(|h| compare(value, h).is_le())
}

fn has_value(document: &Document, field: &str, test: &dyn Fn(&str) -> bool) -> bool {
    let (head, rest) = field.split_once('.').unwrap_or((field, ""));
    document.get(head).is_some_and(|v| any_value(v, rest, test))
}

/// Values of a field, lists element by element: so two fields of a list's elements match independently.
fn any_value(value: &Value, field: &str, test: &dyn Fn(&str) -> bool) -> bool {
    if let Value::Array(list) = value {
        return list.iter().any(|v| any_value(v, field, test));
    }
    if field.is_empty() {
        return scalar(value).is_some_and(|t| test(&t));
    }
    let (head, rest) = field.split_once('.').unwrap_or((field, ""));
    value.get(head).is_some_and(|v| any_value(v, rest, test))
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

fn anywhere(value: &Value, pattern: &Pattern) -> bool {
    match value {
        Value::Array(list) => list.iter().any(|v| anywhere(v, pattern)),
        Value::Object(map) => map.values().any(|v| anywhere(v, pattern)),
        other => scalar(other).is_some_and(|t| pattern.fits(&t)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn document() -> Document {
        Document::from(json!({
            "resource_type": "Segment", "display_name": "Web One", "path": "/infra/segments/web",
            "marked_for_delete": false, "_revision": 3, "status": {"publish_status": "REALIZED"},
            "tags": [{"scope": "vic-operator/instance", "tag": "a:1"}, {"scope": "env", "tag": "prod"}],
        }))
    }

    #[test]
    fn queries_match_or_do_not() {
        let cases = [
            ("resource_type:Segment", true),
            ("resource_type:segment", false),
            ("resource_type:(Tier1 OR Segment)", true),
            ("resource_type:(Tier1 OR Tier0)", false),
            ("resource_type:Segment AND marked_for_delete:false", true),
            ("resource_type:Segment AND marked_for_delete:true", false),
            ("NOT resource_type:Tier1 AND _revision:3", true),
            ("NOT (resource_type:Segment AND _revision:3)", false),
            (
                "resource_type:Tier1 OR resource_type:Segment AND _revision:4",
                false,
            ),
            (
                "(resource_type:Tier1 OR resource_type:Segment) AND _revision:3",
                true,
            ),
            (r"path:\/infra\/segments\/web", true),
            (r"path:\/infra\/segments\/*", true),
            (r"path:\/infra\/segment", false),
            (r"tags.scope:vic-operator\/instance AND tags.tag:a\:1", true),
            // Independent: scope of one tag, value of another.
            (r"tags.scope:env AND tags.tag:a\:1", true),
            ("tags.tag:b*", false),
            ("tags.tag:pr?d", true),
            ("display_name:\"Web One\"", true),
            ("display_name:Web*", true),
            ("status.publish_status:REALIZED", true),
            ("unknown_field:x", false),
            ("prod", true),
            ("absent", false),
        ];
        for (text, expected) in cases {
            let query = parse(text, false).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(query.matches(&document()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_query_is_refused() {
        let cases = [
            ("", "ends too early"),
            ("path:/infra/segments/web", "/ must be escaped"),
            ("tags.tag:a:1", ": must be escaped"),
            ("resource_type:(A OR B", "not closed"),
            ("resource_type:", "has no value"),
            ("resource_type:A resource_type:B", "unexpected"),
            ("AND resource_type:A", "unexpected"),
            ("display_name:\"open", "quote is not closed"),
            ("_last_modified_time:[1 TO 2]", "range queries are not supported"),
            ("x\\", "backslash"),
            ("res*:A", "no wildcards"),
        ];
        for (text, expected) in cases {
            let error = parse(text, false).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_query_may_tell_the_types_it_is_about() {
        let cases: [(&str, Option<&[&str]>); 7] = [
            ("resource_type:Segment", Some(&["Segment"])),
            ("resource_type:Segment AND tags.tag:x", Some(&["Segment"])),
            ("tags.tag:x AND resource_type:(A OR B)", Some(&["A", "B"])),
            ("resource_type:A OR resource_type:B", Some(&["A", "B"])),
            ("resource_type:A OR tags.tag:x", None),
            ("NOT resource_type:A", None),
            ("resource_type:Seg*", None),
        ];
        for (text, expected) in cases {
            let query = parse(text, false).unwrap();
            assert_eq!(query.types().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn ranges_work_where_they_are_switched_on() {
        let matches = |text: &str| parse(text, true).unwrap().matches(&document());
        assert!(matches("_revision:[2 TO 3]"));
        assert!(matches("_revision:[3 TO *]"));
        assert!(!matches("_revision:[10 TO 20]"), "numbers compare as numbers");
    }

    proptest! {
        #[test]
        fn an_escaped_value_matches_itself_and_nothing_longer(value in "[a-zA-Z0-9/:._ ()*?\\[\\]-]{1,20}") {
            let escaped: String = value.chars().flat_map(|c| ['\\', c]).collect();
            let query = parse(&format!("name:{escaped}"), false).unwrap();
            let itself = json!({"name": value.clone()});
            prop_assert!(query.matches(&itself.into()));
            let longer = json!({"name": format!("{value}x")});
            prop_assert!(!query.matches(&longer.into()));
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,40}") {
            let _ = parse(&text, true).map(|q| q.matches(&document()));
        }
    }
}
