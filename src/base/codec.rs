//! The one byte codec: appends values to a buffer, and takes them back from the front of a slice.
//!
//! Two kinds of integer: LEB128 varints, where most values are small, and fixed big-endian ones. A reader never
//! trusts a length beyond the bytes that are there.

/// An invalid encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the bytes end too early")]
    Truncated,
    #[error("{0} more bytes than expected")]
    Trailing(usize),
    #[error("unknown {what} {value}")]
    Unknown { what: &'static str, value: u64 },
    #[error("a number is out of range")]
    Range,
    #[error("a text is not UTF-8")]
    Utf8,
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// Two records that must refer to each other do not.
    #[error("{0} and what it made do not match")]
    Unmatched(&'static str),
}

impl From<DecodeError> for std::io::Error {
    fn from(error: DecodeError) -> std::io::Error {
        let kind = match error {
            DecodeError::Truncated => std::io::ErrorKind::UnexpectedEof,
            _ => std::io::ErrorKind::InvalidData,
        };
        std::io::Error::new(kind, error)
    }
}

/// Appends values to a buffer.
pub trait Encode {
    fn put_u8(&mut self, value: u8);
    fn put_bytes(&mut self, bytes: &[u8]);

    fn put_flag(&mut self, value: bool) {
        self.put_u8(u8::from(value));
    }

    fn put_be_u16(&mut self, value: u16) {
        self.put_bytes(&value.to_be_bytes());
    }

    fn put_be_u32(&mut self, value: u32) {
        self.put_bytes(&value.to_be_bytes());
    }

    fn put_be_u64(&mut self, value: u64) {
        self.put_bytes(&value.to_be_bytes());
    }

    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.put_u8(value as u8);
    }

    /// A varint in zigzag order, so that small negative numbers stay short.
    fn put_zigzag(&mut self, value: i32) {
        self.put_varint(u64::from(((value << 1) ^ (value >> 31)) as u32));
    }

    /// A text behind its length.
    fn put_text(&mut self, text: &str) {
        self.put_varint(text.len() as u64);
        self.put_bytes(text.as_bytes());
    }
}

impl Encode for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Takes values from the front of a slice, which is what is left to read.
pub struct Decoder<'a>(pub &'a [u8]);

impl<'a> Decoder<'a> {
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.bytes(N)?.try_into().map_err(|_| DecodeError::Truncated)
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::Unknown { what: "flag", value: value.into() }),
        }
    }

    pub fn be_u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn be_u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn be_u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return Err(DecodeError::Range);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Range)
    }

    /// A varint that fits into 32 bits.
    pub fn varint_u32(&mut self) -> Result<u32, DecodeError> {
        self.varint()?.try_into().map_err(|_| DecodeError::Range)
    }

    pub fn zigzag(&mut self) -> Result<i32, DecodeError> {
        let zigzag = self.varint_u32()?;
        Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
    }

    /// A count of items, of which each takes at least `item_bytes_min` of what is left.
    pub fn count(&mut self, item_bytes_min: usize) -> Result<usize, DecodeError> {
        let count = self.varint()?;
        let most = (self.0.len() / item_bytes_min.max(1)) as u64;
        if count > most { Err(DecodeError::Truncated) } else { Ok(count as usize) }
    }

    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.count(1)?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| DecodeError::Utf8)
    }

    pub fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }
}

/// Two lower-case digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Declares an enum that stands for bytes in a format: the byte of each variant, the array `ALL`, and the way back, `from_u8`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_numbers_decode_to_themselves() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            bytes.put_varint(value);
            bytes.put_be_u64(value);
            let mut input = Decoder(&bytes);
            assert_eq!((input.varint(), input.be_u64(), input.end()), (Ok(value), Ok(value), Ok(())));
        }
        for value in [0, 1, -1, i32::MAX, i32::MIN] {
            let mut bytes = Vec::new();
            bytes.put_zigzag(value);
            assert_eq!(Decoder(&bytes).zigzag(), Ok(value));
        }
    }

    #[test]
    fn impossible_numbers_and_lengths_are_refused() {
        let too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert_eq!(Decoder(&[0xff; 11]).varint(), Err(DecodeError::Range));
        assert_eq!(Decoder(&too_large).varint(), Err(DecodeError::Range));
        assert_eq!(Decoder(&[0x80]).varint(), Err(DecodeError::Truncated));
        assert_eq!(Decoder(&[200, 1, b'x']).text(), Err(DecodeError::Truncated));
        assert_eq!(Decoder(&[1, 0xff]).text(), Err(DecodeError::Utf8));
    }
}
