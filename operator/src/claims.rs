//! What is claimed on the gateways of a Site: by declared rules, and by the rules that NSX has, whoever made them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use topology::{Claim, Contender, Holder, Ledger};

use crate::kind::ObjectKey;

/// Who makes a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Claimant {
    /// A declared rule; its claim is granted, perhaps before NSX shows it, or waits.
    Declared(ObjectKey),
    /// A rule in NSX, by policy path.
    Written(String),
}

/// The claims on each gateway, by its policy path.
#[derive(Debug, Default)]
pub struct Claims {
    gateways: Mutex<HashMap<String, Ledger<Claimant>>>,
}

impl Claims {
    /// Looks at a gateway's claims, or changes them. What NSX has is read from the mirror the first time, and
    /// [`Claims::follow`]ed from then on.
    pub fn on<R>(
        &self,
        gateway: &str,
        engine: &nsx::Engine,
        instance: &str,
        work: impl FnOnce(&mut Ledger<Claimant>) -> R,
    ) -> R {
        let mut gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = gateways.entry(gateway.to_owned()).or_insert_with(|| {
            let mut ledger = Ledger::default();
            for rule in engine.nat_rules(gateway) {
                if let Some(contender) = written(gateway, &rule, engine, instance) {
                    ledger.enter(Claimant::Written(rule.path), contender);
                }
            }
            ledger
        });
        work(ledger)
    }

    /// The rule at `path` may have changed in NSX. True if what it claims has.
    pub fn follow(&self, gateway: &str, path: &str, engine: &nsx::Engine, instance: &str) -> bool {
        let mut gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ledger) = gateways.get_mut(gateway) else {
            return false;
        };
        let now = engine
            .get(path)
            .and_then(|rule| written(gateway, &rule, engine, instance));
        let key = Claimant::Written(path.to_owned());
        let before = match now.clone() {
            Some(contender) => ledger.enter(key, contender),
            None => ledger.strike(&key),
        };
        before != now
    }

    /// The declared rule claims nothing any more, except on the gateway `but`. Returns where it did.
    pub fn strike(&self, rule: &ObjectKey, but: Option<&str>) -> Vec<String> {
        let mut gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Claimant::Declared(rule.clone());
        gateways
            .iter_mut()
            .filter(|(gateway, _)| Some(gateway.as_str()) != but)
            .filter_map(|(gateway, ledger)| ledger.strike(&key).map(|_| gateway.clone()))
            .collect()
    }
}

/// What a rule in NSX claims.
fn written(gateway: &str, rule: &nsx::Observed, engine: &nsx::Engine, instance: &str) -> Option<Contender> {
    let service = |path: &str| engine.get(path).map(|observed| Value::clone(&observed.body));
    let claim = Claim::from_nat_rule(gateway, &rule.body, service)?;
    let holder = match topology::owner_of(&rule.body).filter(|owner| owner.instance == instance) {
        Some(owner) => Holder::Ours {
            owner,
            created: String::new(),
        },
        None => Holder::Outside {
            path: rule.path.clone(),
        },
    };
    Some(Contender {
        claim,
        holder,
        in_nsx: true,
    })
}
