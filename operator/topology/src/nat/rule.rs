//! The NAT rules in NSX that one declaration becomes.
//!
//! A DNAT rule's `service` names the port *after* translation and `translated_ports` the port that is *matched*;
//! `firewall_match` and `sequence_number` are always written, because their defaults mislead. A rule takes one network
//! for a peer: several peers become several rules, each under an id made of its peer, so that a peer more or less leaves
//! the others alone.

use ipnet::Ipv4Net;
use serde_json::json;

use super::{NatAction, NatSpec, sequence};
use crate::addresses::address_text;
use crate::identity::ALLOCATION_SCOPE;
use crate::intent::Intent;

impl NatSpec {
    /// Policy paths of the rules, in the order of the peers; one where there is no peer, or one.
    #[must_use]
    pub fn rule_paths(&self) -> Vec<String> {
        self.peers()
            .into_iter()
            .map(|peer| self.rule_path_for(peer))
            .collect()
    }

    /// The first rule's policy path.
    #[must_use]
    pub fn rule_path(&self) -> String {
        self.rule_path_for(self.peers().into_iter().next().flatten())
    }

    pub(super) fn rules(&self) -> Vec<Intent> {
        self.peers().into_iter().map(|peer| self.rule(peer)).collect()
    }

    /// The peers, each limiting one rule in NSX.
    fn peers(&self) -> Vec<Option<Ipv4Net>> {
        if self.remotes.is_empty() {
            vec![None]
        } else {
            self.remotes.iter().copied().map(Some).collect()
        }
    }

    fn rule_path_for(&self, peer: Option<Ipv4Net>) -> String {
        let id = self.owner.external_id();
        let id = match peer.filter(|_| self.remotes.len() > 1) {
            Some(peer) => format!("{id}-{}", address_text(peer).replace('/', "_")),
            None => id,
        };
        format!("{}/nat/USER/nat-rules/{id}", self.gateway_path)
    }

    fn rule(&self, peer: Option<Ipv4Net>) -> Intent {
        let (source, destination, translated) = match self.action {
            NatAction::Dnat => (peer, self.external, self.internal),
            NatAction::Snat => (self.internal, peer, self.external),
            NatAction::Reflexive => (self.internal, None, self.external),
            NatAction::NoDnat => (peer, self.external, None),
            NatAction::NoSnat => (self.internal, peer, None),
        };
        let text = |net: Option<Ipv4Net>| net.map(address_text);
        let ports = self.external_ports.filter(|_| self.action == NatAction::Dnat);
        let mut tags = self.owner.tags();
        if let (Some(allocation), Some(tags)) = (&self.allocation, tags.as_array_mut()) {
            tags.push(json!({"scope": ALLOCATION_SCOPE, "tag": allocation.path()}));
        }
        let fields = json!({
            "display_name": format!("{}/{}", self.owner.namespace, self.owner.name),
            "tags": tags,
            "action": self.action.name(),
            "source_network": text(source),
            "destination_network": text(destination),
            "translated_network": text(translated),
            "translated_ports": ports.map(super::Ports::text),
            "service": self.service().map(|service| service.path),
            "firewall_match": self.firewall_match(),
            "scope": (!self.scope.is_empty()).then_some(&self.scope),
            "sequence_number": sequence(self.priority),
            "logging": self.logging,
            "enabled": true,
        });
        Intent::new(self.rule_path_for(peer), "PolicyNatRule", fields)
    }
}
