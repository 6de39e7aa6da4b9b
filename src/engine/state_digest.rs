//! A digest of the whole table, to compare nodes by hand.

use super::face::Engine;
use sha2::{Digest as _, Sha256};
use std::io;

impl Engine {
    /// Where this node's log is applied up to, and a digest of the table there: equal on all nodes at equal indexes.
    /// Takes as long as a snapshot.
    pub fn state_digest(&self) -> (u64, String) {
        let (index, frozen) = {
            let table = self.0.core.host.table();
            (self.0.core.raft.progress().applied_index, table.freeze())
        };
        let mut whole = Hashing(Sha256::new());
        frozen.write_to(&mut whole).expect("a digest takes everything");
        let digest: [u8; 32] = whole.0.finalize().into();
        (index, digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
