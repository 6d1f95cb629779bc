//! Where objects live: which collections hang below which type, and what a policy path means.

/// The root of all policy paths.
pub const ROOT: &str = "/infra";

/// One collection: `parent` has children of type `kind` at `{parent path}/{segment}/{id}`.
struct Collection {
    parent: &'static str,
    segment: &'static str,
    kind: &'static str,
}

const fn below(parent: &'static str, segment: &'static str, kind: &'static str) -> Collection {
    Collection {
        parent,
        segment,
        kind,
    }
}

const COLLECTIONS: &[Collection] = &[
    below("Infra", "domains", "Domain"),
    below("Infra", "sites", "Site"),
    below("Infra", "tier-0s", "Tier0"),
    below("Infra", "tier-1s", "Tier1"),
    below("Infra", "segments", "Segment"),
    below("Infra", "services", "Service"),
    below("Infra", "dhcp-server-configs", "DhcpServerConfig"),
    below("Infra", "dhcp-relay-configs", "DhcpRelayConfig"),
    below("Infra", "ip-pools", "IpAddressPool"),
    below("Infra", "ip-blocks", "IpAddressBlock"),
    below("IpAddressPool", "ip-subnets", "IpAddressPoolSubnet"),
    below("IpAddressPool", "ip-allocations", "IpAddressAllocation"),
    below("Domain", "groups", "Group"),
    below("Domain", "security-policies", "SecurityPolicy"),
    below("Domain", "gateway-policies", "GatewayPolicy"),
    below("SecurityPolicy", "rules", "Rule"),
    below("GatewayPolicy", "rules", "Rule"),
    below("Site", "enforcement-points", "EnforcementPoint"),
    below("EnforcementPoint", "transport-zones", "PolicyTransportZone"),
    below("EnforcementPoint", "edge-clusters", "PolicyEdgeCluster"),
    below("PolicyEdgeCluster", "edge-nodes", "PolicyEdgeNode"),
    below("Tier0", "locale-services", "LocaleServices"),
    below("Tier1", "locale-services", "LocaleServices"),
    below("Tier0", "nat", "PolicyNat"),
    below("Tier1", "nat", "PolicyNat"),
    below("Tier1", "segments", "Segment"),
    below("PolicyNat", "nat-rules", "PolicyNatRule"),
    below("Segment", "ports", "SegmentPort"),
    below(
        "Segment",
        "dhcp-static-binding-configs",
        "DhcpStaticBindingConfig",
    ),
    below("Service", "service-entries", "ServiceEntry"),
];

/// What a policy path points to. `kind` is the collection's base type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// `/infra`.
    Root,
    /// One object, which may or may not exist.
    One {
        kind: &'static str,
        parent: String,
        id: String,
    },
    /// All objects of a collection; `parent` is the path they hang below.
    Many { kind: &'static str, parent: String },
}

/// Finds out what a policy path points to; `None` for a path that no type has.
pub fn locate(path: &str) -> Option<Located> {
    let rest = path.strip_prefix(ROOT)?;
    if rest.is_empty() {
        return Some(Located::Root);
    }
    let mut parts = rest.strip_prefix('/')?.split('/');
    let mut parent = ROOT.to_owned();
    let mut kind = "Infra";
    let mut grandparent = None;
    loop {
        let Some(segment) = parts.next() else {
            let (above, id): (String, &str) = grandparent?;
            return Some(Located::One {
                kind,
                parent: above,
                id: id.to_owned(),
            });
        };
        let collection = COLLECTIONS
            .iter()
            .find(|c| c.parent == kind && c.segment == segment)?;
        let Some(id) = parts.next() else {
            return Some(Located::Many {
                kind: collection.kind,
                parent,
            });
        };
        if id.is_empty() {
            return None;
        }
        let own = format!("{parent}/{segment}/{id}");
        grandparent = Some((parent, id));
        parent = own;
        kind = collection.kind;
    }
}

/// The base type of the object at a path.
pub fn kind_at(path: &str) -> Option<&'static str> {
    match locate(path)? {
        Located::Root => Some("Infra"),
        Located::One { kind, .. } => Some(kind),
        Located::Many { .. } => None,
    }
}

/// Path of a child of type `kind` below an object of type `parent_kind`; `None` if that type has no such children.
pub fn child_path(parent_kind: &str, parent: &str, kind: &str, id: &str) -> Option<String> {
    let found = COLLECTIONS
        .iter()
        .find(|c| c.parent == parent_kind && c.kind == kind)?;
    Some(format!("{parent}/{}/{id}", found.segment))
}

/// The path an object hangs below: `/infra/segments/web` has `/infra`.
pub fn parent_of(path: &str) -> &str {
    let without_id = path.rsplit_once('/').map_or("", |(head, _)| head);
    without_id.rsplit_once('/').map_or("", |(head, _)| head)
}

/// The last part of a path.
pub fn id_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, id)| id)
}

/// Does a pattern fit a text? `*` stands for anything, also for nothing.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(first) = pieces.next() else {
        return text.is_empty();
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest
            .find(piece)
            .and_then(|at| rest.get(at.saturating_add(piece.len())..))
        {
            Some(tail) => rest = tail,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Is the id one that the API takes? No slash, no blank, none of the characters that a URL gives a meaning to.
pub fn is_id(id: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/[]{}%?#<>\"\\^`|".contains(c);
    !id.is_empty() && id.len() <= 255 && !id.contains(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_objects_collections_or_nothing() {
        let one = |kind, parent: &str, id: &str| {
            Some(Located::One {
                kind,
                parent: parent.into(),
                id: id.into(),
            })
        };
        let cases = [
            ("/infra", Some(Located::Root)),
            ("/infra/segments/web", one("Segment", "/infra", "web")),
            (
                "/infra/tier-1s/t/segments/web",
                one("Segment", "/infra/tier-1s/t", "web"),
            ),
            (
                "/infra/tier-1s/t/nat/USER/nat-rules/r",
                one("PolicyNatRule", "/infra/tier-1s/t/nat/USER", "r"),
            ),
            (
                "/infra/segments/web/ports",
                Some(Located::Many {
                    kind: "SegmentPort",
                    parent: "/infra/segments/web".into(),
                }),
            ),
            ("/infra/tier-0s/t/segments/web", None),
            ("/infra/segments//ports", None),
            ("/infra/unknown/x", None),
            ("/orgs/default", None),
        ];
        for (path, expected) in cases {
            assert_eq!(locate(path), expected, "{path}");
        }
    }

    #[test]
    fn parents_are_two_steps_up() {
        assert_eq!(parent_of("/infra/segments/web"), "/infra");
        assert_eq!(parent_of("/infra/tier-1s/t/nat/USER"), "/infra/tier-1s/t");
        assert_eq!(
            child_path("Segment", "/infra/segments/w", "SegmentPort", "p").unwrap(),
            "/infra/segments/w/ports/p"
        );
        assert_eq!(child_path("Segment", "/infra/segments/w", "Rule", "p"), None);
    }

    #[test]
    fn globs() {
        let cases = [
            ("/infra/*", "/infra/a/b", true),
            ("/infra/*/nat-rules/*", "/infra/t/nat/USER/nat-rules/r", true),
            ("/infra/*/rules", "/infra/t/rules/r", false),
            ("/infra", "/infra", true),
            ("/infra", "/infra/x", false),
            ("*", "", true),
            ("a*a", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn ids() {
        for good in ["a", "vic-1.2_B", "default:7c"] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "a[0]", "a%20", &"x".repeat(256)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
