//! Compares a VCH with what vCenter has, and says what would bring it there.

use guestinfo::{Map, VchConfig, decode};
use topology::{Plan, Step, Verb};
use vic_crds::TlsMode;
use vsphere::{ConnectionState, DatastorePath, PowerState, Vm};

use super::dereference::References;
use super::find::State;
use super::validate::Wanted;
use crate::certificates::Bundle;
use crate::context::Context;
use crate::endpoint::config::{config, differing_keys};
use crate::endpoint::{BootImages, OWNER_KEY, SECRETS_KEY, ServerKeys, VmPlace, hardware};
use crate::failure::{ApplyError, Failure, PlanError, ValidateError};
use crate::images;
use crate::kind::{Kind, ObjectKey};
use crate::metrics::Subject;
use crate::wake::Topic;

/// How many differing keys a plan names.
const NAMED_KEYS: usize = 3;
/// The key under which the guest finds the bootstrap image's path.
const BOOTSTRAP_KEY: &str = "guestinfo.vice./container/bootstrap_image_path";

/// One change. What it needs of the ones before it is known when it is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    BringImages,
    CreatePool,
    MarkPool,
    /// Name, limits or both, in one call.
    UpdatePool {
        name: bool,
        limits: bool,
    },
    CreateFolder,
    MarkFolder,
    RenameFolder,
    MakeDirectory(DatastorePath),
    CreateVm,
    /// Keeps people from destroying the endpoint VM, as vic-machine does.
    ProtectVm,
    RenameVm,
    PowerOff,
    ConfigureVm,
    PowerOn,
}

impl Subject for Action {
    fn subject(&self) -> &str {
        match self {
            Self::BringImages | Self::MakeDirectory(_) => "Datastore",
            Self::CreatePool | Self::MarkPool | Self::UpdatePool { .. } => "ResourcePool",
            Self::CreateFolder | Self::MarkFolder | Self::RenameFolder => "Folder",
            Self::CreateVm
            | Self::ProtectVm
            | Self::RenameVm
            | Self::PowerOff
            | Self::ConfigureVm
            | Self::PowerOn => "VirtualMachine",
        }
    }
}

/// Refuses what cannot be, before anything is written.
pub(super) fn refuse(
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
    wanted: &Wanted,
    state: &State,
) -> Result<(), Failure> {
    let site = &references.ground.site;
    let blocker = state
        .taken
        .as_ref()
        .map(|(_, moref)| moref)
        .or(state.bridge_user.as_ref().map(|user| &user.moref));
    if let Some(moref) = blocker {
        ctx.wake.watch(
            key,
            Topic::VSphere {
                site: site.clone(),
                moref: moref.to_string(),
            },
        );
    }
    check(wanted, state)?;
    let held = state
        .vm
        .as_ref()
        .and_then(|vm| decode(&vm.extra_config).ok())
        .unwrap_or_default();
    if let Err(lost) = wanted
        .claims
        .clone()
        .without_held(&held)
        .check(&references.others)
    {
        let (namespace, name) = &lost.to;
        ctx.wake.watch(
            key,
            Topic::Object(ObjectKey::new(Kind::VirtualContainerHost, namespace, name)),
        );
        return Err(PlanError::Conflict(lost.message).into());
    }
    Ok(())
}

fn check(wanted: &Wanted, state: &State) -> Result<(), Failure> {
    if let Some((what, moref)) = &state.taken {
        return Err(PlanError::Conflict(format!(
            "the name {} is already taken in vCenter by {what} ({moref}), which this object does not own; nothing was written",
            wanted.endpoint.name
        ))
        .into());
    }
    if let Some(user) = &state.bridge_user {
        return Err(PlanError::Conflict(format!(
            "the bridge network must be dedicated, and {} already has it as its bridge; nothing was written",
            user.named_in(&wanted.owner.namespace)
        ))
        .into());
    }
    let moved = |field: &str, rule: &str| {
        Err(ValidateError::Invalid {
            field: field.to_owned(),
            rule: rule.to_owned(),
        }
        .into())
    };
    if state
        .pool
        .as_ref()
        .is_some_and(|(pool, _)| pool.parent.as_ref() != Some(&wanted.pool_parent))
    {
        return moved(
            "spec.compute.resourcePool",
            "the VCH's pool lies in another one, and a VCH is not moved",
        );
    }
    let Some(vm) = &state.vm else { return Ok(()) };
    let elsewhere =
        hardware::directory(vm).is_some_and(|directory| directory.datastore != wanted.images.datastore);
    if elsewhere {
        return moved(
            "spec.storage.datastore",
            "the endpoint VM lies on another one, and a VCH is not moved",
        );
    }
    if vm
        .extra_config
        .get(guestinfo::UPDATE_IN_PROGRESS_KEY)
        .is_some_and(|value| value == "true")
    {
        let text = format!(
            "vic-machine is changing VCH {}: its key UpdateInProgress is true",
            vm.name
        );
        return Err(PlanError::InUse(text).into());
    }
    misplaced(state, vm)?;
    restart::check_volumes(wanted, state, vm)?;
    reachable(vm)
}

