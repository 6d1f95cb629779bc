//! Prints manifests as a stream of YAML documents.

use std::fmt::Write as _;

use kube::Resource;
use serde::Serialize;
use serde_yaml_ng::Value;

/// One part of the output.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A manifest.
    Object(Value),
    /// Lines for who reads it; nothing is applied of them.
    Comment(Vec<String>),
}

impl Document {
    /// The manifest of an object.
    pub fn of<K>(object: &K) -> Self
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let mut manifest = serde_yaml_ng::Mapping::new();
        manifest.insert("apiVersion".into(), K::api_version(&()).into_owned().into());
        manifest.insert("kind".into(), K::kind(&()).into_owned().into());
        if let Ok(Value::Mapping(fields)) = serde_yaml_ng::to_value(object) {
            for (name, value) in fields {
                if name.as_str() != Some("status") && !manifest.contains_key(&name) {
                    manifest.insert(name, value);
                }
            }
        }
        Self::Object(Value::Mapping(manifest))
    }

    /// Lines that are not applied.
    #[must_use]
    pub fn comment(lines: Vec<String>) -> Self {
        Self::Comment(lines)
    }
}

/// All documents as one text for `kubectl apply -f -`.
///
/// # Errors
/// A manifest that YAML cannot carry.
pub fn yaml(documents: &[Document]) -> Result<String, serde_yaml_ng::Error> {
    let mut text = String::new();
    for document in documents {
        match document {
            Document::Object(manifest) => {
                let _ = write!(text, "---\n{}", serde_yaml_ng::to_string(manifest)?);
            }
            Document::Comment(lines) => lines.iter().for_each(|line| {
                let _ = writeln!(text, "# {line}");
            }),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Secret;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_printed_is_read_back_and_comments_are_not() {
        let texts = [
            "yes", "on", "y", "0123", "1e3", "0x1F", "1:30", "1_000", "~", "null", "a: b", "#x", "'", "\n",
        ];
        let data: BTreeMap<_, _> = texts
            .iter()
            .map(|text| {
                (
                    format!("k{}", text.len()) + &text.escape_default().to_string(),
                    (*text).to_owned(),
                )
            })
            .collect();
        let secret = Secret {
            string_data: Some(data.clone()),
            ..Secret::default()
        };
        let documents = [
            Document::comment(vec!["two".to_owned(), "lines".to_owned()]),
            Document::of(&secret),
        ];
        let text = yaml(&documents).unwrap();
        assert!(
            text.starts_with("# two\n# lines\n---\napiVersion: v1\nkind: Secret\n"),
            "{text}"
        );
        let read: Secret = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(read.string_data, Some(data));
    }
}
