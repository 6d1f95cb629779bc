//! What happens after a write: entities appear, take effect or fail; deleted intents go; search catches up.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::World;
use super::object::{Alarm, Object, State};
use super::queue::Event;
use crate::kinds::entity_type;
use crate::paths::{glob, parent_of};

/// Alarm code of a realization whose provider is missing: peers retry on it.
const PROVIDER_NOT_READY: i64 = 500_042;

impl World {
    /// Lets everything happen that is due.
    pub fn advance(&mut self, now: u64) {
        while let Some((due, serial, event)) = self.queue.pop(now) {
            match event {
                Event::Appear { path, generation } => self.appear(&path, generation, due),
                Event::Realize { path, generation } => self.realize(&path, generation, due),
                Event::Purge { path, generation } => self.purge(&path, generation, due),
                Event::Index { key, document } => self.index.learn(key, serial, document),
                Event::Ports => self.settle_ports(due),
            }
        }
    }

    /// Plans what follows from a write that touched these paths.
    pub fn plan_realization(&mut self, touched: &BTreeSet<String>, now: u64) {
        let delay = self.tuning.realization_delay_ms;
        for path in touched {
            let Some(object) = self.store.any(path).cloned() else {
                continue;
            };
            let generation = object.generation;
            if object.deleted {
                let due = now.saturating_add(self.tuning.deletion_delay_ms);
                self.queue.push(
                    due,
                    Event::Purge {
                        path: path.clone(),
                        generation,
                    },
                );
            } else {
                if object.realization.state == State::Absent {
                    let soon = now.saturating_add(delay / 2);
                    self.queue.push(
                        soon,
                        Event::Appear {
                            path: path.clone(),
                            generation,
                        },
                    );
                }
                let due = now.saturating_add(delay);
                self.queue.push(
                    due,
                    Event::Realize {
                        path: path.clone(),
                        generation,
                    },
                );
            }
            if object.kind == "LocaleServices" {
                self.retry_gateway(parent_of(path), now.saturating_add(delay).saturating_add(1));
            }
            self.tell_search(&object, now);
        }
    }

    /// NAT rules that failed for want of an edge cluster are tried again; those that lost theirs fail.
    fn retry_gateway(&mut self, gateway: &str, due: u64) {
        let lost = !self.has_edge(gateway);
        let failed = |o: &&Arc<Object>| match &o.realization.state {
            State::Failed(_) => true,
            State::Realized => lost && o.kind == "PolicyNatRule",
            _ => false,
        };
        let rules: Vec<(String, u64)> = self
            .store
            .descendants(gateway)
            .filter(failed)
            .map(|o| (o.path.clone(), o.generation))
            .collect();
        for (path, generation) in rules {
            self.queue.push(due, Event::Realize { path, generation });
        }
    }

    /// Search learns of an object's present state after its lag.
    pub fn tell_search(&mut self, object: &Object, now: u64) {
        let due = now.saturating_add(self.tuning.search_delay_ms);
        let document = Some(Arc::new(object.document()));
        self.queue.push(
            due,
            Event::Index {
                key: object.path.clone(),
                document,
            },
        );
    }

    fn appear(&mut self, path: &str, generation: u64, now: u64) {
        self.alter(path, generation, now, |object| {
            if object.realization.state == State::Absent {
                object.realization.state = State::Unrealized;
            }
        });
    }

