//! Enums that stand for bytes in a format: each variant and its byte is written once.

/// Declares an enum with the byte of each variant, the array `ALL`, and the way back, `from_u8`.
macro_rules! byte_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $byte:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        $vis enum $name {
            $($(#[$doc])* $variant = $byte,)*
        }

        #[allow(dead_code, reason = "not every such enum needs all of it")]
        impl $name {
            $vis const ALL: [$name; [$($byte),*].len()] = [$($name::$variant),*];

            $vis const fn from_u8(byte: u8) -> Option<$name> {
                match byte {
                    $($byte => Some($name::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use byte_enum;
