//! Destroy protection, as VIC gives it to all its VMs: vCenter refuses `Destroy_Task` to everybody until the same
//! source enables it again. The methods lie in vCenter's internal namespace, and no property tells of them while a
//! VM is on: what may be missing is simply done again.

use super::Engine;
use crate::error::Error;
use crate::moref::Moref;
use crate::soap::Call;

/// What is disabled.
const METHOD: &str = "Destroy_Task";
/// Who disabled it; VIC's port layer and `vic-machine` must be able to take it back.
const SOURCE: &str = "VIC";
/// What people are told who try.
const REASON: &str = "Managed by VIC Engine";

impl Engine {
    /// Keeps everybody from destroying a VM; one that is protected stays so.
    ///
    /// # Errors
    /// [`Error::NoPermission`] without the privilege `Global.DisableMethods`, or any other.
    pub async fn protect(&self, vm: &Moref) -> Result<(), Error> {
        let manager = &self.inner.session.content().authorization;
        let call = Call::internal("DisableMethods", manager, |w| {
            w.moref("entity", vm);
            w.element("method", |w| {
                w.value("method", METHOD);
                w.value("reasonId", REASON);
            });
            w.value("sourceId", SOURCE);
        });
        self.call(&call).await.map(|_| ())
    }

    /// Lets VMs be destroyed.
    ///
    /// # Errors
    /// [`Error::ManagedObjectNotFound`] if one of them is gone, [`Error::NoPermission`] without the privilege
    /// `Global.EnableMethods`, or any other; then none is changed.
    pub async fn unprotect(&self, vms: &[Moref]) -> Result<(), Error> {
        let manager = &self.inner.session.content().authorization;
        let call = Call::internal("EnableMethods", manager, |w| {
            vms.iter().for_each(|vm| w.moref("entity", vm));
            w.value("method", METHOD);
            w.value("sourceId", SOURCE);
        });
        self.call(&call).await.map(|_| ())
    }
}
