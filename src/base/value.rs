//! Values with an encoding, declared once for both directions.

pub use super::codec::{DecodeError, Decoder, Encode};

/// A value with an encoding in the formats of `F`, such as the versions of a file. Not all values need to know which.
pub trait Value<F: Copy>: Sized {
    fn put(&self, out: &mut Vec<u8>, format: F);
    fn get(input: &mut Decoder<'_>, format: F) -> Result<Self, DecodeError>;

    /// Whether a format has this value. Where it has not, an optional one takes no bytes.
    fn is_in(_: F) -> bool {
        true
    }

    fn put_optional(value: Option<&Self>, out: &mut Vec<u8>, format: F) {
        if Self::is_in(format) {
            out.put_flag(value.is_some());
            value.into_iter().for_each(|value| value.put(out, format));
        }
    }

    fn get_optional(input: &mut Decoder<'_>, format: F) -> Result<Option<Self>, DecodeError> {
        (Self::is_in(format) && input.flag()?).then(|| Self::get(input, format)).transpose()
    }
}

impl<F: Copy, T: Value<F>> Value<F> for Option<T> {
    fn put(&self, out: &mut Vec<u8>, format: F) {
        T::put_optional(self.as_ref(), out, format);
    }

    fn get(input: &mut Decoder<'_>, format: F) -> Result<Self, DecodeError> {
        T::get_optional(input, format)
    }
}

/// Implements [`Value`] for a struct: it is encoded as these fields, in this order. Those after the `;` are not encoded.
macro_rules! record {
    ($type:ident { $($field:tt),+ $(; $($derived:tt)+)? } in $format:ident $(from $first:expr)?) => {
        const _: () = {
            use $crate::base::value::{DecodeError, Decoder, Value};

            impl Value<$format> for $type {
                fn put(&self, out: &mut Vec<u8>, format: $format) {
                    $(Value::put(&self.$field, out, format);)+
                }

                fn get(input: &mut Decoder<'_>, format: $format) -> Result<Self, DecodeError> {
                    Ok($type { $($field: Value::get(input, format)?,)+ $($($derived)+)? })
                }

                $(fn is_in(format: $format) -> bool {
                    format >= $first
                })?
            }
        };
    };
}
pub(crate) use record;

/// Implements [`Value`] for an enum: it is encoded as the byte of its variant, and then the fields of that in this order.
/// `_ = V`: the variant `V` is encoded as its item, without the byte.
macro_rules! variants {
    (
        $type:ident in $format:ident as $what:literal,
        $($byte:literal = $variant:ident $(($item:ident))? $({ $($field:ident),+ })?,)+
        $(_ = $inner:ident,)?
    ) => {
        const _: () = {
            use $crate::base::value::{DecodeError, Decoder, Encode, Value};

            impl Value<$format> for $type {
                fn put(&self, out: &mut Vec<u8>, format: $format) {
                    let _ = format;
                    match self {
                        $($type::$variant $(($item))? $({ $($field),+ })? => {
                            Encode::put_u8(out, $byte);
                            $(Value::put($item, out, format);)?
                            $($(Value::put($field, out, format);)+)?
                        })+
                        $($type::$inner(inner) => Value::put(inner, out, format),)?
                    }
                }

                fn get(input: &mut Decoder<'_>, format: $format) -> Result<Self, DecodeError> {
                    let (_before, _) = (input.0, format);
                    Ok(match input.u8()? {
                        $($byte => {
                            $(let $item = Value::get(input, format)?;)?
                            $type::$variant $(($item))? $({ $($field: Value::get(input, format)?),+ })?
                        })+
                        value => {
                            let other = Err(DecodeError::Unknown { what: $what, value: value.into() });
                            $(let other = other.or_else(|_: DecodeError| {
                                input.0 = _before;
                                Value::get(input, format).map($type::$inner)
                            });)?
                            return other;
                        }
                    })
                }
            }
        };
    };
}
pub(crate) use variants;

/// Implements [`Value`] for a type by how it is put and how it is got.
macro_rules! plain {
    ($format:ident, $type:ty, |$out:ident, $value:ident| $put:expr, |$input:ident| $get:expr) => {
        const _: () = {
            use $crate::base::value::{DecodeError, Decoder, Value};

            impl Value<$format> for $type {
                fn put(&self, $out: &mut Vec<u8>, _: $format) {
                    let $value = self;
                    $put;
                }

                fn get($input: &mut Decoder<'_>, _: $format) -> Result<Self, DecodeError> {
                    $get
                }
            }
        };
    };
}
pub(crate) use plain;
