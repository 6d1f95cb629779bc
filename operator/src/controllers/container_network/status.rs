//! What became of a network, in its status and for those who use it.

use serde_json::Value;
use topology::Range;
use vic_crds::{ContainerNetworkStatus, PortGroupStatus};
use vsphere::{AnyNetwork, Inventory};

use super::plan::{intents, own_port_group};
use super::validate::{Backing, Wanted};
use crate::conditions::{ConditionType, Summary, Truth};
use crate::context::Context;
use crate::controllers::common::{Ground, pin, realized};
use crate::controllers::container_network::dereference::outside;
use crate::facts::NetworkFacts;
use crate::failure::{ApplyError, Failure};
use crate::kind::{Kind, ObjectKey};
use crate::wake::Topic;

/// What is true of the network whatever becomes of it.
pub(super) fn describe(wanted: &Wanted, details: &mut ContainerNetworkStatus) {
    details.used_by = None;
    details.subnets = wanted.subnet.as_ref().map(|subnet| subnet.net.to_string());
    details.dhcp_ranges = wanted
        .dhcp
        .as_ref()
        .map(|server| server.ranges.iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    match &wanted.backing {
        Backing::PortGroup { switch, vlan } => {
            details.backing = Some(format!("VLAN {vlan}"));
            pin(&mut details.resolved, "distributedSwitch", &switch.to_string());
        }
        Backing::Segment {
            transport_zone,
            gateway,
            edge_cluster,
            ..
        } => {
            details.backing = Some("Segment".to_owned());
            details.segment_path = Some(segment_path(wanted));
            pin(&mut details.resolved, "transportZone", transport_zone);
            if let Some(edge_cluster) = edge_cluster {
                pin(&mut details.resolved, "edgeCluster", edge_cluster);
            }
            match gateway {
                Some(gateway) => pin(&mut details.resolved, "gateway", gateway),
                None => drop(
                    details
                        .resolved
                        .as_mut()
                        .and_then(|resolved| resolved.remove("gateway")),
                ),
            }
        }
        Backing::Existing { .. } => details.backing = Some("Existing".to_owned()),
    }
}

pub(super) fn segment_path(wanted: &Wanted) -> String {
    topology::segment_path(&wanted.owner.external_id())
}

/// Says which ranges could not be given up.
pub(super) fn with_declined(summary: Summary, declined: &[Range]) -> Summary {
    if declined.is_empty() {
        return summary;
    }
    let lost: Vec<String> = declined.iter().map(ToString::to_string).collect();
    let message = format!(
        "{} The ranges of the spec are not taken over, because DHCP ranges only grow: {} would be lost.",
        summary.message,
        lost.join(", ")
    );
    Summary {
        message,
        declined: Some("RangesGrowOnly"),
        ..summary
    }
}

/// Says of a transport zone that is not taken over.
pub(super) fn with_kept_zone(summary: Summary, declined: Option<&str>) -> Summary {
    let Some(zone) = declined else { return summary };
    let name = zone.rsplit('/').next().unwrap_or_default();
    let message = format!(
        "{} It stays in its transport zone, which NSX cannot change: set spec.replacePolicy: Recreate to have it deleted and made anew in {name}.",
        summary.message,
    );
    Summary {
        message,
        declined: Some("Immutable"),
        ..summary
    }
}

/// What `Observe` says where the world differs.
pub(super) fn drifted() -> Summary {
    Summary {
        ready: Truth::False,
        failed: Some(ConditionType::Programmed),
        extra: vec![(ConditionType::Drifted, Truth::True, "Drifted")],
        ..Summary::ready(
            "Drifted",
            "The world differs from the spec, and managementPolicy is Observe; status.plan says what would be done.",
        )
    }
}

/// What is in effect, and where it shows in vCenter.
pub(super) fn effect(
    ctx: &Context,
    ground: &Ground,
    wanted: &Wanted,
    details: &mut ContainerNetworkStatus,
) -> Result<Summary, Failure> {
    let key = ObjectKey::new(
        Kind::ContainerNetwork,
        &wanted.owner.namespace,
        &wanted.owner.name,
    );
    if let Backing::Segment { .. } = &wanted.backing {
        // The DHCP profile too: whoever edits it by hand edits this network.
        for intent in intents(wanted) {
            let site = ground.site.clone();
            ctx.wake.watch(
                &key,
                Topic::Nsx {
                    site,
                    path: intent.path,
                },
            );
        }
        realized(
            ground.connected.nsx()?,
            &segment_path(wanted),
            &format!("segment {}", wanted.display_name),
        )?;
    }
    let found = ground
        .connected
        .vsphere
        .read(|inventory| join(inventory, ground, wanted))?;
    let Some(found) = found else {
        let waits = format!("vCenter shows the port group of segment {}", wanted.display_name);
        return Err(ApplyError::Realizing(waits).into());
    };
    ctx.wake.watch(
        &key,
        Topic::VSphere {
            site: ground.site.clone(),
            moref: found.moref.clone(),
        },
    );
    let message = format!("{} is in effect.", found.name);
    details.port_group = Some(found);
    Ok(Summary::ready("Ready", message))
}

/// The network in vCenter that this one is, or became.
fn join(inventory: &Inventory, ground: &Ground, wanted: &Wanted) -> Result<Option<PortGroupStatus>, Failure> {
    let shown = |group: &vsphere::PortGroup| PortGroupStatus {
        name: group.name.clone(),
        moref: group.moref.to_string(),
    };
    match &wanted.backing {
        Backing::PortGroup { .. } => Ok(own_port_group(inventory, &wanted.owner).map(shown)),
        Backing::Segment { .. } => {
            let segment = ground.connected.nsx()?.get(&segment_path(wanted));
            let ids = segment
                .map(|segment| switch_ids(&segment.body))
                .unwrap_or_default();
            let group = ids.iter().find_map(|id| {
                inventory
                    .port_groups
                    .values()
                    .find(|group| group.logical_switch_uuid.as_deref() == Some(id))
            });
            Ok(group.map(shown))
        }
        Backing::Existing { name } => {
            let network = inventory
                .find_network(name)
                .map_err(|problem| outside("spec.backing.existing.network", "network", name, problem))?;
            Ok(Some(match network {
                AnyNetwork::PortGroup(group) => shown(group),
                AnyNetwork::Network(network) => PortGroupStatus {
                    name: network.name.clone(),
                    moref: network.moref.to_string(),
                },
            }))
        }
    }
}

/// What vCenter may call a segment: its realization id, or its unique id.
fn switch_ids(segment: &Value) -> Vec<String> {
    let text = |field: &str| segment.get(field).and_then(Value::as_str).map(str::to_owned);
    [text("realization_id"), text("unique_id")]
        .into_iter()
        .flatten()
        .collect()
}

/// What others may know of the network.
pub(super) fn facts(
    ground: &Ground,
    wanted: &Wanted,
    details: &ContainerNetworkStatus,
    ready: bool,
) -> NetworkFacts {
    let gateway_path = match &wanted.backing {
        Backing::Segment { gateway, .. } => gateway.clone(),
        _ => None,
    };
    NetworkFacts {
        site: ground.site.clone(),
        ready,
        name: details
            .port_group
            .as_ref()
            .map_or_else(|| wanted.display_name.clone(), |group| group.name.clone()),
        moref: details.port_group.as_ref().map(|group| group.moref.clone()),
        segment_path: details.segment_path.clone(),
        gateway_path,
        subnet: wanted.subnet.clone(),
    }
}
