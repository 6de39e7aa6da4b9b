//! Versions, tags and texts of the messages, in the common byte codec: numbers are big-endian.

use crate::base::codec::{DecodeError, Decoder, Encode};

/// Raised when a message changes its shape. A node answers an unknown version with `Reply::NotUnderstood`.
pub const VERSION: u8 = 1;
/// Of a node's address; the same bound as in the log.
const TEXT_BYTES_MAX: usize = 1024;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    #[error("version {0} of the messages between nodes is not known here")]
    Version(u8),
    #[error("a text of {0} bytes is too long")]
    LongText(usize),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// The content of a message, without its version.
pub fn open(bytes: &[u8]) -> Result<Decoder<'_>, MessageError> {
    let mut take = Decoder(bytes);
    match take.u8()? {
        VERSION => Ok(take),
        other => Err(MessageError::Version(other)),
    }
}

pub fn unknown(what: &'static str, value: u8) -> MessageError {
    DecodeError::Unknown { what, value: value.into() }.into()
}

/// A tag and one number.
pub fn put_tagged(out: &mut Vec<u8>, tag: u8, number: u64) {
    out.put_u8(tag);
    out.put_be_u64(number);
}

/// Cuts longer texts: they are addresses that were checked before, and reasons for people.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let text = &text[..end];
    out.put_be_u16(text.len() as u16);
    out.put_bytes(text.as_bytes());
}

pub fn take_text(take: &mut Decoder<'_>) -> Result<String, MessageError> {
    let length = usize::from(take.be_u16()?);
    if length > TEXT_BYTES_MAX {
        return Err(MessageError::LongText(length));
    }
    let text = std::str::from_utf8(take.bytes(length)?).map_err(|_| DecodeError::Utf8)?;
    Ok(text.to_owned())
}
