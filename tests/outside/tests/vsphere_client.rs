//! pyVmomi reads back every vSphere object that the operator made for the reference topology.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lab::outside::Clients;
use lab::poc::Run;
use lab::progress::Progress;
use lab::{Lab, Options, Result};
use outside::told;
use serde_json::{Value, json};

/// What the simulator's dump and the API both tell of an object, by list.
const FIELDS: [(&str, &[&str]); 4] = [
    (
        "vms",
        &[
            "name",
            "folder",
            "pool",
            "power",
            "vm_path",
            "instance_uuid",
            "num_cpus",
            "memory_mb",
            "alternate_guest_name",
            "ip",
            "marks",
            "extra_config",
        ],
    ),
    ("pools", &["name", "path", "vms", "marks"]),
    ("folders", &["name", "path", "children", "marks"]),
    (
        "port_groups",
        &[
            "name",
            "description",
            "vlan",
            "backing",
            "config_version",
            "num_ports",
            "vms",
            "marks",
        ],
    ),
];
/// Custom attribute that says what is the operator's.
const MARK: &str = "vic-operator";
/// The key that vCenter hides from its API.
const HIDDEN: &str = "guestinfo.ovfEnv";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_object_of_the_reference_topology_is_read_back_as_it_is() -> Result<()> {
    let Some(clients) = Clients::provide_if_possible(&Progress::quiet()).await? else {
        return Ok(());
    };
    let lab = Lab::start(Options::named("outside-vsphere")).await?;
    let before = lab.vcenter.control.get("/dump").await?;
    let mut run = Run::new(&lab, Arc::new(|_: &str| {})).await?;
    run.bring_up().await?;
    let after = lab.vcenter.control.get("/dump").await?;
    let ca = lab.vcenter.ca_file.display().to_string();
    let arguments = [
        ["--url", &lab.vcenter.url],
        ["--ca", &ca],
        ["--username", &lab.vcenter.username],
        ["--password", &lab.vcenter.password],
    ];
    let read = told(&clients, "vsphere.py", arguments.as_flattened())?;

    let mut found = Vec::new();
    for (list, fields) in FIELDS {
        let (known, shown) = (by_key(&before[list], "moref"), by_key(&read[list], "moref"));
        let mut made = by_key(&after[list], "moref");
        made.retain(|moref, _| !known.contains_key(moref));
        assert!(!made.is_empty(), "the operator made {list}");
        for (moref, object) in made {
            found.extend(match shown.get(&moref) {
                Some(seen) => differences(list, fields, &object, seen),
                None => vec![format!("{list}: pyVmomi does not see {moref}")],
            });
        }
        assert_eq!(
            of_operator(&read[list]),
            of_operator(&after[list]),
            "marked {list}"
        );
    }
    let (known, shown) = (by_key(&before["files"], "path"), by_key(&read["files"], "path"));
    let files = by_key(&after["files"], "path");
    for (path, file) in files.iter().filter(|(path, _)| !known.contains_key(*path)) {
        if shown.get(path).map(|seen| &seen["size"]) != Some(&file["size"]) {
            found.push(format!("{path}: {file} is shown as {:?}", shown.get(path)));
        }
    }
    assert_eq!(found, Vec::<String>::new());
    assert!(files.keys().any(|path| path.ends_with("appliance.iso")));
    assert!(read["fields"].as_array().unwrap().contains(&json!(MARK)));
    Ok(())
}

/// Objects of a list by one of their fields.
fn by_key(list: &Value, key: &str) -> BTreeMap<String, Value> {
    let objects = list.as_array().unwrap().iter();
    objects
        .map(|object| (object[key].as_str().unwrap().to_owned(), object.clone()))
        .collect()
}

/// Objects of a list that carry the operator's mark.
fn of_operator(list: &Value) -> BTreeSet<String> {
    let marked = by_key(list, "moref").into_iter();
    marked
        .filter(|(_, object)| object["marks"].get(MARK).is_some())
        .map(|(moref, _)| moref)
        .collect()
}

fn differences(list: &str, fields: &[&str], object: &Value, seen: &Value) -> Vec<String> {
    let name = &object["name"];
    let mut found = Vec::new();
    for field in fields {
        let (mut there, shown) = (object[*field].clone(), &seen[*field]);
        if let Some(map) = there.as_object_mut() {
            map.remove(HIDDEN);
        }
        if &there != shown {
            found.push(format!("{list} {name}: {field} {there} is shown as {shown}"));
        }
    }
    for device in object["devices"].as_array().into_iter().flatten() {
        let shown = seen["devices"].as_array().into_iter().flatten();
        let same = shown.into_iter().any(|other| {
            ["type", "key", "mac", "slot"]
                .iter()
                .all(|field| device.get(field).is_none_or(|value| &other[*field] == value))
        });
        if !same {
            found.push(format!(
                "{list} {name}: no device {device} in {}",
                seen["devices"]
            ));
        }
    }
    found
}
