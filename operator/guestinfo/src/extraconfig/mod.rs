//! VIC's generic encoding (its package `extraconfig`): typed values as flat keys and texts in the
//! extraConfig of a VM.
//!
//! Every field has a [`Scope`]; with the parent's [`Key`] it makes the field's key. Values are texts; empty
//! ones are written `<nil>` because vSphere deletes a key that is set to an empty value.

mod codec;
mod key;
mod record;
mod secret;
mod value;

pub use codec::{Decoder, Encoder, NIL};
pub use key::{Access, HIDDEN, Key, READ_ONLY, READ_WRITE, SECRET, Scope, VISIBLE_PREFIX, is_secret};
pub use secret::{SECRET_KEY, Secret, SecretKey};
pub use value::{Bytes, Scalar, Value};
pub(crate) use value::{get_bytes, put_bytes};
