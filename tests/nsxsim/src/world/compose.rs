//! From what a client declared to what a read shows.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::object::{Object, Realization, State, references};
use super::{Actor, World, new_uuid};
use crate::paths::{id_of, kind_at, parent_of};
use crate::rules;

impl World {
    /// The object that `declared` makes of a path: server's fields, defaults and computed ones filled in.
    pub fn compose(
        &mut self,
        path: &str,
        kind: &str,
        declared: Map<String, Value>,
        old: Option<&Object>,
        actor: &Actor,
    ) -> Object {
        self.generation = self.generation.saturating_add(1);
        let mut body = declared.clone();
        self.schema.fill(kind, &mut body);
        body.insert("id".into(), json!(id_of(path)));
        body.insert("resource_type".into(), json!(kind));
        if body
            .get("display_name")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            body.insert("display_name".into(), json!(id_of(path)));
        }
        match old {
            Some(old) => carry(&mut body, old, actor),
            None => self.found(&mut body, path, actor),
        }
        rules::complete(self, path, kind, &mut body);
        let realization = carried_realization(old, kind, actor);
        Object {
            path: path.to_owned(),
            base: kind_at(path).unwrap_or_default(),
            kind: kind.to_owned(),
            references: references(kind, &body),
            declared: Arc::new(declared),
            body: Arc::new(body),
            deleted: false,
            generation: self.generation,
            realization,
        }
    }

    /// Server's fields of a new object.
    fn found(&self, body: &mut Map<String, Value>, path: &str, actor: &Actor) {
        let realization_id = new_uuid();
        let unique_id = if self.tuning.distinct_unique_id {
            new_uuid()
        } else {
            realization_id.clone()
        };
        let server = [
            ("path", json!(path)),
            ("parent_path", json!(parent_of(path))),
            ("relative_path", json!(id_of(path))),
            ("remote_path", json!("")),
            ("unique_id", json!(unique_id)),
            ("realization_id", json!(realization_id)),
            ("owner_id", json!(self.cluster_id)),
            ("origin_site_id", json!(self.cluster_id)),
            ("marked_for_delete", json!(false)),
            ("overridden", json!(false)),
            ("_create_user", json!(actor.user)),
            ("_create_time", json!(actor.now)),
            ("_last_modified_user", json!(actor.user)),
            ("_last_modified_time", json!(actor.now)),
            ("_system_owned", json!(actor.user == "system")),
            ("_protection", json!("NOT_PROTECTED")),
            ("_revision", json!(0)),
        ];
        for (key, value) in server {
            body.insert(key.into(), value);
        }
        if kind_at(path) == Some("PolicyTransportZone") {
            body.insert("nsx_id".into(), json!(new_uuid()));
        }
    }
}

/// Server's fields of an object that is written again.
fn carry(body: &mut Map<String, Value>, old: &Object, actor: &Actor) {
    let kept = [
        "path",
        "parent_path",
        "relative_path",
        "remote_path",
        "unique_id",
        "realization_id",
        "owner_id",
        "origin_site_id",
        "marked_for_delete",
        "overridden",
        "_create_user",
        "_create_time",
        "_system_owned",
        "_protection",
        "is_default",
        "rule_id",
        "nsx_id",
        "internal_sequence_number",
    ];
    for key in kept {
        if let Some(value) = old.body.get(key) {
            body.insert(key.into(), value.clone());
        }
    }
    body.insert("_last_modified_user".into(), json!(actor.user));
    body.insert("_last_modified_time".into(), json!(actor.now));
    body.insert("_revision".into(), json!(old.revision().saturating_add(1)));
}

/// What is in effect stays so until the update is realized.
fn carried_realization(old: Option<&Object>, kind: &str, actor: &Actor) -> Realization {
    let mut realization = old.map_or_else(
        || Realization {
            state: State::Absent,
            id: new_uuid(),
            version: 0,
            written: actor.now,
            published: 0,
            attributes: Vec::new(),
            effective: None,
        },
        |old| old.realization.clone(),
    );
    realization.written = actor.now;
    let is_realized = crate::kinds::entity_type(kind).is_some();
    if realization.state != State::Absent {
        realization.state = if is_realized {
            State::Unrealized
        } else {
            State::Realized
        };
    }
    realization
}