    fn realize(&mut self, path: &str, generation: u64, now: u64) {
        let Some(object) = self.store.live(path) else {
            return;
        };
        let was = object.realization.effective.clone();
        let kind = object.kind.clone();
        let current = object.clone();
        if current.generation != generation {
            return;
        }
        let failure = self.failure(&current);
        let given = failure.map_or_else(|| self.give(&current, now), Err);
        if given.is_err()
            && kind == "IpAddressAllocation"
            && let Some(due) = self.next_free(parent_of(path), now)
        {
            let path = path.to_owned();
            self.queue.push(due, Event::Realize { path, generation });
        }
        let altered = self.alter(path, generation, now, |object| {
            object.realization.published = now;
            let attributes = match given {
                Ok(attributes) => attributes,
                Err(alarm) => {
                    object.realization.state = State::Failed(alarm);
                    return;
                }
            };
            object.realization.attributes = attributes;
            object.realization.state = State::Realized;
            object.realization.version = object.revision();
            object.realization.effective = Some(object.body.clone());
        });
        if altered && kind.starts_with("IpAddressPool") {
            let pool = if kind == "IpAddressPool" {
                path
            } else {
                parent_of(path)
            };
            self.retry_allocations(pool, now);
        }
        let is = self
            .store
            .live(path)
            .and_then(|o| o.realization.effective.clone());
        if altered && kind == "Segment" && was != is {
            if !self.overlay_ids.contains_key(path) {
                self.last_overlay_id = self.last_overlay_id.saturating_add(1);
                self.overlay_ids.insert(path.to_owned(), self.last_overlay_id);
            }
            self.switches = self.switches.saturating_add(1);
        }
    }

    /// Why the layer below refuses an intent.
    fn failure(&self, object: &Object) -> Option<Alarm> {
        let fault = self
            .tuning
            .realization_faults
            .iter()
            .find(|f| glob(&f.path, &object.path));
        if let Some(fault) = fault {
            return Some(Alarm {
                message: fault.message.clone(),
                code: fault.error_code,
            });
        }
        if object.kind != "PolicyNatRule" {
            return None;
        }
        let gateway = parent_of(parent_of(&object.path));
        (!self.has_edge(gateway)).then(|| Alarm {
            message: format!(
                "NAT rule {} cannot be realized: gateway {gateway} has no edge cluster.",
                object.path
            ),
            code: PROVIDER_NOT_READY,
        })
    }

    fn has_edge(&self, gateway: &str) -> bool {
        let mut locales = self.store.collection(gateway, "LocaleServices", false);
        locales.any(|o| o.text("edge_cluster_path").is_some())
    }

    fn purge(&mut self, path: &str, generation: u64, now: u64) {
        let Some(object) = self.store.any(path) else {
            return;
        };
        if !object.deleted || object.generation != generation {
            return;
        }
        let was_switch = object.kind == "Segment" && object.realization.effective.is_some();
        self.take_back(path, now);
        self.statistics.forget(path);
        self.store.remove(path);
        self.overlay_ids.remove(path);
        if was_switch {
            self.switches = self.switches.saturating_add(1);
        }
        let due = now.saturating_add(self.tuning.search_delay_ms);
        self.queue.push(
            due,
            Event::Index {
                key: path.to_owned(),
                document: None,
            },
        );
    }

    /// Changes an object's realization if it is still the one meant; search learns of it where it has a status.
    fn alter(&mut self, path: &str, generation: u64, now: u64, change: impl FnOnce(&mut Object)) -> bool {
        let Some(object) = self.store.live(path).filter(|o| o.generation == generation) else {
            return false;
        };
        let mut object = Object::clone(object);
        change(&mut object);
        if entity_type(&object.kind).is_some() {
            self.tell_search(&object, now);
        }
        self.store.put(object);
        true
    }

    /// Realized segments, as the hypervisors' switches see them.
    pub fn switch_list(&self) -> Vec<Value> {
        let realized = self.store.any_of_kind("Segment");
        realized
            .filter_map(|o| {
                let body = o.realization.effective.as_ref()?;
                let zone = super::object::text(body, "transport_zone_path").unwrap_or_default();
                let is_vlan = self
                    .store
                    .any(zone)
                    .is_some_and(|z| crate::rules::is_vlan_zone(z));
                let assigned = self.overlay_ids.get(&o.path).filter(|_| !is_vlan);
                let overlay = body
                    .get("overlay_id")
                    .cloned()
                    .or(assigned.map(|id| serde_json::json!(id)));
                Some(serde_json::json!({
                    "path": o.path,
                    "display_name": body.get("display_name"),
                    "realization_id": body.get("realization_id"),
                    "unique_id": body.get("unique_id"),
                    "transport_zone_path": zone,
                    "kind": if is_vlan { "VLAN" } else { "OVERLAY" },
                    "overlay_id": overlay,
                    "vlan_ids": body.get("vlan_ids"),
                }))
            })
            .collect()
    }
}
