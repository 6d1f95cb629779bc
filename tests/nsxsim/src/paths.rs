//! Where objects live: which collections hang below which type, and what a policy path means.

/// The root of the provider's policy paths; a project has one of its own below its path.
pub const ROOT: &str = "/infra";
/// What organisations hang below, in hierarchical calls; their paths begin with `/orgs`.
pub const ORG_ROOT: &str = "/org-root";

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
    below("Tier0", "static-routes", "StaticRoutes"),
    below("Tier1", "static-routes", "StaticRoutes"),
    below("LocaleServices", "interfaces", "Tier0Interface"),
    below("LocaleServices", "interfaces", "Tier1Interface"),
    below("PolicyNat", "nat-rules", "PolicyNatRule"),
    below("Segment", "ports", "SegmentPort"),
    below(
        "Segment",
        "dhcp-static-binding-configs",
        "DhcpStaticBindingConfig",
    ),
    below("Service", "service-entries", "ServiceEntry"),
    below("OrgRoot", "orgs", "Org"),
    below("Org", "projects", "Project"),
];

/// What a policy path points to. `kind` is the collection's base type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// `/infra`, of the provider or of a project; or `/org-root`.
    Root { kind: &'static str },
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
    if path == ORG_ROOT {
        return Some(Located::Root { kind: "OrgRoot" });
    }
    let (kind, end) = trace(path)?;
    Some(match end {
        End::Root => Located::Root { kind },
        End::Object => Located::One {
            kind,
            parent: parent_of(path).to_owned(),
            id: id_of(path).to_owned(),
        },
        End::Collection => Located::Many {
            kind,
            parent: path.rsplit_once('/').map_or("", |(head, _)| head).to_owned(),
        },
    })
}

enum End {
    Root,
    Object,
    Collection,
}

/// Walks along a path; the type it ends at, and how.
fn trace(path: &str) -> Option<(&'static str, End)> {
    let (mut kind, rest) = match path.strip_prefix(ROOT) {
        Some(rest) => ("Infra", rest),
        None if path.starts_with("/orgs") => ("OrgRoot", path),
        None => return None,
    };
    if rest.is_empty() {
        return Some((kind, End::Root));
    }
    let mut parts = rest.strip_prefix('/')?.split('/');
    let mut end = End::Object;
    loop {
        let Some(segment) = parts.next() else {
            return Some((kind, end));
        };
        if kind == "Project" && segment == "infra" {
            (kind, end) = ("Infra", End::Root);
            continue;
        }
        kind = below_of(kind, path).find(|c| c.segment == segment)?.kind;
        match parts.next() {
            None => return Some((kind, End::Collection)),
            Some("") => return None,
            Some(_) => end = End::Object,
        }
    }
}

/// Collections below a type at a path: a Tier-0's interfaces are of another type than a Tier-1's.
fn below_of(kind: &str, path: &str) -> impl Iterator<Item = &'static Collection> {
    let tier0 = path.contains("/tier-0s/");
    COLLECTIONS.iter().filter(move |c| {
        c.parent == kind
            && match c.kind {
                "Tier0Interface" => tier0,
                "Tier1Interface" => !tier0,
                _ => true,
            }
    })
}

/// The base type of the object at a path.
pub fn kind_at(path: &str) -> Option<&'static str> {
    match trace(path)? {
        (kind, End::Root | End::Object) => Some(kind),
        (_, End::Collection) => None,
    }
}

/// Path of a child of type `kind` below an object of type `parent_kind`; `None` if that type has no such children.
pub fn child_path(parent_kind: &str, parent: &str, kind: &str, id: &str) -> Option<String> {
    if (parent_kind, kind) == ("Project", "Infra") {
        return Some(format!("{parent}{ROOT}"));
    }
    let at = if parent_kind == "LocaleServices" {
        parent
    } else {
        ""
    };
    let found = below_of(parent_kind, at).find(|c| c.kind == kind)?;
    let parent = if parent == ORG_ROOT { "" } else { parent };
    Some(format!("{parent}/{}/{id}", found.segment))
}

/// The root an object belongs to: `/infra`, or its project's. Organisations and projects belong to `/infra`.
pub fn root_of(path: &str) -> &str {
    if path.starts_with(ROOT) {
        return ROOT;
    }
    let end = path.match_indices('/').nth(5).map(|(at, _)| at);
    let root = path.get(..end.unwrap_or(path.len())).unwrap_or(path);
    if root.ends_with("/infra") { root } else { ROOT }
}

