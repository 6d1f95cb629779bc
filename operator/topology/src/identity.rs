//! Who an object outside belongs to, and what it is called there.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Scope of the tag that names the instance.
pub const INSTANCE_SCOPE: &str = "vic-operator/instance";
/// Scope of the tag that names the kind.
pub const KIND_SCOPE: &str = "vic-operator/kind";
/// Scope of the tag that names the namespace.
pub const NAMESPACE_SCOPE: &str = "vic-operator/namespace";
/// Scope of the tag that names the object.
pub const NAME_SCOPE: &str = "vic-operator/name";
/// Scope of the tag that carries the object's UID.
pub const UID_SCOPE: &str = "vic-operator/uid";

/// Scope of the tag that names the pool address a rule publishes on, by policy path.
pub const ALLOCATION_SCOPE: &str = "vic-operator/allocation";

const MARK: &str = "vic-operator";

/// An object of Kubernetes, as things outside name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// Which operator's.
    pub instance: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: another one means another object of the same name.
    pub uid: String,
}

impl Owner {
    /// The id outside: the same for an object that is restored or created again, so that it is found.
    #[must_use]
    pub fn external_id(&self) -> String {
        hashed(&[&self.instance, &self.kind, &self.namespace, &self.name])
    }

    /// The tags of an object in NSX.
    #[must_use]
    pub fn tags(&self) -> Value {
        json!([
            {"scope": INSTANCE_SCOPE, "tag": self.instance},
            {"scope": KIND_SCOPE, "tag": self.kind},
            {"scope": NAMESPACE_SCOPE, "tag": self.namespace},
            {"scope": NAME_SCOPE, "tag": self.name},
            {"scope": UID_SCOPE, "tag": self.uid},
        ])
    }

    /// One line for a description, a custom attribute or an extraConfig value in vSphere.
    #[must_use]
    pub fn mark(&self) -> String {
        format!(
            "{MARK}:{}:{}:{}/{}:{}",
            escaped(&self.instance),
            escaped(&self.kind),
            escaped(&self.namespace),
            escaped(&self.name),
            escaped(&self.uid)
        )
    }

    /// Reads the mark among a text's lines: a person may write beside it. `None` where there is none, or
    /// where several contradict each other.
    #[must_use]
    pub fn from_mark(text: &str) -> Option<Self> {
        let mut marks = text.lines().filter_map(|line| Self::from_line(line.trim()));
        let first = marks.next()?;
        marks.all(|other| other == first).then_some(first)
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut parts = line.split(':');
        let (head, instance, kind, object, uid) = (
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
        );
        let (namespace, name) = object.split_once('/')?;
        let whole = head == MARK && parts.next().is_none() && !instance.is_empty() && !name.is_empty();
        whole.then_some(())?;
        Some(Self {
            instance: unescaped(instance)?,
            kind: unescaped(kind)?,
            namespace: unescaped(namespace)?,
            name: unescaped(name)?,
            uid: unescaped(uid)?,
        })
    }

    /// Whether both speak of the same declaration, whatever its UID.
    #[must_use]
    pub fn is_same_object(&self, other: &Self) -> bool {
        (&self.instance, &self.kind, &self.namespace, &self.name)
            == (&other.instance, &other.kind, &other.namespace, &other.name)
    }
}

/// The owner that an object in NSX names by its tags.
#[must_use]
pub fn owner_of(body: &Value) -> Option<Owner> {
    let tag = |scope: &str| {
        let tags = body.get("tags")?.as_array()?;
        let found = tags
            .iter()
            .find(|tag| tag.get("scope").and_then(Value::as_str) == Some(scope))?;
        Some(
            found
                .get("tag")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        )
    };
    Some(Owner {
        instance: tag(INSTANCE_SCOPE)?,
        kind: tag(KIND_SCOPE)?,
        namespace: tag(NAMESPACE_SCOPE)?,
        name: tag(NAME_SCOPE)?,
        uid: tag(UID_SCOPE)?,
    })
}

/// The pool address that a NAT rule of ours names by its tags, as a policy path.
#[must_use]
pub fn allocation_of(body: &Value) -> Option<&str> {
    let tags = body.get("tags")?.as_array()?;
    let found = tags
        .iter()
        .find(|tag| tag.get("scope").and_then(Value::as_str) == Some(ALLOCATION_SCOPE))?;
    found.get("tag")?.as_str()
}

/// Tags of an object that several objects of an instance share.
#[must_use]
pub fn shared_tags(instance: &str, kind: &str) -> Value {
    json!([{"scope": INSTANCE_SCOPE, "tag": instance}, {"scope": KIND_SCOPE, "tag": kind}])
}

/// Id of a shared object: the same content has the same id.
#[must_use]
pub fn shared_id(instance: &str, kind: &str, content: &str) -> String {
    hashed(&[instance, "shared", kind, content])
}

/// The objects of a list within a body.
fn entries<'a>(
    body: &'a mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = body.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// An object's body as it may be written back, without our tags.
