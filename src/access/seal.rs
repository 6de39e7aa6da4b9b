//! Hides 128 bits from those who carry them: what was closed here can be opened here and nowhere else.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// A nonce, the hidden content, and a tag.
const SEALED_BYTES: usize = NONCE_LEN + 16 + 16;

/// A key that lives as long as the process.
pub struct Seal(LessSafeKey);

impl Default for Seal {
    fn default() -> Seal {
        Seal::new()
    }
}

impl Seal {
    pub fn new() -> Seal {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &random::<32>()).expect("a key of the right length");
        Seal(LessSafeKey::new(key))
    }

    pub fn close(&self, content: &[u8; 16]) -> [u8; SEALED_BYTES] {
        let nonce = random::<NONCE_LEN>();
        let mut sealed = [0; SEALED_BYTES];
        let (begin, rest) = sealed.split_at_mut(NONCE_LEN);
        let (hidden, tag) = rest.split_at_mut(content.len());
        begin.copy_from_slice(&nonce);
        hidden.copy_from_slice(content);
        let made = self.0.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), hidden);
        tag.copy_from_slice(made.expect("a short content").as_ref());
        sealed
    }

    pub fn open(&self, sealed: &[u8]) -> Option<[u8; 16]> {
        let (nonce, hidden) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut content = hidden.to_vec();
        let content = self.0.open_in_place(nonce, Aad::empty(), &mut content).ok()?;
        <[u8; 16]>::try_from(&*content).ok()
    }
}

/// Without randomness from the operating system no part of this service can work.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_content_opens_whole_and_under_its_own_key_only() {
        let (seal, other) = (Seal::new(), Seal::new());
        let closed = seal.close(b"0123456789abcdef");
        assert_eq!(seal.open(&closed).as_ref(), Some(b"0123456789abcdef"));
        assert_ne!(seal.close(b"0123456789abcdef"), closed, "equal contents look different");
        assert_eq!(other.open(&closed), None);
        for at in 0..closed.len() {
            let mut changed = closed;
            changed[at] ^= 1;
            assert_eq!(seal.open(&changed), None, "byte {at}");
            assert_eq!(seal.open(&closed[..at]), None, "{at} bytes");
        }
    }
}
