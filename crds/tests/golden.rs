//! The files beside `Cargo.toml` are what the types say; `UPDATE_CRDS=1 cargo test -p vic-crds` rewrites them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use vic_crds::generate;

#[test]
fn the_generated_files_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut expected = BTreeSet::new();
    for crd in generate::all() {
        let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
        let text = generate::yaml(&crd).unwrap();
        let path = folder.join(&name);
        if std::env::var_os("UPDATE_CRDS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{name} is stale: run UPDATE_CRDS=1 cargo test -p vic-crds"
        );
        expected.insert(name);
    }
    let readable_by_kubectl: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end)))
        .collect();
    assert_eq!(
        readable_by_kubectl, expected,
        "kubectl apply -f crds/ reads these"
    );
}
