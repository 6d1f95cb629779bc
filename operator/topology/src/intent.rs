//! What is wanted of NSX.

use serde_json::{Map, Value};

use crate::identity::is_own_tag;

/// One object as it should be: the fields we declare, and no others.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Policy path.
    pub path: String,
    /// NSX type.
    pub resource_type: &'static str,
    /// The declared fields.
    pub body: Map<String, Value>,
}

impl Intent {
    /// An intent from its fields; fields whose value is null are not declared.
    #[must_use]
    pub fn new(path: String, resource_type: &'static str, fields: Value) -> Self {
        let mut body = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        body.retain(|_, value| !value.is_null());
        Self {
            path,
            resource_type,
            body,
        }
    }

    /// What a person calls it, such as `segment VIC-Bridge`.
    #[must_use]
    pub fn what(&self) -> String {
        let name = self
            .body
            .get("display_name")
            .and_then(Value::as_str)
            .unwrap_or(&self.path);
        format!("{} {name}", word(self.resource_type))
    }

    /// The same, with the tags that others than operators gave to what is there.
    pub(crate) fn keeping_tags_of(&self, observed: &Value) -> Self {
        let mut kept = self.clone();
        let theirs = observed
            .get("tags")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        if let Some(tags) = kept.body.get_mut("tags").and_then(Value::as_array_mut) {
            for tag in theirs.filter(|tag| !is_own_tag(tag)) {
                if !tags.contains(tag) {
                    tags.push(tag.clone());
                }
            }
        }
        kept
    }
}

/// An NSX type in the field's own words.
pub(crate) fn word(resource_type: &str) -> &str {
    match resource_type {
        "Segment" => "segment",
        "PolicyNatRule" => "NAT rule",
        "Rule" => "firewall rule",
        "GatewayPolicy" => "gateway policy",
        "Service" => "service",
        "DhcpServerConfig" | "DhcpRelayConfig" => "DHCP profile",
        "DhcpV4StaticBindingConfig" => "static binding",
        "IpAddressAllocation" => "pool address",
        "Tier1" => "Tier-1 gateway",
        "LocaleServices" => "locale services",
        "Tier1Interface" => "interface",
        "Group" => "group",
        "SecurityPolicy" => "security policy",
        other => other,
    }
}

/// One change in NSX.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Create or replace.
    Put(Intent),
    /// Remove.
    Delete {
        /// Policy path.
        path: String,
        /// NSX type.
        resource_type: String,
    },
}
