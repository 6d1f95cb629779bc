//! Finds whom a policy speaks of: containers, networks, groups, and what other namespaces share.

use kube::runtime::reflector::ObjectRef as StoreRef;
use topology::{Members, Peers};
use vic_crds::{
    ContainerSelection, GroupSelection, MicrosegmentationPolicy, NetworkSelection, PeerSelection,
    SubjectSelection,
};

use super::selection;
use crate::context::Context;
use crate::controllers::common::{Ground, ground};
use crate::controllers::consent;
use crate::controllers::virtual_container_host::find;
use crate::failure::{DereferenceError, Failure, ValidateError};
use crate::kind::{Kind, ObjectKey};
use crate::wake::Topic;

/// Everybody a policy speaks of.
pub(super) struct References {
    pub(super) ground: Ground,
    pub(super) subject: Members,
    /// By rule, in the spec's order.
    pub(super) ingress: Vec<Peers>,
    pub(super) egress: Vec<Peers>,
    /// Fields that select nobody at the moment.
    pub(super) empty: Vec<String>,
}

pub(super) async fn dereference(
    policy: &MicrosegmentationPolicy,
    ctx: &Context,
    key: &ObjectKey,
) -> Result<References, Failure> {
    let ground = ground(ctx, key, &policy.spec.site_ref)?;
    let seeker = Seeker {
        ctx,
        key,
        ground: &ground,
    };
    let mut subject = Members::default();
    for (position, wanted) in policy.spec.subject.iter().enumerate() {
        let field = format!("spec.subject[{position}]");
        subject.extend(&seeker.subject(&field, wanted).await?);
    }
    let mut empty = Vec::new();
    let (mut ingress, mut egress) = (Vec::new(), Vec::new());
    for rule in &policy.spec.ingress {
        let field = format!("spec.ingress[{}].from", rule.name);
        ingress.push(seeker.peers(&field, &rule.from, &mut empty).await?);
    }
    for rule in &policy.spec.egress {
        let field = format!("spec.egress[{}].to", rule.name);
        egress.push(seeker.peers(&field, &rule.to, &mut empty).await?);
    }
    Ok(References {
        ground,
        subject,
        ingress,
        egress,
        empty,
    })
}

struct Seeker<'a> {
    ctx: &'a Context,
    key: &'a ObjectKey,
    ground: &'a Ground,
}

impl Seeker<'_> {
    async fn subject(&self, field: &str, wanted: &SubjectSelection) -> Result<Members, Failure> {
        let mut found = Members::default();
        if let Some(containers) = &wanted.containers {
            found.extend(&self.containers(field, containers)?);
        }
        if let Some(network) = &wanted.network {
            found.extend(&self.network(field, network)?);
        }
        if let Some(machines) = &wanted.virtual_machines {
            found.extend(&selection::classic(machines));
        }
        if let Some(group) = &wanted.group {
            found.extend(&self.group(group).await?);
        }
        Ok(found)
    }

    async fn peers(
        &self,
        field: &str,
        wanted: &[PeerSelection],
        empty: &mut Vec<String>,
    ) -> Result<Peers, Failure> {
        if wanted.is_empty() {
            return Ok(Peers::Anyone);
        }
        let mut members = Members::default();
        let mut subject = false;
        for (position, peer) in wanted.iter().enumerate() {
            let field = format!("{field}[{position}]");
            members.extend(&self.peer(&field, peer).await?);
            subject |= peer.kind == vic_crds::PeerType::Subject;
        }
        if members.is_empty() && !subject {
            empty.push(field.to_owned());
        }
        Ok(Peers::These { members, subject })
    }

    async fn peer(&self, field: &str, peer: &PeerSelection) -> Result<Members, Failure> {
        let mut found = self
            .subject(
                field,
                &SubjectSelection {
                    // The bodies alone say who is meant.
                    kind: vic_crds::SubjectType::Containers,
                    containers: peer.containers.clone(),
                    network: peer.network.clone(),
                    virtual_machines: peer.virtual_machines.clone(),
                    group: peer.group.clone(),
                },
            )
            .await?;
        if let Some(addresses) = &peer.addresses {
            found.extend(&selection::addresses(addresses));
        }
        if let Some(policy) = &peer.policy {
            found.extend(&*consent::subject(
                self.ctx,
                self.key,
                &self.ground.site,
                &policy.policy_ref,
            )?);
        }
        Ok(found)
    }

    /// Containers of a VCH of this namespace, as vCenter shows them now; each that comes or goes reconciles the
    /// policy.
    fn containers(&self, field: &str, wanted: &ContainerSelection) -> Result<Members, Failure> {
        let Self { ctx, key, ground } = self;
        let name = &wanted.vch_ref.name;
        let host = ObjectKey::new(Kind::VirtualContainerHost, &key.namespace, name);
        ctx.wake.watch(key, Topic::Object(host.clone()));
        let declared = ctx
            .stores
            .hosts
            .get(&StoreRef::new(name).within(&key.namespace))
            .ok_or_else(|| DereferenceError::HostMissing(name.to_string()))?;
        if *declared.spec.site_ref.name != ground.site {
            return Err(ValidateError::Invalid {
                field: format!("{field}.containers.vchRef"),
                rule: format!("VirtualContainerHost {name} lies on another Site"),
            }
            .into());
        }
        let owner = ctx.owner(&host, "");
        let site = ground.site.clone();
        let machines = ground.connected.vsphere.read(|inventory| {
            let own = find::own(inventory, &owner);
            find::watch(ctx, key, &site, &own);
            if own.pool.is_none() {
                ctx.wake.watch(key, Topic::Inventory { site: site.clone() });
            }
            selection::machines(wanted, find::guests(inventory, &own).into_iter())
        });
        Ok(Members {
            machines,
            ..Members::default()
        })
    }

    fn network(&self, field: &str, wanted: &NetworkSelection) -> Result<Members, Failure> {
        let facts = consent::network(self.ctx, self.key, &self.ground.site, &wanted.network_ref)?;
        let segment = facts.segment_path.clone().ok_or_else(|| ValidateError::Invalid {
            field: format!("{field}.network.networkRef"),
            rule: format!(
                "ContainerNetwork {} is no segment, and the distributed firewall knows whole networks as segments only",
                wanted.network_ref.name
            ),
        })?;
        Ok(Members {
            segments: [segment].into(),
            ..Members::default()
        })
    }

    async fn group(&self, wanted: &GroupSelection) -> Result<Members, Failure> {
        let engine = self.ground.connected.nsx()?;
        let found = engine
            .resolve(nsx::Referable::Group, &wanted.name)
            .await
            .map_err(DereferenceError::Nsx)?;
        Ok(Members {
            groups: [found.path].into(),
            ..Members::default()
        })
    }
}
