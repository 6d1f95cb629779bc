//! Writing to and reading from a map, with sealing and the empty-text mark.

use std::collections::BTreeSet;

use super::{Key, SECRET_KEY, Scope, SecretKey, Value};
use crate::{Error, Map};

/// An empty text on the wire. A really empty one deletes the key.
pub const NIL: &str = "<nil>";

/// Collects encoded values.
#[derive(Debug)]
pub struct Encoder<'k> {
    secret_key: &'k SecretKey,
    map: Map,
    folded: BTreeSet<String>,
}

impl<'k> Encoder<'k> {
    /// An empty map, but for the key that its secrets are sealed with.
    #[must_use]
    pub fn new(secret_key: &'k SecretKey) -> Self {
        let map = Map::from([(SECRET_KEY.to_owned(), secret_key.to_text())]);
        Self {
            secret_key,
            map,
            folded: BTreeSet::new(),
        }
    }

    /// Stores an encoded text, sealed if the key says so.
    ///
    /// # Errors
    /// [`Error::Clash`] if the key is taken, [`Error::NilText`] if the text is the mark for empty.
    pub fn put(&mut self, key: &Key, text: &str) -> Result<(), Error> {
        let name = key.to_string();
        // Sealing comes before the mark for empty: the guest opens what it reads as it is.
        let value = match text {
            _ if key.is_secret() => self.secret_key.seal(text)?,
            "" => NIL.to_owned(),
            NIL => return Err(Error::NilText { key: name }),
            _ => text.to_owned(),
        };
        if !self.folded.insert(name.to_lowercase()) {
            return Err(Error::Clash { key: name });
        }
        self.map.insert(name, value);
        Ok(())
    }

    /// Encodes a record's field below `parent`; `scope` is `None` for a field without a scope tag.
    ///
    /// # Errors
    /// What the field's own encoding refuses.
    pub fn field<T: Value>(
        &mut self,
        parent: &Key,
        name: &str,
        scope: Option<Scope>,
        value: &T,
    ) -> Result<(), Error> {
        parent
            .child(name, scope)
            .map_or(Ok(()), |key| value.encode(&key, self))
    }

    /// All that was stored.
    #[must_use]
    pub fn finish(self) -> Map {
        self.map
    }
}

/// Reads values from a map and remembers which keys it knew.
#[derive(Debug)]
pub struct Decoder<'m> {
    map: &'m Map,
    secret_key: Option<SecretKey>,
    known: BTreeSet<String>,
    tolerant: bool,
}

impl<'m> Decoder<'m> {
    /// Reads a map; secrets are opened if the map has its [`SECRET_KEY`].
    ///
    /// # Errors
    /// [`Error::SecretKey`] if that key is malformed.
    pub fn new(map: &'m Map) -> Result<Self, Error> {
        let secret_key = match map.get(SECRET_KEY).map(String::as_str) {
            None | Some("" | NIL) => None,
            Some(text) => Some(SecretKey::parse(text)?),
        };
        Ok(Self {
            map,
            secret_key,
            known: BTreeSet::new(),
            tolerant: false,
        })
    }

    /// Reads a map for the sake of [`known`](Self::known) only: secrets stay closed and what is malformed
    /// counts as absent.
    #[must_use]
    pub fn tolerant(map: &'m Map) -> Self {
        Self {
            map,
            secret_key: None,
            known: BTreeSet::new(),
            tolerant: true,
        }
    }

    /// The keys of the map that were asked for so far; all others are foreign.
    #[must_use]
    pub fn known(self) -> BTreeSet<String> {
        self.known
    }

    /// How many keys the whole map has: no list can be longer.
    #[must_use]
    pub fn size(&self) -> usize {
        self.map.len()
    }

    /// The error, unless this decoder is tolerant.
    ///
    /// # Errors
    /// The error given.
    pub fn refuse(&self, error: Error) -> Result<(), Error> {
        if self.tolerant { Ok(()) } else { Err(error) }
    }

    /// The opened text under a key. `None`: there is none, or it is sealed and there is no key for it.
    ///
    /// # Errors
    /// [`Error::Open`] if a secret does not open.
    pub fn get(&mut self, key: &Key) -> Result<Option<String>, Error> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        match (key.is_secret(), &self.secret_key) {
            (true, None) => Ok(None),
            (true, Some(secret_key)) => {
                let plain = secret_key
                    .open(raw)
                    .map_err(|_| Error::Open { key: key.to_string() })?;
                Ok(Some(plain))
            }
            (false, _) if raw == NIL => Ok(Some(String::new())),
            (false, _) => Ok(Some(raw.to_owned())),
        }
    }

    /// The text under a key, turned into a value by `parse`; `expected` says what it should be.
    ///
    /// # Errors
    /// [`Error::Value`] if `parse` yields nothing, [`Error::Open`] if a secret does not open.
    pub fn parse<T>(
        &mut self,
        key: &Key,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.get(key)? else {
            return Ok(None);
        };
        let value = parse(&text);
        if value.is_none() {
            let value = if key.is_secret() { "***".to_owned() } else { text };
            self.refuse(Error::Value {
                key: key.to_string(),
                value,
                expected,
            })?;
        }
        Ok(value)
    }

    /// Whether there is a sealed value here that cannot be opened for want of a key.
    pub fn is_sealed(&mut self, key: &Key) -> bool {
        key.is_secret() && self.secret_key.is_none() && self.raw(key).is_some()
    }

    /// Decodes a record's field below `parent` and tells in `found` if anything was there.
    ///
    /// # Errors
    /// What the field's own decoding refuses.
    pub fn field<T: Value + Default>(
        &mut self,
        parent: &Key,
        name: &str,
        scope: Option<Scope>,
        found: &mut bool,
    ) -> Result<T, Error> {
        let Some(key) = parent.child(name, scope) else {
            return Ok(T::default());
        };
        let value = T::decode(&key, self)?;
        *found |= value.is_some();
        Ok(value.unwrap_or_default())
    }

    fn raw(&mut self, key: &Key) -> Option<&'m str> {
        let name = key.to_string();
        let raw = self.map.get(&name)?;
        self.known.insert(name);
        // vSphere never shows an empty value: to write one deletes the key.
        Some(raw.as_str()).filter(|raw| !raw.is_empty())
    }
}