#[must_use]
pub fn without_tags(body: &Value) -> Map<String, Value> {
    const READ_ONLY: [&str; 23] = [
        "children",
        "default_rule_id",
        "evpn_segment",
        "internal_sequence_number",
        "is_default",
        "lock_modified_by",
        "lock_modified_time",
        "marked_for_delete",
        "origin_site_id",
        "overridden",
        "owner_id",
        "parent_path",
        "path",
        "realization_id",
        "reference",
        "relative_path",
        "remote_path",
        "rule_count",
        "rule_id",
        "state",
        "status",
        "type",
        "unique_id",
    ];
    let mut kept = body.as_object().cloned().unwrap_or_default();
    kept.retain(|field, _| !field.starts_with('_') && !READ_ONLY.contains(&field.as_str()));
    for entry in entries(&mut kept, "service_entries") {
        entry.retain(|field, _| !field.starts_with('_') && field != "overridden");
    }
    for subnet in entries(&mut kept, "subnets") {
        subnet.remove("network");
    }
    if let Some(tags) = kept.get_mut("tags").and_then(Value::as_array_mut) {
        tags.retain(|tag| !is_own_tag(tag));
    }
    kept
}

/// Whether a tag, as NSX writes it, is one of this operator's, of whatever instance.
pub(crate) fn is_own_tag(tag: &Value) -> bool {
    tag.get("scope")
        .and_then(Value::as_str)
        .is_some_and(|scope| scope.starts_with("vic-operator/"))
}

/// Percent-encodes what separates the parts of a mark, and what would break its line.
fn escaped(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"%:/".contains(&byte);
    part.bytes().fold(String::new(), |mut text, byte| {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// `None` where the text was not written by [`escaped`].
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, code)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        bytes.push(u8::from_str_radix(code.get(..2)?, 16).ok()?);
        rest = code.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

fn hashed(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps ("a", "bc") apart from ("ab", "c").
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    // 96 bits: collisions are out of question, and names stay readable.
    hash.finalize()
        .iter()
        .take(12)
        .fold("vic-".to_owned(), |mut id, byte| {
            // Writing into a String cannot fail.
            let _ = write!(id, "{byte:02x}");
            id
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(name: &str, uid: &str) -> Owner {
        Owner {
            instance: "i".into(),
            kind: "EdgeNatRule".into(),
            namespace: "containers".into(),
            name: name.into(),
            uid: uid.into(),
        }
    }

    #[test]
    fn an_id_depends_on_the_declaration_and_not_on_its_uid() {
        assert_eq!(
            owner("nginx", "1").external_id(),
            owner("nginx", "2").external_id()
        );
        assert_ne!(
            owner("nginx", "1").external_id(),
            owner("nginy", "1").external_id()
        );
        assert_ne!(hashed(&["a", "bc"]), hashed(&["ab", "c"]));
    }

    #[test]
    fn foreign_texts_are_no_marks() {
        for text in [
            "",
            "vic-operator",
            "vic-operator:i:k:n/a",
            "other:i:k:n/a:u",
            "vic-operator:i:k:n/a:u:x",
            "vic-operator::k:n/a:u",
            "vic-operator:i:k:n/a:%zz",
            "vic-operator:i:k:n/a:u\nvic-operator:i:k:n/b:u",
        ] {
            assert_eq!(Owner::from_mark(text), None, "{text}");
        }
    }

    #[test]
    fn a_mark_survives_what_people_write_beside_it() {
        let mark = owner("nginx", "u").mark();
        assert_eq!(mark, "vic-operator:i:EdgeNatRule:containers/nginx:u");
        for text in [
            mark.clone(),
            format!("  {mark} "),
            format!("rack 7\n{mark}"),
            format!("{mark}\r\nask Ops\n{mark}"),
        ] {
            assert_eq!(Owner::from_mark(&text), Some(owner("nginx", "u")), "{text}");
        }
    }

    #[test]
    fn what_is_kept_loses_our_tags_and_what_nsx_alone_may_write() {
        let body = json!({"id": "x", "path": "/infra/x", "_revision": 3, "description": "d",
            "subnets": [{"gateway_address": "10.0.0.1/24", "network": "10.0.0.0/24"}],
            "service_entries": [{"id": "e", "overridden": false, "_revision": 1}],
            "tags": [{"scope": "vic-operator/uid", "tag": "u"}, {"scope": "team", "tag": "a"}]});
        assert_eq!(
            Value::Object(without_tags(&body)),
            json!({"id": "x", "description": "d", "subnets": [{"gateway_address": "10.0.0.1/24"}],
                "service_entries": [{"id": "e"}], "tags": [{"scope": "team", "tag": "a"}]})
        );
    }

    proptest! {
        #[test]
        fn a_mark_is_one_line_and_read_back_whatever_it_holds(instance in ".{1,40}", namespace in ".{0,10}", name in ".{1,40}", uid in ".{0,40}") {
            let owner = Owner { instance, namespace, ..owner(&name, &uid) };
            let mark = owner.mark();
            prop_assert!(!mark.chars().any(char::is_whitespace));
            prop_assert_eq!(Owner::from_mark(&mark), Some(owner));
        }

        #[test]
        fn marks_and_tags_are_read_back(name in "[a-z][a-z0-9.-]{0,40}", namespace in "[a-z][a-z0-9-]{0,20}", uid in "[0-9a-f-]{8,36}") {
            let owner = Owner { namespace, ..owner(&name, &uid) };
            prop_assert_eq!(Owner::from_mark(&owner.mark()), Some(owner.clone()));
            prop_assert_eq!(owner_of(&json!({"tags": owner.tags()})), Some(owner.clone()));
            let id = owner.external_id();
            prop_assert!(id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        }
    }
}
