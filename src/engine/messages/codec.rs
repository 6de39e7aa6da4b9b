//! The encoding of the messages: a version, a tag, and the fields. Numbers are big-endian.

use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::base::value::{Value, plain, record};
use crate::domain::{Entry, Incarnation, StoreId, Timestamp};

/// Raised when a message changes its shape. A node answers an unknown version with `Reply::NotUnderstood`.
pub const VERSION: u8 = 1;
/// The limit of a node's address, as in the log.
const TEXT_BYTES_MAX: usize = 1024;

/// The only format of messages.
#[derive(Clone, Copy)]
pub struct Version1;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    #[error("version {0} of the messages between nodes is not known here")]
    Version(u8),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

pub fn encode(message: &impl Value<Version1>) -> Vec<u8> {
    let mut out = vec![VERSION];
    message.put(&mut out, Version1);
    out
}

pub fn decode<T: Value<Version1>>(bytes: &[u8]) -> Result<T, MessageError> {
    let mut input = Decoder(bytes);
    match input.u8()? {
        VERSION => {}
        other => return Err(MessageError::Version(other)),
    }
    let message = T::get(&mut input, Version1)?;
    input.end()?;
    Ok(message)
}

plain!(Version1, u64, |out, value| out.put_be_u64(*value), |input| input.be_u64());
plain!(Version1, u32, |out, value| out.put_be_u32(*value), |input| input.be_u32());
plain!(Version1, u8, |out, value| out.put_u8(*value), |input| input.u8());
plain!(Version1, bool, |out, value| out.put_flag(*value), |input| input.flag());
plain!(Version1, [u8; 16], |out, value| out.put_bytes(value), |input| input.array());
plain!(Version1, [u8; 32], |out, value| out.put_bytes(value), |input| input.array());

record!(Incarnation { 0 } in Version1);
record!(StoreId { 0 } in Version1);
record!(Timestamp { 0 } in Version1);

impl Value<Version1> for String {
    /// Cuts longer texts: they are addresses that were checked before, and reasons for people.
    fn put(&self, out: &mut Vec<u8>, _: Version1) {
        let end = (0..=self.len().min(TEXT_BYTES_MAX)).rev().find(|end| self.is_char_boundary(*end)).unwrap_or(0);
        out.put_be_u16(end as u16);
        out.put_bytes(&self.as_bytes()[..end]);
    }

    fn get(input: &mut Decoder<'_>, _: Version1) -> Result<Self, DecodeError> {
        let length = usize::from(input.be_u16()?);
        if length > TEXT_BYTES_MAX {
            return Err(DecodeError::Range);
        }
        let text = std::str::from_utf8(input.bytes(length)?).map_err(|_| DecodeError::Utf8)?;
        Ok(text.to_owned())
    }
}

/// The last field of a message: all that is left.
impl Value<Version1> for Box<Entry> {
    fn put(&self, out: &mut Vec<u8>, _: Version1) {
        out.put_bytes(&self.encode());
    }

    fn get(input: &mut Decoder<'_>, _: Version1) -> Result<Self, DecodeError> {
        Entry::decode(std::mem::take(&mut input.0)).map(Box::new)
    }
}
