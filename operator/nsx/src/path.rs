//! Policy paths: `/infra/segments/web`, and what they say about an object's place.

/// The id at the end of a path.
pub(crate) fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The same path as a part of a URL: every element percent-encoded.
pub(crate) fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                for half in [byte >> 4, byte & 15] {
                    out.push(
                        char::from_digit(u32::from(half), 16)
                            .unwrap_or('0')
                            .to_ascii_uppercase(),
                    );
                }
            }
        }
    }
    out
}

/// The path of a URL with ids replaced by `{id}`: below `infra` and `orgs`, collections and ids take turns.
pub(crate) fn template(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| {
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
    });
    // Whether the next element is an id; not decided outside of the tree of objects.
    let mut turn = None;
    let told = path.split('/').map(|part| {
        let id = turn == Some(true);
        turn = match part {
            "infra" if !id => Some(false),
            "orgs" if !id => Some(true),
            // Not a collection: what follows are words.
            "realized-state" if !id => None,
            _ => turn.map(|turn| !turn),
        };
        if id { "{id}" } else { part }
    });
    told.collect::<Vec<_>>().join("/")
}

/// The paths of all ancestors of `path`, nearest first: for `/infra/a/b/c/d` these are `/infra/a/b/c`, `/infra/a/b`, ….
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.get(..rest.rfind('/')?)?;
        (!rest.is_empty()).then_some(rest)
    })
}

/// The prefix of the paths of a gateway's NAT rules that users own.
pub(crate) fn user_nat(gateway: &str) -> String {
    format!("{gateway}/nat/USER/nat-rules")
}

/// The gateway of a NAT rule in the section that users own; `None` for any other path.
pub(crate) fn gateway_of_user_nat(path: &str) -> Option<&str> {
    let (gateway, rule) = path.split_once("/nat/USER/nat-rules/")?;
    (!rule.is_empty() && !rule.contains('/')).then_some(gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(id("/infra/segments/web"), "web");
        assert_eq!(
            encoded("/infra/segments/a b[1]ü%"),
            "/infra/segments/a%20b%5B1%5D%C3%BC%25"
        );
        assert_eq!(
            ancestors("/infra/a/b").collect::<Vec<_>>(),
            ["/infra/a", "/infra"]
        );
    }

    #[test]
    fn a_template_has_no_ids() {
        let cases = [
            ("https://nsx:443/policy/api/v1/infra", "/policy/api/v1/infra"),
            (
                "https://nsx/policy/api/v1/infra/tier-1s/t/nat/USER/nat-rules/r",
                "/policy/api/v1/infra/tier-1s/{id}/nat/{id}/nat-rules/{id}",
            ),
            (
                "https://nsx/policy/api/v1/infra/segments/infra",
                "/policy/api/v1/infra/segments/{id}",
            ),
            (
                "https://nsx/policy/api/v1/orgs/default/projects/p/infra/segments/web",
                "/policy/api/v1/orgs/{id}/projects/{id}/infra/segments/{id}",
            ),
            (
                "https://nsx/policy/api/v1/infra/realized-state/realized-entities",
                "/policy/api/v1/infra/realized-state/realized-entities",
            ),
            (
                "https://nsx/policy/api/v1/search/query",
                "/policy/api/v1/search/query",
            ),
            ("https://nsx/api/session/create", "/api/session/create"),
            ("https://nsx", ""),
        ];
        for (url, expected) in cases {
            assert_eq!(template(url), expected, "{url}");
        }
    }

    #[test]
    fn only_rules_of_the_user_section_have_a_gateway() {
        let cases = [
            ("/infra/tier-1s/t/nat/USER/nat-rules/r", Some("/infra/tier-1s/t")),
            ("/infra/tier-1s/t/nat/INTERNAL/nat-rules/r", None),
            ("/infra/tier-1s/t/nat/USER/nat-rules/", None),
            ("/infra/tier-1s/t/nat/USER/nat-rules/r/statistics", None),
            ("/infra/tier-1s/t/nat/USER", None),
        ];
        for (path, gateway) in cases {
            assert_eq!(gateway_of_user_nat(path), gateway, "{path}");
        }
    }
}
