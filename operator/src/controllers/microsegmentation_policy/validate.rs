//! Turns a policy's spec into one that can be written: granted, and with everybody found.

use topology::{
    Direction, FirewallAction, Grants, MicrosegRule, MicrosegSpec, NatProtocol, Owner, Peers, Ports,
};
use vic_crds::{
    Logging, MicrosegmentationPolicy, PeerSelection, Posture, Protocol, SubjectSelection, SubjectType,
    TrafficPort,
};

use super::dereference::References;
use crate::context::Context;
use crate::controllers::common::{Ground, display_name, firewall_action};
use crate::controllers::consent;
use crate::failure::{Failure, ValidateError};
use crate::kind::{Kind, ObjectKey};

/// Longest name of a policy: the names of its rules and groups begin with it.
const NAME_LIMIT: usize = 180;
/// Priority of a policy that names none.
const DEFAULT_PRIORITY: u32 = 500;

/// A policy as it shall be.
pub(super) struct Wanted {
    pub(super) owner: Owner,
    pub(super) spec: MicrosegSpec,
    /// Fields that select nobody at the moment.
    pub(super) empty: Vec<String>,
}

pub(super) fn validate(
    policy: &MicrosegmentationPolicy,
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
) -> Result<Wanted, Failure> {
    let ground = &references.ground;
    let grants = ground.grants(ctx, key)?;
    for wanted in &policy.spec.subject {
        check_subject(ctx, key, ground, &grants, wanted)?;
    }
    let ingress = policy.spec.ingress.iter().flat_map(|rule| &rule.from);
    let egress = policy.spec.egress.iter().flat_map(|rule| &rule.to);
    for peer in ingress.chain(egress) {
        check_group(key, ground, &grants, peer)?;
    }
    let owner = ctx.owner(key, policy.metadata.uid.as_deref().unwrap_or_default());
    let spec = MicrosegSpec {
        owner: owner.clone(),
        display_name: display_name(None, key, NAME_LIMIT)?,
        priority: policy
            .spec
            .priority
            .and_then(|priority| u32::try_from(priority).ok())
            .unwrap_or(DEFAULT_PRIORITY),
        subject: references.subject.clone(),
        rules: rules(policy, &references.ingress, &references.egress)?,
        isolate: policy.spec.default_posture == Posture::Isolate,
    };
    topology::check_microseg(&spec).map_err(|broken| ValidateError::Invalid {
        field: broken.field.to_owned(),
        rule: broken.rule,
    })?;
    Ok(Wanted {
        owner,
        spec,
        empty: references.empty.clone(),
    })
}

/// Rules are in force at the subject's own vNICs: whose these are decides what must be granted.
fn check_subject(
    ctx: &Context,
    key: &ObjectKey,
    ground: &Ground,
    grants: &Grants,
    wanted: &SubjectSelection,
) -> Result<(), ValidateError> {
    let refuse = |what: String| Err(ground.refuse(&key.namespace, what));
    match wanted.kind {
        // Its own: a VCH is named without a namespace.
        SubjectType::Containers => Ok(()),
        SubjectType::Network | SubjectType::VirtualMachines if grants.others_as_subjects => Ok(()),
        SubjectType::Network => {
            let Some(network) = &wanted.network else {
                return Ok(());
            };
            let named = consent::key_of_shared(Kind::ContainerNetwork, key, &network.network_ref);
            if named.namespace != key.namespace {
                return refuse(format!("a policy for network {}/{}", named.namespace, named.name));
            }
            if ctx.is_shared(&named) {
                return refuse(format!(
                    "a policy for network {}, which other namespaces share,",
                    named.name
                ));
            }
            Ok(())
        }
        SubjectType::VirtualMachines => refuse("a policy for VMs that no VCH made".to_owned()),
        SubjectType::Group => {
            let name = wanted
                .group
                .as_ref()
                .map(|group| group.name.to_string())
                .unwrap_or_default();
            if grants.others_as_subjects && grants.allows_group(&name) {
                Ok(())
            } else {
                refuse(format!("a policy for group {name}"))
            }
        }
    }
}