/// A VM that somebody moved, or whose pool or folder somebody destroyed: containers would be made elsewhere
/// than it is, and nobody but who moved it knows why.
fn misplaced(state: &State, vm: &Vm) -> Result<(), Failure> {
    let pool = state.pool.as_ref().map(|(pool, _)| &pool.moref);
    let folder = state.folder.as_ref().map(|folder| &folder.moref);
    for (what, own, actual) in [("resource pool", pool, &vm.pool), ("folder", folder, &vm.parent)] {
        if actual.is_some() && own.is_some() && actual.as_ref() != own {
            let sentence = format!(
                "the endpoint VM {} does not lie in its {what}; move it back",
                vm.name
            );
            return Err(ApplyError::Degraded {
                reason: "Misplaced",
                sentence,
            }
            .into());
        }
    }
    Ok(())
}

/// A VM that vCenter cannot manage is left alone until it can.
fn reachable(vm: &Vm) -> Result<(), Failure> {
    let state = match vm.connection_state {
        ConnectionState::Connected => return Ok(()),
        ConnectionState::Disconnected => "disconnected from its host",
        ConnectionState::Inaccessible => "inaccessible",
        ConnectionState::Invalid => "invalid",
        ConnectionState::Orphaned => "orphaned",
    };
    let sentence = format!("the endpoint VM {} is {state} in vCenter", vm.name);
    Err(ApplyError::Degraded {
        reason: "VMUnreachable",
        sentence,
    }
    .into())
}

/// What would be done. Without certificates, which only an observed VCH can lack, their keys are not
/// compared.
pub(super) fn plan(wanted: &Wanted, state: &State, bundle: Option<&Bundle>) -> Result<Plan<Action>, Failure> {
    let mut steps = Steps::default();
    let mut vm_steps = Steps::default();
    match &state.vm {
        None => plan_birth(wanted, &mut vm_steps),
        Some(vm) => plan_vm(wanted, state, vm, bundle, &mut vm_steps)?,
    }
    // Images come first: where they cannot be had, nothing else is begun. And before a VM boots again they
    // are looked for: a file that is gone would keep it from booting.
    if vm_steps.0.iter().any(|step| step.action == Action::ConfigureVm) {
        let what = format!("images of {}", wanted.release.version);
        steps.push(
            Verb::Create,
            what,
            "they are booted, unless they are there",
            Action::BringImages,
        );
    }
    plan_pool(wanted, state, &mut steps);
    plan_folder(wanted, state, &mut steps);
    steps.0.extend(vm_steps.0);
    Ok(Plan { steps: steps.0 })
}

#[derive(Default)]
struct Steps(Vec<Step<Action>>);

impl Steps {
    fn push(&mut self, verb: Verb, what: impl Into<String>, reason: impl Into<String>, action: Action) {
        self.0.push(Step {
            verb,
            what: what.into(),
            reason: reason.into(),
            action,
        });
    }
}

const ABSENT: &str = "it does not exist";
const UNMARKED: &str = "it has no mark";

fn renamed(want: &str, have: &str) -> String {
    format!("name: want {want}, have {have}")
}

