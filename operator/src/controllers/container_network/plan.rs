//! Compares a network with what vCenter and NSX have.

use std::fmt::Write;

use serde_json::Value;
use topology::{Change, DhcpSpec, Intent, Owner, Plan, Range, SegmentSpec, Shared, Step, SubnetSpec, Verb};
use vsphere::{Inventory, Moref, PortGroup, PortGroupSpec, Vlan};

use super::dereference::References;
use super::validate::{Backing, Wanted};
use crate::failure::PlanError;
use crate::metrics::Subject;

/// Ports of a port group at its birth; vSphere grows them by itself.
const PORTS: i32 = 128;

/// One change.
pub(super) enum Action {
    AddPortGroup {
        switch: Moref,
        spec: PortGroupSpec,
    },
    ReconfigurePortGroup {
        moref: Moref,
        config_version: String,
        spec: PortGroupSpec,
    },
    Nsx(Change),
}

impl Subject for Action {
    fn subject(&self) -> &str {
        match self {
            Self::AddPortGroup { .. } | Self::ReconfigurePortGroup { .. } => "DistributedVirtualPortgroup",
            Self::Nsx(change) => change.subject(),
        }
    }
}

/// `unused`: shared objects that go with this change.
pub(super) fn plan(
    references: &References,
    wanted: &Wanted,
    unused: &[Shared],
) -> Result<Plan<Action>, PlanError> {
    match &wanted.backing {
        Backing::PortGroup { switch, vlan } => references
            .ground
            .connected
            .vsphere
            .read(|inventory| port_group(inventory, wanted, switch, *vlan)),
        Backing::Segment { .. } => Ok(segment(references, wanted, unused)),
        Backing::Existing { .. } => Ok(Plan::default()),
    }
}

/// The port group that carries our mark, whatever it is called now.
pub(super) fn own_port_group<'a>(inventory: &'a Inventory, owner: &Owner) -> Option<&'a PortGroup> {
    inventory
        .port_groups
        .values()
        .find(|group| Owner::from_mark(&group.description).is_some_and(|marked| marked.is_same_object(owner)))
}

fn port_group(
    inventory: &Inventory,
    wanted: &Wanted,
    switch: &Moref,
    vlan: u16,
) -> Result<Plan<Action>, PlanError> {
    let own = own_port_group(inventory, &wanted.owner);
    let taken = inventory
        .port_groups
        .values()
        .map(|group| (&group.moref, &group.name))
        .chain(
            inventory
                .networks
                .values()
                .map(|network| (&network.moref, &network.name)),
        )
        .find(|(moref, name)| **name == wanted.display_name && own.is_none_or(|own| own.moref != **moref));
    if let Some((moref, name)) = taken {
        return Err(PlanError::Conflict(format!(
            "the name {name} is already taken in vCenter by {moref}, which this object does not own; nothing was written"
        )));
    }
    let spec = PortGroupSpec {
        name: wanted.display_name.clone(),
        description: description(own, &wanted.owner),
        vlan_id: vlan,
        num_ports: own.map_or(PORTS, |group| group.num_ports),
        binding: vsphere::Binding::Early,
    };
    let what = format!("port group {}", wanted.display_name);
    let Some(own) = own else {
        let action = Action::AddPortGroup {
            switch: switch.clone(),
            spec,
        };
        return Ok(Plan {
            steps: vec![Step {
                verb: Verb::Create,
                what,
                reason: "it does not exist".to_owned(),
                action,
            }],
        });
    };
    let reason = differences(own, &spec);
    if reason.is_empty() {
        return Ok(Plan { steps: Vec::new() });
    }
    let action = Action::ReconfigurePortGroup {
        moref: own.moref.clone(),
        config_version: own.config_version.clone(),
        spec,
    };
    Ok(Plan {
        steps: vec![Step {
            verb: Verb::Update,
            what,
            reason,
            action,
        }],
    })
}

/// Our mark; what people wrote beside it stays.
fn description(own: Option<&PortGroup>, owner: &Owner) -> String {
    own.map(|group| &group.description)
        .filter(|text| Owner::from_mark(text).as_ref() == Some(owner))
        .map_or_else(|| owner.mark(), Clone::clone)
}

fn differences(own: &PortGroup, spec: &PortGroupSpec) -> String {
    let mut text = String::new();
    let mut differ = |field: &str, want: &str, have: &str| {
        if want != have {
            let separator = if text.is_empty() { "" } else { "; " };
            // Writing into a String cannot fail.
            let _ = write!(text, "{separator}{field}: want {want}, have {have}");
        }
    };
    differ("name", &spec.name, &own.name);
    differ("description", &spec.description, &own.description);
    let vlan = match &own.vlan {
        Vlan::Id(id) => id.to_string(),
        other => format!("{other:?}"),
    };
    differ("VLAN", &spec.vlan_id.to_string(), &vlan);
    text
}

