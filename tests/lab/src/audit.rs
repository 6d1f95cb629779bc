//! Writes to the kube-apiserver, counted in its audit log.
//!
//! The log is written before a request is answered, so what a client has seen the effect of is in it.

use crate::error::{Context, Result};
use crate::kinds::{GROUP, Key, Kind};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// An audit log.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

/// The name under which the API server knows the operator.
const OPERATOR: &str = "system:serviceaccount:vic-operator-system:vic-operator";

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// The log's beginning.
    pub const START: Self = Self(0);
}

/// A request that wrote, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// Who.
    pub user: String,
    /// The subresource, `status` for example.
    pub subresource: Option<String>,
    /// HTTP status of the answer.
    pub code: u16,
    target: Target,
}

/// What a write is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// An object, by plural.
    Object {
        plural: String,
        namespace: Option<String>,
        name: String,
    },
    /// An Event about an object, by kind.
    Event {
        kind: String,
        namespace: Option<String>,
        name: String,
    },
}

impl Audit {
    /// The log at that path.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
        }
    }

    /// The log's present end.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn mark(&self) -> Result<Mark> {
        let length = std::fs::metadata(&self.path)
            .context(|| format!("read {}", self.path.display()))?
            .len();
        Ok(Mark(length))
    }

    /// The writes since a mark; dry runs are none.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn since(&self, mark: Mark) -> Result<Vec<Write>> {
        Ok(self.lines(mark)?.into_iter().filter_map(parse).collect())
    }

    /// What the laboratory's operator asked the API server for since a mark, watches that have not ended included.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn of_the_operator(&self, mark: Mark) -> Result<Vec<Request>> {
        let lines = self.lines(mark)?.into_iter();
        let own = lines.filter(|line| line.user.username == OPERATOR);
        Ok(own.map(request).collect())
    }

    fn lines(&self, mark: Mark) -> Result<Vec<Line>> {
        let what = || format!("read {}", self.path.display());
        let mut file = File::open(&self.path).context(what)?;
        file.seek(SeekFrom::Start(mark.0)).context(what)?;
        let mut text = String::new();
        file.read_to_string(&mut text).context(what)?;
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

/// A request of anybody, as it was judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// The API group; empty for the core.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The resource's plural.
    pub resource: String,
    /// The subresource, `status` for example.
    pub subresource: Option<String>,
    /// The namespace, unless it was about the whole cluster.
    pub namespace: Option<String>,
    /// The object's name, if it named one.
    pub name: Option<String>,
    /// HTTP status of the answer.
    pub code: u16,
    /// Whether it was refused for lack of a right.
    pub forbidden: bool,
}

impl Audit {
    /// The writes between a mark and the log's present end, and moves the mark there; a line that is still being written
    /// comes the next time.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn follow(&self, mark: &mut Mark) -> Result<Vec<Write>> {
        let what = || format!("read {}", self.path.display());
        let mut file = File::open(&self.path).context(what)?;
        file.seek(SeekFrom::Start(mark.0)).context(what)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context(what)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        bytes.truncate(whole);
        mark.0 += u64::try_from(whole).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        Ok(text
            .lines()
            .filter_map(|line| parse(serde_json::from_str(line).ok()?))
            .collect())
    }
}

/// Writes that an object cost after its creation: to itself, all subresources, and Events about it.
#[must_use]
pub fn cost(writes: &[Write], key: &Key) -> usize {
    writes
        .iter()
        .filter(|write| write.is_about(key) && !write.is_creation())
        .count()
}

impl Write {
    /// Whether it wrote to an object, or is an Event about it.
    #[must_use]
    pub fn is_about(&self, key: &Key) -> bool {
        match &self.target {
            Target::Object {
                plural,
                namespace,
                name,
            } => plural == key.kind.plural && *namespace == key.namespace && *name == key.name,
            Target::Event {
                kind,
                namespace,
                name,
            } => {
                // An Event about a cluster-scoped object lies in a namespace that is not the object's.
                kind == key.kind.name
                    && *name == key.name
                    && (key.namespace.is_none() || *namespace == key.namespace)
            }
        }
    }

    /// Whether it wrote to an object of that kind, or is an Event about one.
    #[must_use]
    pub fn is_about_kind(&self, kind: Kind) -> bool {
        match &self.target {
            Target::Object { plural, .. } => plural == kind.plural,
            Target::Event { kind: named, .. } => named == kind.name,
        }
    }

    /// The name of the object it wrote to; `None` for an Event.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        match &self.target {
            Target::Object { name, .. } => Some(name),
            Target::Event { .. } => None,
        }
    }

    /// Whether it made the object: its author's write, which every count leaves out.
    #[must_use]
    pub fn is_creation(&self) -> bool {
        self.verb == "create" && self.subresource.is_none() && matches!(self.target, Target::Object { .. })
    }
}

