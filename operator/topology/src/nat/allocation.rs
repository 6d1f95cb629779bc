//! An external address taken from a pool of NSX, shared by all rules of a namespace that give it the same name.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::identity::{shared_id, shared_tags};
use crate::intent::Intent;

/// The NSX type.
const KIND: &str = "IpAddressAllocation";

/// An address of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationSpec {
    /// Which operator's.
    pub instance: String,
    /// The namespace whose rules share it.
    pub namespace: String,
    /// The pool's policy path.
    pub pool_path: String,
    /// What the rules call it.
    pub name: String,
}

impl AllocationSpec {
    /// Its policy path.
    #[must_use]
    pub fn path(&self) -> String {
        let content = format!("{}/{}@{}", self.namespace, self.name, self.pool_path);
        let id = shared_id(&self.instance, KIND, &content);
        format!("{}/ip-allocations/{id}", self.pool_path)
    }

    /// The address as NSX shall have it: any of the pool, or the one that the rules had before.
    #[must_use]
    pub fn intent(&self, before: Option<Ipv4Addr>) -> Intent {
        let fields = json!({
            "display_name": format!("{}/{}", self.namespace, self.name),
            "tags": shared_tags(&self.instance, KIND),
            "allocation_ip": before.map(|address| address.to_string()),
        });
        Intent::new(self.path(), KIND, fields)
    }

    /// The shared object: policy path and NSX type.
    #[must_use]
    pub fn shared(&self) -> (String, String) {
        (self.path(), KIND.to_owned())
    }

    /// The address that NSX gave: what it says it allocated, else what it was asked for.
    #[must_use]
    pub fn address(observed: &Value) -> Option<Ipv4Addr> {
        ["allocated_ip", "allocation_ip"]
            .into_iter()
            .find_map(|field| observed.get(field)?.as_str()?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(namespace: &str, pool: &str, name: &str) -> AllocationSpec {
        AllocationSpec {
            instance: "i".into(),
            namespace: namespace.into(),
            pool_path: format!("/infra/ip-pools/{pool}"),
            name: name.into(),
        }
    }

    #[test]
    fn an_address_is_shared_by_name_within_a_namespace_and_a_pool() {
        let path = |namespace, pool, name| allocation(namespace, pool, name).path();
        let web = path("a", "public", "web");
        assert_eq!(web, path("a", "public", "web"));
        for other in [
            path("b", "public", "web"),
            path("a", "other", "web"),
            path("a", "public", "api"),
        ] {
            assert_ne!(web, other);
        }
        assert!(web.starts_with("/infra/ip-pools/public/ip-allocations/vic-"));
    }

    #[test]
    fn an_address_lost_by_hand_is_asked_for_again() {
        let spec = allocation("a", "public", "web");
        assert!(!spec.intent(None).body.contains_key("allocation_ip"));
        let before = Some("203.0.113.7".parse().unwrap());
        assert_eq!(spec.intent(before).body["allocation_ip"], json!("203.0.113.7"));
    }

    #[test]
    fn the_address_is_what_nsx_says_it_gave() {
        let cases = [
            (json!({}), None),
            (json!({"allocation_ip": "203.0.113.7"}), Some("203.0.113.7")),
            (
                json!({"allocation_ip": "203.0.113.7", "allocated_ip": "203.0.113.8"}),
                Some("203.0.113.8"),
            ),
            (json!({"allocated_ip": "not yet"}), None),
        ];
        for (body, expected) in cases {
            let found = AllocationSpec::address(&body).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{body}");
        }
    }
}