/// The segment's subnet: none where nothing on the segment would use it.
pub(super) fn subnet(wanted: &Wanted) -> Option<SubnetSpec> {
    let Backing::Segment { gateway, .. } = &wanted.backing else {
        return None;
    };
    let dhcp = wanted
        .dhcp
        .as_ref()
        .zip(profile(wanted))
        .map(|(server, profile)| DhcpSpec {
            server_address: server.server_address,
            ranges: server.ranges.clone(),
            lease_seconds: server.lease_seconds,
            profile_path: profile.path,
            routes: server.routes.clone(),
            options: server.options.clone(),
            bindings: server.bindings.clone(),
        });
    let relay_path = relay(wanted).map(|relay| relay.path);
    let facts = wanted
        .subnet
        .as_ref()
        .filter(|_| gateway.is_some() || dhcp.is_some())?;
    Some(SubnetSpec {
        gateway: facts.gateway,
        net: facts.net,
        dns: facts.dns_servers.clone(),
        dhcp,
        relay_path,
    })
}

/// The DHCP server profile that the segment shares with others.
fn profile(wanted: &Wanted) -> Option<Intent> {
    let Backing::Segment { edge_cluster, .. } = &wanted.backing else {
        return None;
    };
    wanted
        .dhcp
        .as_ref()
        .map(|_| topology::dhcp_profile(&wanted.owner.instance, edge_cluster.as_deref()))
}

/// The relay profile that the segment shares with others.
fn relay(wanted: &Wanted) -> Option<Intent> {
    (!wanted.relays.is_empty()).then(|| topology::dhcp_relay(&wanted.owner.instance, &wanted.relays))
}

/// The segment and, with DHCP, its server or relay profile.
pub(super) fn intents(wanted: &Wanted) -> Vec<Intent> {
    let Backing::Segment {
        transport_zone,
        gateway,
        manner,
        ..
    } = &wanted.backing
    else {
        return Vec::new();
    };
    let segment = SegmentSpec {
        id: wanted.owner.external_id(),
        display_name: wanted.display_name.clone(),
        tags: wanted.owner.tags(),
        transport_zone_path: transport_zone.clone(),
        connectivity_path: gateway.clone(),
        subnet: subnet(wanted),
        vlans: manner.vlans.clone(),
        source_replication: manner.source_replication,
        down: manner.down,
    };
    profile(wanted)
        .into_iter()
        .chain(relay(wanted))
        .chain(segment.intents())
        .collect()
}

/// NSX lets DHCP ranges grow and never shrink: ranges that would are declined, and the old ones stay.
pub(super) fn keep_ranges(references: &References, wanted: &mut Wanted) -> Vec<Range> {
    let path = topology::segment_path(&wanted.owner.external_id());
    let (Some(server), Some(engine)) = (&mut wanted.dhcp, &references.ground.connected.nsx) else {
        return Vec::new();
    };
    let observed = engine
        .get(&path)
        .map(|segment| ranges_of(&segment.body))
        .unwrap_or_default();
    match topology::ranges_in_effect(&observed, &server.ranges) {
        Ok(ranges) => {
            server.ranges = ranges;
            Vec::new()
        }
        Err(lost) => {
            server.ranges = observed;
            lost
        }
    }
}

/// NSX cannot move a segment to another transport zone: it stays where it is, unless the spec has it made anew.
/// Returns the zone that is not taken over.
pub(super) fn keep_zone(references: &References, wanted: &mut Wanted) -> Option<String> {
    let there = zone_of(references, wanted)?;
    match &mut wanted.backing {
        Backing::Segment { transport_zone, .. } if *transport_zone != there && !wanted.recreate => {
            Some(std::mem::replace(transport_zone, there))
        }
        _ => None,
    }
}

/// The transport zone that the segment is in.
fn zone_of(references: &References, wanted: &Wanted) -> Option<String> {
    let path = topology::segment_path(&wanted.owner.external_id());
    let segment = references.ground.connected.nsx.as_ref()?.get(&path)?;
    segment.text("transport_zone_path").map(str::to_owned)
}

/// Whether the segment has to go before it can be as declared: it is in another transport zone.
pub(super) fn is_misplaced(references: &References, wanted: &Wanted) -> bool {
    match &wanted.backing {
        Backing::Segment { transport_zone, .. } => {
            zone_of(references, wanted).is_some_and(|there| there != *transport_zone)
        }
        _ => false,
    }
}

fn ranges_of(segment: &Value) -> Vec<Range> {
    let ranges = segment
        .pointer("/subnets/0/dhcp_ranges")
        .and_then(Value::as_array);
    ranges
        .into_iter()
        .flatten()
        .filter_map(|range| range.as_str()?.parse().ok())
        .collect()
}

/// Shared objects that the network uses.
pub(super) fn uses(wanted: &Wanted) -> Vec<Shared> {
    profile(wanted)
        .into_iter()
        .chain(relay(wanted))
        .map(|profile| (profile.path, profile.resource_type.to_owned()))
        .collect()
}

