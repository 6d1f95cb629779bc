//! What became of a VCH: where it is, whether its parts run, whether its Docker API answers.

use std::net::IpAddr;

use guestinfo::{
    DOCKER_PERSONALITY, DOCKER_PORT_PLAIN, DOCKER_PORT_TLS, PORT_LAYER, Role, VICADMIN, VchConfig, decode,
};
use k8s_openapi::jiff::Timestamp;
use vic_crds::{Component, Morefs, RoleAddresses, TlsMode, VirtualContainerHostStatus};
use vsphere::{PowerState, Vm};

use super::dereference::References;
use super::find::State;
use super::plan::recall;
use super::validate::Wanted;
use crate::certificates::Bundle;
use crate::conditions::{ConditionType, Summary, Truth};
use crate::controllers::common::{pin, pinned};
use crate::docker::{DockerEndpoint, DockerTls, dialled_name, socket};
use crate::endpoint::hardware;
use crate::failure::{ApplyError, Failure};
use crate::trust::Identity;

/// The pin under which the endpoint VM's directory is remembered, for the day when the VM is gone.
pub(super) const DIRECTORY_PIN: &str = "vmDirectory";
/// The pin under which directories of endpoint VMs that this one replaced are remembered: container images
/// in them may still be in use, so they go with the VCH.
pub(super) const FORMER_PIN: &str = "formerVmDirectories";
/// What separates them; no datastore path has it.
pub(super) const SEPARATOR: char = '|';
/// Port of the administration portal.
const ADMIN_PORT: u16 = 2378;
/// The processes that an endpoint VM runs.
const COMPONENTS: [&str; 3] = [DOCKER_PERSONALITY, PORT_LAYER, VICADMIN];

/// A VCH that is up: where its Docker API is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Up {
    pub(super) address: IpAddr,
    pub(super) port: u16,
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

/// Remembers what names led to, before anything is made there.
pub(super) fn pin_names(references: &References, details: &mut VirtualContainerHostStatus) {
    pin(
        &mut details.resolved,
        "resourcePool",
        &references.place.pool.moref.to_string(),
    );
    pin(
        &mut details.resolved,
        "datastore",
        &references.datastore.moref.to_string(),
    );
}

/// Describes what there is, and waits until all parts of the endpoint VM run.
pub(super) fn up(
    wanted: &Wanted,
    state: &State,
    bundle: Option<&Bundle>,
    details: &mut VirtualContainerHostStatus,
) -> Result<Up, Failure> {
    let booting = |text: &str| {
        Failure::Apply(ApplyError::Booting(format!(
            "endpoint VM {} {text}",
            wanted.endpoint.name
        )))
    };
    details.morefs = Some(Morefs {
        vm: state.vm.as_ref().map(|vm| vm.moref.to_string()),
        pool: state.pool.as_ref().map(|(pool, _)| pool.moref.to_string()),
        folder: state.folder.as_ref().map(|folder| folder.moref.to_string()),
    });
    details.containers = Some(format!("{} running", state.running));
    let Some(vm) = &state.vm else {
        return Err(booting("is being made"));
    };
    if let Some(directory) = hardware::directory(vm) {
        pin_directory(&directory.to_string(), details);
    }
    let tls = wanted.tls.mode != TlsMode::Disabled;
    let expires = bundle.filter(|_| tls).and_then(Bundle::server_expires);
    details.certificate_expires = expires
        .and_then(|time| Timestamp::try_from(time).ok())
        .map(|time| time.to_string());
    details.version = recall(wanted, vm).map(|boot| boot.appliance.publisher.version().to_lowercase());
    let observed = observed(wanted, vm).map_err(&booting)?;
    let components = components(&observed);
    if let Some(failed) = components
        .iter()
        .find(|component| !["Running", "Starting"].contains(&component.state.as_str()))
    {
        let error = ApplyError::ComponentFailed {
            component: failed.name.clone(),
            message: failed.state.clone(),
        };
        details.components = components;
        return Err(error.into());
    }
    if let Some(starting) = components.iter().find(|component| component.state == "Starting") {
        return Err(booting(&format!("starts {}", starting.name)));
    }
    let address = observed
        .assigned_address(Wanted::CLIENT)
        .ok_or_else(|| booting("has no address yet"))?;
    let up = Up {
        address,
        port: if tls { DOCKER_PORT_TLS } else { DOCKER_PORT_PLAIN },
    };
    describe(&observed, up, tls, details);
    details.components = components;
    Ok(up)
}

