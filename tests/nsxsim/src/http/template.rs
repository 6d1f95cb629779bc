//! The template of a path: ids replaced by their names, as the vendor's operations write it.

use crate::paths::{ROOT, project_of, root_of};
use crate::schema::Schema;

const POLICY: &str = "/policy/api/v1";
/// What stands for a project: its paths are those of the provider, below it.
const PROJECT: &str = "/orgs/{org-id}/projects/{project-id}";

/// The template; a path of no known operation is told with the ids of known collections replaced by `{id}`.
pub fn template(schema: &Schema, path: &str) -> String {
    let inside = path
        .strip_prefix(POLICY)
        .and_then(|p| Some((project_of(p)?, root_of(p), p)));
    if let Some((_, root, whole)) = inside.filter(|(_, root, whole)| whole.len() > root.len()) {
        let rest = whole.strip_prefix(root).unwrap_or_default();
        let provider = template(schema, &format!("{POLICY}{ROOT}{rest}"));
        let below = provider.strip_prefix(POLICY).unwrap_or_default();
        return format!("{POLICY}{PROJECT}{below}");
    }
    let parts: Vec<&str> = path.split('/').collect();
    let mut best: Option<(usize, &str)> = None;
    for operation in &schema.operations {
        if let Some(literal) = score(&operation.path, &parts)
            && best.is_none_or(|(known, _)| literal > known)
        {
            best = Some((literal, &operation.path));
        }
    }
    best.map_or_else(|| guess(&parts), |(_, template)| template.to_owned())
}

/// Number of literal parts that agree; `None` if the template does not fit.
fn score(template: &str, parts: &[&str]) -> Option<usize> {
    let mut literal = 0_usize;
    let mut mine = parts.iter();
    for theirs in template.split('/') {
        let part = mine.next()?;
        if theirs.starts_with('{') {
            if part.is_empty() {
                return None;
            }
        } else if theirs == *part {
            literal = literal.saturating_add(1);
        } else {
            return None;
        }
    }
    mine.next().is_none().then_some(literal)
}

/// Every second part below `infra` is an id.
fn guess(parts: &[&str]) -> String {
    let Some(infra) = parts.iter().position(|p| *p == "infra") else {
        return parts.join("/");
    };
    let told = parts.iter().enumerate().map(|(at, part)| {
        let depth = at.saturating_sub(infra);
        if at > infra && depth % 2 == 0 {
            "{id}"
        } else {
            part
        }
    });
    told.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_names() {
        let schema = Schema::embedded().unwrap();
        let cases = [
            ("/policy/api/v1/infra", "/policy/api/v1/infra"),
            (
                "/policy/api/v1/infra/segments/web",
                "/policy/api/v1/infra/segments/{segment-id}",
            ),
            (
                "/policy/api/v1/infra/segments/state",
                "/policy/api/v1/infra/segments/state",
            ),
            (
                "/policy/api/v1/infra/tier-1s/t/nat/USER/nat-rules/r",
                "/policy/api/v1/infra/tier-1s/{tier-1-id}/nat/{nat-id}/nat-rules/{nat-rule-id}",
            ),
            ("/policy/api/v1/search/query", "/policy/api/v1/search/query"),
            (
                "/policy/api/v1/infra/unknown/x/more",
                "/policy/api/v1/infra/unknown/{id}/more",
            ),
            (
                "/policy/api/v1/orgs/default/projects/p/infra",
                "/policy/api/v1/orgs/{org-id}/projects/{project-id}/infra",
            ),
            (
                "/policy/api/v1/orgs/default/projects/p/infra/tier-1s/t/nat/USER/nat-rules/r",
                "/policy/api/v1/orgs/{org-id}/projects/{project-id}/infra/tier-1s/{tier-1-id}/nat/{nat-id}/nat-rules/{nat-rule-id}",
            ),
            ("/api/session/create", "/api/session/create"),
        ];
        for (path, expected) in cases {
            assert_eq!(template(schema, path), expected);
        }
    }
}
