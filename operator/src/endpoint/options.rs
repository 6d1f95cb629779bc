//! What `vic-machine` has an option for and what nothing but the configuration shows.

use guestinfo::{Proxy, Syslog};

/// Size of a container's scratch disk in units of 1000 bytes: VIC's default of 8 GB.
const SCRATCH_SIZE: i64 = 8_000_000;

/// Options of a VCH, valid and in VIC's own units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether packets may come in another way than their answers go out.
    pub asymmetric_routing: bool,
    /// Where the guest sends its logs to.
    pub syslog: Option<Syslog>,
    /// Proxies of the Docker API server and the admin portal.
    pub proxy: Proxy,
    /// Size of a container's scratch disk, in units of 1000 bytes.
    pub scratch_size: i64,
    /// What images and containers may take up, in bytes; 0 is unlimited.
    pub quota: i64,
    /// How many containers may exist; 0 is unlimited.
    pub container_limit: i64,
    /// How container VMs are named; empty is VIC's default.
    pub name_convention: String,
    /// Registries without verified TLS.
    pub insecure_registries: Vec<String>,
    /// The only registries that are allowed; none, all are.
    pub allowed_registries: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            asymmetric_routing: false,
            syslog: None,
            proxy: Proxy::default(),
            scratch_size: SCRATCH_SIZE,
            quota: 0,
            container_limit: 0,
            name_convention: String::new(),
            insecure_registries: Vec::new(),
            allowed_registries: Vec::new(),
        }
    }
}