fn plan_pool(wanted: &Wanted, state: &State, steps: &mut Steps) {
    let name = &wanted.endpoint.name;
    let what = format!("resource pool {name}");
    let Some((pool, config)) = &state.pool else {
        steps.push(Verb::Create, &what, ABSENT, Action::CreatePool);
        steps.push(Verb::Update, &what, UNMARKED, Action::MarkPool);
        steps.push(
            Verb::Update,
            &what,
            "its name carries an id until it has its mark",
            Action::UpdatePool {
                name: true,
                limits: false,
            },
        );
        return;
    };
    if !pool.marked {
        steps.push(Verb::Update, &what, UNMARKED, Action::MarkPool);
    }
    let mut reasons = Vec::new();
    if pool.name != *name {
        reasons.push(renamed(name, &pool.name));
    }
    for (field, want, have) in [
        ("cpu", &wanted.pool.cpu, &config.cpu),
        ("memory", &wanted.pool.memory, &config.memory),
    ] {
        if want != have {
            reasons.push(format!("{field}: want {}, have {}", limits(want), limits(have)));
        }
    }
    if !reasons.is_empty() {
        let action = Action::UpdatePool {
            name: pool.name != *name,
            limits: *config != wanted.pool,
        };
        steps.push(Verb::Update, what, reasons.join("; "), action);
    }
}

fn limits(allocation: &vsphere::Allocation) -> String {
    format!(
        "limit {} reservation {} shares {:?}",
        allocation.limit, allocation.reservation, allocation.shares
    )
}

fn plan_folder(wanted: &Wanted, state: &State, steps: &mut Steps) {
    let name = &wanted.endpoint.name;
    let what = format!("folder {name}");
    let Some(folder) = &state.folder else {
        steps.push(Verb::Create, &what, ABSENT, Action::CreateFolder);
        steps.push(Verb::Update, &what, UNMARKED, Action::MarkFolder);
        steps.push(
            Verb::Update,
            &what,
            "its name carries an id until it has its mark",
            Action::RenameFolder,
        );
        return;
    };
    if !folder.marked {
        steps.push(Verb::Update, &what, UNMARKED, Action::MarkFolder);
    }
    if folder.name != *name {
        steps.push(
            Verb::Update,
            what,
            renamed(name, &folder.name),
            Action::RenameFolder,
        );
    }
}

fn plan_birth(wanted: &Wanted, steps: &mut Steps) {
    let what = format!("endpoint VM {}", wanted.endpoint.name);
    steps.push(Verb::Create, &what, ABSENT, Action::CreateVm);
    plan_directories(wanted, &VchConfig::default(), steps);
    plan_protection(&what, steps);
    steps.push(
        Verb::Update,
        &what,
        "it is told its own reference",
        Action::ConfigureVm,
    );
    steps.push(Verb::Update, what, "power: want on, have off", Action::PowerOn);
}

/// Whether a VM is protected cannot be seen while it is on: whenever it is changed, it is protected again.
fn plan_protection(what: &str, steps: &mut Steps) {
    steps.push(
        Verb::Update,
        what,
        "it is not to be destroyed by hand",
        Action::ProtectVm,
    );
}

/// Directories of volume stores that the VM was not yet told of.
fn plan_directories(wanted: &Wanted, observed: &VchConfig, steps: &mut Steps) {
    for volume in &wanted.endpoint.volumes {
        // An NFS export is there already, or nothing that vCenter can make.
        let Some(directory) = volume.directory() else {
            continue;
        };
        let path = directory.to_string();
        if observed
            .storage
            .volume_locations
            .get(&volume.name)
            .is_none_or(|known| known.path != path)
        {
            steps.push(
                Verb::Create,
                format!("volume store {}", volume.name),
                format!("{path}, unless it is there"),
                Action::MakeDirectory(directory.clone()),
            );
        }
    }
}

fn plan_vm(
    wanted: &Wanted,
    state: &State,
    vm: &Vm,
    bundle: Option<&Bundle>,
    steps: &mut Steps,
) -> Result<(), Failure> {
    let what = format!("endpoint VM {}", wanted.endpoint.name);
    let boot = recall(wanted, vm);
    let reasons = differences(wanted, state, vm, boot.as_ref(), bundle)?;
    let on = vm.power == PowerState::On;
    if on && reasons.is_empty() {
        if vm.name != wanted.endpoint.name {
            steps.push(
                Verb::Update,
                what,
                renamed(&wanted.endpoint.name, &vm.name),
                Action::RenameVm,
            );
        }
        return Ok(());
    }
    let half_made = vm
        .extra_config
        .get(guestinfo::VCH_ID_KEY)
        .is_some_and(|id| id == guestinfo::CREATING);
    let observed = if half_made {
        VchConfig::default()
    } else {
        decode(&vm.extra_config).unwrap_or_default()
    };
    plan_directories(wanted, &observed, steps);
    if on {
        steps.push(
            Verb::Update,
            &what,
            "power: off, to change what is read at boot",
            Action::PowerOff,
        );
    }
    plan_protection(&what, steps);
    // What the guest wrote when it last ran is cleared even if nothing else differs: else its old marks
    // would pass for those of the next start.
    let reason = if reasons.is_empty() {
        "what its last start left is cleared".to_owned()
    } else {
        reasons.join("; ")
    };
    steps.push(Verb::Update, &what, reason, Action::ConfigureVm);
    steps.push(Verb::Update, what, "power: want on, have off", Action::PowerOn);
    Ok(())
}

