//! What a virtual container host (VCH) of vSphere Integrated Containers carries in its endpoint VM's
//! extraConfig: the typed configuration, and VIC's encoding of it in both directions.
//!
//! ```
//! use guestinfo::{NetworkEndpoint, Role, SecretKey, VchConfig, decode, encode};
//!
//! let mut config = VchConfig::default();
//! config.init.common.name = "vch1".to_owned();
//! config.init.add_network(NetworkEndpoint::dhcp(Role::Public, "Network:network-7"));
//! config.connect.token = "password".to_owned().into();
//!
//! let map = encode(&config, &SecretKey::generate()?)?;
//! assert_eq!(map["guestinfo.vice./init/networks"], "public");
//! assert_eq!(map["init/common/name"], "vch1");
//! assert_eq!(decode(&map)?, config);
//! # Ok::<(), guestinfo::Error>(())
//! ```
//!
//! The crate has no I/O; all it takes from the system is randomness for secrets.

mod config;
mod container;
mod error;
pub mod extraconfig;
mod net;

use std::collections::{BTreeMap, BTreeSet};

pub use config::*;
pub use container::Container;
pub use error::Error;
use extraconfig::{Decoder, Encoder, Key, SECRET_KEY, Value as _};
pub use extraconfig::{Secret, SecretKey};
pub use net::{Ip, IpRange, Mask, NetAddress};

/// extraConfig as keys and texts.
pub type Map = BTreeMap<String, String>;

/// All of a configuration as extraConfig, its secrets sealed with `secret_key`, which goes along as
/// `guestinfo.ovfEnv`. Empty texts are written `<nil>`.
///
/// # Errors
/// What VIC's format cannot carry ([`Error::Separator`], [`Error::NilText`], [`Error::EntryName`],
/// [`Error::Clash`]), a secret that was never opened ([`Error::Unopened`]), or no randomness.
pub fn encode(config: &VchConfig, secret_key: &SecretKey) -> Result<Map, Error> {
    let mut to = Encoder::new(secret_key);
    config.encode(&Key::root(), &mut to)?;
    Ok(to.finish())
}

/// The configuration that a VM's extraConfig holds. Foreign keys are ignored; what is absent has its
/// default. Secrets are opened if the map has `guestinfo.ovfEnv`, which vSphere's API hides; otherwise they
/// are [`Secret::Unopened`].
///
/// # Errors
/// A malformed value, list or secret key.
pub fn decode(map: &Map) -> Result<VchConfig, Error> {
    let config = VchConfig::decode(&Key::root(), &mut Decoder::new(map)?)?;
    Ok(config.unwrap_or_default())
}

/// What to write so that a VM with the extraConfig `current` has the configuration `new` (made by
/// [`encode`]): entries that are new or changed, and an empty value, which deletes, for those of the
/// configuration's keys that `new` lacks. Foreign keys are never touched; `current` may be malformed.
///
/// `vic-machine` writes unchanged entries as well, to the same end. Sealed values always count as changed,
/// so all secrets and their key are written together.
#[must_use]
pub fn delta(current: &Map, new: &Map) -> Vec<(String, String)> {
    let changed = new
        .iter()
        .filter(|(key, value)| current.get(*key) != Some(*value));
    let mut delta: Vec<_> = changed.map(|(key, value)| (key.clone(), value.clone())).collect();
    let gone = own_keys(current).into_iter().filter(|key| !new.contains_key(key));
    delta.extend(gone.map(|key| (key, String::new())));
    delta
}

/// [`delta`] without what differs only by the random sealing of secrets: the secret key, and sealed values
/// that are there in both maps. Empty means that nothing but a changed secret could be amiss.
#[must_use]
pub fn drift(current: &Map, new: &Map) -> Vec<(String, String)> {
    let sealed_in_both =
        |key: &str| extraconfig::is_secret(key) && current.contains_key(key) && new.contains_key(key);
    let mut drift = delta(current, new);
    drift.retain(|(key, _)| key != SECRET_KEY && !sealed_in_both(key));
    drift
}

/// The keys of a map that belong to the configuration.
fn own_keys(map: &Map) -> BTreeSet<String> {
    let mut from = Decoder::tolerant(map);
    // A tolerant decoder meets no errors; the value is not wanted, only which keys were looked at.
    let _ = VchConfig::decode(&Key::root(), &mut from);
    from.known()
}
