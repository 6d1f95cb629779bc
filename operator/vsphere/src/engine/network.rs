//! Distributed port groups.

use super::{EFFECT_PATIENCE, Engine};
use crate::error::Error;
use crate::inventory::Inventory;
use crate::moref::Moref;
use crate::objects::PortGroup;
use crate::soap::Call;
use crate::spec::PortGroupSpec;

impl Engine {
    /// Makes a port group on a distributed switch.
    ///
    /// # Errors
    /// [`Error::DuplicateName`] when the name is taken in the datacenter, or any other.
    pub async fn add_port_group(&self, switch: &Moref, spec: &PortGroupSpec) -> Result<Moref, Error> {
        let call = Call::write("AddDVPortgroup_Task", switch, |w| spec.write(w, "spec", None));
        self.run(&call).await?;
        // The task has no result: the group is known by its name, which is unique.
        let find = |inventory: &Inventory| find(inventory, switch, &spec.name);
        self.inner
            .mirror
            .shows(EFFECT_PATIENCE, |inventory| find(inventory).is_some())
            .await;
        if let Some(group) = self.read(find) {
            return Ok(group);
        }
        self.read_new_groups(switch).await?;
        self.read(find).ok_or(Error::OutcomeUnknown {
            method: "AddDVPortgroup_Task".to_owned(),
        })
    }

    /// Changes a port group that still has that `config_version`.
    ///
    /// # Errors
    /// [`Error::ConcurrentAccess`] when it was changed since, or any other.
    pub async fn reconfigure_port_group(
        &self,
        group: &Moref,
        config_version: &str,
        spec: &PortGroupSpec,
    ) -> Result<(), Error> {
        let version = Some(config_version);
        let call = Call::write("ReconfigureDVPortgroup_Task", group, |w| {
            spec.write(w, "spec", version);
        });
        self.run(&call).await?;
        self.settle(group, |inventory| {
            inventory
                .port_groups
                .get(group)
                .is_none_or(|group| spec.matches(group))
        })
        .await;
        Ok(())
    }

    /// Reads the switch, and those of its groups that the mirror does not have.
    async fn read_new_groups(&self, switch: &Moref) -> Result<(), Error> {
        let mirror = &self.inner.mirror;
        mirror.refresh(&self.inner.session, switch).await?;
        let unknown: Vec<Moref> = self.read(|inventory| {
            let groups = inventory
                .switches
                .get(switch)
                .map(|switch| switch.port_groups.clone());
            groups
                .unwrap_or_default()
                .into_iter()
                .filter(|group| !inventory.port_groups.contains_key(group))
                .collect()
        });
        for group in unknown {
            mirror.refresh(&self.inner.session, &group).await?;
        }
        Ok(())
    }
}

fn find(inventory: &Inventory, switch: &Moref, name: &str) -> Option<Moref> {
    let named = |group: &&PortGroup| group.name == name;
    inventory
        .port_groups_of(switch)
        .find(named)
        .map(|group| group.moref.clone())
}
