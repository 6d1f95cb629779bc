//! How values of each type become texts.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Decoder, Encoder, Key};
use crate::Error;

/// A value that is stored under a key, or below it. Records get this from [`record!`](crate::record).
pub trait Value: Sized {
    /// Stores the value.
    ///
    /// # Errors
    /// What cannot be written: see [`Error`].
    fn encode(&self, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error>;

    /// Reads the value; `None` if nothing of it is stored.
    ///
    /// # Errors
    /// What cannot be read: see [`Error`].
    fn decode(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Self>, Error>;

    /// Stores a list: elements at `|<i>`, the length less one at the key, nothing if empty.
    ///
    /// # Errors
    /// What an element refuses.
    fn encode_list(items: &[Self], key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        put_length(items.len(), key, to)?;
        items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| item.encode(&key.entry(i), to))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// A malformed length, or what an element refuses.
    fn decode_list(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Vec<Self>>, Error> {
        let Some(length) = get_length(key, from)? else {
            return Ok(None);
        };
        let mut items = Vec::with_capacity(length);
        for i in 0..length {
            let key = key.entry(i);
            match Self::decode(&key, from)?.map_or_else(|| Self::missing(&key), Ok) {
                Ok(item) => items.push(item),
                Err(error) => from.refuse(error)?,
            }
        }
        Ok(Some(items))
    }

    /// What stands for a list element or map entry of which nothing is stored.
    ///
    /// # Errors
    /// [`Error::Missing`] where the type has no empty value.
    fn missing(key: &Key) -> Result<Self, Error> {
        Err(Error::Missing { key: key.to_string() })
    }
}

/// A value that is one text. Lists of scalars are joined into one text.
pub trait Scalar: Sized {
    /// What it is, with its article, for messages.
    const EXPECTED: &'static str;
    /// The stored text.
    fn to_text(&self) -> String;
    /// The value of a stored text.
    fn from_text(text: &str) -> Option<Self>;
}

impl<T: Scalar> Value for T {
    fn encode(&self, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.put(key, &self.to_text())
    }

    fn decode(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Self>, Error> {
        from.parse(key, T::EXPECTED, T::from_text)
    }

    fn encode_list(items: &[Self], key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        if items.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = items.iter().map(T::to_text).collect();
        if let Some(value) = texts.iter().find(|text| text.contains('|')) {
            return Err(Error::Separator {
                key: key.to_string(),
                value: value.clone(),
            });
        }
        put_length(items.len(), key, to)?;
        to.put(&key.joined(), &texts.join("|"))
    }

    fn decode_list(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Vec<Self>>, Error> {
        let length = from.parse(key, LENGTH, last_index)?;
        let items = from.parse(&key.joined(), T::EXPECTED, |text| {
            text.split('|').map(T::from_text).collect::<Option<Vec<_>>>()
        })?;
        let (Some(length), Some(items)) = (length, items) else {
            return Ok(None);
        };
        if items.len() != length {
            let error = Error::Value {
                key: key.to_string(),
                value: (length - 1).to_string(),
                expected: LENGTH,
            };
            from.refuse(error)?;
        }
        Ok(Some(items))
    }
}

impl<T: Value> Value for Vec<T> {
    fn encode(&self, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        T::encode_list(self, key, to)
    }

    fn decode(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Self>, Error> {
        T::decode_list(key, from)
    }
}

impl<T: Value> Value for Option<T> {
    fn encode(&self, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        self.as_ref().map_or(Ok(()), |value| value.encode(key, to))
    }

    fn decode(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Self>, Error> {
        Ok(T::decode(key, from)?.map(Some))
    }
}

/// Entries at `|<name>`, the sorted names joined at the key, nothing if empty.
impl<T: Value> Value for BTreeMap<String, T> {
    fn encode(&self, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.keys().map(String::as_str).collect();
        names.iter().try_for_each(|name| check_name(key, name))?;
        to.put(key, &names.join("|"))?;
        self.iter()
            .try_for_each(|(name, value)| value.encode(&key.entry(name), to))
    }

    fn decode(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Self>, Error> {
        let Some(names) = from.get(key)?.filter(|names| !names.is_empty()) else {
            return Ok(None);
        };
        let mut entries = Self::new();
        for name in names.split('|') {
            if let Err(error) = check_name(key, name) {
                from.refuse(error)?;
                continue;
            }
            let entry = key.entry(name);
            match T::decode(&entry, from)?.map_or_else(|| T::missing(&entry), Ok) {
                Ok(value) => drop(entries.insert(name.to_owned(), value)),
                Err(error) => from.refuse(error)?,
            }
        }
        Ok(Some(entries))
    }
}

/// Bytes, stored as base64 with padding; nothing if empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Value for Bytes {
    fn encode(&self, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
        put_bytes(&self.0, key, to)
    }

    fn decode(key: &Key, from: &mut Decoder<'_>) -> Result<Option<Self>, Error> {
        Ok(get_bytes(key, from, "base64", Some)?.map(Self))
    }
}

/// Stores bytes, or nothing if there are none.
pub(crate) fn put_bytes(bytes: &[u8], key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
    if bytes.is_empty() {
        Ok(())
    } else {
        to.put(key, &BASE64.encode(bytes))
    }
}

/// Reads bytes and turns them into a value with `make`.
pub(crate) fn get_bytes<T>(
    key: &Key,
    from: &mut Decoder<'_>,
    expected: &'static str,
    make: impl FnOnce(Vec<u8>) -> Option<T>,
) -> Result<Option<T>, Error> {
    let value = from.parse(key, expected, |text| match text {
        "" => Some(None),
        _ => make(BASE64.decode(text).ok()?).map(Some),
    })?;
    Ok(value.flatten())
}

impl Scalar for String {
    const EXPECTED: &'static str = "a text";

    fn to_text(&self) -> String {
        self.clone()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Scalar for i64 {
    const EXPECTED: &'static str = "an integer";

    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Scalar for bool {
    const EXPECTED: &'static str = "true or false";

    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

const LENGTH: &str = "the index of the list's last element";

fn put_length(length: usize, key: &Key, to: &mut Encoder<'_>) -> Result<(), Error> {
    length
        .checked_sub(1)
        .map_or(Ok(()), |last| to.put(key, &last.to_string()))
}

/// The length of an indexed list. A length beyond the size of the map is a lie that would cost memory.
fn get_length(key: &Key, from: &mut Decoder<'_>) -> Result<Option<usize>, Error> {
    let size = from.size();
    from.parse(key, LENGTH, |text| {
        last_index(text).filter(|length| *length <= size)
    })
}

fn last_index(text: &str) -> Option<usize> {
    text.parse::<usize>().ok()?.checked_add(1)
}

fn check_name(key: &Key, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains(['|', '@']) {
        return Err(Error::EntryName {
            key: key.to_string(),
            name: name.to_owned(),
        });
    }
    Ok(())
}