/// Remembers where the endpoint VM lies, and where the ones before it lay.
fn pin_directory(directory: &str, details: &mut VirtualContainerHostStatus) {
    let known = pinned(details.resolved.as_ref(), DIRECTORY_PIN).map(str::to_owned);
    if let Some(known) = known.filter(|known| known != directory) {
        let former = pinned(details.resolved.as_ref(), FORMER_PIN).unwrap_or_default();
        let mut all: Vec<&str> = former
            .split(SEPARATOR)
            .filter(|text| !text.is_empty() && *text != directory)
            .collect();
        all.push(&known);
        let all = all.join(&SEPARATOR.to_string());
        pin(&mut details.resolved, FORMER_PIN, &all);
    }
    pin(&mut details.resolved, DIRECTORY_PIN, directory);
}

/// What the guest says of itself.
fn observed(wanted: &Wanted, vm: &Vm) -> Result<VchConfig, &'static str> {
    if vm.power != PowerState::On {
        return Err("is not powered on");
    }
    let observed = decode(&vm.extra_config).map_err(|_| "is given its configuration again")?;
    match observed.assigned_address(Wanted::CLIENT) {
        None if wanted.endpoint.client.fixed.is_none() => Err("waits for an address from DHCP"),
        _ => Ok(observed),
    }
}

fn components(observed: &VchConfig) -> Vec<Component> {
    let state = |name: &str| match observed.session(name).map(|session| session.started.as_str()) {
        None | Some("") => "Starting".to_owned(),
        Some("true") => "Running".to_owned(),
        Some(error) => error.to_owned(),
    };
    COMPONENTS
        .iter()
        .map(|name| Component {
            name: (*name).to_owned(),
            state: state(name),
        })
        .collect()
}

fn describe(observed: &VchConfig, up: Up, tls: bool, details: &mut VirtualContainerHostStatus) {
    let address = |role: Role| observed.assigned_address(role).map(|address| address.to_string());
    details.addresses = Some(RoleAddresses {
        public: address(Role::Public),
        client: address(Role::Client),
        management: address(Role::Management),
    });
    details.docker_host = Some(format!("tcp://{}:{}", up.address, up.port));
    let scheme = if tls { "https" } else { "http" };
    details.admin_portal = Some(format!("{scheme}://{}:{ADMIN_PORT}", up.address));
}

/// Asks the Docker API, and concludes.
pub(super) async fn serving(wanted: &Wanted, up: &Up, bundle: Option<&Bundle>) -> Result<Summary, Failure> {
    let tls = bundle
        .filter(|_| wanted.tls.mode != TlsMode::Disabled)
        .map(|bundle| tls(wanted, bundle));
    if tls.is_none() && wanted.tls.mode != TlsMode::Disabled {
        return Ok(concluded(wanted, (Truth::Unknown, "NoCertificates")));
    }
    let endpoint = DockerEndpoint {
        address: socket(up.address, up.port),
        tls,
    };
    match endpoint.info().await {
        Ok(()) => Ok(concluded(wanted, (Truth::True, "Answers"))),
        Err(error) if wanted.docker_required => Err(ApplyError::DockerApi {
            url: endpoint.url(),
            message: error.to_string(),
        }
        .into()),
        Err(_) => Ok(concluded(wanted, (Truth::Unknown, "NoAnswer"))),
    }
}

fn tls<'a>(wanted: &Wanted, bundle: &'a Bundle) -> DockerTls<'a> {
    let certificates = &wanted.tls.certificates;
    let name = certificates
        .common_name
        .as_deref()
        .filter(|_| certificates.address.is_none());
    let identity = Identity {
        certificates: &bundle.client.certificate,
        key: &bundle.client.key,
    };
    DockerTls {
        name: name.map(dialled_name),
        authority: &bundle.authority.certificate,
        identity: (wanted.tls.mode == TlsMode::Verify).then_some(identity),
    }
}

fn concluded(wanted: &Wanted, (truth, reason): (Truth, &'static str)) -> Summary {
    Summary {
        extra: vec![(ConditionType::DockerApiReachable, truth, reason)],
        ..Summary::ready("Ready", format!("{} is up.", wanted.endpoint.name))
    }
}

#[cfg(test)]
mod tests;
