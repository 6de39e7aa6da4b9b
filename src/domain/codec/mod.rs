//! The bytes of log entries and snapshots: our own versioned encoding, independent of any library's.
//!
//! Integers are LEB128, ids are 16 raw bytes, texts carry their length. A reader never trusts a length further than
//! the bytes that are there.

pub(in crate::domain) mod command;
mod entry;

use super::ids::Name;
use super::metadata::Metadata;
use std::sync::Arc;

/// The format of entries and snapshots from when one node was all there was. Still read, no longer written.
pub(super) const SINGLE_NODE: u8 = 1;
/// The format with nodes, claims and idempotency keys.
pub(super) const CLUSTERS: u8 = 2;
/// The format of snapshots of tables that have an origin; entries did not change with it.
pub(super) const ORIGINS: u8 = 3;
/// The same with a life.
pub(super) const LIVES: u8 = 4;

/// The format of entries and snapshots that say who asked.
pub(super) const CALLERS: u8 = 5;

/// Bytes that are not what they should be.
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
    #[error("{0} and what it made do not match")]
    Unmatched(&'static str),
}

/// Appends values to a buffer.
pub(super) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_raw(&mut self, bytes: &[u8]);

    fn put_u64(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.put_u8(value as u8);
    }

    /// Zigzag, so that small negative numbers stay short.
    fn put_i32(&mut self, value: i32) {
        self.put_u64(u64::from(((value << 1) ^ (value >> 31)) as u32));
    }

    fn put_text(&mut self, text: &str) {
        self.put_u64(text.len() as u64);
        self.put_raw(text.as_bytes());
    }

    fn put_metadata(&mut self, metadata: &Metadata) {
        self.put_u64(metadata.len() as u64);
        metadata.iter().for_each(|(key, value)| {
            self.put_text(key);
            self.put_text(value);
        });
    }
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Takes values from the front of a slice.
pub(super) struct Take<'a>(pub &'a [u8]);

impl<'a> Take<'a> {
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    pub fn id(&mut self) -> Result<[u8; 16], DecodeError> {
        self.raw(16)?.try_into().map_err(|_| DecodeError::Truncated)
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.raw(1)?[0])
    }

    pub fn u64(&mut self) -> Result<u64, DecodeError> {
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

    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.u64()?.try_into().map_err(|_| DecodeError::Range)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        let zigzag = self.u32()?;
        Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
    }

    pub fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::Unknown { what: "flag", value: value.into() }),
        }
    }

    /// A count of items, of which each takes at least `item_bytes_min` of what is left.
    pub fn count(&mut self, item_bytes_min: usize) -> Result<usize, DecodeError> {
        let count = self.u64()?;
        let most = (self.0.len() / item_bytes_min.max(1)) as u64;
        if count > most { Err(DecodeError::Truncated) } else { Ok(count as usize) }
    }

    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.count(1)?;
        std::str::from_utf8(self.raw(length)?).map_err(|_| DecodeError::Utf8)
    }

    pub fn name(&mut self) -> Result<Name, DecodeError> {
        Ok(Arc::from(self.text()?))
    }

    pub fn metadata(&mut self) -> Result<Metadata, DecodeError> {
        let count = self.count(2)?;
        (0..count).map(|_| Ok((self.text()?, self.text()?))).collect::<Result<Vec<_>, _>>().map(Metadata::from_iter)
    }

    pub fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            bytes.put_u64(value);
            assert_eq!(Take(&bytes).u64(), Ok(value));
        }
        for value in [0, 1, -1, i32::MAX, i32::MIN] {
            let mut bytes = Vec::new();
            bytes.put_i32(value);
            assert_eq!(Take(&bytes).i32(), Ok(value));
        }
    }

    #[test]
    fn impossible_numbers_and_lengths_are_refused() {
        assert_eq!(Take(&[0xff; 11]).u64(), Err(DecodeError::Range));
        assert_eq!(Take(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).u64(), Err(DecodeError::Range));
        assert_eq!(Take(&[0x80]).u64(), Err(DecodeError::Truncated));
        assert_eq!(Take(&[200, 1, b'x']).text(), Err(DecodeError::Truncated));
        assert_eq!(Take(&[1, 0xff]).text(), Err(DecodeError::Utf8));
    }
}
