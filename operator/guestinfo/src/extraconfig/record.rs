//! The one declaration of a record, from which struct, encoding and decoding are made.

/// Declares a struct whose fields live below one key. Each field names its key and its scope once; both
/// directions follow from that, so they cannot drift apart. Without a scope a field inherits what its
/// parent's key shows, as an untagged Go field does.
///
/// ```
/// use guestinfo::extraconfig::{READ_ONLY, READ_WRITE};
///
/// guestinfo::record! {
///     /// A process.
///     pub struct Process {
///         /// What to run.
///         #[key("path", READ_ONLY)]
///         pub path: String,
///         /// Set by the guest.
///         #[key("status", READ_WRITE)]
///         pub status: i64,
///         /// Read-only below a read-only parent.
///         #[key("Arguments")]
///         pub arguments: Vec<String>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! record {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:expr])*
                #[key($key:literal $(, $scope:expr)?)]
                $field_vis:vis $field:ident : $type:ty
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        $vis struct $name {
            $( $(#[doc = $doc])* $field_vis $field: $type, )*
        }

        impl $crate::extraconfig::Value for $name {
            fn encode(
                &self,
                key: &$crate::extraconfig::Key,
                to: &mut $crate::extraconfig::Encoder<'_>,
            ) -> Result<(), $crate::Error> {
                $( to.field(key, $key, $crate::record!(@scope $($scope)?), &self.$field)?; )*
                Ok(())
            }

            fn decode(
                key: &$crate::extraconfig::Key,
                from: &mut $crate::extraconfig::Decoder<'_>,
            ) -> Result<Option<Self>, $crate::Error> {
                let mut found = false;
                let record = Self {
                    $( $field: from.field(key, $key, $crate::record!(@scope $($scope)?), &mut found)?, )*
                };
                Ok(found.then_some(record))
            }

            fn missing(_: &$crate::extraconfig::Key) -> Result<Self, $crate::Error> {
                Ok(Self::default())
            }
        }
    };
    (@scope) => { None };
    (@scope $scope:expr) => { Some($scope) };
}
