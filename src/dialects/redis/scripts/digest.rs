//! SHA-1, by which EVALSHA names a script. It names, and protects nothing.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

pub type Digest = [u8; 20];

pub fn sha1(bytes: &[u8]) -> Digest {
    let mut digest_bytes = Digest::default();
    digest_bytes.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    digest_bytes
}

/// From 40 hex digits, in any case.
pub fn parse(text: &[u8]) -> Option<Digest> {
    let text = str::from_utf8(text).ok().filter(|text| text.len() == 40 && text.is_ascii())?;
    let mut digest_bytes = Digest::default();
    for (at, byte) in digest_bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codec::hex;

    #[test]
    fn digest_is_sha1_in_hex() {
        let known = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(hex(&sha1(b"abc")), known);
        assert_eq!(parse(known.to_uppercase().as_bytes()), Some(sha1(b"abc")));
        for bad in [&b"abc"[..], &[b'g'; 40], &[b'+'; 40], "é".repeat(20).as_bytes()] {
            assert_eq!(parse(bad), None);
        }
    }
}
