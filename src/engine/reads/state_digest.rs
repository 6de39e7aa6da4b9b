//! A digest of the whole table, to compare nodes by hand.

use super::reader::TableReader;
use sha2::{Digest as _, Sha256};
use std::io;

impl TableReader {
    /// The index up to which this node has applied the log, and a digest of its table there: equal on all nodes at equal
    /// indexes. Takes as long as a snapshot.
    pub fn state_digest(&self) -> (u64, String) {
        let (index, frozen) = {
            let table = self.host.table();
            (self.raft.progress().applied_index, table.freeze())
        };
        let mut whole = HashWriter(Sha256::new());
        frozen.write_to(&mut whole).expect("a digest takes everything");
        let digest: [u8; 32] = whole.0.finalize().into();
        (index, digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