fn check_group(
    key: &ObjectKey,
    ground: &Ground,
    grants: &Grants,
    peer: &PeerSelection,
) -> Result<(), ValidateError> {
    match &peer.group {
        Some(group) if !grants.allows_group(&group.name) => {
            Err(ground.refuse(&key.namespace, format!("group {}", group.name)))
        }
        _ => Ok(()),
    }
}

fn rules(
    policy: &MicrosegmentationPolicy,
    ingress: &[Peers],
    egress: &[Peers],
) -> Result<Vec<MicrosegRule>, ValidateError> {
    let inward = policy.spec.ingress.iter().zip(ingress).map(|(rule, peers)| {
        let field = format!("spec.ingress[{}]", rule.name);
        made(
            &field,
            &rule.name,
            Direction::In,
            peers,
            &rule.ports,
            rule.action,
            rule.logging,
        )
    });
    let outward = policy.spec.egress.iter().zip(egress).map(|(rule, peers)| {
        let field = format!("spec.egress[{}]", rule.name);
        made(
            &field,
            &rule.name,
            Direction::Out,
            peers,
            &rule.ports,
            rule.action,
            rule.logging,
        )
    });
    inward.chain(outward).collect()
}

fn made(
    field: &str,
    name: &str,
    direction: Direction,
    peers: &Peers,
    wanted: &[TrafficPort],
    action: Option<vic_crds::FirewallAction>,
    logging: Option<Logging>,
) -> Result<MicrosegRule, ValidateError> {
    let ports = wanted
        .iter()
        .enumerate()
        .map(|(position, wanted)| ports(&format!("{field}.ports[{position}]"), wanted))
        .collect::<Result<_, _>>()?;
    Ok(MicrosegRule {
        name: name.to_owned(),
        direction,
        peers: peers.clone(),
        ports,
        action: action.map_or(FirewallAction::Allow, firewall_action),
        logging: logging.unwrap_or_default() == Logging::Enabled,
    })
}

fn ports(field: &str, wanted: &TrafficPort) -> Result<(NatProtocol, Option<Ports>), ValidateError> {
    let protocol = match wanted.protocol {
        Protocol::Tcp => NatProtocol::Tcp,
        Protocol::Udp => NatProtocol::Udp,
        Protocol::Icmp => NatProtocol::Icmp,
        Protocol::Any => NatProtocol::Any,
    };
    let read = |number: i32| {
        u16::try_from(number)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| ValidateError::Invalid {
                field: field.to_owned(),
                rule: "must be ports between 1 and 65535".to_owned(),
            })
    };
    let Some(first) = wanted.port.map(read).transpose()? else {
        return Ok((protocol, None));
    };
    let last = wanted.end_port.map(read).transpose()?.unwrap_or(first);
    Ok((protocol, Some(Ports { first, last })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_with_their_protocol() {
        let given = |protocol, port, end_port| TrafficPort {
            protocol,
            port,
            end_port,
        };
        let cases = [
            (
                given(Protocol::Tcp, Some(80), None),
                Some((NatProtocol::Tcp, Some(Ports { first: 80, last: 80 }))),
            ),
            (
                given(Protocol::Udp, Some(53), Some(54)),
                Some((NatProtocol::Udp, Some(Ports { first: 53, last: 54 }))),
            ),
            (given(Protocol::Icmp, None, None), Some((NatProtocol::Icmp, None))),
            (given(Protocol::Tcp, Some(0), None), None),
            (given(Protocol::Tcp, Some(80), Some(70_000)), None),
        ];
        for (wanted, expected) in cases {
            assert_eq!(
                ports("spec.ingress[web].ports[0]", &wanted).ok(),
                expected,
                "{wanted:?}"
            );
        }
        let error = ports("spec.ingress[web].ports[0]", &given(Protocol::Tcp, Some(0), None)).unwrap_err();
        assert!(
            error.to_string().starts_with("spec.ingress[web].ports[0]: "),
            "{error}"
        );
    }
}
