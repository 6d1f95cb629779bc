//! What can be wrong with a configuration or with what a VM carries.

/// Why a configuration could not be written as, or read from, extraConfig. No variant ever carries a
/// secret's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Lists are joined with `|` and the encoding has no escape for it.
    #[error("{key}: {value:?} contains '|', which separates list elements and cannot be escaped")]
    Separator {
        /// The list's key.
        key: String,
        /// The element that was refused.
        value: String,
    },
    /// A text that every reader would take for the empty text.
    #[error("{key}: the text \"<nil>\" stands for an empty value and cannot be stored")]
    NilText {
        /// The key that was to be written.
        key: String,
    },
    /// A map key that the key syntax cannot carry: empty, or with `|` (separator) or `@` (suffix mark).
    #[error("{key}: {name:?} cannot name an entry: it must not be empty nor contain '|' or '@'")]
    EntryName {
        /// The map's key.
        key: String,
        /// The entry's name.
        name: String,
    },
    /// Two values would be stored under one key. The guest's RPC ignores the case of keys, so names that
    /// differ by case only clash as well.
    #[error("{key} would be written twice: keys may not differ by letter case or by '.' and '/' only")]
    Clash {
        /// The second of the two keys.
        key: String,
    },
    /// The secret was read from a map without its key, so there is nothing that could be sealed again.
    #[error("{key}: the secret was never opened and cannot be written; supply it anew")]
    Unopened {
        /// The secret's key.
        key: String,
    },
    /// A stored text is not of its field's type.
    #[error("{key}: {value:?} is not {expected}")]
    Value {
        /// The key that was read.
        key: String,
        /// The text found there (`***` for a secret).
        value: String,
        /// What the field holds, with its article.
        expected: &'static str,
    },
    /// A list's element is absent although the list's length says that it exists.
    #[error("{key}: the list element is missing")]
    Missing {
        /// The element's key.
        key: String,
    },
    /// `guestinfo.ovfEnv` (or a key's text) is not base64 of 32 bytes.
    #[error("the secret key is not the base64 text of 32 bytes")]
    SecretKey,
    /// A sealed value does not open: another key, or not a sealed value at all.
    #[error("{key}: the sealed value does not open with this secret key")]
    Open {
        /// The secret's key, `value` where only a text was given.
        key: String,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes for a secret key or nonce")]
    Entropy,
}
