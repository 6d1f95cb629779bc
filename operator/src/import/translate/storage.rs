//! Image store, volume stores, sizes.

use vic_crds::{FolderPath, Host, Label, Memory, NfsExport, NfsPath, OutsideName, Storage, VolumeStore};

use super::Sheet;
use crate::import::values;

/// Characters that `vic-machine` refuses in the name of a datastore.
const REFUSED: &str = "%&*$#@!\\?\"<>;'|";
/// Where volumes lie on a datastore if no folder is named.
const VOLUME_FOLDER: &str = "VIC";
/// The smallest scratch disk that the operator makes, in bytes.
const LEAST_SCRATCH: u64 = 100_000_000;

pub(super) fn storage(sheet: &mut Sheet<'_>) -> Option<Storage> {
    let (datastore, image_path) = image_store(sheet);
    let stores: Vec<String> = sheet.given.texts("volume-store").map(str::to_owned).collect();
    let mut volume_stores: Vec<VolumeStore> = Vec::new();
    for text in &stores {
        let read = volume_store(sheet, text);
        let Some(store) = sheet.problems.take("volume-store", read) else {
            continue;
        };
        if volume_stores.iter().any(|known| known.name == store.name) {
            let rule = format!("{text}: the label {} is given twice", store.name);
            sheet.problems.note("volume-store", rule);
            continue;
        }
        volume_stores.push(store);
    }
    let storage = Storage {
        datastore,
        image_path,
        scratch_size: scratch_size(sheet),
        quota: sheet
            .at_least("storage-quota", 0)
            .filter(|gigabytes| *gigabytes > 0)
            .map(|gigabytes| Memory::from(format!("{gigabytes}Gi").as_str())),
        volume_stores,
    };
    (storage != Storage::default()).then_some(storage)
}

fn scratch_size(sheet: &mut Sheet<'_>) -> Option<Memory> {
    let text = sheet.given.text("base-image-size")?;
    let bytes = values::size(text).and_then(|bytes| {
        if bytes < LEAST_SCRATCH {
            Err(format!(
                "{text} is less than {LEAST_SCRATCH} bytes, which VIC needs for its own files"
            ))
        } else {
            Ok(bytes)
        }
    });
    let bytes = sheet.problems.take("base-image-size", bytes)?;
    Some(Memory::from(values::decimal_quantity(bytes).as_str()))
}

fn image_store(sheet: &mut Sheet<'_>) -> (Option<OutsideName>, Option<FolderPath>) {
    let Some(text) = sheet.given.text("image-store") else {
        sheet.note(
            "image-store",
            "it is not given, and vic-machine takes the only datastore there is: put its name into spec.storage.datastore, and into the grants of the Site.",
        );
        return (None, None);
    };
    let read = directory(text);
    let Some((datastore, path)) = sheet.problems.take("image-store", read) else {
        return (None, None);
    };
    grant_datastore(sheet, &datastore);
    (Some(datastore), path)
}

fn grant_datastore(sheet: &mut Sheet<'_>, datastore: &OutsideName) {
    if !sheet.grants.datastores.contains(datastore) {
        sheet.grants.datastores.push(datastore.clone());
    }
}

/// `datastore[/path]` or `ds://datastore[/path]`.
fn directory(text: &str) -> Result<(OutsideName, Option<FolderPath>), String> {
    let plain = text.strip_prefix("ds://").unwrap_or(text);
    if plain.contains("://") {
        return Err(format!(
            "{text}: only datastores can be named, as name/path or ds://name/path"
        ));
    }
    if let Some(refused) = plain.chars().find(|c| REFUSED.contains(*c)) {
        return Err(format!("{text} contains {refused}"));
    }
    let (datastore, path) = plain.split_once('/').unwrap_or((plain, ""));
    let path = path.trim_matches('/');
    let path = (!path.is_empty()).then(|| values::field::<FolderPath, &str>(path));
    Ok((values::field::<OutsideName, &str>(datastore)?, path.transpose()?))
}

fn volume_store(sheet: &mut Sheet<'_>, text: &str) -> Result<VolumeStore, String> {
    let (place, label) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("{text} has no label, as in datastore/path:label"))?;
    let name = values::field::<Label, &str>(label)?;
    if let Some(export) = place.strip_prefix("nfs://") {
        return Ok(VolumeStore {
            name,
            datastore: None,
            path: None,
            nfs: Some(nfs(sheet, export)?),
        });
    }
    let (datastore, path) = directory(place)?;
    grant_datastore(sheet, &datastore);
    Ok(VolumeStore {
        name,
        datastore: Some(datastore),
        path: Some(path.unwrap_or_else(|| VOLUME_FOLDER.into())),
        nfs: None,
    })
}

/// `host/path?uid=1000&gid=1000&proto=tcp`
fn nfs(sheet: &mut Sheet<'_>, text: &str) -> Result<NfsExport, String> {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let (server, path) = place
        .split_once('/')
        .filter(|(server, path)| !server.is_empty() && !path.is_empty())
        .ok_or_else(|| format!("nfs://{text} needs a host and a path"))?;
    let (mut uid, mut gid) = (None, None);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "uid" => uid = Some(values::whole(value)?),
            "gid" => gid = Some(values::whole(value)?),
            _ => sheet.note(
                "volume-store",
                format!("there is no field for {name}={value}: volumes are mounted as VIC does by itself."),
            ),
        }
    }
    let server = values::field::<Host, &str>(server)?;
    if !sheet.grants.nfs_servers.contains(&server) {
        sheet.grants.nfs_servers.push(server.clone());
    }
    Ok(NfsExport {
        server,
        path: values::field::<NfsPath, &str>(&format!("/{path}"))?,
        uid,
        gid,
    })
}