fn segment(references: &References, wanted: &Wanted, unused: &[Shared]) -> Plan<Action> {
    let Some(engine) = &references.ground.connected.nsx else {
        return Plan::default();
    };
    let observe = |path: &str| engine.get(path).map(|observed| Value::clone(&observed.body));
    let intents = intents(wanted);
    // Bindings that were taken out of the spec.
    let tag = nsx::Tag::new(topology::UID_SCOPE, &wanted.owner.uid);
    let mut obsolete: Vec<Shared> = engine
        .owned_with(&tag)
        .into_iter()
        .filter(|observed| intents.iter().all(|intent| intent.path != observed.path))
        .map(|observed| (observed.path, observed.resource_type))
        .collect();
    obsolete.extend(unused.iter().cloned());
    let plan = topology::nsx_plan(&intents, observe, &obsolete);
    Plan {
        steps: plan
            .steps
            .into_iter()
            .map(|step| Step {
                verb: step.verb,
                what: step.what,
                reason: step.reason,
                action: Action::Nsx(step.action),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use vsphere::{Binding, PortGroupBacking};

    use super::*;

    const SWITCH: &str = "dvs-9";

    fn owner(name: &str, uid: &str) -> Owner {
        Owner {
            instance: "i".into(),
            kind: "ContainerNetwork".into(),
            namespace: "containers".into(),
            name: name.into(),
            uid: uid.into(),
        }
    }

    fn wanted() -> Wanted {
        Wanted {
            owner: owner("docker-public", "u1"),
            display_name: "Docker-Public".into(),
            backing: Backing::PortGroup {
                switch: switch(),
                vlan: 120,
            },
            subnet: None,
            dhcp: None,
            relays: Vec::new(),
            recreate: false,
        }
    }

    fn switch() -> Moref {
        Moref::new("VmwareDistributedVirtualSwitch", SWITCH)
    }

    fn group(name: &str, vlan: u16, description: &str) -> PortGroup {
        PortGroup {
            moref: Moref::new("DistributedVirtualPortgroup", "dvportgroup-1"),
            name: name.into(),
            parent: None,
            key: "dvportgroup-1".into(),
            switch: Some(switch()),
            vlan: Vlan::Id(vlan),
            description: description.into(),
            config_version: "7".into(),
            backing: PortGroupBacking::Standard,
            logical_switch_uuid: None,
            segment_id: None,
            uplink: false,
            vms: Vec::new(),
            num_ports: 256,
            binding: Binding::Early,
        }
    }

    fn planned(groups: Vec<PortGroup>) -> Result<Plan<Action>, PlanError> {
        let port_groups = groups
            .into_iter()
            .map(|group| (group.moref.clone(), group))
            .collect();
        let inventory = Inventory {
            port_groups,
            ..Inventory::default()
        };
        port_group(&inventory, &wanted(), &switch(), 120)
    }

    #[test]
    fn a_missing_port_group_is_made_with_its_mark() {
        let plan = planned(Vec::new()).unwrap();
        assert_eq!(
            plan.lines(),
            ["create port group Docker-Public: it does not exist"]
        );
        let Action::AddPortGroup { spec, .. } = &plan.steps[0].action else {
            panic!("an addition")
        };
        assert_eq!(Owner::from_mark(&spec.description), Some(wanted().owner));
    }

    #[test]
    fn what_is_as_declared_is_left_alone() {
        let mark = wanted().owner.mark();
        assert!(
            planned(vec![group("Docker-Public", 120, &mark)])
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn drift_is_named_field_by_field_and_repaired_at_the_version_read() {
        let mark = wanted().owner.mark();
        let cases = [
            (group("Docker-Public", 999, &mark), "VLAN: want 120, have 999"),
            (
                group("mine-now", 120, &mark),
                "name: want Docker-Public, have mine-now",
            ),
        ];
        for (drifted, reason) in cases {
            let plan = planned(vec![drifted]).unwrap();
            assert_eq!(
                plan.lines(),
                [format!("update port group Docker-Public: {reason}")]
            );
            let Action::ReconfigurePortGroup {
                config_version, spec, ..
            } = &plan.steps[0].action
            else {
                panic!("a reconfiguration")
            };
            assert_eq!(
                (config_version.as_str(), spec.num_ports),
                ("7", 256),
                "ports that grew are kept"
            );
        }
    }

    #[test]
    fn an_object_declared_anew_takes_its_port_group_over() {
        let plan = planned(vec![group(
            "Docker-Public",
            120,
            &owner("docker-public", "u0").mark(),
        )])
        .unwrap();
        assert_eq!(plan.steps.len(), 1, "the mark gets the new UID");
    }

    #[test]
    fn a_name_that_someone_else_has_is_a_conflict() {
        for description in ["", "made by hand", &owner("other", "u2").mark()] {
            let refused = planned(vec![group("Docker-Public", 120, description)]);
            assert!(matches!(refused, Err(PlanError::Conflict(_))), "{description}");
        }
    }
}
