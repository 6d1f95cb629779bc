//! Resource pools and folders.

use super::{Engine, returned};
use crate::error::Error;
use crate::moref::Moref;
use crate::objects::escape_name;
use crate::soap::Call;
use crate::spec::PoolConfig;

impl Engine {
    /// Makes a resource pool in another.
    ///
    /// # Errors
    /// [`Error::DuplicateName`] when the name is taken in the parent, or any other.
    pub async fn create_pool(&self, parent: &Moref, name: &str, config: &PoolConfig) -> Result<Moref, Error> {
        const METHOD: &str = "CreateResourcePool";
        let call = Call::write(METHOD, parent, |w| {
            w.value("name", escape_name(name));
            config.write(w, "spec");
        });
        let pool = returned(&self.call(&call).await?, METHOD)?;
        self.settle(&pool, |inventory| inventory.pools.contains_key(&pool))
            .await;
        Ok(pool)
    }

    /// Changes the name or the limits of a pool, or both in one call.
    ///
    /// # Errors
    /// [`Error::DuplicateName`] when the name is taken in the parent, or any other.
    pub async fn update_pool(
        &self,
        pool: &Moref,
        name: Option<&str>,
        config: Option<&PoolConfig>,
    ) -> Result<(), Error> {
        let call = Call::write("UpdateConfig", pool, |w| {
            w.optional("name", name.map(escape_name));
            if let Some(config) = config {
                config.write(w, "config");
            }
        });
        self.call(&call).await?;
        self.settle(pool, |inventory| {
            inventory.pools.get(pool).is_none_or(|pool| {
                name.is_none_or(|name| pool.name == name)
                    && config.is_none_or(|config| pool.config == *config)
            })
        })
        .await;
        Ok(())
    }

    /// Makes a folder in another.
    ///
    /// # Errors
    /// [`Error::DuplicateName`] when the name is taken in the parent, or any other.
    pub async fn create_folder(&self, parent: &Moref, name: &str) -> Result<Moref, Error> {
        const METHOD: &str = "CreateFolder";
        let call = Call::write(METHOD, parent, |w| w.value("name", escape_name(name)));
        let folder = returned(&self.call(&call).await?, METHOD)?;
        self.settle(&folder, |inventory| inventory.folders.contains_key(&folder))
            .await;
        Ok(folder)
    }
}