fn request(line: Line) -> Request {
    let object = line.object_ref;
    Request {
        verb: line.verb,
        group: object.api_group,
        version: object.api_version,
        resource: object.resource,
        subresource: object.subresource,
        namespace: object.namespace,
        name: object.name,
        code: line.response_status.map_or(0, |answer| answer.code),
        forbidden: line
            .annotations
            .get("authorization.k8s.io/decision")
            .map(String::as_str)
            == Some("forbid"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    verb: String,
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    object_ref: ObjectRef,
    response_status: Option<Answer>,
    request_object: Option<Value>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    resource: String,
    #[serde(default)]
    api_group: String,
    #[serde(default)]
    api_version: String,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    code: u16,
}

fn parse(line: Line) -> Option<Write> {
    let reads = ["get", "list", "watch"].contains(&line.verb.as_str());
    if reads || line.stage != "ResponseComplete" || line.request_uri.contains("dryRun=") {
        return None;
    }
    let object = line.object_ref;
    let target = if object.resource == "events" {
        about(&line.request_object?)?
    } else if object.api_group == GROUP {
        Target::Object {
            plural: object.resource,
            namespace: object.namespace,
            name: object.name?,
        }
    } else {
        return None;
    };
    let code = line.response_status.map_or(0, |answer| answer.code);
    Some(Write {
        verb: line.verb,
        user: line.user.username,
        subresource: object.subresource,
        code,
        target,
    })
}

/// The object of an Event: `regarding` in events.k8s.io, `involvedObject` in the core group.
fn about(event: &Value) -> Option<Target> {
    let object = event.get("regarding").or_else(|| event.get("involvedObject"))?;
    let text = |field: &str| object.get(field).and_then(Value::as_str).map(str::to_owned);
    Some(Target::Event {
        kind: text("kind")?,
        namespace: text("namespace"),
        name: text("name")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(verb: &str, uri: &str, reference: &Value, object: &Value) -> String {
        json!({
            "kind": "Event", "stage": "ResponseComplete", "verb": verb, "requestURI": uri, "objectRef": reference,
            "user": {"username": "someone"}, "responseStatus": {"code": 200}, "requestObject": object,
        })
        .to_string()
    }

    fn nginx(subresource: Option<&str>) -> Value {
        json!({"resource": "edgenatrules", "apiGroup": GROUP, "namespace": "containers", "name": "nginx", "subresource": subresource})
    }

    fn event(name: &str) -> Value {
        json!({"regarding": {"kind": "EdgeNatRule", "namespace": "containers", "name": name}})
    }

    fn key() -> Key {
        Key {
            kind: Kind::named("EdgeNatRule").unwrap(),
            namespace: Some("containers".into()),
            name: "nginx".into(),
        }
    }

    #[test]
    fn an_objects_cost_is_its_writes_and_events_without_its_creation() {
        let events = json!({"resource": "events", "apiGroup": "events.k8s.io", "namespace": "containers", "name": "e"});
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let before = line("patch", "/x", &nginx(None), &Value::Null);
        std::fs::write(&path, format!("{before}\n")).unwrap();
        let audit = Audit::new(&path);
        let mark = audit.mark().unwrap();
        let lines = [
            before,
            line("create", "/x", &nginx(None), &Value::Null),
            line("patch", "/x/status", &nginx(Some("status")), &Value::Null),
            line(
                "patch",
                "/x/status?dryRun=All",
                &nginx(Some("status")),
                &Value::Null,
            ),
            line("create", "/e", &events, &event("nginx")),
            line("create", "/e", &events, &event("nginx-next")),
            "{\"stage\":\"Panic\"}".to_owned(),
            line(
                "update",
                "/l",
                &json!({"resource": "leases", "apiGroup": "coordination.k8s.io", "name": "x"}),
                &Value::Null,
            ),
        ];
        std::fs::write(&path, format!("{}\n", lines.join("\n"))).unwrap();
        let writes = audit.since(mark).unwrap();
        assert_eq!(cost(&writes, &key()), 2, "{writes:?}");
        let other = Key {
            name: "nginx-next".into(),
            ..key()
        };
        assert_eq!(cost(&writes, &other), 1, "one Event");
        assert_eq!(cost(&audit.since(Mark::START).unwrap(), &key()), 3);
        let rules = Kind::named("EdgeNatRule").unwrap();
        assert!(writes.iter().all(|write| write.is_about_kind(rules)));
        assert_eq!(writes.iter().filter_map(Write::object).count(), 2);
    }

    #[test]
    fn a_follower_sees_each_line_once_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let one = line("patch", "/x", &nginx(None), &Value::Null);
        std::fs::write(&path, format!("{one}\n{}", &one[..20])).unwrap();
        let (audit, mut mark) = (Audit::new(&path), Mark::START);
        assert_eq!(audit.follow(&mut mark).unwrap().len(), 1);
        assert_eq!(audit.follow(&mut mark).unwrap().len(), 0);
        std::fs::write(&path, format!("{one}\n{one}\n")).unwrap();
        assert_eq!(audit.follow(&mut mark).unwrap().len(), 1);
        assert_eq!(mark, audit.mark().unwrap());
    }

    #[test]
    fn the_operators_requests_are_told_with_their_verdict() {
        let request = |user: &str, verb: &str, decision: &str| {
            json!({
                "stage": "ResponseComplete", "verb": verb, "requestURI": "/api/v1/secrets",
                "objectRef": {"resource": "secrets", "namespace": "a", "apiVersion": "v1"},
                "user": {"username": user}, "responseStatus": {"code": 403},
                "annotations": {"authorization.k8s.io/decision": decision},
            })
            .to_string()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let lines = [
            request("someone", "get", "allow"),
            request(OPERATOR, "get", "allow"),
            request(OPERATOR, "list", "forbid"),
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let audit = Audit::new(&path);
        let requests = audit.of_the_operator(Mark::START).unwrap();
        let told: Vec<_> = requests
            .iter()
            .map(|request| (request.verb.as_str(), request.forbidden))
            .collect();
        assert_eq!(told, [("get", false), ("list", true)]);
        assert!(
            audit.since(Mark::START).unwrap().is_empty(),
            "reads are no writes"
        );
    }
}
