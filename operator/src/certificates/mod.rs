//! Certificates of a VCH: an authority of its own, the server's and the client's.
//!
//! They lie in a Secret in the operator's namespace, with all keys. They are made once, before anything is
//! given them, and found again; a new server's certificate is made when its names change, new ones of all
//! three when one of them has expired.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::RngCore;
use sha2::{Digest, Sha256};

mod issue;
mod read;
mod secret;

pub use secret::{MANAGED_LABEL, OWNER_ANNOTATION, ensure, is_owned, remove, secret_name};

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// They could not be made.
    #[error("they could not be made: {0}")]
    Issue(#[from] rcgen::Error),
    /// What is stored cannot be read.
    #[error("the stored {0} cannot be read")]
    Unreadable(&'static str),
    /// The work was broken off.
    #[error("making them was broken off")]
    Interrupted,
    /// The Secret could not be read or written.
    #[error("the kube-apiserver refused: {0}")]
    Kube(#[from] kube::Error),
    /// A Secret of that name belongs to someone else.
    #[error("Secret {0} in the operator's namespace exists and is not this object's")]
    Foreign(String),
}

/// What certificates are wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The organization in every subject: the VCH's name.
    pub organization: String,
    /// The server's DNS name, `*.` in front allowed.
    pub common_name: Option<String>,
    /// The server's fixed address.
    pub address: Option<Ipv4Addr>,
    /// How long they hold.
    pub validity: Duration,
}

impl Wanted {
    /// The names a client may reach the server by, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.common_name.iter().cloned().collect();
        names.extend(self.address.map(|address| address.to_string()));
        if names.is_empty() {
            names.push(self.organization.clone());
        }
        names.sort();
        names
    }
}

/// A certificate and its key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// All of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The authority.
    pub authority: Pair,
    /// The server's.
    pub server: Pair,
    /// The client's.
    pub client: Pair,
    /// Random text that makes fingerprints of secrets useless to those who see them.
    pub salt: String,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bundle(***)")
    }
}

/// The keys of the Secret.
const FIELDS: [&str; 7] = [
    "ca.pem",
    "ca-key.pem",
    "server-cert.pem",
    "server-key.pem",
    "cert.pem",
    "key.pem",
    "salt",
];

impl Bundle {
    /// New certificates, all of them.
    ///
    /// # Errors
    /// Where no key or certificate can be made.
    pub fn make(wanted: &Wanted, now: SystemTime) -> Result<Self, CertificateError> {
        let mut salt = [0; 24];
        rand::rng().fill_bytes(&mut salt);
        let authority = issue::authority(wanted, now)?;
        Ok(Self {
            server: issue::server(&authority, wanted, now)?,
            client: issue::client(&authority, wanted, now)?,
            authority,
            salt: BASE64.encode(salt),
        })
    }

    /// The same certificates where they fit what is wanted; else new ones, of the same authority if that
    /// still holds.
    ///
    /// # Errors
    /// Where no key or certificate can be made.
    pub fn renewed(&self, wanted: &Wanted, now: SystemTime) -> Result<Self, CertificateError> {
        let holds = |pair: &Pair| read::expiry(&pair.certificate).is_some_and(|expiry| expiry > now);
        if !holds(&self.authority) || !holds(&self.client) || !holds(&self.server) {
            return Ok(Self {
                salt: self.salt.clone(),
                ..Self::make(wanted, now)?
            });
        }
        if read::names(&self.server.certificate).as_ref() == Some(&wanted.names()) {
            return Ok(self.clone());
        }
        Ok(Self {
            server: issue::server(&self.authority, wanted, now)?,
            ..self.clone()
        })
    }

    /// When the server's certificate expires.
    #[must_use]
    pub fn server_expires(&self) -> Option<SystemTime> {
        read::expiry(&self.server.certificate)
    }

    /// Changes with any secret that an endpoint VM is given, and tells nothing about it.
    #[must_use]
    pub fn fingerprint(&self, secrets: &[&str]) -> String {
        let mut digest = Sha256::new();
        for text in secrets
            .iter()
            .chain([&self.server.certificate.as_str(), &self.salt.as_str()])
        {
            digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(text);
        }
        BASE64.encode(digest.finalize())
    }

    fn to_fields(&self) -> BTreeMap<String, String> {
        let values = [
            &self.authority.certificate,
            &self.authority.key,
            &self.server.certificate,
            &self.server.key,
            &self.client.certificate,
            &self.client.key,
            &self.salt,
        ];
        FIELDS
            .iter()
            .zip(values)
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    fn from_fields(field: impl Fn(&'static str) -> Option<String>) -> Option<Self> {
        let pair = |certificate, key| {
            Some(Pair {
                certificate: field(certificate)?,
                key: field(key)?,
            })
        };
        Some(Self {
            authority: pair("ca.pem", "ca-key.pem")?,
            server: pair("server-cert.pem", "server-key.pem")?,
            client: pair("cert.pem", "key.pem")?,
            salt: field("salt")?,
        })
    }
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
