//! Projects: what an object may name beyond its own project.

use serde_json::{Map, Value};

use super::World;
use super::object::{Object, texts};
use crate::paths::{parent_of, project_of};
use crate::rules::expressions;

impl World {
    /// May the object at a path name another: one of its own project, or one that the provider lends to the project?
    /// The provider's objects never name a project's.
    pub fn may_name(&self, path: &str, target: &Object) -> bool {
        match (project_of(path), project_of(&target.path)) {
            (own, theirs) if own == theirs => true,
            (Some(project), None) => self.lends(project, target),
            _ => false,
        }
    }

    fn lends(&self, project: &str, target: &Object) -> bool {
        let Some(project) = self.store.live(project) else {
            return false;
        };
        let listed = |field: &str| texts(&project.body, field).contains(&target.path.as_str());
        match target.kind.as_str() {
            "Tier0" => listed("tier_0s"),
            "IpAddressBlock" => listed("external_ipv4_blocks"),
            "PolicyEdgeCluster" => {
                at_site(&project.body, "edge_cluster_paths").contains(&target.path.as_str())
            }
            "PolicyEdgeNode" => {
                at_site(&project.body, "edge_cluster_paths").contains(&parent_of(&target.path))
            }
            "PolicyTransportZone" => {
                let zones = at_site(&project.body, "transport_zone_paths");
                zones.is_empty() || zones.contains(&target.path.as_str())
            }
            "Service" => target.is_system_owned(),
            _ => false,
        }
    }
}

fn at_site<'a>(project: &'a Map<String, Value>, field: &str) -> Vec<&'a str> {
    expressions(project, "site_infos")
        .flat_map(|site| texts(site, field))
        .collect()
}
