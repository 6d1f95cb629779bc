//! Secrets: `NaCl` secretbox under a key that travels beside them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crypto_secretbox::aead::{Aead as _, KeyInit as _, OsRng, rand_core::RngCore as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};

use super::{Decoder, Encoder, Key, Value};
use crate::Error;

/// Where the secret key lies: vSphere hides this key from its API, the guest reads it.
pub const SECRET_KEY: &str = "guestinfo.ovfEnv";

const NONCE_BYTES: usize = 24;

/// The key that seals every `@secret` value of one VM. Make a fresh one for each full encode, as
/// `vic-machine` does: all secrets are then rewritten together.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// A fresh random key.
    ///
    /// # Errors
    /// [`Error::Entropy`] if the operating system has no randomness to give.
    pub fn generate() -> Result<Self, Error> {
        random().map(Self)
    }

    /// A given key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key from its base64 text, as found under [`SECRET_KEY`].
    ///
    /// # Errors
    /// [`Error::SecretKey`] if it is not base64 of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bytes = BASE64.decode(text).map_err(|_| Error::SecretKey)?;
        bytes.try_into().map(Self).map_err(|_| Error::SecretKey)
    }

    /// The base64 text to be written under [`SECRET_KEY`].
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE64.encode(self.0)
    }

    /// Seals a text: base64 of a fresh random nonce followed by the secretbox.
    ///
    /// # Errors
    /// [`Error::Entropy`] if there is no random nonce.
    pub fn seal(&self, plain: &str) -> Result<String, Error> {
        self.seal_with(random()?, plain)
    }

    fn seal_with(&self, nonce: [u8; NONCE_BYTES], plain: &str) -> Result<String, Error> {
        let cipher = XSalsa20Poly1305::new(&self.0.into());
        let sealed = cipher
            .encrypt(&Nonce::from(nonce), plain.as_bytes())
            .map_err(|_| Error::Entropy)?;
        Ok(BASE64.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what [`seal`](Self::seal) or VIC made.
    ///
    /// # Errors
    /// [`Error::Open`] if the text was not sealed with this key.
    pub fn open(&self, sealed: &str) -> Result<String, Error> {
        let refused = || Error::Open {
            key: "value".to_owned(),
        };
        let bytes = BASE64.decode(sealed).map_err(|_| refused())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(refused)?;
        let cipher = XSalsa20Poly1305::new(&self.0.into());
        let plain = cipher
            .decrypt(&Nonce::from(*nonce), sealed)
            .map_err(|_| refused())?;
        String::from_utf8(plain).map_err(|_| refused())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|_| Error::Entropy)?;
    Ok(bytes)
}

/// A value that is stored sealed, and never shows up in `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret<T> {
    /// The value itself.
    Known(T),
    /// There is one, but the map that was decoded had no `guestinfo.ovfEnv` (vSphere hides it). It cannot
    /// be encoded again: put the value in its place first.
    Unopened,
}

impl<T> Secret<T> {
    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unopened => None,
        }
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: Default> Default for Secret<T> {
    fn default() -> Self {
        Self::Known(T::default())
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "Known(***)",
            Self::Unopened => "Unopened",
        })
    }
}

impl<T: Value> Value for Secret<T> {
    fn encode(&self, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        match self {
            Self::Known(value) => value.encode(key, to),
            Self::Unopened => Err(Error::Unopened { key: key.to_string() }),
        }
    }

    fn decode(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Self>, Error> {
        if from.is_sealed(key) {
            return Ok(Some(Self::Unopened));
        }
        Ok(T::decode(key, from)?.map(Self::Known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_TEXT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const SEALED: &str = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXmiyvUci23Cri05zfReebpDlyNgtfJctd";

    fn counting<const N: usize>(first: u8) -> [u8; N] {
        std::array::from_fn(|i| first + u8::try_from(i).unwrap())
    }

    #[test]
    fn seals_and_opens_the_original_vector() {
        let key = SecretKey::from_bytes(counting(0));
        assert_eq!(key.to_text(), KEY_TEXT);
        assert_eq!(SecretKey::parse(KEY_TEXT).unwrap(), key);
        assert_eq!(key.seal_with(counting(0x40), "secretpw").unwrap(), SEALED);
        assert_eq!(key.open(SEALED).unwrap(), "secretpw");
    }

    #[test]
    fn every_seal_has_its_own_nonce() {
        let key = SecretKey::generate().unwrap();
        assert_ne!(key, SecretKey::generate().unwrap());
        let (a, b) = (key.seal("same").unwrap(), key.seal("same").unwrap());
        assert_ne!(a, b);
        assert_eq!(key.open(&a), key.open(&b));
    }

    #[test]
    fn refuses_what_it_did_not_seal() {
        let key = SecretKey::from_bytes(counting(0));
        for sealed in [
            "",
            "secretpw",
            "QEFC",
            &SEALED.replace('Q', "R"),
            &SEALED[..SEALED.len() - 4],
        ] {
            assert!(matches!(key.open(sealed), Err(Error::Open { .. })), "{sealed}");
        }
        assert!(matches!(
            SecretKey::from_bytes(counting(1)).open(SEALED),
            Err(Error::Open { .. })
        ));
        for text in ["", "AAEC", "not base64", &KEY_TEXT[4..]] {
            assert_eq!(SecretKey::parse(text), Err(Error::SecretKey), "{text}");
        }
    }

    #[test]
    fn never_shows_a_secret() {
        let key = SecretKey::parse(KEY_TEXT).unwrap();
        let shown = format!(
            "{key:?} {:?} {:?}",
            Secret::from("secretpw"),
            Secret::<String>::Unopened
        );
        assert_eq!(shown, "SecretKey(***) Known(***) Unopened");
    }
}
