//! The name of a session in listings and logs.

use sha2::{Digest, Sha256};

/// A short digest of a session's id. The id is the owner's only credential, so listings and logs must not have it; its 128
/// random bits cannot be found from a digest.
pub fn session_handle(session_id: &[u8; 16]) -> String {
    let digest = Sha256::new_with_prefix(b"latchd session ").chain_update(session_id).finalize();
    digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_handle_is_stable_and_differs_between_ids() {
        let id = *b"0123456789abcdef";
        assert_eq!(session_handle(&id), session_handle(&id));
        assert_ne!(session_handle(&id), session_handle(b"0123456789abcdeg"));
        assert_eq!(session_handle(&id).len(), 12);
    }
}
