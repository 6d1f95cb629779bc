//! Names of extraConfig keys: how a field's scope and its parent's key make its own key.

use std::fmt;

/// Prefix of every key that the guest can see.
pub const VISIBLE_PREFIX: &str = "guestinfo.vice.";

/// Whom a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Not visible in the guest.
    Hidden,
    /// The guest reads it, only vSphere changes it (slashed path).
    ReadOnly,
    /// The guest may change it (dotted path).
    ReadWrite,
}

/// The scope tag of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Whom the key is for.
    pub access: Access,
    /// Stored sealed, under a key that ends in `@secret`.
    pub secret: bool,
    /// Gone at power off; the key ends in `@non-persistent`. Never hidden.
    pub non_persistent: bool,
    /// Readers should not cache the value. Part of VIC's scopes, without effect on key or value.
    pub volatile: bool,
}

/// Not visible in the guest; also the meaning of an empty scope tag.
pub const HIDDEN: Scope = Scope::of(Access::Hidden);
/// Readable in the guest.
pub const READ_ONLY: Scope = Scope::of(Access::ReadOnly);
/// Readable and writable in the guest.
pub const READ_WRITE: Scope = Scope::of(Access::ReadWrite);
/// Readable in the guest and sealed.
pub const SECRET: Scope = Scope {
    secret: true,
    ..READ_ONLY
};

impl Scope {
    const fn of(access: Access) -> Self {
        Self {
            access,
            secret: false,
            non_persistent: false,
            volatile: false,
        }
    }

    /// The same scope for a value that vanishes at power off.
    #[must_use]
    pub const fn non_persistent(self) -> Self {
        Self {
            non_persistent: true,
            ..self
        }
    }

    /// The same scope for a value that readers should not cache.
    #[must_use]
    pub const fn volatile(self) -> Self {
        Self {
            volatile: true,
            ..self
        }
    }
}

/// An extraConfig key. Its [`Display`](fmt::Display) form is the text on the wire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key {
    /// Everything before the first `@`.
    base: String,
    secret: bool,
    non_persistent: bool,
}

impl Key {
    /// The key above all top-level fields.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The key of field `name`. A field without a scope tag (`None`) takes the scope that this key's text
    /// shows; one with a tag inherits nothing but non-persistence.
    ///
    /// `None`: the field is not stored, because nothing can be hidden and non-persistent at once.
    #[must_use]
    pub fn child(&self, name: &str, scope: Option<Scope>) -> Option<Self> {
        let scope = scope.unwrap_or_else(|| self.scope());
        let non_persistent = scope.non_persistent || self.non_persistent;
        let path = self.base.strip_prefix(VISIBLE_PREFIX);
        let joined = |separator: char| match self.base.as_str() {
            "" => name.to_owned(),
            _ => format!("{}{separator}{name}", path.unwrap_or(&self.base)),
        };
        let visible = |separator: char, other: char| {
            let joined = joined(separator).replace(other, &separator.to_string());
            // A visible parent's path already begins with the separator.
            let separator = if path.is_some() {
                String::new()
            } else {
                separator.to_string()
            };
            format!("{VISIBLE_PREFIX}{separator}{joined}")
        };
        let base = match scope.access {
            Access::Hidden if non_persistent => return None,
            // One character more than the prefix goes: the parent's leading separator.
            Access::Hidden if path.is_some() => joined('/').chars().skip(1).collect(),
            Access::Hidden => joined('/'),
            Access::ReadOnly => visible('/', '.'),
            Access::ReadWrite => visible('.', '/'),
        };
        Some(Self {
            base,
            secret: scope.secret,
            non_persistent,
        })
    }

    /// The key of a list element or map entry.
    #[must_use]
    pub fn entry(&self, name: impl fmt::Display) -> Self {
        Self {
            base: format!("{}|{name}", self.base),
            ..self.clone()
        }
    }

    /// The key that holds the joined elements of a list of texts or numbers.
    #[must_use]
    pub fn joined(&self) -> Self {
        Self {
            base: format!("{}~", self.base),
            ..self.clone()
        }
    }

    /// Whether the value under this key is sealed.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// What the text of the key says about its scope; what untagged children inherit.
    #[must_use]
    pub fn scope(&self) -> Scope {
        let access = match self.base.strip_prefix(VISIBLE_PREFIX) {
            None => Access::Hidden,
            Some(path) if path.contains('/') => Access::ReadOnly,
            Some(_) => Access::ReadWrite,
        };
        Scope {
            access,
            secret: self.secret,
            non_persistent: self.non_persistent,
            volatile: false,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)?;
        f.write_str(if self.secret { "@secret" } else { "" })?;
        f.write_str(if self.non_persistent {
            "@non-persistent"
        } else {
            ""
        })
    }
}

/// Whether the text of a key says that its value is sealed.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    key.split('@').skip(1).any(|suffix| suffix == "secret")
}
