//! The files beside `Cargo.toml` are what the types say, and the chart of the CRDs holds the same;
//! `UPDATE_CRDS=1 cargo test -p vic-crds` rewrites both.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use vic_crds::generate;

#[test]
fn the_generated_files_are_current() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chart = crate_folder.join("../charts/vic-operator-crds/files");
    let mut expected = BTreeSet::new();
    for crd in generate::all() {
        let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
        let text = generate::yaml(&crd).unwrap();
        for folder in [crate_folder, &chart] {
            let path = folder.join(&name);
            if std::env::var_os("UPDATE_CRDS").is_some() {
                fs::write(&path, &text).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "{} is stale: run UPDATE_CRDS=1 cargo test -p vic-crds",
                path.display()
            );
        }
        expected.insert(name);
    }
    assert_eq!(
        readable_by_kubectl(crate_folder).unwrap(),
        expected,
        "kubectl apply -f crds/ reads these"
    );
    assert_eq!(
        readable_by_kubectl(&chart).unwrap(),
        expected,
        "the chart installs these"
    );
}

fn readable_by_kubectl(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    let names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<BTreeSet<_>>>()?;
    let ends = [".yaml", ".yml", ".json"];
    Ok(names
        .into_iter()
        .filter(|name| ends.iter().any(|end| name.ends_with(end)))
        .collect())
}
