//! Cursors of listings: where the page before ended, opaque to clients.

use crate::access::Seal;
use crate::domain::SessionId;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::sync::LazyLock;

/// The version of the format.
const NAME_FORM: u8 = 1;

/// Session ids are secrets, so a cursor carries one only under this process' own seal.
static SEAL: LazyLock<Seal> = LazyLock::new(Seal::new);

pub fn after_name(name: &str) -> String {
    let mut bytes = vec![NAME_FORM];
    bytes.extend_from_slice(name.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub fn read_name(cursor: &str) -> Option<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let name = bytes.strip_prefix(&[NAME_FORM])?;
    String::from_utf8(name.to_vec()).ok()
}

pub fn after_session(session: SessionId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(SEAL.close(&session.0))
}

pub fn read_session(cursor: &str) -> Option<SessionId> {
    SEAL.open(&BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).map(SessionId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_cursors_parse() {
        assert_eq!(read_name(&after_name("日/本 \n")).as_deref(), Some("日/本 \n"));
        assert_eq!(read_name(""), None);
        assert_eq!(read_name("%%%"), None);
        assert_eq!(read_name(&BASE64_URL_SAFE_NO_PAD.encode([NAME_FORM, 0xff])), None);
        let session = SessionId([9; 16]);
        assert_eq!(read_session(&after_session(session)), Some(session));
        assert_eq!(read_session(&after_name("a")), None);
    }
}
