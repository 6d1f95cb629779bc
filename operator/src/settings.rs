//! What an operator process is told at its start.

use std::net::SocketAddr;
use std::time::Duration;

/// Settings of one process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace, where Secrets and ConfigMaps of Sites lie.
    pub namespace: String,
    /// Who this operator is towards vSphere and NSX; two of them never touch each other's objects.
    pub instance: String,
    /// Who this process is towards other replicas: the holder of Leases.
    pub identity: String,
    /// Period of the read that shows what others changed in NSX.
    pub nsx_resync: Duration,
    /// Where metrics and health are served.
    pub metrics_address: SocketAddr,
}

/// How long something may stand in the way before a status write tells of it.
pub const QUIET: Duration = Duration::from_secs(2);
/// How long one reconcile may take before it is abandoned and begun anew; images are large.
pub const RECONCILE_TIMEOUT: Duration = Duration::from_mins(30);
/// Reconciles of one kind that run at once.
pub const CONCURRENCY: u16 = 512;
/// Writes to the kube-apiserver that are under way at once.
pub const KUBE_WRITES: usize = 16;
/// The field manager of everything this operator writes.
pub const FIELD_MANAGER: &str = "vic-operator";
