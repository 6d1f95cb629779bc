//! The ownership mark of pools and folders: one custom attribute, defined for all types of objects.

use super::Engine;
use crate::error::Error;
use crate::moref::Moref;
use crate::soap::Call;

impl Engine {
    /// Marks a pool or folder; an empty mark clears it. Defines the attribute at the first use.
    ///
    /// # Errors
    /// [`Error::NoPermission`] where the attribute must be defined first and may not be, or any other.
    pub async fn set_mark(&self, object: &Moref, mark: &str) -> Result<(), Error> {
        let key = self.define_mark().await?;
        let manager = &self.inner.session.content().custom_fields;
        let call = Call::write("SetField", manager, |w| {
            w.moref("entity", object);
            w.value("key", key);
            w.value("value", mark);
        });
        self.call(&call).await?;
        let wanted = Some(mark).filter(|mark| !mark.is_empty());
        self.settle(object, |inventory| {
            let pool = inventory.pools.get(object).map(|pool| pool.mark.as_deref());
            let folder = inventory.folders.get(object).map(|folder| folder.mark.as_deref());
            pool.or(folder).is_none_or(|mark| mark == wanted)
        })
        .await;
        Ok(())
    }

    /// The key of the definition, which is made if nobody made it yet.
    async fn define_mark(&self) -> Result<i32, Error> {
        const METHOD: &str = "AddCustomFieldDef";
        let mirror = &self.inner.mirror;
        let _one_at_a_time = self.inner.defining.lock().await;
        if let Some(key) = mirror.mark_key() {
            return Ok(key);
        }
        let manager = &self.inner.session.content().custom_fields;
        let call = Call::write(METHOD, manager, |w| w.value("name", &self.inner.mark_field));
        match self.call(&call).await {
            Ok(response) => {
                let key = response.child("returnval").and_then(|field| field.value("key"));
                let key = key.ok_or_else(|| Error::Protocol {
                    method: METHOD.to_owned(),
                    reason: "it has no key".to_owned(),
                })?;
                mirror.set_mark_key(key);
                Ok(key)
            }
            // Somebody else was faster, and the mirror has not heard of it.
            Err(taken @ Error::DuplicateName { .. }) => {
                mirror.refresh(&self.inner.session, manager).await?;
                mirror.mark_key().ok_or(taken)
            }
            Err(error) => Err(error),
        }
    }
}
