//! Service entries.

use serde_json::{Map, Value};

use crate::error::{FIELD, NsxError};
use crate::world::object::{text, texts};

/// Ports of an entry: a range counts twice.
const MAX_PORTS: usize = 15;

/// An entry of a service (`named`), or one that a rule carries inline.
pub fn check_entry(body: &Map<String, Value>, named: bool) -> Result<(), NsxError> {
    let kind = text(body, "resource_type").unwrap_or_default();
    if named && text(body, "display_name").is_none() {
        return Err(NsxError::bad(FIELD, format!("display_name of a {kind} is required")).common());
    }
    for field in ["destination_ports", "source_ports"] {
        let ports = texts(body, field);
        let count: usize = ports.iter().map(|p| if p.contains('-') { 2 } else { 1 }).sum();
        if count > MAX_PORTS {
            let message =
                format!("{field} has {count} values, at most {MAX_PORTS} are allowed (a range counts 2)");
            return Err(NsxError::rule(message));
        }
    }
    if kind == "ALGTypeServiceEntry" && texts(body, "destination_ports").len() != 1 {
        return Err(NsxError::rule(
            "destination_ports of an ALGTypeServiceEntry has exactly one value",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::rules::testing::{delete, patch, world, write};
    use crate::world::write::Mode;

    const WEB: &str = "/infra/services/web";

    fn entry(ports: &[&str]) -> serde_json::Value {
        json!({"service_entries": [{"resource_type": "L4PortSetServiceEntry", "id": "e", "display_name": "e",
            "l4_protocol": "TCP", "destination_ports": ports}]})
    }

    #[test]
    fn fifteen_ports_and_a_range_counts_twice() {
        let singles: Vec<String> = (1..=15).map(|n| n.to_string()).collect();
        let mut ports: Vec<&str> = singles.iter().map(String::as_str).collect();
        patch(&mut world(), WEB, entry(&ports)).unwrap();
        ports[14] = "100-200";
        let error = patch(&mut world(), WEB, entry(&ports)).unwrap_err();
        assert!(error.message().contains("16 values"), "{}", error.message());
        assert!(patch(&mut world(), WEB, entry(&["http"])).is_err());
    }

    #[test]
    fn entries_merge_on_patch_and_are_replaced_on_put() {
        let mut world = world();
        let two = |a: &str, b: &str| {
            let one = |id: &str| {
                json!({"resource_type": "L4PortSetServiceEntry", "id": id, "display_name": id,
                "l4_protocol": "TCP"})
            };
            json!({"service_entries": [one(a), one(b)]})
        };
        let ids = |world: &crate::world::World| -> Vec<String> {
            let read = world.read(WEB).unwrap();
            let list = read["service_entries"].as_array().unwrap().clone();
            list.iter()
                .map(|e| e["id"].as_str().unwrap().to_owned())
                .collect()
        };
        patch(&mut world, WEB, two("a", "b")).unwrap();
        patch(&mut world, WEB, two("b", "c")).unwrap();
        assert_eq!(ids(&world), ["a", "b", "c"]);
        let mut put = two("c", "d");
        put["_revision"] = json!(1);
        write(&mut world, WEB, put, Mode::Put).unwrap();
        assert_eq!(ids(&world), ["c", "d"]);
    }

    #[test]
    fn predefined_services_are_read_only() {
        let mut world = world();
        assert!(patch(&mut world, "/infra/services/HTTP", json!({"description": "mine"})).is_err());
        assert!(delete(&mut world, "/infra/services/HTTP").is_err());
        assert_eq!(world.read("/infra/services/HTTP").unwrap()["is_default"], true);
    }
}
