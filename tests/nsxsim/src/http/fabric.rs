//! VMs and vNICs, and their tags.

use serde_json::{Map, Value};

use super::answer::Answer;
use super::request::Request;
use crate::error::{FIELD, NsxError};
use crate::schema::Strictness;
use crate::world::list::{Paging, page};
use crate::world::{Actor, World};

/// VMs, filtered by `external_id` and `display_name`.
pub fn machines(world: &World, request: &Request) -> Result<Answer, NsxError> {
    let paging = Paging::from_query(&request.query)?;
    let fits = |name: &str, value: &str| request.parameter(name).is_none_or(|wanted| wanted == value);
    let vms = world.inventory.vms.iter();
    let taken = vms.filter(|v| fits("external_id", &v.external_id) && fits("display_name", &v.display_name));
    let taken: Vec<Value> = taken.map(crate::world::inventory::Vm::document).collect();
    let body = page(&taken, &paging, world.tuning.list_omits_last_cursor)?;
    Ok(Answer::json(&body))
}

/// vNICs, filtered by `owner_vm_id` and `lport_attachment_id`.
pub fn vifs(world: &World, request: &Request) -> Result<Answer, NsxError> {
    let paging = Paging::from_query(&request.query)?;
    let attached: Vec<&str> = world
        .store
        .of_kind("SegmentPort")
        .filter_map(|o| {
            o.body
                .get("attachment")
                .and_then(|a| a.get("id"))
                .and_then(Value::as_str)
        })
        .collect();
    let all = world
        .inventory
        .vms
        .iter()
        .flat_map(|vm| vm.vifs.iter().map(move |vif| (vm, vif)));
    let shown = all.map(|(vm, vif)| vif.document(vm, attached.contains(&vif.external_id.as_str())));
    let fits = |body: &Value, name: &str| {
        request
            .parameter(name)
            .is_none_or(|wanted| body.get(name).and_then(Value::as_str) == Some(wanted))
    };
    let taken = shown.filter(|b| fits(b, "owner_vm_id") && fits(b, "lport_attachment_id"));
    let taken: Vec<Value> = taken.collect();
    let body = page(&taken, &paging, world.tuning.list_omits_last_cursor)?;
    Ok(Answer::json(&body))
}

/// `POST …/virtual-machines?action=add_tags|remove_tags|update_tags`.
pub fn tag(world: &mut World, request: &Request, actor: &Actor) -> Result<Answer, NsxError> {
    let body = request.object()?;
    world
        .schema
        .read("VirtualMachineTagsUpdate", &rename(&body), Strictness::Part)?;
    let id = ["external_id", "virtual_machine_id"]
        .iter()
        .find_map(|k| body.get(*k).and_then(Value::as_str));
    let id = id
        .ok_or_else(|| NsxError::fields(&["external_id is required".into()]))?
        .to_owned();
    let given = body
        .get("tags")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let vm = world.inventory.vms.iter().find(|v| v.external_id == id);
    let known = vm.ok_or_else(|| NsxError::not_found(&id))?.tags.clone();
    let tags = match request.parameter("action") {
        Some("add_tags") => {
            let fresh = given
                .into_iter()
                .filter(|t| !known.contains(t))
                .collect::<Vec<_>>();
            [known.clone(), fresh].concat()
        }
        Some("remove_tags") => known.into_iter().filter(|t| !given.contains(t)).collect(),
        Some("update_tags") => given,
        other => {
            let action = other.unwrap_or("(none)");
            return Err(NsxError::bad(FIELD, format!("Unknown action {action}")).common());
        }
    };
    world.tag_vm(&id, tags, actor.now);
    Ok(Answer::status(
        if request.path.as_deref().is_some_and(|p| p.starts_with("/api")) {
            204
        } else {
            200
        },
    ))
}

/// The manager's API calls it `external_id`, the policy's `virtual_machine_id`.
fn rename(body: &Map<String, Value>) -> Map<String, Value> {
    let mut renamed = body.clone();
    if let Some(id) = renamed.remove("external_id") {
        renamed.insert("virtual_machine_id".into(), id);
    }
    renamed
}
