//! Hides 128 bits from those who carry them: what was closed here can be opened here and nowhere else.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A key that lives as long as the process. The tag is made from the content, and the content is hidden under a pad
/// made from the tag, so equal contents look equal and any change is noticed.
pub struct Seal([u8; 32]);

impl Default for Seal {
    fn default() -> Seal {
        Seal::new()
    }
}

impl Seal {
    /// A new random key. Without randomness from the operating system no part of this service can work.
    pub fn new() -> Seal {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        Seal(key)
    }

    pub fn close(&self, content: &[u8; 16]) -> [u8; 32] {
        let tag = self.digest(b"tag", content);
        let hidden = xor(content, &self.digest(b"pad", &tag));
        let mut sealed = [0; 32];
        sealed[..16].copy_from_slice(&tag);
        sealed[16..].copy_from_slice(&hidden);
        sealed
    }

    pub fn open(&self, sealed: &[u8; 32]) -> Option<[u8; 16]> {
        let (tag, hidden) = (half(sealed, 0), half(sealed, 16));
        let content = xor(&hidden, &self.digest(b"pad", &tag));
        bool::from(self.digest(b"tag", &content).ct_eq(&tag)).then_some(content)
    }

    /// All inputs have one length, so the key in front is enough.
    fn digest(&self, purpose: &[u8; 3], input: &[u8; 16]) -> [u8; 16] {
        let digest: [u8; 32] =
            Sha256::new_with_prefix(self.0).chain_update(purpose).chain_update(input).finalize().into();
        half(&digest, 0)
    }
}

fn half(bytes: &[u8; 32], from: usize) -> [u8; 16] {
    std::array::from_fn(|at| bytes[from + at])
}

fn xor(left: &[u8; 16], right: &[u8; 16]) -> [u8; 16] {
    std::array::from_fn(|at| left[at] ^ right[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_seal_opens_and_only_what_is_whole() {
        let (seal, other) = (Seal::new(), Seal::new());
        let closed = seal.close(b"0123456789abcdef");
        assert_eq!(seal.open(&closed).as_ref(), Some(b"0123456789abcdef"));
        assert_eq!(other.open(&closed), None);
        for at in 0..closed.len() {
            let mut changed = closed;
            changed[at] ^= 1;
            assert_eq!(seal.open(&changed), None, "byte {at}");
        }
    }
}
