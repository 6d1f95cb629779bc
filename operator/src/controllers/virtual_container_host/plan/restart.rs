//! What of a plan needs the endpoint VM to be off, and may therefore have to wait.

use std::fmt::Write as _;

use guestinfo::decode;
use sha2::{Digest, Sha256};
use topology::Plan;
use vsphere::{DatastorePath, Vm};

use super::super::find::State;
use super::super::validate::Wanted;
use super::{Action, secrets};
use crate::certificates::Bundle;
use crate::failure::PlanError;

/// How many bytes of the digest name a plan.
const NAME_BYTES: usize = 6;

/// A plan in two parts.
#[derive(Debug)]
pub(in super::super) struct Parts {
    /// What is changed at once.
    pub(in super::super) live: Plan<Action>,
    /// What restarts an endpoint VM that is on, all of it together.
    pub(in super::super) restart: Option<Restart>,
}

/// Changes that need one restart.
#[derive(Debug)]
pub(in super::super) struct Restart {
    pub(in super::super) plan: Plan<Action>,
    /// Its name: twelve hexadecimal digits, others for any other change.
    pub(in super::super) id: String,
}

/// Divides a plan. A VM that is off already is changed at once: nothing is lost by it.
pub(in super::super) fn parts(wanted: &Wanted, bundle: Option<&Bundle>, plan: Plan<Action>) -> Parts {
    if plan.steps.iter().all(|step| step.action != Action::PowerOff) {
        return Parts {
            live: plan,
            restart: None,
        };
    }
    let (live, steps) = plan
        .steps
        .into_iter()
        .partition(|step| !needs_restart(&step.action));
    let plan = Plan { steps };
    let id = name(wanted, bundle, &plan);
    Parts {
        live: Plan { steps: live },
        restart: Some(Restart { plan, id }),
    }
}

fn needs_restart(action: &Action) -> bool {
    match action {
        Action::BringImages
        | Action::MakeDirectory(_)
        | Action::CreateVm
        | Action::ProtectVm
        | Action::PowerOff
        | Action::ConfigureVm
        | Action::PowerOn => true,
        Action::CreatePool
        | Action::MarkPool
        | Action::UpdatePool { .. }
        | Action::CreateFolder
        | Action::MarkFolder
        | Action::RenameFolder
        | Action::RenameVm => false,
    }
}

/// The lines of a plan name few keys and no values, so its name is made of what is wanted too: an approval is of one
/// change, not of any that looks like it.
fn name(wanted: &Wanted, bundle: Option<&Bundle>, plan: &Plan<Action>) -> String {
    let mut digest = Sha256::new();
    let mut take = |text: &str| {
        digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(text);
    };
    for line in plan.lines() {
        take(&line);
    }
    take(&format!("{:?}", wanted.endpoint));
    take(&wanted.release.appliance.sha256);
    take(&wanted.release.bootstrap.sha256);
    take(&bundle.map(|bundle| secrets(wanted, bundle)).unwrap_or_default());
    let mut name = String::new();
    for byte in digest.finalize().iter().take(NAME_BYTES) {
        // Writing to a text never fails.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// A volume store that a container has a volume on stays: the container would lose its disk with the next start.
pub(super) fn check_volumes(wanted: &Wanted, state: &State, vm: &Vm) -> Result<(), PlanError> {
    let known = decode(&vm.extra_config)
        .map(|config| config.storage.volume_locations)
        .unwrap_or_default();
    for (label, location) in known {
        let Ok(directory) = location.path.parse::<DatastorePath>() else {
            continue;
        };
        let stays = wanted
            .endpoint
            .volumes
            .iter()
            .any(|volume| volume.name == label && volume.directory() == Some(&directory));
        let inside = |disk: &DatastorePath| {
            disk.datastore == directory.datastore && disk.path.starts_with(&format!("{}/", directory.path))
        };
        let user = state.disks.iter().find(|(_, disk)| inside(disk));
        if let Some((container, _)) = user.filter(|_| !stays) {
            return Err(PlanError::InUse(format!(
                "spec.storage.volumeStores: store {label} ({directory}) cannot be removed or moved, container VM {container} has a volume on it; nothing was written"
            )));
        }
    }
    Ok(())
}
