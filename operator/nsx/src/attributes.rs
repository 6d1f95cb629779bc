//! What NSX gave an object when it realized it: an address from a pool, for one. No field of the object itself tells.

use serde_json::Value;

use crate::core::Core;
use crate::{Error, Priority};

/// Where realized entities are asked for.
const ENTITIES: &str = "/infra/realized-state/realized-entities";

/// An attribute of an object's realized entity; `None` while there is none.
pub(crate) async fn read(core: &Core, path: &str, key: &str) -> Result<Option<String>, Error> {
    let query = [("intent_path", path.to_owned())];
    let answer = core.client.read_policy(Priority::User, ENTITIES, &query).await?;
    Ok(answer.and_then(|answer| attribute(&answer, key)))
}

fn attribute(answer: &Value, key: &str) -> Option<String> {
    let lists = |value: &'_ Value, field: &str| value.get(field).and_then(Value::as_array).cloned();
    let entities = lists(answer, "results")?;
    let attributes = entities
        .iter()
        .filter_map(|entity| lists(entity, "extended_attributes"))
        .flatten();
    let mut meant = attributes.filter(|attribute| attribute.get("key").and_then(Value::as_str) == Some(key));
    let value = meant.next()?;
    let values = value.get("values").and_then(Value::as_array)?;
    values.first()?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attribute_is_found_by_its_key() {
        let answer = json!({"results": [
            {"entity_type": "RealizedLogicalRouter"},
            {"extended_attributes": [
                {"key": "other", "values": ["x"]},
                {"key": "allocation_ip", "values": ["203.0.113.7"], "multivalue": false},
            ]},
        ]});
        assert_eq!(
            attribute(&answer, "allocation_ip").as_deref(),
            Some("203.0.113.7")
        );
        assert_eq!(attribute(&answer, "absent"), None);
        for odd in [
            json!({}),
            json!({"results": []}),
            json!({"results": [{"extended_attributes": [{"key": "allocation_ip", "values": []}]}]}),
        ] {
            assert_eq!(attribute(&odd, "allocation_ip"), None, "{odd}");
        }
    }
}
