//! What several tests need.

/// The generated part `name` of a page below `docs/` is this text. With `UPDATE_DOCS` set the page is written instead.
#[track_caller]
pub(crate) fn page_has(page: &str, name: &str, reference: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
    let (head, rest) = text.split_once(&begin).unwrap();
    let (found, tail) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{head}{begin}{reference}{end}{tail}")).unwrap();
        return;
    }
    assert!(
        found == reference,
        "docs/{page} is stale: run UPDATE_DOCS=1 cargo test -p vic-operator {name}"
    );
}
