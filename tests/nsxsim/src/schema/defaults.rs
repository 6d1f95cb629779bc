//! Defaults, filled in where a body leaves a field out.

use serde_json::{Map, Value};

use super::{Field, Schema};

impl Schema {
    /// Fills every absent field that has a default, in nested objects that are present too.
    pub fn fill(&self, name: &str, body: &mut Map<String, Value>) {
        let Some(concrete) = self.concrete(name, body) else {
            return;
        };
        let Some(kind) = self.get(&concrete) else { return };
        for (key, field) in &kind.fields {
            match body.get_mut(key) {
                Some(value) => self.fill_value(field, value),
                None => {
                    if let Some(default) = &field.default {
                        body.insert(key.clone(), default.clone());
                    }
                }
            }
        }
    }

    fn fill_value(&self, field: &Field, value: &mut Value) {
        match value {
            Value::Object(map) => {
                if let Some(target) = &field.target {
                    self.fill(target, map);
                }
            }
            Value::Array(list) => {
                if let Some(items) = &field.items {
                    for value in list {
                        self.fill_value(items, value);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_fields_take_their_defaults_down_to_nested_objects() {
        let schema = Schema::embedded().unwrap();
        let mut body = json!({"subnets": [{"gateway_address": "10.0.0.1/24",
            "dhcp_config": {"resource_type": "SegmentDhcpV4Config", "lease_time": 60}}, {"dhcp_config":
            {"resource_type": "SegmentDhcpV4Config"}}], "admin_state": "DOWN"});
        schema.fill("Segment", body.as_object_mut().unwrap());
        assert_eq!(body["replication_mode"], "MTEP");
        assert_eq!(body["admin_state"], "DOWN");
        assert_eq!(body["subnets"][0]["dhcp_config"]["lease_time"], 60);
        assert_eq!(body["subnets"][1]["dhcp_config"]["lease_time"], 86400);
        assert!(
            body.get("advanced_config").is_none(),
            "an absent object stays absent"
        );
    }
}
