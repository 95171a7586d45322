//! Protocol numbers: named where we know a name, kept where we do not.

/// Defines a newtype over a protocol number with named constants. Unknown values survive and print in hex or decimal.
///
/// ```ignore
/// wire_enum! {
///     /// ISAKMP exchange types (RFC 2408 section 3.1).
///     pub struct ExchangeType(u8) {
///         /// Identity Protection, that is Main Mode.
///         IDENTITY_PROTECTION = 2,
///     }
/// }
/// ```
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub struct $name:ident($repr:ty) { $($(#[$vmeta:meta])* $variant:ident = $value:expr,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $repr);

        #[allow(missing_docs)]
        impl $name {
            $($(#[$vmeta])* pub const $variant: Self = Self($value);)*

            /// The name of the number, if it has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($variant)),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!(stringify!($name), "({})"), self.0),
                }
            }
        }
    };
}
pub(crate) use wire_enum;