/// The images that a VM boots, if they are those that are wanted.
pub(super) fn recall(wanted: &Wanted, vm: &Vm) -> Option<BootImages> {
    let bootstrap = vm.extra_config.get(BOOTSTRAP_KEY)?;
    let found = images::recall(vm.cdrom.as_deref()?, bootstrap, &wanted.release)?;
    let lies_here = |image: &images::StoredImage| image.path.parent().as_ref() == Some(&wanted.images);
    (lies_here(&found.appliance) && lies_here(&found.bootstrap)).then_some(found)
}

/// All that is amiss with a VM, but its name and its power.
fn differences(
    wanted: &Wanted,
    state: &State,
    vm: &Vm,
    boot: Option<&BootImages>,
    bundle: Option<&Bundle>,
) -> Result<Vec<String>, Failure> {
    let Some(boot) = boot else {
        return Ok(vec![format!(
            "it does not boot the images of {}",
            wanted.release.version
        )]);
    };
    let mut reasons = hardware::differences(&wanted.endpoint, boot, vm);
    let Some((pool, _)) = &state.pool else {
        reasons.push("its pool is made anew".to_owned());
        return Ok(reasons);
    };
    let id = vm.moref.to_string();
    let directory = hardware::directory(vm);
    let place = VmPlace {
        id: &id,
        pool: &pool.moref,
        directory: directory.as_ref().map(|directory| directory.path.as_str()),
    };
    let unknown = ServerKeys {
        certificate: "",
        key: "",
        clients: None,
    };
    let keys = match bundle {
        Some(bundle) => wanted.server_keys(bundle),
        None => (wanted.tls.mode != TlsMode::Disabled).then_some(unknown),
    };
    let mut config = config(&wanted.endpoint, &place, boot, keys);
    if bundle.is_none() {
        config.cert = decode(&vm.extra_config)
            .map(|observed| observed.cert)
            .unwrap_or_default();
        forget_sealed(&mut config);
    }
    let mut differing = differing_keys(&vm.extra_config, config).map_err(ApplyError::Configuration)?;
    if let Some(bundle) = bundle {
        let known = |key: &str, value: &str| vm.extra_config.get(key).is_some_and(|known| known == value);
        if !known(SECRETS_KEY, &secrets(wanted, bundle)) {
            differing.push(SECRETS_KEY.to_owned());
        }
    }
    if !differing.is_empty() {
        let named: Vec<&str> = differing.iter().take(NAMED_KEYS).map(String::as_str).collect();
        let more = differing.len().saturating_sub(NAMED_KEYS);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        reasons.push(format!("configuration: {}{more}", named.join(", ")));
    }
    Ok(reasons)
}

/// A sealed key that could not be opened cannot be encoded either; any other stands for it, since sealed
/// values are not compared.
fn forget_sealed(config: &mut VchConfig) {
    if let Some(certificate) = &mut config.cert.host_certificate
        && certificate.key.known().is_none()
    {
        certificate.key = guestinfo::extraconfig::Bytes::from("sealed").into();
    }
}

/// What tells whether the VM has the secrets that it should have.
pub(super) fn secrets(wanted: &Wanted, bundle: &Bundle) -> String {
    let login = &wanted.endpoint.login;
    bundle.fingerprint(&[&login.username, &login.password])
}

/// The keys of ours beside VIC's configuration.
pub(super) fn own_keys(wanted: &Wanted, bundle: &Bundle) -> Map {
    Map::from([
        (OWNER_KEY.to_owned(), wanted.owner.mark()),
        (SECRETS_KEY.to_owned(), secrets(wanted, bundle)),
    ])
}

mod restart;

pub(super) use restart::{Parts, Restart, parts};

#[cfg(test)]
pub(super) mod tests;
