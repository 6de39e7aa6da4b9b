//! Keys of holds and ids of sessions on the wire: the same 128 bits in the format of each dialect.
//!
//! Only the exact text that was given out parses, so that no two texts mean one key.

use crate::domain::{HoldKey, SessionId};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

/// The key of no hold. It replaces a text that is no key, so that the table still decides how to refuse it.
pub const NO_KEY: HoldKey = HoldKey([0; 16]);

/// 36 characters, as sessions v1 shows keys.
pub fn dashed(key: HoldKey) -> String {
    dashed_in(key, &mut [0; 36]).to_owned()
}

/// As [`dashed`], without an allocation.
pub fn dashed_in(key: HoldKey, buffer: &mut [u8; 36]) -> &str {
    Uuid::from_bytes(key.0).hyphenated().encode_lower(buffer)
}

/// A session id as its cookie has it: what `Display` writes, without a formatter.
pub fn session_hex(session: SessionId, buffer: &mut [u8; 32]) -> &str {
    Uuid::from_bytes(session.0).simple().encode_lower(buffer)
}

/// Reads what [`dashed`] wrote.
pub fn from_dashed(text: &str) -> Option<HoldKey> {
    parse(text.as_bytes(), 36).map(HoldKey)
}

/// Reads 32 lower-case hex digits as a key.
pub fn from_hex(text: &str) -> Option<HoldKey> {
    parse(text.as_bytes(), 32).map(HoldKey)
}

/// Reads 32 lower-case hex digits as a session id.
pub fn session_from_hex(text: &[u8]) -> Option<SessionId> {
    parse(text, 32).map(SessionId)
}

/// A hold and its lock in one text: the key in hex, a dot, the lock's name in base64url.
pub fn lock_id(key: HoldKey, name: &str) -> String {
    let mut text = key.to_string();
    text.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(name, &mut text);
    text
}

/// Reads what [`lock_id`] wrote.
pub fn from_lock_id(text: &str) -> Option<(HoldKey, String)> {
    let (key, name) = text.split_once('.')?;
    let name = BASE64_URL_SAFE_NO_PAD.decode(name).ok()?;
    Some((from_hex(key)?, String::from_utf8(name).ok()?))
}

fn parse(text: &[u8], length: usize) -> Option<[u8; 16]> {
    let is_lower = text.len() == length && !text.iter().any(u8::is_ascii_uppercase);
    is_lower.then(|| Uuid::try_parse_ascii(text).ok()).flatten().map(Uuid::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HoldKey = HoldKey([0x9e, 0x2c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);

    #[test]
    fn every_format_parses_back() {
        assert_eq!(dashed(KEY), "9e2c0102-0304-0506-0708-090a0b0c0d0e");
        assert_eq!(from_dashed(&dashed(KEY)), Some(KEY));
        assert_eq!(from_hex(&KEY.to_string()), Some(KEY));
        let session = SessionId(KEY.0);
        assert_eq!(session_hex(session, &mut [0; 32]), session.to_string());
        let id = lock_id(KEY, "日/本 \n");
        assert_eq!(from_lock_id(&id), Some((KEY, "日/本 \n".to_owned())));
    }

    #[test]
    fn other_formats_of_a_key_are_refused() {
        let dashed = dashed(KEY);
        for text in [dashed.to_uppercase(), format!("{{{dashed}}}"), format!("urn:uuid:{dashed}"), KEY.to_string()] {
            assert_eq!(from_dashed(&text), None, "{text}");
        }
        assert_eq!(from_hex(&dashed), None);
        assert_eq!(from_lock_id("abc"), None);
        assert_eq!(from_lock_id(&format!("{KEY}.!!")), None);
    }
}
