//! `/infra/realized-state`: what became of intents.

use serde_json::{Value, json};

use super::World;
use super::object::{Object, State};
use crate::error::NsxError;

impl World {
    /// Realized entities of an intent: its own, and none right after it was written.
    ///
    /// # Errors
    /// 400 when there is no such intent.
    pub fn realized_entities(&self, intent: &str) -> Result<Vec<Value>, NsxError> {
        let object = self
            .store
            .any(intent)
            .ok_or_else(|| NsxError::invalid_path(intent))?;
        Ok(object.entity().into_iter().collect())
    }

    /// One realized entity by its own path.
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn realized_entity(&self, path: &str) -> Result<Value, NsxError> {
        let found = self.store.all().find(|o| o.entity_path() == path);
        found
            .and_then(|o| o.entity())
            .ok_or_else(|| NsxError::not_found(path))
    }

    /// Consolidated status of an intent. `intent_version` is the `_revision` in effect.
    ///
    /// # Errors
    /// 400 when there is no such intent.
    pub fn realized_status(&self, intent: &str) -> Result<Value, NsxError> {
        let object = self
            .store
            .any(intent)
            .ok_or_else(|| NsxError::invalid_path(intent))?;
        Ok(status(object))
    }

    /// All alarms.
    pub fn alarms(&self) -> Vec<Value> {
        self.store
            .all()
            .filter(|o| !o.deleted)
            .flat_map(|o| o.alarms())
            .collect()
    }

    /// Every realized entity, for the dump.
    pub fn all_entities(&self) -> Vec<Value> {
        self.store.all().filter_map(|o| o.entity()).collect()
    }

    /// State of a segment in its own words.
    ///
    /// # Errors
    /// 404 when there is no such segment.
    pub fn segment_state(&self, path: &str) -> Result<Value, NsxError> {
        let object = self.store.live(path).ok_or_else(|| NsxError::not_found(path))?;
        Ok(segment_state(object))
    }
}

fn status(object: &Object) -> Value {
    let realization = &object.realization;
    let consolidated = json!({"consolidated_status": realization.state.consolidated()});
    let mut point = json!({
        "resource_type": "ConsolidatedStatusNsxT",
        "enforcement_point_id": "default",
        "enforcement_point_path": "/infra/sites/default/enforcement-points/default",
        "site_path": "/infra/sites/default",
        "consolidated_status": consolidated,
    });
    if let (State::Failed(alarm), Some(map)) = (&realization.state, point.as_object_mut()) {
        map.insert(
            "alarm".into(),
            json!({"message": alarm.message, "error_details": {"error_code": alarm.code,
                   "module_name": "Policy", "error_message": alarm.message}}),
        );
    }
    json!({
        "intent_path": object.path,
        "intent_version": realization.version.to_string(),
        "publish_status": realization.state.publish_status(),
        "publish_time": realization.published,
        "time_taken_for_realization": realization.published.saturating_sub(realization.written),
        "consolidated_status": consolidated,
        "consolidated_status_per_enforcement_point": [point],
    })
}

/// State of a segment in its own words.
pub fn segment_state(object: &Object) -> Value {
    let state = match object.realization.state {
        State::Absent => "pending",
        State::Unrealized => "in_progress",
        State::Realized => "success",
        State::Failed(_) => "failed",
    };
    let mut body = json!({"segment_path": object.path, "state": state, "details": []});
    if let (State::Failed(alarm), Some(map)) = (&object.realization.state, body.as_object_mut()) {
        map.insert("failure_code".into(), json!(alarm.code));
        map.insert("failure_message".into(), json!(alarm.message));
    }
    body
}
