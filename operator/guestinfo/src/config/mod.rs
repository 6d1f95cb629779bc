//! The configuration of a VCH: VIC's `VirtualContainerHostConfigSpec`, each field declared once.
//!
//! What `vic-machine` 1.5.8 never writes for a VCH (contacts, user certificates, execs, mounts, ports,
//! annotations, blacklists) is not modelled; such keys are foreign, hence ignored and left alone.

mod executor;
mod network;
mod services;
mod session;

pub use executor::{
    CREATING, Common, Diagnostics, Executor, ExecutorCommon, ExitLog, PLUGIN_VERSION, Syslog, Version,
};
pub use network::{
    AssignedNetwork, Network, NetworkEndpoint, Role, TYPE_BRIDGE, TYPE_EXTERNAL, TrustLevel, pci_slot,
};
pub use services::{
    Certificates, Connection, ContainerNetworking, Containers, HostCertificate, MorefValue, Registries,
    Storage, Url,
};
pub use session::{
    Command, DOCKER_PERSONALITY, DOCKER_PORT_PLAIN, DOCKER_PORT_TLS, Detail, PORT_LAYER, Placement, Proxy,
    Session, VICADMIN,
};

use std::net::IpAddr;

use crate::extraconfig::READ_ONLY;

/// The key under which a VM carries its moref (or [`CREATING`]) if it is a VCH.
pub const VCH_ID_KEY: &str = "guestinfo.vice./init/common/id";

/// The bare key (`true`/`false`) with which `vic-machine` marks a VCH it is reconfiguring or upgrading.
pub const UPDATE_IN_PROGRESS_KEY: &str = "UpdateInProgress";

crate::record! {
    /// All that a VCH's endpoint VM is told, and what its guest told back.
    pub struct VchConfig {
        /// The appliance itself: who it is, its networks and its processes.
        #[key("init", READ_ONLY)]
        pub init: Executor,
        /// How the services inside log in to vCenter.
        #[key("connect", READ_ONLY)]
        pub connect: Connection,
        /// Certificates of the Docker endpoint. Empty without TLS.
        #[key("cert", READ_ONLY)]
        pub cert: Certificates,
        /// Image and volume stores.
        #[key("storage", READ_ONLY)]
        pub storage: Storage,
        /// Networks that containers may join.
        #[key("network", READ_ONLY)]
        pub network: ContainerNetworking,
        /// How container VMs are made.
        #[key("container", READ_ONLY)]
        pub container: Containers,
        /// Registries that images are pulled from.
        #[key("registry", READ_ONLY)]
        pub registry: Registries,
        /// Whether `vic-machine` made the bridge network (standalone ESXi only).
        #[key("create_bridge_network", READ_ONLY)]
        pub create_bridge_network: bool,
        /// `ADD` if the operations user's permissions were granted by the creator, else empty.
        #[key("grant_permissions", READ_ONLY)]
        pub grant_permissions: String,
        /// The options of `vic-machine create`, without user, passwords and certificate files.
        #[key("vic_machine_create_options", READ_ONLY)]
        pub vic_machine_create_options: Vec<String>,
    }
}

impl VchConfig {
    /// The endpoint of a role, if it is configured.
    #[must_use]
    pub fn endpoint(&self, role: Role) -> Option<&NetworkEndpoint> {
        self.init.networks.get(role.as_str())
    }

    /// The address that the guest reports for a role (`init.networks|<role>.assigned.IP`).
    #[must_use]
    pub fn assigned_address(&self, role: Role) -> Option<IpAddr> {
        self.endpoint(role)?.assigned.address()
    }

    /// The process of a name, if it is configured.
    #[must_use]
    pub fn session(&self, name: &str) -> Option<&Session> {
        self.init.sessions.get(name)
    }

    /// Takes over what the guest wrote into `observed`, for the endpoints and sessions that exist in both:
    /// to compare a wanted configuration with what is there, or to change it without a restart. Without
    /// this, writing a freshly built configuration clears the guest's marks, as a restart needs.
    pub fn keep_guest_state(&mut self, observed: &Self) {
        self.init.create_time = observed.init.create_time;
        self.init.diagnostics.keep_guest_state(&observed.init.diagnostics);
        for (name, endpoint) in &mut self.init.networks {
            if let Some(observed) = observed.init.networks.get(name) {
                endpoint.assigned = observed.assigned;
                endpoint.network.assigned = observed.network.assigned.clone();
            }
        }
        for (name, session) in &mut self.init.sessions {
            if let Some(observed) = observed.init.sessions.get(name) {
                session.keep_guest_state(observed);
            }
        }
    }
}