/// The project that an object belongs to, `None` for the provider's.
pub fn project_of(path: &str) -> Option<&str> {
    root_of(path).strip_suffix(ROOT).filter(|p| !p.is_empty())
}

/// Is it the path of a Tier-0 or Tier-1?
pub fn is_gateway(path: &str) -> bool {
    let collection = path.rsplit('/').nth(1);
    matches!(collection, Some("tier-0s" | "tier-1s"))
}

/// The gateway that an object hangs below, or is.
pub fn gateway_at(path: &str) -> Option<&str> {
    let at = path.find("/tier-0s/").or_else(|| path.find("/tier-1s/"))?;
    let rest = at.saturating_add("/tier-0s/".len());
    let end = path.get(rest..)?.find('/').map(|n| n.saturating_add(rest));
    path.get(..end.unwrap_or(path.len()))
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
            ("/infra", Some(Located::Root { kind: "Infra" })),
            ("/org-root", Some(Located::Root { kind: "OrgRoot" })),
            ("/orgs/default", one("Org", "", "default")),
            ("/orgs/default/projects/p", one("Project", "/orgs/default", "p")),
            (
                "/orgs/default/projects/p/infra",
                Some(Located::Root { kind: "Infra" }),
            ),
            (
                "/orgs/default/projects/p/infra/segments/web",
                one("Segment", "/orgs/default/projects/p/infra", "web"),
            ),
            (
                "/infra/tier-1s/t/locale-services/l/interfaces/i",
                one("Tier1Interface", "/infra/tier-1s/t/locale-services/l", "i"),
            ),
            (
                "/infra/tier-0s/t/locale-services/l/interfaces",
                Some(Located::Many {
                    kind: "Tier0Interface",
                    parent: "/infra/tier-0s/t/locale-services/l".into(),
                }),
            ),
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
            ("/orgs/default/infra", None),
            ("/elsewhere", None),
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
    fn roots_projects_and_gateways_are_parts_of_a_path() {
        let project = "/orgs/default/projects/p";
        let cases = [
            ("/infra/segments/web", ROOT, None, None),
            ("/infra/tier-1s/t/nat/USER", ROOT, None, Some("/infra/tier-1s/t")),
            ("/infra/tier-0s/t", ROOT, None, Some("/infra/tier-0s/t")),
            (project, ROOT, None, None),
            (
                "/orgs/default/projects/p/infra",
                "/orgs/default/projects/p/infra",
                Some(project),
                None,
            ),
            (
                "/orgs/default/projects/p/infra/tier-1s/t/segments/s",
                "/orgs/default/projects/p/infra",
                Some(project),
                Some("/orgs/default/projects/p/infra/tier-1s/t"),
            ),
        ];
        for (path, root, project, gateway) in cases {
            assert_eq!(root_of(path), root, "{path}");
            assert_eq!(project_of(path), project, "{path}");
            assert_eq!(gateway_at(path), gateway, "{path}");
        }
        assert!(is_gateway("/infra/tier-1s/t"));
        assert!(!is_gateway("/infra/tier-1s/t/nat/USER"));
    }

    #[test]
    fn children_have_their_place() {
        let cases = [
            ("OrgRoot", ORG_ROOT, "Org", "default", Some("/orgs/default")),
            (
                "Org",
                "/orgs/default",
                "Project",
                "p",
                Some("/orgs/default/projects/p"),
            ),
            (
                "Project",
                "/orgs/default/projects/p",
                "Infra",
                "infra",
                Some("/orgs/default/projects/p/infra"),
            ),
            (
                "LocaleServices",
                "/infra/tier-1s/t/locale-services/l",
                "Tier1Interface",
                "i",
                Some("/infra/tier-1s/t/locale-services/l/interfaces/i"),
            ),
            (
                "LocaleServices",
                "/infra/tier-0s/t/locale-services/l",
                "Tier1Interface",
                "i",
                None,
            ),
        ];
        for (parent_kind, parent, kind, id, expected) in cases {
            let got = child_path(parent_kind, parent, kind, id);
            assert_eq!(got.as_deref(), expected, "{parent} {kind}");
        }
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
