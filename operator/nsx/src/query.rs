//! Search expressions, in the query syntax of NSX: `field:value`, AND, OR, NOT and parentheses.

use std::fmt::Write;

use crate::Tag;

/// Letters with a meaning of their own; a backslash takes it away.
const SPECIAL: &str = "\\/:()[]{}\"*?~^+!&|<>= ";

/// A value that stands for itself.
pub(crate) fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (at, letter) in value.chars().enumerate() {
        if SPECIAL.contains(letter) || (at == 0 && letter == '-') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

fn tagged(tag: &Tag) -> String {
    format!(
        "tags.scope:{} AND tags.tag:{}",
        escape(&tag.scope),
        escape(&tag.tag)
    )
}

/// Everything with the tag. Scope and value may match in different tags: the answer must be checked for the pair.
pub(crate) fn owned(tag: &Tag) -> String {
    format!("{} AND marked_for_delete:false", tagged(tag))
}

/// As [`owned`], with what is being deleted.
pub(crate) fn owned_or_deleted(tag: &Tag) -> String {
    tagged(tag)
}

/// NAT rules that [`owned`] leaves out.
pub(crate) fn foreign_rules(tag: &Tag) -> String {
    format!(
        "resource_type:PolicyNatRule AND marked_for_delete:false AND NOT ({})",
        tagged(tag)
    )
}

/// What [`owned`] finds, and [`foreign_rules`].
pub(crate) fn joint(tag: &Tag) -> String {
    format!(
        "marked_for_delete:false AND (resource_type:PolicyNatRule OR ({}))",
        tagged(tag)
    )
}

/// Longest expression over paths; URLs beyond 8 kB are refused by proxies, and escaping triples the slashes.
const LONGEST: usize = 2400;

/// Expressions that together find the objects at these paths, deleted or not, with how many each covers.
pub(crate) fn by_path(paths: &[impl AsRef<str>]) -> Vec<(String, usize)> {
    let mut all = Vec::new();
    let (mut text, mut count) = (String::new(), 0);
    for path in paths {
        let escaped = escape(path.as_ref());
        if count > 0 && text.len() + escaped.len() > LONGEST {
            all.push((format!("path:({text})"), count));
            (text, count) = (String::new(), 0);
        }
        let joint = if count == 0 { "" } else { " OR " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{joint}{escaped}");
        count += 1;
    }
    if count > 0 {
        all.push((format!("path:({text})"), count));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_queries_read_as_documented() {
        let tag = Tag::new("vic-operator/instance", "site-1");
        let pair = r"tags.scope:vic-operator\/instance AND tags.tag:site-1";
        assert_eq!(owned(&tag), format!("{pair} AND marked_for_delete:false"));
        assert_eq!(owned_or_deleted(&tag), pair);
        assert_eq!(
            foreign_rules(&tag),
            format!("resource_type:PolicyNatRule AND marked_for_delete:false AND NOT ({pair})")
        );
        assert_eq!(
            joint(&tag),
            format!("marked_for_delete:false AND (resource_type:PolicyNatRule OR ({pair}))")
        );
        let paths = ["/infra/segments/a".to_owned(), "/infra/segments/b".to_owned()];
        assert_eq!(
            by_path(&paths),
            [(
                r"path:(\/infra\/segments\/a OR \/infra\/segments\/b)".to_owned(),
                2
            )]
        );
        assert_eq!(
            by_path(&paths[..1]),
            [(r"path:(\/infra\/segments\/a)".to_owned(), 1)]
        );
        assert!(by_path(&[""; 0]).is_empty());
    }

    #[test]
    fn what_has_a_meaning_is_escaped() {
        assert_eq!(escape(r#"a/b:c d(e)*"f"\"#), r#"a\/b\:c\ d\(e\)\*\"f\"\\"#);
        assert_eq!(escape("-a-b"), r"\-a-b");
    }

    proptest! {
        #[test]
        fn long_lists_are_cut_into_short_queries_that_cover_all(lengths in prop::collection::vec(1_usize..250, 0..60)) {
            let paths: Vec<String> =
                lengths.iter().enumerate().map(|(n, len)| format!("/infra/{}/{n}", "x".repeat(*len))).collect();
            let queries = by_path(&paths);
            prop_assert_eq!(queries.iter().map(|(_, count)| count).sum::<usize>(), paths.len());
            for path in &paths {
                let escaped = escape(path);
                let holds = |(q, _): &&(String, usize)| q.split([' ', '(', ')']).any(|part| part == escaped);
                prop_assert_eq!(queries.iter().filter(holds).count(), 1);
            }
            for (query, _) in &queries {
                prop_assert!(query.len() < LONGEST + 400);
            }
        }
    }
}
