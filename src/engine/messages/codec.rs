//! Texts and numbers of the messages as bytes: big-endian, and a reader believes no length beyond the bytes that are there.

use crate::base::codec::DecodeError;

/// Raised when a message changes its shape. A node answers an unknown version with `Reply::NotUnderstood`.
pub const VERSION: u8 = 1;
/// Of a node's address; the same bound as in the log.
const ADDRESS_BYTES_MAX: usize = 1024;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    #[error("version {0} of the messages between nodes is not known here")]
    Version(u8),
    #[error("the message ends too early")]
    Truncated,
    #[error("{0} bytes follow the message")]
    Trailing(usize),
    #[error("unknown {what} {value}")]
    Unknown { what: &'static str, value: u8 },
    #[error("a text is not UTF-8 or too long")]
    Text,
    #[error("commands cannot be read: {0}")]
    Commands(#[from] DecodeError),
}

/// A tag and one number.
pub fn put_tagged(out: &mut Vec<u8>, tag: u8, number: u64) {
    out.push(tag);
    out.extend(number.to_be_bytes());
}

/// Cuts longer texts: they are addresses that were checked before, and reasons for people.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    let fits = (0..=text.len().min(ADDRESS_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end));
    let text = &text[..fits.unwrap_or(0)];
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Reader<'a>, WireError> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            VERSION => Ok(reader),
            other => Err(WireError::Version(other)),
        }
    }

    fn raw(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.raw(N)?.try_into().map_err(|_| WireError::Truncated)
    }

    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(WireError::Unknown { what: "flag", value }),
        }
    }

    pub fn text(&mut self) -> Result<String, WireError> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        if length > ADDRESS_BYTES_MAX {
            return Err(WireError::Text);
        }
        String::from_utf8(self.raw(length)?.to_vec()).map_err(|_| WireError::Text)
    }

    pub fn end(&self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing(self.0.len())) }
    }
}
